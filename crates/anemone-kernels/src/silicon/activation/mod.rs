//! The activation unit: functions of one number, between 33 knots.
//!
//! A number is looked up between two knots; their difference, its share and the sum are each rounded half away from zero to 11
//! significant bits. Beyond the knots lies a line on each side, and beyond those a constant. Exponentials, logarithms,
//! reciprocals and roots take the number apart first: the knots see its fraction only.
//!
//! ```
//! use anemone_kernels::silicon::activation;
//! use half::f16;
//! let error = activation::tanh(f16::from_f32(0.3)).to_f32() - 0.3f32.tanh();
//! assert!(error != 0.0 && error.abs() < 2e-3);
//! ```

mod tables;

use half::f16;

use super::number::{decode, store_f64};

/// What the knots of a table are at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// At the multiples of a step from −16 to 16, counted from 0 outward.
    Centred,
    /// At the multiples of a step from 0 to 32, for magnitudes; the sign comes back at the end.
    Odd,
    /// At the fraction of the number: 2ˣ.
    Exp2,
    /// At the significand, in [½, 1): 1/x.
    Inverse,
    /// At the significand, in [½, 1): the logarithm to the base 2.
    Log2,
    /// At the significand with an even exponent, in [½, 2): √x.
    Sqrt,
    /// As for `Sqrt`: 1/√x.
    Rsqrt,
}

/// A table, as programs hold it: halves, as bits.
struct Table {
    /// At the first or below, and at the second or above, the results are `ends`.
    clamps: [u16; 2],
    ends: [u16; 2],
    knots: [u16; 33],
    /// The slope and the start of the lines below and above the knots.
    low: [u16; 2],
    high: [u16; 2],
    /// Of a step that is 2⁻ⁿ, `n`.
    steps: i32,
    mode: Mode,
}

fn value(bits: u16) -> f64 {
    f64::from(decode(f16::from_bits(bits)))
}

/// Rounds half away from zero to 11 significant bits.
fn short(x: f64) -> f64 {
    f64::from_bits((x.to_bits() + (1 << 41)) & !((1 << 42) - 1))
}

