//! Attention: each query looks at all keys and takes a mean of the values.
//!
//! ```
//! use anemone_kernels::attention::{Attention, Rows, attention};
//! // The key that is like the query has nearly all of the weight.
//! let sizes = Attention { batch: 1, queries: 1, keys: 2, embedding: 1, width: 1 };
//! let mut y = [0.0f32];
//! let rows = |data| Rows { data, starts: &[0], stride: 1 };
//! attention(1, &mut y, rows(&[10.0]), rows(&[-10.0, 10.0]), rows(&[1.0, 2.0]), None, 1.0, &sizes);
//! assert_eq!(y, [2.0]);
//! ```

use macro_rules_attribute::apply;

use crate::compiled::compiled_here;
use crate::finish;
use crate::gemm::{Bias, Matrix, dot_rows, sum_rows};
use crate::norm;
use crate::simd::{self, Kernel, Simd};
use crate::threads::{Shared, parallel_for};
use crate::tile::{Band, Ends, Lines, Panels, Rounded, TILE_ROWS, loaded, panel_width, write_panels};
use crate::{Float, scratch};

/// The sizes of an attention.
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

/// Where queries, keys or values lie: as rows, whose elements lie side by side.
///
/// ```
/// use anemone_kernels::attention::{Attention, Rows, attention};
/// // Two heads look at the same key and value.
/// let sizes = Attention { batch: 2, queries: 1, keys: 1, embedding: 1, width: 1 };
/// let (queries, shared) = (Rows { data: &[1.0, 2.0], starts: &[0, 1], stride: 1 }, |data| Rows { data, starts: &[0, 0], stride: 1 });
/// let mut y = [0.0f32; 2];
/// attention(1, &mut y, queries, shared(&[1.0]), shared(&[5.0]), None, 1.0, &sizes);
/// assert_eq!(y, [5.0, 5.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, T> {
    /// All elements.
    pub data: &'a [T],
    /// Where those of each batch start.
    pub starts: &'a [usize],
    /// From a row to the next.
    pub stride: usize,
}

impl<'a, T: Float> Rows<'a, T> {
    /// `count` rows of `len` elements of a batch, from this one on.
    fn matrix(&self, item: usize, first: usize, count: usize, len: usize) -> Matrix<'a, T> {
        let data = &self.data[self.starts[item] + first * self.stride..];
        Matrix::strided(data, count, len, self.stride, 1).at(0)
    }

    /// Checks that there are as many in each batch.
    fn check(&self, what: &str, batch: usize, count: usize, len: usize) {
        let reach = count.saturating_sub(1).saturating_mul(self.stride).saturating_add(len);
        let within = |&start: &usize| start.checked_add(reach).is_some_and(|end| end <= self.data.len());
        let none = count == 0 || len == 0;
        assert!(
            self.starts.len() == batch && (none || self.starts.iter().all(within)),
            "the {what} have their sizes"
        );
    }
}

