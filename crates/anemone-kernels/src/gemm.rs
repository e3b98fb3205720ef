//! Products of matrices.
//!
//! [`gemm()`] computes `C = A·B + bias`, [`gemm_batched`] many products of one form. Sums are carried in `f32`; how
//! far a result is from the exact one is bounded by `k · 2^-24 · Σ|a·b|`, and it is rounded once to the dtype of `C`.
//!
//! The result is cut into blocks whose size depends on the shape alone, and each block is computed by one thread, so
//! that every number of threads gives the same bits. Halves are widened block by block.

use std::ops::Range;

use crate::Float;
use crate::scratch;
use crate::simd::{self, Kernel, Simd};
use crate::threads::{Shared, parallel_for};

/// A matrix to read: elements at `row · row_stride + column · column_stride` of a slice.
///
/// ```
/// use anemone_kernels::gemm::Matrix;
/// let m = Matrix::new(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3);
/// assert_eq!((m.rows(), m.columns()), (2, 3));
/// assert_eq!(m.transposed().rows(), 3);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T: Float> Matrix<'a, T> {
    /// A row-major matrix that starts at the front of `data`. What lies behind it is reached by the offsets of
    /// [`gemm_batched`].
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns, 1)
    }

    /// A matrix with any strides.
    pub fn strided(
        data: &'a [T],
        rows: usize,
        columns: usize,
        row_stride: usize,
        column_stride: usize,
    ) -> Self {
        Self { data, rows, columns, row_stride, column_stride }
    }

    /// The matrix with rows and columns exchanged; nothing is moved.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Whether the elements of each row, or those of each column, lie side by side.
    fn has_unit_stride(&self) -> bool {
        self.row_stride == 1 || self.column_stride == 1 || self.rows <= 1 || self.columns <= 1
    }

    /// The matrix that starts `offset` elements later, which must lie within the slice.
    pub(crate) fn at(self, offset: usize) -> Self {
        let span = |count: usize, stride: usize| count.saturating_sub(1).saturating_mul(stride);
        let end = span(self.rows, self.row_stride)
            .saturating_add(span(self.columns, self.column_stride))
            .saturating_add(offset)
            .saturating_add(1);
        let empty = self.rows == 0 || self.columns == 0;
        assert!(empty || end <= self.data.len(), "a matrix lies within its slice");
        Self { data: if empty { &[] } else { &self.data[offset..] }, ..self }
    }

    /// Some rows and columns of it.
    pub(crate) fn block(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        let start = rows.start * self.row_stride + columns.start * self.column_stride;
        Self { data: self.data.get(start..).unwrap_or(&[]), rows: rows.len(), columns: columns.len(), ..self }
    }

    /// The same numbers as `f32`: the matrix itself, or widened into `wide`.
    pub(crate) fn widened<'b>(self, wide: &'b mut [f32]) -> Matrix<'b, f32>
    where
        'a: 'b,
    {
        if let Some(data) = T::as_f32s(self.data) {
            return Matrix {
                data,
                rows: self.rows,
                columns: self.columns,
                row_stride: self.row_stride,
                column_stride: self.column_stride,
            };
        }
        let (rows, columns) = (self.rows, self.columns);
        if self.row_stride == 1 && self.column_stride != 1 {
            return self.transposed().widened(wide).transposed();
        }
        let wide = &mut wide[..rows * columns];
        if self.column_stride == 1 && self.row_stride == columns {
            T::widen(wide, &self.data[..rows * columns]);
        } else {
            for (to, row) in wide.chunks_exact_mut(columns.max(1)).zip(0..rows) {
                let from = &self.data[row * self.row_stride..];
                if self.column_stride == 1 {
                    T::widen(to, &from[..columns]);
                } else {
                    for (to, from) in to.iter_mut().zip(from.iter().step_by(self.column_stride)) {
                        *to = from.to_f32();
                    }
                }
            }
        }
        Matrix::new(wide, rows, columns)
    }
}

