//! Functions of single elements.
//!
//! Each is written as plain arithmetic without branches, which the compiler turns into vector instructions. No fused
//! multiplication is used but where each machine gives what it gives: the bits are the same on every one. [`Unary`] states how far each is from the exact
//! value, in units in the last place (ulp) of `f32`; results in fp16 are rounded once more, and what some functions give for halves
//! is that near to the exact value only that nearly all of those are the nearest.
//!
//! Infinities and NaNs give what the exact function gives; results below 2^-126 keep the digits that `f32` has.
//!
//! ```
//! use anemone_kernels::math::{Unary, unary};
//! let mut y = [0.0f32; 3];
//! unary(1, &mut y, &[-1.0, 0.25, 4.0], Unary::Relu, &[]);
//! assert_eq!(y, [0.0, 0.25, 4.0]);
//! ```

use macro_rules_attribute::apply;

use crate::compiled::compiled_here;
use crate::finish::{Finish, Stage};
use crate::simd::{self, Kernel, Simd, fused};
use crate::threads::parallel_chunks;
use crate::{Float, binary};

/// A function of one element.
///
/// ```
/// use anemone_kernels::math::{Unary, unary};
/// let mut y = [0.0f32; 3];
/// unary(1, &mut y, &[-9.0, 0.5, 9.0], Unary::Clip { low: -1.0, high: 1.0 }, &[]);
/// assert_eq!(y, [-1.0, 0.5, 1.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    /// The magnitude: exact.
    Abs,
    /// Rounded up: exact.
    Ceil,
    /// Held between two numbers, the upper one having the last word; NaN stays: exact.
    Clip {
        /// The lower bound.
        low: f32,
        /// The upper bound.
        high: f32,
    },
    /// The cosine: 2 ulp.
    Cos,
    /// `x`, or `alpha · (e^x - 1)` where `x` is negative: 3 ulp.
    Elu {
        /// The factor.
        alpha: f32,
    },
    /// The error function: 3 ulp.
    Erf,
    /// The power of e: 1 ulp.
    Exp,
    /// The power of 2: 2 ulp.
    Exp2,
    /// Rounded down: exact.
    Floor,
    /// `x · Φ(x)`, where Φ is the share of the normal distribution below `x`: 6 ulp.
    Gelu,
    /// `x / (1 + e^-(2√(2/π) (x + 0.044715 x³)))`, which is `x/2 (1 + tanh(…))`: 3 ulp.
    GeluTanh,
    /// `x / (1 + e^-1.702x)`: 3 ulp.
    GeluSigmoid,
    /// `1 / (x + epsilon)`: 1 ulp.
    Inverse {
        /// What is added.
        epsilon: f32,
    },
    /// `x`, or `alpha · x` where `x` is negative: half an ulp.
    LeakyRelu {
        /// The factor.
        alpha: f32,
    },
    /// `alpha · x + beta`: half an ulp.
    Linear {
        /// The factor.
        alpha: f32,
        /// What is added.
        beta: f32,
    },
    /// The natural logarithm of `x + epsilon`: 1.5 ulp.
    Log {
        /// What is added.
        epsilon: f32,
    },
    /// The larger of `x` and 0: exact.
    Relu,
    /// Rounded to the nearest whole number, of two to the even one: exact.
    Round,
    /// `1 / √(x + epsilon)`: 2 ulp.
    Rsqrt {
        /// What is added.
        epsilon: f32,
    },
    /// `alpha · tanh(beta · x)`: 4 ulp.
    ScaledTanh {
        /// The factor of the result.
        alpha: f32,
        /// The factor of `x`.
        beta: f32,
    },
    /// `1 / (1 + e^-x)`: 3 ulp.
    Sigmoid,
    /// `alpha · x + beta`, held between 0 and 1: half an ulp.
    SigmoidHard {
        /// The factor.
        alpha: f32,
        /// What is added.
        beta: f32,
    },
    /// -1, 0 or 1: exact.
    Sign,
    /// `x / (1 + e^-x)`: 3 ulp.
    Silu,
    /// The sine: 2 ulp.
    Sin,
    /// `ln(1 + e^x)`: 3 ulp.
    Softplus,
    /// `x / (1 + |x|)`: 2 ulp.
    Softsign,
    /// The square root: half an ulp.
    Sqrt,
    /// `x · x`: half an ulp.
    Square,
    /// The hyperbolic tangent: 3 ulp.
    Tanh,
    /// `x`, or 0 where `x` is less than `alpha`: exact.
    ThresholdedRelu {
        /// The border.
        alpha: f32,
    },
}

