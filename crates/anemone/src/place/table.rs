//! The table: a row for each op of the op table.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::rules::{self as r, Rule};
use super::support::{Alone, Form};
use crate::chip::Chip;
use Alone::{Correct as C, Fails as X, Reachable as R, Untried as U, Walled as W};

/// A part of the engine that came with some chip, and what is done by it.
///
/// Ops differ from chip to chip by what the engine of a chip has: a row of the table names the part, and not the chips.
///
/// ```
/// use anemone::{Chip, chip::Hardware, place};
/// let part = place::row("resample").part().unwrap();
/// assert_eq!((part.name, part.since), ("texture engine", Chip::M2));
/// // The compiler's own table says so too.
/// assert_eq!(Hardware::find(part.name).unwrap().value(Chip::M1), "no");
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is called; as in [`HARDWARE`](crate::chip::HARDWARE), where that has it.
    pub name: &'static str,
    /// The first chip whose engine has it.
    pub since: Chip,
    /// How the op is done without it.
    pub before: Form,
}

/// How the engines do an op.
#[derive(Clone, Copy, Debug)]
enum How {
    /// All of them in one way.
    Always(Form),
    /// By a part that not all of them have.
    With(&'static Part),
}

/// What is known of one op, whatever its arguments, and the rules for these.
///
/// ```
/// use anemone::{Chip, place::{self, Form}};
/// let sin = place::row("sin");
/// assert_eq!((sin.form(Chip::M1), sin.form(Chip::M3)), (Form::Later, Form::Native));
/// assert!(!sin.instead.is_empty());
/// let relu = place::row("relu");
/// assert_eq!((relu.core_ml(), relu.compiles_alone()), (Some(true), Some(true)));
/// let on_m1 = relu.on(place::Target::new(Chip::M1));
/// assert!(on_m1.form.is_on_engine() && relu.form_on(place::Target::new(Chip::M1)) == on_m1.form);
/// ```
pub struct OpRow {
    /// The op.
    pub op: &'static str,
    /// What to write instead where the engine has no such op.
    pub instead: &'static str,
    /// How the engines do it by the E5RT route.
    how: How,
    /// Whether Core ML finds it on the engine: asked on an M4.
    pub(super) core_ml: Option<bool>,
    /// What came of it when it was compiled for the engine alone: tried on an M5.
    pub(super) alone: Alone,
    /// How the engine does it, where that is worth saying.
    pub(super) note: &'static str,
    /// Who says that it is refused, against others: the reason, and the source.
    pub(super) strict: Option<(&'static str, &'static str)>,
    /// What its arguments must keep to.
    pub(super) rules: &'static [Rule],
}

impl OpRow {
    /// How the E5RT route does the op on a chip.
    pub fn form(&self, chip: Chip) -> Form {
        match self.how {
            How::Always(form) => form,
            How::With(part) if chip < part.since => part.before,
            How::With(_) => Form::Native,
        }
    }

    /// The part of the engine that does it, where not all engines have it.
    ///
    /// ```
    /// use anemone::place;
    /// assert!(place::row("sin").part().is_some() && place::row("relu").part().is_none());
    /// ```
    pub fn part(&self) -> Option<&'static Part> {
        match self.how {
            How::Always(_) => None,
            How::With(part) => Some(part),
        }
    }

    /// How a target does the op, whatever its arguments.
    pub fn form_on(&self, target: super::Target) -> Form {
        super::support::of(self, target).form
    }

    /// What is known of it on a target, whatever its arguments.
    pub fn on(&self, target: super::Target) -> super::Support {
        super::support::of(self, target)
    }

    /// Whether Core ML finds the op on the engine, where somebody asked.
    pub fn core_ml(&self) -> Option<bool> {
        self.core_ml
    }

    /// Whether the op compiles for the engine alone, where somebody tried.
    pub fn compiles_alone(&self) -> Option<bool> {
        match self.alone {
            Alone::Correct | Alone::Reachable => Some(true),
            Alone::Fails | Alone::Walled => Some(false),
            Alone::Untried => None,
        }
    }

    const fn rules(mut self, rules: &'static [Rule]) -> Self {
        self.rules = rules;
        self
    }

