//! What the arguments of an op must keep to: sizes, dtypes and forms.
//!
//! A rule reads one step and says why it is refused, or nothing. What is not known when the program is compiled is not
//! held against it, but where the engine needs to know it.

use std::borrow::Cow;

use super::ask::{Ask, known};
use super::support::{Facts, Form, GUIDE, STUDY, is_known};
use super::{OpRow, Phase, Route, Target, reports};
use crate::chip::{Chip, Evidence, Limit, Quantity};
use crate::source::{Code, codes};
use crate::types::{DType, TensorType};

/// Why one step is not for the engine.
pub(super) struct Refusal {
    pub(super) code: &'static Code,
    pub(super) form: Form,
    /// What is at the place.
    pub(super) label: Cow<'static, str>,
    pub(super) why: Cow<'static, str>,
    /// The cheapest change.
    pub(super) change: Cow<'static, str>,
    pub(super) evidence: Evidence,
    pub(super) phase: Phase,
}

impl Refusal {
    /// The facts of the op in this form: of what is refused nothing compiles, or nothing runs, if somebody saw that or the
    /// compiler says so.
    pub(super) fn facts(&self, of_the_op: Facts) -> Facts {
        let attested = of_the_op.attested.map(|_| false);
        let refused = is_known(self.evidence).then_some(false);
        let facts = Facts { attested, ..Facts::default() };
        match self.phase {
            Phase::Run => Facts { compiles: refused.map(|_| true), runs: refused, ..facts },
            _ => Facts { compiles: refused, ..facts },
        }
    }
}

/// Reads one step and says why it is refused, if it is.
pub(super) type Rule = fn(&Ask<'_>) -> Option<Refusal>;

/// The rules of every op, in the order in which a compiler would find them.
const OF_EVERY_OP: &[Rule] = &[rank, shape, dtype, extent];

/// Why a step is not for the engine although the engine has the op.
pub(super) fn refusal(row: &OpRow, ask: &Ask<'_>) -> Option<Refusal> {
    OF_EVERY_OP.iter().chain(row.rules).chain(reports::of(ask.target)).find_map(|rule| rule(ask))
}

fn refuse(
    code: &'static Code,
    why: String,
    change: impl Into<Cow<'static, str>>,
    evidence: Evidence,
) -> Refusal {
    Refusal {
        code,
        form: Form::Refused,
        label: Cow::Borrowed("not taken in this form"),
        why: why.into(),
        change: change.into(),
        evidence,
        phase: Phase::Lower,
    }
}

/// Refuses a value that is above a limit.
fn above(value: u64, limit: Limit, what: &str, change: impl Into<Cow<'static, str>>) -> Option<Refusal> {
    (value > limit.value).then(|| Refusal {
        label: format!("{value} here, and {} at most", limit.value).into(),
        ..refuse(
            &codes::CHIP_LIMIT,
            format!("{what} is {value}, and the engine takes {} at most", limit.value),
            change,
            limit.evidence,
        )
    })
}

pub(super) fn form(why: impl Into<String>, change: &'static str, evidence: Evidence) -> Option<Refusal> {
    Some(refuse(&codes::CHIP_FORM, why.into(), change, evidence))
}

/// The tensors that the engine is given and gives, which constants are not.
fn tensors<'a>(ask: &Ask<'a>) -> impl Iterator<Item = &'a TensorType> {
    ask.given().map(|(_, t)| t).chain(ask.results())
}

fn rank(ask: &Ask<'_>) -> Option<Refusal> {
    let limit = ask.limit(Quantity::Rank);
    tensors(ask).find_map(|t| {
        above(t.rank() as u64, limit, "the number of dimensions", "`reshape` it to fewer dimensions")
            .map(|r| Refusal { phase: Phase::Type, ..r })
    })
}

