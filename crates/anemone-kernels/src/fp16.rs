//! Half-precision numbers as the bits that blobs and surfaces hold.
//!
//! Rounding is to nearest, ties to even; numbers from 65520 up become infinite; numbers below 2^-14 become
//! subnormal, not zero. A NaN stays a NaN: it becomes quiet and keeps its sign and the top bits of its payload.
//!
//! ```
//! use anemone_kernels::fp16;
//! let mut halves = [0; 2];
//! fp16::cast_f32_f16(&mut halves, &[1.0, 2049.0]); // of two equally near the even one
//! let mut wide = [0.0; 2];
//! fp16::cast_f16_f32(&mut wide, &halves);
//! assert_eq!(wide, [1.0, 2048.0]);
//! ```

use half::f16;

use crate::simd::{self, Kernel, Simd};

/// The bits of the half nearest to `value`.
///
/// ```
/// use anemone_kernels::fp16::f32_to_fp16;
/// assert_eq!(f32_to_fp16(1.0), 0x3c00);
/// assert_eq!(f32_to_fp16(65520.0), 0x7c00);
/// assert_eq!(f32_to_fp16(2f32.powi(-24)), 0x0001);
/// ```
pub fn f32_to_fp16(value: f32) -> u16 {
    f16::from_f32(value).to_bits()
}

/// The half of these bits, as `f32`; it is exact.
///
/// ```
/// use anemone_kernels::fp16::fp16_to_f32;
/// assert_eq!(fp16_to_f32(0x7bff), 65504.0);
/// assert_eq!(fp16_to_f32(0x8000).to_bits(), (-0.0f32).to_bits());
/// ```
pub fn fp16_to_f32(bits: u16) -> f32 {
    f16::from_bits(bits).to_f32()
}

/// Rounds every element of `from` to a half.
///
/// # Panics
///
/// When the slices have different lengths.
///
/// ```
/// use anemone_kernels::fp16::cast_f32_f16;
/// let mut halves = [0; 3];
/// cast_f32_f16(&mut halves, &[0.5, -2.0, f32::INFINITY]);
/// assert_eq!(halves, [0x3800, 0xc000, 0x7c00]);
/// ```
#[track_caller]
pub fn cast_f32_f16(to: &mut [u16], from: &[f32]) {
    assert_eq!(to.len(), from.len(), "a cast writes as many elements as it reads");
    simd::dispatch(Narrow { to: bytemuck::cast_slice_mut(to), from });
}

/// Widens every half of `from`.
///
/// # Panics
///
/// When the slices have different lengths.
///
/// ```
/// use anemone_kernels::fp16::cast_f16_f32;
/// let mut floats = [0.0; 2];
/// cast_f16_f32(&mut floats, &[0x3555, 0xfc00]);
/// assert_eq!(floats, [0.333251953125, f32::NEG_INFINITY]);
/// ```
#[track_caller]
pub fn cast_f16_f32(to: &mut [f32], from: &[u16]) {
    assert_eq!(to.len(), from.len(), "a cast writes as many elements as it reads");
    simd::dispatch(Widen { to, from: bytemuck::cast_slice(from) });
}

/// Results from so many bytes on are written past the caches, which would not hold them anyway.
const STREAMED: usize = 32 << 20;

/// How many pages of `from` are read in turn where there are more: the processor looks ahead within each, and not beyond it.
///
/// Then results also start at a border of 64 bytes: a vector that lies across one is written as two.
const PAGES: usize = 4;

/// How many elements of `to` lie before the first border of 64 bytes.
fn before_border<T>(to: &[T]) -> usize {
    (to.as_ptr().addr().wrapping_neg() % 64 / size_of::<T>()).min(to.len())
}

struct Narrow<'a> {
    to: &'a mut [f16],
    from: &'a [f32],
}

impl Kernel for Narrow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { mut to, mut from } = self;
        const PAGE: usize = 4096 / size_of::<f32>();
        if to.len() > PAGES * PAGE {
            let start = before_border(to);
            narrow(simd, &mut to[..start], &from[..start]);
            (to, from) = (&mut to[start..], &from[start..]);
            let past = size_of_val(to) >= STREAMED;
            let mut blocks = to.chunks_exact_mut(PAGES * PAGE);
            let read = from.chunks_exact(PAGES * PAGE);
            from = read.remainder();
            for (to, from) in blocks.by_ref().zip(read) {
                for i in (0..PAGE).step_by(2 * S::LANES) {
                    for at in (0..PAGES).map(|page| i + page * PAGE) {
                        // A whole line.
                        let (to, from) = (&mut to[at..][..2 * S::LANES], &from[at..][..2 * S::LANES]);
                        let (a, b) = (simd.load(from), simd.load(&from[S::LANES..]));
                        if past {
                            simd.stream_f16(to, a);
                            simd.stream_f16(&mut to[S::LANES..], b);
                        } else {
                            simd.store_f16(to, a);
                            simd.store_f16(&mut to[S::LANES..], b);
                        }
                    }
                }
            }
            if past {
                simd::fence();
            }
            to = blocks.into_remainder();
        }
        narrow(simd, to, from);
    }
}