/// Writes `f` of each element of `x`, put through stages, to `y`.
///
/// ```
/// use anemone_kernels::math::{Unary, unary};
/// let mut y = [0.0f32; 3];
/// unary(1, &mut y, &[-1.0, 0.0, 2.0], Unary::Relu, &[]);
/// assert_eq!(y, [0.0, 0.0, 2.0]);
/// ```
///
/// # Panics
///
/// When the slices have different lengths.
#[apply(compiled_here)]
pub fn unary<T: Float>(threads: usize, y: &mut [T], x: &[T], f: Unary, stages: &[Stage<'_, T>]) {
    let halves = T::as_f32s(&[]).is_none();
    in_blocks(threads, y, x, stages, |block| simd::dispatch(Apply { block, f, halves }));
}

/// Writes any function of each element of `x` to `y`: for those that are not worth a vector form.
///
/// ```
/// let mut y = [0.0f32; 2];
/// anemone_kernels::math::map(1, &mut y, &[0.0, 1.0], |x| f64::from(x).sinh() as f32);
/// assert_eq!(y, [0.0, 1.1752012]);
/// ```
///
/// # Panics
///
/// When the slices have different lengths.
pub fn map<T: Float>(threads: usize, y: &mut [T], x: &[T], f: impl Fn(f32) -> f32 + Sync) {
    in_blocks(threads, y, x, &[], |block| block.iter_mut().for_each(|v| *v = f(*v)));
}

/// How many elements are computed at a time: they stay in the first-level cache.
const BLOCK: usize = 1024;

/// Calls `f` with blocks of the elements of `x`, widened, and writes what it leaves there to `y`.
fn in_blocks<T: Float>(
    threads: usize,
    y: &mut [T],
    x: &[T],
    stages: &[Stage<'_, T>],
    f: impl Fn(&mut [f32]) + Sync,
) {
    let finish = Finish { bias: None, stages };
    finish.check(y.len());
    assert_eq!(y.len(), x.len(), "an elementwise function gives as many elements as it takes");
    parallel_chunks(threads, y, BLOCK, 16, |i, y| {
        let x = &x[i * BLOCK..][..y.len()];
        let mut wide = [0.0; BLOCK];
        let wide = &mut wide[..y.len()];
        T::widen(wide, x);
        f(wide);
        finish.write(y, wide, i * BLOCK);
    });
}

pub(crate) struct Apply<'a> {
    pub(crate) block: &'a mut [f32],
    pub(crate) f: Unary,
    /// Whether the elements are halves, and what comes out is rounded to halves: some functions then need fewer digits.
    pub(crate) halves: bool,
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { block, f, halves } = self;
        // One loop for each function: a match within the loop, or a closure, would not become vectors.
        macro_rules! each {
            (|$x:ident| $y:expr) => {
                for v in block.iter_mut() {
                    let $x = *v;
                    *v = $y;
                }
            };
        }
        match f {
            Unary::Abs => each!(|x| x.abs()),
            Unary::Ceil => each!(|x| x.ceil()),
            Unary::Clip { low, high } => each!(|x| binary::minimum(binary::maximum(x, low), high)),
            Unary::Cos => trigonometric::<true>(block),
            Unary::Elu { alpha } => each!(|x| if x < 0.0 { alpha * expm1(x) } else { x }),
            Unary::Erf => each!(|x| erf(x)),
            Unary::Exp => each!(|x| exp(x)),
            Unary::Exp2 => each!(|x| exp_of(f64::from(x) * std::f64::consts::LN_2)),
            Unary::Floor => each!(|x| x.floor()),
            Unary::Gelu if halves => each!(|x| half_gelu(x)),
            Unary::Gelu => each!(|x| gelu(x)),
            Unary::GeluTanh if halves => {
                each!(|x| half_gate(x, 2.0 * 0.797_884_6 * (x + 0.044715 * x * x * x)))
            }
            Unary::GeluTanh => each!(|x| {
                let v = f64::from(x);
                gate(x, 2.0 * 0.797_884_560_802_865_4 * (v + 0.044715 * v * v * v))
            }),
            Unary::GeluSigmoid if halves => each!(|x| half_gate(x, 1.702 * x)),
            Unary::GeluSigmoid => each!(|x| gate(x, 1.702 * f64::from(x))),
            Unary::Inverse { epsilon } => each!(|x| 1.0 / (x + epsilon)),
            Unary::LeakyRelu { alpha } => each!(|x| if x < 0.0 { alpha * x } else { x }),
            Unary::Linear { alpha, beta } => each!(|x| linear::<S>(x, alpha, beta)),
            Unary::Log { epsilon } => each!(|x| ln_of_sum(x, epsilon)),
            Unary::Relu => each!(|x| binary::maximum(x, 0.0)),
            Unary::Round => each!(|x| x.round_ties_even()),
            Unary::Rsqrt { epsilon } => each!(|x| 1.0 / (x + epsilon).sqrt()),
            Unary::ScaledTanh { alpha, beta } => {
                let factor = f64::from(alpha) * f64::from(beta);
                each!(|x| {
                    let y = beta * x;
                    // Below the normal numbers the inner product would be rounded before `alpha` enlarges it.
                    if y.abs() < f32::MIN_POSITIVE { (factor * f64::from(x)) as f32 } else { alpha * tanh(y) }
                })
            }
            Unary::Sigmoid if halves => each!(|x| half_sigmoid(x)),
            Unary::Sigmoid => each!(|x| sigmoid(x)),
            Unary::SigmoidHard { alpha, beta } => {
                each!(|x| binary::minimum(binary::maximum(linear::<S>(x, alpha, beta), 0.0), 1.0))
            }
            Unary::Sign => each!(|x| if x == 0.0 || x.is_nan() { x + 0.0 } else { 1f32.copysign(x) }),
            Unary::Silu if halves => each!(|x| half_gate(x, x)),
            Unary::Silu => each!(|x| silu(x)),
            Unary::Sin => trigonometric::<false>(block),
            Unary::Softplus => each!(|x| softplus(x)),
            Unary::Softsign => each!(|x| x / (1.0 + x.abs())),
            Unary::Sqrt => each!(|x| x.sqrt()),
            Unary::Square => each!(|x| x * x),
            Unary::Tanh => each!(|x| tanh(x)),
            Unary::ThresholdedRelu { alpha } => each!(|x| if x < alpha { 0.0 } else { x }),
        }
    }
}