/// The power of two: of exponents that halves and their squares have.
fn power(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// The exponent and the significand, in [1, 2), of a number that is more than 0.
fn parts(x: f64) -> (i32, f64) {
    let exponent = (x.to_bits() >> 52) as i32 - 1023;
    (exponent, x / power(exponent))
}

/// Between two of the knots.
fn between(knots: &[u16; 33], base: usize, next: usize, share: f64) -> f64 {
    let (base, next) = (value(knots[base]), value(knots[next]));
    short(base + short(share * short(next - base)))
}

/// Between the knots at a place from 0 to 32.
fn along(knots: &[u16; 33], place: f64) -> f64 {
    let base = (place as usize).min(32);
    between(knots, base, (base + 1).min(32), place - base as f64)
}

fn line([slope, start]: [u16; 2], x: f64) -> f64 {
    short(value(slope) * x) + value(start)
}

impl Table {
    fn at(&self, x: f16) -> f16 {
        let x = f64::from(decode(x));
        let sign = if x < 0.0 { -1.0 } else { 1.0 };
        let seen = match self.mode {
            Mode::Odd | Mode::Inverse => x.abs(),
            _ => x,
        };
        if x < 0.0 && matches!(self.mode, Mode::Log2 | Mode::Sqrt | Mode::Rsqrt) {
            return f16::ZERO;
        }
        let y = if seen <= value(self.clamps[0]) {
            value(self.ends[0])
        } else if seen >= value(self.clamps[1]) {
            value(self.ends[1])
        } else {
            self.inside(seen)
        };
        match self.mode {
            Mode::Odd => store_f64(y * sign),
            // A zero has no sign.
            Mode::Inverse if x < 0.0 => store_f64(-y),
            _ => store_f64(y),
        }
    }

    /// Between the clamps.
    fn inside(&self, x: f64) -> f64 {
        let place = x.abs() * power(self.steps);
        match self.mode {
            Mode::Centred if place >= 16.0 => line(if x < 0.0 { self.low } else { self.high }, x),
            Mode::Centred => {
                let (step, share) = (place as usize, place.fract());
                let next = |step| if x < 0.0 { 16 - step } else { 16 + step };
                between(&self.knots, next(step), next(step + 1), share)
            }
            Mode::Odd if place >= 32.0 => line(self.high, x),
            Mode::Odd => along(&self.knots, place),
            Mode::Exp2 => along(&self.knots, (x - x.floor()) * 32.0) * power(x.floor() as i32),
            Mode::Inverse => {
                let (exponent, significand) = parts(x);
                along(&self.knots, (significand / 2.0 - 0.5) * 64.0) * power(-exponent - 1)
            }
            Mode::Log2 => {
                let (exponent, significand) = parts(x);
                f64::from(exponent + 1) + along(&self.knots, (significand / 2.0 - 0.5) * 64.0)
            }
            Mode::Sqrt | Mode::Rsqrt => {
                let (exponent, significand) = parts(x);
                // An odd exponent leaves a significand of at least one half.
                let even = exponent + exponent.rem_euclid(2);
                let y = along(&self.knots, significand * power(exponent - even) * 16.0);
                y * power(if self.mode == Mode::Sqrt { even / 2 } else { -even / 2 })
            }
        }
    }
}

/// The logistic function.
///
/// ```
/// use anemone_kernels::silicon::activation::sigmoid;
/// use half::f16;
/// assert_eq!(sigmoid(f16::from_f32(-9.94)), f16::ZERO, "the table ends at -9.9375");
/// ```
pub fn sigmoid(x: f16) -> f16 {
    tables::SIGMOID.at(x)
}

/// The hyperbolic tangent.
///
/// ```
/// use anemone_kernels::silicon::activation::tanh;
/// use half::f16;
/// assert_eq!(tanh(f16::NAN), f16::ONE);
/// ```
pub fn tanh(x: f16) -> f16 {
    tables::TANH.at(x)
}

/// The Gaussian error linear unit: one table, whichever form the program asks for.
///
/// ```
/// use anemone_kernels::silicon::activation::gelu;
/// use half::f16;
/// assert_eq!(gelu(f16::ZERO), f16::from_f32(-0.000_753_88), "the knots are fitted");
/// ```
pub fn gelu(x: f16) -> f16 {
    tables::GELU.at(x)
}

/// `x` times its logistic function, by a table of its own. Its knots are not known, but fitted as others are.
///
/// ```
/// use anemone_kernels::silicon::activation::silu;
/// use half::f16;
/// assert!((silu(f16::from_f32(0.5)).to_f32() - 0.2964).abs() < 1e-4);
/// ```
pub fn silu(x: f16) -> f16 {
    tables::SILU.at(x)
}

/// The error function. Its tail beyond 2 is fitted.
///
/// ```
/// use anemone_kernels::silicon::activation::erf;
/// use half::f16;
/// assert!((erf(f16::ONE).to_f32() - 0.8427).abs() < 1e-3);
/// ```
pub fn erf(x: f16) -> f16 {
    tables::ERF.at(x)
}

/// The arc tangent: a table up to 2, and one for what is added beyond.
///
/// ```
/// use anemone_kernels::silicon::activation::atan;
/// use half::f16;
/// assert!((atan(f16::from_f32(-8.0)).to_f32() + 1.4464).abs() < 0.02);
/// ```
pub fn atan(x: f16) -> f16 {
    super::add(tables::ATAN_CORE.at(x), tables::ATAN_TAIL.at(x))
}

/// 2ˣ.
///
/// ```
/// use anemone_kernels::silicon::activation::exp2;
/// use half::f16;
/// assert_eq!(exp2(f16::from_f32(16.0)), f16::INFINITY);
/// ```
pub fn exp2(x: f16) -> f16 {
    tables::EXP2.at(x)
}

/// eˣ: x times the logarithm of e to the base 2, rounded, and 2 to the power of it.
///
/// ```
/// use anemone_kernels::silicon::activation::exp;
/// use half::f16;
/// assert_eq!(exp(f16::from_f32(11.09375)), f16::INFINITY);
/// ```
pub fn exp(x: f16) -> f16 {
    exp2(store_f64(f64::from(decode(x)) * 1.442_382_812_5))
}

/// What an op adds to its argument: on the grid of sums, and the result is rounded.
fn biased(x: f16, epsilon: f64) -> f16 {
    let bias = (epsilon * 65536.0 + 0.5f64.copysign(epsilon)).trunc() / 65536.0;
    store_f64(f64::from(decode(x)) + bias)
}

/// The natural logarithm of `x + epsilon`: that to the base 2, rounded, times that of 2.
///
/// ```
/// use anemone_kernels::silicon::activation::log;
/// use half::f16;
/// assert_eq!(log(f16::ZERO, 0.0).to_f32(), -45440.0, "the infinity in between is read as -65536");
/// ```
pub fn log(x: f16, epsilon: f64) -> f16 {
    let base_2 = tables::LOG2.at(biased(x, epsilon));
    store_f64(f64::from(decode(base_2)) * 0.693_359_375)
}

/// The square root; of what is less than 0, 0.
///
/// ```
/// use anemone_kernels::silicon::activation::sqrt;
/// use half::f16;
/// assert_eq!([4.0, -1.0].map(|x| sqrt(f16::from_f32(x)).to_f32()), [2.0, 0.0]);
/// ```
pub fn sqrt(x: f16) -> f16 {
    tables::SQRT.at(x)
}

/// One over the square root of `x + epsilon`; of what is less than 0, 0.
///
/// ```
/// use anemone_kernels::silicon::activation::rsqrt;
/// use half::f16;
/// assert_eq!(rsqrt(f16::from_f32(-0.0), 0.0), f16::INFINITY);
/// ```
pub fn rsqrt(x: f16, epsilon: f64) -> f16 {
    tables::RSQRT.at(biased(x, epsilon))
}

/// One over `x + epsilon`.
///
/// ```
/// use anemone_kernels::silicon::activation::inverse;
/// use half::f16;
/// assert_eq!(inverse(f16::from_f32(-0.0), 0.0), f16::INFINITY, "a zero has no sign");
/// ```
pub fn inverse(x: f16, epsilon: f64) -> f16 {
    tables::INVERSE.at(biased(x, epsilon))
}

/// The sine, by the table of a quarter of a wave. How the chip brings its argument there is not known: this does it exactly.
///
/// ```
/// use anemone_kernels::silicon::activation::sin;
/// use half::f16;
/// assert!((sin(f16::ONE).to_f32() - 0.841).abs() < 2e-3);
/// ```
pub fn sin(x: f16) -> f16 {
    let x = f64::from(decode(x));
    store_f64(wave(x.abs()) * if x < 0.0 { -1.0 } else { 1.0 })
}

/// The cosine, as [`sin`] of a quarter of a wave more.
///
/// ```
/// use anemone_kernels::silicon::activation::cos;
/// use half::f16;
/// assert!((cos(f16::ZERO).to_f32() - 1.0).abs() < 2e-3);
/// ```
pub fn cos(x: f16) -> f16 {
    store_f64(wave(f64::from(decode(x)).abs() + std::f64::consts::FRAC_PI_2))
}

/// The sine of a number that is not less than 0.
fn wave(x: f64) -> f64 {
    let quarters = x / std::f64::consts::FRAC_PI_2;
    let (quarter, share) = (quarters as u64, quarters.fract());
    let y = along(&tables::SINE, 32.0 * if quarter % 2 == 0 { share } else { 1.0 - share });
    if quarter % 4 < 2 { y } else { -y }
}
