//! `anemone profile`.

mod on_chip;
mod page;
mod trace;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anemone::Chip;
use anemone::device::{self, Engine, Options};
use anemone::place::Route;
use anemone::plan::{Io, Plan};
use anemone::source::escape;
use anemone::types::Tensor;
use serde::Serialize;

use self::on_chip::{OnChip, Predicted, StepOnChip};
use crate::engine::Refusal;
use crate::failure::Failure;
use crate::inputs::{RunArgs, TimedArgs};
use crate::model::{Model, refused_by_engine};
use crate::output::write_file;
use crate::segments;
use crate::statistics::{bytes, duration, short};
use crate::table::{Align, Table};
use crate::terminal::{Terminal, style};

/// Time every step of a function on the software engine, and say what the machine's limit would be
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  anemone profile model.mlpackage
  anemone profile model.mlmodelc --threads 1 --html profile.html
  anemone profile layer.mil --trace profile.json    for ui.perfetto.dev
  anemone profile model.mlpackage --chip m4 --html profile.html

A step cannot be faster than its multiply-adds at the speed of registers, or its bytes at the speed of memory; the \
share of that limit is what it reaches. What lies in a cache is read faster, so that a small step may pass it.")]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    timed: TimedArgs,
    /// Put beside each time what is predicted for the engine of this chip, m1 to m6
    #[arg(long, value_name = "CHIP")]
    chip: Option<Chip>,
    /// How the program comes to that engine: core-ml, direct or e5rt
    #[arg(long, value_name = "ROUTE", default_value = "direct", requires = "chip")]
    route: Route,
    /// How many threads to use [default: as many as the machine has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// How many of the slowest steps to list
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// Write the steps of a run for ui.perfetto.dev
    #[arg(long, value_name = "FILE.json")]
    trace: Option<PathBuf>,
    /// Write a page with the time of each step, the slowest ones and the arena
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was measured of a function.
#[derive(Serialize)]
struct Report<'a> {
    path: &'a str,
    function: &'a str,
    threads: usize,
    iterations: usize,
    /// The median of whole runs.
    median_ms: f64,
    gflops: f64,
    /// What this machine reaches in registers, and reads from memory.
    limit_gflops: f64,
    limit_read_gb_s: f64,
    arena_bytes: usize,
    constant_bytes: usize,
    peak_rss_bytes: Option<u64>,
    /// What is predicted for a chip.
    #[serde(skip_serializing_if = "Option::is_none")]
    chip: Option<OnChip>,
    steps: Vec<StepReport<'a>>,
}

/// What was measured of a step.
#[derive(Serialize)]
struct StepReport<'a> {
    name: &'a str,
    /// The op, and those that its kernel does after it.
    op: String,
    /// The median over the runs.
    us: f64,
    multiply_adds: u64,
    read_bytes: usize,
    written_bytes: usize,
    arena_bytes: usize,
    gflops: f64,
    gb_s: f64,
    /// The least time that the limits allow, over the time.
    share_of_limit: f64,
    by_meaning: bool,
    /// What is predicted for a chip.
    #[serde(skip_serializing_if = "Option::is_none")]
    chip: Option<StepOnChip>,
}

pub(crate) fn run(args: &Args, terminal: &mut Terminal) -> Result<(), Failure> {
    let default = Options::default();
    let options = Options { threads: args.threads.map_or(default.threads, usize::from), ..default };
    let (model, verified) = Model::open_verified(&args.run.path, terminal)?;
    let function = model.function(&verified, args.run.function.as_deref())?;
    let inputs = args.run.gather(&model, function)?;
    let progress = terminal.progress(&format!("loading {}", args.run.path), None);
    let loaded = device::load(function, Engine::Cpu, &options)
        .map_err(|e| refused_by_engine(&Refusal::from(e), model.source.as_ref(), terminal))?;
    drop(progress);
    let plan = loaded.plan().ok_or_else(|| {
        Failure::program(format!(
            "`{}` has no plan whose steps could be timed: it has lists, strings, or shapes that depend on its \
             inputs; `anemone bench` times whole runs",
            escape(&function.name)
        ))
    })?;
    let inputs: Vec<Tensor> = plan
        .inputs()
        .iter()
        .filter_map(|io| inputs.iter().find(|i| *i.name == *io.name).map(|i| i.tensor.clone()))
        .collect();
    let times = time(plan, &inputs, options.threads, &args.timed, terminal)?;
    let progress = terminal.progress("measuring the machine", None);
    let limits = device::limits(options.threads);
    drop(progress);
    let predicted = args.chip.map(|chip| Predicted::of(function, chip, args.route));
    let report = report(args, &function.name, plan, &times, options.threads, limits, predicted.as_ref());
    if let Some(path) = &args.trace {
        write_file(path, trace::of(&report).as_bytes())?;
        terminal.note(&format!("the trace is in {}", path.display()));
    }
    if let Some(path) = &args.html {
        write_file(path, page::of(&report).as_bytes())?;
        terminal.note(&format!("the page is {}", path.display()));
    }
    if args.json { terminal.json(&report) } else { print(&report, args.top, terminal) }
}

