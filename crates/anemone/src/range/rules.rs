//! What each op makes of the ranges of its arguments.

use super::Call;
use super::interval::Range;
use super::one::{Shape, Tables};
use super::sums::{self, Sums};
use crate::ops::silicon::Unit;
use crate::types::{DType, Tensor};

/// What is known of the results of a call.
#[derive(Default)]
pub(super) struct Outcome {
    /// What the results span before they are rounded; of those that are missing nothing is known.
    pub(super) exact: Vec<Range>,
    pub(super) sums: Option<Sums>,
    /// Whether the results are elements of arguments, which nothing rounds.
    pub(super) is_moved: bool,
    /// What the first result is held to once it is rounded.
    pub(super) held: Option<Range>,
}

impl Outcome {
    fn one(range: Range) -> Self {
        Self { exact: vec![range], ..Self::default() }
    }

    /// A result that is one of its arguments' elements, or a rounded mean of them.
    fn moved(range: Range) -> Self {
        Self { exact: vec![range], is_moved: true, ..Self::default() }
    }
}

/// What a call gives; nothing where no rule holds.
pub(super) fn outcome(call: &Call<'_>, tables: &mut Tables) -> Option<Outcome> {
    let name = call.args.op.name;
    if let Some(shape) = Shape::of(name) {
        // A chip's tables may leave the codomain of their function.
        let held = call.chip.is_none().then(|| shape.codomain());
        return Some(Outcome { held, ..Outcome::one(shape.apply(call, tables)?) });
    }
    Some(match name {
        "add" | "sub" | "mul" | "real_div" | "maximum" | "minimum" | "pow" => {
            Outcome::one(two(call, tables)?)
        }
        "equal" | "greater" | "greater_equal" | "less" | "less_equal" | "not_equal" | "logical_and"
        | "logical_or" | "logical_xor" | "logical_not" => Outcome::moved(Range::new(0.0, 1.0)),
        "conv" | "conv_transpose" | "linear" | "matmul" | "einsum" => products(call)?,
        "scaled_dot_product_attention" => attention(call)?,
        "reduce_max" | "reduce_min" | "reduce_mean" | "reduce_sum" | "reduce_l1_norm" | "reduce_l2_norm"
        | "reduce_sum_square" | "reduce_log_sum_exp" | "reduce_prod" => reduction(call)?,
        "cumsum" => cumulated(call)?,
        "softmax" => softmax(call)?,
        "layer_norm" | "instance_norm" | "l2_norm" | "batch_norm" | "local_response_norm" => {
            Outcome::one(norm(call)?)
        }
        "prelu" => prelu(call)?,
        "max_pool" => Outcome::moved(largest_of_windows(call)?),
        "avg_pool" | "resize_bilinear" | "upsample_bilinear" | "resize" => {
            Outcome::one(call.range("x")?.or(Range::point(0.0)))
        }
        "cast" => Outcome::one(call.range("x")?),
        "quantize" => Outcome::moved(Range::of_dtype(call.dtype(0)?)),
        "dequantize" => dequantized(call)?,
        "random_uniform" => Outcome::one(call.range("low")?.or(call.range("high")?)),
        "split" => {
            Outcome { exact: vec![call.range("x")?; call.types.len()], ..Outcome::moved(Range::UNKNOWN) }
        }
        _ => Outcome::moved(moved(call)?),
    })
}

/// The largest elements of windows; of a window that lies in the padding, minus infinity.
fn largest_of_windows(call: &Call<'_>) -> Option<Range> {
    let x = call.range("x")?;
    let pads =
        call.args.ints("pad").filter(|_| call.args.str("pad_type") == Some("custom")).unwrap_or_default();
    let kernel = call.args.ints("kernel_sizes").unwrap_or_default();
    let inside = pads.chunks(2).zip(&kernel).all(|(pads, size)| pads.iter().all(|pad| pad < size));
    let rounded_up = call.args.bool("ceil_mode") != Some(false);
    Some(if inside && !rounded_up { x } else { x.or(Range::point(f64::NEG_INFINITY)) })
}

/// The union of what parameters hold.
fn of_all(call: &Call<'_>, params: &[&'static str]) -> Option<Range> {
    params.iter().map(|p| call.range(p)).reduce(|a, b| Some(a?.or(b?)))?
}