    const fn instead(mut self, instead: &'static str) -> Self {
        self.instead = instead;
        self
    }

    const fn note(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }

    const fn strict(mut self, why: &'static str, source: &'static str) -> Self {
        self.strict = Some((why, source));
        self
    }
}

impl std::fmt::Debug for OpRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpRow({})", self.op)
    }
}

/// Every row, in the order of the op table.
///
/// ```
/// use anemone::{ops, place};
/// assert!(place::rows().map(|row| row.op).eq(ops::all().map(|op| op.name)));
/// ```
pub fn rows() -> impl Iterator<Item = &'static OpRow> {
    ROWS.iter()
}

/// The row of an op of the op table.
///
/// ```
/// use anemone::{Chip, place};
/// assert!(place::row("conv").form(Chip::M1).is_on_engine());
/// ```
///
/// # Panics
///
/// When no op of the op table has this name.
pub fn row(op: &str) -> &'static OpRow {
    static BY_NAME: LazyLock<HashMap<&'static str, &'static OpRow>> =
        LazyLock::new(|| ROWS.iter().map(|row| (row.op, row)).collect());
    BY_NAME.get(op).copied().unwrap_or_else(|| panic!("`{op}` is no op of the op table"))
}

const fn op(op: &'static str, how: How, core_ml: Option<bool>, alone: Alone) -> OpRow {
    OpRow { op, how, core_ml, alone, instead: "", note: "", strict: None, rules: &[] }
}

const N: How = How::Always(Form::Native);
const B: How = How::Always(Form::Bridged);
const NO: How = How::Always(Form::Refused);
/// Samples at any place.
const TEXTURE: How = How::With(&part("texture engine", Chip::M2, Form::Later));
/// Sizes are changed by the same unit; before it, by the compiler, with transposes that round differently.
const SCALING: How = How::With(&part("texture engine", Chip::M2, Form::Bridged));
const SORTING: How = How::With(&part("rank and sort", Chip::M2, Form::Later));
const SINES: How = How::With(&part("sin, cos", Chip::M3, Form::Later));
const RANDOM: How = How::With(&part("dropout and random", Chip::M3, Form::Bridged));
const ARGMIN: How = How::With(&part("argument-maximum, hardware form", Chip::M3, Form::Bridged));
/// Weights that are expanded as they are read; before it, when the program is compiled.
const STREAM: How = How::With(&part("blockwise weight streaming", Chip::M3, Form::Bridged));

const fn part(name: &'static str, since: Chip, before: Form) -> Part {
    Part { name, since, before }
}

const YES: Option<bool> = Some(true);
const CPU: Option<bool> = Some(false);
const ASK: Option<bool> = None;

const FOURIER: &str = "write it with `exp`, `log` and `sqrt`, or compute it on the host";
const UNROLL: &str = "unroll it into `linear`, `sigmoid` and `tanh`, a step a frame";
const HOST: &str = "compute it on the host, and give it as an input";
const SCATTER: &str = "write it as `select` with a mask, or as a product with a one-hot matrix";
const LOGICAL: &str = "write it with `minimum`, `maximum` or `mul` on 0 and 1 in fp16";
const LIST: &str = "unroll the loop, and `concat` or `stack` the tensors";