/// What each run took, step by step.
fn time(
    plan: &Plan,
    inputs: &[Tensor],
    threads: usize,
    timed: &TimedArgs,
    terminal: &mut Terminal,
) -> Result<Vec<Vec<Duration>>, Failure> {
    let inputs: Vec<&[u8]> = inputs.iter().map(Tensor::bytes).collect();
    let zeros = |io: &Io| {
        Tensor::zeros(io.ty.dtype, &io.ty.shape.known().unwrap_or_default())
            .map_err(|e| Failure::program(format!("`{}` cannot be made: {e}", escape(&io.name))))
    };
    let make = |ios: &[Io]| ios.iter().map(zeros).collect::<Result<Vec<_>, _>>();
    let (mut outputs, mut states) = (make(plan.outputs())?, make(plan.states())?);
    // Nobody shares a tensor that was just made.
    let mut outputs: Vec<&mut [u8]> = outputs.iter_mut().filter_map(Tensor::bytes_mut).collect();
    let mut states: Vec<&mut [u8]> = states.iter_mut().filter_map(Tensor::bytes_mut).collect();
    let mut arena = plan.arena();
    timed.repeat(terminal, || {
        let mut times = vec![Duration::ZERO; plan.steps().len()];
        plan.run_timed(&mut arena, &inputs, &mut outputs, &mut states, threads, &mut times)
            .map(|()| times)
            .map_err(|d| Failure::program(d.to_string()))
    })
}

/// The most memory that this process has had, where the system says so.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

fn median(times: impl Iterator<Item = Duration>) -> f64 {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, Duration::as_secs_f64)
}

fn report<'a>(
    args: &'a Args,
    function: &'a str,
    plan: &'a Plan,
    times: &[Vec<Duration>],
    threads: usize,
    limits: device::Limits,
    predicted: Option<&Predicted>,
) -> Report<'a> {
    let whole = median(times.iter().map(|run| run.iter().sum()));
    let steps: Vec<StepReport<'a>> = plan
        .steps()
        .enumerate()
        .map(|(i, step)| {
            let seconds = median(times.iter().map(|run| run[i])).max(1e-9);
            let operations = 2.0 * step.multiply_adds as f64;
            let moved = (step.read + step.written) as f64;
            let least = (operations / limits.operations).max(moved / limits.read);
            StepReport {
                name: step.name,
                op: std::iter::once(step.op)
                    .chain(step.after.iter().map(|op| op.name))
                    .collect::<Vec<_>>()
                    .join(" + "),
                us: seconds * 1e6,
                multiply_adds: step.multiply_adds,
                read_bytes: step.read,
                written_bytes: step.written,
                arena_bytes: step.live,
                gflops: operations / seconds / 1e9,
                gb_s: moved / seconds / 1e9,
                share_of_limit: least / seconds,
                by_meaning: step.by_meaning,
                chip: predicted.map(|predicted| predicted.step(step.results)),
            }
        })
        .collect();
    let work: u64 = steps.iter().map(|s| s.multiply_adds).sum();
    Report {
        path: &args.run.path,
        function,
        threads,
        iterations: times.len(),
        median_ms: whole * 1e3,
        gflops: 2.0 * work as f64 / whole.max(1e-9) / 1e9,
        limit_gflops: limits.operations / 1e9,
        limit_read_gb_s: limits.read / 1e9,
        arena_bytes: plan.arena_bytes(),
        constant_bytes: plan.constant_bytes(),
        peak_rss_bytes: peak_memory(),
        chip: predicted.map(Predicted::whole),
        steps,
    }
}

/// What all steps of an op took together.
struct OpTotal<'r> {
    op: &'r str,
    count: usize,
    us: f64,
    multiply_adds: u64,
    bytes: usize,
    /// What is predicted for a chip.
    chip_us: f64,
}

