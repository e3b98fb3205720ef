//! `anemone verify`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anemone::device::compare::{Comparison, Incomparable, Tolerance, compare, position};
use anemone::device::{Options, States};
use anemone::source::{escape, suggest};
use anemone::types::{Datum, Tensor};
use anemone::verify::{Function, Verified};
use serde::Serialize;

use crate::case::{Case, Planned};
use crate::engine::{self, Chosen, EngineArgs};
use crate::failure::{Blame, Failure};
use crate::inputs::{NamedFile, from_file};
use crate::model::{Model, refused_by_engine};
use crate::npy;
use crate::statistics::{duration, element, short};
use crate::table::{Align, Table};
use crate::terminal::{Terminal, style};

/// Run a function, and compare what comes out with what is expected
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("expectation").required(true).args(["expected", "case"]))]
#[command(after_help = "\
Examples:
  anemone verify model.mlpackage -i x=x.npy -e y=y.npy
  anemone verify model.mlmodelc -i x=x.npy -e y=y.npy --rtol 1e-2 --device reference
  anemone verify llm.mlpackage --case case.json --json

A number passes when it is within ATOL + RTOL times the largest magnitude that is expected. RTOL is 2e-3 \
for a function that computes in fp16 and 1e-4 for others, ATOL is 0. Whole numbers, bools and strings must be equal.

A case is a recorded run of several steps; states carry on from step to step.")]
pub(crate) struct Args {
    /// A .mil file, a .mlmodelc or .mlpackage folder, or - for MIL text on the standard input
    #[arg(value_name = "PATH")]
    path: String,
    /// The function [default: the model's default, `main`, or the first]
    #[arg(short, long, value_name = "FUNCTION", conflicts_with = "case")]
    function: Option<String>,
    /// An input
    #[arg(short, long = "input", value_name = "NAME=FILE.npy", conflicts_with = "case")]
    inputs: Vec<NamedFile>,
    /// What an output, or a state after the run, is expected to be
    #[arg(short, long = "expect", value_name = "NAME=FILE.npy", conflicts_with = "case")]
    expected: Vec<NamedFile>,
    /// A recorded run
    #[arg(long, value_name = "CASE.json")]
    case: Option<PathBuf>,
    /// How far a number may be off, relative to the largest magnitude expected
    #[arg(long, value_name = "R", value_parser = tolerance)]
    rtol: Option<f64>,
    /// How far a number may be off in any case
    #[arg(long, value_name = "A", value_parser = tolerance)]
    atol: Option<f64>,
    #[command(flatten)]
    engine: EngineArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(t) if t >= 0.0 && t.is_finite() => Ok(t),
        _ => Err("it is not a number from 0 on".into()),
    }
}

#[derive(Serialize)]
struct Report<'a> {
    path: &'a str,
    device: &'static str,
    ok: bool,
    steps: Vec<StepRow>,
}

#[derive(Serialize)]
struct StepRow {
    function: String,
    ok: bool,
    rtol: f64,
    atol: f64,
    ms: f64,
    outputs: Vec<OutputRow>,
    /// What is expected of outputs that the function does not have.
    skipped: Vec<String>,
}

/// How an output, or a state after the run, compares.
#[derive(Serialize)]
struct OutputRow {
    name: String,
    state: bool,
    ok: bool,
    elements: usize,
    max_abs: Option<f64>,
    rel: Option<f64>,
    ulp: Option<u64>,
    cosine: Option<f64>,
    nan: Census,
    inf: Census,
    /// How many elements are outside the tolerance.
    outside: usize,
    first_bad: Option<FirstBad>,
    /// Why nothing could be compared.
    error: Option<String>,
}

#[derive(Default, Serialize)]
struct Census {
    found: usize,
    expected: usize,
}

#[derive(Serialize)]
struct FirstBad {
    index: Vec<usize>,
    found: String,
    expected: String,
}

/// A function that is loaded, with its states: they carry on from step to step.
struct Ready<'v> {
    function: &'v Function,
    loaded: engine::Ready,
    states: States,
}

