//! What the models say of a row, and whether it is what was seen.

use anemone::Chip;
use anemone::chip::{Encoding, Hardware, Profile, Quantity};
use anemone::ops;
use anemone::place::{self, Form, OpPlacement, Route, Target, Where};
use anemone::types::DType;

use super::Row;
use super::condition::Condition;
use super::{programs, validator};

/// What came of a row.
pub(super) enum Answer {
    /// It is about no op or limit of a chip: why.
    Apart(String),
    /// It was compared, for this chip: why it disagrees, if it does.
    Compared(String, Result<(), String>),
}

/// The chips that a row is about: by name, family, target of the compiler or tier.
fn chips_of(words: &str) -> Vec<Chip> {
    let all = Chip::ALL.to_vec();
    if words == "all families" || words == "(any)" || words == "family-wide" {
        return all;
    }
    let words = words.split(" (").next().unwrap_or_default();
    let mut found = Vec::new();
    // `M1/H13, M2/H14`, `H13, H13g, T1`, `M4-M5/A16+`, `A13..A15`, `M3+`.
    let one = |word: &str| -> Option<Chip> {
        let number: u32 = word.get(1..)?.trim_end_matches(|c: char| c.is_ascii_alphabetic()).parse().ok()?;
        match word.get(..1)? {
            "M" => Chip::ALL.into_iter().find(|c| c.family() == number + 12),
            "H" => Chip::ALL.into_iter().find(|c| c.family() == number),
            // Tiers: what came with A14 is M1's engine; A13 is the guide's word for that of M1.
            "A" => Chip::ALL.into_iter().find(|c| c.family() == number),
            _ => None,
        }
    };
    for word in words.split([',', '/', ' ']).filter(|w| !w.is_empty()) {
        let from_to = word.split_once("..").or_else(|| word.split_once('-'));
        let chips: Vec<Chip> = match (from_to, word.strip_suffix('+')) {
            (Some((from, to)), _) => match (one(from), one(to)) {
                (Some(from), Some(to)) => all.iter().copied().filter(|c| (from..=to).contains(c)).collect(),
                _ => Vec::new(),
            },
            (None, Some(from)) => {
                one(from).map_or_else(Vec::new, |f| all.iter().copied().filter(|c| *c >= f).collect())
            }
            (None, None) => one(word).into_iter().collect(),
        };
        found.extend(chips);
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// How the program of a row came to the engine.
fn route(row: &Row<'_>) -> Route {
    if row.route.contains("anecc") || row.route.contains("ANE-only") || row.route.contains("ANEForge") {
        Route::Direct
    } else if row.route.contains("ane-guide")
        || row.route.contains("validator")
        || row.route.contains("netplist")
    {
        Route::E5rt
    } else {
        Route::CoreMl
    }
}

/// Answers a row.
pub(super) fn answer(row: &Row<'_>) -> Answer {
    let apart = |why: &str| Answer::Apart(why.to_string());
    if row.chip == "pre-A13" || row.chip.starts_with("H11") || row.chip.starts_with("U1") || row.chip == "M11"
    {
        return apart("an engine that is none of m1 to m6");
    }
    let chips = chips_of(row.chip);
    let Some(&chip) = chips.first() else { return apart("no chip of m1 to m6") };
    let name = if chips.len() == 6 { "all".to_string() } else { chip.name().to_string() };
    if row.route == "HAL parameter table"
        || ["limit", "capability", "feature present", "feature absent"].contains(&row.outcome)
    {
        return match parameter(row, chip) {
            Some(result) => Answer::Compared(name, result),
            None => apart("a parameter of the compiler that is not in the table"),
        };
    }
    if row.outcome.starts_with("reject when violated") || row.route.starts_with("ANE compiler validator") {
        return match validator::validate(row.condition) {
            Some(result) => Answer::Compared(name, result),
            None => apart("a rule of the compiler's own layers that no program of MIL can break"),
        };
    }
    if let Some(result) = special(row, &chips) {
        return Answer::Compared(name, result);
    }
    if seen(row.outcome) == Seen::Unclear {
        return apart("a remark that says neither place nor refusal");
    }
    // The guide's matrix has remarks in the place of conditions.
    let told = (row.route != "ane-guide direct e5rt route").then_some(row.condition);
    let Some(condition) = Condition::read(row.op, row.dtype, told) else {
        return apart("an op that no program of MIL can hold");
    };
    if ops::find(row.op).is_none() && (row.route.contains("netplist") || row.op.contains("bridge")) {
        return apart("a layer of the compiler, reached without MIL");
    }
    Answer::Compared(name, of_program(row, &condition, chip))
}

/// The limit that a row names in words.
fn quantity(words: &str) -> Option<Quantity> {
    match words {
        w if w.contains("contraction extent") => Some(Quantity::Extent),
        w if w.contains("channel-axis extent") => Some(Quantity::Channels),
        w if w.contains("slice-saturation") => Some(Quantity::SliceMagnitude),
        _ => None,
    }
}

/// Compares a parameter of the compiler's table.
fn parameter(row: &Row<'_>, chip: Chip) -> Option<Result<(), String>> {
    if let Some(quantity) = quantity(row.op) {
        let value = chip.limit(quantity, Profile::Permissive).value;
        let same = row.limit.split_whitespace().any(|w| w.parse() == Ok(value));
        return Some(same.then_some(()).ok_or_else(|| format!("we say {value}")));
    }
    let name = match row.op {
        "max dimension" => "max tensor W / H",
        "dropout" => "dropout and random",
        "has texture engine" => "texture engine",
        name => name,
    };
    let value = Hardware::find(name)?.value(chip);
    let seen = match row.limit.trim_end_matches(" px") {
        "0" => "no",
        "1" => "yes",
        seen => seen,
    };
    let seen = seen.split(", depth").next().unwrap_or_default();
    Some(if seen == value { Ok(()) } else { Err(format!("the table has {value}")) })
}

/// Rows whose condition is a sentence, and tells of a program nevertheless.
fn special(row: &Row<'_>, chips: &[Chip]) -> Option<Result<(), String>> {
    let mut c = Condition { op: "relu".to_string(), ..Condition::default() };
    let number =
        |text: &str| text.split(|ch: char| !ch.is_ascii_digit()).find_map(|w| w.parse::<usize>().ok());
    let of = |c: &Condition| Some(chips.iter().try_for_each(|&chip| of_program(row, c, chip)));
    match row.op {
        "depth limit" => {
            c.op = "conv".to_string();
            c.kernel = Some(vec![1, 1]);
            c.x = Some(vec![1, 64, 1, 1024]);
            c.layers = Some(number(row.condition.split("chain").nth(1)?)?);
            of(&c)
        }
        "weights streaming"
        | "weights: int8 (per-tensor / per-channel)"
        | "weights: int4 lookup-table"
        | "weights: structured sparsity"
        | "weights: blockwise affine" => Some(weights(row, chips)),
        "(any)"
        | "tensor rank 6"
        | "any axis = 16384"
        | "any axis = 16385"
        | "zero-size dim (0, 8)"
        | "Height axis" => {
            let words = row.condition;
            c.x = Some(match () {
                () if words.contains("rank 6") => vec![1, 1, 1, 1, 2, 2],
                () if words.contains("zero-size") => vec![0, 8],
                () if words.contains("dtype other") => vec![1, 64],
                () if words.starts_with("Height") => vec![1, 1, number(row.outcome)?, 1],
                () if words.contains("extent") => vec![1, 1, 1, number(row.limit)?],
                () => vec![1, 1, 1, number(words.rsplit(' ').next()?)?],
            });
            if words.contains("dtype other") {
                c.dtypes.push(DType::Fp32);
            }
            of(&c)
        }
        "batched matmul rank 5" => {
            c.op = "matmul".to_string();
            c.x = Some(vec![2, 2, 2, 8, 8]);
            of(&c)
        }
        "dynamic-weight conv" | "Dynamic-weight conv at batch $\\geq 2$" => {
            c.op = "conv".to_string();
            c.at_run_time = true;
            c.x = Some(vec![if row.op.starts_with('d') { 1 } else { 2 }, 64, 32, 32]);
            of(&c)
        }
        "conv" if row.condition.contains("kW") => {
            let kernel = row
                .condition
                .split(' ')
                .next()
                .filter(|w| w.contains('x') && w.starts_with(|c: char| c.is_ascii_digit()));
            let height = kernel.and_then(|k| k.split_once('x')?.0.parse().ok()).unwrap_or(1);
            let width = number(row.condition.split("kW").nth(1)?)?;
            c = Condition {
                op: "conv".to_string(),
                kernel: Some(vec![height, width]),
                same: true,
                ..Condition::default()
            };
            of(&c)
        }
        "native SDPA" => {
            c.op = "scaled_dot_product_attention".to_string();
            let rows = match row.condition {
                w if w.contains("512x512") => 512,
                w if w.contains("S=") => number(w.split("S=").nth(1)?)?,
                _ => 64,
            };
            c.x = Some(vec![1, 8, rows, 64]);
            if row.condition.contains("mask") {
                let heads = if row.condition.contains("per-head") { 8 } else { 1 };
                c.y = Some(vec![1, heads, rows, rows]);
            }
            of(&c)
        }
        "nms" if row.condition.contains("boxes") => {
            c = Condition {
                op: "non_maximum_suppression".to_string(),
                x: Some(vec![1, number(row.condition)? + 1, 4]),
                ..Condition::default()
            };
            of(&c)
        }
        name if name.starts_with("input dtype") => {
            let dtypes: Vec<DType> =
                name["input dtype".len()..].split([',', ' ']).filter_map(DType::from_name).collect();
            let answers = dtypes.iter().map(|&d| {
                let mut c = c.clone();
                (c.op, c.x, c.dtypes) = ("add".to_string(), Some(vec![1, 64]), vec![d]);
                chips.iter().try_for_each(|&chip| of_program(row, &c, chip))
            });
            answers.reduce(Result::and)
        }
        "conv indivisible groups" => {
            c = Condition {
                op: "conv".to_string(),
                x: Some(vec![1, 8, 8, 8]),
                weight: Some(vec![6, 2, 3, 3]),
                groups: Some(3),
                ..Condition::default()
            };
            of(&c)
        }
        // `sin, cos native`: several ops that come with a later chip.
        list if row.outcome.contains("enabled from") => {
            let later = chips_of(row.outcome.split("enabled from").nth(1)?);
            let words = list.replace(" native", "").replace("top-k", "topk").replace('-', "_");
            let named: Vec<_> = words.split(", ").filter_map(|w| ops::find(w)).collect();
            let (&chip, &later) = (chips.first()?, later.first()?);
            let gone = named.iter().find(|op| {
                let row = place::row(op.name);
                row.form(chip) == Form::Native || row.form(later) != Form::Native
            });
            (!named.is_empty())
                .then(|| gone.map_or(Ok(()), |op| Err(format!("we say otherwise of `{}`", op.name))))
        }
        _ => None,
    }
}

/// Whether weights in an encoding are streamed to the engine as they are, or expanded by the compiler.
fn weights(row: &Row<'_>, chips: &[Chip]) -> Result<(), String> {
    let encodings = [
        ("int4", Encoding::Palette),
        ("sparse", Encoding::Sparse),
        ("sparsity", Encoding::Sparse),
        ("int8", Encoding::Int8),
        ("blockwise", Encoding::Blockwise),
    ];
    let words = format!("{} {}", row.op, if row.op == "weights streaming" { row.condition } else { "" });
    let streams = row.outcome.contains("stream");
    for (word, encoding) in encodings.iter().filter(|(word, _)| words.contains(word)) {
        if let Some(chip) = chips.iter().find(|c| c.streams(*encoding).0 != streams) {
            return Err(format!("we say otherwise of {word} on {chip}"));
        }
    }
    Ok(())
}

/// Places the program of a condition, and compares with what was seen.
fn of_program(row: &Row<'_>, c: &Condition, chip: Chip) -> Result<(), String> {
    let profile = Profile::Permissive;
    let gpu = row.condition.contains("compute units ALL");
    let target = Target { route: route(row), profile, gpu, ..Target::new(chip) };
    let built = match programs::program(c) {
        Ok(built) => built,
        Err(_) if ops::find(&c.op).is_some() && table_only(&c.op) => return by_table(row, &c.op, target),
        // What the gate refuses is refused.
        Err(why) => {
            let refused = row.outcome.contains("reject")
                || row.outcome.contains("fail")
                || row.outcome.contains("ERROR");
            return if refused { Ok(()) } else { Err(format!("no program: {why}")) };
        }
    };
    let placement = place::place(built.verified.main(), target);
    let ours = placement.ops.iter().rev().find(|o| o.op == c.op);
    let Some(ours) = ours else { return Err("the program has no such op".to_string()) };
    if row.outcome.starts_with("killed") {
        let warned = placement.diagnostics.iter().any(|d| d.code.name == "compile-budget");
        return warned
            .then_some(())
            .ok_or_else(|| "we do not say that the compiler takes too much".to_string());
    }
    if ours.form == Form::Folded && matches!(seen(row.outcome), Seen::Form(_)) {
        return by_table(row, &c.op, target);
    }
    fits(row, ours)
        .then_some(())
        .ok_or_else(|| format!("we say {} ({:?}): {}", ours.at.word(), ours.form, ours.why))
}

/// Ops of which no small program is made here: they run blocks, or take what the builder has no argument for.
fn table_only(op: &str) -> bool {
    ["list", "cond", "while", "const", "classify", "buffer", "state", "reshape_like", "conv_quantized"]
        .iter()
        .any(|w| op.contains(w))
}

/// Compares what the table says of an op, whatever its arguments.
fn by_table(row: &Row<'_>, op: &str, target: Target) -> Result<(), String> {
    let form = place::row(op).form_on(target);
    let ours = seen(row.outcome);
    let same = match ours {
        Seen::Form(f) => f == form || f == Form::Bridged && form == Form::Folded,
        Seen::OnEngine | Seen::Ane => form.is_on_engine(),
        Seen::Refused | Seen::NotOnEngine => !form.is_on_engine(),
        _ => false,
    };
    same.then_some(()).ok_or_else(|| format!("we say {form:?}"))
}

/// What an outcome says.
#[derive(Clone, Copy, PartialEq)]
enum Seen {
    /// The engine does it in this way.
    Form(Form),
    /// The engine could run it.
    OnEngine,
    /// The engine could run it, and Core ML keeps it on the CPU.
    Kept,
    /// The engine runs it.
    Ane,
    /// The CPU runs it.
    Cpu,
    /// The engine cannot run it.
    NotOnEngine,
    /// It is refused.
    Refused,
    /// It runs, and gives wrong numbers.
    Wrong,
    /// The GPU could run it, or does.
    Gpu(bool),
    /// The compiler computes it.
    Folded,
    /// Nothing that is known.
    Unclear,
}

fn seen(outcome: &str) -> Seen {
    match outcome {
        "ANE (native)" => Seen::Form(Form::Native),
        o if o.starts_with("only through") => Seen::Form(Form::Bridged),
        o if o.starts_with("reject on this family") => Seen::Form(Form::Later),
        "reject (computed off-engine)" => Seen::Form(Form::Refused),
        o if o.contains("CPU preferred") => Seen::Kept,
        o if o.contains("preferred ANE") || o.starts_with("ANE (preferred)") => Seen::Ane,
        o if o.starts_with("CPU (no ANE") || o == "CPU only" => Seen::NotOnEngine,
        o if o.contains("placed on CPU") || o.contains("falls back") => Seen::Cpu,
        o if o.starts_with("GPU") => Seen::Gpu(o.contains("preferred")),
        "CPU,GPU" => Seen::NotOnEngine,
        o if o.starts_with("CPU,ANE") => Seen::OnEngine,
        "folded to identity" => Seen::Folded,
        o if o.contains("wrong") || o.contains("garbage") || o.contains("misapplied") => Seen::Wrong,
        o if o.contains("reject")
            || o.to_lowercase().contains("fail")
            || o.starts_with("not implemented")
            || o.contains("walled")
            || o.starts_with("parse ERROR")
            || o.starts_with("killed") =>
        {
            Seen::Refused
        }
        "accept" => Seen::OnEngine,
        o if o.starts_with("ANE supported") => Seen::OnEngine,
        o if o.starts_with("ANE") => Seen::Ane,
        _ => Seen::Unclear,
    }
}

/// How the engine does an op, if that is what an outcome says.
pub(super) fn seen_form(outcome: &str) -> Option<Form> {
    match seen(outcome) {
        Seen::Form(form) => Some(form),
        _ => None,
    }
}

/// Whether a placement is what was seen.
fn fits(row: &Row<'_>, ours: &OpPlacement) -> bool {
    match seen(row.outcome) {
        Seen::Form(form) => ours.form == form || form == Form::Bridged && ours.form == Form::Folded,
        Seen::OnEngine => ours.on_engine(),
        Seen::Kept => ours.on_engine() && ours.at == Where::Cpu,
        Seen::Ane => ours.at == Where::Ane,
        Seen::Cpu => ours.at == Where::Cpu,
        Seen::NotOnEngine => !ours.on_engine(),
        Seen::Refused => !ours.on_engine(),
        Seen::Wrong => ours.on_engine() && ours.facts.correct == Some(false),
        Seen::Gpu(preferred) => !preferred || ours.at == Where::Gpu,
        Seen::Folded => ours.form == Form::Folded,
        Seen::Unclear => false,
    }
}
