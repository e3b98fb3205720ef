//! The vector registers of this machine.
//!
//! A kernel is written once, as a [`Kernel`] over any [`Simd`]; [`dispatch`] runs it compiled for the best
//! instructions that the processor has. A value of a `Simd` type is the proof that the processor has them, which is
//! what makes its methods safe. Methods and `Kernel::run` are `#[inline(always)]`, so that all of a kernel is compiled
//! with the instructions of the function that `dispatch` calls.

use half::f16;

/// A set of instructions on vectors of `LANES` floats.
pub trait Simd: Copy {
    /// How many floats a vector has: at most [`MAX_LANES`].
    const LANES: usize;
    /// Whether the processor multiplies and adds in one instruction.
    const FUSED: bool;
    /// A vector.
    type V: Copy;

    /// The same number in every lane.
    fn splat(self, v: f32) -> Self::V;
    /// The first `LANES` floats.
    fn load(self, from: &[f32]) -> Self::V;
    /// The first `LANES` halves, widened.
    fn load_f16(self, from: &[f16]) -> Self::V;
    /// Writes the first `LANES` floats.
    fn store(self, to: &mut [f32], v: Self::V);
    /// Rounds each lane to nearest even and writes the first `LANES` halves.
    fn store_f16(self, to: &mut [f16], v: Self::V);
    /// As [`store`](Simd::store), past the caches; the floats start on a border of 64 bytes. What is written so is seen
    /// by other threads after a [`fence`].
    #[inline(always)]
    fn stream(self, to: &mut [f32], v: Self::V) {
        self.store(to, v);
    }
    /// As [`store_f16`](Simd::store_f16), past the caches; the halves start on a border of 32 bytes.
    #[inline(always)]
    fn stream_f16(self, to: &mut [f16], v: Self::V) {
        self.store_f16(to, v);
    }
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`; rounded once where the processor can.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a` where it is larger or NaN, else `b`.
    fn maximum(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a` where it is smaller or NaN, else `b`.
    fn minimum(self, a: Self::V, b: Self::V) -> Self::V;
    /// The sum of the lanes, halves first.
    fn sum(self, v: Self::V) -> f32;
    /// Exchanges the rows and columns of a square of `LANES` vectors.
    fn transpose(self, rows: &mut [Self::V]);
}

/// The most lanes that any [`Simd`] has.
pub(crate) const MAX_LANES: usize = 16;

/// Puts what was written past the caches before all that this thread writes later.
pub(crate) fn fence() {
    // SAFETY: every processor of this kind has the instruction.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

/// `a · b + c` of single numbers, for loops of which the compiler makes vectors.
#[inline(always)]
pub(crate) fn fused<S: Simd>(a: f32, b: f32, c: f32) -> f32 {
    if S::FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// How far ahead memory is asked for that is read once, from one end to the other: a page, across whose end the processor
/// does not look by itself.
pub(crate) const AHEAD: usize = 4096;

/// Asks for the memory that lies so many bytes behind `from`, which need not be there.
#[inline(always)]
pub(crate) fn prefetch<T>(from: &[T], bytes: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every processor of this kind has the instruction, which reads nothing and fails at no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.as_ptr().wrapping_byte_add(bytes).cast()) };
    }
    // Elsewhere Rust has no stable name for it.
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = (from, bytes);
}

/// A computation that can be compiled for any [`Simd`].
pub(crate) trait Kernel {
    /// What it gives.
    type Output;
    /// Carries it out. Implementations are `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs a kernel with the best instructions of this processor.
pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if x86::Avx512::detected() {
            // SAFETY: the processor has the features of `avx512`.
            return unsafe { x86::avx512(kernel) };
        }
        if x86::Avx2::detected() {
            // SAFETY: the processor has the features of `avx2`.
            return unsafe { x86::avx2(kernel) };
        }
    }
    #[cfg(target_arch = "aarch64")]
    if arm::Neon::detected() {
        // SAFETY: the processor has NEON.
        return unsafe { arm::neon(kernel) };
    }
    kernel.run(Portable)
}