static ROWS: &[OpRow] = &[
    // elementwise
    op("abs", N, YES, C),
    op("acos", NO, CPU, X).instead(FOURIER),
    op("add", N, YES, C),
    op("asin", NO, CPU, X).instead(FOURIER),
    op("atan", N, YES, C),
    op("atanh", NO, CPU, X).instead(FOURIER),
    op("cast", N, YES, R)
        .instead("take and give fp16, so that nothing is cast")
        .strict("one sweep of all ops found that the compiler makes nothing of `cast`", "ANEForge")
        .note("from fp32 and to fp32 it is taken where a program begins and ends")
        .rules(&[r::cast]),
    op("ceil", N, YES, C),
    op("clip", N, YES, C),
    op("cos", SINES, YES, R).instead("write it as a polynomial of `mul` and `add`"),
    op("cosh", NO, CPU, X).instead(FOURIER),
    op("equal", N, YES, R),
    op("erf", N, YES, R),
    op("exp", N, YES, R),
    op("exp2", N, YES, C),
    op("floor", N, YES, C),
    op("floor_div", N, YES, C),
    op("greater", N, YES, R),
    op("greater_equal", N, YES, R),
    op("inverse", N, YES, C),
    op("less", N, YES, R),
    op("less_equal", N, YES, R),
    op("log", N, YES, C),
    op("logical_and", NO, YES, X).instead(LOGICAL),
    op("logical_not", N, YES, X).instead("write it as `sub(x = 1, y = x)` in fp16"),
    op("logical_or", NO, YES, X).instead(LOGICAL),
    op("logical_xor", NO, YES, X).instead(LOGICAL),
    op("maximum", N, YES, C),
    op("minimum", N, YES, C),
    op("mod", NO, CPU, X).instead("write it as `x - floor(x / y) * y`"),
    op("mul", N, YES, R),
    op("not_equal", N, YES, R),
    op("pow", N, YES, C),
    op("real_div", N, YES, C),
    op("round", N, YES, C),
    op("rsqrt", N, YES, C)
        .instead("write it as `pow(x = x, y = -0.5)`")
        .strict("some reports say that the compiler refuses `rsqrt`", "Orion, rane, Espresso"),
    op("select", N, YES, C),
    op("sign", N, YES, C),
    op("sin", SINES, YES, R).instead("write it as a polynomial of `mul` and `add`"),
    op("sinh", NO, CPU, X).instead(FOURIER),
    op("sqrt", N, YES, C),
    op("square", N, YES, C),
    op("sub", N, YES, R),
    op("tan", NO, CPU, X).instead("write it as `sin` through `cos`"),
    op("tanh", N, YES, C),
    op("threshold", N, YES, R),
    // activations
    op("clamped_relu", N, YES, C),
    op("elu", N, YES, R),
    op("gelu", N, YES, R)
        .instead("write it with `tanh`")
        .strict("one report says that the compiler refuses `gelu`", "Orion"),
    op("leaky_relu", N, YES, C),
    op("linear_activation", N, YES, C),
    op("prelu", N, YES, R),
    op("relu", N, YES, R),
    op("relu6", N, YES, R),
    op("scaled_tanh", N, YES, C),
    op("sigmoid", N, YES, C),
    op("sigmoid_hard", N, YES, C),
    op("silu", N, YES, C),
    op("softmax", N, YES, R),
    op("softplus", N, YES, R),
    op("softplus_parametric", N, YES, R),
    op("softsign", N, YES, C),
    op("thresholded_relu", N, YES, R),
    // reductions
    op("reduce_argmax", N, CPU, X)
        .instead("find the largest with `reduce_max`, and the index on the host")
        .rules(&[r::argmax]),
    op("reduce_argmin", ARGMIN, CPU, X)
        .instead("find the smallest with `reduce_min`, and the index on the host")
        .rules(&[r::argmax]),
    op("reduce_l1_norm", N, YES, C),
    op("reduce_l2_norm", N, YES, C),
    op("reduce_log_sum", N, YES, R),
    op("reduce_log_sum_exp", N, YES, R),
    op("reduce_max", N, YES, C),
    op("reduce_mean", N, YES, C)
        .instead("write it as `reduce_sum`, and `mul` by one over the count")
        .strict("some reports say that the compiler refuses `reduce_mean`", "rane, Espresso"),
    op("reduce_min", N, YES, R),
    op("reduce_prod", NO, CPU, X)
        .instead("write it as `exp` of the `reduce_sum` of `log`, for positive numbers"),
    op("reduce_sum", N, YES, C),
    op("reduce_sum_square", N, YES, R),
    op("cumsum", N, CPU, X).instead("write it as `matmul` with a triangle of ones"),
    // norms
    op("batch_norm", N, YES, C),
    op("instance_norm", N, YES, R),
    op("l2_norm", N, YES, R),
    op("layer_norm", N, YES, C),
    op("local_response_norm", N, YES, R).rules(&[r::response_norm]),
    // products
    op("linear", N, YES, R).rules(&[r::linear]),
    op("matmul", N, YES, C).rules(&[r::matmul]),
    op("einsum", N, YES, C).note("the engine does it as `matmul` and `transpose`"),
    op("conv", N, YES, R).rules(&[r::conv_kernel, r::conv_weight]),
    op("conv_transpose", N, YES, R).rules(&[r::conv_transpose, r::conv_weight]),
    op("conv_quantized", B, ASK, W).instead("write it as `conv` between `dequantize` and `quantize`"),
    op("avg_pool", N, YES, C).rules(&[r::avg_pool]),
    op("max_pool", N, YES, R).rules(&[r::max_pool]),
    op("l2_pool", N, YES, C),
    op("scaled_dot_product_attention", N, YES, C).instead("write it as `matmul`, `softmax`, `matmul`"),
    // recurrences
    op("rnn", NO, CPU, X).instead(UNROLL),
    op("gru", NO, CPU, X).instead(UNROLL),
    op("lstm", NO, CPU, X).instead(UNROLL),
    // shapes
    op("reshape", N, YES, C),
    op("reshape_like", N, ASK, W).instead("write it as `reshape`"),
    op("expand_dims", N, YES, C),
    op("squeeze", N, YES, C),
    op("flatten2d", N, YES, R),
    op("shape", NO, ASK, X).instead("write the shape down as a constant"),
    op("identity", N, YES, R),
    op("transpose", N, YES, C).rules(&[r::transpose]),
    op("reverse", N, YES, C),
    op("reverse_sequence", NO, CPU, X).instead("reverse on the host, or `gather` with constant indices"),
    op("sliding_windows", NO, CPU, X).instead("`stack` slices, or write the op behind it as `conv`"),
    op("band_part", NO, CPU, X).instead("`mul` by a constant mask"),
    // blocks
    op("depth_to_space", N, YES, C).rules(&[r::factor]),
    op("space_to_depth", N, YES, C).rules(&[r::factor]),
    op("pixel_shuffle", N, YES, C).rules(&[r::factor]),
    op("pixel_unshuffle", N, YES, R).rules(&[r::factor]),
    op("batch_to_space", N, YES, C).rules(&[r::block]),
    op("space_to_batch", N, YES, C).rules(&[r::block]),
    // joins
    op("concat", N, YES, R)
        .instead("write the parts into one tensor with `pad` and `add`")
        .strict("one report says that the compiler refuses `concat`", "Orion"),
    op("stack", N, YES, C),
    op("split", N, YES, R),
    op("tile", N, YES, C).instead("`concat` the tensor with itself").rules(&[r::tile]).strict(
        "one report says that after `tile` every evaluation of the process fails",
        "skyfallsin's field guide",
    ),
    // creation
    op("fill", N, YES, R),
    op("fill_like", N, YES, C),
    op("range_1d", B, CPU, X).instead("write the numbers down as a constant"),
    op("one_hot", NO, CPU, X).instead("`gather` rows of a constant identity matrix on the host"),
    // slices
    op("slice_by_index", B, YES, C)
        .note("a slice with fixed bounds becomes part of the op around it")
        .rules(&[r::slice_bounds]),
    op("slice_by_size", N, YES, R).rules(&[r::slice_bounds]),
    op("slice_update", N, ASK, X).instead("`concat` the parts").rules(&[r::slice_bounds]),
    op("crop", N, ASK, R),
    op("pad", N, YES, R).rules(&[r::pad]),
    // gathers
    op("gather", N, YES, X).instead("`slice_by_index` and `concat`").rules(&[r::indices, r::gather_envelope]),
    op("gather_along_axis", N, YES, X)
        .instead("`slice_by_index` and `concat`")
        .rules(&[r::indices_alone, r::gather_envelope]),
    op("gather_nd", N, YES, X)
        .instead("`slice_by_index` and `concat`")
        .rules(&[r::indices, r::gather_envelope]),
    op("scatter", NO, CPU, X).instead(SCATTER),
    op("scatter_along_axis", NO, CPU, X).instead(SCATTER),
    op("scatter_nd", NO, CPU, X).instead(SCATTER),
    // sorting
    op("topk", SORTING, YES, C).instead("find the largest on the host").rules(&[r::topk]),
    op("argsort", SORTING, CPU, W).instead("sort on the host"),
    op("non_zero", NO, CPU, X).instead("keep the mask, and `select` with it"),
    op("non_maximum_suppression", B, CPU, R)
        .instead("suppress on the host")
        .note("it compiles for the engine, and the guide says that CPU or GPU runs it")
        .rules(&[r::boxes]),
    // images
    op("resize", SCALING, YES, R),
    op("resize_bilinear", SCALING, YES, R),
    op("resize_nearest_neighbor", SCALING, YES, R),
    op("upsample_bilinear", SCALING, YES, R),
    op("upsample_nearest_neighbor", SCALING, YES, C),
    op("resample", TEXTURE, YES, R).instead("resample on the host"),
    op("affine", TEXTURE, YES, R).instead("transform on the host"),
    op("crop_resize", TEXTURE, CPU, X).instead("`slice_by_size`, then `resize_bilinear`"),
    // quantization
    op("quantize", N, YES, C).strict("one report says that the compiler refuses `quantize`", "Espresso"),
    op("dequantize", N, YES, C).strict("one report says that the compiler refuses `dequantize`", "Espresso"),
    op("constexpr_affine_dequantize", STREAM, YES, R).instead("store the weights in fp16").strict(
        "one report says that the compiler refuses `constexpr_affine_dequantize`",
        "Espresso, before macOS 26",
    ),
    op("constexpr_blockwise_shift_scale", STREAM, YES, C),
    op("constexpr_sparse_to_dense", N, YES, R),
    op("constexpr_sparse_blockwise_shift_scale", STREAM, YES, R),
    op("constexpr_cast", NO, YES, C).instead("store the weights in fp16"),
    op("constexpr_lut_to_dense", N, YES, R),
    op("constexpr_lut_to_sparse", N, YES, R),
    // random numbers
    op("random_bernoulli", NO, CPU, X).instead(HOST),
    op("random_categorical", NO, CPU, X).instead(HOST),
    op("random_normal", NO, CPU, X).instead(HOST),
    op("random_uniform", RANDOM, CPU, X).instead(HOST),
    // state
    op("read_state", N, YES, U),
    op("write_state", N, YES, U),
    op("coreml_update_state", N, YES, U),
    // control
    op("const", B, YES, U).note("constants are part of the op that reads them"),
    op("cond", B, CPU, W).instead("compute both, and `select`"),
    op("while_loop", B, CPU, W).instead("unroll the loop"),
    op("classify", B, CPU, W).instead("find the label on the host"),
    op("tensor_buffer_to_tensor", B, ASK, U),
    op("tensor_to_tensor_buffer", B, ASK, U),
    // lists
    op("make_list", NO, CPU, W).instead(LIST),
    op("list_length", NO, CPU, W).instead(LIST),
    op("list_read", NO, CPU, W).instead(LIST),
    op("list_gather", NO, CPU, W).instead(LIST),
    op("list_write", NO, CPU, W).instead(LIST),
    op("list_scatter", NO, CPU, W).instead(LIST),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chip::Hardware;
    use crate::ops;

    /// Row X1: one row for each op of the op table, in its order.
    #[test]
    fn the_table_has_the_ops_of_the_op_table() {
        let rows: Vec<_> = rows().map(|r| r.op).collect();
        let mut table = ops::all().map(|op| op.name);
        for (i, name) in rows.iter().enumerate() {
            assert_eq!(Some(*name), table.next(), "row {i}");
        }
        assert_eq!(table.next(), None);
    }

    /// A part comes when the compiler's table says, if that has it.
    #[test]
    fn parts_come_with_the_chips_of_the_table() {
        for part in rows().filter_map(OpRow::part) {
            let Some(row) = Hardware::find(part.name) else { continue };
            for chip in Chip::ALL {
                assert_eq!(row.value(chip) == "yes", chip >= part.since, "{} on {chip}", part.name);
            }
        }
    }

    /// What no engine has is replaced by something.
    #[test]
    fn what_is_refused_says_what_to_write_instead() {
        for row in rows() {
            let refused = Chip::ALL.iter().any(|&c| matches!(row.form(c), Form::Refused | Form::Later))
                || matches!(row.alone, Alone::Fails | Alone::Walled)
                || row.core_ml == CPU;
            assert!(!refused || !row.instead.is_empty(), "{}", row.op);
        }
    }
}
