//! What `anemone check --ranges` says: between which numbers values lie, and what a chip makes of them.

use std::io::Write;

use anemone::Chip;
use anemone::chip::Numerics;
use anemone::device::{self, Options, Spread, Survey};
use anemone::range::{self, Bounds, Finding, Range};
use anemone::source::escape;
use anemone::types::Tensor;
use anemone::verify::{Function, Verified};
use serde::Serialize;

use super::chips::On;
use crate::failure::Failure;
use crate::inputs::{NamedFile, gather};
use crate::model::{Model, refused_by_engine};
use crate::statistics::short;
use crate::terminal::{Terminal, style};

/// Which ranges are asked for.
#[derive(clap::Args)]
pub(super) struct Asked {
    /// Say which numbers each value can be, and where they overflow, saturate or vanish on the chip
    #[arg(long, requires = "chip")]
    ranges: bool,
    /// What an input or state holds, for --ranges [default: any finite number of its dtype]
    #[arg(long = "range", value_name = "NAME=LOW:HIGH", requires = "ranges", allow_hyphen_values = true)]
    given: Vec<NamedRange>,
    /// A sample of an input to run on, for --ranges; a second file of an input is a second sample
    #[arg(short, long = "input", value_name = "NAME=FILE.npy", requires = "ranges")]
    inputs: Vec<NamedFile>,
    /// Run on inputs that are made from this seed, where no file gives them
    #[arg(long, value_name = "N", requires = "ranges")]
    seed: Option<u64>,
}

/// `NAME=LOW:HIGH`.
#[derive(Clone, Debug)]
struct NamedRange {
    name: String,
    range: Range,
}

impl std::str::FromStr for NamedRange {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s.split_once('=') {
            Some((name, range)) if !name.is_empty() => {
                Ok(Self { name: name.to_string(), range: range.parse()? })
            }
            _ => Err("it is not of the form NAME=LOW:HIGH".into()),
        }
    }
}

/// The ranges of a function on a chip.
pub(super) struct Ranged {
    chip: Chip,
    function: String,
    inputs: Vec<(String, Range)>,
    bounds: Bounds,
    samples: usize,
    survey: Option<Survey>,
    findings: Vec<Finding>,
}

/// As JSON. An end that is null is infinite.
#[derive(Serialize)]
pub(super) struct RangesRow<'a> {
    chip: &'static str,
    function: &'a str,
    samples: usize,
    ops: Vec<OpRow<'a>>,
    findings: Vec<FindingRow<'a>>,
}

#[derive(Serialize)]
struct Ends {
    low: f64,
    high: f64,
    nan: bool,
}

impl From<Range> for Ends {
    fn from(Range { lo, hi, nan }: Range) -> Self {
        Self { low: lo, high: hi, nan }
    }
}

#[derive(Serialize)]
struct OpRow<'a> {
    op: &'static str,
    name: &'a str,
    bounds: Ends,
    /// The largest magnitude of a sum on its way.
    sums: Option<f64>,
    product: Option<f64>,
    unit: Option<&'static str>,
    seen: Option<SpreadRow>,
}

#[derive(Serialize)]
struct SpreadRow {
    low: f64,
    high: f64,
    elements: usize,
    infinite: usize,
    nan: usize,
    zero: usize,
    subnormal: usize,
    overflown: usize,
    vanished: usize,
    lost: f64,
    read_as_numbers: usize,
}

impl From<Spread> for SpreadRow {
    fn from(s: Spread) -> Self {
        Self {
            low: s.range.lo,
            high: s.range.hi,
            elements: s.elements,
            infinite: s.infinite,
            nan: s.nan,
            zero: s.zero,
            subnormal: s.subnormal,
            overflown: s.overflown,
            vanished: s.vanished,
            lost: s.lost,
            read_as_numbers: s.read_as_numbers,
        }
    }
}

#[derive(Serialize)]
struct FindingRow<'a> {
    kind: &'static str,
    certainty: &'static str,
    /// Whether the cause is no earlier op.
    first: bool,
    op: &'static str,
    name: &'a str,
    reaches: f64,
    limit: f64,
    happens: &'static str,
    change: String,
    knowledge: &'static str,
    source: &'static str,
}

