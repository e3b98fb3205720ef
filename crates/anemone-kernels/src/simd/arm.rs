//! NEON.

use std::arch::aarch64::*;

use half::f16;

use super::{Kernel, Simd};

/// NEON. It is made only in [`neon`].
///
/// A vector is two registers, which take the eight halves of a third one. Halves are widened and rounded by
/// instructions that every NEON has; those for arithmetic on halves (FP16) are not used, since kernels compute in
/// `f32`.
#[derive(Clone, Copy)]
pub(crate) struct Neon(());

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
    type Table = uint8x16x4_t;
    /// The bytes of the lanes.
    type Places = [uint8x16_t; 2];

    #[inline(always)]
    fn table(self, numbers: &[f32; 16]) -> Self::Table {
        let [a, b] = [self.load(numbers), self.load(&numbers[8..])];
        // SAFETY: as in `splat`.
        let bytes = |v| unsafe { vreinterpretq_u8_f32(v) };
        uint8x16x4_t(bytes(a[0]), bytes(a[1]), bytes(b[0]), bytes(b[1]))
    }

    #[inline(always)]
    fn scaled(self, table: Self::Table, b: f32, c: f32, halved: bool) -> Self::Table {
        let (b, c) = (self.splat(b), self.splat(c));
        let half = |low, high| {
            // SAFETY: as in `splat`.
            let v = unsafe { [vreinterpretq_f32_u8(low), vreinterpretq_f32_u8(high)] };
            let v = self.mul(self.add(v, b), c);
            // SAFETY: as in `splat`.
            (if halved { self.round_f16(v) } else { v }).map(|v| unsafe { vreinterpretq_u8_f32(v) })
        };
        let ([a, b], [c, d]) = (half(table.0, table.1), half(table.2, table.3));
        uint8x16x4_t(a, b, c, d)
    }

    #[inline(always)]
    fn look_up_fours(self, table: Self::Table, codes: &[u8]) -> Self::V {
        let Some(&codes) = codes.first_chunk::<4>() else { unreachable!("a vector has eight codes") };
        // The bytes of a number that follow each other, behind the four times of its code.
        const LOW: [u8; 16] = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3];
        const BYTES: [u8; 16] = [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3];
        // SAFETY: as in `load`: constant arrays of 16 bytes are read.
        unsafe {
            let pairs = vreinterpret_u8_u32(vdup_n_u32(u32::from_le_bytes(codes)));
            let codes = vzip1_u8(vand_u8(pairs, vdup_n_u8(15)), vshr_n_u8::<4>(pairs));
            let codes = vshl_n_u8::<2>(codes);
            let (codes, low) = (vcombine_u8(codes, codes), vld1q_u8(LOW.as_ptr()));
            let bytes = vld1q_u8(BYTES.as_ptr());
            let number = |which| {
                let places = vorrq_u8(vqtbl1q_u8(codes, which), bytes);
                vreinterpretq_f32_u8(vqtbl4q_u8(table, places))
            };
            [number(low), number(vaddq_u8(low, vdupq_n_u8(4)))]
        }
    }

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
    fn load_u8(self, from: &[u8], mask: u8) -> Self::V {
        let from = &from[..8];
        // SAFETY: as in `load`.
        unsafe {
            let wide = vmovl_u8(veor_u8(vld1_u8(from.as_ptr()), vdup_n_u8(mask)));
            [vcvtq_f32_u32(vmovl_u16(vget_low_u16(wide))), vcvtq_f32_u32(vmovl_high_u16(wide))]
        }
    }

    #[inline(always)]
    fn look_up(self, to: &mut [u16; 16], codes: &[u8; 16], table: &[[u8; 16]; 2]) {
        // SAFETY: as in `load`: arrays of 16 bytes are read, and one of 32 is written.
        unsafe {
            let codes = vld1q_u8(codes.as_ptr());
            let low = vqtbl1q_u8(vld1q_u8(table[0].as_ptr()), codes);
            let high = vqtbl1q_u8(vld1q_u8(table[1].as_ptr()), codes);
            let [first, last] = to.as_chunks_mut::<8>().0 else { unreachable!("16 are two times 8") };
            vst1q_u16(first.as_mut_ptr(), vreinterpretq_u16_u8(vzip1q_u8(low, high)));
            vst1q_u16(last.as_mut_ptr(), vreinterpretq_u16_u8(vzip2q_u8(low, high)));
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
        let half = |a, b| unsafe { vbslq_f32(vorrq_u32(vcgtq_f32(a, b), vmvnq_u32(vceqq_f32(a, a))), a, b) };
        [half(a[0], b[0]), half(a[1], b[1])]
    }

    #[inline(always)]
    fn minimum(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as in `splat`.
        let half = |a, b| unsafe { vbslq_f32(vorrq_u32(vcltq_f32(a, b), vmvnq_u32(vceqq_f32(a, a))), a, b) };
        [half(a[0], b[0]), half(a[1], b[1])]
    }

    #[inline(always)]
    fn at_least(self, v: Self::V, low: Self::V) -> Self::V {
        // SAFETY: as in `splat`.
        unsafe {
            [
                vbslq_f32(vcgtq_f32(low[0], v[0]), low[0], v[0]),
                vbslq_f32(vcgtq_f32(low[1], v[1]), low[1], v[1]),
            ]
        }
    }

    #[inline(always)]
    fn at_most(self, v: Self::V, high: Self::V) -> Self::V {
        // SAFETY: as in `splat`.
        unsafe {
            [
                vbslq_f32(vcltq_f32(high[0], v[0]), high[0], v[0]),
                vbslq_f32(vcltq_f32(high[1], v[1]), high[1], v[1]),
            ]
        }
    }

    #[inline(always)]
    fn pairs(self, a: Self::V, b: Self::V) -> [Self::V; 2] {
        // SAFETY: as in `splat`.
        unsafe {
            [
                [vuzp1q_f32(a[0], a[1]), vuzp1q_f32(b[0], b[1])],
                [vuzp2q_f32(a[0], a[1]), vuzp2q_f32(b[0], b[1])],
            ]
        }
    }

    #[inline(always)]
    fn places(self, lanes: &[u8; 16]) -> Self::Places {
        let mut bytes = [u8::MAX; 32];
        for (bytes, &lane) in bytes.chunks_exact_mut(4).zip(lanes).filter(|(_, lane)| **lane < 16) {
            bytes.iter_mut().zip(4 * lane..).for_each(|(to, byte)| *to = byte);
        }
        // SAFETY: as in `load`.
        unsafe { [vld1q_u8(bytes.as_ptr()), vld1q_u8(bytes[16..].as_ptr())] }
    }

    #[inline(always)]
    fn pick(self, places: &Self::Places, [a, b]: [Self::V; 2]) -> Self::V {
        // SAFETY: as in `splat`. A byte that lies behind the table is 0.
        places.map(|places| unsafe {
            let bytes = [a[0], a[1], b[0], b[1]].map(|v| vreinterpretq_u8_f32(v));
            let table = uint8x16x4_t(bytes[0], bytes[1], bytes[2], bytes[3]);
            vreinterpretq_f32_u8(vqtbl4q_u8(table, places))
        })
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
                let pairs =
                    |a, b| (vreinterpretq_f64_f32(vtrn1q_f32(a, b)), vreinterpretq_f64_f32(vtrn2q_f32(a, b)));
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