fn totals<'r>(report: &'r Report<'_>) -> Vec<OpTotal<'r>> {
    let mut totals: BTreeMap<&str, OpTotal<'_>> = BTreeMap::new();
    for s in &report.steps {
        let zero = OpTotal { op: &s.op, count: 0, us: 0.0, multiply_adds: 0, bytes: 0, chip_us: 0.0 };
        let total = totals.entry(&s.op).or_insert(zero);
        total.count += 1;
        total.us += s.us;
        total.multiply_adds += s.multiply_adds;
        total.bytes += s.read_bytes + s.written_bytes;
        total.chip_us += s.chip.as_ref().map_or(0.0, |on| on.us);
    }
    let mut totals: Vec<OpTotal<'_>> = totals.into_values().collect();
    totals.sort_by(|a, b| b.us.total_cmp(&a.us));
    totals
}

fn print(r: &Report<'_>, top: usize, terminal: &mut Terminal) -> Result<(), Failure> {
    let name = terminal.paint(style::HEADING, &escape(r.function));
    let threads = if r.threads == 1 { "1 thread".to_string() } else { format!("{} threads", r.threads) };
    writeln!(terminal, "{name} on cpu, {threads}: {} (median of {})", duration(r.median_ms), r.iterations)?;
    writeln!(
        terminal,
        "  {} GFLOP/s of this machine's {:.0}; it reads {:.0} GB/s",
        short(r.gflops),
        r.limit_gflops,
        r.limit_read_gb_s
    )?;
    write!(terminal, "  {} of constants, an arena of {}", bytes(r.constant_bytes), bytes(r.arena_bytes))?;
    match r.peak_rss_bytes {
        Some(peak) => writeln!(terminal, ", {} of memory at most", bytes(peak as usize))?,
        None => writeln!(terminal)?,
    }
    if let Some(on) = &r.chip {
        for line in on.lines(r.median_ms) {
            writeln!(terminal, "  {line}")?;
        }
    }
    let chip = r.chip.as_ref().map(|on| on.chip);
    let all: f64 = r.steps.iter().map(|s| s.us).sum::<f64>().max(1e-9);
    writeln!(terminal)?;
    if let Some(on) = r.chip.as_ref().filter(|on| on.segments.len() > 1) {
        segments::print(&on.segments, terminal)?;
        writeln!(terminal)?;
    }
    let right = Align::Right;
    let mut columns = vec![
        ("op", Align::Left),
        ("steps", right),
        ("time", right),
        ("share", right),
        ("GFLOP/s", right),
        ("GB/s", right),
    ];
    columns.extend(chip.map(|chip| (chip, right)));
    let mut table = Table::new(&columns);
    let rate = |amount: f64, us: f64| {
        if amount > 0.0 { format!("{:.1}", amount / us.max(1e-3) / 1e3) } else { String::new() }
    };
    for t in totals(r) {
        let mut row = vec![
            t.op.to_string(),
            t.count.to_string(),
            duration(t.us / 1e3),
            format!("{:.1} %", t.us / all * 100.0),
            rate(2.0 * t.multiply_adds as f64, t.us),
            rate(t.bytes as f64, t.us),
        ];
        row.extend(chip.map(|_| on_chip::time(t.chip_us)));
        table.row(row);
    }
    table.print(terminal)?;
    let mut slowest: Vec<&StepReport<'_>> = r.steps.iter().collect();
    slowest.sort_by(|a, b| b.us.total_cmp(&a.us));
    slowest.truncate(top);
    if slowest.is_empty() {
        return Ok(());
    }
    writeln!(terminal)?;
    let mut columns = vec![
        ("slowest steps", Align::Left),
        ("op", Align::Left),
        ("time", right),
        ("share", right),
        ("GFLOP/s", right),
        ("GB/s", right),
        ("of the limit", right),
    ];
    columns.extend(chip.into_iter().flat_map(|chip| [(chip, right), ("waits for", Align::Left)]));
    let mut table = Table::new(&columns);
    for s in slowest {
        let mut row = vec![
            s.name.to_string(),
            if s.by_meaning { format!("{}, by its meaning", s.op) } else { s.op.clone() },
            duration(s.us / 1e3),
            format!("{:.1} %", s.us / all * 100.0),
            rate(2.0 * s.multiply_adds as f64, s.us),
            rate((s.read_bytes + s.written_bytes) as f64, s.us),
            format!("{:.0} %", s.share_of_limit * 100.0),
        ];
        row.extend(s.chip.iter().flat_map(|on| [on_chip::time(on.us), on.waits_for.to_string()]));
        table.row(row);
    }
    table.print(terminal)?;
    Ok(())
}
