//! How long a program takes on a chip.
//!
//! The model has few parts, each of which is something that a chip does. A step that multiplies takes the longest of its
//! multiply-adds, the load of its weights, and, where neither operand stays on the engine, reading one of them again for
//! each part of the other. What follows it element by element is done as its results are stored. Any other step takes as
//! long as its tensors need to move; softmax and normalisations pass over them twice. A call takes what the steps take, the
//! dispatch, and the copies of a runtime that takes arrays. The numbers are those of [`Rates`].
//!
//! ```
//! use anemone::{Chip, bundle::Weights, place::{self, Target, cost::Cost}, text, verify};
//! let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 512, 64, 64]> x, tensor<fp16, [1, 512, 64, 64]> y) {
//!     tensor<fp16, [1, 512, 64, 64]> z = matmul(x = x, y = y); } -> (z); }";
//! let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
//! let placement = place::place(verified.main(), Target::new(Chip::M4));
//! let cost = Cost::placed(verified.main(), &placement);
//! assert_eq!(cost.multiply_adds(), 512 * 64 * 64 * 64);
//! // Each byte is met by some ten operations, which is far below what would keep the engine busy.
//! assert!(cost.seconds() > 0.0 && cost.flops() > 0.0);
//! assert!(cost.intensity() < cost.rates.ridge());
//! # Ok::<(), anemone::source::Diagnostics>(())
//! ```

mod model;
#[cfg(test)]
mod tests;

use super::{Placement, Route, Segment, Where};
use crate::chip::{
    ARRAYS, COMPILE, COMPILE_CHAIN, COMPILE_FOR_TWO, COMPILE_WEIGHTS, Chip, Figure, LOAD, Rates, SWITCH,
    WAKE_AFTER,
};
use crate::mil::Name;
use crate::verify::{Function, Step, ValueId};
pub(super) use model::Model;
use model::bytes;

/// How tensors come in and go out.
///
/// ```
/// use anemone::place::cost::Boundary;
/// assert_eq!(Boundary::default(), Boundary::Surfaces);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Boundary {
    /// In surfaces that are bound once, as with [`Model`](crate::Model): nothing is copied.
    #[default]
    Surfaces,
    /// In arrays that a runtime copies into surfaces, and out of them, in each call.
    Arrays,
}

impl Boundary {
    /// How tensors come in by this route: only the direct one takes surfaces.
    pub const fn of(route: Route) -> Self {
        match route {
            Route::Direct => Boundary::Surfaces,
            Route::CoreMl | Route::E5rt => Boundary::Arrays,
        }
    }
}

/// What a step waits for.
///
/// ```
/// use anemone::place::cost::Bound;
/// assert_eq!(Bound::Weights.word(), "weights");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bound {
    /// Nothing: it is done with the step before, or by naming what is there.
    Nothing,
    /// Its multiply-adds.
    Compute,
    /// The load of its weights.
    Weights,
    /// The tensors that it reads and writes.
    Activations,
    /// An operand too large for the engine, which is read several times.
    Rereading,
}

impl Bound {
    /// The word: `nothing`, `compute`, `weights`, `activations` or `rereading`.
    pub const fn word(self) -> &'static str {
        ["nothing", "compute", "weights", "activations", "rereading"][self as usize]
    }
}

/// What one step takes.
///
/// ```
/// use anemone::{Chip, Graph, Shape, chip::Rates, place::cost::{Bound, Boundary, Cost}};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(512, 32, 32));
/// let w = g.constant_with_scalar(0.5, Shape { batch: 512, channels: 512, height: 1, width: 1 });
/// g.convolution_2d_1x1(x, w, None);
/// let cost = Cost::of(g.build()?.verified.main(), Rates::of(Chip::M4), Boundary::Surfaces);
/// let step = &cost.steps[0];
/// assert_eq!((step.op, step.bound, step.multiply_adds), ("conv", Bound::Compute, 512 * 512 * 1024));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug)]
pub struct StepCost {
    /// The op.
    pub op: &'static str,
    /// The name of its first result.
    pub name: Name,
    /// Where it runs.
    pub at: Where,
    /// Seconds.
    pub seconds: f64,
    /// What it waits for.
    pub bound: Bound,
    /// Its multiply-adds.
    pub multiply_adds: u64,
    /// The bytes of its constants, as they are stored.
    pub weights: u64,
    /// The bytes that it reads and writes beside them.
    pub activations: u64,
}

