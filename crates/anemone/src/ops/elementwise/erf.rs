//! The Gauss error function, which the standard library does not have.

use std::f64::consts::PI;

/// Below this, the series of erf is used; from here on, the continued fraction of erfc, which has no cancellation.
const BORDER: f64 = 2.0;

/// The error function: 2/√π times the integral of exp(-t²) from 0 to `x`.
pub(in crate::ops) fn erf(x: f64) -> f64 {
    if x.abs() < BORDER { series(x) } else { (1.0 - fraction(x.abs())).copysign(x) }
}

/// 1 - erf(x), which keeps its digits where erf is close to 1.
pub(in crate::ops) fn erfc(x: f64) -> f64 {
    if x.abs() < BORDER {
        1.0 - series(x)
    } else if x < 0.0 {
        2.0 - fraction(-x)
    } else {
        fraction(x)
    }
}

/// erf(x) = 2/√π exp(-x²) (x + 2x³/3 + 4x⁵/15 + …): all terms have the sign of x, so that none cancel.
fn series(x: f64) -> f64 {
    let square = x * x;
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term.abs() > sum.abs() * f64::EPSILON / 4.0 {
        n += 2.0;
        term *= 2.0 * square / n;
        sum += term;
    }
    2.0 / PI.sqrt() * (-square).exp() * sum
}

/// erfc(x) = exp(-x²)/√π · 1/(x + ½/(x + 1/(x + 1½/(x + …)))) for `x` from 2 on, where 60 steps give all digits.
fn fraction(x: f64) -> f64 {
    if x.is_infinite() {
        return 0.0;
    }
    let tail = (1..=60).rev().fold(x, |tail, k| x + f64::from(k) / 2.0 / tail);
    (-x * x).exp() / (PI.sqrt() * tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference: Python's `math.erf` and `math.erfc`.
    #[test]
    fn known_values() {
        let near = |a: f64, b: f64| assert!((a - b).abs() <= 4e-15 * b.abs(), "{a} is not {b}");
        for (x, is) in [
            (1e-300, 1.1283791670955126e-300),
            (0.5, 0.5204998778130465),
            (1.9999, 0.9953201979070294),
            (2.0, 0.9953222650189527),
            (3.5, 0.9999992569016276),
        ] {
            near(erf(x), is);
            near(erf(-x), -is);
        }
        for (x, is) in [
            (2.0, 0.004677734981047265),
            (-2.0, 1.9953222650189528),
            (3.0, 2.2090496998585438e-5),
            (6.0, 2.1519736712498916e-17),
            (26.0, 5.663192408856143e-296),
        ] {
            near(erfc(x), is);
        }
    }

    #[test]
    fn limits() {
        assert_eq!(erf(0.0), 0.0);
        assert_eq!((erf(f64::INFINITY), erf(f64::NEG_INFINITY)), (1.0, -1.0));
        assert_eq!((erfc(f64::INFINITY), erfc(f64::NEG_INFINITY)), (0.0, 2.0));
        assert!(erf(f64::NAN).is_nan() && erfc(f64::NAN).is_nan());
    }
}
