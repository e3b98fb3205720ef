//! The tables of single results.

use anemone::bundle::Weights;
use anemone::chip::Numerics;
use anemone::device::{self, Engine, Options};
use anemone::types::{Tensor, f16};

use super::{Cells, Outcome, Row, compute, half, half_of, ints, rows, same, statistics, tensor};

/// How a table is compared.
pub(super) type Compare = fn(&str) -> Result<Vec<Row>, String>;

/// Each table with what compares it.
pub(super) const TABLES: [(&str, Compare); 6] = [
    ("mac.tsv", |text| each(text, products)),
    ("elementwise.tsv", |text| each(text, elementwise)),
    ("int8.tsv", |text| each(text, bytes)),
    ("activations.tsv", |text| each(text, activations)),
    ("activation_stats.tsv", |text| each(text, statistics::compare)),
    ("reduce_softmax_norm.tsv", |text| each(text, reductions)),
];

const NO_RULE: &str = "the arithmetic of reductions is not known";

/// Compares each row; what a row is about stands in front.
fn each(
    text: &str,
    compare: impl Fn(&Cells<'_>, anemone::Chip) -> Result<(String, Outcome), String>,
) -> Result<Vec<Row>, String> {
    rows(text, |cells| {
        let Some(chip) = cells.chip() else {
            let outcome = Outcome::Left("an engine that is none of m1 to m6".into());
            return Ok(Some(Row { chip: None, what: cells.line(), outcome }));
        };
        // What cannot be read, or has no program, is a row like the others.
        let (what, outcome) = compare(cells, chip).unwrap_or_else(|why| (cells.line(), Outcome::Left(why)));
        Ok(Some(Row { chip: Some(chip), what, outcome }))
    })
}

/// A list such as `1.0,-1.0*4`, of so many numbers at least; the others are 0.
fn list(text: &str, least: usize) -> Result<Vec<f16>, String> {
    let mut numbers = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (number, count) = part.split_once('*').unwrap_or((part, "1"));
        let count: usize = count.trim().parse().map_err(|e| format!("`{part}`: {e}"))?;
        numbers.extend(std::iter::repeat_n(half(number)?, count));
    }
    numbers.resize(numbers.len().max(least), f16::ZERO);
    Ok(numbers)
}

fn products(cells: &Cells<'_>, chip: anemone::Chip) -> Result<(String, Outcome), String> {
    let (op, group) = (cells.of("op"), cells.of("group"));
    let least = if op == "conv1x1 Cin=1" { 1 } else { 64 };
    let (mut x, mut w) = (list(cells.of("x"), least)?, list(cells.of("weights"), least)?);
    // The bits of a NaN.
    if let ("special_input_bits", Some(bits)) = (group, cells.of("note").split("0x").nth(1)) {
        x[0] = half_of(bits.get(..4).unwrap_or(""), cells.of("x"))?;
    }
    let count = x.len().max(w.len());
    x.resize(count, f16::ZERO);
    w.resize(count, f16::ZERO);
    let found = if op.starts_with("conv1x1") {
        let mut arguments =
            vec![("x", tensor(&[1, count, 1, 1], &x)?), ("weight", tensor(&[1, count, 1, 1], &w)?)];
        if !cells.of("bias").is_empty() {
            arguments.push(("bias", tensor(&[1], &[half(cells.of("bias"))?])?));
        }
        compute(chip, "conv", &arguments)?
    } else if op == "linear" {
        compute(chip, "linear", &[("x", tensor(&[1, count], &x)?), ("weight", tensor(&[1, count], &w)?)])?
    } else if op.starts_with("matmul") {
        compute(chip, "matmul", &[("x", tensor(&[1, count], &x)?), ("y", tensor(&[count, 1], &w)?)])?
    } else {
        return Err(format!("no program is made of `{op}`"));
    };
    let expected = half_of(cells.of("ane_hex"), cells.of("ane_result"))?;
    let why = || match op.starts_with("matmul") {
        true => format!("a row times a column is a reduction on the chip; {NO_RULE}"),
        false => "the rule should hold".into(),
    };
    Ok((format!("{op} {group} {}", cells.of("note")), same(found[0], expected, why)))
}

/// The result of an op of one or two numbers, by the name that the tables give it.
fn scalar(chip: anemone::Chip, op: &str, a: f16, b: Option<f16>) -> Result<f16, String> {
    let one = |x| tensor(&[1], &[x]);
    let zero = || one(f16::ZERO);
    let found = match (op, b) {
        ("max", Some(b)) => compute(chip, "maximum", &[("x", one(a)?), ("y", one(b)?)])?,
        ("min", Some(b)) => compute(chip, "minimum", &[("x", one(a)?), ("y", one(b)?)])?,
        (op, Some(b)) => compute(chip, op, &[("x", one(a)?), ("y", one(b)?)])?,
        ("swish", None) => compute(chip, "silu", &[("x", one(a)?)])?,
        // The functions themselves were measured, without what MIL's ops add.
        ("inverse" | "rsqrt" | "log", None) => compute(chip, op, &[("x", one(a)?), ("epsilon", zero()?)])?,
        (op, None) if op.starts_with("slice") => slice(chip, a)?,
        (op, None) => compute(chip, op, &[("x", one(a)?)])?,
    };
    found.first().copied().ok_or_else(|| format!("`{op}` gives nothing"))
}