pub(crate) fn run(args: &Args, terminal: &mut Terminal) -> Result<(), Failure> {
    let (engine, options) = (args.engine.engine()?, args.engine.options());
    let (case, steps) = match &args.case {
        Some(path) => {
            let (case, steps) = Case::read(path)?;
            (Some(case), steps)
        }
        None => (None, vec![]),
    };
    let (model, verified) = Model::open_verified(&args.path, terminal)?;
    let steps = if case.is_some() { steps } else { vec![given(args, &model, &verified)?] };
    let progress =
        terminal.progress(&format!("verifying {} on {engine}", args.path), Some(steps.len() as u64));
    let mut ready: Vec<Ready<'_>> = Vec::new();
    let mut rows = Vec::new();
    for step in &steps {
        let function = model.function(&verified, step.function.as_deref())?;
        let at = match ready.iter().position(|r| r.function.name == function.name) {
            Some(at) => at,
            None => {
                ready.push(load(function, &verified, &engine, &options, &model, terminal)?);
                ready.len() - 1
            }
        };
        let mut tolerance = match &case {
            Some(case) => case.tolerance(function)?,
            None => Tolerance::of(function),
        };
        tolerance.relative = args.rtol.unwrap_or(tolerance.relative);
        tolerance.absolute = args.atol.unwrap_or(tolerance.absolute);
        rows.push(verify_step(&ready[at], step, tolerance, &model, terminal)?);
        progress.step();
    }
    drop(progress);
    let ok = rows.iter().all(|r| r.ok);
    if args.json {
        terminal.json(&Report { path: &args.path, device: engine.name(), ok, steps: rows })?;
    } else {
        print(&rows, &engine, ok, terminal)?;
    }
    if ok { Ok(()) } else { Err(Failure::Told(Blame::Program)) }
}

/// The one step that the arguments describe. What is expected may be an output or a state.
fn given(args: &Args, model: &Model, verified: &Verified) -> Result<Planned, Failure> {
    let function = model.function(verified, args.function.as_deref())?;
    let is_state = |f: &NamedFile| function.states().any(|s| s.name == *f.name);
    let (states, outputs): (Vec<_>, Vec<_>) = args.expected.iter().cloned().partition(is_state);
    for f in &outputs {
        let names: Vec<&str> = function.outputs().chain(function.states()).map(|v| &*v.name).collect();
        if !names.contains(&f.name.as_str()) {
            return Err(Failure::world(match suggest(&f.name, names.iter().copied()) {
                Some(near) => {
                    format!("`{}` has no output `{}`; did you mean `{near}`?", function.name, f.name)
                }
                None => {
                    format!("`{}` has no output `{}`; it has `{}`", function.name, f.name, names.join("`, `"))
                }
            }));
        }
    }
    Ok(Planned { function: Some(function.name.to_string()), inputs: args.inputs.clone(), outputs, states })
}

fn load<'v>(
    function: &'v Function,
    verified: &Verified,
    engine: &Chosen,
    options: &Options,
    model: &Model,
    terminal: &mut Terminal,
) -> Result<Ready<'v>, Failure> {
    let loaded = engine.load(function, verified, model, options).and_then(|loaded| {
        let states = loaded.new_states()?;
        Ok(Ready { function, loaded, states })
    });
    loaded.map_err(|e| refused_by_engine(&e, model.source.as_ref(), terminal))
}

fn verify_step(
    ready: &Ready<'_>,
    step: &Planned,
    tolerance: Tolerance,
    model: &Model,
    terminal: &mut Terminal,
) -> Result<StepRow, Failure> {
    let inputs = step
        .inputs
        .iter()
        .map(|f| from_file(ready.function, &f.name, &f.file).map(|i| i.tensor))
        .collect::<Result<Vec<Tensor>, _>>()?;
    let named: Vec<(&str, Tensor)> = step.inputs.iter().map(|f| f.name.as_str()).zip(inputs).collect();
    let start = Instant::now();
    let found = ready
        .loaded
        .run(&named, &ready.states)
        .map_err(|e| refused_by_engine(&e, model.source.as_ref(), terminal))?;
    let ms = start.elapsed().as_secs_f64() * 1e3;
    let mut outputs = Vec::new();
    let mut skipped = Vec::new();
    for f in &step.outputs {
        match found.iter().find(|(name, _)| *name == *f.name) {
            Some((_, datum)) => outputs.push(compare_with(f, false, datum, tolerance)?),
            None => skipped.push(f.name.clone()),
        }
    }
    for f in &step.states {
        match ready.states.get(f.name.as_str()) {
            Some(state) => outputs.push(compare_with(f, true, &Datum::State(state.clone()), tolerance)?),
            None => skipped.push(f.name.clone()),
        }
    }
    if outputs.is_empty() {
        return Err(Failure::world(format!(
            "nothing is expected of `{}` that it has: its outputs are not `{}`",
            ready.function.name,
            skipped.join("`, `")
        )));
    }
    Ok(StepRow {
        function: ready.function.name.to_string(),
        ok: outputs.iter().all(|o| o.ok),
        rtol: tolerance.relative,
        atol: tolerance.absolute,
        ms,
        outputs,
        skipped,
    })
}

