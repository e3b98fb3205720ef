//! `anemone info`.

use std::io::Write;

use anemone::device::{self, Engine, Options};
use anemone::mil::Opset;
use anemone::ops;
use serde::Serialize;

use crate::failure::Failure;
use crate::terminal::Terminal;

/// Say what this build and this machine can do
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  anemone info
  anemone info --json | jq .engines")]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Info {
    version: &'static str,
    os: &'static str,
    arch: &'static str,
    /// Apple's frameworks, of which the path to the hardware needs each.
    frameworks: Vec<Found>,
    engines: Vec<&'static str>,
    threads: usize,
    cpu_features: Vec<&'static str>,
    opsets: Vec<&'static str>,
    ops: usize,
    ops_with_reference: usize,
    ops_with_kernels: usize,
}

#[derive(Serialize)]
struct Found {
    name: &'static str,
    found: bool,
    /// Why it cannot be opened, in the loader's words.
    error: Option<String>,
}

pub(crate) fn run(args: &Args, terminal: &mut Terminal) -> Result<(), Failure> {
    let info = Info {
        version: env!("CARGO_PKG_VERSION"),
        os: std::env::consts::OS,
        arch: std::env::consts::ARCH,
        frameworks: device::frameworks()
            .into_iter()
            .map(|f| Found { name: f.library.name, found: f.error.is_none(), error: f.error })
            .collect(),
        engines: Engine::ALL.iter().map(|e| e.name()).collect(),
        threads: Options::default().threads,
        cpu_features: cpu_features(),
        opsets: Opset::ALL.iter().map(|o| o.name()).collect(),
        ops: ops::all().count(),
        ops_with_reference: ops::all().filter(|o| o.has_meaning()).count(),
        ops_with_kernels: ops::all().filter(|o| o.fast.has_kernels()).count(),
    };
    if args.json {
        return terminal.json(&info);
    }
    let features =
        if info.cpu_features.is_empty() { "none of note".into() } else { info.cpu_features.join(", ") };
    writeln!(terminal, "anemone   {} on {} {}", info.version, info.os, info.arch)?;
    let hardware = if info.frameworks.iter().all(|f| f.found) {
        "Apple's frameworks are here; this build does not drive them yet"
    } else {
        "none (needs Apple Silicon)"
    };
    writeln!(terminal, "hardware  {hardware}")?;
    writeln!(terminal, "engines   {}", info.engines.join(", "))?;
    writeln!(terminal, "threads   {}", info.threads)?;
    writeln!(terminal, "cpu       {features}")?;
    writeln!(terminal, "opsets    {}", info.opsets.join(", "))?;
    writeln!(
        terminal,
        "ops       {}; {} can be run, {} of them with kernels",
        info.ops, info.ops_with_reference, info.ops_with_kernels
    )?;
    Ok(())
}

/// The features of this processor that matter to kernels.
fn cpu_features() -> Vec<&'static str> {
    let mut found = Vec::new();
    macro_rules! look_for {
        ($is:ident: $($name:tt)*) => { $(if std::arch::$is!($name) { found.push($name); })* };
    }
    #[cfg(target_arch = "x86_64")]
    look_for!(is_x86_feature_detected: "avx" "avx2" "fma" "f16c" "avx512f" "avx512bw" "avx512vnni" "avx512fp16" "avx512bf16");
    #[cfg(target_arch = "aarch64")]
    look_for!(is_aarch64_feature_detected: "neon" "fp16" "dotprod" "bf16" "i8mm" "sve");
    found
}
