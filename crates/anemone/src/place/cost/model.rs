//! What one step takes.

use super::{Bound, StepCost};
use crate::chip::{
    BANK_CHANNELS, BANK_CONFLICT, CPU, CPU_TRANSPOSED, CPU_UPSAMPLES, Chip, ENGINE_CONVOLVES, ENGINE_COUNTED,
    Figure, GPU, GRANULE, KERNEL_BUFFER, ON_CHIP, Rates, SPARSE_WEIGHTS, WORKING_SET,
};
use crate::mil::op::{Access, Fast, Scalar};
use crate::place::ask::Folded;
use crate::place::{Route, Where};
use crate::types::Type;
use crate::verify::{Function, Step, ValueId};
use crate::work::{self, Call};

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

/// The bytes of which rows are multiples (measured: tmc/apple and the notes on the M3 Ultra, of surfaces).
const ROW: u64 = crate::surface::ROW_ALIGNMENT as u64;

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

pub(in crate::place) struct Model<'f> {
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
    pub(in crate::place) fn of(function: &'f Function, rates: &'static Rates) -> Self {
        let values = function.values.len();
        let mut readers = vec![0; values];
        for step in &function.body.steps {
            step.reads(|v| readers[v.index()] += 1);
        }
        function.body.outputs.iter().for_each(|&o| readers[o.index()] += 1);
        Self {
            function,
            rates,
            folded: Folded::of(function, Route::CoreMl),
            stored: vec![None; values],
            readers,
            fresh: vec![false; values],
            quantized: vec![false; values],
        }
    }

    /// `None` when it cannot be known before the run.
    pub(super) fn step(&mut self, step: &Step, at: Where) -> Option<StepCost> {
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
            (Fast::Alias, Where::Ane) if self.repacks(step) => self.other(step),
            (Fast::Alias | Fast::Meaning | Fast::State(Access::Read), _) => {
                StepCost::nothing(self.function, step, at)
            }
            (_, Where::Cpu | Where::Gpu) => self.as_core_ml(step, at, multiply_adds),
            (_, Where::Ane) if multiply_adds > 0 => self.product(step, multiply_adds),
            (_, Where::Ane) => self.other(step),
        })
    }

    /// Seconds of a step on the engine, the GPU and the CPU, as Core ML counts them; 0 of what is computed before the run, and
    /// of shapes that are not known.
    pub(in crate::place) fn counted(&mut self, step: &Step) -> [f64; 3] {
        if self.folded.is_folded(step) {
            self.fold(step);
            return [0.0; 3];
        }
        let multiply_adds = work::of_step(self.function, step).unwrap_or_default();
        [Where::Ane, Where::Gpu, Where::Cpu].map(|at| self.as_core_ml(step, at, multiply_adds).seconds)
    }

    /// A step as Core ML counts it: as long as its operations take, or its bytes.
    fn as_core_ml(&self, step: &Step, at: Where, multiply_adds: u64) -> StepCost {
        let (cost, _, _) = self.cost(step);
        let [flops, moved] = counted_rates(step.op.name, at);
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

    /// Whether a step that renames its tensor has to move it all the same, since its rows are, or become, so short that each is
    /// filled up: an element that is a row of its own takes as much as 32.
    fn repacks(&self, step: &Step) -> bool {
        let short = |v: ValueId| in_rows(self.function, v) != bytes(self.function, v);
        let (_, moving) = self.operands(step);
        let [x] = moving[..] else { return false };
        step.outputs.first().is_some_and(|&y| {
            let width = |v: ValueId| last(&self.function.value(v).ty);
            width(x) != width(y) && (short(x) || short(y))
        })
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
        let rows = moving.iter().chain(&step.outputs).map(|&v| in_rows(self.function, v));
        let moved = rows.fold(cost.weights, u64::saturating_add) as f64;
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

/// The operations and the bytes a second of an op, as Core ML counts them.
fn counted_rates(op: &str, at: Where) -> [Figure; 2] {
    match (at, op) {
        (Where::Ane, "conv") => [ENGINE_CONVOLVES, ENGINE_COUNTED[1]],
        (Where::Ane, _) => ENGINE_COUNTED,
        (Where::Gpu, _) => GPU,
        (Where::Cpu | Where::Refused, "conv_transpose") => [CPU_TRANSPOSED, CPU[1]],
        (Where::Cpu | Where::Refused, "upsample_bilinear") => [CPU[0], CPU_UPSAMPLES],
        (Where::Cpu | Where::Refused, _) => CPU,
    }
}

/// The bytes of a value, 0 when its type does not say.
pub(super) fn bytes(function: &Function, value: ValueId) -> u64 {
    let ty = match &function.value(value).ty {
        Type::State(inner) => inner,
        ty => ty,
    };
    ty.as_tensor().map_or(0, |t| elements(ty).saturating_mul(t.dtype.bits() as u64).div_ceil(8))
}

/// The bytes that a value takes on its way, with each of its rows filled up as in a surface.
fn in_rows(function: &Function, value: ValueId) -> u64 {
    let all = bytes(function, value);
    let Some(tensor) = function.value(value).ty.as_tensor().filter(|t| t.rank() > 1) else { return all };
    let width = last(&function.value(value).ty).unwrap_or(0);
    let row = width.saturating_mul(tensor.dtype.bits() as u64).div_ceil(8);
    all.checked_div(row).map_or(all, |rows| rows.saturating_mul(row.next_multiple_of(ROW)))
}

/// The elements of a tensor, 0 when they are not known.
fn elements(ty: &Type) -> u64 {
    ty.as_tensor().and_then(|t| t.shape.elements()).unwrap_or(0)
}

/// The extent of the last axis.
fn last(ty: &Type) -> Option<u64> {
    ty.as_tensor()?.shape.last()?.known()
}
