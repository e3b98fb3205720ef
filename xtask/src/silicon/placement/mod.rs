//! Where ops run, and what is refused, against the table of what was seen.

mod answer;
mod condition;
mod context;
mod held_out;
mod programs;
mod validator;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use answer::Answer;

/// How many rows agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) agree: usize,
    pub(super) total: usize,
}

/// What came of a table.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// By chip and kind of evidence.
    pub(super) counts: BTreeMap<(String, String), Count>,
    /// Rows that disagree, with the reason.
    pub(super) disagreements: Vec<String>,
    /// How many rows are about no op or limit of a chip, by the reason.
    pub(super) apart: BTreeMap<String, usize>,
}

impl Comparison {
    /// All rows together.
    pub(super) fn total(&self) -> Count {
        self.counts
            .values()
            .fold(Count::default(), |a, c| Count { agree: a.agree + c.agree, total: a.total + c.total })
    }

    /// The rows of each chip.
    pub(super) fn by_chip(&self) -> BTreeMap<&str, Count> {
        let mut chips: BTreeMap<&str, Count> = BTreeMap::new();
        for ((chip, _), c) in &self.counts {
            let of = chips.entry(chip).or_default();
            (of.agree, of.total) = (of.agree + c.agree, of.total + c.total);
        }
        chips
    }
}

/// A row of the table.
pub(super) struct Row<'a> {
    pub(super) chip: &'a str,
    pub(super) route: &'a str,
    pub(super) op: &'a str,
    pub(super) dtype: &'a str,
    pub(super) condition: &'a str,
    pub(super) outcome: &'a str,
    pub(super) limit: &'a str,
    pub(super) kind: &'a str,
}

impl<'a> Row<'a> {
    /// Cells that are missing at the end are empty; none of a row without an outcome.
    fn read(cells: &[&'a str]) -> Option<Self> {
        let &[chip, route, op, dtype, condition, outcome, ref rest @ ..] = cells else { return None };
        let (limit, kind) = (rest.first().unwrap_or(&""), rest.get(2).unwrap_or(&""));
        Some(Self { chip, route, op, dtype, condition, outcome, limit, kind })
    }
}

/// Compares every row of a table.
pub(super) fn compare(table: &str) -> Comparison {
    let mut comparison = Comparison::default();
    for cells in super::cells(table).skip(1) {
        let Some(row) = Row::read(&cells) else {
            *comparison.apart.entry("a row without an outcome".to_string()).or_default() += 1;
            continue;
        };
        match answer::answer(&row) {
            Answer::Apart(why) => *comparison.apart.entry(why).or_default() += 1,
            Answer::Compared(chip, result) => {
                let kind = row.kind.split(" (").next().unwrap_or_default().to_string();
                let count = comparison.counts.entry((chip, kind)).or_default();
                count.total += 1;
                match result {
                    Ok(()) => count.agree += 1,
                    Err(why) => comparison.disagreements.push(format!(
                        "{} | {} | {} | {} | {}: {why}",
                        row.chip, row.route, row.op, row.condition, row.outcome
                    )),
                }
            }
        }
    }
    comparison
}

/// Compares placement.tsv in a folder, and prints what came of it.
pub(super) fn run(folder: &Path) -> Result<bool, String> {
    let path = folder.join("placement.tsv");
    let table = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let c = compare(&table);
    let percent = |c: &Count| 100.0 * c.agree as f64 / c.total.max(1) as f64;
    println!("{:<28} {:<26} {:>6} {:>6}", "chip", "kind", "agree", "of");
    for ((chip, kind), count) in &c.counts {
        println!("{chip:<28} {kind:<26} {:>6} {:>6} {:>6.1} %", count.agree, count.total, percent(count));
    }
    println!();
    for (chip, count) in c.by_chip() {
        println!("{chip:<28} {:<26} {:>6} {:>6} {:>6.1} %", "all", count.agree, count.total, percent(&count));
    }
    let total = c.total();
    println!("{:<28} {:<26} {:>6} {:>6} {:>6.1} %", "all", "all", total.agree, total.total, percent(&total));
    let (left_out, alone, open) = held_out::leave_out(&table);
    println!(
        "\nthe matrix of ops and chips, each row left out and filled in from the rows of the other chips: {} of {} ({:.1} %), {alone} without another row",
        left_out.agree,
        left_out.total,
        percent(&left_out)
    );
    open.iter().for_each(|o| println!("- {o}"));
    let models = folder.join("placement_ctx.tsv");
    if let Ok(models) = fs::read_to_string(models) {
        let (all, new, wrong) = context::compare(&models, &table)?;
        println!(
            "\nthe op between others (placement_ctx.tsv), on the engine or not: {} of {}; of names without a row in placement.tsv {} of {}",
            all.agree, all.total, new.agree, new.total
        );
        wrong.iter().for_each(|w| println!("- {w}"));
    }
    println!("\nnot compared, since they are about no op or limit of a chip:");
    for (why, n) in &c.apart {
        println!("{n:>6} {why}");
    }
    println!("\ndisagreements:");
    for d in &c.disagreements {
        println!("- {d}");
    }
    Ok(total.agree == total.total)
}

#[cfg(test)]
mod tests;
