//! `cargo xtask bench`: whole models beside other runtimes, in one run.

mod page;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::{Stop, tools};

/// What is measured: where, with whom, how often.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The harness: a folder with `bench.py`.
    peers: PathBuf,
    /// Where the models are, a folder for each workload; those that lack are exported, up to 20 GB.
    models: PathBuf,
    /// The other engines, as the harness names them, instead of those that each workload has.
    #[arg(long)]
    engines: Option<String>,
    /// The workloads, instead of all.
    #[arg(long, value_delimiter = ',', value_parser = workload)]
    workloads: Vec<&'static Workload>,
    /// How many rounds: in each, every engine runs once for a while, in another order.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The numbers of threads.
    #[arg(long, default_value = "1,2")]
    threads: String,
    /// How many seconds to wait, in all, for other processes to leave the machine alone, at each workload.
    #[arg(long, default_value_t = 60)]
    max_wait: u32,
    /// An interpreter that has the other engines, instead of one that is installed below target/.
    #[arg(long)]
    python: Option<PathBuf>,
    /// One that can export for LiteRT, as well.
    #[arg(long)]
    litert_python: Option<PathBuf>,
    /// Writes what is measured into docs/performance.jsonl, instead of what is there, and the tables into docs/performance.md.
    #[arg(long)]
    record: bool,
}

/// A model that every engine runs.
#[derive(Debug)]
struct Workload {
    /// As the harness names it.
    name: &'static str,
    what: &'static str,
    /// Who else runs it: the fastest that compute with no less precision.
    peers: &'static str,
}

static WORKLOADS: [Workload; 7] = [
    Workload {
        name: "W1",
        what: "an encoder: 12 blocks, 768 wide, 256 tokens, GELU of erf; 46 GFLOP",
        peers: "ort:f32,openvino:f32,litert:f32",
    },
    Workload {
        name: "W2-stories",
        what: "one token of a decoder of 110 million weights, with 128 tokens before it",
        peers: "ort:f16,llama:f16",
    },
    Workload {
        name: "W2-qwen",
        what: "the same of one of 494 million, with 14 heads that share keys and values of 2, and a table of 151936 tokens that is its last layer too",
        peers: "ort:f16,llama:f16",
    },
    Workload {
        name: "W3-resnet50",
        what: "ResNet-50 on one image of 224 x 224",
        peers: "ort:f32,openvino:f32,litert:f32",
    },
    Workload {
        name: "W3-mobilenetv2",
        what: "MobileNetV2, as well",
        peers: "ort:f32,openvino:f32,litert:f32",
    },
    Workload {
        name: "W3-mobilenetv3",
        what: "MobileNetV3 (large), as well",
        peers: "ort:f32,openvino:f32,litert:f32",
    },
    Workload {
        name: "W4",
        what: "a perceptron 64 → 64 → 64, one row: the cost of a call",
        peers: "ort:f32,openvino:f32,litert:f32",
    },
];

/// As the harness names it: by `f16` it knows how many bytes a weight has that is read.
const OWN: &str = "anemone:f16";