fn shape(ask: &Ask<'_>) -> Option<Refusal> {
    let guide = Evidence::measured(GUIDE);
    tensors(ask).find_map(|t| match known(t) {
        None => form(
            "the shape is known only when the program runs, and the engine takes fixed shapes",
            "write a function for each shape that is needed",
            guide,
        ),
        Some(dims) if dims.contains(&0) => {
            form("a dimension is 0, and the engine takes no empty tensor", "leave the op out", guide)
        }
        Some(_) => None,
    })
}

/// Whether an op takes or gives whole numbers beside the numbers that it computes with.
fn takes(op: &str, param: &str, dtype: DType, ask: &Ask<'_>) -> bool {
    let core_ml = ask.target.route == Route::CoreMl;
    match (op, param) {
        ("cast", "x") => dtype == DType::Fp32,
        ("dequantize" | "constexpr_affine_dequantize", _) => matches!(dtype, DType::Int8 | DType::UInt8),
        // Which indices an op takes is for its own rule to say.
        ("gather" | "gather_along_axis" | "gather_nd", "indices") => dtype.is_int(),
        ("slice_by_index" | "slice_by_size" | "slice_update", "begin" | "end" | "size" | "stride")
        | ("pad", "pad")
        | ("tile", "reps") => dtype.is_int(),
        ("tensor_buffer_to_tensor" | "tensor_to_tensor_buffer", _) => core_ml,
        _ => false,
    }
}

/// Whether an op gives results of this dtype beside fp16.
fn gives(op: &str, result: usize, dtype: DType, ask: &Ask<'_>) -> bool {
    match op {
        // fp16 to int32 was found on the engine by Core ML on an M4, and refused on an M1.
        "cast" => {
            dtype == DType::Fp32
                || dtype == DType::Int32 && ask.target.route == Route::CoreMl && ask.target.chip >= Chip::M4
        }
        "quantize" => matches!(dtype, DType::Int8 | DType::UInt8),
        "topk" => result == 1 && matches!(dtype, DType::Int32 | DType::UInt16 | DType::Int16),
        "argsort" | "reduce_argmax" | "reduce_argmin" => ask.target.route == Route::E5rt,
        "non_maximum_suppression" => result > 1,
        _ => false,
    }
}

fn dtype(ask: &Ask<'_>) -> Option<Refusal> {
    let op = ask.step.op.name;
    let odd = |d: DType| d != DType::Fp16 && d != DType::Bool;
    let given = ask.given().find(|(p, t)| odd(t.dtype) && !takes(op, p, t.dtype, ask)).map(|(_, t)| t.dtype);
    let result = || {
        let mut results = ask.results().enumerate();
        results.find(|(i, t)| odd(t.dtype) && !gives(op, *i, t.dtype, ask)).map(|(_, t)| t.dtype)
    };
    let dtype = given.or_else(result)?;
    let change = match dtype {
        DType::Fp32 => "compute in fp16: `cast` what is given to fp16 first, and the results back",
        DType::Int32 => "compute it on the host, or in fp16 where the numbers are small",
        _ => "compute in fp16",
    };
    Some(Refusal {
        label: format!("in {dtype}").into(),
        phase: Phase::Type,
        ..refuse(
            &codes::CHIP_DTYPE,
            format!("`{op}` is in {dtype} here, and the engine computes in fp16"),
            change,
            if ask.target.route == Route::CoreMl { STUDY } else { Evidence::measured(GUIDE) },
        )
    })
}

/// Which limit an axis of so many is held to, and what the axis is.
pub(crate) fn extent_of(axis: usize, rank: usize) -> (Quantity, &'static str) {
    match (rank - axis, rank) {
        (1, _) => (Quantity::Extent, "the width"),
        (2, _) => (Quantity::Extent, "the height"),
        (3, 5) => (Quantity::Extent, "the depth"),
        (3, _) | (4, 5) => (Quantity::Channels, "the number of channels"),
        _ => (Quantity::Batch, "the first axis"),
    }
}

/// The axes that are longer than the engine of a target takes.
pub(crate) fn long_axes(target: Target, dims: &[u64]) -> impl Iterator<Item = usize> {
    let rank = dims.len();
    let limit = move |axis| target.chip.limit(extent_of(axis, rank).0, target.profile).value;
    (0..rank).filter(move |&axis| dims[axis] > limit(axis))
}