/// What is added to a product.
#[derive(Clone, Copy, Debug)]
pub enum Bias<'a> {
    /// Nothing.
    None,
    /// One number for each row.
    Rows(&'a [f32]),
    /// One number for each column.
    Columns(&'a [f32]),
}

impl Bias<'_> {
    fn at(self, row: usize, column: usize) -> f32 {
        match self {
            Bias::None => 0.0,
            Bias::Rows(bias) => bias[row],
            Bias::Columns(bias) => bias[column],
        }
    }
}

/// Computes `C = A·B + bias`; `c` is row-major.
///
/// ```
/// use anemone_kernels::gemm::{Bias, Matrix, gemm};
/// let (a, b) = ([1.0f32, 2.0, 3.0, 4.0], [5.0f32, 6.0, 7.0, 8.0]);
/// let mut c = [0.0f32; 4];
/// gemm(1, &mut c, Matrix::new(&a, 2, 2), Matrix::new(&b, 2, 2), Bias::Columns(&[0.5, 0.0]));
/// assert_eq!(c, [19.5, 22.0, 43.5, 50.0]);
/// ```
///
/// # Panics
///
/// When the columns of `a` are not as many as the rows of `b`, `c` has not one element for each row and column,
/// `bias` not one for each row or column, or a matrix reaches past its slice.
pub fn gemm<A: Float, B: Float, C: Float>(
    threads: usize,
    c: &mut [C],
    a: Matrix<'_, A>,
    b: Matrix<'_, B>,
    bias: Bias<'_>,
) {
    gemm_batched(threads, c, a, b, &[(0, 0)], bias);
}

/// Computes one product for each of `items`, whose matrices start so many elements behind `a` and `b`; the products
/// lie one behind the other in `c`.
///
/// ```
/// use anemone_kernels::gemm::{Bias, Matrix, gemm_batched};
/// // One row times two matrices.
/// let (a, b) = ([1.0f32, 10.0], [1.0f32, 2.0, 3.0, 4.0]);
/// let mut c = [0.0f32; 2];
/// gemm_batched(1, &mut c, Matrix::new(&a, 1, 2), Matrix::new(&b, 2, 1), &[(0, 0), (0, 2)], Bias::None);
/// assert_eq!(c, [21.0, 43.0]);
/// ```
///
/// # Panics
///
/// As [`gemm()`].
pub fn gemm_batched<A: Float, B: Float, C: Float>(
    threads: usize,
    c: &mut [C],
    a: Matrix<'_, A>,
    b: Matrix<'_, B>,
    items: &[(usize, usize)],
    bias: Bias<'_>,
) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert_eq!(b.rows, k, "the columns of the first matrix are as many as the rows of the second");
    assert_eq!(
        Some(c.len()),
        m.checked_mul(n).and_then(|mn| mn.checked_mul(items.len())),
        "a product has one element for each row and column"
    );
    match bias {
        Bias::Rows(bias) => assert_eq!(bias.len(), m, "a bias has one number for each row"),
        Bias::Columns(bias) => assert_eq!(bias.len(), n, "a bias has one number for each column"),
        Bias::None => {}
    }
    if c.is_empty() {
        return;
    }
    // Waking a thread costs more than so many multiplications.
    let work = c.len().saturating_mul(k.max(1));
    let threads = if work < 1 << 16 { 1 } else { threads };

    if m == 1 && b.has_unit_stride() {
        gemv_batched(threads, c, a, b, items, bias);
    } else if n == 1 && a.has_unit_stride() {
        let items: Vec<_> = items.iter().map(|&(a, b)| (b, a)).collect();
        let bias = match bias {
            Bias::Rows(bias) => Bias::Columns(bias),
            Bias::Columns(bias) => Bias::Rows(bias),
            Bias::None => Bias::None,
        };
        gemv_batched(threads, c, b.transposed(), a.transposed(), &items, bias);
    } else {
        blocks_batched(threads, c, a, b, items, bias);
    }
}

/// The size of the blocks that a product is cut into.
struct Blocks {
    rows: usize,
    columns: usize,
}

