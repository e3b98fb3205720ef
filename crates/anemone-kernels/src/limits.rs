//! What this machine can do at most: measured, so that kernels can be held against it.
//!
//! ```
//! let operations = anemone_kernels::limits::operations(1);
//! assert!(operations > 1e8, "in a second, on one thread");
//! ```

use std::time::Instant;

use crate::memory::Buffer;
use crate::simd::{self, Kernel, Simd};
use crate::threads::parallel_for;

/// How often each limit is measured; the best counts, since whatever else the machine does only slows it down.
const TIMES: usize = 5;

/// The most operations on single precision in a second: two for each multiplication with an addition, in registers.
///
/// It takes about 20 ms.
///
/// ```
/// let both = anemone_kernels::limits::operations(2);
/// assert!(both > 1e8);
/// ```
pub fn operations(threads: usize) -> f64 {
    const ROUNDS: usize = 400_000;
    let once = || {
        let begin = Instant::now();
        parallel_for(threads, threads, 1, |tasks| {
            for _ in tasks {
                std::hint::black_box(simd::dispatch(MultiplyAdds { rounds: ROUNDS }));
            }
        });
        let lanes = simd::dispatch(MultiplyAdds { rounds: 0 }).1;
        (2 * threads * ROUNDS * CHAINS * lanes) as f64 / begin.elapsed().as_secs_f64()
    };
    (0..TIMES).map(|_| once()).fold(0.0, f64::max)
}

/// The most bytes that are read from memory in a second, of so many bytes that no cache holds them: 256 MiB.
///
/// It takes about 100 ms.
///
/// ```
/// let bytes = anemone_kernels::limits::read(1);
/// assert!(bytes > 1e8, "in a second");
/// ```
pub fn read(threads: usize) -> f64 {
    const BYTES: usize = 256 << 20;
    const TASK: usize = 1 << 20;
    let mut buffer = Buffer::zeroed(BYTES);
    // Pages that nobody has written are all the same one, which a cache holds.
    buffer.bytes_mut().fill(1);
    let all: &[f32] = bytemuck::cast_slice(buffer.bytes());
    let once = || {
        let begin = Instant::now();
        parallel_for(threads, BYTES / TASK, 1, |tasks| {
            for task in tasks {
                let part = &all[task * TASK / 4..][..TASK / 4];
                std::hint::black_box(simd::dispatch(Sum(part)));
            }
        });
        BYTES as f64 / begin.elapsed().as_secs_f64()
    };
    // Once more than for registers: the first time the pages of the buffer are found.
    once();
    (0..TIMES).map(|_| once()).fold(0.0, f64::max)
}

/// How many sums are computed side by side: more than a processor has under way at once.
const CHAINS: usize = 12;

struct MultiplyAdds {
    rounds: usize,
}

impl Kernel for MultiplyAdds {
    type Output = (f32, usize);

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let factor = simd.splat(std::hint::black_box(0.999));
        let mut sums = [simd.splat(1.0); CHAINS];
        for _ in 0..self.rounds {
            for sum in &mut sums {
                *sum = simd.mul_add(*sum, factor, factor);
            }
        }
        (simd.sum(sums.into_iter().reduce(|a, b| simd.add(a, b)).unwrap_or(factor)), S::LANES)
    }
}

struct Sum<'a>(&'a [f32]);

impl Kernel for Sum<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let mut sums = [simd.splat(0.0); 8];
        for part in self.0.chunks_exact(8 * S::LANES) {
            for (sum, part) in sums.iter_mut().zip(part.chunks_exact(S::LANES)) {
                *sum = simd.add(*sum, simd.load(part));
            }
        }
        simd.sum(sums.into_iter().reduce(|a, b| simd.add(a, b)).unwrap_or(simd.splat(0.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_end_where_the_sum_stays() {
        // x = 0.999 x + 0.999 stays at 999.
        let (sum, lanes) = simd::dispatch(MultiplyAdds { rounds: 100_000 });
        assert!((sum / (CHAINS * lanes) as f32 - 999.0).abs() < 1.0, "{sum}");
    }

    #[test]
    fn all_is_summed() {
        let numbers: Vec<f32> = (0..256).map(|i| i as f32).collect();
        assert_eq!(simd::dispatch(Sum(&numbers)), 255.0 * 128.0);
    }
}