fn extent(ask: &Ask<'_>) -> Option<Refusal> {
    let change = "`split` it into parts, or `reshape` so that another axis is long";
    tensors(ask).filter_map(known).find_map(|dims| {
        let axis = long_axes(ask.target, &dims).next()?;
        let (quantity, what) = extent_of(axis, dims.len());
        above(dims[axis], ask.limit(quantity), what, change)
    })
}

pub(super) fn cast(ask: &Ask<'_>) -> Option<Refusal> {
    let from = ask.dtype()?;
    let to = ask.result(0)?.dtype;
    (from == DType::Bool && to == DType::Int32).then(|| {
        refuse(
            &codes::CHIP_DTYPE,
            "a bool becomes an int32, and the engine has none".to_string(),
            "`cast` it to fp16",
            STUDY,
        )
    })
}

pub(super) fn linear(ask: &Ask<'_>) -> Option<Refusal> {
    let rank = ask.ty("x")?.rank();
    if rank < 5 {
        return None;
    }
    form(
        "`x` of `linear` has 5 dimensions, and the engine takes 4 at most",
        "`reshape` it so that it has 4 dimensions",
        Evidence::read(GUIDE),
    )
}

pub(super) fn matmul(ask: &Ask<'_>) -> Option<Refusal> {
    let dims = ask.dims("x")?;
    let transposed = ask.args.bool("transpose_x").unwrap_or(false);
    let inner = dims.len().checked_sub(if transposed { 2 } else { 1 }).and_then(|i| dims.get(i)).copied()?;
    let rank = dims.len().max(ask.ty("y").map_or(0, TensorType::rank)) as u64;
    above(
        rank,
        ask.limit(Quantity::BatchedRank),
        "the number of dimensions of the factors",
        "`reshape` them so that they have 4 dimensions",
    )
    .or_else(|| {
        let change = "`split` the sum into parts, and `add` the products";
        above(inner, ask.limit(Quantity::Inner), "the number of terms of each sum", change)
    })
}

pub(super) fn conv_kernel(ask: &Ask<'_>) -> Option<Refusal> {
    let weight = ask.dims("weight")?;
    let kernel = weight.get(2..)?;
    let (&width, rest) = kernel.split_last()?;
    let height = rest.last().copied();
    let square = height == Some(width);
    let quantity = if square { Quantity::KernelSquare } else { Quantity::KernelWidth };
    above(
        width,
        ask.limit(quantity),
        "the kernel's width",
        "split the kernel into narrower ones, and `add` the results",
    )
    .or_else(|| {
        let change = "split the kernel into lower ones, and `add` the results";
        above(height?, ask.limit(Quantity::KernelHeight), "the kernel's height", change)
    })
    .or_else(|| {
        let depth = rest.len().checked_sub(2).and_then(|i| rest.get(i)).copied()?;
        let change = "split the kernel along its depth, and `add` the results";
        above(depth, ask.limit(Quantity::KernelDepth), "the kernel's depth", change)
    })
    .or_else(|| {
        let change = "make the channels in parts of 16384 at most, and `concat` them";
        above(weight[0], ask.limit(Quantity::OutputChannels), "the number of output channels", change)
    })
}

pub(super) fn conv_weight(ask: &Ask<'_>) -> Option<Refusal> {
    let batch = *ask.dims("x")?.first()?;
    if !ask.at_run_time("weight") || batch < 2 {
        return None;
    }
    form(
        format!(
            "the weights are known only when the program runs, and the batch is {batch}: the engine takes 1"
        ),
        "make the weights constant, or run the batch one by one",
        Evidence::measured(GUIDE),
    )
}

