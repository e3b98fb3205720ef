//! Ops of two tensors that are broadcast to one shape.

use super::fast;
use crate::ops::loops::{
    broadcast_of, floats, from_floats, from_ints, ints, room, shape_of, stretched, walk,
};
use crate::ops::row::*;

/// `x` and `y`, of one numeric dtype.
const NUM_XY: &[Edition] = &[edition(Ios15, &[tensor("x", NUMS).domain('T'), tensor("y", NUMS).domain('T')])];

/// `x` and `y`, bools.
const BOOL_XY: &[Edition] =
    &[edition(Ios15, &[tensor("x", BOOL).domain('T'), tensor("y", BOOL).domain('T')])];

/// A row of an arithmetic op.
pub(super) const fn binary(
    name: &'static str,
    summary: &'static str,
    tolerance: Tolerance,
    f: fn(f64, f64) -> f64,
    g: fn(i64, i64) -> i64,
) -> Op {
    Op {
        name,
        summary,
        editions: NUM_XY,
        results: Results::Exactly(1),
        infer: infer_number,
        meaning: Meaning::Compute(compute),
        fast: Fast::Finishing(fast::binary),
        tolerance,
        scalar: Scalar::Binary(f, g),
    }
}

/// A row of a comparison.
pub(super) const fn compare(
    name: &'static str,
    summary: &'static str,
    f: fn(f64, f64) -> bool,
    g: fn(i64, i64) -> bool,
) -> Op {
    Op {
        name,
        summary,
        editions: NUM_XY,
        results: Results::Exactly(1),
        infer: infer_truth,
        meaning: Meaning::Compute(compute),
        fast: Fast::Prepared(fast::compare),
        tolerance: Tolerance::Exact,
        scalar: Scalar::Compare(f, g),
    }
}

/// A row of a logical op.
pub(super) const fn logical(name: &'static str, summary: &'static str, f: fn(bool, bool) -> bool) -> Op {
    Op {
        name,
        summary,
        editions: BOOL_XY,
        results: Results::Exactly(1),
        infer: infer_truth,
        meaning: Meaning::Compute(compute),
        fast: Fast::Prepared(fast::logical),
        tolerance: Tolerance::Exact,
        scalar: Scalar::Logical(f),
    }
}

/// Tensors of the dtype of `x`.
fn infer_number(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    Ok(vec![Type::tensor(args.ty("x")?.dtype, broadcast_of(args, &["x", "y"])?)])
}

/// Bools.
fn infer_truth(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    Ok(vec![Type::tensor(DType::Bool, broadcast_of(args, &["x", "y"])?)])
}

fn compute(args: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    let float = args.ty("x")?.dtype.is_float();
    let truth = |values: &[bool]| Ok(vec![Tensor::from_bools(&shape_of(&types[0]), values)?.into()]);
    match args.op.scalar {
        Scalar::Binary(f, _) if float => from_floats(types, &zip(args, types, floats, f)?),
        Scalar::Binary(_, g) => from_ints(types, &zip(args, types, ints, g)?),
        Scalar::Compare(f, _) if float => truth(&zip(args, types, floats, f)?),
        Scalar::Compare(_, g) => truth(&zip(args, types, ints, g)?),
        Scalar::Logical(f) => truth(&zip(args, types, ints, |x, y| f(x != 0, y != 0))?),
        _ => unreachable!("a row of this family has a function of two values"),
    }
}

/// Applies a function to the pairs of elements of `x` and `y`.
fn zip<T: Copy, R>(
    args: &Args<'_>,
    types: &[Type],
    read: fn(&Args<'_>, &'static str) -> Result<Vec<T>, Fault>,
    f: impl Fn(T, T) -> R,
) -> Result<Vec<R>, Fault> {
    let shape = shape_of(&types[0]);
    let (x, y) = (read(args, "x")?, read(args, "y")?);
    let (over_x, over_y) =
        (stretched(args.tensor("x")?.shape(), &shape), stretched(args.tensor("y")?.shape(), &shape));
    let mut out = room(&shape)?;
    walk(&shape, [&over_x, &over_y], |[i, j]| out.push(f(x[i], y[j])));
    Ok(out)
}

/// The larger of two numbers; NaN if either is, as in NumPy.
pub(in crate::ops) fn larger(x: f64, y: f64) -> f64 {
    if x > y || x.is_nan() { x } else { y }
}