impl Blocks {
    fn of(m: usize, n: usize, items: usize) -> Self {
        // Blocks of 128 by 256 use the caches well. Fewer than 8 blocks would leave threads idle at the end, so
        // that small results are cut finer, down to what the innermost loops need.
        let (mut rows, mut columns) = (m.min(128), n.min(256));
        while items * m.div_ceil(rows) * n.div_ceil(columns) < 8 {
            if columns > 64 {
                columns = (columns / 2).next_multiple_of(32);
            } else if rows > 32 {
                rows = (rows / 2).next_multiple_of(16);
            } else {
                break;
            }
        }
        Self { rows, columns }
    }
}

/// How many columns of `A`, and rows of `B`, are widened at once: what stays in the second-level cache.
pub(crate) const DEPTH: usize = 1024;

/// Memory for the parts of two operands that are widened.
pub(crate) struct Panels {
    a: scratch::Floats,
    b: scratch::Floats,
}

impl Panels {
    /// For products of at most this many rows, depth and columns.
    pub(crate) fn new<A: Float, B: Float>(m: usize, k: usize, n: usize) -> Self {
        let panel = |wide: bool, lines: usize| scratch::floats(if wide { 0 } else { lines * k.min(DEPTH) });
        Self { a: panel(A::as_f32s(&[]).is_some(), m), b: panel(B::as_f32s(&[]).is_some(), n) }
    }

    /// Adds `a·b` to the row-major `c`, on this thread.
    pub(crate) fn add<A: Float, B: Float>(&mut self, c: &mut [f32], a: Matrix<'_, A>, b: Matrix<'_, B>) {
        let wide = A::as_f32s(&[]).is_some() && B::as_f32s(&[]).is_some();
        let step = if wide { a.columns } else { DEPTH };
        for start in (0..a.columns).step_by(step.max(1)) {
            let depth = start..a.columns.min(start + step);
            add_product(
                c,
                a.block(0..a.rows, depth.clone()).widened(&mut self.a),
                b.block(depth, 0..b.columns).widened(&mut self.b),
            );
        }
    }
}

/// The products, block by block.
fn blocks_batched<A: Float, B: Float, C: Float>(
    threads: usize,
    c: &mut [C],
    a: Matrix<'_, A>,
    b: Matrix<'_, B>,
    items: &[(usize, usize)],
    bias: Bias<'_>,
) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    let size = Blocks::of(m, n, items.len());
    let (down, across) = (m.div_ceil(size.rows), n.div_ceil(size.columns));
    let c = Shared::new(c);
    parallel_for(threads, items.len() * down * across, 1, |tasks| {
        let mut panels = Panels::new::<A, B>(size.rows, k, size.columns);
        let mut sums = scratch::floats(size.rows * size.columns);
        for task in tasks {
            // Blocks that share columns follow each other: `B` is the larger operand more often.
            let (item, block) = (task / (down * across), task % (down * across));
            let (i, j) = (block % down * size.rows, block / down * size.columns);
            let (rows, columns) = (i..m.min(i + size.rows), j..n.min(j + size.columns));
            let (a, b) = (a.at(items[item].0), b.at(items[item].1));
            let sums = &mut sums[..rows.len() * columns.len()];
            for (sums, row) in sums.chunks_exact_mut(columns.len()).zip(rows.clone()) {
                for (sum, column) in sums.iter_mut().zip(columns.clone()) {
                    *sum = bias.at(row, column);
                }
            }
            panels.add(sums, a.block(rows.clone(), 0..k), b.block(0..k, columns.clone()));
            for (sums, row) in sums.chunks_exact(columns.len()).zip(rows) {
                let start = (item * m + row) * n;
                // SAFETY: a block is in one task only, and blocks do not overlap.
                C::narrow(unsafe { c.slice(start + columns.start..start + columns.end) }, sums);
            }
        }
    });
}

