//! How Core ML divides a program between devices, and what that costs.
//!
//! Core ML looks for the cheapest way: the time of each op on each device that takes it, a launch for each run of ops on
//! the engine, a switch between devices, and a price for results that the engine gives. A small program is therefore left to
//! the CPU, although the engine takes all of it. Where the engine takes the whole program or nothing, there is one segment.

use super::{OpPlacement, Target, Where};
use crate::chip::{Evidence, SWITCH};
use crate::verify::Function;

/// What Core ML counts for launching a run of ops on the engine, in milliseconds.
///
/// ```
/// use anemone::place::{LAUNCH_MS, OUTPUT_MS, SWITCH_MS};
/// // A model that is all on the engine: one launch, and its results are there.
/// assert_eq!(LAUNCH_MS + OUTPUT_MS, 0.25);
/// assert_eq!(SWITCH_MS, 0.125);
/// ```
pub const LAUNCH_MS: f64 = 0.125;
/// What Core ML counts for going from one device to another, in milliseconds.
///
/// ```
/// assert_eq!(anemone::place::SWITCH_MS, 0.125);
/// ```
pub const SWITCH_MS: f64 = SWITCH.value * 1e3;
/// What Core ML counts for results that the engine gives, in milliseconds.
///
/// ```
/// assert_eq!(anemone::place::OUTPUT_MS, 0.125);
/// ```
pub const OUTPUT_MS: f64 = 0.125;

/// How the constants of the segmenter are known.
const SEGMENTER: Evidence =
    Evidence::measured("the M6 study, which reproduces Core ML's choice on an M4").on("macOS 27");

/// Ops that run at one place, one after the other.
///
/// ```
/// use anemone::{Chip, bundle::Weights, place::{self, Target, Where}, text, verify};
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 64]> x) {
///     tensor<fp16, [1, 64]> y = tan(x = x); } -> (y); }";
/// let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
/// let segments = place::place(verified.main(), Target::new(Chip::M4)).segments;
/// assert_eq!((segments[0].at, segments[0].ops.clone()), (Where::Cpu, 0..1));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Where they run.
    pub at: Where,
    /// The first, and the one behind the last: positions in [`super::Placement::ops`].
    pub ops: std::ops::Range<usize>,
    /// What launching it costs, in milliseconds.
    pub launch_ms: f64,
    /// What coming to it from the segment before costs, in milliseconds.
    pub switch_ms: f64,
    /// What giving results from it costs, in milliseconds.
    pub output_ms: f64,
}

/// The time of an op on each device in milliseconds, as Core ML would estimate it: infinite where it cannot run.
#[derive(Clone, Copy)]
pub(super) struct Times {
    ane: f64,
    gpu: f64,
    cpu: f64,
    /// Whether it takes no time, and so is bound to no device.
    free: bool,
}

impl Times {
    /// The engine does not take the op after all.
    pub(super) fn leave_engine(&mut self) {
        self.ane = f64::INFINITY;
    }
}

/// What Core ML would estimate for an op that takes so many seconds on the engine, the GPU and the CPU.
pub(super) fn times(counted: [f64; 3], op: &OpPlacement, target: Target) -> Times {
    let [ane, gpu, cpu] = counted.map(|seconds| seconds * 1e3);
    if op.form == super::Form::Folded {
        return Times { ane, gpu, cpu, free: true };
    }
    Times {
        ane: if op.on_engine() { ane } else { f64::INFINITY },
        gpu: if target.gpu && gpu_has(op.op) { gpu } else { f64::INFINITY },
        cpu,
        free: false,
    }
}

/// Whether Core ML finds an op on the GPU.
fn gpu_has(op: &str) -> bool {
    !matches!(op, "affine" | "crop_resize" | "sliding_windows" | "non_zero" | "resample")
}

/// Divides a program into segments, and writes down where each op went.
pub(super) fn segments(
    ops: &mut [OpPlacement],
    times: &[Times],
    function: &Function,
    target: Target,
) -> Vec<Segment> {
    if !target.route.is_whole() {
        divide(ops, times, function);
    }
    let mut segments: Vec<Segment> = Vec::new();
    for (i, op) in ops.iter().enumerate() {
        match segments.last_mut() {
            Some(last) if last.at == op.at && op.at != Where::Refused => last.ops.end = i + 1,
            last => {
                let moved = last.is_some_and(|l| l.at != op.at) && !target.route.is_whole();
                let launch_ms = if op.at == Where::Ane { LAUNCH_MS } else { 0.0 };
                let switch_ms = if moved { SWITCH_MS } else { 0.0 };
                segments.push(Segment { at: op.at, ops: i..i + 1, launch_ms, switch_ms, output_ms: 0.0 });
            }
        }
    }
    if let Some(last) = segments.last_mut().filter(|s| s.at == Where::Ane) {
        last.output_ms = OUTPUT_MS;
    }
    segments
}

/// The cheapest way through the ops in the order of the program.
fn divide(ops: &mut [OpPlacement], times: &[Times], function: &Function) {
    const DEVICES: [Where; 3] = [Where::Ane, Where::Gpu, Where::Cpu];
    if ops.is_empty() {
        return;
    }
    let of = |t: &Times| [t.ane, t.gpu, t.cpu];
    // The best cost of coming to each device, and from which device one came.
    let mut best = [LAUNCH_MS, 0.0, 0.0];
    let mut came: Vec<[usize; 3]> = Vec::with_capacity(ops.len());
    for (i, t) in times.iter().enumerate() {
        let mut next = [f64::INFINITY; 3];
        let mut from = [0; 3];
        for (to, time) in of(t).into_iter().enumerate() {
            for (at, cost) in best.into_iter().enumerate() {
                let launch = if to == 0 { LAUNCH_MS } else { 0.0 };
                let way = if to == at || i == 0 { 0.0 } else { SWITCH_MS + launch };
                if i == 0 && to != at {
                    continue;
                }
                if cost + way + time < next[to] {
                    (next[to], from[to]) = (cost + way + time, at);
                }
            }
        }
        best = next;
        came.push(from);
    }
    best[0] += OUTPUT_MS * f64::from(u8::from(!function.body.outputs.is_empty()));
    let mut at = (0..3).min_by(|a, b| best[*a].total_cmp(&best[*b])).unwrap_or(2);
    for (i, op) in ops.iter_mut().enumerate().rev() {
        op.at = DEVICES[at];
        at = came[i][at];
        if op.on_engine() && op.at != Where::Ane && !times[i].free {
            op.why = format!("the engine could run it, but going there costs more than it saves: Core ML keeps it on the {}", op.at.word()).into();
            op.change = Some("put more work beside it, so that one launch serves all".into());
            op.evidence = SEGMENTER;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row V8: what Core ML counts for launch, switch and output.
    #[test]
    fn the_constants_are_those_of_the_study() {
        assert_eq!([LAUNCH_MS, SWITCH_MS, OUTPUT_MS], [0.125; 3]);
        assert!(gpu_has("conv") && !gpu_has("affine"));
    }
}
