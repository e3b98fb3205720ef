//! How long a program takes on a chip.
//!
//! The model has few parts, each of which is something that a chip does. A step that multiplies takes the longest of its
//! multiply-adds, the load of its weights, and, where neither operand stays on the engine, reading one of them again for
//! each part of the other. What follows it element by element is done as its results are stored. Any other step takes as
//! long as its tensors need to move; softmax and normalisations pass over them twice. A call takes what the steps take, the
//! dispatch, and the copies of a runtime that takes arrays. The numbers are those of [`Rates`].

use super::ask::Folded;
use super::{Placement, Route, Where};
use crate::chip::{
    ARRAYS, BANK_CHANNELS, BANK_CONFLICT, COMPILE, COMPILE_CHAIN, COMPILE_FOR_TWO, COMPILE_WEIGHTS, CPU,
    Chip, Figure, GPU, GRANULE, KERNEL_BUFFER, LOAD, ON_CHIP, Rates, SPARSE_WEIGHTS, SWITCH, WAKE_AFTER,
    WORKING_SET,
};
use crate::mil::Name;
use crate::mil::op::{Fast, Scalar};
use crate::types::Type;
use crate::verify::{Function, Step, ValueId};
use crate::work::{self, Call};

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
    /// How many steps have shapes that are not known before the run, or blocks, or are refused: they count as nothing.
    pub unknown: usize,
}

impl Cost {
    /// What the function takes if the engine runs all of it.
    pub fn of(function: &Function, rates: &'static Rates, boundary: Boundary) -> Self {
        Self::sum(function, rates, boundary, |_| Where::Ane, 1, 0)
    }

    /// What the function takes where it was placed, on the plain chip.
    pub fn placed(function: &Function, placement: &Placement) -> Self {
        // The ops of blocks stand behind the op around them.
        let mut next = 0;
        let places: Vec<Where> = function
            .body
            .steps
            .iter()
            .map(|step| {
                let at = placement.ops.get(next).map_or(Where::Refused, |op| op.at);
                next += steps(step);
                at
            })
            .collect();
        let launches = placement.segments.iter().filter(|s| s.at == Where::Ane).count();
        let switches = placement.segments.iter().filter(|s| s.switch_ms > 0.0).count();
        let Placement { target, .. } = placement;
        let rates = Rates::of(target.chip);
        Self::sum(function, rates, Boundary::of(target.route), |i| places[i], launches, switches)
    }

