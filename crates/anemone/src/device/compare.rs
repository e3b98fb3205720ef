//! Comparison of what was computed with what was expected.
//!
//! [`compare`] measures two results of whole functions, and [`agree`] holds the result of one op against its meaning.
//!
//! The measure of [`compare`] is the largest difference, relative to the largest magnitude that was expected: differences of single
//! small elements say little where sums of many terms are rounded. Not-a-number must meet not-a-number, and an
//! infinity the same infinity. Whole numbers, bools and strings must be equal.
//!
//! ```
//! use anemone::device::compare::{Tolerance, compare};
//! use anemone::types::Tensor;
//! let found = Tensor::from_slice(&[3], &[1.0f32, 2.0, 4.001])?;
//! let expected = Tensor::from_slice(&[3], &[1.0f32, 2.0, 4.0])?;
//! let c = compare(&found, &expected, Tolerance::FP16).unwrap();
//! assert!(c.passes() && c.max_abs > 0.0);
//! # Ok::<(), anemone::types::TensorError>(())
//! ```

use half::{bf16, f16};

use crate::mil::op;
use crate::types::{DType, Tensor, TensorType, Type};
use crate::verify::Function;

/// How far a number may be from what is expected.
///
/// ```
/// use anemone::device::compare::{Tolerance, compare};
/// use anemone::types::{DType, Tensor};
/// let expected = Tensor::from_f64s(DType::Fp16, &[3], &[1.0, -2.0, 4.0])?;
/// let found = Tensor::from_f64s(DType::Fp16, &[3], &[1.0, -2.0, 4.5])?;
/// let wide = Tolerance { relative: 0.0, absolute: 0.5 };
/// assert!(compare(&found, &expected, wide)?.passes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Times the largest magnitude that is expected.
    pub relative: f64,
    /// In any case.
    pub absolute: f64,
}

impl Tolerance {
    /// For programs that compute in fp16.
    pub const FP16: Tolerance = Tolerance { relative: 2e-3, absolute: 0.0 };
    /// For programs that compute in fp32.
    pub const FP32: Tolerance = Tolerance { relative: 1e-4, absolute: 0.0 };

    /// What the results of a function can be held to: [`Tolerance::FP16`] if any of its values is fp16.
    ///
    /// ```
    /// use anemone::{Graph, Shape, device::compare::Tolerance};
    /// let mut g = Graph::new();
    /// let x = g.placeholder(Shape::channels(4));
    /// g.relu(x);
    /// assert_eq!(Tolerance::of(g.build()?.verified.main()), Tolerance::FP16);
    /// # Ok::<(), anemone::source::Diagnostics>(())
    /// ```
    pub fn of(function: &Function) -> Tolerance {
        fn holds_fp16(ty: &Type) -> bool {
            match ty {
                Type::Tensor(t) => t.dtype == DType::Fp16,
                Type::Buffer(b) => b.dtype == DType::Fp16,
                Type::List { item, .. } => holds_fp16(item),
                Type::State(t) => holds_fp16(t),
                Type::Tuple(items) => items.iter().any(holds_fp16),
                Type::Dict(k, v) => holds_fp16(k) || holds_fp16(v),
            }
        }
        if function.values.iter().any(|v| holds_fp16(&v.ty)) { Self::FP16 } else { Self::FP32 }
    }
}

/// How two tensors differ. Differences are taken over the places where both are finite.
///
/// ```
/// use anemone::device::compare::{Tolerance, compare};
/// use anemone::types::{DType, Tensor};
/// let expected = Tensor::from_f64s(DType::Fp16, &[3], &[1.0, -2.0, 4.0])?;
/// let found = Tensor::from_f64s(DType::Fp16, &[3], &[1.0, -2.0, 4.5])?;
/// let comparison = compare(&found, &expected, Tolerance::FP16)?;
/// assert_eq!((comparison.max_abs, comparison.outside, comparison.first_outside), (0.5, 1, Some(2)));
/// assert!(!comparison.passes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// How many elements were compared.
    pub elements: usize,
    /// The largest difference.
    pub max_abs: f64,
    /// The largest difference, relative to the largest finite magnitude that is expected.
    pub relative: f64,
    /// The largest difference in units in the last place of the found dtype; 0 unless it is a floating-point dtype.
    pub ulp: u64,
    /// The cosine of the angle between the two as vectors; 1 when both are zero.
    pub cosine: f64,
    /// How many elements found are not numbers, and how many are expected not to be.
    pub nan: (usize, usize),
    /// How many elements found are infinite, and how many are expected to be.
    pub infinite: (usize, usize),
    /// How many elements are outside the tolerance.
    pub outside: usize,
    /// The first element that is outside, counted in row-major order.
    pub first_outside: Option<usize>,
}

