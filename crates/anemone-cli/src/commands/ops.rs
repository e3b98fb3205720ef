//! `anemone ops`.

use std::io::Write;

use anemone::Chip;
use anemone::mil::op::{Default, Edition, Kind, Op, Parameter, Results, Tolerance};
use anemone::ops;
use anemone::place::{self, Form, Known, Route, Support, Target};
use anemone::source::suggest;
use anemone::types::{DType, DTypes};
use serde::Serialize;

use crate::commands::evidence::{Evidence, Facts};
use crate::failure::Failure;
use crate::table::{Align, Table};
use crate::terminal::{Terminal, style};

/// List the ops of MIL, and what anemone has for each
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  anemone ops               every op in one line
  anemone ops conv          the parameters of `conv`, by opset, and what is known of it on each chip
  anemone ops topk --json | jq '.[-1].engines[] | select(.chip == \"m4\")'
  anemone ops --json | jq '.[] | select(.reference | not) | .op'
                            ops that can be checked, not run")]
pub(crate) struct Args {
    /// One op, such as `conv`; without it all are listed
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Print JSON: one object for each op and each opset in which its parameters changed
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, terminal: &mut Terminal) -> Result<(), Failure> {
    let chosen: Vec<&'static Op> = match &args.name {
        None => ops::all().collect(),
        Some(name) => vec![find(name)?],
    };
    if args.json {
        let engines = args.name.is_some();
        let rows: Vec<Row> =
            chosen.iter().flat_map(|op| op.editions.iter().map(|e| Row::of(op, e, engines))).collect();
        return terminal.json(&rows);
    }
    match (&args.name, chosen.as_slice()) {
        (Some(_), [op]) => print_one(op, terminal),
        _ => print_all(&chosen, terminal),
    }
}

fn find(name: &str) -> Result<&'static Op, Failure> {
    ops::find(name).ok_or_else(|| {
        if let Some(op) = ops::lowered(name) {
            return Failure::world(format!(
                "`{name}` is an op inside coremltools, which makes this of it: {}",
                op.becomes
            ));
        }
        Failure::world(match suggest(name, ops::all().map(|o| o.name)) {
            Some(near) => format!("MIL has no op `{name}`; did you mean `{near}`?"),
            None => format!("MIL has no op `{name}`; `anemone ops` lists all"),
        })
    })
}

fn print_all(ops: &[&'static Op], terminal: &mut Terminal) -> Result<(), Failure> {
    let mut table = Table::new(&[
        ("OP", Align::Left),
        ("SINCE", Align::Left),
        ("RESULTS", Align::Right),
        ("REFERENCE", Align::Left),
        ("KERNELS", Align::Left),
        ("COMPUTES", Align::Left),
    ]);
    let yes = |b: bool| if b { "yes" } else { "-" }.to_string();
    for op in ops {
        table.row([
            op.name.to_string(),
            op.since().name().to_string(),
            results(op.results),
            yes(op.has_meaning()),
            yes(op.fast.has_kernels()),
            op.summary.to_string(),
        ]);
    }
    table.print(terminal)?;
    if !terminal.is_quiet() {
        let meanings = ops.iter().filter(|o| o.has_meaning()).count();
        let kernels = ops.iter().filter(|o| o.fast.has_kernels()).count();
        writeln!(terminal, "\n{} ops; {meanings} can be run, {kernels} of them with kernels", ops.len())?;
    }
    Ok(())
}

fn print_one(op: &'static Op, terminal: &mut Terminal) -> Result<(), Failure> {
    let name = terminal.paint(style::HEADING, op.name);
    writeln!(terminal, "{name}: {}", op.summary)?;
    writeln!(terminal, "  results:   {}", results(op.results))?;
    writeln!(
        terminal,
        "  reference: {}",
        if op.has_meaning() { "yes" } else { "not yet: it is checked, not run" }
    )?;
    if op.fast.has_kernels() {
        writeln!(terminal, "  fast:      yes, {}", within(op.tolerance))?;
    } else {
        writeln!(terminal, "  fast:      yes, the reference is as fast as it gets")?;
    }
    for edition in op.editions {
        writeln!(terminal)?;
        let written = if edition.in_attributes { ", written as attributes" } else { "" };
        let heading = terminal.paint(style::HEADING, &format!("{}{written}", edition.since));
        writeln!(terminal, "{heading}")?;
        let mut table = Table::new(&[
            ("PARAMETER", Align::Left),
            ("IS", Align::Left),
            ("DTYPES", Align::Left),
            ("SAME", Align::Left),
            ("CONSTANT", Align::Left),
            ("DEFAULT", Align::Left),
        ]);
        for p in edition.params {
            table.row([
                p.name.to_string(),
                kind(p.kind).to_string(),
                if p.dtypes == DTypes::ANY { "any".to_string() } else { p.dtypes.to_string() },
                p.domain.to_string().trim().to_string(),
                if p.constant { "yes" } else { "-" }.to_string(),
                match p.default {
                    Default::Required => "required".to_string(),
                    Default::Absent => "may be absent".to_string(),
                    Default::Str(s) => format!("{s:?}"),
                    _ => default(p).to_string(),
                },
            ]);
        }
        table.print(terminal)?;
    }
    if op.editions.iter().flat_map(|e| e.params).any(|p| p.domain != ' ') && !terminal.is_quiet() {
        writeln!(terminal, "\nparameters with the same letter under SAME must have one dtype")?;
    }
    print_engines(op, terminal)
}

/// What is known of an op on every chip, a line for chips of which the same is known.
fn print_engines(op: &'static Op, terminal: &mut Terminal) -> Result<(), Failure> {
    let row = place::row(op.name);
    let mut table = Table::new(&[
        ("ROUTE", Align::Left),
        ("CHIPS", Align::Left),
        ("FORM", Align::Left),
        ("ATTESTED", Align::Left),
        ("COMPILES", Align::Left),
        ("RUNS", Align::Left),
        ("CORRECT", Align::Left),
        ("EVIDENCE", Align::Left),
    ]);
    let word = |known: Known| known.map_or("-", |yes| if yes { "yes" } else { "no" }).to_string();
    for route in Route::ALL {
        let mut groups: Vec<(Vec<&str>, Support)> = Vec::new();
        for chip in Chip::ALL {
            let known = row.on(Target { route, ..Target::new(chip) });
            match groups.last_mut() {
                Some((chips, same)) if *same == known => chips.push(chip.name()),
                _ => groups.push((vec![chip.name()], known)),
            }
        }
        for (chips, known) in groups {
            let f = known.facts;
            table.row([
                route.name().to_string(),
                chips.join(" "),
                form(known.form).to_string(),
                word(f.attested),
                word(f.compiles),
                word(f.runs),
                word(f.correct),
                known.evidence.to_string(),
            ]);
        }
    }
    writeln!(terminal)?;
    table.print(terminal)?;
    if !row.instead.is_empty() && !terminal.is_quiet() {
        writeln!(terminal, "\ninstead: {}", row.instead)?;
    }
    Ok(())
}

fn form(form: Form) -> &'static str {
    match form {
        Form::Native => "native",
        Form::Bridged => "bridge",
        Form::Folded => "folded",
        Form::Later => "later",
        Form::Refused => "no",
    }
}

