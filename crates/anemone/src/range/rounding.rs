//! Rounding: how far stored numbers may be from exact ones.

use anemone_kernels::silicon;

use super::interval::Range;
use crate::mil::op::Tolerance;
use crate::types::{DType, f16};

/// What a chip stores of numbers in a range: halves, rounded away from zero.
pub(super) fn stored(range: Range) -> Range {
    let (lo, hi) = (range.lo as f32, range.hi as f32);
    let lo = if f64::from(lo) > range.lo { lo.next_down() } else { lo };
    let hi = if f64::from(hi) < range.hi { hi.next_up() } else { hi };
    let nan = range.lo.is_nan() || range.hi.is_nan();
    if nan {
        return Range { nan: false, ..Range::UNKNOWN };
    }
    Range { lo: silicon::store(lo).to_f64(), hi: silicon::store(hi).to_f64(), nan: false }
}

/// What a chip reads of halves in a range: infinities and NaN are numbers.
pub(super) fn read(range: Range) -> Range {
    let most = |nan: bool| if nan { 131_008.0 } else { 65536.0 };
    let limit = most(range.nan);
    match range.nan {
        true => Range::new(-limit, limit),
        false => Range { lo: range.lo.clamp(-limit, limit), hi: range.hi.clamp(-limit, limit), nan: false },
    }
}

/// The constants of a product, as a chip reads them.
pub(super) fn read_weights(weights: &[f64]) -> Vec<f64> {
    weights.iter().map(|&w| f64::from(silicon::decode(f16::from_f64(w)))).collect()
}

/// What is stored, where kernels may be so far from the meaning.
pub(super) fn tolerated(range: Range, dtype: DType, tolerance: Tolerance) -> Range {
    let (digits, lowest) = match dtype {
        DType::Fp16 => (10, -14),
        DType::Bf16 => (7, -126),
        DType::Fp8E4M3FN => (3, -6),
        DType::Fp8E5M2 => (2, -14),
        DType::Fp64 => (52, -1022),
        _ => (23, -126),
    };
    let unit = |x: f64| 2f64.powi(((x.abs().to_bits() >> 52) as i32 - 1023).clamp(lowest, 1023) - digits);
    let most = Range::of_dtype(dtype).hi;
    // An infinity stands where the next number would.
    let next = most + unit(most);
    let range = Range { lo: range.lo.clamp(-next, next), hi: range.hi.clamp(-next, next), nan: range.nan };
    let (below, above) = match tolerance {
        Tolerance::Exact => (0.0, 0.0),
        // A number may be rounded into the next power of two.
        Tolerance::Ulp(n) => (2.0 * f64::from(n) * unit(range.lo), 2.0 * f64::from(n) * unit(range.hi)),
        Tolerance::Sum(n) => {
            let by = f64::from(n) * 2f64.powi(-digits) * range.largest().max(2f64.powi(lowest));
            (by, by)
        }
    };
    let (lo, hi) = (range.lo - below, range.hi + above);
    let infinite = |x: f64| if x.abs() > most { f64::INFINITY.copysign(x) } else { x };
    Range { lo: infinite(lo), hi: infinite(hi), nan: range.nan }
}
