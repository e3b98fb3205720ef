//! Products on the grid, a vector at a time.
//!
//! A product of two halves is exact in single precision, and so is its sum with one half where it has a fraction; cut to a
//! whole number that is the product, rounded half away from zero. Whether the product counts is told by the exponents of
//! its factors: the magnitude of one is compared with the power of two that the other one asks for.

use bytemuck::{Pod, Zeroable};

use super::number::decode;
use half::f16;

/// A number that is multiplied with vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Zeroable, Pod)]
#[repr(C)]
pub struct Term {
    /// The number, in units of the grid.
    value: f32,
    /// Its sign bit.
    sign: u32,
    /// The least magnitude of the other factor with which the product counts.
    least: f32,
}

impl Term {
    /// The exponents of two factors must add up to this at least; that of a subnormal counts as −14.
    const LEAST_EXPONENTS: i32 = -16;

    #[inline(always)]
    pub(crate) fn of(x: f16) -> Self {
        let value = decode(x);
        let bits = value.to_bits();
        let exponent = ((bits >> 23 & 0xff) as i32 - 127).max(-14);
        let other = Self::LEAST_EXPONENTS - exponent;
        // Every factor has an exponent of −14 at least.
        let least = if other <= -14 { 0.0 } else { f32::from_bits(((other + 127) as u32) << 23) };
        Self { value: value * 65536.0, sign: bits & 0x8000_0000, least }
    }

    /// The square of the number, in units of the grid.
    #[inline(always)]
    pub(crate) fn square(self) -> f64 {
        f64::from(self.value) * f64::from(self.value)
    }

    /// The product with a number, on the grid.
    #[inline(always)]
    pub(crate) fn times(self, w: f32) -> i64 {
        if w.abs() < self.least {
            return 0;
        }
        let product = self.value * w;
        (product + 0.5f32.copysign(product)) as i64
    }
}

/// Vectors of sums in units of the grid.
pub trait Grid: Copy {
    /// How many sums a vector has.
    const SUMS: usize;
    /// A vector of sums, which wrap around.
    type Sums: Copy;
    /// A vector of factors.
    type Factors: Copy;

    /// The same sum in every lane.
    fn sums(self, sum: i32) -> Self::Sums;
    /// Writes the first sums.
    fn store_sums(self, to: &mut [i32], sums: Self::Sums);
    /// The first numbers as factors.
    fn factors(self, from: &[f32]) -> Self::Factors;
    /// Adds the products of a term with factors. Where a product is no `i32`, the sum is anything.
    fn accumulate(self, sums: Self::Sums, term: &Term, factors: Self::Factors) -> Self::Sums;
}

impl Grid for crate::simd::Portable {
    const SUMS: usize = 8;
    type Sums = [i32; 8];
    type Factors = [f32; 8];

    #[inline(always)]
    fn sums(self, sum: i32) -> Self::Sums {
        [sum; 8]
    }

    #[inline(always)]
    fn store_sums(self, to: &mut [i32], sums: Self::Sums) {
        to[..8].copy_from_slice(&sums);
    }

    #[inline(always)]
    fn factors(self, from: &[f32]) -> Self::Factors {
        std::array::from_fn(|i| from[i])
    }

    #[inline(always)]
    fn accumulate(self, mut sums: Self::Sums, term: &Term, factors: Self::Factors) -> Self::Sums {
        for i in 0..8 {
            let product = term.value * factors[i];
            let whole = (product + 0.5f32.copysign(product)) as i32;
            let counts = factors[i].abs() >= term.least;
            sums[i] = sums[i].wrapping_add(if counts { whole } else { 0 });
        }
        sums
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Grid, Term};
    use crate::simd::x86::{Avx2, Avx512};

    impl Grid for Avx512 {
        const SUMS: usize = 16;
        type Sums = __m512i;
        /// The numbers, half of one with their signs, and their magnitudes.
        type Factors = [__m512; 3];