pub(super) fn conv_transpose(ask: &Ask<'_>) -> Option<Refusal> {
    let weight = ask.dims("weight")?;
    let kernel = weight.get(2..)?;
    let strides = ask.args.ints("strides").unwrap_or_else(|| vec![1; kernel.len()]);
    kernel.iter().zip(&strides).filter(|(_, s)| **s > 1).find_map(|(&k, _)| {
        let change = "split the kernel into smaller ones, and `add` the results";
        above(k, ask.limit(Quantity::SmallKernel), "the kernel along an axis with a stride", change)
    })
}

pub(super) fn max_pool(ask: &Ask<'_>) -> Option<Refusal> {
    let window = ask.args.ints("kernel_sizes")?;
    let of = |i: usize| window.len().checked_sub(i).and_then(|i| window.get(i)).map(|&k| k.max(0) as u64);
    let change = "pool twice with smaller windows";
    above(of(1)?, ask.limit(Quantity::MaxPoolWidth), "the window's width", change)
        .or_else(|| above(of(2)?, ask.limit(Quantity::MaxPoolHeight), "the window's height", change))
}

pub(super) fn avg_pool(ask: &Ask<'_>) -> Option<Refusal> {
    let window = ask.args.ints("kernel_sizes")?;
    let largest = window.iter().rev().take(2).max().copied()?.max(0) as u64;
    above(largest, ask.limit(Quantity::AveragePool), "the window", "pool twice with smaller windows")
}

pub(super) fn argmax(ask: &Ask<'_>) -> Option<Refusal> {
    let x = ask.ty("x")?;
    let axis = ask.args.normal_axis("axis", ask.args.int("axis")?, x.rank()).ok()?;
    let length = known(x)?.get(axis).copied()?;
    let change = "find the largest of parts, and of these on the host";
    above(length, ask.limit(Quantity::ArgMax), "the number of elements that are compared", change)
}

pub(super) fn response_norm(ask: &Ask<'_>) -> Option<Refusal> {
    let channels = ask.dims("x")?.get(1).copied()?;
    let change = "write it with `square`, `conv`, `pow` and `mul`";
    above(channels, ask.limit(Quantity::ResponseChannels), "the number of channels", change)
}

pub(super) fn boxes(ask: &Ask<'_>) -> Option<Refusal> {
    // The four numbers of a box stand on one of the two axes behind the batch, by the opset.
    let dims = ask.dims("boxes")?;
    let boxes = dims.get(1..)?.iter().max().copied()?;
    above(boxes, ask.limit(Quantity::Boxes), "the number of boxes", "keep the best with `topk` first")
}

pub(super) fn transpose(ask: &Ask<'_>) -> Option<Refusal> {
    let dims = ask.dims("x")?;
    let perm = ask.args.ints("perm")?;
    let moved = perm.iter().enumerate().filter(|(i, p)| *i as i64 != p.rem_euclid(dims.len() as i64));
    let longest = moved.filter_map(|(i, _)| dims.get(i)).max().copied()?;
    let change = "`split` it, and transpose the parts";
    above(longest, ask.limit(Quantity::Transpose), "an axis that is moved", change)
}

/// Whether the compiler can make steps by 2, 3, 4 and 8 of a factor.
fn factors(n: i64) -> bool {
    let mut n = n;
    for f in [2, 3] {
        while n > 1 && n % f == 0 {
            n /= f;
        }
    }
    n == 1
}

const FACTORS: Evidence = Evidence::read(GUIDE);

pub(super) fn tile(ask: &Ask<'_>) -> Option<Refusal> {
    let reps = ask.args.ints("reps")?;
    let odd = reps.into_iter().find(|&r| !factors(r))?;
    form(
        format!("`tile` repeats {odd} times, and the engine repeats by factors of 2, 3, 4 and 8"),
        "`concat` the tensor with itself",
        FACTORS,
    )
}

pub(super) fn factor(ask: &Ask<'_>) -> Option<Refusal> {
    let params = ["block_size", "upscale_factor", "downscale_factor"];
    let n = params.into_iter().find_map(|p| ask.args.int(p))?;
    if [1, 2, 3, 4, 8].contains(&n) {
        return None;
    }
    form(
        format!("the factor is {n}, and the engine takes 2, 3, 4 and 8"),
        "do it in two steps, or with `reshape` and `transpose`",
        FACTORS,
    )
}

