//! `anemone run`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anemone::device::{Engine, Options, Outputs};
use anemone::faults::Faults;
use anemone::types::{Datum, Tensor};
use anemone::verify::{Function, Verified};
use serde::Serialize;

use crate::engine::{Chosen, EngineArgs, Refusal};
use crate::failure::Failure;
use crate::faulty;
use crate::inputs::{Input, RunArgs};
use crate::model::{Model, refused_by_engine};
use crate::npy;
use crate::statistics::{self, FEW, Statistics, duration, short};
use crate::table::{Align, Table};
use crate::terminal::{Terminal, style};

/// Run a function once, and say what comes out
#[derive(clap::Args)]
#[command(
    after_help = "\
Examples:
  anemone run model.mlpackage
  anemone run model.mlmodelc -i image=cat.npy -o out/
  anemone run llm.mlpackage -f decode --seed 7 --device reference --json
  anemone run model.mlpackage --faults evaluate-refused=1/3,seed=2",
    after_long_help = "\
Examples:
  anemone run model.mlpackage
  anemone run model.mlmodelc -i image=cat.npy -o out/
  anemone run llm.mlpackage -f decode --seed 7 --device reference --json
  anemone run model.mlpackage --faults evaluate-refused=1/3,seed=2

An input that is not given is made from the seed and its name: SplitMix64, started at the seed xor the \
FNV-1a hash of the name. Floats are uniform in [0, 1), whole numbers and bools are 0 or 1, images are bytes \
from 0 to 255. Dimensions that are open take the model's default shape, or 1. States start at zero.

An array is converted to the dtype of the input when every value keeps its meaning: floats are rounded, \
whole numbers must fit."
)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,
    /// Write every output to NAME.npy in this folder
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineArgs,
    /// How the software engine is to misbehave: a seed for a mix, or faults such as evaluate-refused or load-busy=..2
    /// (docs/faults.md lists them)
    #[arg(long, value_name = "FAULTS")]
    faults: Option<Faults>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    path: &'a str,
    function: &'a str,
    device: &'static str,
    seed: u64,
    inputs: Vec<InputRow<'a>>,
    outputs: Vec<OutputRow<'a>>,
    load_ms: f64,
    ms: f64,
    /// What has struck, where faults were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    strikes: Option<Vec<String>>,
}

#[derive(Serialize)]
struct InputRow<'a> {
    name: &'a str,
    /// The file; null if the input is made from the seed.
    file: Option<&'a Path>,
    /// The dtype of the file, where it was converted.
    converted_from: Option<&'static str>,
    #[serde(flatten)]
    statistics: Statistics,
}

#[derive(Serialize)]
struct OutputRow<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    ty: String,
    #[serde(flatten)]
    statistics: Statistics,
    /// All elements, where there are few.
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<serde_json::Value>>,
    /// The largest values of a dict.
    #[serde(skip_serializing_if = "Option::is_none")]
    top: Option<Vec<Entry>>,
}

/// An entry of a dict.
#[derive(Serialize)]
struct Entry {
    key: serde_json::Value,
    value: f64,
}

/// What a run gave, and how long it took.
struct Run {
    outputs: Outputs,
    load_ms: f64,
    ms: f64,
}

pub(crate) fn run(args: &Args, terminal: &mut Terminal) -> Result<(), Failure> {
    let (engine, options) = (args.engine.engine()?, args.engine.options());
    let (mut model, verified) = Model::open_verified(&args.run.path, terminal)?;
    let function = model.function(&verified, args.run.function.as_deref())?;
    let inputs = args.run.gather(&model, function)?;
    for input in &inputs {
        if let Some(dtype) = input.converted_from {
            terminal.note(&format!("`{}` is converted from {dtype} to {}", input.name, input.tensor.dtype()));
        }
    }
    let progress = terminal.progress(&format!("running {} on {engine}", function.name), None);
    let result = match &args.faults {
        None => execute(&model, &verified, function, &engine, &options, &inputs),
        Some(_) if !engine.is(Engine::Cpu) => {
            return Err(Failure::world("only the software engine misbehaves on request; use `--device cpu`"));
        }
        Some(faults) => execute_with_faults(faults, &model, function, &options, &inputs),
    };
    drop(progress);
    let strikes =
        args.faults.as_ref().map(|f| f.strikes().iter().map(ToString::to_string).collect::<Vec<_>>());
    for strike in strikes.iter().flatten() {
        terminal.note(&format!("a fault has struck {strike}"));
    }
    let result = match result {
        Ok(r) => r,
        Err(e) if args.faults.is_some() => {
            return Err(refused_by_engine(&e, model.source.as_ref(), terminal));
        }
        Err(e) => return Err(explained(e, &mut model, &function.name, &engine, &options, &inputs, terminal)),
    };
    if let Some(folder) = &args.output {
        write_outputs(folder, &result.outputs)?;
    }
    let rows: Vec<OutputRow<'_>> = result.outputs.iter().map(|(n, d)| output_row(n, d)).collect();
    if args.json {
        terminal.json(&Report {
            path: &args.run.path,
            function: &function.name,
            device: engine.name(),
            seed: args.run.seed,
            inputs: inputs.iter().map(input_row).collect(),
            outputs: rows,
            load_ms: result.load_ms,
            ms: result.ms,
            strikes,
        })?;
    } else {
        if !terminal.is_quiet() {
            print(args, &function.name, &engine, &inputs, &rows, &result, terminal)?;
        }
        for row in rows.iter().filter(|r| !r.statistics.finite) {
            let s = &row.statistics;
            terminal.warn(&format!("`{}` holds {} NaN and {} infinite elements", row.name, s.nan, s.inf));
        }
    }
    Ok(())
}

