//! What is predicted for the engine of a chip, beside what this machine was measured to do.

use std::collections::HashMap;

use anemone::Chip;
use anemone::mil::Name;
use anemone::place::cost::{Bound, Cost, StepCost};
use anemone::place::{self, Route, Target, Where};
use anemone::verify::Function;
use serde::Serialize;

use super::Report;
use crate::roofline::{Dot, Roof, picture};
use crate::segments::{self, Segment};
use crate::statistics::{duration, short};

/// What is predicted of a function.
pub(super) struct Predicted {
    cost: Cost,
    chip: Chip,
    route: Route,
    /// How many ops the route refuses.
    refused: usize,
    /// The steps by the name of their first result.
    steps: HashMap<Name, usize>,
}

/// What is predicted of a call.
#[derive(Serialize)]
pub(super) struct OnChip {
    pub(super) chip: &'static str,
    route: &'static str,
    machine: &'static str,
    ms: f64,
    dispatch_ms: f64,
    copies_ms: f64,
    engine_ms: f64,
    elsewhere_ms: f64,
    compile_ms: f64,
    load_ms: f64,
    first_load_ms: f64,
    energy_mj: Option<f64>,
    gflops: f64,
    peak_gflops: f64,
    gb_s: f64,
    /// Operations for each byte, above which arithmetic is the limit, and of this function.
    ridge: f64,
    intensity: f64,
    /// The ops that the route refuses, and those whose time is not known before the run: they count as nothing.
    refused: usize,
    unknown: usize,
    pub(super) segments: Vec<Segment>,
}

/// What is predicted of a step.
#[derive(Serialize)]
pub(super) struct StepOnChip {
    pub(super) us: f64,
    /// Where it runs: `ane`, `cpu`, `gpu` or `refused`.
    #[serde(rename = "where")]
    at: &'static str,
    pub(super) waits_for: &'static str,
    gflops: f64,
    /// Operations for each byte.
    intensity: f64,
    /// The least time that the chip's roofline allows, over the time; null of what takes none.
    share_of_limit: Option<f64>,
}

impl Predicted {
    pub(super) fn of(function: &Function, chip: Chip, route: Route) -> Self {
        let placement = place::place(function, Target { route, ..Target::new(chip) });
        let cost = Cost::placed(function, &placement);
        let refused = placement.count(Where::Refused);
        let steps = cost.steps.iter().enumerate().map(|(i, s)| (s.name.clone(), i)).collect();
        Self { cost, chip, route, refused, steps }
    }

    /// What is predicted of the ops of one step of a plan, by the names of their results.
    pub(super) fn step(&self, results: &[Name]) -> StepOnChip {
        let steps: Vec<&StepCost> =
            results.iter().filter_map(|name| Some(&self.cost.steps[*self.steps.get(name)?])).collect();
        let longest = steps.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let seconds: f64 = steps.iter().map(|s| s.seconds).sum();
        let operations = 2.0 * steps.iter().map(|s| s.multiply_adds as f64).sum::<f64>();
        let moved: f64 = steps.iter().map(|s| s.weights.saturating_add(s.activations) as f64).sum();
        let peak = self.cost.rates.peak_flops();
        let least = (operations / peak).max(moved / (peak / self.cost.rates.ridge()));
        StepOnChip {
            us: seconds * 1e6,
            at: longest.map_or(Where::Ane, |s| s.at).word(),
            waits_for: longest.map_or(Bound::Nothing, |s| s.bound).word(),
            gflops: if seconds > 0.0 { operations / seconds / 1e9 } else { 0.0 },
            intensity: operations / moved.max(1.0),
            share_of_limit: (seconds > 0.0).then(|| least / seconds),
        }
    }

    pub(super) fn whole(&self) -> OnChip {
        let (c, rates) = (&self.cost, self.cost.rates);
        OnChip {
            chip: self.chip.name(),
            route: self.route.name(),
            machine: rates.name,
            ms: c.seconds() * 1e3,
            dispatch_ms: (c.dispatch + c.wake + c.switches) * 1e3,
            copies_ms: c.copies * 1e3,
            engine_ms: c.engine * 1e3,
            elsewhere_ms: c.elsewhere * 1e3,
            compile_ms: c.compile * 1e3,
            load_ms: c.load * 1e3,
            first_load_ms: c.first_load * 1e3,
            energy_mj: c.energy.map(|e| e * 1e3),
            gflops: c.flops() / 1e9,
            peak_gflops: rates.peak_flops() / 1e9,
            gb_s: rates.peak_flops() / rates.ridge() / 1e9,
            ridge: rates.ridge(),
            intensity: c.intensity(),
            refused: self.refused,
            unknown: c.unknown,
            segments: segments::of(c),
        }
    }
}

