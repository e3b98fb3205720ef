//! What `anemone check --chip` says: where each op runs on each chip, and why.

use std::io::Write;

use anemone::Chip;
use anemone::chip::Profile;
use anemone::place::cost::Cost;
use anemone::place::{self, OpPlacement, Placement, Route, Target, Where};
use anemone::verify::{Function, Verified};
use serde::Serialize;

use crate::commands::evidence::{Evidence, Facts};
use crate::failure::Failure;
use crate::segments::{self, Segment};
use crate::statistics::{duration, short};
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

    /// The chips, each once.
    pub(super) fn chips(&self) -> Vec<Chip> {
        let mut chips: Vec<Chip> =
            self.chip.iter().flat_map(|c| c.0.map_or_else(|| Chip::ALL.to_vec(), |c| vec![c])).collect();
        chips.sort_unstable();
        chips.dedup();
        chips
    }

    /// Places every function on every chip.
    pub(super) fn place(&self, verified: &Verified, prefix: &str) -> Vec<Placed> {
        let target =
            |chip| Target { route: self.route, profile: self.profile, gpu: self.gpu, ..Target::new(chip) };
        let is_main = |f: &Function| f.name == verified.main().name;
        let functions = |chip| {
            verified.functions().iter().map(move |f| {
                let placement = place::place(f, target(chip));
                let cost = Cost::placed(f, &placement);
                Placed { function: format!("{prefix}{}", f.name), is_main: is_main(f), placement, cost }
            })
        };
        self.chips().into_iter().flat_map(functions).collect()
    }
}

/// A function on a chip.
pub(super) struct Placed {
    /// Its name, with that of the stage of a pipeline.
    pub(super) function: String,
    /// Whether it is the function that runs when none is named.
    is_main: bool,
    pub(super) placement: Placement,
    pub(super) cost: Cost,
}

/// What a run takes, as JSON: that of the main function on the first chip, and of each function on each chip.
#[derive(Serialize)]
pub(super) struct CostReport<'a> {
    #[serde(flatten)]
    main: CostRow<'a>,
    all: Vec<CostRow<'a>>,
}

impl<'a> CostReport<'a> {
    /// `None` when nothing was placed.
    pub(super) fn of(placed: &[&'a Placed]) -> Option<Self> {
        let main = placed.iter().find(|p| p.is_main).or(placed.first())?;
        Some(Self { main: main.cost_row(), all: placed.iter().map(|p| p.cost_row()).collect() })
    }
}

/// What a function takes on a chip, as JSON.
#[derive(Serialize)]
struct CostRow<'a> {
    chip: &'static str,
    route: &'static str,
    function: &'a str,
    /// A call, and what it consists of.
    ms: f64,
    dispatch_ms: f64,
    wake_ms: f64,
    copies_ms: f64,
    engine_ms: f64,
    elsewhere_ms: f64,
    switches_ms: f64,
    compile_ms: f64,
    load_ms: f64,
    first_load_ms: f64,
    energy_mj: Option<f64>,
    multiply_adds: u64,
    bytes: u64,
    gflops: f64,
    roofline: Roofline,
    /// The steps whose time is not known before the run.
    unknown: usize,
    ops: Vec<OpCost<'a>>,
    segments: Vec<Segment>,
    /// The numbers of the machine, and how they are known.
    rates: Vec<RateRow>,
}

/// What the chip could do at most.
#[derive(Serialize)]
struct Roofline {
    peak_gflops: f64,
    gb_s: f64,
    /// Operations for each byte, above which arithmetic is the limit.
    ridge: f64,
    /// Operations for each byte of this function.
    intensity: f64,
}

#[derive(Serialize)]
struct RateRow {
    name: &'static str,
    unit: &'static str,
    value: f64,
    evidence: Evidence,
}

#[derive(Serialize)]
struct OpCost<'a> {
    op: &'static str,
    name: &'a str,
    us: f64,
    bound: &'static str,
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