fn execute(
    model: &Model,
    verified: &Verified,
    function: &Function,
    engine: &Chosen,
    options: &Options,
    inputs: &[Input],
) -> Result<Run, Refusal> {
    let start = Instant::now();
    let ready = engine.load(function, verified, model, options)?;
    let states = ready.new_states()?;
    let load_ms = start.elapsed().as_secs_f64() * 1e3;
    let named: Vec<(&str, Tensor)> = inputs.iter().map(|i| (i.name.as_str(), i.tensor.clone())).collect();
    let start = Instant::now();
    let outputs = ready.run(&named, &states)?;
    Ok(Run { outputs, load_ms, ms: start.elapsed().as_secs_f64() * 1e3 })
}

fn execute_with_faults(
    faults: &Faults,
    model: &Model,
    function: &Function,
    options: &Options,
    inputs: &[Input],
) -> Result<Run, Refusal> {
    let start = Instant::now();
    let mut ready = faulty::Ready::new(faults, model, function, options, inputs)?;
    let load_ms = start.elapsed().as_secs_f64() * 1e3;
    let start = Instant::now();
    let outputs = ready.run()?;
    Ok(Run { outputs, load_ms, ms: start.elapsed().as_secs_f64() * 1e3 })
}

/// Says why the engine refused. A model without text is printed and run once more, so that the diagnostic has a
/// text to point into.
fn explained(
    refusal: Refusal,
    model: &mut Model,
    function: &str,
    engine: &Chosen,
    options: &Options,
    inputs: &[Input],
    terminal: &mut Terminal,
) -> Failure {
    let mut refusal = refusal;
    if model.give_text()
        && let Some(verified) = model.verify().verified
        && let Some(function) = verified.function(function)
        && let Err(r) = execute(model, &verified, function, engine, options, inputs)
    {
        refusal = r;
    }
    refused_by_engine(&refusal, model.source.as_ref(), terminal)
}

/// The tensors of a value, with what distinguishes their files.
fn parts(datum: &Datum) -> Vec<(String, Tensor)> {
    match datum {
        Datum::Tensor(t) => vec![(String::new(), t.clone())],
        Datum::State(s) => vec![(String::new(), s.read())],
        Datum::List { items, .. } => {
            let written = items.iter().enumerate().filter_map(|(i, t)| Some((i, t.as_ref()?)));
            written.map(|(i, t)| (format!(".{i}"), t.clone())).collect()
        }
        Datum::Dict(pairs) => {
            let keys = stacked(pairs.iter().map(|(k, _)| k)).map(|t| (".keys".to_string(), t));
            let values = stacked(pairs.iter().map(|(_, v)| v)).map(|t| (".values".to_string(), t));
            keys.into_iter().chain(values).collect()
        }
    }
}

/// Scalars of one dtype as one tensor.
fn stacked<'a>(scalars: impl Iterator<Item = &'a Tensor> + Clone) -> Option<Tensor> {
    let first = scalars.clone().next()?;
    let n = scalars.clone().count();
    if first.as_strings().is_some() {
        let strings = scalars.filter_map(|s| s.as_strings()?.first().cloned()).collect();
        return Tensor::from_strings(&[n], strings).ok();
    }
    let numbers: Vec<f64> = scalars.filter_map(|s| s.to_f64s().first().copied()).collect();
    Tensor::from_f64s(first.dtype(), &[n], &numbers).ok()
}

fn write_outputs(folder: &Path, outputs: &Outputs) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)
        .map_err(|e| Failure::world(format!("the folder `{}` cannot be made: {e}", folder.display())))?;
    for (name, datum) in outputs {
        // A name comes from the model, and must not lead out of the folder.
        let stem = name.replace(|c: char| matches!(c, '/' | '\\' | ':') || c.is_control(), "_");
        for (suffix, tensor) in parts(datum) {
            npy::write(&folder.join(format!("{stem}{suffix}.npy")), &tensor)?;
        }
    }
    Ok(())
}

