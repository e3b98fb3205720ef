//! Reductions: one value from all elements along some axes, and running sums.

mod fast;

use super::elementwise::{larger, smaller};
use super::lanes::{Lanes, axes_of, axis_of};
use super::loops::{check_scalar, floats, from_floats, from_ints, ints, same_as_x};
use super::row::*;
use Tolerance::{Exact, Sum};

const REDUCE: &[Edition] = &[edition(
    Ios15,
    &[
        tensor("x", NUMS).domain('T'),
        tensor("axes", I32).constant().or(Absent),
        tensor("keep_dims", BOOL).constant().or(Bool(false)),
    ],
)];

const REDUCE_ARG: &[Edition] = &[
    edition(
        Ios15,
        &[
            tensor("x", NUMS).domain('T'),
            tensor("axis", I32).constant().or(Int(-1)),
            tensor("keep_dims", BOOL).constant().or(Bool(false)),
        ],
    ),
    edition(
        Ios17,
        &[
            tensor("x", NUMS).domain('T'),
            tensor("axis", I32).constant().or(Int(-1)),
            tensor("keep_dims", BOOL).constant().or(Bool(false)),
            tensor("output_dtype", STR).constant().or(Str("int32")),
        ],
    ),
];

const CUMSUM: &[Edition] = &[edition(
    Ios15,
    &[
        tensor("x", NUMS).domain('T'),
        tensor("axis", I32).constant().or(Int(0)),
        tensor("exclusive", BOOL).constant().or(Bool(false)),
        tensor("reverse", BOOL).constant().or(Bool(false)),
    ],
)];

/// A row of this family.
const fn row(
    name: &'static str,
    summary: &'static str,
    editions: &'static [Edition],
    tolerance: Tolerance,
    infer: Infer,
    compute: Compute,
) -> Op {
    Op {
        name,
        summary,
        editions,
        results: Results::Exactly(1),
        infer,
        meaning: Meaning::Compute(compute),
        fast: Fast::Prepared(fast::reduction),
        tolerance,
        scalar: Scalar::None,
    }
}

/// A row of a reduction over `axes`.
const fn reduce(name: &'static str, summary: &'static str, tolerance: Tolerance, compute: Compute) -> Op {
    row(name, summary, REDUCE, tolerance, infer_reduce, compute)
}

pub(super) static OPS: &[Op] = &[
    row(
        "reduce_argmax",
        "the index of the largest element along an axis, the first of equals",
        REDUCE_ARG,
        Exact,
        infer_arg,
        |args, types| arg(args, types, |x, best| x > best, |x, best| x > best),
    ),
    row(
        "reduce_argmin",
        "the index of the smallest element along an axis, the first of equals",
        REDUCE_ARG,
        Exact,
        infer_arg,
        |args, types| arg(args, types, |x, best| x < best, |x, best| x < best),
    ),
    reduce("reduce_l1_norm", "the sum of the magnitudes over axes", Sum(4), |args, types| {
        by_dtype(args, types, |x| sum(x, f64::abs), |x| int_sum(x, i64::wrapping_abs))
    }),
    reduce("reduce_l2_norm", "the square root of the sum of squares over axes", Sum(4), |args, types| {
        as_floats(args, types, |x| sum(x, |x| x * x).sqrt())
    }),
    reduce("reduce_log_sum", "the logarithm of the sum over axes", Sum(4), |args, types| {
        as_floats(args, types, |x| sum(x, |x| x).ln())
    }),
    reduce("reduce_log_sum_exp", "the logarithm of the sum of e^x over axes", Sum(4), |args, types| {
        as_floats(args, types, log_sum_exp)
    }),
    reduce_some("reduce_max", "the largest element over axes", |args, types| {
        by_dtype(args, types, |x| fold(x, larger), |x| x.iter().copied().max().unwrap_or(0))
    }),
    reduce("reduce_mean", "the mean over axes", Sum(4), |args, types| {
        by_dtype(args, types, |x| sum(x, |x| x) / x.len() as f64, int_mean)
    }),
    reduce_some("reduce_min", "the smallest element over axes", |args, types| {
        by_dtype(args, types, |x| fold(x, smaller), |x| x.iter().copied().min().unwrap_or(0))
    }),
    reduce("reduce_prod", "the product over axes", Sum(8), |args, types| {
        by_dtype(args, types, |x| x.iter().product(), |x| x.iter().fold(1, |a, &b| a.wrapping_mul(b)))
    }),
    reduce("reduce_sum", "the sum over axes", Sum(4), |args, types| {
        by_dtype(args, types, |x| sum(x, |x| x), |x| int_sum(x, |x| x))
    }),
    reduce("reduce_sum_square", "the sum of squares over axes", Sum(4), |args, types| {
        by_dtype(args, types, |x| sum(x, |x| x * x), |x| int_sum(x, |x| x.wrapping_mul(x)))
    }),
    row("cumsum", "the running sum along an axis", CUMSUM, Sum(4), infer_cumsum, compute_cumsum),
];