/// Adds `a·b` to the row-major `c`, on this thread.
pub(crate) fn add_product(c: &mut [f32], a: Matrix<'_, f32>, b: Matrix<'_, f32>) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    let (a, b) = (a.at(0), b.at(0));
    assert_eq!(b.rows, k, "the columns of the first matrix are as many as the rows of the second");
    assert_eq!(c.len(), m * n, "a product has one element for each row and column");
    // SAFETY: the assertions (those of `at` for the operands) keep every element that the product reads or writes
    // within its slice; `c` is borrowed mutably, so that it overlaps neither operand.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            n as isize,
            true,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// The products of one row each.
fn gemv_batched<A: Float, B: Float, C: Float>(
    threads: usize,
    c: &mut [C],
    a: Matrix<'_, A>,
    b: Matrix<'_, B>,
    items: &[(usize, usize)],
    bias: Bias<'_>,
) {
    let (k, n) = (a.columns, b.columns);
    // A task reads about 64 Ki weights, of whole cache lines: lines of rows are the longer the better, up to what
    // sums the first-level cache holds.
    let least = if b.row_stride == 1 || k == 1 { 64 } else { 512 };
    let columns = ((1 << 16) / k.max(1)).clamp(least, 2048).min(n);
    let across = n.div_ceil(columns);
    let c = Shared::new(c);
    parallel_for(threads, items.len() * across, 1, |tasks| {
        let mut x = scratch::floats(k);
        let mut sums = scratch::floats(columns);
        let mut held = None;
        for task in tasks {
            let (item, j) = (task / across, task % across * columns);
            if held != Some(item) {
                let row = a.at(items[item].0);
                for (x, a) in x.iter_mut().zip(row.data.iter().step_by(row.column_stride.max(1))) {
                    *x = a.to_f32();
                }
                held = Some(item);
            }
            let columns = j..n.min(j + columns);
            let sums = &mut sums[..columns.len()];
            for (sum, column) in sums.iter_mut().zip(columns.clone()) {
                *sum = bias.at(0, column);
            }
            let b = b.at(items[item].1).block(0..k, columns.clone());
            if b.row_stride == 1 || k == 1 {
                simd::dispatch(Dots { y: sums, x: &x, b: b.data, stride: b.column_stride });
            } else {
                simd::dispatch(Rows { y: sums, x: &x, b: b.data, stride: b.row_stride });
            }
            // SAFETY: a range of columns of an item is in one task only.
            C::narrow(unsafe { c.slice(item * n + columns.start..item * n + columns.end) }, sums);
        }
    });
}

/// Adds to each `y` the dot product of `x` with a row of `b`.
pub(crate) fn dot_rows<T: Float>(y: &mut [f32], x: &[T], b: &[T]) {
    let mut wide = scratch::floats(x.len());
    T::widen(&mut wide, x);
    simd::dispatch(Dots { y, x: &wide, b, stride: x.len() });
}

/// Adds to `y` the sum of the rows of `b`, each times its `x`.
pub(crate) fn sum_rows<T: Float>(y: &mut [f32], x: &[f32], b: &[T]) {
    let stride = y.len();
    simd::dispatch(Rows { y, x, b, stride });
}

/// Adds to each `y` the dot product of `x` with as many elements of `b`, which start `stride` apart.
struct Dots<'a, T> {
    y: &'a mut [f32],
    x: &'a [f32],
    b: &'a [T],
    stride: usize,
}

impl<T: Float> Kernel for Dots<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { y, x, b, stride } = self;
        let column = |j: usize| &b[j * stride..][..x.len()];
        let fours = y.len() / 4 * 4;
        for j in (0..fours).step_by(4) {
            let sums = dots(simd, x, [column(j), column(j + 1), column(j + 2), column(j + 3)]);
            for (y, sum) in y[j..j + 4].iter_mut().zip(sums) {
                *y += sum;
            }
        }
        for (y, j) in y[fours..].iter_mut().zip(fours..) {
            *y += dots(simd, x, [column(j)])[0];
        }
    }
}