/// What a run of steps at one place takes.
///
/// ```
/// use anemone::{Chip, bundle::Weights, place::{self, Target, cost::Cost}, text, verify};
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 512, 64, 64]> x) {
///     tensor<fp16, [1, 512, 64, 64]> a = softmax(x = x, axis = int32(1));
///     tensor<fp16, [1, 512, 64, 64]> y = tan(x = a); } -> (y); }";
/// let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
/// let cost = Cost::placed(verified.main(), &place::place(verified.main(), Target::new(Chip::M4)));
/// let all: f64 = cost.segments.iter().map(|s| s.seconds + s.dispatch + s.switch).sum();
/// assert!((all + cost.copies + cost.wake - cost.seconds()).abs() < 1e-12);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentCost {
    /// Where they run.
    pub at: Where,
    /// The first, and the one behind the last: positions in [`Cost::steps`]. Those of nested blocks are of the step around them.
    pub steps: std::ops::Range<usize>,
    /// Seconds that its steps take.
    pub seconds: f64,
    /// Seconds that launching it takes.
    pub dispatch: f64,
    /// Seconds of coming to it from another device.
    pub switch: f64,
}

/// What a function takes on a machine.
///
/// ```
/// use anemone::{Chip, Graph, Shape, chip::Rates, place::cost::{Boundary, Cost}};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(64, 1, 64));
/// g.relu(x);
/// let built = g.build()?;
/// let m4 = Cost::of(built.verified.main(), Rates::of(Chip::M4), Boundary::Surfaces);
/// let m1 = Cost::of(built.verified.main(), Rates::of(Chip::M1), Boundary::Surfaces);
/// assert!(m4.seconds() > 50e-6 && m4.seconds() < m1.seconds());
/// assert!(m4.bytes() >= 2 * 64 * 64 * 2, "what goes in and out");
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cost {
    /// The machine.
    pub rates: &'static Rates,
    /// Seconds that launching takes, of each part of the program that the engine runs.
    pub dispatch: f64,
    /// Seconds until the thread that waits has woken.
    pub wake: f64,
    /// Seconds that tensors are copied.
    pub copies: f64,
    /// Seconds that the engine works.
    pub engine: f64,
    /// Seconds that other devices work.
    pub elsewhere: f64,
    /// Seconds of going from one device to another.
    pub switches: f64,
    /// Seconds that compiling for the engine takes.
    pub compile: f64,
    /// Seconds that loading takes, when its like was loaded before.
    pub load: f64,
    /// Seconds that the first load takes.
    pub first_load: f64,
    /// Joules that the engine takes for a run, where anybody measured its power.
    pub energy: Option<f64>,
    /// Each step of the function, in order; those that the compiler computes take nothing.
    pub steps: Vec<StepCost>,
    /// Runs of steps at one place, in order.
    pub segments: Vec<SegmentCost>,
    /// How many steps have shapes that are not known before the run, or blocks, or are refused: they count as nothing.
    pub unknown: usize,
}

impl Cost {
    /// What the function takes if the engine runs all of it.
    pub fn of(function: &Function, rates: &'static Rates, boundary: Boundary) -> Self {
        let all = SegmentCost {
            at: Where::Ane,
            steps: 0..function.body.steps.len(),
            seconds: 0.0,
            dispatch: rates.dispatch.value,
            switch: 0.0,
        };
        Self::sum(function, rates, boundary, |_| Where::Ane, vec![all])
    }

    /// What the function takes where it was placed, on the plain chip.
    pub fn placed(function: &Function, placement: &Placement) -> Self {
        // The ops of blocks stand behind the op around them.
        let mut next = 0;
        let mut begins = Vec::with_capacity(function.body.steps.len());
        for step in &function.body.steps {
            begins.push(next);
            next += steps(step);
        }
        let Placement { target, .. } = placement;
        let rates = Rates::of(target.chip);
        let segment = |s: &Segment| SegmentCost {
            at: s.at,
            steps: begins.partition_point(|&b| b < s.ops.start)..begins.partition_point(|&b| b < s.ops.end),
            seconds: 0.0,
            dispatch: if s.at == Where::Ane { rates.dispatch.value } else { 0.0 },
            switch: if s.switch_ms > 0.0 { SWITCH.value } else { 0.0 },
        };
        let segments = placement.segments.iter().map(segment).collect();
        let at = |i: usize| placement.ops.get(begins[i]).map_or(Where::Refused, |op| op.at);
        Self::sum(function, rates, Boundary::of(target.route), at, segments)
    }

