//! Products of one row, which are bound by the reading of the matrix.

use super::{Bias, Matrix};
use crate::simd::{self, Kernel, Simd};
use crate::threads::{Shared, parallel_for};
use crate::{Float, scratch};

/// The products of one row each, as many as `c` has rows. `item_at` says where the matrices of each start.
pub(super) fn batched<A: Float, B: Float, C: Float>(
    threads: usize,
    c: &mut [C],
    a: Matrix<'_, A>,
    b: Matrix<'_, B>,
    item_at: impl Fn(usize) -> (usize, usize) + Sync,
    bias: Bias<'_>,
) {
    let (k, n) = (a.columns, b.columns);
    let dots = b.row_stride == 1 || k == 1;
    // A task reads whole cache lines: of rows that lie one after the other so many that each of the four streams in which
    // they are read is long, of lines of rows as many as sums fit into the first-level cache.
    let (task, least) = if dots { (1 << 20, 64) } else { (1 << 16, 512) };
    // Each of several threads gets a few of them.
    let most = if dots && threads > 1 { n.div_ceil(4 * threads).next_multiple_of(4) } else { n };
    let columns = (task / k.max(1)).min(most).clamp(least, 2048).min(n);
    let (items, across) = (c.len() / n, n.div_ceil(columns));
    let c = Shared::new(c);
    parallel_for(threads, items * across, 1, |tasks| {
        // The row keeps its type: one of halves stays in the first-level cache where as many floats, past which weights go, do not.
        let side_by_side = a.column_stride == 1 || k <= 1;
        let mut gathered = scratch::scratch::<A>(if side_by_side { 0 } else { k });
        let mut sums = scratch::floats(columns);
        let mut held = None;
        for task in tasks {
            let (item, j) = (task / across, task % across * columns);
            let row = a.at(item_at(item).0).data;
            if !side_by_side && held != Some(item) {
                for (x, a) in gathered.iter_mut().zip(row.iter().step_by(a.column_stride.max(1))) {
                    *x = *a;
                }
                held = Some(item);
            }
            let x = if side_by_side { &row[..k] } else { &gathered };
            let columns = j..n.min(j + columns);
            let sums = &mut sums[..columns.len()];
            for (sum, column) in sums.iter_mut().zip(columns.clone()) {
                *sum = bias.at(0, column);
            }
            let b = b.at(item_at(item).1).block(0..k, columns.clone());
            if dots {
                simd::dispatch(Dots { y: sums, x, b: b.data, stride: b.column_stride });
            } else {
                simd::dispatch(Rows { y: sums, x, b: b.data, stride: b.row_stride });
            }
            // SAFETY: a range of columns of an item is in one task only.
            C::narrow(unsafe { c.slice(item * n + columns.start..item * n + columns.end) }, sums);
        }
    });
}

/// From so many bytes on a matrix is asked for ahead of its reading.
const FAR: usize = 1 << 15;

/// Adds to each `y` the dot product of `x` with a row of `b`, whose elements lie side by side.
pub(crate) fn dot_rows<T: Float, W: Float>(y: &mut [f32], x: &[T], b: Matrix<'_, W>) {
    simd::dispatch(Dots { y, x, b: b.data, stride: b.row_stride });
}

/// Adds to `y` the sum of the rows of `b`, each times its `x`.
pub(crate) fn sum_rows<T: Float>(y: &mut [f32], x: &[f32], b: Matrix<'_, T>) {
    simd::dispatch(Rows { y, x, b: b.data, stride: b.row_stride });
}

/// Adds to each `y` the dot product of `x` with as many elements of `b`, which start `stride` apart.
struct Dots<'a, X, T> {
    y: &'a mut [f32],
    x: &'a [X],
    b: &'a [T],
    stride: usize,
}