impl OnChip {
    /// What is predicted, in words, beside what a call takes here.
    pub(super) fn lines(&self, here_ms: f64) -> Vec<String> {
        let parts = [
            (self.engine_ms, "on the engine"),
            (self.elsewhere_ms, "on other devices"),
            (self.dispatch_ms, "dispatch"),
            (self.copies_ms, "copies"),
        ];
        let parts = parts.into_iter().filter(|&(ms, _)| ms > 0.0);
        let parts: Vec<String> = parts.map(|(ms, what)| format!("{} {what}", duration(ms))).collect();
        let mut first = format!(
            "predicted for {} ({}): {} a call: {}",
            self.machine,
            self.route,
            duration(self.ms),
            parts.join(", ")
        );
        if let Some(mj) = self.energy_mj.filter(|&mj| mj > 0.0) {
            first += &format!("; {} mJ", short((mj * 1e3).round() / 1e3));
        }
        let mut lines = vec![
            first,
            format!(
                "  {:.0} GFLOP/s of {:.0}; its {:.0} operations a byte are {} the ridge of {:.0}",
                self.gflops,
                self.peak_gflops,
                self.intensity,
                if self.intensity < self.ridge { "below" } else { "above" },
                self.ridge
            ),
        ];
        if self.ms > 0.0 {
            let times = here_ms / self.ms;
            let digits = usize::from(times < 10.0);
            lines.push(format!("  here a call takes {times:.digits$} times as long"));
        }
        if self.compile_ms > 0.0 {
            let [compile, load, first] = [self.compile_ms, self.load_ms, self.first_load_ms].map(duration);
            lines.push(format!("  compile {compile}, load {load}, at first {first}"));
        }
        if self.refused + self.unknown > 0 {
            lines.push(format!(
                "  refused: {}; of no known time: {}: they count as nothing; `anemone check --chip {} \
                 --route {}` says why",
                self.refused,
                self.unknown.saturating_sub(self.refused),
                self.chip,
                self.route
            ));
        }
        lines
    }
}

/// A time; nothing where it is none.
pub(super) fn time(us: f64) -> String {
    if us > 0.0 { duration(us / 1e3) } else { String::new() }
}

/// The rooflines of this machine and of the chip, with the steps that multiply below each.
pub(super) fn roofline(report: &Report<'_>, on: &OnChip) -> String {
    /// So many steps are drawn.
    const DRAWN: usize = 2000;
    const HERE: &str = "var(--cpu)";
    const THERE: &str = "var(--ane)";
    let mut dots = Vec::new();
    for step in report.steps.iter().filter(|s| s.multiply_adds > 0).take(DRAWN) {
        let moved = ((step.read_bytes + step.written_bytes) as f64).max(1.0);
        let mut dot = |machine: &str, intensity: f64, gflops: f64, colour| {
            let title =
                format!("{} on {machine}: {gflops:.0} GFLOP/s, {intensity:.0} operations a byte", step.name);
            dots.push(Dot { intensity, gflops, colour, whole: false, title });
        };
        dot("this machine", 2.0 * step.multiply_adds as f64 / moved, step.gflops, HERE);
        if let Some(chip) = step.chip.as_ref().filter(|chip| chip.us > 0.0) {
            dot(on.machine, chip.intensity, chip.gflops, THERE);
        }
    }
    let title = format!("the whole call on {}", on.machine);
    dots.push(Dot { intensity: on.intensity, gflops: on.gflops, colour: THERE, whole: true, title });
    let roofs = [
        Roof { gflops: report.limit_gflops, gb_s: report.limit_read_gb_s, colour: HERE },
        Roof { gflops: on.peak_gflops, gb_s: on.gb_s, colour: THERE },
    ];
    let caption = format!(
        "Orange: this machine, as measured. Green: {}, as predicted: {:.1} TFLOP/s from {:.0} operations a byte on. Dots are \
         steps that multiply; the ring is the whole call with its dispatch.",
        on.machine,
        on.peak_gflops / 1e3,
        on.ridge
    );
    picture(&roofs, &dots, &caption)
}
