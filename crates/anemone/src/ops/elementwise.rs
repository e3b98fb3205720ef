//! Elementwise ops: one scalar function, applied to every element.
//!
//! Floats are computed in f64 and rounded once; whole numbers wrap around, as NumPy's do.

use super::loops::{same_as_x, shape_of};
use super::row::*;

/// A row of an elementwise op of `x`.
const fn unary(
    name: &'static str,
    summary: &'static str,
    editions: &'static [Edition],
    f: fn(f64) -> f64,
) -> Op {
    Op {
        name,
        summary,
        editions,
        results: Results::Exactly(1),
        infer: same_as_x,
        meaning: Meaning::Compute(compute_unary),
        fast: None,
        tolerance: Tolerance::Ulp(1),
        scalar: Scalar::Unary(f),
    }
}

/// `x`, of a floating-point dtype.
const FLOAT_X: &[Edition] = &[edition(Ios15, &[tensor("x", FLOATS).domain('T')])];

fn compute_unary(args: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    let x = args.tensor("x")?;
    let Scalar::Unary(f) = args.op.scalar else { unreachable!("a row of this family has a unary function") };
    let y: Vec<f64> = x.to_f64s().into_iter().map(f).collect();
    Ok(vec![Tensor::from_f64s(x.dtype(), &shape_of(&types[0]), &y)?.into()])
}

pub(super) static OPS: &[Op] =
    &[unary("relu", "the larger of x and 0", FLOAT_X, |x| if x > 0.0 || x.is_nan() { x } else { 0.0 })];