        #[inline(always)]
        fn sums(self, sum: i32) -> Self::Sums {
            // SAFETY: `self` shows that the processor has AVX-512.
            unsafe { _mm512_set1_epi32(sum) }
        }

        #[inline(always)]
        fn store_sums(self, to: &mut [i32], sums: Self::Sums) {
            let to = &mut to[..16];
            // SAFETY: as in `sums`; the slice has 16 elements, and the store needs no alignment.
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), sums) }
        }

        #[inline(always)]
        fn factors(self, from: &[f32]) -> Self::Factors {
            let from = &from[..16];
            // SAFETY: as in `store_sums`.
            unsafe {
                let w = _mm512_loadu_ps(from.as_ptr());
                let sign = _mm512_set1_ps(-0.0);
                [w, _mm512_or_ps(_mm512_and_ps(w, sign), _mm512_set1_ps(0.5)), _mm512_andnot_ps(sign, w)]
            }
        }

        #[inline(always)]
        fn accumulate(
            self,
            sums: Self::Sums,
            term: &Term,
            [w, half, magnitude]: Self::Factors,
        ) -> Self::Sums {
            // SAFETY: as in `sums`.
            unsafe {
                let half = _mm512_xor_si512(_mm512_castps_si512(half), _mm512_set1_epi32(term.sign as i32));
                let product = _mm512_fmadd_ps(_mm512_set1_ps(term.value), w, _mm512_castsi512_ps(half));
                let counts = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(magnitude, _mm512_set1_ps(term.least));
                _mm512_mask_add_epi32(sums, counts, sums, _mm512_cvttps_epi32(product))
            }
        }
    }

    impl Grid for Avx2 {
        const SUMS: usize = 8;
        type Sums = __m256i;
        /// As those of AVX-512.
        type Factors = [__m256; 3];

        #[inline(always)]
        fn sums(self, sum: i32) -> Self::Sums {
            // SAFETY: `self` shows that the processor has AVX2 and FMA.
            unsafe { _mm256_set1_epi32(sum) }
        }

        #[inline(always)]
        fn store_sums(self, to: &mut [i32], sums: Self::Sums) {
            let to = &mut to[..8];
            // SAFETY: as in `sums`; the slice has 8 elements, and stores need no alignment beyond theirs.
            unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), sums) }
        }

        #[inline(always)]
        fn factors(self, from: &[f32]) -> Self::Factors {
            let from = &from[..8];
            // SAFETY: as in `store_sums`.
            unsafe {
                let w = _mm256_loadu_ps(from.as_ptr());
                let sign = _mm256_set1_ps(-0.0);
                [w, _mm256_or_ps(_mm256_and_ps(w, sign), _mm256_set1_ps(0.5)), _mm256_andnot_ps(sign, w)]
            }
        }

        #[inline(always)]
        fn accumulate(
            self,
            sums: Self::Sums,
            term: &Term,
            [w, half, magnitude]: Self::Factors,
        ) -> Self::Sums {
            // SAFETY: as in `sums`.
            unsafe {
                let half = _mm256_xor_ps(half, _mm256_set1_ps(f32::from_bits(term.sign)));
                let product = _mm256_fmadd_ps(_mm256_set1_ps(term.value), w, half);
                let counts = _mm256_cmp_ps::<_CMP_GE_OQ>(magnitude, _mm256_set1_ps(term.least));
                let whole = _mm256_and_si256(_mm256_cvttps_epi32(product), _mm256_castps_si256(counts));
                _mm256_add_epi32(sums, whole)
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;

    use super::{Grid, Term};
    use crate::simd::arm::Neon;

    impl Grid for Neon {
        const SUMS: usize = 8;
        type Sums = [int32x4_t; 2];
        /// The numbers, half of one with their signs, and their magnitudes, of both registers of a vector.
        type Factors = [[float32x4_t; 3]; 2];

        #[inline(always)]
        fn sums(self, sum: i32) -> Self::Sums {
            // SAFETY: `self` shows that the processor has NEON.
            [unsafe { vdupq_n_s32(sum) }; 2]
        }

        #[inline(always)]
        fn store_sums(self, to: &mut [i32], sums: Self::Sums) {
            let to = &mut to[..8];
            // SAFETY: as in `sums`; the slice has 8 elements, and stores need no alignment beyond theirs.
            unsafe {
                vst1q_s32(to.as_mut_ptr(), sums[0]);
                vst1q_s32(to[4..].as_mut_ptr(), sums[1]);
            }
        }

        #[inline(always)]
        fn factors(self, from: &[f32]) -> Self::Factors {
            let from = &from[..8];
            // SAFETY: as in `store_sums`.
            unsafe {
                let (low, high) = (vld1q_f32(from.as_ptr()), vld1q_f32(from[4..].as_ptr()));
                let (sign, half) = (vdupq_n_u32(0x8000_0000), vdupq_n_f32(0.5));
                [
                    [low, vbslq_f32(sign, low, half), vabsq_f32(low)],
                    [high, vbslq_f32(sign, high, half), vabsq_f32(high)],
                ]
            }
        }

        #[inline(always)]
        fn accumulate(self, sums: Self::Sums, term: &Term, factors: Self::Factors) -> Self::Sums {
            // SAFETY: as in `sums`.
            unsafe {
                let (value, sign) = (vdupq_n_f32(term.value), vdupq_n_u32(term.sign));
                let least = vdupq_n_f32(term.least);
                let mut found = sums;
                for i in 0..2 {
                    let [w, half, magnitude] = factors[i];
                    let half = vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(half), sign));
                    let whole = vcvtq_s32_f32(vfmaq_f32(half, value, w));
                    let counts = vreinterpretq_s32_u32(vcgeq_f32(magnitude, least));
                    found[i] = vaddq_s32(sums[i], vandq_s32(whole, counts));
                }
                found
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{self, Kernel, Simd};

    /// The sums of terms with columns of as many factors as a vector has.
    struct Sums<'a> {
        terms: &'a [Term],
        factors: &'a [f32],
        sums: &'a mut [i32],
    }

    impl Kernel for Sums<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            let columns = self.sums.len();
            for at in (0..columns).step_by(S::SUMS) {
                let mut sums = simd.sums(0);
                for (term, row) in self.terms.iter().zip(self.factors.chunks_exact(columns)) {
                    sums = simd.accumulate(sums, term, simd.factors(&row[at..]));
                }
                simd.store_sums(&mut self.sums[at..], sums);
            }
        }
    }

    /// Factors of all exponents, normal and not, whose products fit into a sum.
    #[test]
    fn all_instructions_give_the_same_sums() {
        let half = |i: u32, spread: u32| {
            let bits = i.wrapping_mul(2_654_435_761) >> 7;
            f16::from_bits(((bits & 0x83ff) | (((bits >> 16) % spread) << 10)) as u16)
        };
        let (inputs, columns) = (400, 32);
        let terms: Vec<Term> = (0..inputs).map(|i| Term::of(half(i, 17))).collect();
        let factors: Vec<f32> = (0..inputs * columns).map(|i| decode(half(i + 9999, 15))).collect();
        let exact = |column: usize| {
            let column = factors[column..].iter().step_by(columns as usize);
            terms.iter().zip(column).map(|(term, &w)| term.times(w)).sum::<i64>()
        };
        let exact: Vec<i32> = (0..columns as usize).map(|c| exact(c) as i32).collect();
        let check = |run: &dyn Fn(Sums<'_>), what: &str| {
            let mut sums = vec![7; columns as usize];
            run(Sums { terms: &terms, factors: &factors, sums: &mut sums });
            assert_eq!(sums, exact, "{what}");
        };
        check(&|sums| sums.run(simd::Portable), "portable");
        check(&|sums| simd::dispatch(sums), "the best instructions");
        #[cfg(target_arch = "x86_64")]
        if simd::x86::Avx2::detected() {
            // SAFETY: the processor has the features of `avx2`.
            check(&|sums| unsafe { simd::x86::avx2(sums) }, "AVX2");
        }
    }
}
