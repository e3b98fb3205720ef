//! What `anemone check --chip` says: where each op runs on each chip, and why.

use std::io::Write;

use anemone::Chip;
use anemone::chip::Profile;
use anemone::place::{self, OpPlacement, Placement, Route, Target, Where};
use anemone::verify::Verified;
use serde::Serialize;

use crate::failure::Failure;
use crate::table::{Align, Table};
use crate::terminal::{Terminal, style};

/// Which chips a program is placed on, and how it comes to them.
#[derive(clap::Args)]
pub(super) struct On {
    /// Say where each op runs on these chips, and why: m1 to m6, several with commas, or all
    #[arg(long, value_name = "CHIP", value_delimiter = ',')]
    chip: Vec<Chips>,
    /// How the program comes to the engine: core-ml, direct or e5rt
    #[arg(long, value_name = "ROUTE", default_value = "core-ml", requires = "chip")]
    route: Route,
    /// Which side to take where sources contradict each other: permissive or strict
    #[arg(long, value_name = "PROFILE", default_value = "permissive", requires = "chip")]
    profile: Profile,
    /// Let Core ML use the GPU too
    #[arg(long, requires = "chip")]
    gpu: bool,
}

/// One chip, or all.
#[derive(Clone, Copy)]
struct Chips(Option<Chip>);

impl std::str::FromStr for Chips {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name == "all" { Ok(Self(None)) } else { name.parse().map(|c| Self(Some(c))) }
    }
}

impl On {
    /// Whether any chip is named.
    pub(super) fn is_asked(&self) -> bool {
        !self.chip.is_empty()
    }

    /// Places every function on every chip.
    pub(super) fn place(&self, verified: &Verified, prefix: &str) -> Vec<Placed> {
        let mut chips: Vec<Chip> =
            self.chip.iter().flat_map(|c| c.0.map_or_else(|| Chip::ALL.to_vec(), |c| vec![c])).collect();
        chips.sort_unstable();
        chips.dedup();
        let target =
            |chip| Target { route: self.route, profile: self.profile, gpu: self.gpu, ..Target::new(chip) };
        let functions = |chip| {
            verified.functions().iter().map(move |f| Placed {
                function: format!("{prefix}{}", f.name),
                placement: place::place(f, target(chip)),
            })
        };
        chips.into_iter().flat_map(functions).collect()
    }
}

/// A function on a chip.
pub(super) struct Placed {
    /// Its name, with that of the stage of a pipeline.
    function: String,
    pub(super) placement: Placement,
}

/// Where an op runs, as JSON.
#[derive(Serialize)]
pub(super) struct OpRow<'a> {
    op: &'a str,
    name: &'a str,
    #[serde(rename = "where")]
    at: &'static str,
    why: &'a str,
    evidence: Evidence,
    chip: &'static str,
    route: &'static str,
    function: &'a str,
    /// Whether the engine could run it.
    on_engine: bool,
    /// When a refusal shows.
    phase: Option<&'static str>,
    change: Option<&'a str>,
    facts: Facts,
}

#[derive(Serialize)]
struct Evidence {
    source: &'static str,
    confidence: &'static str,
    os: Option<&'static str>,
}

#[derive(Serialize)]
struct Facts {
    attested: Option<bool>,
    compiles: Option<bool>,
    runs: Option<bool>,
    correct: Option<bool>,
}

impl Placed {
    /// A row for each op.
    pub(super) fn rows(&self) -> impl Iterator<Item = OpRow<'_>> {
        self.placement.ops.iter().map(|op| self.row(op))
    }

    fn row<'a>(&'a self, op: &'a OpPlacement) -> OpRow<'a> {
        let (e, f) = (op.evidence, op.facts);
        OpRow {
            op: op.op,
            name: &op.name,
            at: op.at.word(),
            why: &op.why,
            evidence: Evidence { source: e.source, confidence: e.confidence.word(), os: e.os },
            chip: self.placement.target.chip.name(),
            route: self.placement.target.route.name(),
            function: &self.function,
            on_engine: op.on_engine(),
            phase: op.phase.map(|p| p.word()),
            change: op.change.as_deref(),
            facts: Facts { attested: f.attested, compiles: f.compiles, runs: f.runs, correct: f.correct },
        }
    }

    /// A line for the function, and one for each group of ops that run at one place for one reason.
    pub(super) fn print(&self, terminal: &mut Terminal) -> Result<(), Failure> {
        let placement = &self.placement;
        let target = placement.target;
        let of = |at: Where, words: &str| match placement.count(at) {
            0 => None,
            n => Some(format!("{n} {words}")),
        };
        let counts = [
            of(Where::Ane, "on the engine"),
            of(Where::Gpu, "on the GPU"),
            of(Where::Cpu, "on the CPU"),
            of(Where::Refused, "refused"),
        ];
        let counts: Vec<String> = counts.into_iter().flatten().collect();
        let heading = format!("{} on {} ({})", self.function, target.chip, target.route.name());
        let heading = terminal.paint(style::HEADING, &anemone::source::escape(&heading));
        let n = placement.segments.len();
        let segments = format!("{n} segment{}", if n == 1 { "" } else { "s" });
        writeln!(terminal, "{heading}: {}; {segments}", counts.join(", "))?;
        let mut table = Table::new(&[
            ("ops", Align::Right),
            ("op", Align::Left),
            ("where", Align::Left),
            ("why", Align::Left),
            ("evidence", Align::Left),
        ]);
        for (op, count) in groups(placement) {
            let why = match &op.change {
                Some(change) => format!("{}; to change it: {change}", op.why),
                None => op.why.to_string(),
            };
            let at = op.at.word().to_string();
            table.row([count.to_string(), op.op.to_string(), at, why, op.evidence.to_string()]);
        }
        table.print(terminal)?;
        writeln!(terminal)?;
        Ok(())
    }
}

/// The ops in groups of one op, place and reason, in the order of the program, each with how many there are.
fn groups(placement: &Placement) -> Vec<(&OpPlacement, usize)> {
    let mut places = std::collections::HashMap::new();
    let mut groups: Vec<(&OpPlacement, usize)> = Vec::new();
    for op in &placement.ops {
        let at = *places.entry((op.op, op.at.word(), &op.why)).or_insert(groups.len());
        match groups.get_mut(at) {
            Some((_, count)) => *count += 1,
            None => groups.push((op, 1)),
        }
    }
    groups
}
