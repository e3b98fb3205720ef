//! `anemone bench`.

use std::io::Write;
use std::time::{Duration, Instant};

use anemone::device::compare::{Tolerance, compare};
use anemone::device::{self, Engine, Options, Outputs};
use anemone::plan::multiply_adds;
use anemone::source::escape;
use anemone::types::{Datum, Tensor};
use anemone::verify::Function;
use serde::Serialize;

use crate::engine::{EngineArgs, Refusal};
use crate::failure::Failure;
use crate::inputs::{RunArgs, TimedArgs};
use crate::model::{Model, refused_by_engine};
use crate::statistics::{count, duration, short};
use crate::terminal::{Terminal, style};

/// Check a function's outputs against the reference, then time it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  anemone bench model.mlpackage
  anemone bench model.mlmodelc --threads 1 --iters 200 --json
  anemone bench huge.mlpackage --no-check    the reference takes its time

Inputs are made as `anemone run` makes them. The machine's limit is how many multiply-adds of fp32 it does in \
registers, with as many threads.")]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    timed: TimedArgs,
    /// Time the function without checking its outputs
    #[arg(long)]
    no_check: bool,
    #[command(flatten)]
    engine: EngineArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    path: &'a str,
    function: &'a str,
    device: &'static str,
    threads: usize,
    /// Whether the outputs were compared with the reference; what is printed has passed.
    checked: bool,
    load_ms: f64,
    /// The first run, which packs weights.
    first_ms: f64,
    iterations: usize,
    median_ms: f64,
    min_ms: f64,
    p95_ms: f64,
    /// Of products; null when they depend on the inputs.
    multiply_adds: Option<u64>,
    /// Two operations for each multiply-add, at the median.
    gflops: Option<f64>,
    limit_gflops: Option<f64>,
    share_of_limit: Option<f64>,
}

pub(crate) fn run(args: &Args, terminal: &mut Terminal) -> Result<(), Failure> {
    let (engine, options) = (args.engine.engine()?, args.engine.options());
    let (model, verified) = Model::open_verified(&args.run.path, terminal)?;
    let function = model.function(&verified, args.run.function.as_deref())?;
    let inputs = args.run.gather(&model, function)?;
    let inputs: Vec<(&str, Tensor)> = inputs.iter().map(|i| (i.name.as_str(), i.tensor.clone())).collect();
    let refused =
        |e: Refusal, terminal: &mut Terminal| refused_by_engine(&e, model.source.as_ref(), terminal);

    let progress = terminal.progress(&format!("loading {} on {engine}", args.run.path), None);
    let start = Instant::now();
    let loaded = engine.load(function, &verified, &model, &options).map_err(|e| refused(e, terminal))?;
    let load = start.elapsed();
    let states = loaded.new_states().map_err(|e| refused(e, terminal))?;
    let start = Instant::now();
    let outputs = loaded.run(&inputs, &states).map_err(|e| refused(e, terminal))?;
    let first = start.elapsed();
    drop(progress);

    let checked = !engine.is(Engine::Reference) && !args.no_check;
    if checked {
        let progress = terminal.progress("checking against the reference (--no-check skips this)", None);
        let expected = reference(function, &options, &inputs).map_err(|e| refused(e.into(), terminal))?;
        drop(progress);
        agree(&outputs, &expected, Tolerance::of(function))?;
    }

    let mut once = || {
        let begin = Instant::now();
        loaded.run(&inputs, &states).map(|_| begin.elapsed())
    };
    let mut times = args.timed.repeat(terminal, &mut once).map_err(|e| refused(e, terminal))?;
    times.sort_unstable();
    let median = times[times.len() / 2];
    let work = multiply_adds(function).filter(|&n| n > 0);
    let gflops = work.map(|n| 2.0 * n as f64 / median.as_secs_f64().max(1e-9) / 1e9);
    let limit = gflops.filter(|_| engine.is(Engine::Cpu)).map(|_| {
        let _progress = terminal.progress("measuring the machine", None);
        device::limits(options.threads).operations / 1e9
    });
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    let report = Report {
        path: &args.run.path,
        function: &function.name,
        device: engine.name(),
        threads: if engine.is(Engine::Cpu) { options.threads } else { 1 },
        checked,
        load_ms: ms(load),
        first_ms: ms(first),
        iterations: times.len(),
        median_ms: ms(median),
        min_ms: ms(times[0]),
        p95_ms: ms(times[(times.len() * 95).div_ceil(100) - 1]),
        multiply_adds: work,
        gflops,
        limit_gflops: limit,
        share_of_limit: gflops.zip(limit).map(|(g, l)| g / l),
    };
    if args.json { terminal.json(&report) } else { print(&report, terminal) }
}

fn reference(
    function: &Function,
    options: &Options,
    inputs: &[(&str, Tensor)],
) -> Result<Outputs, device::Error> {
    let loaded = device::load(function, Engine::Reference, options)?;
    loaded.run(inputs, &loaded.new_states()?)
}

/// Refuses outputs that are not those of the reference. Only tensors are compared: dicts and lists hold some of them.
fn agree(found: &Outputs, expected: &Outputs, tolerance: Tolerance) -> Result<(), Failure> {
    for ((name, found), (_, expected)) in found.iter().zip(expected) {
        let (Datum::Tensor(found), Datum::Tensor(expected)) = (found, expected) else { continue };
        let why = match compare(found, expected, tolerance) {
            Ok(c) if c.passes() => continue,
            Ok(c) => format!(
                "{} of {} elements are outside, by {} at most",
                c.outside,
                c.elements,
                short(c.max_abs)
            ),
            Err(e) => e.to_string(),
        };
        return Err(Failure::program(format!("`{name}` differs from the reference: {why}")));
    }
    Ok(())
}

fn print(r: &Report<'_>, terminal: &mut Terminal) -> Result<(), Failure> {
    let name = terminal.paint(style::HEADING, &escape(r.function));
    let threads = if r.threads == 1 { "1 thread".to_string() } else { format!("{} threads", r.threads) };
    writeln!(terminal, "{name} on {}, {threads}", r.device)?;
    let checked = if r.checked { "the outputs are those of the reference" } else { "no" };
    writeln!(terminal, "  checked  {checked}")?;
    writeln!(terminal, "  load     {}, first run {}", duration(r.load_ms), duration(r.first_ms))?;
    let median = terminal.paint(style::HEADING, &duration(r.median_ms));
    writeln!(
        terminal,
        "  run      {median} (median of {}), min {}, p95 {}",
        r.iterations,
        duration(r.min_ms),
        duration(r.p95_ms)
    )?;
    if let (Some(work), Some(gflops)) = (r.multiply_adds, r.gflops) {
        write!(terminal, "  work     {} multiply-adds, {} GFLOP/s", count(work), short(gflops))?;
        match (r.limit_gflops, r.share_of_limit) {
            (Some(limit), Some(share)) => {
                writeln!(terminal, ", {:.1} % of this machine's {limit:.0}", share * 100.0)?;
            }
            _ => writeln!(terminal)?,
        }
    }
    Ok(())
}
