//! Ops of one tensor, and of scalars beside it.

use crate::ops::loops::{check_scalar, floats, from_floats, from_ints, ints, same_as_x};
use crate::ops::row::*;

/// A row of an elementwise op of `x` alone.
pub(in crate::ops) const fn unary(
    name: &'static str,
    summary: &'static str,
    editions: &'static [Edition],
    tolerance: Tolerance,
    f: fn(f64) -> f64,
) -> Op {
    Op {
        infer: same_as_x,
        scalar: Scalar::Unary(f),
        ..parametric(name, summary, editions, tolerance, |args, types| match args.op.scalar {
            Scalar::Unary(f) => map(args, types, f),
            _ => unreachable!("a row of this family has a unary function"),
        })
    }
}

/// A row of an elementwise op of `x` on floats and on whole numbers.
pub(super) const fn with_ints(row: Op, compute: Compute) -> Op {
    Op { meaning: Meaning::Compute(compute), ..row }
}

/// A row of an elementwise op of `x` and of scalars.
pub(in crate::ops) const fn parametric(
    name: &'static str,
    summary: &'static str,
    editions: &'static [Edition],
    tolerance: Tolerance,
    compute: Compute,
) -> Op {
    Op {
        name,
        summary,
        editions,
        results: Results::Exactly(1),
        infer: same_as_x_with_scalars,
        meaning: Meaning::Compute(compute),
        fast: Fast::Finishing(super::fast::unary),
        tolerance,
        scalar: Scalar::None,
    }
}

/// The type of `x`; every other parameter must be a scalar.
pub(in crate::ops) fn same_as_x_with_scalars(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    for p in args.edition.params.iter().filter(|p| p.name != "x") {
        check_scalar(args, p.name)?;
    }
    same_as_x(args)
}

/// Applies a function to every element of `x`.
pub(in crate::ops) fn map(
    args: &Args<'_>,
    types: &[Type],
    f: impl Fn(f64) -> f64,
) -> Result<Vec<Datum>, Fault> {
    let y: Vec<f64> = floats(args, "x")?.into_iter().map(f).collect();
    from_floats(types, &y)
}

/// Applies one of two functions to every element of `x`, by its dtype.
pub(super) fn map_either(
    args: &Args<'_>,
    types: &[Type],
    f: impl Fn(f64) -> f64,
    g: impl Fn(i64) -> i64,
) -> Result<Vec<Datum>, Fault> {
    if args.ty("x")?.dtype.is_float() { map(args, types, f) } else { map_ints(args, types, g) }
}

/// Applies a function to every element of `x` as a whole number.
pub(super) fn map_ints(args: &Args<'_>, types: &[Type], f: impl Fn(i64) -> i64) -> Result<Vec<Datum>, Fault> {
    let y: Vec<i64> = ints(args, "x")?.into_iter().map(f).collect();
    from_ints(types, &y)
}
