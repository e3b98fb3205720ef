//! The vector registers of this machine.
//!
//! A kernel is written once, as a [`Kernel`] over any [`Simd`]; [`dispatch`] runs it compiled for the best
//! instructions that the processor has. A value of a `Simd` type is the proof that the processor has them, which is
//! what makes its methods safe. Methods and `Kernel::run` are `#[inline(always)]`, so that all of a kernel is compiled
//! with the instructions of the function that `dispatch` calls.

#[cfg(target_arch = "aarch64")]
pub(crate) mod arm;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

use half::f16;

/// A set of instructions on vectors of `LANES` floats.
pub trait Simd: Copy + crate::silicon::Grid {
    /// How many floats a vector has: at most [`MAX_LANES`].
    const LANES: usize;
    /// Whether the processor multiplies and adds in one instruction.
    const FUSED: bool;
    /// A vector.
    type V: Copy;
    /// Sixteen numbers in registers, to be looked up in.
    type Table: Copy;
    /// For each lane where its number comes from.
    type Places: Copy;

    /// The same number in every lane.
    fn splat(self, v: f32) -> Self::V;
    /// The first `LANES` floats.
    fn load(self, from: &[f32]) -> Self::V;
    /// The first `LANES` halves, widened.
    fn load_f16(self, from: &[f16]) -> Self::V;
    /// As many floats as there are, up to `LANES`, and zeros.
    #[inline(always)]
    fn load_some(self, from: &[f32]) -> Self::V {
        let (mut all, len) = ([0.0; MAX_LANES], from.len().min(Self::LANES));
        all[..len].copy_from_slice(&from[..len]);
        self.load(&all)
    }
    /// As [`load_some`](Simd::load_some), of halves.
    #[inline(always)]
    fn load_some_f16(self, from: &[f16]) -> Self::V {
        let (mut all, len) = ([f16::ZERO; MAX_LANES], from.len().min(Self::LANES));
        all[..len].copy_from_slice(&from[..len]);
        self.load_f16(&all)
    }
    /// The first `LANES` bytes as numbers, the bits of `mask` turned over.
    fn load_u8(self, from: &[u8], mask: u8) -> Self::V;
    /// Takes 16 numbers into registers.
    fn table(self, numbers: &[f32; 16]) -> Self::Table;
    /// Each number plus `b`, times `c`, rounded to halves if that is asked for.
    fn scaled(self, table: Self::Table, b: f32, c: f32, halved: bool) -> Self::Table;
    /// The numbers that the first `LANES` codes of four bits have, the first in the lowest bits.
    fn look_up_fours(self, table: Self::Table, codes: &[u8]) -> Self::V;
    /// Writes for each of 16 codes below 16 the number that it has in a table, whose low and high bytes are apart.
    fn look_up(self, to: &mut [u16; 16], codes: &[u8; 16], table: &[[u8; 16]; 2]);
    /// Writes the first `LANES` floats.
    fn store(self, to: &mut [f32], v: Self::V);
    /// Rounds each lane to nearest even and writes the first `LANES` halves.
    fn store_f16(self, to: &mut [f16], v: Self::V);
    /// Writes as many floats as there is room for, up to `LANES`.
    #[inline(always)]
    fn store_some(self, to: &mut [f32], v: Self::V) {
        let (mut all, len) = ([0.0; MAX_LANES], to.len().min(Self::LANES));
        self.store(&mut all, v);
        to[..len].copy_from_slice(&all[..len]);
    }
    /// As [`store_some`](Simd::store_some), of halves, which are rounded.
    #[inline(always)]
    fn store_some_f16(self, to: &mut [f16], v: Self::V) {
        let (mut all, len) = ([f16::ZERO; MAX_LANES], to.len().min(Self::LANES));
        self.store_f16(&mut all, v);
        to[..len].copy_from_slice(&all[..len]);
    }
    /// Rounds each lane to the nearest half.
    #[inline(always)]
    fn round_f16(self, v: Self::V) -> Self::V {
        let mut halves = [f16::ZERO; MAX_LANES];
        self.store_f16(&mut halves, v);
        self.load_f16(&halves)
    }
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
    /// `a * b`, rounded once.
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        // The zero that changes no sum, not even that with another zero.
        self.mul_add(a, b, self.splat(-0.0))
    }
    /// `alpha * v + beta`, rounded once.
    #[inline(always)]
    fn linear(self, v: Self::V, alpha: f32, beta: f32) -> Self::V {
        self.mul_add(self.splat(alpha), v, self.splat(beta))
    }
    /// `a` where it is larger or NaN, else `b`.
    fn maximum(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a` where it is smaller or NaN, else `b`.
    fn minimum(self, a: Self::V, b: Self::V) -> Self::V;
    /// `low` where it is larger than `v`, else `v`, which may be NaN; in fewer instructions than
    /// [`maximum`](Simd::maximum).
    fn at_least(self, v: Self::V, low: Self::V) -> Self::V;
    /// `high` where it is smaller than `v`, else `v`, which may be NaN.
    fn at_most(self, v: Self::V, high: Self::V) -> Self::V;
    /// `v` where it is positive or NaN, else the positive zero.
    #[inline(always)]
    fn relu(self, v: Self::V) -> Self::V {
        let zero = self.splat(0.0);
        self.add(self.at_least(v, zero), zero)
    }
    /// Of the lanes of `a` and then of `b` the first of each pair, and the second of each pair.
    fn pairs(self, a: Self::V, b: Self::V) -> [Self::V; 2];
    /// For each lane which of the lanes of two vectors it is to have; what lies behind these stands for a zero.
    fn places(self, lanes: &[u8; MAX_LANES]) -> Self::Places;
    /// The lanes of two vectors that lie in these places.
    fn pick(self, places: &Self::Places, from: [Self::V; 2]) -> Self::V;
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

/// Whether [`prefetch`] pays for memory that is read in four streams at once.
///
/// Zen 4 finds them itself, and what is asked for besides takes the place of what it asks for: a mapped file is read in rows of
/// fp16 at 19 GB/s with it and at 25 without, on one thread. On Intel's, where a single stream gains by it, four were not measured
/// without.
pub(crate) fn streams_pay_for_asking() -> bool {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    return *x86::IS_INTEL;
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    false
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
        if x86::Avx512::detected() && allowed(2) {
            // SAFETY: the processor has the features of `avx512`.
            return unsafe { x86::avx512(kernel) };
        }
        if x86::Avx2::detected() && allowed(1) {
            // SAFETY: the processor has the features of `avx2`.
            return unsafe { x86::avx2(kernel) };
        }
    }
    #[cfg(target_arch = "aarch64")]
    if arm::Neon::detected() && allowed(1) {
        // SAFETY: the processor has NEON.
        return unsafe { arm::neon(kernel) };
    }
    kernel.run(Portable)
}

/// Whether this thread may use instructions of this rank: 2 for AVX-512, 1 for AVX2 and NEON. In tests some do not.
#[cfg(not(test))]
#[inline(always)]
fn allowed(_: u8) -> bool {
    true
}

#[cfg(test)]
fn allowed(rank: u8) -> bool {
    rank <= BEST.get()
}

#[cfg(test)]
thread_local! {
    static BEST: std::cell::Cell<u8> = const { std::cell::Cell::new(2) };
}

/// Calls `work` once with each set of instructions that this processor has, which it is told the rank of. This holds for this
/// thread alone, so that kernels are to be called with one.
#[cfg(test)]
pub(crate) fn with_each(work: impl Fn(u8)) {
    for rank in 0..=2 {
        BEST.set(rank);
        work(rank);
    }
}

/// Vectors that the compiler makes of arrays: for processors that have no part in this file.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Simd for Portable {
    const LANES: usize = 8;
    // Where a fused instruction may be missing, asking for one calls a slow function.
    const FUSED: bool = cfg!(target_arch = "aarch64");
    type V = [f32; 8];
    type Table = [f32; 16];
    type Places = [u8; 8];

    #[inline(always)]
    fn table(self, numbers: &[f32; 16]) -> Self::Table {
        *numbers
    }

    #[inline(always)]
    fn scaled(self, table: Self::Table, b: f32, c: f32, halved: bool) -> Self::Table {
        let [mut low, mut high] = [[0.0; 8]; 2];
        low.copy_from_slice(&table[..8]);
        high.copy_from_slice(&table[8..]);
        let mut scaled = table;
        for (to, v) in scaled.chunks_exact_mut(8).zip([low, high]) {
            let v = self.mul(self.add(v, self.splat(b)), self.splat(c));
            to.copy_from_slice(&if halved { self.round_f16(v) } else { v });
        }
        scaled
    }

    #[inline(always)]
    fn look_up_fours(self, table: Self::Table, codes: &[u8]) -> Self::V {
        let codes = &codes[..4];
        std::array::from_fn(|i| table[usize::from(codes[i / 2] >> (i % 2 * 4) & 15)])
    }

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
    fn load_u8(self, from: &[u8], mask: u8) -> Self::V {
        std::array::from_fn(|i| f32::from(from[i] ^ mask))
    }

    #[inline(always)]
    fn look_up(self, to: &mut [u16; 16], codes: &[u8; 16], table: &[[u8; 16]; 2]) {
        for (to, &code) in to.iter_mut().zip(codes) {
            *to = u16::from_le_bytes(table.map(|half| half[usize::from(code % 16)]));
        }
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
    fn linear(self, v: Self::V, alpha: f32, beta: f32) -> Self::V {
        std::array::from_fn(|i| crate::math::linear::<Self>(v[i], alpha, beta))
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
    fn at_least(self, v: Self::V, low: Self::V) -> Self::V {
        std::array::from_fn(|i| if low[i] > v[i] { low[i] } else { v[i] })
    }

    #[inline(always)]
    fn at_most(self, v: Self::V, high: Self::V) -> Self::V {
        std::array::from_fn(|i| if high[i] < v[i] { high[i] } else { v[i] })
    }

    #[inline(always)]
    fn pairs(self, a: Self::V, b: Self::V) -> [Self::V; 2] {
        let of = |i: usize| if i < 8 { a[i] } else { b[i - 8] };
        [0, 1].map(|second| std::array::from_fn(|i| of(2 * i + second)))
    }

    #[inline(always)]
    fn places(self, lanes: &[u8; MAX_LANES]) -> Self::Places {
        std::array::from_fn(|i| lanes[i])
    }

    #[inline(always)]
    fn pick(self, places: &Self::Places, from: [Self::V; 2]) -> Self::V {
        places.map(|place| from.as_flattened().get(usize::from(place)).copied().unwrap_or(0.0))
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
