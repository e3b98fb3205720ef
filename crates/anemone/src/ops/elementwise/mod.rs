//! Elementwise ops: one scalar function, applied to every element.
//!
//! Floats are computed in f64 and rounded once; whole numbers wrap around, as NumPy's do.

mod binary;
mod choice;
mod erf;
mod fast;
mod unary;

use super::loops::number;
use super::row::*;
use Tolerance::{Exact, Ulp};
use binary::{binary, compare, floor_div, int_div, int_floor_div, int_modulo, int_pow, logical, modulo};
use choice::{CAST, LOGICAL_NOT, SELECT, THRESHOLD, infer_clip};
use unary::{map_either, with_ints};

pub(super) use fast::zipped;
pub(crate) use fast::{Function, function};

pub(super) use binary::{larger, smaller};
pub(super) use erf::erfc;
pub(super) use unary::{map, parametric, same_as_x_with_scalars, unary};

/// `x`, of a floating-point dtype.
pub(super) const FLOAT_X: &[Edition] = &[edition(Ios15, &[tensor("x", FLOATS).domain('T')])];

/// `x`, of a numeric dtype.
const NUM_X: &[Edition] = &[edition(Ios15, &[tensor("x", NUMS).domain('T')])];

/// `x` and a small number that is added to it; as of iOS 17 their dtypes may differ.
macro_rules! with_epsilon {
    ($default:literal) => {
        &[
            edition(
                Ios15,
                &[
                    tensor("x", FLOATS).domain('T'),
                    tensor("epsilon", FLOATS).domain('T').constant().or(Float($default)),
                ],
            ),
            edition(
                Ios17,
                &[
                    tensor("x", FLOATS).domain('T'),
                    tensor("epsilon", FLOATS).domain('U').constant().or(Float($default)),
                ],
            ),
        ]
    };
}

/// `x` and its bounds. The parameters of iOS 17 are the same; it no longer takes an empty interval.
const CLIP: &[Parameter] = &[
    tensor("x", FLOATS).domain('T'),
    tensor("alpha", FLOATS).domain('T').constant(),
    tensor("beta", FLOATS).domain('T').constant(),
];

fn sign(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() { x + 0.0 } else { x.signum() }
}

/// 2^x of whole numbers; negative powers are cut to 0.
fn int_exp2(x: i64) -> i64 {
    u32::try_from(x).ok().and_then(|x| 1i64.checked_shl(x)).unwrap_or(0)
}