impl Comparison {
    /// Whether every element is within the tolerance.
    pub fn passes(&self) -> bool {
        self.outside == 0
    }

    fn new(elements: usize) -> Self {
        Self {
            elements,
            max_abs: 0.0,
            relative: 0.0,
            ulp: 0,
            cosine: 1.0,
            nan: (0, 0),
            infinite: (0, 0),
            outside: 0,
            first_outside: None,
        }
    }

    fn outside(&mut self, index: usize) {
        self.outside += 1;
        self.first_outside.get_or_insert(index);
    }
}

/// Why two tensors cannot be compared.
///
/// ```
/// use anemone::device::compare::{Tolerance, compare};
/// use anemone::types::{DType, Tensor};
/// let [a, b] = [[2, 3], [3, 2]].map(|shape| Tensor::zeros(DType::Fp16, &shape).unwrap());
/// assert!(compare(&a, &b, Tolerance::FP16).unwrap_err().to_string().contains("[2, 3]"));
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{found}` is found where `{expected}` is expected")]
pub struct Incomparable {
    /// The type that was found.
    pub found: Box<TensorType>,
    /// The type that is expected.
    pub expected: Box<TensorType>,
}

/// Compares what was found with what is expected. The dtypes may differ: numbers are compared by value.
///
/// ```
/// use anemone::device::compare::{Tolerance, compare};
/// use anemone::types::{DType, Tensor};
/// let expected = Tensor::from_f64s(DType::Fp16, &[3], &[1.0, -2.0, 4.0])?;
/// let found = Tensor::from_f64s(DType::Fp16, &[3], &[1.0, -2.0, 4.5])?;
/// assert!(compare(&expected, &expected, Tolerance::FP16)?.passes());
/// assert!(!compare(&found, &expected, Tolerance::FP16)?.passes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Incomparable`] when the shapes differ, or when one holds strings and the other numbers.
pub fn compare(found: &Tensor, expected: &Tensor, tolerance: Tolerance) -> Result<Comparison, Incomparable> {
    if found.shape() != expected.shape() {
        return Err(Incomparable { found: found.ty().into(), expected: expected.ty().into() });
    }
    match (found.as_strings(), expected.as_strings()) {
        (Some(a), Some(b)) => Ok(equal(a, b)),
        (None, None) if found.dtype().is_float() || expected.dtype().is_float() => {
            let exact = !found.dtype().is_float();
            let tolerance = if exact { Tolerance { relative: 0.0, absolute: 0.0 } } else { tolerance };
            Ok(numbers(found.dtype(), &found.to_f64s(), &expected.to_f64s(), tolerance))
        }
        (None, None) => {
            let (a, b) = (found.to_i64s(), expected.to_i64s());
            // A uint64 above the range of i64 shows as negative, and differs in sign from what it is not.
            let mut c = equal(&a, &b);
            let as_f64 = |v: &[i64]| v.iter().map(|&v| v as f64).collect::<Vec<_>>();
            let measured = numbers(found.dtype(), &as_f64(&a), &as_f64(&b), Tolerance::FP32);
            (c.max_abs, c.relative, c.cosine) = (measured.max_abs, measured.relative, measured.cosine);
            Ok(c)
        }
        _ => Err(Incomparable { found: found.ty().into(), expected: expected.ty().into() }),
    }
}

/// The position of an element in a tensor of this shape.
///
/// ```
/// assert_eq!(anemone::device::compare::position(&[2, 3, 4], 17), [1, 1, 1]);
/// ```
pub fn position(shape: &[usize], mut index: usize) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    for (a, &extent) in at.iter_mut().zip(shape).rev() {
        *a = index % extent.max(1);
        index /= extent.max(1);
    }
    at
}

fn equal<T: PartialEq>(found: &[T], expected: &[T]) -> Comparison {
    let mut c = Comparison::new(found.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        if a != b {
            c.outside(i);
        }
    }
    c
}

