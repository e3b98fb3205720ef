//! AVX2 and AVX-512.

use std::arch::x86_64::*;
#[cfg(not(miri))]
use std::sync::LazyLock;

use half::f16;

use super::{Kernel, Simd};

/// [`Simd::look_up`] of every processor with SSSE3.
///
/// # Safety
///
/// The processor has SSSE3.
#[inline(always)]
unsafe fn look_up(to: &mut [u16; 16], codes: &[u8; 16], table: &[[u8; 16]; 2]) {
    // SAFETY: arrays of 16 bytes are read, and one of 32 is written; the caller vouches for the instructions.
    unsafe {
        let codes = _mm_loadu_si128(codes.as_ptr().cast());
        let low = _mm_shuffle_epi8(_mm_loadu_si128(table[0].as_ptr().cast()), codes);
        let high = _mm_shuffle_epi8(_mm_loadu_si128(table[1].as_ptr().cast()), codes);
        let to = to.as_mut_ptr().cast::<__m128i>();
        _mm_storeu_si128(to, _mm_unpacklo_epi8(low, high));
        _mm_storeu_si128(to.add(1), _mm_unpackhi_epi8(low, high));
    }
}

/// AVX2 with FMA and F16C. It is made only in [`avx2`].
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

/// AVX-512 (F, VL, BW, DQ) with FMA and F16C. It is made only in [`avx512`].
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

/// Whether Intel has made this processor. To ask it takes long in a virtual machine.
#[cfg(not(miri))]
pub(super) static IS_INTEL: LazyLock<bool> = LazyLock::new(|| {
    let named = __cpuid(0);
    [named.ebx, named.edx, named.ecx].map(u32::to_le_bytes).as_flattened() == b"GenuineIntel"
});

impl Avx2 {
    pub(crate) fn detected() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
    }
}

impl Avx512 {
    pub(crate) fn detected() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && Avx2::detected()
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx2(()))
}

#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,f16c")]
pub(super) fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512(()))
}

/// The first so many of eight lanes.
///
/// # Safety
///
/// The processor has AVX2.
#[inline(always)]
unsafe fn first(len: usize) -> __m256i {
    // SAFETY: the caller says so.
    unsafe {
        let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_cmpgt_epi32(_mm256_set1_epi32(len.min(8) as i32), lanes)
    }
}

impl Simd for Avx2 {
    const LANES: usize = 8;
    const FUSED: bool = true;
    type V = __m256;
    type Table = [__m256; 2];
    /// Lanes of either vector, whether those of the second, and whether any.
    type Places = [__m256i; 3];

    #[inline(always)]
    fn table(self, numbers: &[f32; 16]) -> Self::Table {
        [self.load(numbers), self.load(&numbers[8..])]
    }

    #[inline(always)]
    fn scaled(self, table: Self::Table, b: f32, c: f32, halved: bool) -> Self::Table {
        let (b, c) = (self.splat(b), self.splat(c));
        let [low, high] = [self.mul(self.add(table[0], b), c), self.mul(self.add(table[1], b), c)];
        if halved { [self.round_f16(low), self.round_f16(high)] } else { [low, high] }
    }

