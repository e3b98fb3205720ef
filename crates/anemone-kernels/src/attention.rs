//! Attention: each query looks at all keys and takes a mean of the values.
//!
//! ```
//! use anemone_kernels::attention::{Attention, attention};
//! // The key that is like the query has nearly all of the weight.
//! let sizes = Attention { batch: 1, queries: 1, keys: 2, embedding: 1, width: 1 };
//! let mut y = [0.0f32];
//! attention(1, &mut y, &[10.0], &[-10.0, 10.0], &[1.0, 2.0], None, 1.0, &sizes);
//! assert_eq!(y, [2.0]);
//! ```

use crate::finish;
use crate::gemm::{Bias, Matrix, dot_rows, sum_rows};
use crate::math::exp_below_one;
use crate::simd::{self, Kernel, Simd};
use crate::threads::{Shared, parallel_for};
use crate::tile::{Band, Ends, Lines, MOST_ROWS, Panels, Rounded, loaded, panel_width, write_panels};
use crate::{Float, scratch};

/// The sizes of an attention. All batches lie one behind the other, row-major.
///
/// ```
/// use anemone_kernels::attention::Attention;
/// // Eight heads, of which each looks from one query at a cache of 128.
/// let decode = Attention { batch: 8, queries: 1, keys: 128, embedding: 64, width: 64 };
/// assert_eq!(decode.batch * decode.keys * decode.embedding, 65536);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attention {
    /// How many there are: batches and heads.
    pub batch: usize,
    /// How many queries each has.
    pub queries: usize,
    /// How many keys, and values, each has.
    pub keys: usize,
    /// The length of a query and of a key.
    pub embedding: usize,
    /// The length of a value.
    pub width: usize,
}

/// What is added to the scores.
///
/// ```
/// use anemone_kernels::attention::{Attention, Mask, attention};
/// let sizes = Attention { batch: 1, queries: 1, keys: 2, embedding: 1, width: 1 };
/// let mask = Mask { numbers: &[0.0, f32::NEG_INFINITY], starts: &[0] }; // the second key is hidden
/// let mut y = [0.0f32];
/// attention(1, &mut y, &[0.0], &[1.0, 2.0], &[10.0, 20.0], Some(mask), 1.0, &sizes);
/// assert_eq!(y, [10.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Mask<'a> {
    /// The numbers.
    pub numbers: &'a [f32],
    /// Where those of each query of each batch start; one for each key follows.
    pub starts: &'a [usize],
}

/// Computes `softmax(query · keyᵀ · scale + mask) · value`. Scores, weights and sums are carried in `f32`.
///
/// ```
/// use anemone_kernels::attention::{Attention, attention};
/// let sizes = Attention { batch: 1, queries: 1, keys: 2, embedding: 1, width: 1 };
/// let mut y = [0.0f32];
/// attention(1, &mut y, &[0.0], &[1.0, 2.0], &[10.0, 20.0], None, 1.0, &sizes);
/// assert_eq!(y, [15.0]);
/// ```
///
/// # Panics
///
/// When a slice has another length than the sizes say, or the mask does not reach as far.
#[allow(clippy::too_many_arguments)] // They are those of the operation.
pub fn attention<T: Float>(
    threads: usize,
    y: &mut [T],
    query: &[T],
    key: &[T],
    value: &[T],
    mask: Option<Mask<'_>>,
    scale: f32,
    sizes: &Attention,
) {
    let &Attention { batch, queries, keys, embedding, width } = sizes;
    let product = |a: usize, b: usize| batch.checked_mul(a)?.checked_mul(b);
    assert_eq!(product(queries, embedding), Some(query.len()), "the queries have their sizes");
    assert_eq!(product(keys, embedding), Some(key.len()), "the keys have their sizes");
    assert_eq!(product(keys, width), Some(value.len()), "the values have their sizes");
    assert_eq!(product(queries, width), Some(y.len()), "the result has its sizes");
    if let Some(mask) = mask {
        let reach = |&start: &usize| start.checked_add(keys).is_some_and(|end| end <= mask.numbers.len());
        assert!(
            mask.starts.len() == batch * queries && mask.starts.iter().all(reach),
            "the mask has a number for each query and key"
        );
    }
    if y.is_empty() {
        return;
    }
    if keys == 0 {
        // A mean of nothing.
        return y.fill(T::from_f32(0.0));
    }
    let block = Block { query, key, value, mask, scale, sizes };
    let threads = if y.len().saturating_mul(keys) < 1 << 16 { 1 } else { threads };
    let few = queries <= FEW_QUERIES;
    let rows = if few { 1 } else { queries.min(ROWS) };
    let blocks = queries.div_ceil(rows);
    let panel = panel_width();
    let y = Shared::new(y);
    parallel_for(threads, batch * blocks, 1, |tasks| {
        let mut scores = scratch::floats(rows * keys);
        let written = |count: usize, len: usize| {
            scratch::floats(if few { 0 } else { count.next_multiple_of(panel) * len })
        };
        let (mut key_panels, mut value_panels) = (written(keys, embedding), written(width, keys));
        let mut sums = scratch::floats(if few { width } else { 0 });
        let mut held = None;
        for task in tasks {
            let (item, first) = (task / blocks, task % blocks * rows);
            let (row, count) = (item * queries + first, rows.min(queries - first));
            if few {
                block.one(row, &mut scores, &mut sums);
                // SAFETY: a query is in one task only.
                T::narrow(unsafe { y.slice(row * width..(row + 1) * width) }, &sums);
                continue;
            }
            if held != Some(item) {
                held = Some(item);
                write_panels(&mut key_panels, panel, block.keys(item).transposed());
                write_panels(&mut value_panels, panel, block.values(item));
            }
            // SAFETY: a block of queries is in one task only.
            let results = unsafe { Rounded::new(&y, row * width, width, width, Bias::None, &[]) };
            block.several(row, count, &mut scores, [&key_panels, &value_panels], results);
        }
    });
}