/// What is added to the scores.
///
/// ```
/// use anemone_kernels::attention::{Attention, Mask, Rows, attention};
/// let sizes = Attention { batch: 1, queries: 1, keys: 2, embedding: 1, width: 1 };
/// let mask = Mask { numbers: &[0.0, f32::NEG_INFINITY], starts: &[0] }; // the second key is hidden
/// let mut y = [0.0f32];
/// let rows = |data| Rows { data, starts: &[0], stride: 1 };
/// attention(1, &mut y, rows(&[0.0]), rows(&[1.0, 2.0]), rows(&[10.0, 20.0]), Some(mask), 1.0, &sizes);
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
/// use anemone_kernels::attention::{Attention, Rows, attention};
/// let sizes = Attention { batch: 1, queries: 1, keys: 2, embedding: 1, width: 1 };
/// let rows = |data| Rows { data, starts: &[0], stride: 1 };
/// let mut y = [0.0f32];
/// attention(1, &mut y, rows(&[0.0]), rows(&[1.0, 2.0]), rows(&[10.0, 20.0]), None, 1.0, &sizes);
/// assert_eq!(y, [15.0]);
/// ```
///
/// # Panics
///
/// When a slice has another length than the sizes say, or the mask does not reach as far.
#[allow(clippy::too_many_arguments)] // They are those of the operation.
#[apply(compiled_here)]
pub fn attention<T: Float>(
    threads: usize,
    y: &mut [T],
    query: Rows<'_, T>,
    key: Rows<'_, T>,
    value: Rows<'_, T>,
    mask: Option<Mask<'_>>,
    scale: f32,
    sizes: &Attention,
) {
    let &Attention { batch, queries, keys, embedding, width } = sizes;
    query.check("queries", batch, queries, embedding);
    key.check("keys", batch, keys, embedding);
    value.check("values", batch, keys, width);
    let results = batch.checked_mul(queries).and_then(|rows| rows.checked_mul(width));
    assert_eq!(results, Some(y.len()), "the result has its sizes");
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
            let places = (key.starts[item], value.starts[item]);
            if held != Some(places) {
                held = Some(places);
                write_panels(&mut key_panels, panel, key.matrix(item, 0, keys, embedding).transposed());
                write_panels(&mut value_panels, panel, value.matrix(item, 0, keys, width));
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
const ROWS: usize = 6 * TILE_ROWS;

/// An attention, of which some queries are computed.
struct Block<'a, T> {
    query: Rows<'a, T>,
    key: Rows<'a, T>,
    value: Rows<'a, T>,
    mask: Option<Mask<'a>>,
    scale: f32,
    sizes: &'a Attention,
}

impl<T: Float> Block<'_, T> {
    /// What the mask adds to the scores of a query.
    fn added(&self, row: usize) -> Option<&[f32]> {
        self.mask.map(|mask| &mask.numbers[mask.starts[row]..][..self.sizes.keys])
    }

    /// The sums of one query, which is bound by the reading of keys and values.
    fn one(&self, row: usize, scores: &mut [f32], sums: &mut [f32]) {
        let &Attention { queries, keys, embedding, width, .. } = self.sizes;
        let item = row / queries;
        scores.fill(0.0);
        sums.fill(0.0);
        let query = self.query.matrix(item, row % queries, 1, embedding);
        dot_rows(scores, &query.data[..embedding], self.key.matrix(item, 0, keys, embedding));
        scores.iter_mut().for_each(|s| *s *= self.scale);
        if let Some(added) = self.added(row) {
            scores.iter_mut().zip(added).for_each(|(s, m)| *s += m);
        }
        let scale = 1.0 / weigh(scores);
        sum_rows(sums, scores, self.value.matrix(item, 0, keys, width));
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
        let query = self.query.matrix(row / sizes.queries, row % sizes.queries, count, sizes.embedding);
        let queries = Lines::of(query, &mut wide);
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
        norm::weigh::<S>(self.0)
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
        let all = [queries * embedding, keys * embedding, keys * width];
        let all = all.map(|each| (0..batch).map(|item| item * each).collect::<Vec<_>>());
        let rows = |i: usize, data, stride| Rows { data, starts: &all[i], stride };
        let (a, b, c) = (rows(0, &q[..], embedding), rows(1, &k, embedding), rows(2, &v, width));
        attention(1, &mut y, a, b, c, mask, 0.5, sizes);
        let mut two = y.clone();
        attention(2, &mut two, a, b, c, mask, 0.5, sizes);
        assert_eq!(bytemuck::cast_slice::<T, u8>(&y), bytemuck::cast_slice::<T, u8>(&two));
        // Rows that lie apart, with something between them, and batches in another order.
        let apart = |x: &[T], count: usize, len: usize| {
            let (stride, mut data) = (len + 3, vec![T::from_f32(f32::NAN); batch * count * (len + 3) + 5]);
            let starts: Vec<usize> = (0..batch).rev().map(|item| 5 + item * count * stride).collect();
            for (row, from) in x.chunks(len).enumerate() {
                data[starts[row / count] + row % count * stride..][..len].copy_from_slice(from);
            }
            (data, starts, stride)
        };
        let lie = [apart(&q, queries, embedding), apart(&k, keys, embedding), apart(&v, keys, width)];
        let [a, b, c] =
            lie.each_ref().map(|(data, starts, stride)| Rows { data: &data[..], starts, stride: *stride });
        attention(2, &mut two, a, b, c, mask, 0.5, sizes);
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
