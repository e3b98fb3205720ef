//! `anemone bisect`.

use std::io::Write;

use anemone::chip::Numerics;
use anemone::device::{self, Departure, Options, compare};
use anemone::source::escape;
use anemone::types::Tensor;
use serde::Serialize;

use crate::failure::{Blame, Failure};
use crate::inputs::{NamedFile, gather};
use crate::model::{Model, refused_by_engine};
use crate::statistics::short;
use crate::table::{Align, Table};
use crate::terminal::Terminal;

/// Find the first op whose result on a chip departs from the exact one, and say why
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  anemone bisect model.mlpackage --numerics m4 -i image=cat.npy
  anemone bisect model.mlpackage --numerics m1 --all --json

Each op is computed twice on the arguments that it has on the chip: with the chip's arithmetic, and with IEEE's. \
The exit code is 1 when one departs.")]
pub(crate) struct Args {
    /// A .mil file, a .mlmodelc or .mlpackage folder, or - for MIL text on the standard input
    #[arg(value_name = "PATH")]
    path: String,
    /// The function [default: the model's default, `main`, or the first]
    #[arg(short, long, value_name = "FUNCTION")]
    function: Option<String>,
    /// An input; those that are not given are seeded random
    #[arg(short, long = "input", value_name = "NAME=FILE.npy")]
    inputs: Vec<NamedFile>,
    /// The seed of the inputs that are not given
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The chip whose arithmetic to follow, m1 to m6
    #[arg(long, value_name = "CHIP", default_value = "m4")]
    numerics: Numerics,
    /// How far a result may be, relative to its largest magnitude
    #[arg(long, value_name = "T", default_value_t = 0.02)]
    tolerance: f64,
    /// Show the ranges of all ops
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    path: &'a str,
    function: &'a str,
    numerics: String,
    tolerance: f64,
    /// The first op that departs; null if none does.
    first: Option<Row<'a>>,
    /// All ops, where they are asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ops: Vec<Row<'a>>,
}

#[derive(Clone, Serialize)]
struct Row<'a> {
    op: &'a str,
    name: &'a str,
    elements: usize,
    /// The largest finite magnitude, what sums could have reached, and what is finite on the chip.
    largest: f64,
    bound: Option<f64>,
    limit: f64,
    distance: f64,
    overflown: usize,
    vanished: usize,
    read_as_numbers: usize,
    cause: Option<&'static str>,
}

fn row(departure: &Departure, tolerance: f64) -> Row<'_> {
    Row {
        op: departure.op,
        name: &departure.name,
        elements: departure.elements,
        largest: departure.largest,
        bound: departure.bound,
        limit: departure.limit(),
        distance: departure.distance,
        overflown: departure.overflown,
        vanished: departure.vanished,
        read_as_numbers: departure.read_as_numbers,
        cause: departure.exceeds(tolerance).then(|| departure.cause().sentence()),
    }
}

pub(crate) fn run(args: &Args, terminal: &mut Terminal) -> Result<(), Failure> {
    let Numerics::Chip(chip) = args.numerics else {
        return Err(Failure::world("`bisect` compares a chip with ieee; use `--numerics m1` to `m6`"));
    };
    let (model, verified) = Model::open_verified(&args.path, terminal)?;
    let function = model.function(&verified, args.function.as_deref())?;
    let inputs = gather(&model, function, &args.inputs, args.seed)?;
    let named: Vec<(&str, Tensor)> = inputs.iter().map(|i| (i.name.as_str(), i.tensor.clone())).collect();
    let progress = terminal.progress(&format!("running {} as on {chip}", function.name), None);
    let found = device::departures(function, chip, &named, &Options::default());
    drop(progress);
    let found = found.map_err(|e| refused_by_engine(&e.into(), model.source.as_ref(), terminal))?;
    let first = found.iter().find(|departure| departure.exceeds(args.tolerance));
    if args.json {
        let all = if args.all { &found[..] } else { &[] };
        terminal.json(&Report {
            path: &args.path,
            function: &function.name,
            numerics: args.numerics.to_string(),
            tolerance: args.tolerance,
            first: first.map(|departure| row(departure, args.tolerance)),
            ops: all.iter().map(|departure| row(departure, args.tolerance)).collect(),
        })?;
    } else {
        if args.all {
            ranges(&found, terminal)?;
        }
        match first {
            Some(departure) => tell(departure, chip, function, terminal)?,
            None => writeln!(
                terminal,
                "no op departs by more than {} of its largest result on {chip}: {} were compared",
                args.tolerance,
                found.len()
            )?,
        }
    }
    if first.is_some() { Err(Failure::Told(Blame::Program)) } else { Ok(()) }
}

/// Says which op departs, where, by how much and why.
fn tell(
    departure: &Departure,
    chip: anemone::Chip,
    function: &anemone::verify::Function,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    writeln!(
        terminal,
        "`{}` ({}) is the first op that departs on {chip}",
        escape(&departure.name),
        departure.op
    )?;
    if let Some((at, chips, ieee)) = departure.worst {
        let shape = function.values.iter().find(|v| v.name == departure.name).and_then(|v| v.ty.as_tensor());
        let place = compare::position(&shape.and_then(|t| t.shape.known()).unwrap_or_default(), at);
        writeln!(terminal, "  at {place:?}: {} on {chip}, {} with ieee", short(chips), short(ieee))?;
    }
    let counts = [
        (departure.overflown, "infinite on the chip alone"),
        (departure.vanished, "zero on the chip alone"),
        (departure.read_as_numbers, "finite on the chip alone"),
    ];
    for (count, what) in counts.into_iter().filter(|&(count, _)| count > 0) {
        writeln!(terminal, "  {count} of {} elements are {what}", departure.elements)?;
    }
    writeln!(
        terminal,
        "  the largest result is {}, finite results end at {}; others are off by {} of it at most",
        short(departure.largest),
        short(departure.limit()),
        short(departure.distance)
    )?;
    if let Some(bound) = departure.bound {
        writeln!(terminal, "  with these weights, sums of such activations can reach {}", short(bound))?;
    }
    writeln!(terminal, "  {}", departure.cause().sentence())?;
    Ok(())
}

/// The ranges of all ops.
fn ranges(found: &[Departure], terminal: &mut Terminal) -> Result<(), Failure> {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("op", Left),
        ("name", Left),
        ("largest", Right),
        ("bound", Right),
        ("limit", Right),
        ("off by", Right),
        ("infinite", Right),
        ("vanished", Right),
    ]);
    for departure in found {
        table.row([
            departure.op.to_string(),
            departure.name.to_string(),
            short(departure.largest),
            departure.bound.map_or(String::new(), short),
            short(departure.limit()),
            short(departure.distance),
            departure.overflown.to_string(),
            departure.vanished.to_string(),
        ]);
    }
    Ok(table.print(terminal)?)
}