/// Up to so many queries read keys and values where they are.
const FEW_QUERIES: usize = 2;

/// How many queries meet the keys at a time: so many that their scores stay in the second-level cache.
const ROWS: usize = 6 * MOST_ROWS;

/// An attention, of which some queries are computed.
struct Block<'a, T> {
    query: &'a [T],
    key: &'a [T],
    value: &'a [T],
    mask: Option<Mask<'a>>,
    scale: f32,
    sizes: &'a Attention,
}

impl<T: Float> Block<'_, T> {
    fn keys(&self, item: usize) -> Matrix<'_, T> {
        let &Attention { keys, embedding, .. } = self.sizes;
        Matrix::new(&self.key[item * keys * embedding..][..keys * embedding], keys, embedding)
    }

    fn values(&self, item: usize) -> Matrix<'_, T> {
        let &Attention { keys, width, .. } = self.sizes;
        Matrix::new(&self.value[item * keys * width..][..keys * width], keys, width)
    }

    /// What the mask adds to the scores of a query.
    fn added(&self, row: usize) -> Option<&[f32]> {
        self.mask.map(|mask| &mask.numbers[mask.starts[row]..][..self.sizes.keys])
    }

    /// The sums of one query, which is bound by the reading of keys and values.
    fn one(&self, row: usize, scores: &mut [f32], sums: &mut [f32]) {
        let (item, embedding) = (row / self.sizes.queries, self.sizes.embedding);
        scores.fill(0.0);
        sums.fill(0.0);
        dot_rows(scores, &self.query[row * embedding..][..embedding], self.keys(item).data);
        scores.iter_mut().for_each(|s| *s *= self.scale);
        if let Some(added) = self.added(row) {
            scores.iter_mut().zip(added).for_each(|(s, m)| *s += m);
        }
        let scale = 1.0 / weigh(scores);
        sum_rows(sums, scores, self.values(item).data);
        sums.iter_mut().for_each(|s| *s *= scale);
    }

    /// The results of some queries, with the panels of keys and of values.
    fn several(
        &self,
        row: usize,
        count: usize,
        scores: &mut [f32],
        [keys, values]: [&[f32]; 2],
        results: Rounded<'_, T>,
    ) {
        let (sizes, panel) = (self.sizes, panel_width());
        let mut wide = scratch::floats(0);
        let query = &self.query[row * sizes.embedding..][..count * sizes.embedding];
        let queries = Lines::of(Matrix::new(query, count, sizes.embedding), &mut wide);
        simd::dispatch(Band {
            x: queries,
            rows: count,
            inputs: sizes.embedding,
            panels: Panels::written(keys, sizes.embedding, panel, sizes.keys),
            ends: Scores {
                scores: &mut *scores,
                scale: self.scale,
                columns: sizes.keys,
                added: |r| self.added(row + r),
            },
        });
        let mut scales = [0.0; ROWS];
        for (scale, row) in scales.iter_mut().zip(scores.chunks_exact_mut(sizes.keys.max(1))).take(count) {
            *scale = 1.0 / weigh(row);
        }
        simd::dispatch(Band {
            x: Lines { data: scores, stride: sizes.keys },
            rows: count,
            inputs: sizes.keys,
            panels: Panels::written(values, sizes.keys, panel, sizes.width),
            ends: Means { results, scales: &scales },
        });
    }
}

/// Makes weights of the scores of a query, of which the largest is 1; gives their sum.
fn weigh(scores: &mut [f32]) -> f32 {
    simd::dispatch(Weigh(scores))
}

struct Weigh<'a>(&'a mut [f32]);