/// Rounds vector by vector.
#[inline(always)]
fn narrow<S: Simd>(simd: S, to: &mut [f16], from: &[f32]) {
    let mut to = to.chunks_exact_mut(S::LANES);
    let mut from = from.chunks_exact(S::LANES);
    for (to, from) in to.by_ref().zip(from.by_ref()) {
        simd.store_f16(to, simd.load(from));
    }
    let (to, from) = (to.into_remainder(), from.remainder());
    let (mut wide, mut half) = ([0.0; simd::MAX_LANES], [f16::ZERO; simd::MAX_LANES]);
    wide[..from.len()].copy_from_slice(from);
    simd.store_f16(&mut half, simd.load(&wide));
    to.copy_from_slice(&half[..to.len()]);
}

struct Widen<'a> {
    to: &'a mut [f32],
    from: &'a [f16],
}

impl Kernel for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { mut to, mut from } = self;
        const PAGE: usize = 4096 / size_of::<f16>();
        if to.len() > PAGES * PAGE {
            let start = before_border(to);
            widen(simd, &mut to[..start], &from[..start]);
            (to, from) = (&mut to[start..], &from[start..]);
            let past = size_of_val(to) >= STREAMED;
            let mut blocks = to.chunks_exact_mut(PAGES * PAGE);
            let read = from.chunks_exact(PAGES * PAGE);
            from = read.remainder();
            for (to, from) in blocks.by_ref().zip(read) {
                for i in (0..PAGE).step_by(S::LANES) {
                    for at in (0..PAGES).map(|page| i + page * PAGE) {
                        let v = simd.load_f16(&from[at..]);
                        if past { simd.stream(&mut to[at..], v) } else { simd.store(&mut to[at..], v) }
                    }
                }
            }
            if past {
                simd::fence();
            }
            to = blocks.into_remainder();
        }
        widen(simd, to, from);
    }
}