/// The smaller of two numbers; NaN if either is, as in NumPy.
pub(in crate::ops) fn smaller(x: f64, y: f64) -> f64 {
    if x < y || x.is_nan() { x } else { y }
}

/// The remainder that has the sign of the divisor, as Python and NumPy have it.
pub(super) fn modulo(x: f64, y: f64) -> f64 {
    let rest = x % y;
    if rest == 0.0 {
        0f64.copysign(y)
    } else if (rest < 0.0) != (y < 0.0) {
        rest + y
    } else {
        rest
    }
}

/// x / y rounded down, from the exact remainder: 1 // 0.1 is 9, since 0.1 is a little more than a tenth.
pub(super) fn floor_div(x: f64, y: f64) -> f64 {
    if y == 0.0 {
        return x / y;
    }
    let rest = x % y;
    let whole = (x - rest) / y - if rest != 0.0 && (rest < 0.0) != (y < 0.0) { 1.0 } else { 0.0 };
    if whole == 0.0 { 0f64.copysign(x / y) } else { whole.round() }
}

/// A quotient of whole numbers, cut toward zero. Division by zero gives 0, as NumPy's does.
pub(super) fn int_div(x: i64, y: i64) -> i64 {
    if y == 0 { 0 } else { x.wrapping_div(y) }
}

/// A quotient of whole numbers, rounded down.
pub(super) fn int_floor_div(x: i64, y: i64) -> i64 {
    if y == 0 {
        return 0;
    }
    let down = i64::from(x.wrapping_rem(y) != 0 && (x < 0) != (y < 0));
    x.wrapping_div(y).wrapping_sub(down)
}

/// The remainder of whole numbers that has the sign of the divisor.
pub(super) fn int_modulo(x: i64, y: i64) -> i64 {
    if y == 0 {
        return 0;
    }
    let rest = x.wrapping_rem(y);
    if rest != 0 && (rest < 0) != (y < 0) { rest + y } else { rest }
}

/// A power of whole numbers. Negative powers are cut toward zero like other quotients.
pub(super) fn int_pow(x: i64, y: i64) -> i64 {
    if y < 0 {
        return match x {
            1 => 1,
            -1 if y % 2 == 0 => 1,
            -1 => -1,
            _ => 0,
        };
    }
    let (mut base, mut power, mut left) = (x, 1i64, y);
    while left > 0 {
        if left & 1 == 1 {
            power = power.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        left >>= 1;
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference: `numpy.mod` and `numpy.floor_divide`.
    #[test]
    fn remainders_and_quotients_are_those_of_numpy() {
        const INF: f64 = f64::INFINITY;
        for (x, y, div, rem) in [
            (7.0, 3.0, 2.0, 1.0),
            (-7.0, 3.0, -3.0, 2.0),
            (7.0, -3.0, -3.0, -2.0),
            (-7.0, -3.0, 2.0, -1.0),
            (1.0, 0.1, 9.0, 0.09999999999999995),
            (-0.5, 3.0, -1.0, 2.5),
            (1.0, INF, 0.0, 1.0),
            (-1.0, INF, -1.0, INF),
            (1.0, 0.0, INF, f64::NAN),
            (-1.0, 0.0, -INF, f64::NAN),
            (0.0, 0.0, f64::NAN, f64::NAN),
            (INF, 2.0, f64::NAN, f64::NAN),
            (f64::NAN, 2.0, f64::NAN, f64::NAN),
        ] {
            let same = |a: f64, b: f64| a == b || a.is_nan() && b.is_nan();
            assert!(same(floor_div(x, y), div), "{x} // {y} is {}", floor_div(x, y));
            assert!(same(modulo(x, y), rem), "{x} % {y} is {}", modulo(x, y));
        }
    }

    #[test]
    fn whole_numbers_never_overflow() {
        let edges = [i64::MIN, i64::MIN + 1, -2, -1, 0, 1, 2, i64::MAX];
        for x in edges {
            for y in edges {
                let (q, r) = (int_floor_div(x, y), int_modulo(x, y));
                if y != 0 {
                    assert_eq!(q.wrapping_mul(y).wrapping_add(r), x, "{x}, {y}");
                    assert!(r == 0 || (r < 0) == (y < 0), "{x} % {y} is {r}");
                }
                let (_, _) = (int_div(x, y), int_pow(x, y));
            }
        }
        assert_eq!((int_pow(3, 4), int_pow(-2, 3), int_pow(0, 0), int_pow(2, -1)), (81, -8, 1, 0));
    }
}