impl Kernel for Weigh<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f32 {
        const LANES: usize = 2 * simd::MAX_LANES;
        let (whole, rest) = self.0.as_chunks_mut::<LANES>();
        // A NaN is no largest one, but leaves its trace in the sum.
        let larger = |a: f32, b: f32| if b > a { b } else { a };
        let mut tops = [f32::NEG_INFINITY; LANES];
        for scores in &*whole {
            tops.iter_mut().zip(scores).for_each(|(top, &s)| *top = larger(*top, s));
        }
        let top = tops.iter().chain(&*rest).fold(f32::NEG_INFINITY, |top, &s| larger(top, s));
        let mut sums = [0.0; LANES];
        for scores in whole {
            for (sum, score) in sums.iter_mut().zip(scores) {
                *score = exp_below_one::<S>(*score - top);
                *sum += *score;
            }
        }
        for (sum, score) in sums.iter_mut().zip(rest) {
            *score = exp_below_one::<S>(*score - top);
            *sum += *score;
        }
        sums.iter().sum()
    }
}

/// Sums that become means: each row times its number.
struct Means<'a, T> {
    results: Rounded<'a, T>,
    scales: &'a [f32],
}

impl<T: Float> Ends for Means<'_, T> {
    #[inline(always)]
    fn tile<S: Simd, const R: usize>(&mut self, simd: S, row: usize, panel: usize, mut sums: [[S::V; 2]; R]) {
        let zero = simd.splat(0.0);
        for (sums, &scale) in sums.iter_mut().zip(&self.scales[row..row + R]) {
            let scale = simd.splat(scale);
            *sums = [simd.mul_add(sums[0], scale, zero), simd.mul_add(sums[1], scale, zero)];
        }
        self.results.tile(simd, row, panel, sums);
    }
}

/// Products that become scores.
struct Scores<'a, F> {
    /// A row for each query.
    scores: &'a mut [f32],
    columns: usize,
    scale: f32,
    /// What is added to those of a query.
    added: F,
}

impl<'m, F: Fn(usize) -> Option<&'m [f32]>> Ends for Scores<'_, F> {
    #[inline(always)]
    fn tile<S: Simd, const R: usize>(&mut self, simd: S, row: usize, panel: usize, sums: [[S::V; 2]; R]) {
        let first = panel * 2 * S::LANES;
        let columns = first..self.columns.min(first + 2 * S::LANES);
        let scale = simd.splat(self.scale);
        for (r, sums) in sums.into_iter().enumerate() {
            let added = (self.added)(row + r).map_or(&[][..], |all| &all[columns.clone()]);
            let added = loaded(simd, added);
            let scores = [simd.mul_add(sums[0], scale, added[0]), simd.mul_add(sums[1], scale, added[1])];
            finish::write(simd, &mut self.scores[(row + r) * self.columns..][columns.clone()], scores);
        }
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::testing::{close, floats};

    fn check<T: Float>(sizes: &Attention, masked: bool) {
        let &Attention { batch, queries, keys, embedding, width } = sizes;
        let q: Vec<T> = floats(batch * queries * embedding, 1);
        let k: Vec<T> = floats(batch * keys * embedding, 2);
        let v: Vec<T> = floats(batch * keys * width, 3);
        let mut numbers: Vec<f32> = floats(queries * keys + 3, 4);
        numbers[5 % queries] = f32::NEG_INFINITY;
        let starts: Vec<usize> = (0..batch * queries).map(|r| r % queries * keys).collect();
        let mask = masked.then_some(Mask { numbers: &numbers, starts: &starts });
        let mut y = vec![T::zeroed(); batch * queries * width];
        attention(1, &mut y, &q, &k, &v, mask, 0.5, sizes);
        let mut two = y.clone();
        attention(2, &mut two, &q, &k, &v, mask, 0.5, sizes);
        assert_eq!(bytemuck::cast_slice::<T, u8>(&y), bytemuck::cast_slice::<T, u8>(&two));
        for (row, y) in y.chunks(width).enumerate() {
            let at = |x: &[T], i: usize| f64::from(x[i].to_f32());
            let first = row / queries * keys;
            let scores: Vec<f64> = (0..keys)
                .map(|j| {
                    let dot: f64 = (0..embedding)
                        .map(|e| at(&q, row * embedding + e) * at(&k, (first + j) * embedding + e))
                        .sum();
                    dot * 0.5 + if masked { f64::from(numbers[starts[row] + j]) } else { 0.0 }
                })
                .collect();
            let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scores.iter().map(|s| (s - top).exp()).sum();
            for (e, &y) in y.iter().enumerate() {
                let exact: f64 =
                    (0..keys).map(|j| (scores[j] - top).exp() / sum * at(&v, (first + j) * width + e)).sum();
                close(y, exact, 3e-6, "attention");
            }
        }
    }

    #[test]
    fn attention_is_that_of_the_definition() {
        for (batch, queries, keys, embedding, width) in [
            (1, 1, 1, 1, 1),
            (2, 3, 5, 4, 7),
            (3, 1, 130, 64, 64),
            (1, 150, 40, 33, 20),
            (2, 70, 1100, 8, 16),
        ] {
            let sizes = Attention { batch, queries, keys, embedding, width };
            for masked in [false, true] {
                check::<f32>(&sizes, masked);
                check::<f16>(&sizes, masked);
            }
        }
    }
}