/// Vectors that the compiler makes of arrays: for processors that have no part in this file.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Simd for Portable {
    const LANES: usize = 8;
    // Where a fused instruction may be missing, asking for one calls a slow function.
    const FUSED: bool = cfg!(target_arch = "aarch64");
    type V = [f32; 8];

    #[inline(always)]
    fn splat(self, v: f32) -> Self::V {
        [v; 8]
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::V {
        std::array::from_fn(|i| from[i])
    }

    #[inline(always)]
    fn load_f16(self, from: &[f16]) -> Self::V {
        let mut v = [0.0; 8];
        half::slice::HalfFloatSliceExt::convert_to_f32_slice(&from[..8], &mut v);
        v
    }

    #[inline(always)]
    fn store(self, to: &mut [f32], v: Self::V) {
        to[..8].copy_from_slice(&v);
    }

    #[inline(always)]
    fn store_f16(self, to: &mut [f16], v: Self::V) {
        half::slice::HalfFloatSliceExt::convert_from_f32_slice(&mut to[..8], &v);
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        std::array::from_fn(|i| fused::<Self>(a[i], b[i], c[i]))
    }

    #[inline(always)]
    fn maximum(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| crate::binary::maximum(a[i], b[i]))
    }

    #[inline(always)]
    fn minimum(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| crate::binary::minimum(a[i], b[i]))
    }

    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        let [a, b, c, d] = std::array::from_fn(|i| v[i] + v[i + 4]);
        (a + c) + (b + d)
    }

    #[inline(always)]
    fn transpose(self, rows: &mut [Self::V]) {
        let square: [Self::V; 8] = std::array::from_fn(|i| rows[i]);
        for (j, row) in rows[..8].iter_mut().enumerate() {
            *row = std::array::from_fn(|i| square[i][j]);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use half::f16;

    use super::{Kernel, Simd};

    /// AVX2 with FMA and F16C. It is made only in [`avx2`].
    #[derive(Clone, Copy)]
    pub(super) struct Avx2(());

    /// AVX-512 (F, VL, BW, DQ) with FMA and F16C. It is made only in [`avx512`].
    #[derive(Clone, Copy)]
    pub(super) struct Avx512(());

    impl Avx2 {
        pub(super) fn detected() -> bool {
            is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
        }
    }

    impl Avx512 {
        pub(super) fn detected() -> bool {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && Avx2::detected()
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn avx2<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Avx2(()))
    }

    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,f16c")]
    pub(super) fn avx512<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Avx512(()))
    }

    impl Simd for Avx2 {
        const LANES: usize = 8;
        const FUSED: bool = true;
        type V = __m256;

        #[inline(always)]
        fn splat(self, v: f32) -> Self::V {
            // SAFETY: `self` shows that the processor has AVX2, FMA and F16C.
            unsafe { _mm256_set1_ps(v) }
        }

        #[inline(always)]
        fn load(self, from: &[f32]) -> Self::V {
            let from = &from[..8];
            // SAFETY: as in `splat`; the slice has 8 elements, and the load needs no alignment.
            unsafe { _mm256_loadu_ps(from.as_ptr()) }
        }

        #[inline(always)]
        fn load_f16(self, from: &[f16]) -> Self::V {
            let from = &from[..8];
            // SAFETY: as in `load`.
            unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast())) }
        }

        #[inline(always)]
        fn store(self, to: &mut [f32], v: Self::V) {
            let to = &mut to[..8];
            // SAFETY: as in `load`.
            unsafe { _mm256_storeu_ps(to.as_mut_ptr(), v) }
        }

        #[inline(always)]
        fn store_f16(self, to: &mut [f16], v: Self::V) {
            let to = &mut to[..8];
            // SAFETY: as in `load`.
            unsafe {
                _mm_storeu_si128(to.as_mut_ptr().cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v));
            }
        }

        #[inline(always)]
        fn stream(self, to: &mut [f32], v: Self::V) {
            let to = &mut to[..8];
            assert!(to.as_ptr().addr().is_multiple_of(32), "a stream starts on a border");
            // SAFETY: as in `load`; the border is what this store needs.
            unsafe { _mm256_stream_ps(to.as_mut_ptr(), v) }
        }

        #[inline(always)]
        fn stream_f16(self, to: &mut [f16], v: Self::V) {
            let to = &mut to[..8];
            assert!(to.as_ptr().addr().is_multiple_of(16), "a stream starts on a border");
            // SAFETY: as in `stream`.
            unsafe {
                _mm_stream_si128(to.as_mut_ptr().cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v));
            }
        }

        #[inline(always)]
        fn add(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: as in `splat`.
            unsafe { _mm256_add_ps(a, b) }
        }

        #[inline(always)]
        fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            // SAFETY: as in `splat`.
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }

        #[inline(always)]
        fn maximum(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: as in `splat`.
            unsafe {
                let taken = _mm256_or_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ), _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
                _mm256_blendv_ps(b, a, taken)
            }
        }

        #[inline(always)]
        fn minimum(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: as in `splat`.
            unsafe {
                let taken = _mm256_or_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ), _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
                _mm256_blendv_ps(b, a, taken)
            }
        }

        #[inline(always)]
        fn sum(self, v: Self::V) -> f32 {
            // SAFETY: as in `splat`.
            unsafe {
                let v = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
                let v = _mm_add_ps(v, _mm_movehl_ps(v, v));
                _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)))
            }
        }

        #[inline(always)]
        fn transpose(self, rows: &mut [Self::V]) {
            let rows: &mut [__m256; 8] = (&mut rows[..8]).try_into().expect("there are eight");
            // SAFETY: as in `splat`.
            unsafe {
                // Squares of four in each half of four vectors, and then the halves.
                for j in [0, 4] {
                    let (a, b) =
                        (_mm256_unpacklo_ps(rows[j], rows[j + 1]), _mm256_unpackhi_ps(rows[j], rows[j + 1]));
                    let (c, d) = (
                        _mm256_unpacklo_ps(rows[j + 2], rows[j + 3]),
                        _mm256_unpackhi_ps(rows[j + 2], rows[j + 3]),
                    );
                    let [a, b, c, d] = [a, b, c, d].map(|v| _mm256_castps_pd(v));
                    rows[j] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, c));
                    rows[j + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, c));
                    rows[j + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(b, d));
                    rows[j + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(b, d));
                }
                for c in 0..4 {
                    let (a, b) = (rows[c], rows[c + 4]);
                    rows[c] = _mm256_permute2f128_ps::<0x20>(a, b);
                    rows[c + 4] = _mm256_permute2f128_ps::<0x31>(a, b);
                }
            }
        }
    }

    impl Simd for Avx512 {
        const LANES: usize = 16;
        const FUSED: bool = true;
        type V = __m512;

        #[inline(always)]
        fn splat(self, v: f32) -> Self::V {
            // SAFETY: `self` shows that the processor has AVX-512.
            unsafe { _mm512_set1_ps(v) }
        }

        #[inline(always)]
        fn load(self, from: &[f32]) -> Self::V {
            let from = &from[..16];
            // SAFETY: as in `splat`; the slice has 16 elements, and the load needs no alignment.
            unsafe { _mm512_loadu_ps(from.as_ptr()) }
        }

        #[inline(always)]
        fn load_f16(self, from: &[f16]) -> Self::V {
            let from = &from[..16];
            // SAFETY: as in `load`.
            unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())) }
        }

        #[inline(always)]
        fn store(self, to: &mut [f32], v: Self::V) {
            let to = &mut to[..16];
            // SAFETY: as in `load`.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), v) }
        }

        #[inline(always)]
        fn store_f16(self, to: &mut [f16], v: Self::V) {
            let to = &mut to[..16];
            // SAFETY: as in `load`.
            unsafe {
                _mm256_storeu_si256(to.as_mut_ptr().cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v));
            }
        }

        #[inline(always)]
        fn stream(self, to: &mut [f32], v: Self::V) {
            let to = &mut to[..16];
            assert!(to.as_ptr().addr().is_multiple_of(64), "a stream starts on a border");
            // SAFETY: as in `load`; the border is what this store needs.
            unsafe { _mm512_stream_ps(to.as_mut_ptr(), v) }
        }

        #[inline(always)]
        fn stream_f16(self, to: &mut [f16], v: Self::V) {
            let to = &mut to[..16];
            assert!(to.as_ptr().addr().is_multiple_of(32), "a stream starts on a border");
            // SAFETY: as in `stream`.
            unsafe {
                _mm256_stream_si256(to.as_mut_ptr().cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v));
            }
        }

        #[inline(always)]
        fn add(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: as in `splat`.
            unsafe { _mm512_add_ps(a, b) }
        }

        #[inline(always)]
        fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            // SAFETY: as in `splat`.
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }

        #[inline(always)]
        fn maximum(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: as in `splat`.
            unsafe {
                let taken = _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ) | _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
                _mm512_mask_blend_ps(taken, b, a)
            }
        }

        #[inline(always)]
        fn minimum(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: as in `splat`.
            unsafe {
                let taken = _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ) | _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
                _mm512_mask_blend_ps(taken, b, a)
            }
        }

        #[inline(always)]
        fn sum(self, v: Self::V) -> f32 {
            // SAFETY: as in `splat`.
            unsafe { _mm512_reduce_add_ps(v) }
        }

        #[inline(always)]
        fn transpose(self, rows: &mut [Self::V]) {
            let rows: &mut [__m512; 16] = (&mut rows[..16]).try_into().expect("there are sixteen");
            // SAFETY: as in `splat`.
            unsafe {
                // Squares of four in each quarter of four vectors, and then the quarters.
                for j in [0, 4, 8, 12] {
                    let (a, b) =
                        (_mm512_unpacklo_ps(rows[j], rows[j + 1]), _mm512_unpackhi_ps(rows[j], rows[j + 1]));
                    let (c, d) = (
                        _mm512_unpacklo_ps(rows[j + 2], rows[j + 3]),
                        _mm512_unpackhi_ps(rows[j + 2], rows[j + 3]),
                    );
                    let [a, b, c, d] = [a, b, c, d].map(|v| _mm512_castps_pd(v));
                    rows[j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
                    rows[j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
                    rows[j + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
                    rows[j + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
                }
                for c in 0..4 {
                    let [p, q, r, s] = [rows[c], rows[c + 4], rows[c + 8], rows[c + 12]];
                    let (even, odd) =
                        (_mm512_shuffle_f32x4::<0x88>(p, q), _mm512_shuffle_f32x4::<0xdd>(p, q));
                    let (even_2, odd_2) =
                        (_mm512_shuffle_f32x4::<0x88>(r, s), _mm512_shuffle_f32x4::<0xdd>(r, s));
                    rows[c] = _mm512_shuffle_f32x4::<0x88>(even, even_2);
                    rows[c + 4] = _mm512_shuffle_f32x4::<0x88>(odd, odd_2);
                    rows[c + 8] = _mm512_shuffle_f32x4::<0xdd>(even, even_2);
                    rows[c + 12] = _mm512_shuffle_f32x4::<0xdd>(odd, odd_2);
                }
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;

    use half::f16;

    use super::{Kernel, Simd};

    /// NEON. It is made only in [`neon`].
    ///
    /// A vector is two registers, which take the eight halves of a third one. Halves are widened and rounded by
    /// instructions that every NEON has; those for arithmetic on halves (FP16) are not used, since kernels compute in
    /// `f32`.
    #[derive(Clone, Copy)]
    pub(super) struct Neon(());

    impl Neon {
        pub(super) fn detected() -> bool {
            std::arch::is_aarch64_feature_detected!("neon")
        }
    }

    #[target_feature(enable = "neon")]
    pub(super) fn neon<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Neon(()))
    }

    impl Simd for Neon {
        const LANES: usize = 8;
        const FUSED: bool = true;
        type V = [float32x4_t; 2];

        #[inline(always)]
        fn splat(self, v: f32) -> Self::V {
            // SAFETY: `self` shows that the processor has NEON.
            [unsafe { vdupq_n_f32(v) }; 2]
        }

        #[inline(always)]
        fn load(self, from: &[f32]) -> Self::V {
            let from = &from[..8];
            // SAFETY: as in `splat`; the slice has 8 elements, and the loads need no alignment beyond theirs.
            unsafe { [vld1q_f32(from.as_ptr()), vld1q_f32(from[4..].as_ptr())] }
        }

        #[inline(always)]
        fn load_f16(self, from: &[f16]) -> Self::V {
            let from = &from[..8];
            // SAFETY: as in `load`; an `f16` is a `u16` in memory.
            unsafe {
                let halves = vreinterpretq_f16_u16(vld1q_u16(from.as_ptr().cast()));
                [vcvt_f32_f16(vget_low_f16(halves)), vcvt_high_f32_f16(halves)]
            }
        }

        #[inline(always)]
        fn store(self, to: &mut [f32], v: Self::V) {
            let to = &mut to[..8];
            // SAFETY: as in `load`.
            unsafe {
                vst1q_f32(to.as_mut_ptr(), v[0]);
                vst1q_f32(to[4..].as_mut_ptr(), v[1]);
            }
        }

        #[inline(always)]
        fn store_f16(self, to: &mut [f16], v: Self::V) {
            let to = &mut to[..8];
            // SAFETY: as in `load_f16`. Rounding is to nearest even, as the system sets it and Rust demands it.
            unsafe {
                let halves = vcvt_high_f16_f32(vcvt_f16_f32(v[0]), v[1]);
                vst1q_u16(to.as_mut_ptr().cast(), vreinterpretq_u16_f16(halves));
            }
        }

        #[inline(always)]
        fn add(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: as in `splat`.
            unsafe { [vaddq_f32(a[0], b[0]), vaddq_f32(a[1], b[1])] }
        }

        #[inline(always)]
        fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            // SAFETY: as in `splat`.
            unsafe { [vfmaq_f32(c[0], a[0], b[0]), vfmaq_f32(c[1], a[1], b[1])] }
        }

        #[inline(always)]
        fn maximum(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: as in `splat`.
            let half =
                |a, b| unsafe { vbslq_f32(vorrq_u32(vcgtq_f32(a, b), vmvnq_u32(vceqq_f32(a, a))), a, b) };
            [half(a[0], b[0]), half(a[1], b[1])]
        }

        #[inline(always)]
        fn minimum(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: as in `splat`.
            let half =
                |a, b| unsafe { vbslq_f32(vorrq_u32(vcltq_f32(a, b), vmvnq_u32(vceqq_f32(a, a))), a, b) };
            [half(a[0], b[0]), half(a[1], b[1])]
        }

        #[inline(always)]
        fn sum(self, v: Self::V) -> f32 {
            // SAFETY: as in `splat`.
            unsafe {
                let v = vaddq_f32(v[0], v[1]);
                vpadds_f32(vadd_f32(vget_low_f32(v), vget_high_f32(v)))
            }
        }

        #[inline(always)]
        fn transpose(self, rows: &mut [Self::V]) {
            // A square of four vectors of four.
            let four = |r: [float32x4_t; 4]| {
                // SAFETY: as in `splat`.
                unsafe {
                    let pairs = |a, b| {
                        (vreinterpretq_f64_f32(vtrn1q_f32(a, b)), vreinterpretq_f64_f32(vtrn2q_f32(a, b)))
                    };
                    let ((a, b), (c, d)) = (pairs(r[0], r[1]), pairs(r[2], r[3]));
                    [vtrn1q_f64(a, c), vtrn1q_f64(b, d), vtrn2q_f64(a, c), vtrn2q_f64(b, d)]
                        .map(|v| vreinterpretq_f32_f64(v))
                }
            };
            let part = |row: usize, half: usize| four(std::array::from_fn(|i| rows[row + i][half]));
            let [a, b, c, d] = [part(0, 0), part(4, 0), part(0, 1), part(4, 1)];
            for i in 0..4 {
                rows[i] = [a[i], b[i]];
                rows[i + 4] = [c[i], d[i]];
            }
        }
    }
}