/// Ops whose results are elements of their arguments.
fn moved(call: &Call<'_>) -> Option<Range> {
    match call.args.op.name {
        "slice_by_index" | "slice_by_size" if call.unit() == Some(Unit::Slice) => {
            let Range { lo, hi, nan } = call.as_it_is("x")?;
            let (inf, most) = (f64::INFINITY, super::SLICE_LIMIT);
            Some(Range {
                lo: if nan || lo < -most { -inf } else { lo },
                hi: if nan || hi > most { inf } else { hi },
                nan: false,
            })
        }
        "batch_to_space"
        | "crop"
        | "depth_to_space"
        | "expand_dims"
        | "flatten2d"
        | "gather"
        | "gather_along_axis"
        | "gather_nd"
        | "identity"
        | "pixel_shuffle"
        | "pixel_unshuffle"
        | "reshape"
        | "reshape_like"
        | "resize_nearest_neighbor"
        | "reverse"
        | "reverse_sequence"
        | "sliding_windows"
        | "slice_by_index"
        | "slice_by_size"
        | "space_to_depth"
        | "squeeze"
        | "tile"
        | "topk"
        | "transpose"
        | "upsample_nearest_neighbor" => call.range("x"),
        "space_to_batch" | "band_part" => Some(call.range("x")?.or(Range::point(0.0))),
        "pad" => {
            let x = call.range("x")?;
            let constant = call.args.str("mode").is_none_or(|mode| mode == "constant");
            Some(if constant { x.or(call.range("constant_val").unwrap_or(Range::point(0.0))) } else { x })
        }
        "concat" | "stack" => call.many("values").iter().copied().reduce(Range::or),
        "select" => of_all(call, &["a", "b"]),
        "slice_update" => of_all(call, &["x", "update"]),
        "fill" | "fill_like" => Some(call.range("value").unwrap_or(Range::point(0.0))),
        "one_hot" => of_all(call, &["on_value", "off_value"]),
        "scatter" | "scatter_along_axis" | "scatter_nd" if call.args.str("mode") == Some("update") => {
            of_all(call, &["data", "updates"])
        }
        "read_state" => call.range("input"),
        "coreml_update_state" => call.range("value"),
        _ => None,
    }
}

/// Ops of two numbers.
fn two(call: &Call<'_>, tables: &mut Tables) -> Option<Range> {
    let (x, y) = (call.range("x")?, call.range("y")?);
    let is_float = call.args.ty("x").ok()?.dtype.is_float();
    Some(match call.args.op.name {
        "add" => x.plus(y),
        "sub" => x.minus(y),
        "mul" if call.is_square => x.squared(),
        "mul" => x.times(y),
        "maximum" => x.max(y),
        "minimum" => x.min(y),
        "real_div" if !is_float => return None,
        "real_div" if call.chip.is_some() => x.times(tables.inverse(call)?),
        "real_div" => x.over(y),
        "pow" => match tables.apply(call).filter(|_| call.constant("y").is_some()) {
            Some(found) => found,
            None if call.chip.is_none() && x.lo > 0.0 && x.is_bounded() && y.is_bounded() => {
                Range::spanning([x.lo, x.hi].into_iter().flat_map(|x| [x.powf(y.lo), x.powf(y.hi)]))
            }
            None => return None,
        },
        _ => return None,
    })
}

fn products(call: &Call<'_>) -> Option<Outcome> {
    if call.args.ty("x").is_ok_and(|x| x.dtype == DType::Int8) {
        return Some(Outcome::one(sums::of_bytes(call)?));
    }
    let sums = sums::sums(call)?;
    let dtype = call.dtype(0)?;
    let range =
        if call.chip.is_some() { sums::on_chip(&sums) } else { sums::on_other_machines(&sums, dtype) };
    Some(Outcome { sums: Some(sums), ..Outcome::one(range) })
}

/// Attention gives means of values, with weights that a softmax gives.
fn attention(call: &Call<'_>) -> Option<Outcome> {
    let (q, k, v) = (call.range("query")?, call.range("key")?, call.range("value")?);
    let (embedding, keys) = (*call.shape("query")?.last()?, *call.shape("key")?.iter().nth_back(1)?);
    if embedding == 0 {
        return None;
    }
    let scores = q.times(k).or(Range::point(0.0)).repeated(embedding as f64);
    let masked = call.args.has("attn_mask")
        && !call
            .range("attn_mask")
            .is_some_and(|m| m.is_bounded() && call.args.ty("attn_mask").is_ok_and(|t| t.dtype.is_float()));
    let (reach, product) = (scores.largest().max(v.largest()), q.times(k).largest());
    let undefined = call.chip.is_none() && (masked || !reach.is_finite());
    let error = v.largest() * (2f64.powi(-9) + keys as f64 * 2f64.powi(-23)) + keys as f64 * 2f64.powi(-15);
    let mean = Range { nan: undefined, ..v.wider(error) };
    let sums = Sums { result: scores, reach, product, error, weights: None };
    let overflows = call.chip.is_some() && v.largest() + error >= sums::LIMIT;
    let mean = if overflows { Range { nan: false, ..Range::UNKNOWN } } else { mean };
    Some(Outcome { sums: (!scores.nan).then_some(sums), ..Outcome::one(mean) })
}