/// `alpha · x + beta`, rounded once.
#[inline(always)]
pub(crate) fn linear<S: Simd>(x: f32, alpha: f32, beta: f32) -> f32 {
    if S::FUSED {
        return alpha.mul_add(x, beta);
    }
    // The product of two floats is exact in f64. The sum may be cut off, which is kept in mind by its last digit: then it
    // lies in the middle between two floats only if the exact sum does.
    let (product, beta) = (f64::from(alpha) * f64::from(x), f64::from(beta));
    let sum = product + beta;
    let of_beta = sum - product;
    let rest = (product - (sum - of_beta)) + (beta - of_beta);
    let bits = sum.to_bits();
    let inexact = rest.abs() > 0.0 && bits & 1 == 0;
    let odd = if (rest > 0.0) == (sum > 0.0) { bits.wrapping_add(1) } else { bits.wrapping_sub(1) };
    f64::from_bits(if inexact { odd } else { bits }) as f32
}

/// The value of a polynomial whose first coefficient is that of x^0.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        sum = sum * x + coefficients[i];
    }
    sum
}

/// 2^n for n from -126 to 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23) as u32)
}

/// e^r - 1 for |r| up to ln(2) / 2.
#[inline(always)]
fn expm1_near_zero(r: f32) -> f32 {
    // Coefficients here and below: minimax fits by iterated least squares, rounded to f32.
    let p = polynomial(r, [0.5, 0.166_666_67, 0.041_666_34, 0.008_333_271, 0.001_394_206, 0.000_199_150_32]);
    r + r * r * p
}

