//! The element-wise unit, and functions of one number.

use half::f16;

use super::number::{decode, store, store_f64};
use crate::simd::{self, Kernel, Simd};
use crate::threads::parallel_chunks;

/// `x + y`: exact, and rounded once.
///
/// ```
/// use anemone_kernels::silicon::add;
/// use half::f16;
/// assert_eq!(add(f16::from_f32(2048.0), f16::ONE).to_f32(), 2050.0);
/// assert_eq!(add(f16::INFINITY, f16::NEG_INFINITY), f16::ZERO);
/// ```
#[inline]
pub fn add(x: f16, y: f16) -> f16 {
    store_f64(f64::from(decode(x)) + f64::from(decode(y)))
}

/// `x - y`: exact, and rounded once.
///
/// ```
/// use anemone_kernels::silicon::subtract;
/// use half::f16;
/// assert_eq!(subtract(f16::INFINITY, f16::INFINITY), f16::ZERO);
/// ```
#[inline]
pub fn subtract(x: f16, y: f16) -> f16 {
    store_f64(f64::from(decode(x)) - f64::from(decode(y)))
}

/// `x · y`: exact, and rounded once.
///
/// ```
/// use anemone_kernels::silicon::multiply;
/// use half::f16;
/// assert_eq!(multiply(f16::ZERO, f16::INFINITY), f16::ZERO);
/// ```
#[inline]
pub fn multiply(x: f16, y: f16) -> f16 {
    // A product of two halves is exact in single precision.
    store(decode(x) * decode(y))
}

/// The larger of two numbers.
///
/// ```
/// use anemone_kernels::silicon::maximum;
/// use half::f16;
/// assert_eq!(maximum(f16::NAN, f16::ONE), f16::INFINITY, "a NaN is read as a large number");
/// ```
#[inline]
pub fn maximum(x: f16, y: f16) -> f16 {
    store(decode(x).max(decode(y)))
}

/// The smaller of two numbers.
///
/// ```
/// use anemone_kernels::silicon::minimum;
/// use half::f16;
/// assert_eq!(minimum(f16::NAN, f16::ONE), f16::ONE);
/// ```
#[inline]
pub fn minimum(x: f16, y: f16) -> f16 {
    store(decode(x).min(decode(y)))
}

/// Reads numbers as the engine does.
///
/// ```
/// use anemone_kernels::silicon::decode_all;
/// let mut read = [0.0];
/// decode_all(&mut read, &[half::f16::INFINITY]);
/// assert_eq!(read, [65536.0]);
/// ```
///
/// # Panics
///
/// When the slices have different lengths.
pub fn decode_all(to: &mut [f32], from: &[f16]) {
    assert_eq!(to.len(), from.len(), "each number is read once");
    simd::dispatch(DecodeAll { to, from });
}

struct DecodeAll<'a> {
    to: &'a mut [f32],
    from: &'a [f16],
}

impl Kernel for DecodeAll<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (to, &from) in self.to.iter_mut().zip(self.from) {
            *to = decode(from);
        }
    }
}

/// Rounds numbers as the engine does.
///
/// ```
/// use anemone_kernels::silicon::store_all;
/// let mut stored = [half::f16::ZERO];
/// store_all(&mut stored, &[2049.0]);
/// assert_eq!(stored[0].to_f32(), 2050.0);
/// ```
///
/// # Panics
///
/// When the slices have different lengths.
pub fn store_all(to: &mut [f16], from: &[f32]) {
    assert_eq!(to.len(), from.len(), "each number is rounded once");
    simd::dispatch(StoreAll { to, from });
}

struct StoreAll<'a> {
    to: &'a mut [f16],
    from: &'a [f32],
}

impl Kernel for StoreAll<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (to, &from) in self.to.iter_mut().zip(self.from) {
            *to = store(from);
        }
    }
}

/// A function of one number, computed of all numbers.
///
/// ```
/// use anemone_kernels::silicon::Lookup;
/// use half::f16;
/// let double = Lookup::of(|x| f16::from_f32(2.0 * x.to_f32()));
/// let mut y = [f16::ZERO; 2];
/// double.apply(1, &mut y, &[f16::ONE, f16::NEG_ONE]);
/// assert_eq!(y.map(f16::to_f32), [2.0, -2.0]);
/// assert_eq!(double.at(f16::from_f32(3.0)).to_f32(), 6.0);
/// ```
#[derive(Clone, Debug)]
pub struct Lookup(Box<[f16]>);

impl Lookup {
    /// The results of a function.
    pub fn of(f: impl FnMut(f16) -> f16) -> Self {
        Self((0..=u16::MAX).map(f16::from_bits).map(f).collect())
    }

    /// The result for one number.
    pub fn at(&self, x: f16) -> f16 {
        self.0[usize::from(x.to_bits())]
    }

    /// Writes the result for each number.
    ///
    /// # Panics
    ///
    /// When the slices have different lengths.
    pub fn apply(&self, threads: usize, y: &mut [f16], x: &[f16]) {
        assert_eq!(x.len(), y.len(), "there is a result for each number");
        const CHUNK: usize = 1 << 14;
        parallel_chunks(threads, y, CHUNK, 1, |chunk, y| {
            for (y, &x) in y.iter_mut().zip(&x[chunk * CHUNK..]) {
                *y = self.at(x);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_rounded_once() {
        // 1 + 2⁻¹¹ − 2⁻²⁴ lies just below the middle of two halves: rounded to single precision it would be the middle.
        let (x, y) = (f16::ONE, f16::from_f32(2f32.powi(-11) - 2f32.powi(-22)));
        assert_eq!(add(x, y), f16::ONE);
        assert_eq!(subtract(x, f16::from_f32(-y.to_f32())), f16::ONE);
        assert_eq!(add(x, f16::from_f32(2f32.powi(-11))).to_bits(), 0x3c01);
    }

    #[test]
    fn lookups_give_what_the_function_gives() {
        let negate = Lookup::of(|x| f16::from_bits(x.to_bits() ^ 0x8000));
        let x: Vec<f16> = (0..40_000).map(f16::from_bits).collect();
        let mut y = vec![f16::ZERO; x.len()];
        negate.apply(4, &mut y, &x);
        assert!(x.iter().zip(&y).all(|(x, y)| x.to_bits() ^ 0x8000 == y.to_bits()));
    }
}