fn numbers(dtype: DType, found: &[f64], expected: &[f64], tolerance: Tolerance) -> Comparison {
    let mut c = Comparison::new(found.len());
    let largest = expected.iter().filter(|v| v.is_finite()).fold(0.0f64, |m, v| m.max(v.abs()));
    let allowed = tolerance.absolute + tolerance.relative * largest;
    let (mut dot, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (i, (&a, &b)) in found.iter().zip(expected).enumerate() {
        c.nan.0 += usize::from(a.is_nan());
        c.nan.1 += usize::from(b.is_nan());
        c.infinite.0 += usize::from(a.is_infinite());
        c.infinite.1 += usize::from(b.is_infinite());
        if !a.is_finite() || !b.is_finite() {
            if a != b && !(a.is_nan() && b.is_nan()) {
                c.outside(i);
            }
            continue;
        }
        let d = (a - b).abs();
        c.max_abs = c.max_abs.max(d);
        c.ulp = c.ulp.max(ordinal(dtype, a).abs_diff(ordinal(dtype, b)));
        dot += a * b;
        aa += a * a;
        bb += b * b;
        if d > allowed {
            c.outside(i);
        }
    }
    if c.max_abs > 0.0 {
        c.relative = c.max_abs / largest;
        c.cosine = if aa > 0.0 && bb > 0.0 { dot / (aa.sqrt() * bb.sqrt()) } else { 0.0 };
    }
    c
}

/// Why a result is not what an op means.
///
/// ```
/// use anemone::device::compare::{Disagreement, agree};
/// use anemone::{mil::op::Tolerance, types::{DType, Tensor}};
/// let [one, two] = [1.0, 2.0].map(|number| Tensor::scalar(DType::Int32, number));
/// let wrong = agree(&two, &one, Tolerance::Exact).unwrap_err();
/// assert!(matches!(wrong, Disagreement::Element { .. }), "{wrong}");
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Disagreement {
    /// The two have other types.
    #[error(transparent)]
    Types(#[from] Incomparable),
    /// An element is too far away.
    #[error("{found} is found at {position:?} where {expected} is expected: more than {allowed} away")]
    Element {
        /// Where it is.
        position: Vec<usize>,
        /// What was found.
        found: String,
        /// What is expected.
        expected: String,
        /// How far away it may be.
        allowed: f64,
    },
}

/// Whether the result of an op is within the op's tolerance of what it means, which is what an engine promises.
///
/// Strings, bools and whole numbers must be equal whatever the tolerance. Not-a-number must meet not-a-number. With
/// [`Exact`](op::Tolerance::Exact) the sign of a zero counts too. Else an infinity stands where the next number of the
/// dtype would, so that a sum near the largest number may be rounded either way; and results below the normal numbers
/// may differ by units of their last place.
///
/// ```
/// use anemone::device::compare::agree;
/// use anemone::mil::op::Tolerance;
/// use anemone::types::{DType, Tensor};
/// let one = Tensor::scalar(DType::Fp16, 1.0);
/// let next = Tensor::scalar(DType::Fp16, 1.0 + 2f64.powi(-10));
/// assert!(agree(&next, &one, Tolerance::Ulp(1)).is_ok());
/// assert!(agree(&next, &one, Tolerance::Exact).is_err());
/// ```
///
/// # Errors
///
/// The first [`Disagreement`].
pub fn agree(found: &Tensor, expected: &Tensor, tolerance: op::Tolerance) -> Result<(), Disagreement> {
    let dtype = expected.dtype();
    if found.dtype() != dtype || found.shape() != expected.shape() {
        return Err(Incomparable { found: found.ty().into(), expected: expected.ty().into() }.into());
    }
    if found.same_bits(expected) {
        return Ok(());
    }
    let wrong = |index: usize, found: &dyn std::fmt::Debug, wanted: &dyn std::fmt::Debug, allowed: f64| {
        let position = position(expected.shape(), index);
        Err(Disagreement::Element {
            position,
            found: format!("{found:?}"),
            expected: format!("{wanted:?}"),
            allowed,
        })
    };
    if let (Some(found), Some(expected)) = (found.as_strings(), expected.as_strings()) {
        let differs = found.iter().zip(expected).enumerate().find(|(_, (f, e))| f != e);
        return differs.map_or(Ok(()), |(i, (f, e))| wrong(i, f, e, 0.0));
    }
    let Some(form) = Form::of(dtype) else {
        let (found, expected) = (found.to_i64s(), expected.to_i64s());
        let differs = found.iter().zip(&expected).enumerate().find(|(_, (f, e))| f != e);
        return differs.map_or(Ok(()), |(i, (f, e))| wrong(i, f, e, 0.0));
    };
    let (found, wanted) = (found.to_f64s(), expected.to_f64s());
    let largest = wanted.iter().filter(|v| v.is_finite()).fold(0.0f64, |m, v| m.max(v.abs()));
    for (i, (&f, &e)) in found.iter().zip(&wanted).enumerate() {
        if f.is_nan() && e.is_nan() {
            continue;
        }
        let (a, b) = (form.finite(f), form.finite(e));
        let allowed = match tolerance {
            op::Tolerance::Exact if f == e && f.is_sign_negative() == e.is_sign_negative() => continue,
            op::Tolerance::Exact => return wrong(i, &f, &e, 0.0),
            op::Tolerance::Ulp(n) => f64::from(n) * form.unit(b),
            op::Tolerance::Sum(n) => {
                f64::from(n) * form.epsilon() * largest.max(b.abs()).max(2f64.powi(form.lowest))
            }
        };
        if f != e && ((a - b).abs() > allowed || f.is_nan() || e.is_nan()) {
            return wrong(i, &f, &e, allowed);
        }
    }
    Ok(())
}

/// The form of a floating-point dtype.
struct Form {
    /// The bits of the significand that are stored.
    digits: i32,
    /// The exponent of the smallest normal number.
    lowest: i32,
    /// The exponent of the largest number.
    highest: i32,
}

impl Form {
    fn of(dtype: DType) -> Option<Self> {
        let (digits, lowest, highest) = match dtype {
            DType::Fp16 => (10, -14, 15),
            DType::Bf16 => (7, -126, 127),
            DType::Fp32 => (23, -126, 127),
            DType::Fp64 => (52, -1022, 1023),
            DType::Fp8E4M3FN => (3, -6, 8),
            DType::Fp8E5M2 => (2, -14, 15),
            _ => return None,
        };
        Some(Self { digits, lowest, highest })
    }

    fn epsilon(&self) -> f64 {
        2f64.powi(-self.digits)
    }

    /// The unit in the last place of a number.
    fn unit(&self, value: f64) -> f64 {
        let exponent = (value.abs().to_bits() >> 52) as i32 - 1023;
        2f64.powi(exponent.max(self.lowest) - self.digits)
    }

    /// The number, or for an infinity the one that would follow the largest.
    fn finite(&self, value: f64) -> f64 {
        if value.is_infinite() { 2f64.powi(self.highest + 1).copysign(value) } else { value }
    }
}

/// The place of a number among all numbers of its dtype, in order; both zeros have the place 0.
fn ordinal(dtype: DType, value: f64) -> i64 {
    let signed =
        |magnitude: u64| if value.is_sign_negative() { -(magnitude as i64) } else { magnitude as i64 };
    match dtype {
        DType::Fp16 => signed(u64::from(f16::from_f64(value).to_bits() & 0x7fff)),
        DType::Bf16 => signed(u64::from(bf16::from_f64(value).to_bits() & 0x7fff)),
        DType::Fp32 => signed(u64::from((value as f32).to_bits() & 0x7fff_ffff)),
        DType::Fp64 => signed(value.to_bits() & (u64::MAX >> 1)),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f32s(v: &[f32]) -> Tensor {
        Tensor::from_slice(&[v.len()], v).unwrap()
    }

    #[test]
    fn the_tolerance_is_relative_to_the_largest_magnitude() {
        let expected = f32s(&[0.001, 100.0]);
        let near = compare(&f32s(&[0.1, 100.0]), &expected, Tolerance::FP16).unwrap();
        assert!(near.passes());
        assert!((near.relative - 0.000_99).abs() < 1e-8, "{near:?}");
        let far = compare(&f32s(&[0.001, 100.3]), &expected, Tolerance::FP16).unwrap();
        assert_eq!((far.outside, far.first_outside), (1, Some(1)));
    }

    #[test]
    fn what_is_not_finite_must_be_the_same() {
        let expected = f32s(&[f32::NAN, f32::INFINITY, 1.0, f32::NEG_INFINITY]);
        assert!(compare(&expected, &expected, Tolerance::FP32).unwrap().passes());
        let c =
            compare(&f32s(&[f32::NAN, f32::INFINITY, f32::NAN, f32::INFINITY]), &expected, Tolerance::FP32);
        let c = c.unwrap();
        assert_eq!((c.nan, c.infinite, c.outside, c.first_outside), ((2, 1), (2, 2), 2, Some(2)));
    }

    #[test]
    fn whole_numbers_are_exact_whatever_dtype_is_expected() {
        let found = Tensor::from_slice(&[2], &[3i32, 1000]).unwrap();
        assert!(compare(&found, &f32s(&[3.0, 1000.0]), Tolerance::FP16).unwrap().passes());
        assert!(!compare(&found, &f32s(&[3.0, 1001.0]), Tolerance::FP16).unwrap().passes());
        let c = compare(&found, &Tensor::from_slice(&[2], &[3i64, 1001]).unwrap(), Tolerance::FP16).unwrap();
        assert_eq!((c.max_abs, c.outside), (1.0, 1));
    }

    #[test]
    fn strings_are_equal_or_not() {
        let of = |s: &str| Tensor::string(s);
        assert!(compare(&of("cat"), &of("cat"), Tolerance::FP16).unwrap().passes());
        assert!(!compare(&of("cat"), &of("dog"), Tolerance::FP16).unwrap().passes());
        assert!(compare(&of("cat"), &Tensor::scalar(DType::Fp32, 1.0), Tolerance::FP16).is_err());
    }

    #[track_caller]
    fn check_agree(tolerance: op::Tolerance, found: f64, expected: f64, agrees: bool) {
        let of = |v: f64| Tensor::from_f64s(DType::Fp16, &[2], &[1.0, v]).unwrap();
        let result = agree(&of(found), &of(expected), tolerance);
        assert_eq!(result.is_ok(), agrees, "{found} for {expected}: {result:?}");
    }

    #[test]
    fn an_op_is_within_its_tolerance_or_not() {
        use op::Tolerance::{Exact, Sum, Ulp};
        const INF: f64 = f64::INFINITY;
        for tolerance in [Exact, Ulp(1), Sum(1)] {
            check_agree(tolerance, f64::NAN, f64::NAN, true);
            check_agree(tolerance, f64::NAN, 1.0, false);
            check_agree(tolerance, INF, f64::NAN, false);
            check_agree(tolerance, INF, INF, true);
            check_agree(tolerance, -INF, INF, false);
            check_agree(tolerance, 100.0, INF, false);
        }
        check_agree(Exact, 0.0, -0.0, false);
        check_agree(Ulp(1), 0.0, -0.0, true);
        check_agree(Ulp(1), 65504.0, INF, true);
        check_agree(Exact, 65504.0, INF, false);
        check_agree(Ulp(1), 2f64.powi(-24), 0.0, true);
        check_agree(Ulp(1), 2f64.powi(-23), 0.0, false);
        check_agree(Ulp(2), 3.0, 3.0 + 2f64.powi(-8), true);
        check_agree(Ulp(1), 3.0, 3.0 + 2f64.powi(-8), false);
        // Relative to the 1 beside it.
        check_agree(Sum(1), 0.0, 2f64.powi(-10), true);
        check_agree(Sum(1), 0.0, 2f64.powi(-9), false);
        let (a, b) = (Tensor::scalar(DType::Int32, 1.0), Tensor::scalar(DType::Int32, 2.0));
        assert!(agree(&a, &b, Sum(8)).is_err());
        assert!(agree(&a, &Tensor::scalar(DType::Fp32, 1.0), Sum(8)).is_err());
        assert!(agree(&Tensor::string("a"), &Tensor::string("a"), Exact).is_ok());
        assert!(agree(&Tensor::string("a"), &Tensor::string("b"), Sum(8)).is_err());
    }

    #[test]
    fn units_in_the_last_place_cross_zero() {
        let tiny = f32::from_bits(1);
        let c = compare(&f32s(&[tiny]), &f32s(&[-tiny]), Tolerance::FP32).unwrap();
        assert_eq!(c.ulp, 2);
        assert_eq!(compare(&f32s(&[0.0]), &f32s(&[-0.0]), Tolerance::FP32).unwrap().ulp, 0);
    }

    #[test]
    fn empty_tensors_are_equal() {
        let empty = Tensor::zeros(DType::Fp16, &[2, 0]).unwrap();
        let c = compare(&empty, &empty, Tolerance::FP16).unwrap();
        assert!(c.passes() && c.cosine == 1.0);
        assert!(compare(&empty, &Tensor::zeros(DType::Fp16, &[0, 2]).unwrap(), Tolerance::FP16).is_err());
    }

    #[test]
    fn positions_are_row_major() {
        assert_eq!(position(&[2, 3, 4], 23), [1, 2, 3]);
        assert_eq!(position(&[], 0), [0usize; 0]);
    }
}