/// A number n and the small rest r with x = n ln(2) + r, for |x| up to some thousands.
#[inline(always)]
fn reduce(x: f32) -> (i32, f32) {
    // Adding 1.5 · 2^23 rounds to a whole number, which is left in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // The high part of ln(2) has so few digits that its products with n are exact.
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    (rounded.to_bits() as i32 - ROUND.to_bits() as i32, x - n * HIGH - n * LOW)
}

/// Two factors whose product is e^x. Only the product can overflow or lose digits.
#[inline(always)]
fn exp_factors(x: f32) -> (f32, f32) {
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -120.0 { -120.0 } else { x };
    let (n, r) = reduce(x);
    factors(n, r)
}

/// As [`exp_factors`], for an argument that `f32` would cut short.
#[inline(always)]
fn exp_factors_of(x: f64) -> (f32, f32) {
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -120.0 { -120.0 } else { x };
    let rounded = x * std::f64::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    factors(rounded.to_bits() as i32, (x - n * std::f64::consts::LN_2) as f32)
}

#[inline(always)]
fn factors(n: i32, r: f32) -> (f32, f32) {
    let half = n >> 1;
    ((1.0 + expm1_near_zero(r)) * power_of_two(half), power_of_two(n - half))
}

#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let (a, b) = exp_factors(x);
    a * b
}

/// e^x for x up to 0, and 0 where it is below the normal numbers.
#[inline(always)]
pub(crate) fn exp_below_one<S: Simd>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    const LEAST: f32 = -87.0;
    let held = if x < LEAST { LEAST } else { x };
    let rounded = fused::<S>(held, std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    // ln(2) in two parts, as in `reduce`.
    let r = fused::<S>(n, 2.121_944_4e-4, fused::<S>(n, -0.693_359_4, held));
    let mut p = 0.000_199_150_32;
    for c in [0.001_394_206, 0.008_333_271, 0.041_666_34, 0.166_666_67, 0.5] {
        p = fused::<S>(p, r, c);
    }
    let power = power_of_two(rounded.to_bits() as i32 - ROUND.to_bits() as i32);
    let e = (1.0 + fused::<S>(r * r, p, r)) * power;
    if x < LEAST { 0.0 } else { e }
}

#[inline(always)]
fn exp_of(x: f64) -> f32 {
    let (a, b) = exp_factors_of(x);
    a * b
}

/// e^x - 1 for x up to 40.
#[inline(always)]
fn expm1(x: f32) -> f32 {
    let x = if x < -80.0 { -80.0 } else { x };
    let (n, r) = reduce(x);
    let scale = power_of_two(n);
    scale * expm1_near_zero(r) + (scale - 1.0)
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let a = if a > 10.0 { 10.0 } else { a };
    let e = expm1(2.0 * a);
    (e / (e + 2.0)).copysign(x)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    // Of the two forms the one whose power does not overflow.
    let (a, b) = exp_factors(-x.abs());
    let below = 1.0 + a * b;
    if x >= 0.0 { 1.0 / below } else { a / below * b }
}

#[inline(always)]
fn silu(x: f32) -> f32 {
    let (a, b) = exp_factors(-x.abs());
    gated(x, a, b)
}

