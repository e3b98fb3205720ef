//! What is rewritten, a row a rule.

mod elementwise;
mod kernels;
mod layers;
mod long;
mod moves;
mod picks;
mod recurrent;
mod reports;

use super::Rule;
use super::draft::Draft;
use super::site::Site;
use crate::source::{Code, codes};
use crate::types::{DType, Tensor};
use elementwise::*;
use kernels::*;
use layers::*;
use long::long;
use moves::*;
use picks::*;
use recurrent::*;
use reports::*;

/// The most parts into which something is divided.
const PARTS: u64 = 256;

/// The most numbers of a constant that is read or written.
const TABLE: u64 = 1 << 22;

const fn rule(
    name: &'static str,
    ops: &'static [&'static str],
    when: &'static str,
    what: &'static str,
    write: fn(&Site<'_>) -> Option<Draft>,
) -> Rule {
    Rule { name, ops, when, what, cures: &[], write }
}

/// A rule for what the engine takes, and may get wrong.
const fn cure(
    cures: &'static [&'static Code],
    name: &'static str,
    ops: &'static [&'static str],
    when: &'static str,
    what: &'static str,
    write: fn(&Site<'_>) -> Option<Draft>,
) -> Rule {
    Rule { name, ops, when, what, cures, write }
}

const REFUSED: &str = "the engine has no such op, or reports say so";