/// How many elements of `x` come to one result of a reduction.
fn count(call: &Call<'_>) -> Option<f64> {
    let shape = call.shape("x")?;
    if !call.args.has("axes") {
        return Some(shape.iter().map(|&d| d as f64).product());
    }
    let mut axes = Vec::new();
    for axis in call.args.ints("axes")? {
        axes.push(call.args.normal_axis("axes", axis, shape.len()).ok()?);
    }
    axes.sort_unstable();
    axes.dedup();
    Some(axes.into_iter().map(|a| shape[a] as f64).product())
}

fn reduction(call: &Call<'_>) -> Option<Outcome> {
    let (x, n) = (call.range("x")?, count(call)?);
    let dtype = call.args.ty("x").ok()?.dtype;
    let all = x.or(Range::point(0.0)).repeated(n);
    // Kernels sum in single precision.
    let sums = |r: Range| r.largest() < f64::from(f32::MAX) && !r.nan;
    let whole = dtype.is_int();
    if n < 1.0 || whole && !Range::of_dtype(dtype).contains(all.largest()) {
        return None;
    }
    let range = match call.args.op.name {
        "reduce_max" | "reduce_min" => return Some(Outcome::moved(x)),
        "reduce_sum" if all.nan => return None,
        "reduce_sum" => x.repeated(n),
        "reduce_mean" => Some(x).filter(|_| sums(all))?,
        "reduce_l1_norm" => x.magnitude().repeated(n),
        "reduce_sum_square" if !whole => x.squared().repeated(n),
        "reduce_l2_norm" if !whole && sums(x.squared().repeated(n)) => x.squared().repeated(n).map(f64::sqrt),
        "reduce_log_sum_exp" if !whole && x.is_bounded() => Range::new(x.lo + n.ln(), x.hi + n.ln()),
        "reduce_prod" if !whole => {
            let most = x.largest().powf(n).max(x.largest());
            let least = if x.lo >= 0.0 { 0.0 } else { -most };
            Some(Range::new(least, most)).filter(|&r| sums(r))?
        }
        _ => return None,
    };
    Some(Outcome::one(range))
}

/// Sums of the first elements, of any number of them.
fn cumulated(call: &Call<'_>) -> Option<Outcome> {
    let (x, shape) = (call.range("x")?, call.shape("x")?);
    let axis = call.args.normal_axis("axis", call.args.int("axis")?, shape.len()).ok()?;
    Some(Outcome::one(x.or(Range::point(0.0)).repeated(shape[axis].max(1) as f64).or(x)))
}

fn softmax(call: &Call<'_>) -> Option<Outcome> {
    let (x, shape) = (call.range("x")?, call.shape("x")?);
    let axis = call.args.normal_axis("axis", call.args.int("axis")?, shape.len()).ok()?;
    let others = shape[axis].saturating_sub(1) as f64;
    let share = |apart: f64| 1.0 / (1.0 + others * apart.exp());
    let range = match x.is_bounded() {
        true => Range::new(share(x.hi - x.lo), share(x.lo - x.hi)),
        false => Range { nan: call.chip.is_none(), ..Range::new(0.0, 1.0) },
    };
    Some(Outcome { held: Some(Range::new(0.0, 1.0)), ..Outcome::one(range) })
}

/// What gamma and beta of each place make of numbers in this range.
fn scaled(call: &Call<'_>, z: Range) -> Option<Range> {
    let each = |param| match (call.args.has(param), call.constant(param)) {
        (false, _) => Some(Vec::new()),
        (true, value) => value.map(Tensor::to_f64s),
    };
    let (gamma, beta) = (each("gamma")?, each("beta")?);
    let at = |i: usize| {
        let (g, b) = (gamma.get(i).copied().unwrap_or(1.0), beta.get(i).copied().unwrap_or(0.0));
        z.times(Range::point(g)).plus(Range::point(b))
    };
    (0..gamma.len().max(beta.len()).max(1)).map(at).reduce(Range::or)
}