/// A number through a slice that begins within the width.
fn slice(chip: anemone::Chip, a: f16) -> Result<Vec<f16>, String> {
    let x = tensor(&[1, 1, 1, 2], &[f16::ZERO, a])?;
    let bounds = (ints(&[0, 0, 0, 1])?, ints(&[1, 1, 1, 2])?);
    compute(chip, "slice_by_index", &[("x", x), ("begin", bounds.0), ("end", bounds.1)])
}

fn elementwise(cells: &Cells<'_>, chip: anemone::Chip) -> Result<(String, Outcome), String> {
    let op = cells.of("op");
    let a = half_of(cells.of("a_hex"), cells.of("a"))?;
    let b = match cells.of("b") {
        "" => None,
        b => Some(half_of(cells.of("b_hex"), b)?),
    };
    let expected = half_of(cells.of("ane_hex"), cells.of("ane_result"))?;
    let outcome = same(scalar(chip, op, a, b)?, expected, || cells.of("note").into());
    Ok((format!("{op} {a} {}", b.map_or(String::new(), |b| b.to_string())), outcome))
}

fn activations(cells: &Cells<'_>, chip: anemone::Chip) -> Result<(String, Outcome), String> {
    let op = cells.of("function");
    let x = half_of(cells.of("x_hex"), cells.of("x"))?;
    let found = scalar(chip, op, x, None)?;
    let printed = cells.of("ane_y");
    let outcome = match u16::from_str_radix(cells.of("ane_y_hex"), 16) {
        Ok(bits) => same(found, f16::from_bits(bits), || "the rule should hold".into()),
        // All digits that were printed.
        Err(_) if digits(found.to_f64(), printed)? => Outcome::Reproduced,
        Err(_) => Outcome::Missed(format!("{found} for {printed}; {}", cells.of("note"))),
    };
    Ok((format!("{op} {x}"), outcome))
}

/// Whether a number is one that is printed so.
fn digits(found: f64, printed: &str) -> Result<bool, String> {
    let expected: f64 = printed.parse().map_err(|e| format!("`{printed}`: {e}"))?;
    if found == expected || expected.is_infinite() {
        return Ok(found == expected);
    }
    let mantissa = printed.split(['e', 'E']).next().unwrap_or("");
    let exponent: i32 =
        printed.split(['e', 'E']).nth(1).map_or(Ok(0), str::parse).map_err(|e| format!("{e}"))?;
    let decimals = mantissa.split('.').nth(1).map_or(0, str::len) as i32;
    Ok((found - expected).abs() <= 0.5001 * 10f64.powi(exponent - decimals))
}

fn bytes(cells: &Cells<'_>, chip: anemone::Chip) -> Result<(String, Outcome), String> {
    let number = |column: &str| cells.of(column).parse::<usize>().map_err(|e| format!("`{column}`: {e}"));
    let (channels, rows, shift) = (number("N_cin")?, number("kh")?, number("k")?);
    let mode = cells.of("mode");
    let what = format!("{channels} channels, {rows} rows, 2^-{shift}, {mode}");
    if cells.of("ran_on_ane").starts_with("no") {
        return Ok((what, Outcome::Left("it did not run on the engine".into())));
    }
    let value: i8 = if matches!(mode, "neg" | "alt") { -128 } else { 127 };
    let weight = |i: usize| match mode {
        "alt" if i % rows % 2 == 1 => 127,
        "cancel" if i / rows >= channels / 2 => -127,
        _ => value,
    };
    let channel = |c: usize| {
        let rows: Vec<String> = (0..rows).map(|r| format!("[{}]", weight(c * rows + r))).collect();
        format!("[{}]", rows.join(", "))
    };
    let weights = (0..channels).map(channel).collect::<Vec<_>>().join(", ");
    let shape = format!("[1, {channels}, {rows}, 1]");
    let scaled = format!("scale = fp16(0x1p-{shift}), zero_point = int8(0)");
    let program = format!(
        "program(1.3) {{ func main<ios18>(tensor<fp16, {shape}> x) {{
            tensor<int8, {shape}> q = quantize(input = x, {scaled}, output_dtype = string(\"int8\"));
            tensor<fp16, {shape}> d = dequantize(input = q, {scaled});
            tensor<fp16, {shape}> w = constexpr_affine_dequantize()[quantized_data = tensor<int8, {shape}>([[{weights}]]), \
                {scaled}, axis = int32(0)];
            tensor<fp16, [1, 1, 1, 1]> y = conv(x = d, weight = w); }} -> (y); }}"
    );
    let program = anemone::text::parse(&program).map_err(|d| d.to_string())?;
    let report = anemone::verify::verify(&program, &Weights::none());
    let verified = report.verified.ok_or_else(|| report.diagnostics.to_string())?;
    let numbers = vec![f16::from_f64(f64::from(value) * 2f64.powi(-(shift as i32))); channels * rows];
    let x = Tensor::from_slice(&[1, channels, rows, 1], &numbers).map_err(|e| e.to_string())?;
    let expected = half_of(cells.of("ane_hex"), cells.of("ane_result"))?;
    let options = Options { numerics: Numerics::Chip(chip), ..Options::default() };
    for engine in [Engine::Reference, Engine::Cpu] {
        let run = || {
            let model = device::load(verified.main(), engine, &options)?;
            model.run(&[("x", x.clone())], &model.new_states()?)
        };
        let results = run().map_err(|e| e.to_string())?;
        let found = results.first().and_then(|(_, y)| y.as_tensor()?.as_slice::<f16>()?.first().copied());
        let found = found.ok_or("the program gives no halves")?;
        if let missed @ Outcome::Missed(_) = same(found, expected, || format!("on the engine {engine}")) {
            return Ok((what, missed));
        }
    }
    Ok((what, Outcome::Reproduced))
}

