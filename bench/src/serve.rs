//! A model that is loaded once, and run as often as it is told.

use std::io::BufRead;
use std::path::Path;
use std::time::{Duration, Instant};

use anemone::bundle;
use anemone::device::{self, Engine, Options};
use anemone::plan::{Arena, Plan};
use anemone::types::Tensor;
use serde_json::json;

use crate::models::Case;
use crate::{Failure, say};

/// A model with the memory that a run needs.
struct Model {
    loaded: device::Loaded,
    arena: Arena,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    threads: usize,
}

impl Model {
    fn plan(&self) -> &Plan {
        self.loaded.plan().expect("it was asked for when the model was loaded")
    }

    fn step(&mut self) -> Result<(), Failure> {
        let plan = self.loaded.plan().expect("it was asked for when the model was loaded");
        // A call with nothing kept from the last one but the memory.
        let inputs: smallvec::SmallVec<[&[u8]; 8]> = self.inputs.iter().map(Tensor::bytes).collect();
        let mut outputs: smallvec::SmallVec<[&mut [u8]; 8]> =
            self.outputs.iter_mut().map(|t| t.bytes_mut().expect("nobody shares an output")).collect();
        Ok(plan
            .run(&mut self.arena, &inputs, &mut outputs, &mut [], self.threads)
            .map_err(|d| d.to_string())?)
    }

    /// The output that is checked, as fp32.
    fn output(&self) -> Vec<f32> {
        let place =
            self.plan().outputs().iter().position(|io| matches!(&*io.name, "y" | "logits")).unwrap_or(0);
        self.outputs[place].to_f64s().into_iter().map(|x| x as f32).collect()
    }
}

/// Loads the model of a folder, and runs it as it is told.
pub(crate) fn serve(options: &[String]) -> Result<(), Failure> {
    let option = |name: &str| {
        let place = options.iter().position(|o| o == name);
        place.and_then(|i| options.get(i + 1)).map(String::as_str)
    };
    let folder = Path::new(option("--dir").ok_or("`--dir FOLDER` is missing")?);
    let threads: usize = option("--threads").unwrap_or("1").parse()?;
    let base = memory("VmRSS:");
    // What belongs to the harness is read before the clock runs.
    let case = Case::open(folder)?;
    let begin = Instant::now();
    let opened = bundle::open(crate::package(folder))?;
    let report = anemone::verify::verify(&opened.program, &opened.weights);
    let verified = report.verified.ok_or_else(|| report.diagnostics.to_string())?;
    let loaded = device::load(verified.main(), Engine::Cpu, &Options { threads, ..Options::default() })?;
    let load = begin.elapsed();
    let plan = loaded.plan().ok_or("the model has no plan")?;
    let inputs = case.inputs(plan.inputs())?;
    let begin = Instant::now();
    let arena = plan.arena();
    let zeros = |io: &anemone::plan::Io| Tensor::zeros(io.ty.dtype, &io.ty.shape.known().unwrap_or_default());
    let outputs = plan.outputs().iter().map(zeros).collect::<Result<_, _>>()?;
    let mut model = Model { loaded, arena, inputs, outputs, threads };
    model.step()?;
    let first = begin.elapsed();
    let output = model.output();
    if let Some(path) = option("--out") {
        std::fs::write(path, output.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
    }
    let distance = case.distance(&output)?;
    let begin = Instant::now();
    model.step()?;
    let each = begin.elapsed();
    // Something that takes less than a third of a millisecond is timed many times at once.
    let often = (300e-6 / each.as_secs_f64().max(1e-8)).clamp(1.0, 1e5) as usize;
    say(&json!({
        "event": "ready", "import_ms": 0, "load_ms": millis(load), "first_ms": millis(first),
        "rss_base_mb": base, "rss_mb": memory("VmRSS:"), "inner": often, "note": format!("error {distance:.2e}"),
    }))?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["run", seconds] => sample(&mut model, Duration::from_secs_f64(seconds.parse()?), often)?,
            ["quit"] => break,
            _ => return Err(format!("`{line}` is nothing that can be asked for").into()),
        }
    }
    say(&json!({ "event": "bye", "peak_rss_mb": memory("VmHWM:") }))
}

/// Runs the model for some time, and says how many nanoseconds each run took: by the clock, and of the processors.
fn sample(model: &mut Model, time: Duration, often: usize) -> Result<(), Failure> {
    let begin = Instant::now();
    let (mut clock, mut work) = (Vec::new(), Vec::new());
    while clock.is_empty() || begin.elapsed() < time {
        let (start, used) = (Instant::now(), processor());
        for _ in 0..often {
            model.step()?;
        }
        clock.push(start.elapsed().as_nanos() as f64 / often as f64);
        work.push((processor() - used) / often as f64);
    }
    say(&json!({ "event": "samples", "ns": clock, "cpu": work }))
}

/// The nanoseconds that all threads of this process have worked.
fn processor() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// A line of what the system says of this process's memory, in MB.
fn memory(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found =
        status.lines().find_map(|l| l.strip_prefix(line)?.split_whitespace().next()?.parse::<f64>().ok());
    found.unwrap_or(0.0) / 1024.0
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