/// `x / (1 + e^-v)`, where `v` has the sign of `x`.
#[inline(always)]
fn gate(x: f32, v: f64) -> f32 {
    let (a, b) = exp_factors_of(-v.abs());
    gated(x, a, b)
}

/// `x / (1 + e)` where x is positive, and `x · e / (1 + e)` where it is negative, for e = a · b.
#[inline(always)]
fn gated(x: f32, a: f32, b: f32) -> f32 {
    let below = 1.0 + a * b;
    // Where e is 0 in f32, x · e is, but for the infinite x, for which it has no value.
    let held = if x < -120.0 { -120.0 } else { x };
    if x >= 0.0 { x / below } else { held * a / below * b + 0.0 * x }
}

/// The share of the normal distribution above `a` is `exp(-a²/2) · tail(a)`, for a from 0 on.
#[inline(always)]
fn tail(a: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.3 * a);
    t * polynomial(
        t,
        [
            0.119_686_715,
            0.119_571_31,
            0.110_239_37,
            0.078_372_11,
            0.096_205_25,
            -0.079_509_81,
            0.191_884_1,
            -0.228_285_42,
            0.112_465_07,
            -0.020_628_713,
        ],
    )
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    let v = f64::from(x);
    let (a, b) = exp_factors_of(-0.5 * v * v);
    let tail = tail(x.abs());
    let held = if x < -20.0 { -20.0 } else { x };
    if x >= 0.0 { x * (1.0 - tail * (a * b)) } else { held * tail * a * b + 0.0 * x }
}

/// e^x for x up to 0, within 2^-19 of it; what is less than the smallest half may have any value that is, too.
#[inline(always)]
fn half_exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -40.0 { -40.0 } else { x };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let r = x - (rounded - ROUND) * std::f32::consts::LN_2;
    let p = polynomial(r, [0.499_992_3, 0.166_671_15, 0.041_890_15, 0.008_312_49]);
    (1.0 + (r + r * r * p)) * power_of_two(rounded.to_bits() as i32 - ROUND.to_bits() as i32)
}

#[inline(always)]
fn half_sigmoid(x: f32) -> f32 {
    let e = half_exp(-x.abs());
    (if x >= 0.0 { 1.0 } else { e }) / (1.0 + e)
}

/// As [`gate`], for halves. Only for the infinite one below zero it has no value.
#[inline(always)]
fn half_gate(x: f32, v: f32) -> f32 {
    let e = half_exp(-v.abs());
    (if x >= 0.0 { x } else { x * e }) / (1.0 + e) + if x == f32::NEG_INFINITY { f32::NAN } else { -0.0 }
}

/// As [`gelu`], for halves, whose squares are exact.
#[inline(always)]
fn half_gelu(x: f32) -> f32 {
    let a = if x.abs() > 16.0 { 16.0 } else { x.abs() };
    let t = 1.0 / (1.0 + 0.3 * a);
    let tail =
        polynomial(t, [0.120_348_12, 0.110_968_15, 0.154_764_56, -0.035_979_27, 0.232_326_01, -0.082_428_33]);
    // What lies above zero and below it differ by `x`.
    let below = (a * t) * tail * half_exp(-0.5 * (a * a));
    let above = if x < 0.0 { 0.0 } else { x };
    (above - below) + if x == f32::NEG_INFINITY { f32::NAN } else { -0.0 }
}

#[inline(always)]
fn erf(x: f32) -> f32 {
    let v = f64::from(x);
    let (a, b) = exp_factors_of(-v * v);
    let large = 1.0 - 2.0 * tail(x.abs() * std::f32::consts::SQRT_2) * (a * b);
    let z = x * x;
    let small = x * polynomial(
        z,
        [
            std::f32::consts::FRAC_2_SQRT_PI,
            -0.376_126_26,
            0.112_835_854,
            -0.026_853_81,
            0.005_188_327_7,
            -0.000_801_019_25,
            0.000_078_538_58,
        ],
    );
    if x.abs() < 1.0 { small } else { large.copysign(x) }
}