fn results(results: Results) -> String {
    match results {
        Results::Exactly(n) => n.to_string(),
        Results::Inferred => "any".to_string(),
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Tensor => "tensor",
        Kind::Tuple => "tuple",
        Kind::List => "list",
        Kind::State => "state",
        Kind::Any => "any",
    }
}

fn within(tolerance: Tolerance) -> String {
    match tolerance {
        Tolerance::Exact => "with the same bits".to_string(),
        Tolerance::Ulp(n) => format!("within {n} units in the last place"),
        Tolerance::Sum(n) => format!("within {n} epsilon of the largest result"),
    }
}

/// The default as JSON; null when there is none.
fn default(p: &Parameter) -> serde_json::Value {
    match p.default {
        Default::Required | Default::Absent => serde_json::Value::Null,
        Default::Int(i) => i.into(),
        Default::Float(f) => f.into(),
        Default::Bool(b) => b.into(),
        Default::Str(s) => s.into(),
        Default::Ints(i) => i.into(),
    }
}

/// An op as of one opset.
#[derive(Serialize)]
struct Row {
    op: &'static str,
    opset: &'static str,
    summary: &'static str,
    /// Null when it depends on the arguments.
    results: Option<usize>,
    params: Vec<Param>,
    in_attributes: bool,
    /// Whether anemone can compute it.
    reference: bool,
    /// Whether the cpu engine has kernels for it; without, it uses the reference.
    cpu: bool,
    tolerance: ToleranceRow,
    /// What is known of it on each chip by each route; of an op that is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    engines: Option<Vec<EngineRow>>,
}

/// An op on a chip by a route. Null stands for what nobody is known to have tried.
#[derive(Serialize)]
struct EngineRow {
    chip: &'static str,
    route: &'static str,
    form: &'static str,
    /// The part of the engine that does it, where not all chips have it.
    part: Option<&'static str>,
    facts: Facts,
    why: String,
    evidence: Evidence,
}

impl EngineRow {
    fn of(op: &Op, chip: Chip, route: Route) -> Self {
        let row = place::row(op.name);
        let known = row.on(Target { route, ..Target::new(chip) });
        Self {
            chip: chip.name(),
            route: route.name(),
            form: form(known.form),
            part: row.part().map(|p| p.name),
            facts: Facts::of(known.facts),
            why: known.why.into_owned(),
            evidence: Evidence::of(known.evidence),
        }
    }
}

#[derive(Serialize)]
struct Param {
    name: &'static str,
    kind: &'static str,
    dtypes: Vec<&'static str>,
    same_dtype_as: Vec<&'static str>,
    constant: bool,
    required: bool,
    default: serde_json::Value,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum ToleranceRow {
    Exact,
    Ulp(u32),
    Sum(u32),
}

impl Row {
    fn of(op: &Op, edition: &Edition, engines: bool) -> Self {
        let params = edition.params.iter().map(|p| Param {
            name: p.name,
            kind: kind(p.kind),
            dtypes: p.dtypes.iter().map(DType::name).collect(),
            same_dtype_as: edition
                .params
                .iter()
                .filter(|q| q.domain == p.domain && p.domain != ' ' && q.name != p.name)
                .map(|q| q.name)
                .collect(),
            constant: p.constant,
            required: p.default == Default::Required,
            default: default(p),
        });
        Row {
            op: op.name,
            opset: edition.since.name(),
            summary: op.summary,
            results: match op.results {
                Results::Exactly(n) => Some(n),
                Results::Inferred => None,
            },
            params: params.collect(),
            in_attributes: edition.in_attributes,
            reference: op.has_meaning(),
            cpu: op.fast.has_kernels(),
            tolerance: match op.tolerance {
                Tolerance::Exact => ToleranceRow::Exact,
                Tolerance::Ulp(n) => ToleranceRow::Ulp(n),
                Tolerance::Sum(n) => ToleranceRow::Sum(n),
            },
            engines: engines.then(|| {
                let chips = Chip::ALL.into_iter();
                chips.flat_map(|chip| Route::ALL.map(|route| EngineRow::of(op, chip, route))).collect()
            }),
        }
    }
}