/// A row of a reduction that has no value where there are no elements.
const fn reduce_some(name: &'static str, summary: &'static str, compute: Compute) -> Op {
    Op { infer: infer_reduce_some, ..reduce(name, summary, Exact, compute) }
}

fn sum(x: &[f64], f: impl Fn(f64) -> f64) -> f64 {
    x.iter().fold(0.0, |sum, &x| sum + f(x))
}

fn int_sum(x: &[i64], f: impl Fn(i64) -> i64) -> i64 {
    x.iter().fold(0, |sum, &x| sum.wrapping_add(f(x)))
}

/// The mean of whole numbers, cut toward zero.
fn int_mean(x: &[i64]) -> i64 {
    int_sum(x, |x| x).checked_div(x.len() as i64).unwrap_or(0)
}

fn fold(x: &[f64], f: fn(f64, f64) -> f64) -> f64 {
    x.iter().copied().reduce(f).unwrap_or(f64::NAN)
}

/// The largest element is taken out of the sum, so that no power overflows. Where it is infinite, it is the result.
fn log_sum_exp(x: &[f64]) -> f64 {
    let top = x.iter().copied().fold(f64::NEG_INFINITY, larger);
    if top.is_infinite() { top } else { sum(x, |x| (x - top).exp()).ln() + top }
}

/// The shape of `x` without these axes, or with 1 in their places.
fn reduced(args: &Args<'_>, axes: &[usize]) -> Result<Shape, Fault> {
    check_scalar(args, "keep_dims")?;
    let keep = args.bool("keep_dims").unwrap_or(false);
    let dims = args.ty("x")?.shape.iter().copied().enumerate();
    Ok(dims
        .filter_map(|(i, d)| match axes.contains(&i) {
            true => keep.then_some(Dim::Known(1)),
            false => Some(d),
        })
        .collect())
}

fn infer_reduce(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    let axes = axes_of(args, x.rank())?;
    Ok(vec![Type::tensor(x.dtype, reduced(args, &axes)?)])
}

fn infer_reduce_some(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let types = infer_reduce(args)?;
    check_some(args, &types)?;
    Ok(types)
}

/// Refuses to choose among no elements.
fn check_some(args: &Args<'_>, types: &[Type]) -> Result<(), Fault> {
    let x = args.ty("x")?;
    let results = types[0].as_tensor().and_then(|t| t.shape.elements());
    if x.shape.elements() == Some(0) && results.is_some_and(|n| n > 0) {
        let message = format!("`{}` of no elements has no value: `x` has shape {}", args.op.name, x.shape);
        return Err(Fault::of("x", &codes::SHAPE_MISMATCH, message));
    }
    Ok(())
}

fn infer_arg(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    check_scalar(args, "output_dtype")?;
    let axis = axis_of(args)?;
    let dtype = match args.str("output_dtype") {
        // Before iOS 17 there was no choice.
        None => Int32,
        Some(name) => match DType::from_name(&name.to_ascii_lowercase()) {
            Some(dtype @ (Int32 | UInt16)) => dtype,
            _ => {
                let message = format!("`{}` cannot give dtype `{name}`", args.op.name);
                return Err(
                    Fault::of("output_dtype", &codes::BAD_VALUE, message).help("use `int32` or `uint16`")
                );
            }
        },
    };
    let types = vec![Type::tensor(dtype, reduced(args, &[axis])?)];
    check_some(args, &types)?;
    Ok(types)
}