impl Placed {
    /// A row for each op.
    pub(super) fn rows(&self) -> impl Iterator<Item = OpRow<'_>> {
        self.placement.ops.iter().map(|op| self.row(op))
    }

    fn row<'a>(&'a self, op: &'a OpPlacement) -> OpRow<'a> {
        OpRow {
            op: op.op,
            name: &op.name,
            at: op.at.word(),
            why: &op.why,
            evidence: Evidence::of(op.evidence),
            chip: self.placement.target.chip.name(),
            route: self.placement.target.route.name(),
            function: &self.function,
            on_engine: op.on_engine(),
            phase: op.phase.map(|p| p.word()),
            change: op.change.as_deref(),
            facts: Facts::of(op.facts),
        }
    }

    fn cost_row(&self) -> CostRow<'_> {
        let (c, target) = (&self.cost, self.placement.target);
        CostRow {
            chip: target.chip.name(),
            route: target.route.name(),
            function: &self.function,
            ms: c.seconds() * 1e3,
            dispatch_ms: c.dispatch * 1e3,
            wake_ms: c.wake * 1e3,
            copies_ms: c.copies * 1e3,
            engine_ms: c.engine * 1e3,
            elsewhere_ms: c.elsewhere * 1e3,
            switches_ms: c.switches * 1e3,
            compile_ms: c.compile * 1e3,
            load_ms: c.load * 1e3,
            first_load_ms: c.first_load * 1e3,
            energy_mj: c.energy.map(|e| e * 1e3),
            multiply_adds: c.multiply_adds(),
            bytes: c.bytes(),
            gflops: c.flops() / 1e9,
            roofline: Roofline {
                peak_gflops: c.rates.peak_flops() / 1e9,
                gb_s: c.rates.peak_flops() / c.rates.ridge() / 1e9,
                ridge: c.rates.ridge(),
                intensity: c.intensity(),
            },
            unknown: c.unknown,
            ops: c
                .steps
                .iter()
                .map(|s| OpCost { op: s.op, name: &s.name, us: s.seconds * 1e6, bound: s.bound.word() })
                .collect(),
            segments: segments::of(c),
            rates: c
                .rates
                .figures()
                .map(|(name, unit, f)| RateRow {
                    name,
                    unit,
                    value: f.value,
                    evidence: Evidence::of(f.evidence),
                })
                .collect(),
        }
    }

    /// Whether this is what became of a function, whatever stage it is in.
    pub(super) fn is_of(&self, function: &Function) -> bool {
        self.placement.function == function.name
    }

    /// What a call consists of, in seconds, without what takes no time.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let c = &self.cost;
        let parts = [
            ("dispatch", c.dispatch),
            ("waking", c.wake),
            ("copies", c.copies),
            ("the engine", c.engine),
            ("other devices", c.elsewhere),
            ("switches", c.switches),
        ];
        parts.into_iter().filter(|&(_, seconds)| seconds > 0.0)
    }

    /// What a run takes, in words.
    fn predicted(&self) -> String {
        let c = &self.cost;
        if self.placement.count(Where::Ane) == 0 {
            let elsewhere = duration(c.elsewhere * 1e3);
            return format!(
                "predicted: no time on the engine, and {elsewhere} on other devices as Core ML counts"
            );
        }
        let parts: Vec<String> =
            self.parts().map(|(what, seconds)| format!("{what} {}", duration(seconds * 1e3))).collect();
        let mut line = format!("predicted: {} a call ({})", duration(c.seconds() * 1e3), parts.join(", "));
        if c.compile > 0.0 {
            let [compile, load, first] =
                [c.compile, c.load, c.first_load].map(|seconds| duration(seconds * 1e3));
            line += &format!("; compile {compile}, load {load}, at first {first}");
        }
        if let Some(joules) = c.energy {
            line += &format!("; {} mJ", short(joules * 1e3));
        }
        match c.unknown {
            0 => line,
            n => format!("{line}; without {n} whose time is not known before the run"),
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
        let plural = if n == 1 { "" } else { "s" };
        writeln!(terminal, "{heading}: {}; {n} segment{plural}", counts.join(", "))?;
        writeln!(terminal, "{}", self.predicted())?;
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
        segments::print(&segments::of(&self.cost), terminal)?;
        writeln!(terminal)?;
        Ok(())
    }
}

/// The ops in groups of one op, place and reason, in the order of the program, each with how many there are.
pub(super) fn groups(placement: &Placement) -> Vec<(&OpPlacement, usize)> {
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