fn reductions(cells: &Cells<'_>, chip: anemone::Chip) -> Result<(String, Outcome), String> {
    let (op, input) = (cells.of("op"), cells.of("input"));
    let what = format!("{op} {input}");
    let left = |why: &str| Ok((what.clone(), Outcome::Left(why.into())));
    let sum = |numbers: &[f16]| -> Result<f16, String> {
        let axes = ("axes", ints(&[1])?);
        Ok(compute(chip, "reduce_sum", &[("x", tensor(&[1, numbers.len()], numbers)?), axes])?[0])
    };
    let numbers = |text: &str| text.split(',').map(half).collect::<Result<Vec<_>, _>>();
    let bracketed = |text: &str| text.trim_matches(['[', ']']).to_string();
    match (op, cells.of("kind")) {
        ("reshape+reduce_sum", "point") => {
            let total: f64 =
                input.trim_start_matches("sum ").parse().map_err(|e| format!("`{input}`: {e}"))?;
            let terms: Vec<f16> =
                (0..8).map(|i| f16::from_f64(if i == 0 { total - 1000.0 } else { 1000.0 / 7.0 })).collect();
            // Eight whole numbers of this sum.
            let rest: f64 = terms[1..].iter().map(|t| t.to_f64().round()).sum();
            let whole: Vec<f16> = terms[1..]
                .iter()
                .map(|t| f16::from_f64(t.to_f64().round()))
                .chain([f16::from_f64(total - rest)])
                .collect();
            let expected = half(cells.of("ane_result"))?;
            Ok((what, same(sum(&whole)?, expected, || NO_RULE.into())))
        }
        ("sum of 16000 ones", _) => {
            Ok((what, same(sum(&vec![f16::ONE; 16000])?, half(cells.of("ane_result"))?, || NO_RULE.into())))
        }
        ("sum", "point") if input.contains("]x16") => {
            let first = input.split("]x16").next().unwrap_or("");
            let triple = numbers(&bracketed(&first.replace('+', "")))?;
            let all: Vec<f16> = (0..16).flat_map(|_| triple.clone()).collect();
            Ok((what, same(sum(&all)?, half(cells.of("ane_result"))?, || NO_RULE.into())))
        }
        ("softmax", "point") if input.starts_with('[') => {
            let (x, expected) = (numbers(&bracketed(input))?, numbers(&bracketed(cells.of("ane_result")))?);
            let found = compute(chip, "softmax", &[("x", tensor(&[1, x.len()], &x)?)])?;
            let missed = found.iter().zip(&expected).find(|(a, b)| a.to_bits() != b.to_bits());
            Ok((what, missed.map_or(Outcome::Reproduced, |(a, b)| same(*a, *b, || NO_RULE.into()))))
        }
        (op, "point") if op.starts_with("slice") => {
            let kept = slice(chip, f16::from_f64(4094.0))?[0].to_f64() == 4094.0;
            let beyond = slice(chip, f16::from_f64(4096.0))?[0].to_f64();
            let expected = if cells.of("ane_result").starts_with("clamp") { f64::INFINITY } else { 4096.0 };
            let right = kept && beyond == expected;
            Ok((
                what,
                if right { Outcome::Reproduced } else { Outcome::Missed(format!("4096 becomes {beyond}")) },
            ))
        }
        (_, "digest") => left("it stands in digests.tsv"),
        (_, "statistic") => left("shape and numbers are not published"),
        _ => {
            left(if cells.of("note").is_empty() { "its numbers are not published" } else { cells.of("note") })
        }
    }
}