#[inline(always)]
fn softplus(x: f32) -> f32 {
    let e = exp(-x.abs());
    let p = polynomial(
        e,
        [
            1.0,
            -0.499_999,
            0.333_299_64,
            -0.249_541_33,
            0.196_759_31,
            -0.153_055_7,
            0.106_036_17,
            -0.056_959_16,
            0.019_851_264,
            -0.003_243_981,
        ],
    );
    binary::maximum(x, 0.0) + e * p
}

#[inline(always)]
pub(crate) fn ln(x: f32) -> f32 {
    const HIGH: f32 = 0.693_145_75;
    const LOW: f32 = 1.428_606_8e-6;
    // x = 2^n · m with m between √½ and √2; numbers below 2^-126 are scaled up first.
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 33_554_432.0 } else { x };
    let bits = scaled.to_bits() as i32;
    let n = bits.wrapping_sub(std::f32::consts::FRAC_1_SQRT_2.to_bits() as i32) >> 23;
    let m = f32::from_bits(bits.wrapping_sub(n << 23) as u32);
    let n = if tiny { n - 25 } else { n } as f32;
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let rest = z * polynomial(z, [0.666_666_6, 0.400_003_46, 0.285_366_03, 0.235_963_34]);
    let half = 0.5 * f * f;
    let y = n * HIGH - ((half - (s * (half + rest) + n * LOW)) - f);
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x < 0.0 { f32::NAN } else { y };
    if x < f32::INFINITY { y } else { x }
}

/// The logarithm of `x + epsilon`, with what the rounding of the sum cuts off.
#[inline(always)]
fn ln_of_sum(x: f32, epsilon: f32) -> f32 {
    let exact = f64::from(x) + f64::from(epsilon);
    let sum = exact as f32;
    let rest = (exact - f64::from(sum)) as f32 / sum;
    ln(sum) + if rest.abs() < 1.0 { rest } else { 0.0 }
}