/// The dot products of `x` with each of `columns`.
#[inline(always)]
fn dots<S: Simd, T: Float, const N: usize>(simd: S, x: &[f32], columns: [&[T]; N]) -> [f32; N] {
    // Two sums for each column: a processor adds to several at a time.
    let mut sums = [[simd.splat(0.0); 2]; N];
    let whole = x.len() / (2 * S::LANES) * (2 * S::LANES);
    for i in (0..whole).step_by(2 * S::LANES) {
        let (a, b) = (simd.load(&x[i..]), simd.load(&x[i + S::LANES..]));
        for (sums, column) in sums.iter_mut().zip(columns) {
            sums[0] = simd.mul_add(a, T::load(simd, &column[i..]), sums[0]);
            sums[1] = simd.mul_add(b, T::load(simd, &column[i + S::LANES..]), sums[1]);
        }
    }
    for i in (whole..x.len()).step_by(S::LANES) {
        let end = x.len().min(i + S::LANES);
        let mut tail = [0.0; simd::MAX_LANES];
        tail[..end - i].copy_from_slice(&x[i..end]);
        let x = simd.load(&tail);
        for n in 0..N {
            let mut tail = [T::zeroed(); simd::MAX_LANES];
            tail[..end - i].copy_from_slice(&columns[n][i..end]);
            sums[n][0] = simd.mul_add(x, T::load(simd, &tail), sums[n][0]);
        }
    }
    sums.map(|[a, b]| simd.sum(simd.add(a, b)))
}

/// Adds to `y` the sum of the rows of `b`, which start `stride` apart, each times its `x`.
struct Rows<'a, T> {
    y: &'a mut [f32],
    x: &'a [f32],
    b: &'a [T],
    stride: usize,
}

impl<T: Float> Kernel for Rows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { y, x, b, stride } = self;
        let n = y.len();
        let row = |p: usize| &b[p * stride..][..n];
        let fours = x.len() / 4 * 4;
        let mut p = 0;
        while p < x.len() {
            // Four rows at a time: a sum is loaded and stored once for four products.
            if p < fours {
                add_rows(
                    simd,
                    &mut *y,
                    [x[p], x[p + 1], x[p + 2], x[p + 3]],
                    [0, 1, 2, 3].map(|i| row(p + i)),
                );
                p += 4;
            } else {
                add_rows(simd, &mut *y, [x[p]], [row(p)]);
                p += 1;
            }
        }
    }
}