impl Asked {
    /// The ranges of every function on every chip that is asked for.
    pub(super) fn find(
        &self,
        model: &Model,
        verified: &Verified,
        on: &On,
        prefix: &str,
        terminal: &mut Terminal,
    ) -> Result<Vec<Ranged>, Failure> {
        if !self.ranges {
            return Ok(Vec::new());
        }
        let known = |name: &str| {
            verified.functions().iter().any(|f| f.params.iter().any(|&p| f.value(p).name == *name))
        };
        if let Some(wrong) = self.given.iter().find(|g| !known(&g.name)) {
            return Err(Failure::world(format!("no function has an input `{}`", wrong.name)));
        }
        let mut all = Vec::new();
        for function in verified.functions() {
            let samples = self.samples(model, function)?;
            for chip in on.chips() {
                all.push(self.of(model, function, chip, &samples, prefix, terminal)?);
            }
        }
        Ok(all)
    }

    /// What the function is run on: the first file of each input, the second of each, and so on.
    fn samples(&self, model: &Model, function: &Function) -> Result<Vec<Vec<(String, Tensor)>>, Failure> {
        let own = |name: &str| function.inputs().any(|v| v.name == *name);
        let of = |name: &str| self.inputs.iter().filter(|f| f.name == name).cloned().collect::<Vec<_>>();
        let names: Vec<String> = function.inputs().map(|v| v.name.to_string()).collect();
        if let Some(wrong) = self.inputs.iter().find(|f| !own(&f.name)) {
            gather(model, function, std::slice::from_ref(wrong), 0)?;
        }
        let files: Vec<Vec<NamedFile>> = names.iter().map(|name| of(name)).collect();
        let least = usize::from(self.seed.is_some());
        let count = files.iter().map(Vec::len).max().unwrap_or(0).max(least);
        let sample = |i: usize| {
            let given: Vec<NamedFile> = files.iter().filter_map(|f| f.get(i).or(f.last())).cloned().collect();
            let inputs = gather(model, function, &given, self.seed.unwrap_or(0).wrapping_add(i as u64))?;
            Ok(inputs.into_iter().map(|input| (input.name, input.tensor)).collect())
        };
        (0..count).map(sample).collect()
    }

    fn of(
        &self,
        model: &Model,
        function: &Function,
        chip: Chip,
        samples: &[Vec<(String, Tensor)>],
        prefix: &str,
        terminal: &mut Terminal,
    ) -> Result<Ranged, Failure> {
        let has = |name: &str| function.params.iter().any(|&p| function.value(p).name == *name);
        let given: Vec<(&str, Range)> =
            self.given.iter().filter(|g| has(&g.name)).map(|g| (g.name.as_str(), g.range)).collect();
        let numerics = Numerics::Chip(chip);
        let progress = terminal.progress(&format!("bounding {} on {chip}", function.name), None);
        let bounds = range::bounds(function, &given, numerics);
        drop(progress);
        let bounds = bounds.map_err(|d| Failure::world(d.to_string()))?;
        let named: Vec<Vec<(&str, Tensor)>> =
            samples.iter().map(|s| s.iter().map(|(name, x)| (name.as_str(), x.clone())).collect()).collect();
        let survey = if named.is_empty() {
            None
        } else {
            let progress = terminal.progress(&format!("running {} as on {chip}", function.name), None);
            let survey = device::survey(function, &named, &Options { numerics, ..Options::default() });
            drop(progress);
            Some(survey.map_err(|e| refused_by_engine(&e.into(), model.source.as_ref(), terminal))?)
        };
        let findings = survey.as_ref().map_or_else(|| bounds.findings(), |survey| survey.findings(&bounds));
        let inputs = function.params.iter().map(|&p| (function.value(p).name.to_string(), bounds.of(p)));
        Ok(Ranged {
            chip,
            function: format!("{prefix}{}", function.name),
            inputs: inputs.collect(),
            samples: named.len(),
            bounds,
            survey,
            findings,
        })
    }
}