/// The sine or cosine of every element.
#[inline(always)]
fn trigonometric<const COSINE: bool>(block: &mut [f32]) {
    const ROUND: f64 = 6_755_399_441_055_744.0;
    // Two parts of π/2; the first has so few digits that its products with n are exact.
    const HIGH: f64 = 1.570_796_326_734_125_6;
    const LOW: f64 = 6.077_100_506_506_192e-11;
    // Where n has more digits than that, the library reduces the argument.
    const LARGEST: f32 = 1_000_000.0;
    let mut large = false;
    for x in block.iter() {
        large |= x.abs() > LARGEST;
    }
    if large {
        for v in block.iter_mut() {
            let x = f64::from(*v);
            *v = if COSINE { x.cos() } else { x.sin() } as f32;
        }
        return;
    }
    for v in block.iter_mut() {
        let x = f64::from(*v);
        let rounded = x * std::f64::consts::FRAC_2_PI + ROUND;
        let n = rounded - ROUND;
        let r = (x - n * HIGH - n * LOW) as f32;
        let quarter = (rounded.to_bits() as i32).wrapping_add(i32::from(COSINE));
        let z = r * r;
        let sine = r + r * z * polynomial(z, [-0.166_666_67, 0.008_333_329, -0.000_198_392_95, 2.717_94e-6]);
        let cosine =
            1.0 - 0.5 * z + z * z * polynomial(z, [0.041_666_646, -0.001_388_728_4, 0.000_024_429_437]);
        let y = if quarter & 1 == 0 { sine } else { cosine };
        *v = if quarter & 2 == 0 { y } else { -y };
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    /// The distance of two floats in units of the last place, both NaN counting as equal.
    fn ulps(found: f32, exact: f64) -> f64 {
        if found.is_nan() && exact.is_nan() || f64::from(found) == exact {
            return 0.0;
        }
        let rounded = exact as f32;
        if rounded.is_infinite() || !found.is_finite() {
            // One step from the largest float to infinity; anything else is wrong.
            let near =
                |v: f32| if v.is_infinite() { f64::from(f32::MAX).copysign(v.into()) } else { v.into() };
            return if near(found) == near(rounded) { 0.5 } else { f64::INFINITY };
        }
        let unit = f64::from(f32::from_bits(rounded.abs().to_bits().max(0x0080_0000) & 0x7f80_0000))
            * 2f64.powi(-23);
        (f64::from(found) - exact).abs() / unit
    }

    /// Complementary error function, by series and continued fraction.
    fn erfc(x: f64) -> f64 {
        if x < 0.0 {
            2.0 - erfc(-x)
        } else if x < 2.5 {
            let (mut term, mut sum, mut n) = (x, x, 0.0);
            while term.abs() > 1e-18 * sum.abs() {
                n += 1.0;
                term *= -x * x / n;
                sum += term / (2.0 * n + 1.0);
            }
            1.0 - std::f64::consts::FRAC_2_SQRT_PI * sum
        } else {
            let tail = (1..=200).rev().fold(x, |tail, k| x + f64::from(k) / 2.0 / tail);
            if x.is_infinite() { 0.0 } else { (-x * x).exp() / (std::f64::consts::PI.sqrt() * tail) }
        }
    }

    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    type Case = (Unary, fn(f64) -> f64, f64);

    /// Every function with its exact form and the bound that its documentation states, and half an ulp for the
    /// rounding of the exact value.
    const CASES: &[Case] = &[
        (Unary::Abs, f64::abs, 0.0),
        (Unary::Ceil, f64::ceil, 0.0),
        (Unary::Clip { low: -1.5, high: 2.0 }, |x| if x.is_nan() { x } else { x.clamp(-1.5, 2.0) }, 0.0),
        (Unary::Cos, f64::cos, 2.0),
        (Unary::Elu { alpha: 0.5 }, |x| if x < 0.0 { 0.5 * x.exp_m1() } else { x }, 3.0),
        (Unary::Erf, |x| if x.abs() < 0.5 { small_erf(x) } else { 1.0 - erfc(x) }, 3.0),
        (Unary::Exp, f64::exp, 1.0),
        (Unary::Exp2, f64::exp2, 2.0),
        (Unary::Floor, f64::floor, 0.0),
        (Unary::Gelu, |x| 0.5 * x * erfc(-x / 2f64.sqrt()), 6.0),
        (
            Unary::GeluTanh,
            |x| x * sigmoid(2.0 * (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)),
            3.0,
        ),
        (Unary::GeluSigmoid, |x| x * sigmoid(1.702 * x), 3.0),
        (Unary::Inverse { epsilon: 0.0 }, |x| 1.0 / (x + 0.0), 1.0),
        (Unary::LeakyRelu { alpha: 0.3 }, |x| if x < 0.0 { f64::from(0.3f32) * x } else { x }, 0.5),
        (Unary::Linear { alpha: 3.0, beta: 0.7 }, |x| 3.0 * x + f64::from(0.7f32), 0.5),
        (Unary::Log { epsilon: 0.0 }, f64::ln, 1.0),
        (Unary::Log { epsilon: 1.5 }, |x| (x + 1.5).ln(), 1.5),
        (Unary::Relu, |x| if x > 0.0 || x.is_nan() { x } else { 0.0 }, 0.0),
        (Unary::Round, f64::round_ties_even, 0.0),
        (Unary::Rsqrt { epsilon: 0.0 }, |x| 1.0 / (x + 0.0).sqrt(), 2.0),
        (Unary::ScaledTanh { alpha: 1.7, beta: 0.5 }, |x| f64::from(1.7f32) * (0.5 * x).tanh(), 4.0),
        (Unary::Sigmoid, sigmoid, 3.0),
        (
            Unary::SigmoidHard { alpha: 0.2, beta: 0.5 },
            |x| if x.is_nan() { x } else { (f64::from(0.2f32) * x + 0.5).clamp(0.0, 1.0) },
            0.5,
        ),
        (Unary::Sign, |x| if x == 0.0 || x.is_nan() { x } else { x.signum() }, 0.0),
        (Unary::Silu, |x| x / (1.0 + (-x).exp()), 3.0),
        (Unary::Sin, f64::sin, 2.0),
        (Unary::Softplus, |x| (-x.abs()).exp().ln_1p() + if x > 0.0 || x.is_nan() { x } else { 0.0 }, 3.0),
        (Unary::Softsign, |x| x / (1.0 + x.abs()), 2.0),
        (Unary::Sqrt, f64::sqrt, 0.5),
        (Unary::Square, |x| x * x, 0.5),
        (Unary::Tanh, f64::tanh, 3.0),
        (Unary::ThresholdedRelu { alpha: 1.25 }, |x| if x < 1.25 { 0.0 } else { x }, 0.0),
    ];

    /// The series of erf near 0, which the difference of 1 and erfc would cut short.
    fn small_erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..30 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        std::f64::consts::FRAC_2_SQRT_PI * sum
    }

    #[test]
    fn every_function_keeps_its_bound_over_all_floats() {
        // A walk over all floats, and a dense one where the functions have their shape.
        let mut x: Vec<f32> = (0..=u32::MAX).step_by(250_007).map(f32::from_bits).collect();
        x.extend((-55_000..=55_000).map(|i| i as f32 / 500.0 + 1e-5));
        x.extend([
            0.0,
            -0.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            f32::MAX,
            f32::MIN,
            f32::MIN_POSITIVE,
        ]);
        let mut y = vec![0.0; x.len()];
        let mut bad = String::new();
        for &(f, exact, bound) in CASES {
            unary(2, &mut y, &x, f, &[]);
            let mut worst = (0.0, 0.0, 0.0);
            for (&x, &y) in x.iter().zip(&y) {
                let ulps = ulps(y, exact(x.into()));
                if ulps > worst.0 {
                    worst = (ulps, x, y);
                }
            }
            if worst.0 > bound {
                bad += &format!(
                    "{f:?}: {:.2} ulp at {:e}, which gives {:e} for {:e}\n",
                    worst.0,
                    worst.1,
                    worst.2,
                    exact(worst.1.into())
                );
            }
        }
        assert!(bad.is_empty(), "{bad}");
    }

    #[test]
    fn every_half_is_rounded_almost_always_to_the_nearest() {
        let x: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        let mut y = vec![f16::ZERO; x.len()];
        for &(f, exact, _) in CASES {
            unary(1, &mut y, &x, f, &[]);
            let mut off = 0;
            for (&x, &y) in x.iter().zip(&y) {
                // By way of f32, as the kernel does. What `f16::from_f64` gives depends on the processor.
                let is = f16::from_f32(exact(x.to_f64()) as f32);
                if y == is || y.is_nan() && is.is_nan() {
                    continue;
                }
                let order = |v: f16| {
                    if v.is_sign_negative() {
                        -i32::from(v.to_bits() & 0x7fff)
                    } else {
                        i32::from(v.to_bits())
                    }
                };
                assert!((order(y) - order(is)).abs() <= 1, "{f:?} of {x} is {y}, not {is}");
                off += 1;
            }
            assert!(off < 200, "{f:?}: {off} halves are not the nearest");
        }
    }

    #[test]
    fn the_portable_way_gives_the_same_bits() {
        let x: Vec<f32> = (-40_000..40_000).map(|i| i as f32 / 400.0).collect();
        for &(f, ..) in CASES {
            let (mut best, mut portable) = (x.clone(), x.clone());
            for halves in [false, true] {
                simd::dispatch(Apply { block: &mut best, f, halves });
                Apply { block: &mut portable, f, halves }.run(simd::Portable);
                assert!(best.iter().zip(&portable).all(|(a, b)| a.to_bits() == b.to_bits()), "{f:?}");
            }
        }
    }
}
