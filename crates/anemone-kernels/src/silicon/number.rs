//! Numbers as the engine reads and writes them.

use half::f16;

/// The value that the engine reads: exponent 31 is an exponent like any other, so that infinity is 65536 and a NaN a
/// number beyond it; −0 is 0. A NaN arrives quiet, since whoever hands it over converts it.
///
/// ```
/// use anemone_kernels::silicon::decode;
/// use half::f16;
/// assert_eq!([f16::ONE, f16::INFINITY, f16::NAN].map(decode), [1.0, 65536.0, 98304.0]);
/// ```
#[inline(always)]
pub fn decode(x: f16) -> f32 {
    let bits = u32::from(x.to_bits());
    let bits = if bits & 0x7fff > 0x7c00 { bits | 0x0200 } else { bits };
    // The exponent is read as one of single precision, which is 112 less.
    let scale = f32::from_bits((127 + 112) << 23);
    f32::from_bits((bits & 0x7fff) << 13 | (bits & 0x8000) << 16) * scale + 0.0
}

/// Rounds half away from zero, as the engine stores: subnormals are kept, what is too large is infinite, −0 is 0. A NaN,
/// which the engine does not have, becomes infinite.
///
/// ```
/// use anemone_kernels::silicon::store;
/// assert_eq!([2049.0, -2049.0, 65519.0, 65520.0, -0.0].map(|x| store(x).to_f32()), [2050.0, -2050.0, 65504.0, f32::INFINITY, 0.0]);
/// ```
#[inline(always)]
pub fn store(x: f32) -> f16 {
    let bits = x.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    let normal = ((magnitude + 0x1000) >> 13).wrapping_sub(112 << 10).min(0x7c00);
    // In units of half the smallest half, of which the last decides.
    let small = ((f32::from_bits(magnitude.min(0x3880_0000)) * 33_554_432.0) as i32 as u32 + 1) >> 1;
    let found = if magnitude < 0x3880_0000 { small } else { normal };
    let sign = if found == 0 { 0 } else { bits >> 16 & 0x8000 };
    f16::from_bits((found | sign) as u16)
}

/// As [`store`], of a number of double precision, which is rounded once.
///
/// ```
/// use anemone_kernels::silicon::store_f64;
/// // Just below the middle of two halves.
/// assert_eq!(store_f64(2049.0 - 1e-12).to_f32(), 2048.0);
/// ```
#[inline(always)]
pub fn store_f64(x: f64) -> f16 {
    // Only the bit behind the last one that is kept decides, so that what lies further behind can be cut off.
    let cut = f64::from_bits(x.to_bits() & !0x1fff_ffff);
    store(cut as f32)
}

/// Sums and products are in units of this many to one.
pub(super) const UNITS: f64 = 65536.0;

/// The least magnitude of a sum that is infinite, in units.
pub(super) const LIMIT: i64 = 1 << 31;

/// What stands for an infinite sum: a number that no finite one reaches.
pub(super) const INFINITE: i64 = 1 << 60;

/// The bias at which a sum starts.
#[inline(always)]
pub(super) fn on_grid(x: f32) -> i64 {
    let scaled = f64::from(x) * UNITS;
    (scaled + 0.5f64.copysign(scaled)) as i64
}

/// A sum, rounded half away from zero.
#[inline(always)]
pub(super) fn store_sum(sum: i64) -> f16 {
    let magnitude = sum.unsigned_abs();
    let bits = if magnitude >= LIMIT as u64 {
        0x7c00
    } else {
        // As for double precision: what lies behind the bit that decides can be cut off.
        let magnitude = magnitude as i32;
        let cut = if magnitude >= 1 << 24 { magnitude & !0xff } else { magnitude };
        let rounded = ((cut as f32).to_bits() + 0x1000) & !0x1fff;
        f16::from_f32(f32::from_bits(rounded) * (1.0 / 65536.0)).to_bits()
    };
    f16::from_bits(if sum < 0 { bits | 0x8000 } else { bits })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The nearest half of a number, of two equally near the one further from zero: found by search.
    fn plain(x: f64) -> u16 {
        let magnitude = x.abs();
        let value = |bits: u16| if bits == 0x7c00 { 65536.0 } else { f64::from(f16::from_bits(bits)) };
        let (mut low, mut high) = (0u16, 0x7c00u16);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            // Whether the number is at least in the middle between this half and the one before.
            if magnitude >= (value(middle) + value(middle - 1)) / 2.0 {
                low = middle
            } else {
                high = middle - 1
            }
        }
        if low == 0 || x > 0.0 { low } else { low | 0x8000 }
    }

    #[test]
    fn numbers_are_rounded_half_away() {
        for bits in 0..=u16::MAX {
            let half = f16::from_bits(bits);
            let value = decode(half);
            let expected = match bits {
                0x8000 => 0,
                _ if bits & 0x7c00 == 0x7c00 => 0x7c00 | bits & 0x8000,
                _ => bits,
            };
            assert_eq!(store(value).to_bits(), expected, "{bits:#06x}");
            if bits & 0x7fff >= 0x7bff {
                continue;
            }
            let next = decode(f16::from_bits(bits + 1));
            let middle = (f64::from(value) + f64::from(next)) / 2.0;
            let near = middle.abs().max(1e-9) * 1e-7;
            for x in [middle, middle - near, middle + near, middle * (1.0 - 1e-15), middle * (1.0 + 1e-15)] {
                assert_eq!(store_f64(x).to_bits(), plain(x), "{x}");
                assert_eq!(store(x as f32).to_bits(), plain(f64::from(x as f32)), "{x}");
            }
        }
        assert_eq!([f32::NAN, f32::INFINITY].map(store), [f16::INFINITY; 2]);
    }

    #[test]
    fn sums_are_rounded_half_away() {
        let mut sum = 1i64;
        while sum < LIMIT {
            for near in [-3, -2, -1, 0, 1, 2, 3] {
                let sum = sum + near;
                assert_eq!(store_sum(sum).to_bits(), plain(sum as f64 / UNITS), "{sum}");
                assert_eq!(store_sum(-sum).to_bits(), plain(-sum as f64 / UNITS), "-{sum}");
            }
            sum = sum * 17 / 16 + 5;
        }
        assert_eq!(store_sum(LIMIT - 1).to_f32(), 32768.0);
        assert_eq!([LIMIT, INFINITE].map(store_sum), [f16::INFINITY; 2]);
        assert_eq!(store_sum(-LIMIT), f16::NEG_INFINITY);
    }
}