    fn sum(
        function: &Function,
        rates: &'static Rates,
        boundary: Boundary,
        at: impl Fn(usize) -> Where,
        mut segments: Vec<SegmentCost>,
    ) -> Self {
        let mut model = Model::of(function, rates);
        let mut unknown = 0;
        let mut steps = Vec::with_capacity(function.body.steps.len());
        for (i, step) in function.body.steps.iter().enumerate() {
            let cost = model.step(step, at(i));
            unknown += usize::from(cost.is_none());
            steps.push(cost.unwrap_or_else(|| StepCost::nothing(function, step, at(i))));
        }
        for segment in &mut segments {
            segment.seconds = steps[segment.steps.clone()].iter().map(|s| s.seconds).sum();
        }
        let (there, elsewhere): (Vec<&StepCost>, _) = steps.iter().partition(|s| s.at == Where::Ane);
        let seconds = |steps: &[&StepCost]| steps.iter().fold(0.0, |sum, s| sum + s.seconds);
        let (engine, elsewhere) = (seconds(&there), seconds(&elsewhere));
        let on_engine = segments.iter().any(|s| s.at == Where::Ane);
        let moved = |values: &[ValueId]| values.iter().map(|&v| bytes(function, v)).sum::<u64>() as f64;
        // A runtime that takes arrays binds them in each call, whatever computes; only the engine needs them in surfaces.
        let copies = match boundary {
            Boundary::Arrays if on_engine => {
                ARRAYS.value
                    + moved(&function.params) / rates.copy_in.value
                    + moved(&function.body.outputs) / rates.copy_out.value
            }
            Boundary::Arrays => ARRAYS.value,
            Boundary::Surfaces => 0.0,
        };
        let once = |f: Figure| if on_engine { f.value } else { 0.0 };
        Self {
            rates,
            dispatch: segments.iter().map(|s| s.dispatch).sum(),
            wake: if engine > WAKE_AFTER.value { rates.wake.value } else { 0.0 },
            copies,
            engine,
            elsewhere,
            switches: segments.iter().map(|s| s.switch).sum(),
            compile: if on_engine { compile(rates.chip, &there) } else { 0.0 },
            load: once(LOAD[0]),
            first_load: once(LOAD[1]),
            energy: rates.watts.map(|w| w.value * engine),
            steps,
            segments,
            unknown,
        }
    }

    /// Seconds from the call to its return.
    pub fn seconds(&self) -> f64 {
        self.dispatch + self.wake + self.copies + self.engine + self.elsewhere + self.switches
    }

    /// The multiply-adds of all steps.
    pub fn multiply_adds(&self) -> u64 {
        self.steps.iter().fold(0, |sum, s| sum.saturating_add(s.multiply_adds))
    }

    /// The bytes that all steps read and write, weights included.
    pub fn bytes(&self) -> u64 {
        self.steps.iter().fold(0, |sum, s| sum.saturating_add(s.weights).saturating_add(s.activations))
    }

    /// The operations for each byte that is read or written.
    pub fn intensity(&self) -> f64 {
        2.0 * self.multiply_adds() as f64 / (self.bytes() as f64).max(1.0)
    }

    /// The operations a second that a run comes to.
    pub fn flops(&self) -> f64 {
        2.0 * self.multiply_adds() as f64 / self.seconds().max(1e-9)
    }
}

/// How many steps a step is, those of its blocks included.
fn steps(step: &Step) -> usize {
    1 + step.blocks.iter().flat_map(|b| &b.steps).map(steps).sum::<usize>()
}

/// What compiling takes.
fn compile(chip: Chip, steps: &[&StepCost]) -> f64 {
    let products = steps.iter().filter(|s| s.multiply_adds > 0).count() as f64;
    let others = steps.iter().filter(|s| s.multiply_adds == 0 && s.bound != Bound::Nothing).count() as f64;
    let weights: u64 = steps.iter().fold(0, |sum, s| sum.saturating_add(s.weights));
    let [program, product, other] = COMPILE.map(|f| f.value);
    let (two, chain) = if chip.engines() > 1 {
        let [most, power] = COMPILE_CHAIN.map(|f| f.value);
        (COMPILE_FOR_TWO.value, most * (others / 256.0).powf(power))
    } else {
        (1.0, 0.0)
    };
    program + products * product * two + others * other + chain + weights as f64 / COMPILE_WEIGHTS.value
}

impl StepCost {
    fn nothing(function: &Function, step: &Step, at: Where) -> Self {
        Self {
            op: step.op.name,
            name: step.outputs.first().map_or_else(|| "".into(), |&o| function.value(o).name.clone()),
            at,
            seconds: 0.0,
            bound: Bound::Nothing,
            multiply_adds: 0,
            weights: 0,
            activations: 0,
        }
    }
}