/// Adds to `y` each of `rows` times its `x`.
#[inline(always)]
fn add_rows<S: Simd, T: Float, const N: usize>(simd: S, y: &mut [f32], x: [f32; N], rows: [&[T]; N]) {
    let wide = x.map(|x| simd.splat(x));
    let whole = y.len() / S::LANES * S::LANES;
    for j in (0..whole).step_by(S::LANES) {
        let mut sum = simd.load(&y[j..]);
        for n in 0..N {
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

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::testing::{close, floats};

    /// The product by its definition, and the sum of the magnitudes of what is added.
    fn naive<A: Float, B: Float>(a: Matrix<'_, A>, b: Matrix<'_, B>, bias: Bias<'_>) -> Vec<(f64, f64)> {
        let mut c = Vec::new();
        for i in 0..a.rows {
            for j in 0..b.columns {
                let mut sum = f64::from(bias.at(i, j));
                let mut size = sum.abs();
                for p in 0..a.columns {
                    let product = f64::from(a.data[i * a.row_stride + p * a.column_stride].to_f32())
                        * f64::from(b.data[p * b.row_stride + j * b.column_stride].to_f32());
                    sum += product;
                    size += product.abs();
                }
                c.push((sum, size));
            }
        }
        c
    }

    /// Checks a product of this shape in every layout, for every kind of bias and number of threads.
    fn check<A: Float, B: Float, C: Float>(m: usize, k: usize, n: usize) {
        let (a, b): (Vec<A>, Vec<B>) = (floats(m * k * 2, 1), floats(k * n * 2, 2));
        let (rows, columns): (Vec<f32>, Vec<f32>) = (floats(m, 3), floats(n, 4));
        let layouts = |rows: usize, columns: usize| {
            [(columns, 1), (1, rows), (2 * columns, 2), (columns + 3, 1), (1, rows + 1)]
                .into_iter()
                .filter(move |(r, c)| rows * r + columns * c <= 2 * rows * columns)
        };
        for (ars, acs) in layouts(m, k) {
            for (brs, bcs) in layouts(k, n) {
                let (a, b) = (Matrix::strided(&a, m, k, ars, acs), Matrix::strided(&b, k, n, brs, bcs));
                for bias in [Bias::None, Bias::Rows(&rows), Bias::Columns(&columns)] {
                    let mut one = vec![C::zeroed(); m * n];
                    gemm(1, &mut one, a, b, bias);
                    let mut three = vec![C::zeroed(); m * n];
                    gemm(3, &mut three, a, b, bias);
                    assert_eq!(
                        bytemuck::cast_slice::<C, u8>(&one),
                        bytemuck::cast_slice::<C, u8>(&three),
                        "{m}x{k}x{n}: threads change the bits"
                    );
                    for (c, (sum, size)) in one.iter().zip(naive(a, b, bias)) {
                        close(*c, sum, (k + 1) as f64 * 2f64.powi(-24) * size, &format!("{m}x{k}x{n}"));
                    }
                }
            }
        }
    }

    #[test]
    fn products_are_those_of_the_definition() {
        for (m, k, n) in
            [(1, 1, 1), (2, 3, 4), (7, 5, 3), (16, 16, 16), (33, 65, 17), (5, 130, 70), (150, 20, 300)]
        {
            check::<f32, f32, f32>(m, k, n);
            check::<f16, f16, f16>(m, k, n);
            check::<f32, f16, f32>(m, k, n);
            check::<f16, f32, f16>(m, k, n);
        }
        check::<f16, f16, f32>(20, 2100, 40);
    }

    #[test]
    fn products_with_vectors_are_those_of_the_definition() {
        for (k, n) in [(1, 5), (3, 1), (17, 9), (64, 64), (100, 1030), (2050, 37)] {
            check::<f32, f32, f32>(1, k, n);
            check::<f16, f16, f16>(1, k, n);
            check::<f32, f16, f32>(n, k, 1);
            check::<f16, f16, f16>(n, k, 1);
        }
    }

    #[test]
    fn a_sum_of_nothing_is_the_bias() {
        let mut c = [9.0f32; 4];
        let empty: [f32; 0] = [];
        gemm(1, &mut c, Matrix::new(&empty, 2, 0), Matrix::new(&empty, 0, 2), Bias::Rows(&[1.0, 2.0]));
        assert_eq!(c, [1.0, 1.0, 2.0, 2.0]);
        gemm(1, &mut c[..1], Matrix::new(&empty, 1, 0), Matrix::new(&empty, 0, 1), Bias::None);
        assert_eq!(c[0], 0.0);
    }

    #[test]
    fn batches_are_products_one_behind_the_other() {
        let (m, k, n) = (9, 12, 20);
        let (a, b): (Vec<f32>, Vec<f16>) = (floats(3 * m * k, 1), floats(2 * k * n, 2));
        let items = [(0, 0), (m * k, k * n), (2 * m * k, 0), (0, k * n)];
        let mut c = vec![0.0f32; items.len() * m * n];
        gemm_batched(2, &mut c, Matrix::new(&a, m, k), Matrix::new(&b, k, n), &items, Bias::None);
        for ((i, j), c) in items.into_iter().zip(c.chunks(m * n)) {
            let mut one = vec![0.0f32; m * n];
            gemm(1, &mut one, Matrix::new(&a[i..], m, k), Matrix::new(&b[j..], k, n), Bias::None);
            for (a, b) in c.iter().zip(&one) {
                close(*a, f64::from(*b), 1e-4, "batch");
            }
        }
    }

    #[test]
    #[should_panic(expected = "a matrix lies within its slice")]
    fn a_matrix_that_reaches_past_its_slice_is_refused() {
        gemm(
            1,
            &mut [0.0f32; 4],
            Matrix::new(&[0.0f32; 5], 2, 3),
            Matrix::new(&[0.0f32; 6], 3, 2),
            Bias::None,
        );
    }
}
