//! `cargo xtask silicon cost`: predicted times beside measured ones.

mod draft;
mod kinds;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anemone::Chip;
use anemone::bundle::Weights;
use anemone::chip::Rates;
use anemone::place::cost::{Boundary, Cost};
use anemone::{text, verify};
use draft::Draft;

/// A line of a table of costs.
#[derive(Debug, Clone)]
struct Row {
    op: String,
    config: String,
    chip: String,
    backend: String,
    value: String,
    unit: String,
    kind: String,
}

/// What the figure of a row is the time of.
enum Timed {
    /// A call of the program.
    Call(Draft, Boundary),
    /// One more layer in a chain of them.
    Layer(Box<dyn Fn(usize) -> Draft>),
    /// The compilation of the program.
    Compile(Draft),
}

/// A row with what the model says of it.
struct Judged {
    row: Row,
    machine: String,
    measured: f64,
    predicted: f64,
}

impl Judged {
    fn error(&self) -> f64 {
        self.predicted / self.measured - 1.0
    }
}

/// How a machine came out.
struct Summary {
    rows: usize,
    median: f64,
    /// Spearman's, when there are enough rows to rank.
    rank: Option<f64>,
}

/// The least number of rows whose order says something.
const RANKED: usize = 5;

/// Goes through the tables of a folder, and prints what came of them.
pub(crate) fn run(folder: &Path, brief: bool) -> Result<bool, String> {
    let (judged, apart) = judge(folder)?;
    if !brief {
        println!("measured us  predicted us  error  machine  row");
        for j in &judged {
            println!(
                "{:11.2}  {:12.2}  {:+4.0} %  {:7}  {} | {}",
                j.measured * 1e6,
                j.predicted * 1e6,
                j.error() * 100.0,
                j.machine,
                j.row.op,
                j.row.config
            );
        }
        println!();
    }
    println!("machine          rows  median error  rank correlation");
    for (machine, s) in summaries(&judged) {
        let rank = s.rank.map_or_else(|| "-".to_string(), |r| format!("{r:.3}"));
        println!("{machine:15}  {:4}  {:10.1} %  {rank:>16}", s.rows, s.median * 100.0);
    }
    let all = judged.len() + apart.values().sum::<usize>();
    println!("\n{} of {all} rows are times of programs; the others:", judged.len());
    for (reason, count) in &apart {
        println!("{count:5}  {reason}");
    }
    Ok(true)
}

/// Every row of the tables: predicted, or counted by the reason why no program stands for it.
fn judge(folder: &Path) -> Result<(Vec<Judged>, BTreeMap<String, usize>), String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .map_err(|e| format!("{}: {e}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|p| {
            let name = p.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("cost") && name.ends_with(".tsv")
        })
        .collect();
    names.sort();
    let (mut judged, mut apart) = (Vec::new(), BTreeMap::new());
    for path in &names {
        let table = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        for row in rows(&table) {
            match kinds::timed(&row) {
                Ok((timed, measured)) if measured > 0.0 && measured.is_finite() => {
                    match predict(row, timed, measured) {
                        Ok(row) => judged.push(row),
                        Err(reason) => *apart.entry(reason).or_default() += 1,
                    }
                }
                Ok(_) => *apart.entry("not a time".to_string()).or_default() += 1,
                Err(reason) => *apart.entry(reason.to_string()).or_default() += 1,
            }
        }
    }
    Ok((judged, apart))
}

/// The lines of a table: after those that start with `#` comes one with the names of the columns.
fn rows(table: &str) -> impl Iterator<Item = Row> {
    table.lines().filter(|l| !l.starts_with('#')).skip(1).map(|line| {
        let mut cells = line.split('\t').map(str::to_string);
        let mut next = || cells.next().unwrap_or_default();
        Row {
            op: next(),
            config: next(),
            chip: next(),
            backend: next(),
            value: next(),
            unit: next(),
            kind: next(),
        }
    })
}

fn predict(row: Row, timed: Timed, measured: f64) -> Result<Judged, String> {
    let rates = rates(&row.chip).ok_or_else(|| format!("there is no machine `{}`", row.chip))?;
    let of = |draft: &Draft, boundary| cost(draft, rates, boundary);
    let mut machine = row.chip.clone();
    let predicted = match timed {
        Timed::Call(draft, boundary) => of(&draft, boundary)?.seconds(),
        Timed::Layer(chain) => {
            let engine = |layers| of(&chain(layers), Boundary::Surfaces).map(|c| c.engine);
            engine(3)? - engine(2)?
        }
        Timed::Compile(draft) => {
            machine = format!("{machine} compiler");
            of(&draft, Boundary::Surfaces)?.compile
        }
    };
    Ok(Judged { row, machine, measured, predicted })
}