fn input_row(input: &Input) -> InputRow<'_> {
    InputRow {
        name: &input.name,
        file: input.file.as_deref(),
        converted_from: input.converted_from.map(|d| d.name()),
        statistics: Statistics::of(&input.tensor),
    }
}

fn output_row<'a>(name: &'a str, datum: &Datum) -> OutputRow<'a> {
    let (statistics, top) = match datum {
        Datum::Tensor(t) => (Statistics::of(t), None),
        Datum::State(s) => (Statistics::of(&s.read()), None),
        Datum::Dict(pairs) => {
            let values = stacked(pairs.iter().map(|(_, v)| v));
            (Statistics::of(&values.unwrap_or_else(nothing)), Some(top(pairs)))
        }
        Datum::List { items, .. } => {
            let first = items.iter().flatten().next().cloned();
            (Statistics::of(&first.unwrap_or_else(nothing)), None)
        }
    };
    OutputRow { name, ty: datum.ty().to_string(), statistics, values: statistics::few(datum), top }
}

/// What stands for an empty dict or list.
fn nothing() -> Tensor {
    Tensor::scalar(anemone::types::DType::Fp32, 0.0)
        .pick(&[0], [])
        .expect("no elements of a scalar fill no shape")
}

/// The five entries with the largest values.
fn top(pairs: &[(Tensor, Tensor)]) -> Vec<Entry> {
    let value = |t: &Tensor| t.to_f64s().first().copied().unwrap_or(f64::NAN);
    let mut entries: Vec<(f64, &Tensor)> = pairs.iter().map(|(k, v)| (value(v), k)).collect();
    entries.sort_by(|a, b| b.0.total_cmp(&a.0));
    let key = |t: &Tensor| statistics::elements(t).into_iter().next().unwrap_or_default();
    entries.into_iter().take(5).map(|(value, k)| Entry { key: key(k), value }).collect()
}

fn print(
    args: &Args,
    function: &str,
    engine: &Chosen,
    inputs: &[Input],
    rows: &[OutputRow<'_>],
    result: &Run,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let heading = terminal.paint(style::HEADING, &anemone::source::escape(function));
    writeln!(
        terminal,
        "{heading} on {engine}: loaded in {}, ran in {}\n",
        duration(result.load_ms),
        duration(result.ms)
    )?;
    let columns = |first| {
        [
            (first, Align::Left),
            ("TYPE", Align::Left),
            ("MIN", Align::Right),
            ("MAX", Align::Right),
            ("MEAN", Align::Right),
            ("", Align::Left),
        ]
    };
    let mut table = Table::new(&columns("INPUT"));
    for input in inputs {
        let from = match &input.file {
            Some(file) => file.display().to_string(),
            None => format!("seed {}", args.run.seed),
        };
        table.row(cells(&input.name, &input.tensor.ty().to_string(), &Statistics::of(&input.tensor), from));
    }
    if !inputs.is_empty() {
        table.print(terminal)?;
        writeln!(terminal)?;
    }
    let mut table = Table::new(&columns("OUTPUT"));
    for row in rows {
        let s = &row.statistics;
        let remark = if s.finite { String::new() } else { format!("{} NaN, {} inf", s.nan, s.inf) };
        table.row(cells(row.name, &row.ty, s, remark));
    }
    table.print(terminal)?;
    for (row, (_, datum)) in rows.iter().zip(&result.outputs) {
        let text = match (&row.top, datum.as_tensor()) {
            (Some(top), _) => {
                let entry = |e: &Entry| format!("\n  {:<10} {}", short(e.value), e.key);
                format!("{}, largest first:{}", row.name, top.iter().map(entry).collect::<String>())
            }
            (None, Some(t)) if !t.is_empty() && t.len() <= FEW => {
                let values: Vec<String> = (0..t.len()).map(|i| statistics::element(t, i)).collect();
                match t.rank() {
                    0 => format!("{} = {}", row.name, values.concat()),
                    _ => format!("{} = [{}]", row.name, values.join(", ")),
                }
            }
            _ => continue,
        };
        writeln!(terminal, "\n{}", anemone::source::escape(&text))?;
    }
    if let Some(folder) = &args.output {
        writeln!(terminal, "\nwritten to {}", folder.display())?;
    }
    Ok(())
}

fn cells(name: &str, ty: &str, s: &Statistics, remark: String) -> [String; 6] {
    let number = |v: Option<f64>| v.map_or_else(|| "-".to_string(), short);
    [name.to_string(), ty.to_string(), number(s.min), number(s.max), number(s.mean), remark]
}