/// Builds what is measured and what measures, makes the models that lack, measures, and prints the tables.
pub(crate) fn run(args: &Args) -> Result<bool, Stop> {
    let target = tools::root().join("target");
    build(tools::root(), "anemone-bench", &target)?;
    let engine = target.join("release/anemone-bench");
    // What the processor and its memory can do at most, the harness measures by a program of its own.
    let harness = target.join("bench-harness");
    build(args.peers.join("rust"), "limits", &harness)?;
    let python = interpreter(args.python.as_deref(), &args.peers.join("requirements.txt"), "bench-python")?;
    let workloads =
        if args.workloads.is_empty() { WORKLOADS.iter().collect() } else { args.workloads.clone() };
    for workload in &workloads {
        let folder = args.models.join(workload.name);
        let export = |python: &Path, script: &str, name: &str| {
            let mut command = Command::new(python);
            succeed(command.arg(args.peers.join(script)).arg("--dir").arg(&args.models).arg(name))
        };
        if !folder.join("model.onnx").is_file() {
            eprintln!("exporting {}", folder.display());
            // Those of images are exported together.
            export(&python, "export.py", if workload.name.starts_with("W3") { "W3" } else { workload.name })?;
        }
        let engines = args.engines.as_deref().unwrap_or(workload.peers);
        if engines.contains("litert") && !folder.join("model.tflite").is_file() {
            let requirements = args.peers.join("requirements-litert-export.txt");
            let litert = interpreter(args.litert_python.as_deref(), &requirements, "bench-litert-python")?;
            export(&litert, "export_litert.py", workload.name)?;
        }
        if !folder.join("model.mlpackage").is_dir() {
            succeed(Command::new(&engine).arg("make").arg(&folder))?;
        }
    }
    let log = tempfile::NamedTempFile::new().map_err(|e| format!("no temporary file: {e}"))?;
    for threads in args.threads.split(',') {
        for workload in &workloads {
            // Now, since all models together may be more than memory holds.
            let folder = args.models.join(workload.name);
            eprintln!("reading {} again", folder.display());
            succeed(Command::new(&engine).arg("reread").arg(&folder))?;
            let mut bench = Command::new(&python);
            bench.env("BENCH_TARGET", &harness);
            bench.arg(args.peers.join("bench.py")).args([workload.name, "--threads", threads]);
            let peers = args.engines.as_deref().unwrap_or(workload.peers);
            bench.args(["--engines", &format!("{OWN},{peers}"), "--ref", OWN, "--dir"]).arg(&args.models);
            bench.args(["--rounds", &args.rounds.to_string(), "--max-wait", &args.max_wait.to_string()]);
            bench.arg("--serve").arg(format!("anemone={} serve", engine.display()));
            succeed(bench.arg("--log").arg(log.path()).stdout(Stdio::null()))?;
        }
    }
    let casts = Command::new(&engine).arg("casts").stderr(Stdio::inherit()).output();
    let casts = casts.map_err(|e| format!("{} does not start: {e}", engine.display()))?;
    if !casts.status.success() {
        return Err(format!("{} ended with {}", engine.display(), casts.status).into());
    }
    let failed = |path: &Path, e| Stop::Failed(format!("{}: {e}", path.display()));
    let harness = std::fs::read_to_string(log.path()).map_err(|e| failed(log.path(), e))?;
    let machine = json!({ "machine": processor(), "rounds": args.rounds });
    let record = format!("{machine}\n{harness}{}", String::from_utf8_lossy(&casts.stdout));
    let measured = page::Measured::read(&record)?;
    print!("{measured}");
    if args.record {
        let docs = tools::root().join("docs");
        let (page, lines) = (docs.join("performance.md"), docs.join("performance.jsonl"));
        let old = std::fs::read_to_string(&page).map_err(|e| failed(&page, e))?;
        std::fs::write(&lines, &record).map_err(|e| failed(&lines, e))?;
        std::fs::write(&page, measured.in_page(&old)?).map_err(|e| failed(&page, e))?;
    }
    Ok(true)
}

/// Builds a program of a folder into another one.
fn build(folder: PathBuf, package: &str, target: &Path) -> Result<(), Stop> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--locked", "--package", package, "--target-dir"]).arg(target);
    succeed(build.current_dir(folder))
}

/// The interpreter that was named, or that of an environment of this name that has what is required.
fn interpreter(named: Option<&Path>, requirements: &Path, environment: &str) -> Result<PathBuf, Stop> {
    match named {
        Some(python) => Ok(python.to_path_buf()),
        None => {
            let environment = tools::root().join("target").join(environment);
            Ok(tools::python(&environment, requirements)?.join("python"))
        }
    }
}

/// The workload of this name.
fn workload(name: &str) -> Result<&'static Workload, String> {
    let known = || WORKLOADS.iter().map(|w| w.name).collect::<Vec<_>>().join(", ");
    let found = WORKLOADS.iter().find(|w| w.name == name);
    found.ok_or_else(|| format!("the workloads are {}", known()))
}

/// What the system calls the processor.
fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|l| l.strip_prefix("model name")?.trim_start().strip_prefix(": "));
    name.unwrap_or(std::env::consts::ARCH).to_owned()
}

fn succeed(command: &mut Command) -> Result<(), Stop> {
    match command.status().map_err(|e| format!("{} does not start: {e}", command.get_program().display()))? {
        status if status.success() => Ok(()),
        status => Err(format!("{} ended with {status}", command.get_program().display()).into()),
    }
}