pub(super) static OPS: &[Op] = &[
    with_ints(unary("abs", "the magnitude of x", NUM_X, Exact, f64::abs), |args, types| {
        map_either(args, types, f64::abs, i64::wrapping_abs)
    }),
    unary("acos", "the arc cosine of x", FLOAT_X, Ulp(4), f64::acos),
    binary("add", "x + y", Ulp(1), |x, y| x + y, i64::wrapping_add),
    unary("asin", "the arc sine of x", FLOAT_X, Ulp(4), f64::asin),
    unary("atan", "the arc tangent of x", FLOAT_X, Ulp(4), f64::atan),
    unary("atanh", "the inverse hyperbolic tangent of x", FLOAT_X, Ulp(4), f64::atanh),
    CAST,
    unary("ceil", "x rounded up to a whole number", FLOAT_X, Exact, f64::ceil),
    Op {
        infer: infer_clip,
        ..parametric(
            "clip",
            "x held between alpha and beta",
            &[edition(Ios15, CLIP), edition(Ios17, CLIP)],
            Exact,
            |args, types| {
                let (alpha, beta) = (number(args, "alpha")?, number(args, "beta")?);
                map(args, types, |x| smaller(larger(x, alpha), beta))
            },
        )
    },
    unary("cos", "the cosine of x", FLOAT_X, Ulp(4), f64::cos),
    unary("cosh", "the hyperbolic cosine of x", FLOAT_X, Ulp(4), f64::cosh),
    compare("equal", "whether x = y", |x, y| x == y, |x, y| x == y),
    unary("erf", "the Gauss error function of x", FLOAT_X, Ulp(4), erf::erf),
    unary("exp", "e to the power of x", FLOAT_X, Ulp(2), f64::exp),
    with_ints(unary("exp2", "2 to the power of x", NUM_X, Ulp(2), f64::exp2), |args, types| {
        map_either(args, types, f64::exp2, int_exp2)
    }),
    unary("floor", "x rounded down to a whole number", FLOAT_X, Exact, f64::floor),
    binary("floor_div", "x / y, rounded down to a whole number", Exact, floor_div, int_floor_div),
    compare("greater", "whether x > y", |x, y| x > y, |x, y| x > y),
    compare("greater_equal", "whether x >= y", |x, y| x >= y, |x, y| x >= y),
    parametric("inverse", "1 / (x + epsilon)", with_epsilon!(1e-4), Ulp(1), |args, types| {
        let epsilon = number(args, "epsilon")?;
        map(args, types, |x| 1.0 / (x + epsilon))
    }),
    compare("less", "whether x < y", |x, y| x < y, |x, y| x < y),
    compare("less_equal", "whether x <= y", |x, y| x <= y, |x, y| x <= y),
    parametric("log", "the natural logarithm of x + epsilon", with_epsilon!(1e-45), Ulp(2), |args, types| {
        let epsilon = number(args, "epsilon")?;
        map(args, types, |x| (x + epsilon).ln())
    }),
    logical("logical_and", "whether x and y are true", |x, y| x && y),
    LOGICAL_NOT,
    logical("logical_or", "whether x or y is true", |x, y| x || y),
    logical("logical_xor", "whether one of x and y is true", |x, y| x != y),
    binary("maximum", "the larger of x and y", Exact, larger, i64::max),
    binary("minimum", "the smaller of x and y", Exact, smaller, i64::min),
    binary("mod", "the remainder of x / y, with the sign of y", Exact, modulo, int_modulo),
    binary("mul", "x * y", Ulp(1), |x, y| x * y, i64::wrapping_mul),
    compare("not_equal", "whether x is not y", |x, y| x != y, |x, y| x != y),
    binary("pow", "x to the power of y", Ulp(4), f64::powf, int_pow),
    binary("real_div", "x / y", Ulp(1), |x, y| x / y, int_div),
    unary(
        "round",
        "x rounded to the nearest whole number, of two to the even one",
        FLOAT_X,
        Exact,
        f64::round_ties_even,
    ),
    parametric("rsqrt", "1 / sqrt(x + epsilon)", with_epsilon!(1e-12), Ulp(2), |args, types| {
        let epsilon = number(args, "epsilon")?;
        map(args, types, |x| 1.0 / (x + epsilon).sqrt())
    }),
    SELECT,
    with_ints(unary("sign", "-1, 0 or 1: the sign of x", NUM_X, Exact, sign), |args, types| {
        map_either(args, types, sign, i64::signum)
    }),
    unary("sin", "the sine of x", FLOAT_X, Ulp(4), f64::sin),
    unary("sinh", "the hyperbolic sine of x", FLOAT_X, Ulp(4), f64::sinh),
    unary("sqrt", "the square root of x", FLOAT_X, Ulp(1), f64::sqrt),
    with_ints(unary("square", "x * x", NUM_X, Ulp(1), |x| x * x), |args, types| {
        map_either(args, types, |x| x * x, |x| x.wrapping_mul(x))
    }),
    binary("sub", "x - y", Ulp(1), |x, y| x - y, i64::wrapping_sub),
    unary("tan", "the tangent of x", FLOAT_X, Ulp(4), f64::tan),
    unary("tanh", "the hyperbolic tangent of x", FLOAT_X, Ulp(4), f64::tanh),
    THRESHOLD,
];

#[cfg(test)]
#[allow(clippy::approx_constant)] // The numbers are as NumPy prints them.
mod tests;