/// Reduces floats with one function and whole numbers, which wrap around, with another.
fn by_dtype(
    args: &Args<'_>,
    types: &[Type],
    f: impl Fn(&[f64]) -> f64,
    g: impl Fn(&[i64]) -> i64,
) -> Result<Vec<Datum>, Fault> {
    let x = args.tensor("x")?;
    if x.dtype().is_float() {
        return as_floats(args, types, f);
    }
    let lanes = Lanes::along(x.shape(), &axes_of(args, x.rank())?)?;
    from_ints(types, &lanes.reduce(&ints(args, "x")?, g)?)
}

/// Reduces numbers of any dtype as floats; whole-number results are cut toward zero.
fn as_floats(args: &Args<'_>, types: &[Type], f: impl Fn(&[f64]) -> f64) -> Result<Vec<Datum>, Fault> {
    let x = args.tensor("x")?;
    let lanes = Lanes::along(x.shape(), &axes_of(args, x.rank())?)?;
    from_floats(types, &lanes.reduce(&floats(args, "x")?, f)?)
}

/// The index of the best element of a lane, the first of equals.
fn first<T: Copy>(lane: &[T], better: impl Fn(T, T) -> bool) -> i64 {
    let mut best = 0;
    for (i, &x) in lane.iter().enumerate() {
        if better(x, lane[best]) {
            best = i;
        }
    }
    best as i64
}

/// The index of the best element of each lane; a NaN is better than any number.
fn arg(
    args: &Args<'_>,
    types: &[Type],
    f: fn(f64, f64) -> bool,
    g: fn(i64, i64) -> bool,
) -> Result<Vec<Datum>, Fault> {
    let x = args.tensor("x")?;
    let lanes = Lanes::along(x.shape(), &[axis_of(args)?])?;
    let indices = if x.dtype().is_float() {
        let better = |x: f64, best: f64| !best.is_nan() && (x.is_nan() || f(x, best));
        lanes.reduce(&floats(args, "x")?, |lane| first(lane, better))?
    } else {
        lanes.reduce(&ints(args, "x")?, |lane| first(lane, g))?
    };
    from_ints(types, &indices)
}

/// Core ML takes the last axis as -1, and no other axis counted from the back.
fn infer_cumsum(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    check_scalar(args, "exclusive")?;
    check_scalar(args, "reverse")?;
    let normal = axis_of(args)?;
    match args.int("axis") {
        Some(axis) if axis < -1 => {
            let message = format!("`axis` of `cumsum` is {axis}; counted from the back it takes -1 only");
            Err(Fault::of("axis", &codes::INDEX_OUT_OF_RANGE, message).help(format!("use {normal}")))
        }
        _ => same_as_x(args),
    }
}

fn compute_cumsum(args: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    fn run<T: Copy>(lane: &mut [T], zero: T, add: fn(T, T) -> T, exclusive: bool, reverse: bool) {
        if reverse {
            lane.reverse();
        }
        let mut sum = zero;
        for x in lane.iter_mut() {
            let before = sum;
            sum = add(sum, *x);
            *x = if exclusive { before } else { sum };
        }
        if reverse {
            lane.reverse();
        }
    }
    let x = args.tensor("x")?;
    let lanes = Lanes::along(x.shape(), &[axis_of(args)?])?;
    let exclusive = args.bool("exclusive").unwrap_or(false);
    let reverse = args.bool("reverse").unwrap_or(false);
    if x.dtype().is_float() {
        let mut x = floats(args, "x")?;
        lanes.update(&mut x, |lane| run(lane, 0.0, |a, b| a + b, exclusive, reverse))?;
        from_floats(types, &x)
    } else {
        let mut x = ints(args, "x")?;
        lanes.update(&mut x, |lane| run(lane, 0, i64::wrapping_add, exclusive, reverse))?;
        from_ints(types, &x)
    }
}

#[cfg(test)]
#[allow(clippy::approx_constant)] // The numbers are as NumPy prints them.
mod tests {
    use crate::mil::Opset::*;
    use crate::ops::check::*;
    use crate::types::DType::*;
    use crate::types::Tensor;

    const INF: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;

    /// A reduction of all elements of an fp32 vector.
    #[track_caller]
    fn all(op: &str, x: &[f64], y: f64) {
        check(op, Ios15, &[("x", f(x))], &f1(y));
    }