    fn sum(
        function: &Function,
        rates: &'static Rates,
        boundary: Boundary,
        at: impl Fn(usize) -> Where,
        launches: usize,
        switches: usize,
    ) -> Self {
        let mut model = Model::of(function, rates);
        let mut unknown = 0;
        let mut steps = Vec::with_capacity(function.body.steps.len());
        for (i, step) in function.body.steps.iter().enumerate() {
            let cost = model.step(step, at(i));
            unknown += usize::from(cost.is_none());
            steps.push(cost.unwrap_or_else(|| StepCost::nothing(function, step, at(i))));
        }
        let (there, elsewhere): (Vec<&StepCost>, _) = steps.iter().partition(|s| s.at == Where::Ane);
        let seconds = |steps: &[&StepCost]| steps.iter().fold(0.0, |sum, s| sum + s.seconds);
        let (engine, elsewhere) = (seconds(&there), seconds(&elsewhere));
        let moved = |values: &[ValueId]| values.iter().map(|&v| bytes(function, v)).sum::<u64>() as f64;
        let copies = match boundary {
            Boundary::Arrays if launches > 0 => {
                ARRAYS.value
                    + moved(&function.params) / rates.copy_in.value
                    + moved(&function.body.outputs) / rates.copy_out.value
            }
            _ => 0.0,
        };
        let once = |f: Figure| if launches > 0 { f.value } else { 0.0 };
        Self {
            rates,
            dispatch: rates.dispatch.value * launches as f64,
            wake: if engine > WAKE_AFTER.value { rates.wake.value } else { 0.0 },
            copies,
            engine,
            elsewhere,
            switches: SWITCH.value * switches as f64,
            compile: if launches > 0 { compile(rates.chip, &there) } else { 0.0 },
            load: once(LOAD[0]),
            first_load: once(LOAD[1]),
            energy: rates.watts.map(|w| w.value * engine),
            steps,
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

/// A constant as it is stored.
#[derive(Clone, Copy)]
struct Stored {
    bytes: u64,
    /// Whether zeros are left out, and which part of the elements is left.
    sparse: Option<f64>,
    /// Whether it is decompressed as the engine reads it, from eight bits or fewer.
    narrow: bool,
}

/// Which chips read weights in a form as they are stored; others have fp16 made of them by the compiler.
const STREAMED: [(&str, Chip); 6] = [
    ("constexpr_lut_to_sparse", Chip::M1),
    ("constexpr_lut_to_dense", Chip::M1),
    ("constexpr_sparse_to_dense", Chip::M1),
    ("constexpr_affine_dequantize", Chip::M2),
    ("constexpr_blockwise_shift_scale", Chip::M3),
    ("dequantize", Chip::M2),
];

/// What passes over its input a second time.
const TWICE: [&str; 6] =
    ["softmax", "layer_norm", "instance_norm", "l2_norm", "local_response_norm", "reduce_log_sum_exp"];

/// What moves each element by itself.
const SHUFFLES: [&str; 6] = [
    "pixel_shuffle",
    "pixel_unshuffle",
    "depth_to_space",
    "space_to_depth",
    "space_to_batch",
    "batch_to_space",
];

struct Model<'f> {
    function: &'f Function,
    rates: &'static Rates,
    folded: Folded,
    /// How each value that is known before the run is stored.
    stored: Vec<Option<Stored>>,
    /// How many read each value.
    readers: Vec<u32>,
    /// Which values a step that multiplies has just stored, and may still change as it does.
    fresh: Vec<bool>,
    /// Which values are integers that the engine reads in place of fp16.
    quantized: Vec<bool>,
}

impl<'f> Model<'f> {
    fn of(function: &'f Function, rates: &'static Rates) -> Self {
        let values = function.values.len();
        let mut readers = vec![0; values];
        for step in &function.body.steps {
            step.reads(|v| readers[v.index()] += 1);
        }
        function.body.outputs.iter().for_each(|&o| readers[o.index()] += 1);
        Self {
            function,
            rates,
            folded: Folded::of(function),
            stored: vec![None; values],
            readers,
            fresh: vec![false; values],
            quantized: vec![false; values],
        }
    }

    /// `None` when it cannot be known before the run.
    fn step(&mut self, step: &Step, at: Where) -> Option<StepCost> {
        if self.folded.is_folded(step) {
            self.fold(step);
            return Some(StepCost::nothing(self.function, step, at));
        }
        let open = |v: &ValueId| !self.function.value(*v).ty.is_known();
        if !step.blocks.is_empty() || step.outputs.iter().any(open) {
            return None;
        }
        let multiply_adds = work::of_step(self.function, step)?;
        Some(match (step.op.fast, at) {
            (_, Where::Refused) => return None,
            (Fast::Alias | Fast::Meaning, _) => StepCost::nothing(self.function, step, at),
            (_, Where::Cpu) => self.elsewhere(step, at, multiply_adds, CPU),
            (_, Where::Gpu) => self.elsewhere(step, at, multiply_adds, GPU),
            (_, Where::Ane) if multiply_adds > 0 => self.product(step, multiply_adds),
            (_, Where::Ane) => self.other(step),
        })
    }

    /// A step on another device: as long as its operations take, or its bytes.
    fn elsewhere(&self, step: &Step, at: Where, multiply_adds: u64, [flops, moved]: [Figure; 2]) -> StepCost {
        let (cost, _, _) = self.cost(step);
        let compute = 2.0 * multiply_adds as f64 / flops.value;
        let move_all = cost.activations.saturating_add(cost.weights) as f64 / moved.value;
        let bound = if compute > move_all { Bound::Compute } else { Bound::Activations };
        StepCost { at, seconds: compute.max(move_all), bound, multiply_adds, ..cost }
    }

    /// Notes how what the compiler computes is stored.
    fn fold(&mut self, step: &Step) {
        let Some(&output) = step.outputs.first() else { return };
        let since = STREAMED.iter().find(|(op, _)| *op == step.op.name).map(|&(_, since)| since);
        let streamed = since.is_some_and(|since| self.rates.chip >= since) || self.is_affine(step);
        let (mut bytes, mut sparse, mut narrow) = (0u64, None, true);
        step.reads(|v| {
            let stored = self.constant(v);
            bytes = bytes.saturating_add(stored.bytes);
            sparse = sparse.or(stored.sparse);
        });
        if step.op.name == "constexpr_sparse_to_dense" {
            let call = Call { function: self.function, step };
            let left = call.value("nonzero_data").map_or(0, |v| elements(&v.ty));
            let all = elements(&self.function.value(output).ty).max(1);
            sparse = Some(left as f64 / all as f64);
            narrow = false;
        }
        if streamed {
            self.stored[output.index()] = Some(Stored { bytes, sparse, narrow });
            // All of it is counted with the first result.
            for other in step.outputs.iter().skip(1) {
                self.stored[other.index()] = Some(Stored { bytes: 0, sparse: None, narrow });
            }
        }
    }

    /// Whether weights in blocks have one scale for each channel, or one for all: the form that the M2 reads already.
    fn is_affine(&self, step: &Step) -> bool {
        let scale = Call { function: self.function, step };
        let wide = scale.shape("scale").unwrap_or_default().iter().filter(|d| d.known() != Some(1)).count();
        step.op.name == "constexpr_blockwise_shift_scale" && wide <= 1 && self.rates.chip >= Chip::M2
    }

    /// How a value that is known before the run is stored: as its type says, if not otherwise.
    fn constant(&self, value: ValueId) -> Stored {
        let plain = || Stored { bytes: bytes(self.function, value), sparse: None, narrow: false };
        self.stored[value.index()].unwrap_or_else(plain)
    }

    /// The constants and the other tensors that a step reads.
    fn operands(&self, step: &Step) -> (Vec<Stored>, Vec<ValueId>) {
        let (mut constants, mut moving) = (Vec::new(), Vec::new());
        step.reads(|v| if self.folded.knows(v) { constants.push(self.constant(v)) } else { moving.push(v) });
        (constants, moving)
    }

    fn cost(&self, step: &Step) -> (StepCost, Vec<Stored>, Vec<ValueId>) {
        let (constants, moving) = self.operands(step);
        let written = step.outputs.iter().map(|&o| bytes(self.function, o));
        let read = moving.iter().map(|&v| bytes(self.function, v));
        let cost = StepCost {
            weights: constants.iter().fold(0, |sum, c| sum.saturating_add(c.bytes)),
            activations: read.chain(written).fold(0, u64::saturating_add),
            ..StepCost::nothing(self.function, step, Where::Ane)
        };
        (cost, constants, moving)
    }

    /// A step that multiplies.
    fn product(&mut self, step: &Step, multiply_adds: u64) -> StepCost {
        let rates = self.rates;
        let (cost, constants, moving) = self.cost(step);
        let call = Call { function: self.function, step };
        let result = step.outputs.first().map_or(0, |&o| elements(&self.function.value(o).ty));
        let kernel = if step.op.name == "conv" { call.shape("weight") } else { None };
        let channels = match kernel {
            Some(kernel) => kernel.first().and_then(|d| d.known()),
            None => step.outputs.first().and_then(|&o| last(&self.function.value(o).ty)),
        };
        // Two engines share the places of a result, if there are enough: for 256 only when they are in one row.
        let places = result / channels.unwrap_or(1).max(1);
        let row = match kernel {
            Some(_) => step.outputs.first().and_then(|&o| last(&self.function.value(o).ty)).unwrap_or(1),
            None => places,
        };
        let engines = if places > 256 || row >= 256 { rates.chip.engines() } else { 1 };
        let largest = constants.iter().copied().max_by_key(|c| c.bytes);
        let quantized = moving.first().is_some_and(|v| self.quantized[v.index()]);
        let mut rate = rates.multiply_adds.value * f64::from(engines);
        if quantized && largest.is_some_and(|c| c.narrow) {
            rate *= rates.int8.value;
        }
        if kernel.is_some() && self.is_winograd(&call) {
            rate *= rates.winograd.value;
        }
        let left = largest.and_then(|c| c.sparse).unwrap_or(1.0);
        let compute = multiply_adds as f64 * left / rate;

        let buffers = KERNEL_BUFFER.value * f64::from(rates.chip.cores());
        let weights = cost.weights as f64;
        let mut load = match largest {
            Some(Stored { sparse: Some(_), .. }) => weights / SPARSE_WEIGHTS.value,
            _ if weights <= buffers => weights / rates.resident_weights.value,
            _ => weights / rates.streamed_weights.value,
        };
        let inputs = kernel.and_then(|k| k.get(1)).and_then(|d| d.known()).unwrap_or(0);
        let in_one_bank = inputs > 0 && inputs.is_multiple_of(BANK_CHANNELS);
        if rates.chip == Chip::M4 && in_one_bank && weights > buffers {
            load *= BANK_CONFLICT.value;
        }

        let mut sizes = moving.iter().map(|&v| bytes(self.function, v) as f64);
        let x = sizes.next().unwrap_or(0.0);
        let other = if largest.is_some() { weights } else { sizes.next().unwrap_or(0.0) };
        let reread = if x > WORKING_SET.value && other > WORKING_SET.value {
            x / WORKING_SET.value * other / (rates.activations.value * f64::from(rates.chip.engines()))
        } else {
            0.0
        };
        let (mut seconds, bound) =
            [(compute, Bound::Compute), (load, Bound::Weights), (reread, Bound::Rereading)]
                .into_iter()
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .unwrap_or((compute, Bound::Compute));
        if step.op.name == "scaled_dot_product_attention" {
            // Of the two products, each with as many multiply-adds, the first gives the scores.
            let width = call.shape("query").and_then(|q| q.last()).and_then(|d| d.known()).unwrap_or(1);
            seconds += (multiply_adds / 2 / width.max(1)) as f64 / rates.second_pass.value;
        }
        for &o in &step.outputs {
            self.fresh[o.index()] = true;
        }
        StepCost { seconds, bound, multiply_adds, ..cost }
    }

    /// Whether a convolution is one that the engine may do with fewer products.
    fn is_winograd(&self, call: &Call<'_>) -> bool {
        let kernel = call.shape("weight").and_then(|w| w.get(2..)).unwrap_or_default();
        let ones = |param: &str| call.ints(param).is_none_or(|all| all.iter().all(|&n| n == 1));
        kernel.len() == 2
            && kernel.iter().all(|d| d.known() == Some(3))
            && ones("strides")
            && ones("dilations")
    }

    /// A step that moves tensors, and computes with their elements as they pass.
    fn other(&mut self, step: &Step) -> StepCost {
        let (cost, _, moving) = self.cost(step);
        let quantized = matches!(step.op.name, "quantize" | "dequantize");
        if quantized {
            step.outputs.iter().for_each(|o| self.quantized[o.index()] = true);
        }
        let alone = |v: &ValueId| self.readers[v.index()] == 1;
        let unary = quantized || !matches!(step.op.scalar, Scalar::None);
        if let [x] = moving[..]
            && unary
            && alone(&x)
            && self.fresh[x.index()]
        {
            step.outputs.iter().for_each(|o| self.fresh[o.index()] = true);
            return StepCost { bound: Bound::Nothing, ..cost };
        }
        let moved = cost.activations.saturating_add(cost.weights) as f64;
        let way = if moved < 2.0 * WORKING_SET.value { ON_CHIP.value } else { 2.0 };
        let mut seconds = moved / (way * self.rates.activations.value);
        if SHUFFLES.contains(&step.op.name) {
            let elements = step.outputs.iter().map(|&o| elements(&self.function.value(o).ty)).sum::<u64>();
            seconds = elements as f64 * GRANULE.value / (2.0 * self.rates.activations.value);
        }
        if TWICE.contains(&step.op.name) {
            let passed = moving.first().map_or(0, |&v| elements(&self.function.value(v).ty));
            seconds += passed as f64 / self.rates.second_pass.value;
        }
        StepCost { seconds, bound: Bound::Activations, ..cost }
    }
}

/// The bytes of a value, 0 when its type does not say.
fn bytes(function: &Function, value: ValueId) -> u64 {
    let ty = match &function.value(value).ty {
        Type::State(inner) => inner,
        ty => ty,
    };
    ty.as_tensor().map_or(0, |t| elements(ty).saturating_mul(t.dtype.bits() as u64).div_ceil(8))
}

/// The elements of a tensor, 0 when they are not known.
fn elements(ty: &Type) -> u64 {
    ty.as_tensor().and_then(|t| t.shape.elements()).unwrap_or(0)
}

/// The extent of the last axis.
fn last(ty: &Type) -> Option<u64> {
    ty.as_tensor()?.shape.last()?.known()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Weights;
    use crate::{text, verify};

    fn cost(params: &str, body: &str, machine: &str) -> Cost {
        let text = format!("program(1.3) {{ func main<ios18>({params}) {{ {body} }} -> (y); }}");
        let program = text::parse(&text).unwrap();
        let report = verify::verify(&program, &Weights::none());
        let verified = report.verified.unwrap_or_else(|| panic!("{}", report.diagnostics));
        Cost::of(verified.main(), Rates::find(machine).unwrap(), Boundary::Surfaces)
    }

    fn weight(shape: &str) -> String {
        format!(
            "tensor<fp16, {shape}> w = const()[val = tensor<fp16, {shape}>(BLOBFILE(path = \
             string(\"@model_path/weights/weight.bin\"), offset = uint64(64)))];"
        )
    }

    #[track_caller]
    fn check(params: &str, body: &str, machine: &str, bounds: &[Bound]) {
        let cost = cost(params, body, machine);
        let found: Vec<Bound> = cost.steps.iter().map(|s| s.bound).collect();
        assert_eq!((found.as_slice(), cost.unknown), (bounds, 0), "{body}");
    }

    /// Row V7: the longest of what a step needs.
    #[test]
    fn what_a_step_waits_for() {
        use Bound::{Activations, Compute, Nothing, Rereading, Weights};
        let product = |rows: u32, inner: u32, columns: u32| {
            let w = weight(&format!("[{inner}, {columns}]"));
            (
                format!("tensor<fp16, [{rows}, {inner}]> x"),
                format!("{w} tensor<fp16, [{rows}, {columns}]> y = matmul(x = x, y = w);"),
            )
        };
        let (x, y) = product(1024, 512, 512);
        check(&x, &y, "m4", &[Compute]);
        let (x, y) = product(1, 4096, 4096);
        check(&x, &y, "m4", &[Weights]);
        let (x, y) = product(4096, 4096, 4096);
        check(&x, &y, "m4", &[Rereading]);
        // What follows a product is done as it is stored, unless somebody else reads the product too.
        let w = weight("[64, 64]");
        let x = "tensor<fp16, [256, 64]> x";
        let tail = |last: &str| {
            format!(
                "{w} tensor<fp16, [256, 64]> a = matmul(x = x, y = w); tensor<fp16, [256, 64]> b = relu(x = a); {last}"
            )
        };
        let alone = tail("tensor<fp16, [256, 64]> y = tanh(x = b);");
        check(x, &alone, "m4", &[Compute, Nothing, Nothing]);
        let shared = tail("tensor<fp16, [256, 64]> y = add(x = a, y = b);");
        check(x, &shared, "m4", &[Compute, Activations, Activations]);
        check(
            x,
            "tensor<fp16, [64, 256]> y = reshape(x = x, shape = tensor<int32, [2]>([64, 256]));",
            "m4",
            &[Nothing],
        );
    }

    /// Row X9: int8 weights are stored smaller, which earlier chips undo.
    #[test]
    fn weights_are_loaded_as_they_are_stored() {
        // Of eight bits: the M1 makes fp16 of them, later chips read them as they are.
        let body = "tensor<int8, [2048, 2048]> q = const()[val = tensor<int8, [2048, 2048]>(BLOBFILE(path = \
             string(\"@model_path/weights/weight.bin\"), offset = uint64(64)))]; \
             tensor<fp16, [1, 1]> one = const()[val = tensor<fp16, [1, 1]>([[0.5]])]; \
             tensor<fp16, [2048, 2048]> w = constexpr_blockwise_shift_scale(data = q, scale = one); \
             tensor<fp16, [1, 2048]> y = matmul(x = x, y = w);"
        let stored =
            |machine| cost("tensor<fp16, [1, 2048]> x", body, machine).steps.last().unwrap().weights;
        assert_eq!((stored("m1") >> 20, stored("m3") >> 20), (8, 4));
    }

    #[test]
    fn more_work_never_takes_less_time() {
        for rates in &crate::chip::RATES {
            let times = [64, 256, 1024, 4096].map(|n| {
                let w = weight(&format!("[{n}, {n}, 1, 1]"));
                let conv = format!(
                    "{w} tensor<fp16, [1, {n}, 1, 64]> y = conv(x = x, weight = w, pad_type = string(\"valid\"), \
                     groups = int32(1), strides = tensor<int32, [2]>([1, 1]), dilations = tensor<int32, [2]>([1, 1]), \
                     pad = tensor<int32, [4]>([0, 0, 0, 0]));"
                );
                cost(&format!("tensor<fp16, [1, {n}, 1, 64]> x"), &conv, rates.name).seconds()
            });
            assert!(times.is_sorted(), "{}: {times:?}", rates.name);
        }
    }
}