    #[inline(always)]
    fn look_up_fours(self, table: Self::Table, codes: &[u8]) -> Self::V {
        let Some(&codes) = codes.first_chunk::<4>() else { unreachable!("a vector has eight codes") };
        // SAFETY: as in `splat`.
        unsafe {
            // Each lane has its code in its lowest bits; of these the fourth becomes the sign, by which a half is chosen.
            let shifts = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
            let codes = _mm256_srlv_epi32(_mm256_set1_epi32(i32::from_le_bytes(codes)), shifts);
            let high = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(codes));
            let (a, b) =
                (_mm256_permutevar8x32_ps(table[0], codes), _mm256_permutevar8x32_ps(table[1], codes));
            _mm256_blendv_ps(a, b, high)
        }
    }

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
    fn load_u8(self, from: &[u8], mask: u8) -> Self::V {
        let from = &from[..8];
        // SAFETY: eight bytes are read, which the slice has; the processor has the features of `avx2`.
        unsafe {
            let bytes = _mm_xor_si128(_mm_loadl_epi64(from.as_ptr().cast()), _mm_set1_epi8(mask as i8));
            _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes))
        }
    }

    #[inline(always)]
    fn look_up(self, to: &mut [u16; 16], codes: &[u8; 16], table: &[[u8; 16]; 2]) {
        // SAFETY: the processor has the instructions, which older ones have too.
        unsafe { look_up(to, codes, table) }
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
    fn load_some(self, from: &[f32]) -> Self::V {
        // SAFETY: as in `load`; only lanes that the slice has are read.
        unsafe { _mm256_maskload_ps(from.as_ptr(), first(from.len())) }
    }

    #[inline(always)]
    fn store_some(self, to: &mut [f32], v: Self::V) {
        // SAFETY: as in `load_some`.
        unsafe { _mm256_maskstore_ps(to.as_mut_ptr(), first(to.len()), v) }
    }

    #[inline(always)]
    fn round_f16(self, v: Self::V) -> Self::V {
        // SAFETY: as in `splat`.
        unsafe { _mm256_cvtph_ps(_mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v)) }
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
    fn at_least(self, v: Self::V, low: Self::V) -> Self::V {
        // SAFETY: as in `splat`. Where the first is not larger, or either is NaN, this gives the second.
        unsafe { _mm256_max_ps(low, v) }
    }

    #[inline(always)]
    fn at_most(self, v: Self::V, high: Self::V) -> Self::V {
        // SAFETY: as in `at_least`.
        unsafe { _mm256_min_ps(high, v) }
    }

    #[inline(always)]
    fn pairs(self, a: Self::V, b: Self::V) -> [Self::V; 2] {
        // SAFETY: as in `splat`.
        unsafe {
            // Within halves, and then the halves in order.
            let (even, odd) = (_mm256_shuffle_ps::<0x88>(a, b), _mm256_shuffle_ps::<0xdd>(a, b));
            let (even, odd) = (_mm256_castps_pd(even), _mm256_castps_pd(odd));
            let (even, odd) = (_mm256_permute4x64_pd::<0xd8>(even), _mm256_permute4x64_pd::<0xd8>(odd));
            [_mm256_castpd_ps(even), _mm256_castpd_ps(odd)]
        }
    }

    #[inline(always)]
    fn places(self, lanes: &[u8; 16]) -> Self::Places {
        // SAFETY: as in `load_u8`; eight bytes are read, which the array has.
        unsafe {
            let lanes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(lanes.as_ptr().cast()));
            let below = |count| _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lanes);
            [lanes, below(8), below(16)]
        }
    }

    #[inline(always)]
    fn pick(self, &[lanes, first, any]: &Self::Places, [a, b]: [Self::V; 2]) -> Self::V {
        // SAFETY: as in `splat`; of the places of lanes the lowest bits count.
        unsafe {
            let (a, b) = (_mm256_permutevar8x32_ps(a, lanes), _mm256_permutevar8x32_ps(b, lanes));
            let picked = _mm256_blendv_ps(b, a, _mm256_castsi256_ps(first));
            _mm256_and_ps(picked, _mm256_castsi256_ps(any))
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

/// The first so many of sixteen lanes.
#[inline(always)]
fn mask(len: usize) -> __mmask16 {
    if len < 16 { (1 << len) - 1 } else { !0 }
}

impl Simd for Avx512 {
    const LANES: usize = 16;
    const FUSED: bool = true;
    type V = __m512;
    type Table = __m512;
    /// The lanes, and whether there is one.
    type Places = (__m512i, __mmask16);

    #[inline(always)]
    fn table(self, numbers: &[f32; 16]) -> Self::Table {
        self.load(numbers)
    }

    #[inline(always)]
    fn scaled(self, table: Self::Table, b: f32, c: f32, halved: bool) -> Self::Table {
        let scaled = self.mul(self.add(table, self.splat(b)), self.splat(c));
        if halved { self.round_f16(scaled) } else { scaled }
    }

    #[inline(always)]
    fn look_up_fours(self, table: Self::Table, codes: &[u8]) -> Self::V {
        let codes = &codes[..8];
        // SAFETY: as in `load`; eight bytes are read.
        unsafe {
            // Each lane has its code in its lowest bits, and whatever follows above: the instruction looks at four.
            let pairs = _mm512_cvtepu8_epi64(_mm_loadl_epi64(codes.as_ptr().cast()));
            let codes = _mm512_or_si512(pairs, _mm512_slli_epi64::<28>(pairs));
            _mm512_permutexvar_ps(codes, table)
        }
    }

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
    fn load_u8(self, from: &[u8], mask: u8) -> Self::V {
        let from = &from[..16];
        // SAFETY: as in `load`.
        unsafe {
            let bytes = _mm_xor_si128(_mm_loadu_si128(from.as_ptr().cast()), _mm_set1_epi8(mask as i8));
            _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))
        }
    }

    #[inline(always)]
    fn look_up(self, to: &mut [u16; 16], codes: &[u8; 16], table: &[[u8; 16]; 2]) {
        // SAFETY: the processor has the instructions, which older ones have too.
        unsafe { look_up(to, codes, table) }
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

    // Where all lanes are left out, and nothing is mapped, the processor takes hundreds of cycles to find that out.

    #[inline(always)]
    fn load_some(self, from: &[f32]) -> Self::V {
        if from.is_empty() {
            return self.splat(0.0);
        }
        // SAFETY: as in `load`; only lanes that the slice has are read.
        unsafe { _mm512_maskz_loadu_ps(mask(from.len()), from.as_ptr()) }
    }

    #[inline(always)]
    fn load_some_f16(self, from: &[f16]) -> Self::V {
        if from.is_empty() {
            return self.splat(0.0);
        }
        // SAFETY: as in `load_some`.
        unsafe { _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask(from.len()), from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn store_some(self, to: &mut [f32], v: Self::V) {
        if to.is_empty() {
            return;
        }
        // SAFETY: as in `load_some`.
        unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), mask(to.len()), v) }
    }

    #[inline(always)]
    fn store_some_f16(self, to: &mut [f16], v: Self::V) {
        if to.is_empty() {
            return;
        }
        // SAFETY: as in `load_some`.
        unsafe {
            let halves = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v);
            _mm256_mask_storeu_epi16(to.as_mut_ptr().cast(), mask(to.len()), halves);
        }
    }

    #[inline(always)]
    fn round_f16(self, v: Self::V) -> Self::V {
        // SAFETY: as in `splat`.
        unsafe { _mm512_cvtph_ps(_mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v)) }
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
    fn at_least(self, v: Self::V, low: Self::V) -> Self::V {
        // SAFETY: as in `splat`. Where the first is not larger, or either is NaN, this gives the second.
        unsafe { _mm512_max_ps(low, v) }
    }

    #[inline(always)]
    fn at_most(self, v: Self::V, high: Self::V) -> Self::V {
        // SAFETY: as in `at_least`.
        unsafe { _mm512_min_ps(high, v) }
    }

    #[inline(always)]
    fn relu(self, v: Self::V) -> Self::V {
        // For each kind of number, from quiet NaNs on, what becomes of it: 1 is the number, 8 the positive zero. Kinds are NaNs,
        // quiet and not, zeros, ones, the infinities, negative numbers and positive ones.
        const KINDS: i32 = 0x1818_1811;
        // SAFETY: as in `splat`.
        unsafe { _mm512_fixupimm_ps::<0>(v, v, _mm512_set1_epi32(KINDS)) }
    }

    #[inline(always)]
    fn pairs(self, a: Self::V, b: Self::V) -> [Self::V; 2] {
        // SAFETY: as in `splat`.
        unsafe {
            let first = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let second = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            [_mm512_permutex2var_ps(a, first, b), _mm512_permutex2var_ps(a, second, b)]
        }
    }

    #[inline(always)]
    fn places(self, lanes: &[u8; 16]) -> Self::Places {
        // SAFETY: as in `load_u8`; sixteen bytes are read, which the array has.
        unsafe {
            let lanes = _mm512_cvtepu8_epi32(_mm_loadu_si128(lanes.as_ptr().cast()));
            (lanes, _mm512_cmplt_epi32_mask(lanes, _mm512_set1_epi32(32)))
        }
    }

    #[inline(always)]
    fn pick(self, &(lanes, any): &Self::Places, [a, b]: [Self::V; 2]) -> Self::V {
        // SAFETY: as in `splat`.
        unsafe { _mm512_maskz_permutex2var_ps(any, a, lanes, b) }
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
                let (even, odd) = (_mm512_shuffle_f32x4::<0x88>(p, q), _mm512_shuffle_f32x4::<0xdd>(p, q));
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