/// Widens vector by vector.
#[inline(always)]
fn widen<S: Simd>(simd: S, to: &mut [f32], from: &[f16]) {
    let mut to = to.chunks_exact_mut(S::LANES);
    let mut from = from.chunks_exact(S::LANES);
    for (to, from) in to.by_ref().zip(from.by_ref()) {
        simd.store(to, simd.load_f16(from));
    }
    let (to, from) = (to.into_remainder(), from.remainder());
    let (mut wide, mut half) = ([0.0; simd::MAX_LANES], [f16::ZERO; simd::MAX_LANES]);
    half[..from.len()].copy_from_slice(from);
    simd.store(&mut wide, simd.load_f16(&half));
    to.copy_from_slice(&wide[..to.len()]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A half from the definition of the format: sign, exponent and significand.
    fn by_definition(bits: u16) -> f64 {
        let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
        let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
        sign * match exponent {
            0 => fraction * 2f64.powi(-24),
            31 if fraction == 0.0 => f64::INFINITY,
            31 => f64::NAN,
            e => (1024.0 + fraction) * 2f64.powi(e - 25),
        }
    }

    /// The half nearest to a float, from the definition of rounding.
    fn nearest(value: f32) -> u16 {
        let sign = ((value.to_bits() >> 16) & 0x8000) as u16;
        let a = f64::from(value.abs());
        if a.is_nan() {
            return sign | 0x7e00 | (value.to_bits() >> 13 & 0x1ff) as u16;
        }
        // The largest half not above it; then the nearer of that one and the next, which is infinity past the last.
        let (mut low, mut high) = (0u16, 0x7c00);
        while high - low > 1 {
            let mid = low + (high - low) / 2;
            if by_definition(mid) <= a { low = mid } else { high = mid }
        }
        let above = if low == 0x7bff { 65536.0 } else { by_definition(low + 1) };
        let (down, up) = (a - by_definition(low), above - a);
        sign | if down < up || (down == up && low % 2 == 0) { low } else { low + 1 }
    }

    /// Rows E2, E4: all of them.
    #[test]
    fn all_halves_widen_exactly_and_come_back() {
        let halves: Vec<u16> = (0..=u16::MAX).collect();
        let mut floats = vec![0.0; halves.len()];
        cast_f16_f32(&mut floats, &halves);
        let mut back = vec![0; halves.len()];
        cast_f32_f16(&mut back, &floats);
        for ((&h, &f), &b) in halves.iter().zip(&floats).zip(&back) {
            assert_eq!(f.to_bits(), fp16_to_f32(h).to_bits(), "{h:#06x}");
            let (is, should) = (f64::from(f), by_definition(h));
            assert!(
                is == should && is.is_sign_negative() == should.is_sign_negative()
                    || should.is_nan() && is.is_nan()
            );
            let quiet = if should.is_nan() { h | 0x200 } else { h };
            assert_eq!((b, f32_to_fp16(f)), (quiet, quiet), "{h:#06x}");
        }
    }

    /// Rows E1, E6: around every boundary.
    #[test]
    fn floats_around_every_boundary_round_to_the_nearest_even() {
        let mut floats = Vec::new();
        for h in 0..=0x7c00u16 {
            // A half, and the midpoint to the next, each with the two floats beside it.
            let a = if h == 0x7c00 { 65536.0 } else { by_definition(h) };
            let b = if h >= 0x7bff { 65536.0 } else { by_definition(h + 1) };
            for v in [a, (a + b) / 2.0].map(|v| v as f32) {
                for bits in v.to_bits().saturating_sub(1)..=v.to_bits() + 1 {
                    floats.extend([f32::from_bits(bits), -f32::from_bits(bits)]);
                }
            }
        }
        // A walk over all floats with a stride that meets every exponent, NaNs of all kinds included.
        floats.extend((0..=u32::MAX).step_by(9973).map(f32::from_bits));
        let mut halves = vec![0; floats.len()];
        cast_f32_f16(&mut halves, &floats);
        for (&f, &h) in floats.iter().zip(&halves) {
            assert_eq!((h, f32_to_fp16(f)), (nearest(f), nearest(f)), "{f:e} = {:#010x}", f.to_bits());
        }
    }

    /// Rows E3, E4: and no further.
    #[test]
    fn slices_of_every_length_are_cast_to_the_end() {
        for n in 0..70 {
            let floats: Vec<f32> = (0..n).map(|i| i as f32 - 20.5).collect();
            let (mut halves, mut back) = (vec![0; n], vec![0.0; n]);
            cast_f32_f16(&mut halves, &floats);
            cast_f16_f32(&mut back, &halves);
            assert_eq!(back, floats);
        }
    }

    /// Of several pages, from every place in a line on.
    #[test]
    #[cfg_attr(miri, ignore = "an interpreter takes minutes for that many")]
    fn pages_in_turn_are_cast_to_the_end() {
        for start in 0..40 {
            for n in [4096, 8191, 8192 + 31, 16384 + 40] {
                let floats: Vec<f32> = (0..start + n).map(|i| (i % 1021) as f32 - 20.5).collect();
                let (mut halves, mut back) = (vec![7; start + n + 1], vec![7.0; start + n + 1]);
                cast_f32_f16(&mut halves[start..start + n], &floats[start..]);
                cast_f16_f32(&mut back[start..start + n], &halves[start..start + n]);
                assert!(back[start..start + n] == floats[start..], "{n} from {start}");
                assert!(halves[..start].iter().all(|&h| h == 7) && halves[start + n] == 7);
                assert!(back[..start].iter().all(|&f| f == 7.0) && back[start + n] == 7.0);
            }
        }
    }

    /// Row E5: with the instructions of the processor and without.
    #[test]
    fn the_portable_way_gives_the_same_bits() {
        let from: Vec<f32> = (0..=u32::MAX).step_by(70_001).map(f32::from_bits).collect();
        let mut best = vec![f16::ZERO; from.len()];
        let mut portable = best.clone();
        simd::dispatch(Narrow { to: &mut best, from: &from });
        Narrow { to: &mut portable, from: &from }.run(simd::Portable);
        assert!(best.iter().zip(&portable).all(|(a, b)| a.to_bits() == b.to_bits()));
    }

    #[test]
    #[cfg_attr(miri, ignore = "the stores past the caches are instructions of the processor")]
    fn results_beyond_the_caches_are_the_same() {
        let count = STREAMED / 2 + 100;
        let floats: Vec<f32> = (0..count).map(|i| (i % 70001) as f32 * 0.37 - 9000.0).collect();
        let mut halves = vec![0; count];
        for start in [0, 3] {
            cast_f32_f16(&mut halves[start..], &floats[start..]);
            assert!(halves.iter().zip(&floats).skip(start).all(|(&h, &f)| h == f32_to_fp16(f)), "{start}");
        }
        let mut back = vec![0.0; count];
        cast_f16_f32(&mut back[5..], &halves[5..]);
        assert!(back.iter().zip(&halves).skip(5).all(|(&f, &h)| f == fp16_to_f32(h)));
    }

    #[test]
    #[should_panic(expected = "as many elements")]
    fn lengths_that_differ_are_refused() {
        cast_f32_f16(&mut [0; 2], &[0.0; 3]);
    }
}