impl<X: Float, T: Float> Kernel for Dots<'_, X, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { y, x, b, stride } = self;
        let column = |j: usize| &b[j * stride..][..x.len()];
        let far = size_of_val(b) >= FAR && simd::streams_pay_for_asking();
        // Four rows at a time, which lie far apart: memory that is read in several places is read faster.
        let apart = y.len() / 4;
        for j in 0..apart {
            let places = [j, j + apart, j + 2 * apart, j + 3 * apart];
            let [p, q, r, s] = places;
            let sums = dots(simd, x, [column(p), column(q), column(r), column(s)], far);
            for (at, sum) in places.into_iter().zip(sums) {
                y[at] += sum;
            }
        }
        let fours = 4 * apart;
        for (y, j) in y[fours..].iter_mut().zip(fours..) {
            *y += dots(simd, x, [column(j)], far)[0];
        }
    }
}

/// The dot products of `x` with each of `columns`.
#[inline(always)]
fn dots<S: Simd, X: Float, T: Float, const N: usize>(
    simd: S,
    x: &[X],
    columns: [&[T]; N],
    far: bool,
) -> [f32; N] {
    // Two sums for each column: a processor adds to several at a time.
    let mut sums = [[simd.splat(0.0); 2]; N];
    let whole = x.len() / (2 * S::LANES) * (2 * S::LANES);
    for i in (0..whole).step_by(2 * S::LANES) {
        let (a, b) = (X::load(simd, &x[i..]), X::load(simd, &x[i + S::LANES..]));
        for (sums, column) in sums.iter_mut().zip(columns) {
            if far {
                simd::prefetch(&column[i..], simd::AHEAD);
            }
            sums[0] = simd.mul_add(a, T::load(simd, &column[i..]), sums[0]);
            sums[1] = simd.mul_add(b, T::load(simd, &column[i + S::LANES..]), sums[1]);
        }
    }
    for i in (whole..x.len()).step_by(S::LANES) {
        let end = x.len().min(i + S::LANES);
        let x = X::load_some(simd, &x[i..end]);
        for n in 0..N {
            sums[n][0] = simd.mul_add(x, T::load_some(simd, &columns[n][i..end]), sums[n][0]);
        }
    }
    sums.map(|[a, b]| simd.sum(simd.add(a, b)))
}

/// Adds to `y` the sum of the rows of `b`, which start `stride` apart, each times its `x`.
struct Rows<'a, X, T> {
    y: &'a mut [f32],
    x: &'a [X],
    b: &'a [T],
    stride: usize,
}

impl<X: Float, T: Float> Kernel for Rows<'_, X, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { y, x, b, stride } = self;
        let n = y.len();
        let row = |p: usize| &b[p * stride..][..n];
        let far = size_of_val(b) >= FAR;
        // Four rows at a time: a sum is loaded and stored once for four products.
        let (fours, ones) = x.as_chunks::<4>();
        for (p, &[e, f, g, h]) in fours.iter().enumerate() {
            let x = [e.to_f32(), f.to_f32(), g.to_f32(), h.to_f32()];
            let p = 4 * p;
            add_rows(simd, &mut *y, x, [row(p), row(p + 1), row(p + 2), row(p + 3)], far);
        }
        for (p, &x) in ones.iter().enumerate() {
            add_rows(simd, &mut *y, [x.to_f32()], [row(4 * fours.len() + p)], far);
        }
    }
}

/// Adds to `y` each of `rows` times its `x`.
#[inline(always)]
fn add_rows<S: Simd, T: Float, const N: usize>(
    simd: S,
    y: &mut [f32],
    x: [f32; N],
    rows: [&[T]; N],
    far: bool,
) {
    let wide = x.map(|x| simd.splat(x));
    let whole = y.len() / S::LANES * S::LANES;
    for j in (0..whole).step_by(S::LANES) {
        let mut sum = simd.load(&y[j..]);
        for n in 0..N {
            if far {
                simd::prefetch(&rows[n][j..], simd::AHEAD);
            }
            sum = simd.mul_add(wide[n], T::load(simd, &rows[n][j..]), sum);
        }
        simd.store(&mut y[j..], sum);
    }
    for j in whole..y.len() {
        for n in 0..N {
            y[j] += x[n] * rows[n][j].to_f32();
        }
    }
}