/// Every rule, in the order in which they are tried.
///
/// ```
/// use anemone::passes::RULES;
/// for rule in RULES.iter().filter(|r| r.ops.contains(&"matmul")) {
///     println!("{}: where {}, {} is written", rule.name, rule.when, rule.what);
/// }
/// ```
pub static RULES: &[Rule] = &[
    rule("fp32", &[], "an op is in fp32, and the route has casts", "the op in fp16, between casts", fp16),
    rule(
        "long",
        &[],
        "an axis is longer than the engine's",
        "the op on parts of it, which stand behind each other",
        long,
    ),
    rule("rsqrt", &["rsqrt"], REFUSED, "`add` and `pow`", rsqrt),
    rule("gelu", &["gelu"], REFUSED, "`erf` or `tanh`, and `mul` and `add`", gelu),
    rule("mean", &["reduce_mean"], REFUSED, "`reduce_sum` between two `mul`", mean),
    rule("concat", &["concat"], REFUSED, "`pad` and `add`", concat),
    rule("tan", &["tan"], REFUSED, "`sin` through `cos`", tan),
    rule("sinh", &["sinh"], REFUSED, "`tanh` near zero, `exp` elsewhere", sinh),
    rule("cosh", &["cosh"], REFUSED, "two `exp`", cosh),
    rule("atanh", &["atanh"], REFUSED, "`log`", atanh),
    rule("arc", &["asin", "acos"], REFUSED, "`atan`", arc),
    rule(
        "wave",
        &["sin", "cos"],
        "the chip is an M1 or M2",
        "a polynomial of the angle within half a turn",
        wave,
    ),
    rule("mod", &["mod"], REFUSED, "`floor` of the quotient, `mul` and `sub`", modulo),
    rule(
        "logical",
        &["logical_and", "logical_or", "logical_xor", "logical_not"],
        REFUSED,
        "numbers 0 and 1",
        logical,
    ),
    rule("prod", &["reduce_prod"], "axes of 256 at most", "`split` and `mul`", prod),
    rule("band", &["band_part"], REFUSED, "`select` by a constant mask", band),
    rule("cumsum", &["cumsum"], "an axis of 1024 at most", "`matmul` with a triangle of ones", cumsum),
    rule("gather", &["gather"], "the indices are constant", "slices, and `concat`", gather),
    rule("gather-nd", &["gather_nd"], "the indices are constant", "slices, and `concat`", gather_nd),
    rule(
        "gather-along",
        &["gather_along_axis"],
        "the indices are constant, and the same for all other axes",
        "slices, and `concat`",
        gather_along,
    ),
    rule(
        "scatter",
        &["scatter"],
        "the indices are constant, and each is there once",
        "slices, and `concat`",
        scatter,
    ),
    rule(
        "update",
        &["slice_update"],
        "it begins at a constant place",
        "`concat` of what is new and what stays",
        update,
    ),
    rule(
        "reverse-sequence",
        &["reverse_sequence"],
        "the lengths are constant",
        "`reverse` of slices, and `concat`",
        reverse_sequence,
    ),
    rule("shape", &["shape"], "the shape is known", "a constant", shape),
    rule("rnn", &["rnn"], "256 frames at most", "`linear` and the activation, a step a frame", rnn),
    rule("gru", &["gru"], "256 frames at most", "`linear`, `mul` and activations, a step a frame", gru),
    rule("lstm", &["lstm"], "256 frames at most", "`linear`, `mul` and activations, a step a frame", lstm),
    rule("windows", &["sliding_windows"], "256 windows at most", "slices, and `stack`", windows),
    rule("like", &["reshape_like"], "the shape is known", "`reshape`", like),
    rule("pad", &["pad"], "with another number than 0", "`concat` with constants", pad),
    rule("global-pool", &["avg_pool"], "the window is the whole of the input", "`reduce_mean`", global_pool),
    rule(
        "max-pool",
        &["max_pool"],
        "the window is larger than the engine's",
        "two smaller windows",
        max_pool,
    ),
    rule("linear", &["linear"], "it has five dimensions", "`linear` of rows, between two `reshape`", linear),
    rule("batches", &["matmul"], "it has five dimensions", "`matmul` of three, between `reshape`", batches),
    rule(
        "inner",
        &["matmul"],
        "the inner dimension is larger than the engine's",
        "the sum of two products",
        inner,
    ),
    rule(
        "average",
        &["avg_pool"],
        "the window is larger than the engine's",
        "`conv` of each channel by itself",
        average,
    ),
    rule(
        "power-of-two",
        &["softmax"],
        "a report says that it takes powers of two only",
        "`softmax` of the tensor padded and masked, and a slice",
        power_of_two,
    ),
    rule(
        "slice-of-input",
        &["slice_by_index"],
        "a report says that it takes no inputs, or they are too long; by steps of 1",
        "`slice_by_size`",
        slice_of_input,
    ),
    rule(
        "bias",
        &["conv", "conv_transpose"],
        "a report says that it takes no bias",
        "the op without it, and `add`",
        bias,
    ),
    rule(
        "zero",
        &["mul"],
        "a report says that the product of a reduction and 0 fails",
        "`sub` of it and itself",
        zero,
    ),
    rule(
        "outputs",
        &["conv"],
        "it has more output channels than the engine's",
        "`concat` of `conv` with parts of the weights",
        outputs,
    ),
    cure(
        &[&codes::BATCH_BROADCAST],
        "repeat",
        &["mul"],
        "it repeats a tensor along the batch, 64 times at most",
        "`mul` of the tensor and itself joined as often",
        repeat,
    ),
    cure(
        &[&codes::SQUARE_WIDTH],
        "square",
        &["square"],
        "rows are of a length that was seen go wrong",
        "`mul` of the tensor and itself",
        square,
    ),
    cure(
        &[&codes::COMPILE_BUDGET],
        "kernel",
        &["conv"],
        "the kernel is longer than the engine's, or takes minutes to compile",
        "the sum of `conv` with its parts",
        kernel,
    ),
    rule(
        "transposed",
        &["conv_transpose"],
        "the kernel is longer than the engine's",
        "the sum of `conv_transpose` with its parts",
        transposed,
    ),
    rule(
        "batch",
        &["conv", "conv_transpose"],
        "the weights are computed, for a batch of several",
        "the op on each item",
        batch,
    ),
    rule(
        "shuffle",
        &["pixel_shuffle", "pixel_unshuffle", "depth_to_space", "space_to_depth"],
        "the factor is none of the engine's",
        "`transpose` between two `reshape`",
        shuffle,
    ),
    rule(
        "to-space",
        &["batch_to_space"],
        "the block is none of the engine's",
        "`transpose` between `reshape`, and a slice",
        to_space,
    ),
    rule(
        "to-batch",
        &["space_to_batch"],
        "the block is none of the engine's",
        "`pad`, and `transpose` between `reshape`",
        to_batch,
    ),
    rule(
        "neighbours",
        &["local_response_norm"],
        "it has more channels than the engine's",
        "`square`, `conv` with a band of ones, and `pow`",
        neighbours,
    ),
    cure(
        &[&codes::TILE_POISONS],
        "tile",
        &["tile"],
        "always on routes that take whole programs, elsewhere so many times as are refused",
        "`concat` of the tensor with itself",
        tile,
    ),
    cure(
        &[&codes::MASK_IGNORED, &codes::ATTENTION_SIZE],
        "attention",
        &["scaled_dot_product_attention"],
        "its mask may be ignored, or it has too many rows",
        "`matmul`, `softmax`, `matmul`",
        attention,
    ),
    cure(
        &[&codes::RUNTIME_WEIGHTS],
        "runtime-weight",
        &["conv"],
        "the weights are computed, of 64 places at most, in one group",
        "`matmul` for each place of the kernel, and `add`",
        runtime_weight,
    ),
    cure(
        &[&codes::SUM_OVERFLOWS],
        "overflow",
        &["conv", "linear", "matmul"],
        "sums can pass the end of the engine's",
        "the op with weights divided by a power of two, and a `mul` behind it",
        overflow,
    ),
    cure(
        &[&codes::DEAD_OUTPUT],
        "parts",
        &["split"],
        "nothing reads one of its results",
        "slices of what is read",
        parts,
    ),
    cure(
        &[&codes::PRODUCT_VANISHES],
        "probabilities",
        &["matmul"],
        "it multiplies long rows of `softmax`",
        "the product of 64 times as much, divided by 64",
        probabilities,
    ),
    cure(
        &[&codes::PRODUCT_VANISHES],
        "vanish",
        &["conv", "linear", "matmul"],
        "its constant weights are so small that products are dropped",
        "the op with weights multiplied by a power of two, and a `mul` behind it",
        vanish,
    ),
    cure(
        &[&codes::COMPILE_BUDGET],
        "join",
        &["concat", "stack"],
        "it joins so many branches that they take seconds to compile",
        "`concat` of a few at a time",
        join,
    ),
    cure(
        &[&codes::SLICE_SATURATES],
        "slice",
        &["slice_by_size", "slice_by_index"],
        "it starts inside the last axis",
        "the same of a sixteenth, since the engine multiplies by 16 there",
        slice,
    ),
];

/// A literal.
fn number(dtype: DType, value: f64) -> String {
    format!("{}({value:?})", dtype.name())
}

fn floats(site: &Site<'_>) -> Option<(DType, Vec<u64>)> {
    site.result().filter(|(d, _)| d.is_float())
}

/// A constant of two dimensions, of what each place is.
fn table(dtype: DType, rows: u64, columns: u64, of: impl Fn(i64, i64) -> bool) -> Option<Tensor> {
    if rows.checked_mul(columns)? > TABLE {
        return None;
    }
    let places = (0..rows as i64).flat_map(|r| (0..columns as i64).map(move |c| (r, c)));
    let values: Vec<f64> = places.map(|(r, c)| f64::from(u8::from(of(r, c)))).collect();
    let shape = [rows as usize, columns as usize];
    if dtype == DType::Bool {
        return Tensor::from_bools(&shape, &values.iter().map(|&v| v != 0.0).collect::<Vec<_>>()).ok();
    }
    Tensor::from_f64s(dtype, &shape, &values).ok()
}