/// The machine of a row: by its name, by that of its chip, or by that of its compiler's target.
fn rates(name: &str) -> Option<&'static Rates> {
    let plain = || name.split_whitespace().next().and_then(Rates::find);
    let target = || Chip::ALL.into_iter().find(|c| c.architecture() == name).map(Rates::of);
    // h18 is the engine of the M6, of which there is one: what the compiler does for it, it does for h17g.
    Rates::find(name).or_else(target).or_else(|| (name == "h18").then(|| Rates::of(Chip::M5))).or_else(plain)
}

fn cost(draft: &Draft, rates: &'static Rates, boundary: Boundary) -> Result<Cost, String> {
    let refused = |all: &anemone::source::Diagnostics| {
        let first = all.iter().next().map_or("nothing is said", |d| &d.message);
        format!("a program that is refused: {first}")
    };
    let program = text::parse(&draft.text()).map_err(|e| refused(&e))?;
    let report = verify::verify(&program, &Weights::none());
    let verified = report.verified.ok_or_else(|| refused(&report.diagnostics))?;
    Ok(Cost::of(verified.main(), rates, boundary))
}

/// The operations of a program, a multiply-add being two.
fn operations(draft: &Draft) -> Option<f64> {
    let cost = cost(draft, Rates::of(Chip::M1), Boundary::Surfaces).ok()?;
    Some(2.0 * cost.multiply_adds() as f64).filter(|&n| n > 0.0)
}

/// How each machine came out.
fn summaries(judged: &[Judged]) -> BTreeMap<String, Summary> {
    let mut machines: BTreeMap<&str, Vec<&Judged>> = BTreeMap::new();
    for j in judged {
        machines.entry(&j.machine).or_default().push(j);
    }
    let summary = |rows: Vec<&Judged>| {
        let mut errors: Vec<f64> = rows.iter().map(|j| j.error().abs()).collect();
        errors.sort_by(f64::total_cmp);
        let middle = errors.len() / 2;
        let median = if errors.len().is_multiple_of(2) {
            (errors[middle - 1] + errors[middle]) / 2.0
        } else {
            errors[middle]
        };
        let rank = (rows.len() >= RANKED).then(|| {
            let of = |f: fn(&Judged) -> f64| ranks(&rows.iter().map(|&j| f(j)).collect::<Vec<_>>());
            correlation(&of(|j| j.measured), &of(|j| j.predicted))
        });
        Summary { rows: rows.len(), median, rank }
    };
    machines.into_iter().map(|(machine, rows)| (machine.to_string(), summary(rows))).collect()
}

/// The place of each number among all, equal ones sharing the middle of theirs.
fn ranks(numbers: &[f64]) -> Vec<f64> {
    numbers
        .iter()
        .map(|n| {
            let less = numbers.iter().filter(|m| *m < n).count() as f64;
            let equal = numbers.iter().filter(|m| *m == n).count() as f64;
            less + (equal - 1.0) / 2.0
        })
        .collect()
}

/// Pearson's coefficient.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(&x, &y)| f(x - ma, y - mb)).sum::<f64>();
    sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The machines with enough rows stay near what was measured, and in its order.
    #[test]
    fn predictions_are_near_what_was_measured() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/silicon");
        let (judged, _) = judge(&folder).unwrap();
        let mut held = 0;
        for (machine, s) in summaries(&judged).iter().filter(|(_, s)| s.rows >= 3) {
            held += 1;
            assert!(s.median <= 0.15, "{machine}: {:.3}", s.median);
            assert!(s.rank.is_none_or(|r| r >= 0.95), "{machine}: {:?}", s.rank);
        }
        assert!(held >= 7 && judged.len() >= 150, "{held} machines, {} rows", judged.len());
    }

    #[test]
    fn ranks_and_their_correlation() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [2.5, 0.0, 2.5, 1.0]);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(correlation(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]), 1.0));
        assert!(close(correlation(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), -1.0));
    }
}
