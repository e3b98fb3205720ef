//! The arithmetic of chips against what was measured: of each table how many rows come out, and why the others do not.

mod digests;
mod random;
mod statistics;
mod tables;
mod ziggurat;

use std::collections::BTreeMap;
use std::path::Path;

use anemone::Chip;
use anemone::mil::Opset;
use anemone::ops;
use anemone::types::{DType, Datum, Tensor, f16};

/// What came of a row.
pub(super) enum Outcome {
    /// The same bits, or all printed digits.
    Reproduced,
    /// Another result, and why.
    Missed(String),
    /// There is nothing to compare, and why.
    Left(String),
}

/// A row that was compared.
pub(super) struct Row {
    /// None of an engine that is none of m1 to m6.
    pub(super) chip: Option<Chip>,
    /// What it measures, in short.
    pub(super) what: String,
    pub(super) outcome: Outcome,
}

impl Row {
    /// The chip's name.
    fn chip(&self) -> &'static str {
        self.chip.map_or("another chip", |chip| chip.name())
    }
}

/// Prints reproduced / total for each table and chip, then each row that is not reproduced. False when one is missed whose
/// rule is known to hold.
pub(super) fn run(folder: &Path, digests: bool) -> Result<bool, String> {
    let mut fine = true;
    let last: Option<(&str, tables::Compare)> = digests.then_some(("digests.tsv", digests::compare));
    for (name, compare) in tables::TABLES.into_iter().chain(last) {
        // A folder may hold some of the tables.
        match std::fs::read_to_string(folder.join(name)) {
            Ok(text) => fine &= report(name, compare(&text)?),
            Err(e) => println!("{name}\n  not read: {e}"),
        }
    }
    Ok(fine)
}

/// Prints what came of a table; false when a row was missed.
fn report(name: &str, rows: Vec<Row>) -> bool {
    let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for row in &rows {
        let count = counts.entry(row.chip()).or_default();
        match row.outcome {
            Outcome::Reproduced => count[0] += 1,
            Outcome::Missed(_) => count[1] += 1,
            Outcome::Left(_) => count[2] += 1,
        }
    }
    println!("{name}");
    for (chip, [right, missed, left]) in counts {
        let rest = if left > 0 { format!(", {left} not compared") } else { String::new() };
        println!("  {chip}: {right} / {} reproduced{rest}", right + missed);
    }
    let mut missed = false;
    for row in rows {
        match row.outcome {
            Outcome::Reproduced => {}
            Outcome::Missed(ref why) => {
                missed = true;
                println!("    {}: {}: {why}", row.chip(), row.what);
            }
            Outcome::Left(ref why) => println!("    {}: {} (not compared): {why}", row.chip(), row.what),
        }
    }
    !missed
}

/// A row of a table, whose cells are found by the name of their column.
pub(super) struct Cells<'t> {
    heading: &'t [&'t str],
    cells: Vec<&'t str>,
}

impl<'t> Cells<'t> {
    /// The cell in this column; nothing where the row is short.
    pub(super) fn of(&self, column: &str) -> &'t str {
        let at = self.heading.iter().position(|&name| name == column);
        at.and_then(|at| self.cells.get(at)).copied().unwrap_or("")
    }

    /// The chip of the row: the first of a list, without what kind of it.
    pub(super) fn chip(&self) -> Option<Chip> {
        self.of("chip").get(..2)?.parse().ok()
    }
}

impl Cells<'_> {
    /// The cells that say what a row is about.
    pub(super) fn line(&self) -> String {
        self.cells.iter().skip(1).take(4).copied().collect::<Vec<_>>().join(" ").chars().take(80).collect()
    }
}

/// The rows of a table below its heading; lines that start with `#` are comments.
pub(super) fn rows<R>(
    text: &str,
    mut each: impl FnMut(&Cells<'_>) -> Result<Option<R>, String>,
) -> Result<Vec<R>, String> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let heading: Vec<&str> = lines.next().ok_or("the table has no heading")?.split('\t').collect();
    let mut found = Vec::new();
    for line in lines {
        let cells = Cells { heading: &heading, cells: line.split('\t').collect() };
        found.extend(each(&cells)?);
    }
    Ok(found)
}

/// A half of a decimal number.
pub(super) fn half(text: &str) -> Result<f16, String> {
    text.trim().parse::<f64>().map(f16::from_f64).map_err(|e| format!("`{text}`: {e}"))
}

/// A half of its bits in hexadecimal digits, or else of a decimal number.
pub(super) fn half_of(hex: &str, decimal: &str) -> Result<f16, String> {
    match u16::from_str_radix(hex, 16) {
        Ok(bits) => Ok(f16::from_bits(bits)),
        Err(_) => half(decimal),
    }
}

/// A tensor of halves.
pub(super) fn tensor(shape: &[usize], halves: &[f16]) -> Result<Datum, String> {
    Tensor::from_slice(shape, halves).map(Datum::from).map_err(|e| e.to_string())
}

/// Whole numbers, as arguments of ops are.
pub(super) fn ints(values: &[i64]) -> Result<Datum, String> {
    Tensor::from_i64s(DType::Int32, &[values.len()], values).map(Datum::from).map_err(|e| e.to_string())
}

/// The first result of an op on a chip.
pub(super) fn compute(chip: Chip, op: &str, arguments: &[(&str, Datum)]) -> Result<Vec<f16>, String> {
    let op = ops::find(op).ok_or_else(|| format!("there is no op `{op}`"))?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let results =
        ops::silicon::evaluate(op, Opset::Ios18, arguments, chip, threads).map_err(|f| f.to_string())?;
    let first = results.first().and_then(Datum::as_tensor).and_then(Tensor::as_slice::<f16>);
    first.map(<[f16]>::to_vec).ok_or_else(|| format!("`{}` gives no halves", op.name))
}

/// Compares a result with the bits that are expected.
pub(super) fn same(found: f16, expected: f16, otherwise: impl FnOnce() -> String) -> Outcome {
    if found.to_bits() == expected.to_bits() {
        return Outcome::Reproduced;
    }
    Outcome::Missed(format!("{found} for {expected}; {}", otherwise()))
}
