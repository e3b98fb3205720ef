//! `cargo xtask bench`: whole models beside other runtimes, in one run.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Stop, tools};

/// What is measured: where, with whom, how often.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The harness: a folder with `bench.py` and `report.py`, whose engines have been installed.
    peers: PathBuf,
    /// The models that the harness has exported, a folder for each workload.
    models: PathBuf,
    /// The other engines, as the harness names them.
    #[arg(long, default_value = "ort:f32,openvino:f32")]
    engines: String,
    /// The workloads.
    #[arg(long, default_value = "W1,W2-stories,W2-qwen,W3-resnet50,W3-mobilenetv2,W3-mobilenetv3,W4")]
    workloads: String,
    /// How many rounds: in each, every engine runs once for a while, in another order.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The numbers of threads.
    #[arg(long, default_value = "1,2")]
    threads: String,
    /// The interpreter that has what the harness needs.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Where measurements are added, a line of JSON for each.
    #[arg(long)]
    log: PathBuf,
}

/// Builds anemone's engine, makes the models that lack, measures, and prints the tables.
pub(crate) fn run(args: &Args) -> Result<bool, Stop> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--locked", "--package", "anemone-bench"]).current_dir(tools::root());
    succeed(&mut build)?;
    let engine = tools::root().join("target/release/anemone-bench");
    for workload in args.workloads.split(',') {
        let folder = args.models.join(workload);
        if !folder.join("model.mlpackage").is_dir() {
            succeed(Command::new(&engine).arg("make").arg(&folder))?;
        }
    }
    for threads in args.threads.split(',') {
        for workload in args.workloads.split(',') {
            let mut bench = python(args, "bench.py");
            bench.arg(workload).args(["--threads", threads, "--engines", &args.engines, "--dir"]);
            bench.arg(&args.models).args(["--rounds", &args.rounds.to_string(), "--log"]).arg(&args.log);
            bench.arg("--serve").arg(format!("anemone={} serve", engine.display()));
            succeed(&mut bench)?;
        }
    }
    succeed(python(args, "report.py").arg(&args.log))?;
    Ok(true)
}

fn python(args: &Args, script: &str) -> Command {
    let mut command = Command::new(&args.python);
    let script: &Path = script.as_ref();
    command.arg(args.peers.join(script));
    command
}

fn succeed(command: &mut Command) -> Result<(), Stop> {
    match command.status().map_err(|e| format!("{} does not start: {e}", command.get_program().display()))? {
        status if status.success() => Ok(()),
        status => Err(format!("{} ended with {status}", command.get_program().display()).into()),
    }
}
