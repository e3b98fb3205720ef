//! Ranges of numbers, and arithmetic on them.

use std::str::FromStr;

use crate::types::{DType, Tensor};

/// Between which numbers all elements of a value lie.
///
/// ```
/// use anemone::range::Range;
/// let pixels: Range = "0:255".parse()?;
/// assert!(pixels.contains(255.0) && !pixels.contains(-1.0) && !pixels.contains(f64::NAN));
/// assert_eq!(pixels.or(Range::point(-3.0)).to_string(), "[-3, 255]");
/// assert_eq!((Range::new(-3.0, 2.0).largest(), Range::UNKNOWN.is_bounded()), (3.0, false));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// No element is less; it may be infinite.
    pub lo: f64,
    /// No element is larger; it may be infinite.
    pub hi: f64,
    /// Whether elements may be NaN.
    pub nan: bool,
}

impl Range {
    /// Nothing is known.
    pub const UNKNOWN: Range = Range { lo: f64::NEG_INFINITY, hi: f64::INFINITY, nan: true };

    /// From the smaller of two numbers to the larger one.
    pub fn new(a: f64, b: f64) -> Self {
        if a.is_nan() || b.is_nan() { Self::UNKNOWN } else { Self { lo: a.min(b), hi: a.max(b), nan: false } }
    }

    /// One number.
    pub fn point(x: f64) -> Self {
        Self::new(x, x)
    }

    /// What the elements of a tensor span; of an empty one, 0.
    ///
    /// ```
    /// use anemone::{range::Range, types::Tensor};
    /// let x = Tensor::from_slice(&[3], &[1.0f32, -2.0, f32::NAN])?;
    /// assert_eq!(Range::of(&x), Range { lo: -2.0, hi: 1.0, nan: true });
    /// # Ok::<(), anemone::types::TensorError>(())
    /// ```
    pub fn of(tensor: &Tensor) -> Self {
        if tensor.as_strings().is_some() {
            return Self::UNKNOWN;
        }
        Self::spanning(tensor.to_f64s())
    }

    /// What numbers span; 0 if there are none.
    pub(super) fn spanning(numbers: impl IntoIterator<Item = f64>) -> Self {
        let (mut lo, mut hi, mut nan) = (f64::INFINITY, f64::NEG_INFINITY, false);
        for x in numbers {
            nan |= x.is_nan();
            lo = lo.min(x);
            hi = hi.max(x);
        }
        match lo <= hi {
            true => Self { lo, hi, nan },
            false if nan => Self::UNKNOWN,
            false => Self::point(0.0),
        }
    }

    /// Every finite number of a dtype.
    ///
    /// ```
    /// use anemone::{range::Range, types::DType};
    /// assert_eq!(Range::of_dtype(DType::Fp16), Range::new(-65504.0, 65504.0));
    /// assert_eq!(Range::of_dtype(DType::UInt8), Range::new(0.0, 255.0));
    /// ```
    pub fn of_dtype(dtype: DType) -> Self {
        let most = match dtype {
            DType::Fp16 => 65504.0,
            DType::Fp32 => f64::from(f32::MAX),
            DType::Bf16 => half::bf16::MAX.to_f64(),
            DType::Fp64 => f64::MAX,
            DType::Fp8E4M3FN => 448.0,
            DType::Fp8E5M2 => 57344.0,
            DType::String => return Self::UNKNOWN,
            _ => {
                let (lo, hi) = dtype.int_range();
                return Self::new(lo as f64, hi as f64);
            }
        };
        Self::new(-most, most)
    }

    /// Whether a number lies within.
    pub fn contains(&self, x: f64) -> bool {
        if x.is_nan() { self.nan } else { self.lo <= x && x <= self.hi }
    }