impl Ranged {
    pub(super) fn row(&self) -> RangesRow<'_> {
        let seen = |value| self.survey.as_ref().and_then(|survey| survey.of(value));
        let ops = self.bounds.steps.iter().map(|step| OpRow {
            op: step.op,
            name: &step.name,
            bounds: step.result.into(),
            sums: step.sums.map(|s| s.reach),
            product: step.sums.map(|s| s.product),
            unit: step.rule.map(|rule| rule.unit.word()),
            seen: step.value.and_then(seen).map(SpreadRow::from),
        });
        let findings = self.findings.iter().map(|f| FindingRow {
            kind: f.kind.word(),
            certainty: f.certainty.word(),
            first: f.is_first,
            op: f.op,
            name: &f.name,
            reaches: f.reaches,
            limit: f.kind.limit(),
            happens: f.kind.sentence(),
            change: f.change(),
            knowledge: f.knowledge.name(),
            source: f.source,
        });
        RangesRow {
            chip: self.chip.name(),
            function: &self.function,
            samples: self.samples,
            ops: ops.collect(),
            findings: findings.collect(),
        }
    }

    /// The ranges of the inputs, and what was found.
    pub(super) fn print(&self, terminal: &mut Terminal) -> Result<(), Failure> {
        /// So many findings are told; JSON has all.
        const TOLD: usize = 20;
        let heading = escape(&format!("ranges of {} on {}", self.function, self.chip)).to_string();
        let heading = terminal.paint(style::HEADING, &heading);
        let inputs: Vec<String> =
            self.inputs.iter().map(|(name, range)| format!("{name} in {}", shown(*range))).collect();
        writeln!(terminal, "{heading}: with {}", escape(&inputs.join(", ")))?;
        let engine = self.bounds.steps.iter().filter(|step| step.rule.is_some()).count();
        let mut steps: Vec<usize> = self.findings.iter().map(|f| f.step).collect();
        steps.dedup();
        writeln!(
            terminal,
            "of {engine} ops that compute on the engine {} stay in its range whatever the inputs are",
            engine - steps.len().min(engine)
        )?;
        // What happened comes before what could, and causes before what follows from them.
        let mut told: Vec<&Finding> = self.findings.iter().collect();
        told.sort_by_key(|f| (std::cmp::Reverse(f.certainty), !f.is_first));
        for finding in told.iter().take(TOLD) {
            self.tell(finding, terminal)?;
        }
        if told.len() > TOLD {
            writeln!(terminal, "and {} more; --json has all", told.len() - TOLD)?;
        }
        Ok(writeln!(terminal)?)
    }

    fn tell(&self, f: &Finding, terminal: &mut Terminal) -> Result<(), Failure> {
        let follows = if f.is_first { "" } else { ", since an argument may be infinite" };
        let kind = terminal.paint(style::DOUBTFUL, f.kind.word());
        let can = match f.certainty {
            range::Certainty::Possible => "can reach",
            _ => "reaches",
        };
        writeln!(
            terminal,
            "{kind} ({}) at `{}` ({}): it {can} {}, and the limit is {}{follows}",
            f.certainty.word(),
            escape(&f.name),
            f.op,
            short(f.reaches),
            short(f.kind.limit())
        )?;
        if let Some(s) = f.value.and_then(|value| self.survey.as_ref()?.of(value)) {
            let counts = [
                (s.overflown, "infinite on the chip alone"),
                (s.vanished, "zero on the chip alone"),
                (s.read_as_numbers, "finite on the chip alone"),
                (s.subnormal, "subnormal"),
            ];
            let counts = counts.into_iter().filter(|&(n, _)| n > 0).map(|(n, what)| format!(", {n} {what}"));
            let counts: String = counts.collect();
            writeln!(terminal, "  samples: {} elements in {}{counts}", s.elements, shown(s.range))?;
        }
        writeln!(terminal, "  {}", f.kind.sentence())?;
        writeln!(terminal, "  to change it: {}", f.change())?;
        writeln!(terminal, "  known: {} ({})", f.knowledge.name(), f.source)?;
        Ok(())
    }
}

fn shown(range: Range) -> String {
    let nan = if range.nan { " or NaN" } else { "" };
    format!("[{}, {}]{nan}", short(range.lo), short(range.hi))
}