    /// A reduction of all elements of an int32 vector.
    #[track_caller]
    fn all_ints(op: &str, x: &[i64], y: i64) {
        check(op, Ios15, &[("x", i(x))], &i1(y));
    }

    fn with<'a>(x: Tensor, axes: &[i64], keep: bool) -> [(&'a str, Tensor); 3] {
        [("x", x), ("axes", i(axes)), ("keep_dims", b1(keep))]
    }

    #[test]
    fn of_floats() {
        all("reduce_sum", &[1.0, 2.0, -4.0], -1.0);
        all("reduce_sum", &[1e30, 1.0, -1e30], 0.0);
        all("reduce_sum", &[INF, -INF], NAN);
        all("reduce_mean", &[1.0, 2.0, 6.0], 3.0);
        all("reduce_max", &[1.0, 7.0, -INF], 7.0);
        all("reduce_max", &[1.0, NAN, 7.0], NAN);
        all("reduce_min", &[1.0, 7.0, -INF], -INF);
        all("reduce_min", &[NAN, 1.0], NAN);
        all("reduce_prod", &[2.0, -3.0, 4.0], -24.0);
        all("reduce_l1_norm", &[2.0, -3.0], 5.0);
        all("reduce_l2_norm", &[3.0, -4.0], 5.0);
        all("reduce_sum_square", &[3.0, -4.0], 25.0);
        all("reduce_log_sum", &[1.0, 2.0], 1.0986122886681098);
        all("reduce_log_sum", &[0.0], -INF);
        // np.logaddexp.reduce
        all("reduce_log_sum_exp", &[1.0, 2.0, 3.0], 3.4076059644443806);
        all("reduce_log_sum_exp", &[1000.0, 1000.0], 1000.6931471805599);
        all("reduce_log_sum_exp", &[-INF, -INF], -INF);
        all("reduce_log_sum_exp", &[INF, 1.0], INF);
        all("reduce_log_sum_exp", &[NAN, 1.0], NAN);
    }

    #[test]
    fn of_ints() {
        all_ints("reduce_sum", &[(1 << 31) - 1, 1], -(1 << 31));
        all_ints("reduce_mean", &[-3, -4], -3);
        all_ints("reduce_max", &[-3, -4], -3);
        all_ints("reduce_min", &[-3, -4], -4);
        all_ints("reduce_prod", &[65536, 65536, 3], 0);
        all_ints("reduce_l1_norm", &[-3, 4], 7);
        all_ints("reduce_l2_norm", &[-3, 5], 5);
        all_ints("reduce_sum_square", &[-3, 4], 25);
        all_ints("reduce_log_sum", &[4, 5], 2);
        all_ints("reduce_log_sum_exp", &[4, 5], 5);
    }

    #[test]
    fn fp16_sums_do_not_stop_at_2048() {
        check("reduce_sum", Ios15, &[("x", h(&[1.0; 4096]))], &Tensor::scalar(Fp16, 4096.0));
    }

    #[test]
    fn axes() {
        let x = t(Fp32, &[2, 3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0]);
        let sum = |axes: &[i64], keep, shape: &[usize], y: &[f64]| {
            check("reduce_sum", Ios15, &with(x.clone(), axes, keep), &t(Fp32, shape, y));
        };
        sum(&[0], false, &[3, 2], &[8.0, 10.0, 12.0, 14.0, 16.0, 18.0]);
        sum(&[-2], false, &[2, 2], &[9.0, 12.0, 27.0, 30.0]);
        sum(&[2, 0], false, &[3], &[18.0, 26.0, 34.0]);
        sum(&[-1, 0], true, &[1, 3, 1], &[18.0, 26.0, 34.0]);
        sum(&[0, 1, 2], false, &[], &[78.0]);
        sum(&[0, 1, 2], true, &[1, 1, 1], &[78.0]);
        sum(&[], false, &[2, 3, 2], &x.to_f64s());
        check(
            "reduce_sum",
            Ios15,
            &[("x", x.clone()), ("keep_dims", b1(true))],
            &t(Fp32, &[1, 1, 1], &[78.0]),
        );
        refuse("reduce_sum", Ios15, &with(x.clone(), &[3], false), "index-out-of-range", Some("axes"));
        refuse("reduce_sum", Ios15, &with(x.clone(), &[1, -2], false), "bad-value", Some("axes"));
        refuse("reduce_sum", Ios15, &[("x", x), ("axes", i1(0))], "wrong-rank", Some("axes"));
    }

    #[test]
    fn size_one_scalar_and_empty() {
        all("reduce_mean", &[5.0], 5.0);
        check("reduce_max", Ios15, &[("x", f1(5.0))], &f1(5.0));
        all("reduce_sum", &[], 0.0);
        all("reduce_mean", &[], NAN);
        all("reduce_prod", &[], 1.0);
        all("reduce_log_sum_exp", &[], -INF);
        all_ints("reduce_mean", &[], 0);
        let empty = t(Fp32, &[2, 0], &[]);
        check("reduce_sum", Ios15, &with(empty.clone(), &[1], false), &f(&[0.0, 0.0]));
        check("reduce_max", Ios15, &with(empty.clone(), &[0], true), &t(Fp32, &[1, 0], &[]));
        refuse("reduce_max", Ios15, &with(empty.clone(), &[1], false), "shape-mismatch", Some("x"));
        refuse("reduce_min", Ios15, &[("x", f(&[]))], "shape-mismatch", Some("x"));
        refuse("reduce_argmax", Ios15, &[("x", empty)], "shape-mismatch", Some("x"));
    }

    #[test]
    fn indices() {
        let x = t(Fp32, &[2, 3], &[1.0, 9.0, 9.0, -4.0, -5.0, NAN]);
        let of = |op, axis, keep, y| {
            check(op, Ios15, &[("x", x.clone()), ("axis", i1(axis)), ("keep_dims", b1(keep))], &y);
        };
        of("reduce_argmax", -1, false, i(&[1, 2]));
        of("reduce_argmax", 1, true, t(Int32, &[2, 1], &[1.0, 2.0]));
        of("reduce_argmax", 0, false, i(&[0, 0, 1]));
        of("reduce_argmin", -2, false, i(&[1, 1, 1]));
        check("reduce_argmin", Ios15, &[("x", i(&[3, -1, -1]))], &i1(1));
        check("reduce_argmax", Ios15, &[("x", i(&[7]))], &i1(0));
        let dtype = |name| [("x", f(&[0.0, 3.0])), ("output_dtype", s(name))];
        check("reduce_argmax", Ios17, &dtype("uint16"), &Tensor::scalar(UInt16, 1.0));
        check("reduce_argmax", Ios17, &dtype("int32"), &i1(1));
        refuse("reduce_argmax", Ios17, &dtype("int16"), "bad-value", Some("output_dtype"));
        refuse("reduce_argmax", Ios15, &[("x", f1(0.0))], "index-out-of-range", Some("axis"));
    }

    #[test]
    fn running_sums() {
        let of = |exclusive, reverse, y: &[f64]| {
            let flags = [("exclusive", b1(exclusive)), ("reverse", b1(reverse)), ("axis", i1(0))];
            check("cumsum", Ios15, &[&[("x", f(&[1.0, 2.0, 4.0]))], &flags[..]].concat(), &f(y));
        };
        of(false, false, &[1.0, 3.0, 7.0]);
        of(true, false, &[0.0, 1.0, 3.0]);
        of(false, true, &[7.0, 6.0, 4.0]);
        of(true, true, &[6.0, 4.0, 0.0]);
        let x = t(Int32, &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        check("cumsum", Ios15, &[("x", x.clone())], &t(Int32, &[2, 2], &[1.0, 2.0, 4.0, 6.0]));
        check(
            "cumsum",
            Ios15,
            &[("x", x.clone()), ("axis", i1(-1))],
            &t(Int32, &[2, 2], &[1.0, 3.0, 3.0, 7.0]),
        );
        check("cumsum", Ios15, &[("x", t(Fp32, &[0, 2], &[]))], &t(Fp32, &[0, 2], &[]));
        refuse("cumsum", Ios15, &[("x", x.clone()), ("axis", i1(-2))], "index-out-of-range", Some("axis"));
        refuse("cumsum", Ios15, &[("x", x), ("axis", i1(2))], "index-out-of-range", Some("axis"));
    }
}