    /// What either spans.
    #[must_use]
    pub fn or(self, other: Range) -> Range {
        Range { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi), nan: self.nan || other.nan }
    }

    /// The largest magnitude.
    pub fn largest(&self) -> f64 {
        self.lo.abs().max(self.hi.abs())
    }

    /// Whether both ends are finite, and no element is NaN.
    pub fn is_bounded(&self) -> bool {
        self.lo.is_finite() && self.hi.is_finite() && !self.nan
    }

    /// Whether an element may be infinite.
    pub(super) fn may_be_infinite(&self) -> bool {
        self.lo == f64::NEG_INFINITY || self.hi == f64::INFINITY
    }

    /// What lies in both, where this one is known to hold as far as NaN goes.
    pub(super) fn within(self, other: Range) -> Range {
        let (lo, hi) = (self.lo.max(other.lo), self.hi.min(other.hi));
        if lo <= hi { Range { lo, hi, nan: self.nan } } else { self }
    }

    /// So much wider at both ends.
    pub(super) fn wider(self, by: f64) -> Range {
        let by = if by.is_nan() { f64::INFINITY } else { by };
        Range { lo: self.lo - by, hi: self.hi + by, nan: self.nan }
    }

    /// With what is given where an end is NaN, as the difference of infinities is.
    fn sound(lo: f64, hi: f64, nan: bool) -> Range {
        let nan = nan || lo.is_nan() || hi.is_nan();
        let lo = if lo.is_nan() { f64::NEG_INFINITY } else { lo };
        Range { lo, hi: if hi.is_nan() { f64::INFINITY } else { hi }, nan }
    }

    pub(super) fn plus(self, other: Range) -> Range {
        let opposite = |a: Range, b: Range| a.hi == f64::INFINITY && b.lo == f64::NEG_INFINITY;
        let nan = self.nan || other.nan || opposite(self, other) || opposite(other, self);
        Self::sound(self.lo + other.lo, self.hi + other.hi, nan)
    }

    pub(super) fn minus(self, other: Range) -> Range {
        self.plus(other.negated())
    }

    pub(super) fn negated(self) -> Range {
        Range { lo: -self.hi, hi: -self.lo, nan: self.nan }
    }

    pub(super) fn times(self, other: Range) -> Range {
        let zero = |r: &Range| r.lo <= 0.0 && r.hi >= 0.0;
        let undefined = self.may_be_infinite() && zero(&other) || other.may_be_infinite() && zero(&self);
        // What may be infinite is as large as one likes: its product with 0 is 0, or not a number.
        let product = |a: f64, b: f64| if a == 0.0 || b == 0.0 { 0.0 } else { a * b };
        let ends = [
            product(self.lo, other.lo),
            product(self.lo, other.hi),
            product(self.hi, other.lo),
            product(self.hi, other.hi),
        ];
        let all = Self::spanning(ends);
        Range { nan: self.nan || other.nan || undefined, ..all }
    }

    /// So many of this kind, added up.
    pub(super) fn repeated(self, count: f64) -> Range {
        self.times(Range::point(count))
    }

    pub(super) fn over(self, other: Range) -> Range {
        if other.lo <= 0.0 && other.hi >= 0.0 {
            return Range::UNKNOWN;
        }
        // Both may be infinite.
        let nan = self.may_be_infinite() && other.may_be_infinite();
        let inverse = Range { lo: 1.0 / other.hi, hi: 1.0 / other.lo, nan: other.nan };
        let quotient = self.times(inverse);
        Range { nan: quotient.nan || nan, ..quotient }
    }

    pub(super) fn max(self, other: Range) -> Range {
        Range { lo: self.lo.max(other.lo), hi: self.hi.max(other.hi), nan: self.nan || other.nan }
    }

    pub(super) fn min(self, other: Range) -> Range {
        Range { lo: self.lo.min(other.lo), hi: self.hi.min(other.hi), nan: self.nan || other.nan }
    }

    pub(super) fn magnitude(self) -> Range {
        let lo = if self.lo <= 0.0 && self.hi >= 0.0 { 0.0 } else { self.lo.abs().min(self.hi.abs()) };
        Range { lo, hi: self.largest(), nan: self.nan }
    }

    pub(super) fn squared(self) -> Range {
        let Range { lo, hi, nan } = self.magnitude();
        Range { lo: lo * lo, hi: hi * hi, nan }
    }

    /// Both ends put through a function that does not fall.
    pub(super) fn map(self, f: impl Fn(f64) -> f64) -> Range {
        Self::sound(f(self.lo), f(self.hi), self.nan)
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}, {}]", self.lo, self.hi)?;
        f.write_str(if self.nan { " or NaN" } else { "" })
    }
}

impl FromStr for Range {
    type Err = String;

    /// Two numbers with a colon between them, the smaller one first.
    fn from_str(text: &str) -> Result<Self, String> {
        let ends = text
            .split_once(':')
            .and_then(|(lo, hi)| Some((lo.trim().parse().ok()?, hi.trim().parse().ok()?)));
        match ends {
            Some((lo, hi)) if lo <= hi => Ok(Range { lo, hi, nan: false }),
            _ => Err(format!("`{text}` is no range: give two numbers as LOW:HIGH")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;

    #[test]
    fn arithmetic_holds_all_results() {
        let r = |lo, hi| Range { lo, hi, nan: false };
        let rows = [
            (r(-1.0, 2.0).plus(r(3.0, 4.0)), r(2.0, 6.0)),
            (r(-1.0, 2.0).minus(r(3.0, 4.0)), r(-5.0, -1.0)),
            (r(-1.0, 2.0).times(r(-3.0, 4.0)), r(-6.0, 8.0)),
            (r(1.0, 2.0).over(r(-4.0, -2.0)), r(-1.0, -0.25)),
            (r(-3.0, 2.0).squared(), r(0.0, 9.0)),
            (r(2.0, 3.0).squared(), r(4.0, 9.0)),
            (r(-3.0, -2.0).magnitude(), r(2.0, 3.0)),
            (r(-1.0, INF).times(r(1.0, 2.0)), r(-2.0, INF)),
            (r(-1.0, INF).times(r(0.0, 2.0)), Range { nan: true, ..r(-2.0, INF) }),
            (r(0.0, INF).minus(r(0.0, INF)), Range { nan: true, ..r(-INF, INF) }),
            (r(1.0, 2.0).over(r(0.0, 1.0)), Range::UNKNOWN),
            (r(0.0, 2.0).within(r(1.0, 5.0)), r(1.0, 2.0)),
        ];
        for (found, expected) in rows {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn ranges_are_read() {
        assert_eq!("-1e3: inf".parse(), Ok(Range { lo: -1000.0, hi: INF, nan: false }));
        for wrong in ["", "1", "2:1", "a:b", "nan:1", "0:nan"] {
            assert!(wrong.parse::<Range>().is_err(), "{wrong}");
        }
    }
}