pub(super) fn block(ask: &Ask<'_>) -> Option<Refusal> {
    let block = ask.args.ints("block_shape")?;
    if ask.ty("x")?.rank() == 5 {
        return form(
            "`x` has a depth, and the engine takes height and width",
            "`reshape` the depth away",
            STUDY,
        );
    }
    let odd = block.into_iter().find(|&b| !factors(b))?;
    form(
        format!("the block is {odd} long, and the engine takes factors of 2, 3, 4 and 8"),
        "do it with `reshape` and `transpose`",
        FACTORS,
    )
}

pub(super) fn slice_bounds(ask: &Ask<'_>) -> Option<Refusal> {
    let bound = ["begin", "end", "size", "stride"].into_iter().find(|p| ask.at_run_time(p))?;
    let evidence = Evidence::measured("ANEForge and the M6 study");
    form(
        format!("`{bound}` is known only when the program runs"),
        "make it constant, or `mul` by a mask that is an input",
        evidence,
    )
}

pub(super) fn pad(ask: &Ask<'_>) -> Option<Refusal> {
    if ask.at_run_time("pad") {
        return form("`pad` is known only when the program runs", "make it constant", STUDY);
    }
    let constant = ask.args.str("mode").unwrap_or("constant") == "constant";
    let value = ask.args.float("constant_val").unwrap_or(0.0);
    if constant && value != 0.0 {
        return form(
            format!("`pad` fills with {value}, and the engine fills with 0"),
            "`concat` a constant, or pad with 0 and `add` a constant mask",
            STUDY,
        );
    }
    None
}

/// Whole numbers that an op reads when it runs, in a dtype of which the engine has none.
pub(super) fn indices(ask: &Ask<'_>) -> Option<Refusal> {
    if !ask.at_run_time("indices") {
        return None;
    }
    form(
        "the indices are known only when the program runs",
        "`matmul` with a one-hot matrix that is an input, or gather on the host",
        STUDY,
    )
}

/// As [`indices`], but Core ML finds the op itself on the engine.
pub(super) fn indices_alone(ask: &Ask<'_>) -> Option<Refusal> {
    if ask.target.route == Route::CoreMl { None } else { indices(ask) }
}

pub(super) fn gather_envelope(ask: &Ask<'_>) -> Option<Refusal> {
    let batch = ask.dims("x").filter(|d| d.len() >= 4).and_then(|d| d.first().copied()).unwrap_or(1);
    if ask.target.chip > Chip::M1 || batch == 1 {
        return None;
    }
    let r = form(
        format!("the batch is {batch}, and M1 gathers from a batch of 1"),
        "gather from each item of the batch, and `concat`",
        Evidence::measured(GUIDE),
    );
    r.map(|r| Refusal { form: Form::Later, ..r })
}

pub(super) fn topk(ask: &Ask<'_>) -> Option<Refusal> {
    // The validator of the M4 attests what its compiler then fails on; that of the M6 compiles it.
    if ask.target.route == Route::Direct && ask.target.chip == Chip::M4 {
        return form(
            "the compiler for M4 fails on `topk` by itself (status 22)",
            "find the largest on the host",
            STUDY,
        );
    }
    let k = ask.args.int("k").unwrap_or(1);
    if ask.target.route == Route::E5rt && [3, 4].contains(&k) {
        return form(
            format!("`k` is {k}, which the bridge to the sorting unit does not take"),
            "take one more, and `slice_by_size` the result",
            Evidence::measured("ANEForge"),
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::factors;

    #[test]
    fn factors_are_products_of_two_and_three() {
        let taken: Vec<i64> = (1..=12).filter(|&n| factors(n)).collect();
        assert_eq!(taken, [1, 2, 3, 4, 6, 8, 9, 12]);
        assert!(!factors(0) && !factors(-2));
    }
}