fn norm(call: &Call<'_>) -> Option<Range> {
    let (x, shape) = (call.range("x")?, call.shape("x")?);
    let number = |param| call.args.float(param);
    let squares = x.squared().repeated(shape.iter().map(|&d| d as f64).product());
    let op = call.args.op.name;
    if op == "batch_norm" {
        return channels(call, x);
    }
    if !x.is_bounded() || squares.largest() >= f64::from(f32::MAX) {
        return None;
    }
    if op == "local_response_norm" {
        let (alpha, beta, k) = (number("alpha")?, number("beta")?, number("k")?);
        let shrinks = alpha >= 0.0 && beta >= 0.0 && k > 0.0;
        return shrinks.then(|| x.or(Range::point(0.0)).times(Range::point(k.powf(-beta))));
    }
    // Without epsilon, what does not vary is divided by 0.
    let epsilon = number("epsilon").filter(|&e| e > 1e-30)?;
    let n = match op {
        "layer_norm" => count(call)?,
        "instance_norm" => shape.iter().skip(2).map(|&d| d as f64).product(),
        _ => 1.0,
    };
    // No element is further from the mean of n than the square root of n deviations.
    let most = match op {
        "l2_norm" => x.largest() / epsilon.sqrt(),
        _ => (x.hi - x.lo) / epsilon.sqrt(),
    };
    let most = n.sqrt().min(most) * (1.0 + 1e-4);
    let z = Range::new(-most, most);
    if op == "l2_norm" {
        return Some(z.within(Range::new(
            if x.lo >= 0.0 { 0.0 } else { -most },
            if x.hi <= 0.0 { 0.0 } else { most },
        )));
    }
    scaled(call, z)
}

/// A scale and an offset for each channel.
fn channels(call: &Call<'_>, x: Range) -> Option<Range> {
    let numbers = |param| call.constant(param).map(Tensor::to_f64s);
    let (mean, variance) = (numbers("mean")?, numbers("variance")?);
    let absent = |param| !call.args.has(param);
    let gamma = numbers("gamma").or(absent("gamma").then(|| vec![1.0; mean.len()]))?;
    let beta = numbers("beta").or(absent("beta").then(|| vec![0.0; mean.len()]))?;
    let epsilon = call.args.float("epsilon")?;
    let of = |(((m, v), g), b): (((&f64, &f64), &f64), &f64)| {
        let scale = g / (v + epsilon).sqrt();
        let error = (x.largest() + m.abs()) * scale.abs() * 2f64.powi(-18) + b.abs() * 2f64.powi(-18);
        x.minus(Range::point(*m)).times(Range::point(scale)).plus(Range::point(*b)).wider(error)
    };
    mean.iter().zip(&variance).zip(&gamma).zip(&beta).map(of).reduce(Range::or)
}

fn prelu(call: &Call<'_>) -> Option<Outcome> {
    let (x, alpha) = (call.range("x")?, call.range("alpha")?);
    let below = x.min(Range::point(0.0)).times(alpha);
    let above = x.max(Range::point(0.0));
    Some(Outcome::one(match (x.lo < 0.0, x.hi >= 0.0) {
        (true, true) => below.or(above),
        (true, false) => below,
        _ => above,
    }))
}

fn dequantized(call: &Call<'_>) -> Option<Outcome> {
    let (input, scale) = (call.range("input")?, call.range("scale")?);
    let zero = call.range("zero_point").unwrap_or(Range::point(0.0));
    Some(Outcome::one(input.minus(zero).times(scale)))
}

/// What storing numbers in a dtype makes of a range, with kernels as far from the meaning as they may be.
pub(super) fn stored(call: &Call<'_>, range: Range, dtype: DType) -> Range {
    if dtype == DType::Bool {
        return Range::new(0.0, 1.0);
    }
    if !dtype.is_float() {
        let all = Range::of_dtype(dtype);
        let whole = Range { lo: range.lo.trunc(), hi: range.hi.trunc(), nan: false };
        return if range.nan || !all.contains(whole.lo) || !all.contains(whole.hi) { all } else { whole };
    }
    match call.chip {
        Some(_) => super::rounding::stored(range),
        None => {
            let rounded = range.map(|x| dtype.round(x));
            super::rounding::tolerated(rounded, dtype, call.args.op.tolerance)
        }
    }
}
