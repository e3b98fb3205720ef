//! Attention: each query looks at all keys and takes a mean of the values.

use crate::gemm::{Matrix, add_product, dot_rows, sum_rows};
use crate::norm::softmax_row;
use crate::threads::{Shared, parallel_for};
use crate::{Float, scratch};

/// The sizes of an attention. All batches lie one behind the other, row-major.
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
    // Queries are handled in blocks, so that scores take little memory.
    let rows = queries.min(64);
    let blocks = queries.div_ceil(rows);
    let work = y.len().saturating_mul(keys);
    let y = Shared::new(y);
    parallel_for(if work < 1 << 16 { 1 } else { threads }, batch * blocks, 1, |tasks| {
        let mut scores = scratch::floats(rows * keys);
        let mut sums = scratch::floats(rows * width);
        for task in tasks {
            let (item, first) = (task / blocks, task % blocks * rows);
            let n = rows.min(queries - first);
            let row = item * queries + first;
            let query = &query[row * embedding..][..n * embedding];
            let key = &key[item * keys * embedding..][..keys * embedding];
            let value = &value[item * keys * width..][..keys * width];
            let (scores, sums) = (&mut scores[..n * keys], &mut sums[..n * width]);
            scores.fill(0.0);
            sums.fill(0.0);
            if n == 1 {
                dot_rows(scores, query, key);
            } else {
                let key = Matrix::new(key, keys, embedding).transposed();
                add_product(scores, Matrix::new(query, n, embedding), key);
            }
            for (i, scores) in scores.chunks_exact_mut(keys.max(1)).enumerate() {
                scores.iter_mut().for_each(|s| *s *= scale);
                if let Some(mask) = mask {
                    let numbers = &mask.numbers[mask.starts[row + i]..][..keys];
                    scores.iter_mut().zip(numbers).for_each(|(s, m)| *s += m);
                }
                softmax_row(scores);
            }
            if n == 1 {
                sum_rows(sums, scores, value);
            } else {
                add_product(sums, Matrix::new(scores, n, keys), Matrix::new(value, keys, width));
            }
            // SAFETY: a block of queries is in one task only.
            T::narrow(unsafe { y.slice(row * width..(row + n) * width) }, sums);
        }
    });
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
