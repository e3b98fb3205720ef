//! `anemone info`.

use std::io::Write;

use anemone::Chip;
use anemone::chip::{Encoding, HARDWARE, LIMITS, Profile};
use anemone::device::{self, Engine, Options};
use anemone::mil::Opset;
use anemone::ops;
use serde::Serialize;

use crate::commands::evidence::Evidence;
use crate::failure::Failure;
use crate::table::{Align, Table};
use crate::terminal::Terminal;

/// Say what this build and this machine can do
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  anemone info
  anemone info --json | jq .engines
  anemone info --chip m4    what is known of a chip: its limits, and what its compiler's tables say")]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Say what is known of a chip instead, and how: m1 to m6
    #[arg(long, value_name = "CHIP")]
    chip: Option<Chip>,
}

/// A fact of a chip.
#[derive(Serialize)]
struct Fact {
    what: &'static str,
    /// Null where there is no limit.
    value: Option<String>,
    evidence: Evidence,
    #[serde(skip)]
    known: String,
    /// What stricter reports say, where sources contradict each other.
    strict: Option<Box<Fact>>,
}

impl Fact {
    fn new(what: &'static str, value: Option<String>, known: anemone::chip::Evidence) -> Self {
        Self { what, value, evidence: Evidence::of(known), known: known.to_string(), strict: None }
    }
}

/// What is known of a chip.
#[derive(Serialize)]
struct Known {
    chip: &'static str,
    architecture: &'static str,
    family: u32,
    engines: u32,
    cores: u32,
    limits: Vec<Fact>,
    /// The compiler's own tables.
    tables: Vec<Fact>,
    /// Which encodings of weights are read as they are.
    streams: Vec<Fact>,
}

impl Known {
    fn of(chip: Chip) -> Self {
        let limits = LIMITS.iter().map(|row| {
            let limit = |profile| {
                let limit = chip.limit(row.quantity, profile);
                let value = (limit.value < u64::MAX).then(|| limit.value.to_string());
                Fact::new(row.what, value, limit.evidence)
            };
            let strict = row.strict.is_some().then(|| Box::new(limit(Profile::Strict)));
            Fact { strict, ..limit(Profile::Permissive) }
        });
        let tables = HARDWARE.iter().map(|h| Fact::new(h.name, Some(h.value(chip).into()), h.evidence(chip)));
        let encodings = [
            ("palettes", Encoding::Palette),
            ("sparse weights", Encoding::Sparse),
            ("weights of 8 bits", Encoding::Int8),
            ("weights with a scale for each block", Encoding::Blockwise),
        ];
        let streams = encodings.map(|(what, encoding)| {
            let (yes, evidence) = chip.streams(encoding);
            Fact::new(what, Some(if yes { "yes" } else { "no" }.into()), evidence)
        });
        Self {
            chip: chip.name(),
            architecture: chip.architecture(),
            family: chip.family(),
            engines: chip.engines(),
            cores: chip.cores(),
            limits: limits.collect(),
            tables: tables.collect(),
            streams: streams.into(),
        }
    }

    fn print(&self, terminal: &mut Terminal) -> Result<(), Failure> {
        let Self { chip, architecture, family, engines, cores, .. } = self;
        writeln!(terminal, "{chip} ({architecture}, family {family}): {engines} x {cores} cores\n")?;
        let lists = [
            ("AT MOST", &self.limits),
            ("TABLES OF THE COMPILER", &self.tables),
            ("STREAMED", &self.streams),
        ];
        for (heading, facts) in lists {
            let mut table =
                Table::new(&[(heading, Align::Left), ("VALUE", Align::Right), ("EVIDENCE", Align::Left)]);
            for fact in facts {
                let value = |f: &Fact| f.value.clone().unwrap_or_else(|| "any".into());
                table.row([fact.what.to_string(), value(fact), fact.known.clone()]);
                if let Some(strict) = &fact.strict {
                    table.row(["  by the strict profile".into(), value(strict), strict.known.clone()]);
                }
            }
            table.print(terminal)?;
            writeln!(terminal)?;
        }
        Ok(())
    }
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
    if let Some(chip) = args.chip {
        let known = Known::of(chip);
        return if args.json { terminal.json(&known) } else { known.print(terminal) };
    }
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