fn compare_with(
    expected: &NamedFile,
    state: bool,
    found: &Datum,
    tolerance: Tolerance,
) -> Result<OutputRow, Failure> {
    let wanted = npy::read(Path::new(&expected.file))?;
    let held;
    let tensor = match found {
        Datum::Tensor(t) => Some(t),
        Datum::State(s) => {
            held = s.read();
            Some(&held)
        }
        Datum::List { .. } | Datum::Dict(_) => None,
    };
    let Some(tensor) = tensor else {
        let why = format!("it is a `{}`, which is not compared with an array", found.ty());
        return Ok(OutputRow::incomparable(expected, state, why));
    };
    Ok(match compare(tensor, &wanted, tolerance) {
        Ok(c) => OutputRow::of(expected, state, &c, tensor, &wanted),
        Err(Incomparable { found, expected: wanted }) => {
            OutputRow::incomparable(expected, state, format!("it is `{found}`, and `{wanted}` is expected"))
        }
    })
}

impl OutputRow {
    fn of(named: &NamedFile, state: bool, c: &Comparison, found: &Tensor, expected: &Tensor) -> Self {
        let numbers = found.as_strings().is_none();
        Self {
            name: named.name.clone(),
            state,
            ok: c.passes(),
            elements: c.elements,
            max_abs: numbers.then_some(c.max_abs),
            rel: numbers.then_some(c.relative),
            ulp: found.dtype().is_float().then_some(c.ulp),
            cosine: numbers.then_some(c.cosine),
            nan: Census { found: c.nan.0, expected: c.nan.1 },
            inf: Census { found: c.infinite.0, expected: c.infinite.1 },
            outside: c.outside,
            first_bad: c.first_outside.map(|i| FirstBad {
                index: position(found.shape(), i),
                found: element(found, i),
                expected: element(expected, i),
            }),
            error: None,
        }
    }

    fn incomparable(named: &NamedFile, state: bool, why: String) -> Self {
        Self {
            name: named.name.clone(),
            state,
            ok: false,
            elements: 0,
            max_abs: None,
            rel: None,
            ulp: None,
            cosine: None,
            nan: Census::default(),
            inf: Census::default(),
            outside: 0,
            first_bad: None,
            error: Some(why),
        }
    }
}

fn print(rows: &[StepRow], engine: &Chosen, ok: bool, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut table = Table::new(&[
        ("STEP", Align::Right),
        ("OUTPUT", Align::Left),
        ("MAX ABS", Align::Right),
        ("REL", Align::Right),
        ("ULP", Align::Right),
        ("COSINE", Align::Right),
        ("NAN", Align::Right),
        ("OUTSIDE", Align::Right),
        ("", Align::Left),
    ]);
    let number = |v: Option<f64>| v.map_or_else(|| "-".into(), short);
    for (i, step) in rows.iter().enumerate() {
        for o in &step.outputs {
            table.row([
                (i + 1).to_string(),
                if o.state { format!("{} (state)", o.name) } else { o.name.clone() },
                number(o.max_abs),
                number(o.rel),
                o.ulp.map_or_else(|| "-".into(), |u| u.to_string()),
                o.cosine.map_or_else(|| "-".into(), |c| format!("{c:.6}")),
                if o.nan.found == o.nan.expected {
                    o.nan.found.to_string()
                } else {
                    format!("{}, not {}", o.nan.found, o.nan.expected)
                },
                format!("{} of {}", o.outside, o.elements),
                if o.ok { "ok" } else { "FAILED" }.into(),
            ]);
        }
    }
    if !terminal.is_quiet() || !ok {
        table.print(terminal)?;
    }
    for (i, step) in rows.iter().enumerate() {
        for o in step.outputs.iter().filter(|o| !o.ok) {
            let what = match (&o.first_bad, &o.error) {
                (Some(bad), _) => {
                    let (found, expected) = (&bad.found, &bad.expected);
                    let at = if bad.index.is_empty() { String::new() } else { format!("{:?}", bad.index) };
                    format!("{}{at} is {found}, and {expected} is expected", o.name)
                }
                (None, Some(why)) => format!("{}: {why}", o.name),
                (None, None) => continue,
            };
            writeln!(terminal, "step {}: {}", i + 1, escape(&what))?;
        }
        if !step.skipped.is_empty() {
            let names = step.skipped.join("`, `");
            terminal.note(&format!("step {}: `{}` has no output `{names}`", i + 1, step.function));
        }
    }
    if terminal.is_quiet() {
        return Ok(());
    }
    let Some(first) = rows.first() else { return Ok(()) };
    let verdict = if ok { terminal.paint(style::GOOD, "ok") } else { terminal.paint(style::BAD, "outside") };
    let ms: f64 = rows.iter().map(|r| r.ms).sum();
    writeln!(
        terminal,
        "{verdict} on {engine} with rtol {} and atol {}, in {}",
        power(first.rtol),
        power(first.atol),
        duration(ms)
    )?;
    Ok(())
}

/// A tolerance as people write it: `2e-3`.
fn power(v: f64) -> String {
    if v == 0.0 { "0".into() } else { format!("{v:e}") }
}
