//! The order of elements along a dimension.
//!
//! ```
//! use anemone_kernels::sort::Ordered;
//! assert!(1.0f32.rank(true) < 2.0f32.rank(true) && 1.0f32.rank(false) > 2.0f32.rank(false));
//! ```

use bytemuck::Pod;
use half::f16;

use crate::scratch::scratch;
use crate::threads::parallel_chunks;

/// An element that can be ordered.
///
/// ```
/// use anemone_kernels::sort::Ordered;
/// let mut numbers = [2.0f32, f32::NAN, -1.0];
/// numbers.sort_by_key(|n| n.rank(true));
/// assert_eq!(numbers[..2], [-1.0, 2.0]);
/// ```
pub trait Ordered: Pod + Send + Sync {
    /// A number that is larger for a later element, and the same for equal ones. NaN comes last in either order.
    fn rank(self, ascending: bool) -> u32;
}

/// The rank in the order that is asked for, of the rank in the ascending one.
#[inline(always)]
fn directed(rank: u32, ascending: bool) -> u32 {
    if ascending { rank } else { !rank }
}

impl Ordered for f32 {
    #[inline(always)]
    fn rank(self, ascending: bool) -> u32 {
        // No number has this rank, in either order.
        if self.is_nan() {
            return u32::MAX;
        }
        // The two zeros are equal: their sum is the positive one.
        let bits = (self + 0.0).to_bits();
        directed(if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }, ascending)
    }
}

impl Ordered for f16 {
    #[inline(always)]
    fn rank(self, ascending: bool) -> u32 {
        self.to_f32().rank(ascending)
    }
}

macro_rules! whole_numbers {
    ($($type:ty),*) => { $(impl Ordered for $type {
        #[inline(always)]
        fn rank(self, ascending: bool) -> u32 {
            directed(i32::from(self) as u32 ^ 1 << 31, ascending)
        }
    })* };
}
whole_numbers!(i8, u8, i16, u16, i32);

/// For each line along the middle dimension of `x`, which is `[outer, n, inner]`, the places of its first `take`
/// elements in their order, in a tensor of `[outer, take, inner]`.
///
/// Equal elements keep their order; NaNs come last whichever way is sorted.
///
/// ```
/// let mut places = [0; 2];
/// anemone_kernels::sort::order(1, &mut places, &[0.5f32, f32::NAN, 3.0, 1.0], [1, 4, 1], 2, false);
/// assert_eq!(places, [2, 3]);
/// ```
///
/// # Panics
///
/// When a slice has another length than the sizes say, more is taken than there is, or a line has 2^32 elements.
pub fn order<T: Ordered>(
    threads: usize,
    places: &mut [usize],
    x: &[T],
    [outer, n, inner]: [usize; 3],
    take: usize,
    ascending: bool,
) {
    let product = |n: usize| outer.checked_mul(n)?.checked_mul(inner);
    assert_eq!(product(n), Some(x.len()), "there are as many elements as the sizes say");
    assert_eq!(product(take), Some(places.len()), "there is room for the places that are taken");
    assert!(take <= n && u32::try_from(n).is_ok(), "no more is taken than there is");
    if places.is_empty() {
        return;
    }
    let grain = (1usize << 14).div_ceil(n * inner);
    parallel_chunks(threads, places, take * inner, grain, |o, places| {
        // The place in the lower half makes every key another, and keeps the order of equal elements.
        let mut line = scratch::<u64>(n);
        for i in 0..inner {
            let elements = x[o * n * inner + i..].iter().step_by(inner).take(n);
            for ((place, v), key) in elements.enumerate().zip(&mut *line) {
                *key = u64::from(v.rank(ascending)) << 32 | place as u64;
            }
            if take < n {
                line.select_nth_unstable(take - 1);
            }
            let first = &mut line[..take];
            first.sort_unstable();
            for (k, key) in first.iter().enumerate() {
                places[k * inner + i] = (key & u64::from(u32::MAX)) as usize;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Ordered + PartialOrd>(x: &[T], [outer, n, inner]: [usize; 3]) {
        for ascending in [false, true] {
            for take in [0, 1, n / 2, n] {
                let mut expected = vec![0; outer * take * inner];
                for o in 0..outer {
                    for i in 0..inner {
                        let at = |k: usize| x[(o * n + k) * inner + i];
                        let is_nan = |v: T| v.partial_cmp(&v).is_none();
                        let mut line: Vec<usize> = (0..n).collect();
                        line.sort_by(|&a, &b| {
                            let (a, b) = (at(a), at(b));
                            let order = a.partial_cmp(&b).unwrap_or(std::cmp::Ordering::Equal);
                            is_nan(a).cmp(&is_nan(b)).then(if ascending { order } else { order.reverse() })
                        });
                        for k in 0..take {
                            expected[(o * take + k) * inner + i] = line[k];
                        }
                    }
                }
                for threads in [1, 2] {
                    let mut places = vec![0; expected.len()];
                    order(threads, &mut places, x, [outer, n, inner], take, ascending);
                    assert_eq!(places, expected, "{take} of {n}, ascending: {ascending}");
                }
            }
        }
    }

    #[test]
    fn elements_of_every_type_are_ordered() {
        let edges = [0.0, -0.0, 1.0, f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1e-40, 65504.0];
        let numbers: Vec<f32> = (0..420)
            .map(|i| if i % 3 == 0 { edges[i / 3 % 9] } else { (i * 97 % 31) as f32 - 15.0 })
            .collect();
        for sizes in [[1, 420, 1], [5, 12, 7], [60, 7, 1], [1, 1, 420], [420, 1, 1]] {
            check(&numbers, sizes);
            check(&numbers.iter().map(|&v| f16::from_f32(v)).collect::<Vec<_>>(), sizes);
            let whole: Vec<i32> =
                (0..420).map(|i| [i32::MIN, i32::MAX, -1, 0, i % 7][i as usize % 5]).collect();
            check(&whole, sizes);
            check(&whole.iter().map(|&v| v as i8).collect::<Vec<_>>(), sizes);
            check(&whole.iter().map(|&v| v as u16).collect::<Vec<_>>(), sizes);
        }
    }
}
