//! Products of matrices.
//!
//! [`gemm()`] computes `C = A·B + bias`, [`gemm_batched`] many products of one form. Sums are carried in `f32`; how
//! far a result is from the exact one is bounded by `k · 2^-24 · Σ|a·b|`, and it is rounded once to the dtype of `C`.
//!
//! The columns of `B` are written out as panels, and rows of `A` that do not lie side by side as rows; what a number is
//! summed in depends on the shape alone, so that every number of threads gives the same bits. What is written out lies
//! in memory that is kept, and a product that is computed again allocates nothing.
//!
//! ```
//! use anemone_kernels::gemm::{Bias, Matrix, gemm};
//! let (a, b) = (Matrix::new(&[1.0f32, 2.0], 1, 2), Matrix::new(&[3.0f32, 4.0], 2, 1));
//! let mut c = [0.0f32];
//! gemm(1, &mut c, a, b, Bias::Columns(&[0.5]));
//! assert_eq!(c, [11.5]);
//! ```

mod vectors;

use std::ops::Range;

use macro_rules_attribute::apply;

use crate::Float;
use crate::compiled::compiled_here;
use crate::scratch::{self, scratch};
use crate::simd;
use crate::threads::{Shared, parallel_for};
use crate::tile::{self, Added, Band, GROUP, Lines, Panels, Rounded, TILE_ROWS, panel_width};
pub(crate) use vectors::{dot_rows, sum_rows};

/// A matrix to read: elements at `row · row_stride + column · column_stride` of a slice.
///
/// ```
/// use anemone_kernels::gemm::Matrix;
/// let m = Matrix::new(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3);
/// assert_eq!((m.rows(), m.columns()), (2, 3));
/// assert_eq!(m.transposed().rows(), 3);
/// ```
///
/// ```
/// use anemone_kernels::gemm::{Bias, Matrix, gemm};
/// // The second column of a matrix of 2 by 3, as a matrix of 2 by 1: rows lie 3 apart.
/// let column = Matrix::strided(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0][1..], 2, 1, 3, 1);
/// let mut c = [0.0f32];
/// gemm(1, &mut c, Matrix::new(&[1.0f32, 10.0], 1, 2), column, Bias::None);
/// assert_eq!(c, [52.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
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
}

/// What is added to a product.
///
/// ```
/// use anemone_kernels::gemm::{Bias, Matrix, gemm};
/// let one = [1.0f32, 1.0];
/// let mut c = [0.0f32; 4];
/// gemm(1, &mut c, Matrix::new(&one, 2, 1), Matrix::new(&one, 1, 2), Bias::Rows(&[10.0, 20.0]));
/// assert_eq!(c, [11.0, 11.0, 21.0, 21.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Bias<'a> {
    /// Nothing.
    None,
    /// One number for each row.
    Rows(&'a [f32]),
    /// One number for each column.
    Columns(&'a [f32]),
}

impl<'a> Bias<'a> {
    /// That of some rows and columns.
    fn of(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        match self {
            Bias::None => Bias::None,
            Bias::Rows(bias) => Bias::Rows(&bias[rows]),
            Bias::Columns(bias) => Bias::Columns(&bias[columns]),
        }
    }

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
#[apply(compiled_here)]
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
#[apply(compiled_here)]
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

    if order(a, b) == Order::Tiles {
        tiles_batched(threads, c, a, b, items, bias);
    } else if m == 1 && b.has_unit_stride() {
        vectors::batched(threads, c, a, b, |item| items[item], bias);
    } else {
        let bias = match bias {
            Bias::Rows(bias) => Bias::Columns(bias),
            Bias::Columns(bias) => Bias::Rows(bias),
            Bias::None => Bias::None,
        };
        let swapped = |item: usize| (items[item].1, items[item].0);
        vectors::batched(threads, c, b.transposed(), a.transposed(), swapped, bias);
    }
}

/// In which order the sums of a product run. Products of matrices of other strides have the same bits if it is the same.
///
/// ```
/// use anemone_kernels::gemm::{Matrix, Order, order};
/// let of = |data, rows, columns| Matrix::<f32>::new(data, rows, columns);
/// let (row, several, b) = (of(&[], 1, 8), of(&[], 2, 8), of(&[], 8, 4));
/// assert_eq!((order(row, b), order(several, b)), (Order::Rows, Order::Tiles));
/// assert_eq!(order(row, of(&[], 4, 8).transposed()), Order::Dots);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// That of tiles.
    Tiles,
    /// A single row or column, with rows of a matrix one by one.
    Dots,
    /// A single row or column, with columns of a matrix side by side.
    Rows,
}

/// The [`Order`] of a product of these matrices; their elements are not looked at.
///
/// ```
/// use anemone_kernels::gemm::{Matrix, Order, order};
/// let square = Matrix::<f32>::new(&[], 3, 3);
/// assert_eq!(order(square, square), Order::Tiles);
/// ```
pub fn order<A: Float, B: Float>(a: Matrix<'_, A>, b: Matrix<'_, B>) -> Order {
    let of = |side_by_side: bool| if side_by_side || a.columns == 1 { Order::Dots } else { Order::Rows };
    if a.rows == 1 && b.has_unit_stride() {
        of(b.row_stride == 1)
    } else if b.columns == 1 && a.has_unit_stride() {
        of(a.column_stride == 1)
    } else {
        Order::Tiles
    }
}

/// The products, panel by panel.
fn tiles_batched<A: Float, B: Float, C: Float>(
    threads: usize,
    c: &mut [C],
    a: Matrix<'_, A>,
    b: Matrix<'_, B>,
    items: &[(usize, usize)],
    bias: Bias<'_>,
) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    let width = panel_width();
    // Where the rows of each item lie; those of items that follow each other and read the same ones are written once.
    let mut places = scratch::<usize>(items.len());
    let mut written = scratch::floats(0);
    let lines = Lines::in_place(a.at(0));
    if lines.is_none() {
        let mut count = 0;
        for (i, place) in places.iter_mut().enumerate() {
            count += usize::from(i == 0 || items[i].0 != items[i - 1].0);
            *place = (count - 1) * m * k;
        }
        written = scratch::floats(count * m * k);
        write_rows(threads, &mut written, a, items, &places);
    } else {
        places.iter_mut().zip(items).for_each(|(place, item)| *place = item.0);
    }
    let stride = lines.map_or(k, |lines| lines.stride);
    let rows = lines.map_or(&*written, |lines| lines.data);

    // Of a large product some panels are written, and met by one band of rows after the other, so that they and the band
    // stay in the second-level cache, and results are written where the last ones were.
    let panels = n.div_ceil(width);
    let group = (GROUP / (k * width).max(1)).clamp(1, panels);
    let groups = panels.div_ceil(group);
    let band = m.min(BAND);
    let bands = m.div_ceil(band);
    let c = Shared::new(c);
    let grain = ((1 << 16) / (band * group * width * k.max(1))).max(1);
    parallel_for(threads, items.len() * groups * bands, grain, |tasks| {
        let mut written = scratch::floats(group * k * width);
        let mut held = None;
        for task in tasks {
            let (item, at) = (task / (groups * bands), task / bands % groups * group);
            let first = task % bands * band;
            let taken = band.min(m - first);
            let x = Lines { data: rows.get(places[item]..).unwrap_or(&[]), stride }.from(first);
            let columns = at * width..n.min((at + group) * width);
            let b = b.at(items[item].1).block(0..k, columns.clone());
            let start = (item * m + first) * n + columns.start;
            let bias = bias.of(first..first + taken, columns.clone());
            // SAFETY: these rows and columns of an item are in one task only.
            let ends = unsafe { Rounded::new(&c, start, n, columns.len(), bias, &[]) };
            // A few rows read panels where they are, as soon as they would write them.
            if m <= FEW_ROWS && b.column_stride == 1 && columns.len().is_multiple_of(width) {
                let count = columns.len() / width;
                let panels = Panels {
                    data: b.data,
                    stride: b.row_stride,
                    distance: width,
                    columns: count * width,
                    next: &[],
                };
                simd::dispatch(Band { x, rows: taken, inputs: k, panels, ends });
                continue;
            }
            if held != Some((items[item].1, at)) {
                held = Some((items[item].1, at));
                tile::write_panels(&mut written, width, b);
            }
            let panels = Panels::written(&written, k, width, columns.len());
            simd::dispatch(Band { x, rows: taken, inputs: k, panels, ends });
        }
    });
}

/// How many rows a panel meets at a time: so many that they stay in the second-level cache.
const BAND: usize = 8 * TILE_ROWS;

/// Up to so many rows a panel is not worth writing, if it can be read where it is.
const FEW_ROWS: usize = 6 * TILE_ROWS;

/// Writes the rows of each item to its place.
fn write_rows<A: Float>(
    threads: usize,
    written: &mut [f32],
    a: Matrix<'_, A>,
    items: &[(usize, usize)],
    places: &[usize],
) {
    let (m, k) = (a.rows, a.columns);
    // So many rows that the squares of a transpose are whole.
    let part = 4 * simd::MAX_LANES;
    let parts = m.div_ceil(part);
    let written = Shared::new(written);
    parallel_for(threads, items.len() * parts, ((1 << 14) / (part * k).max(1)).max(1), |tasks| {
        for task in tasks {
            let (item, first) = (task / parts, task % parts * part);
            if item > 0 && places[item] == places[item - 1] {
                continue;
            }
            let rows = first..m.min(first + part);
            let start = places[item] + first * k;
            // SAFETY: the places of items with different rows are apart, and a part of them is in one task only.
            let to = unsafe { written.slice(start..start + rows.len() * k) };
            tile::write(to, k, a.at(items[item].0).block(rows, 0..k));
        }
    });
}

/// Adds `a·b` to the row-major `c`, on this thread.
pub(crate) fn add_product<A: Float, B: Float>(c: &mut [f32], a: Matrix<'_, A>, b: Matrix<'_, B>) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert_eq!(b.rows, k, "the columns of the first matrix are as many as the rows of the second");
    assert_eq!(c.len(), m * n, "a product has one element for each row and column");
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    let (b, width) = (b.at(0), panel_width());
    let mut written = scratch::floats(0);
    let x = Lines::of(a.at(0), &mut written);
    let group = (GROUP / (k * width)).clamp(1, n.div_ceil(width));
    let mut written = scratch::floats(group * k * width);
    for at in (0..n).step_by(group * width) {
        let columns = at..n.min(at + group * width);
        tile::write_panels(&mut written, width, b.block(0..k, columns.clone()));
        let ends = Added { sums: &mut c[at..], stride: n, columns: columns.len() };
        let panels = Panels::written(&written, k, width, columns.len());
        simd::dispatch(Band { x, rows: m, inputs: k, panels, ends });
    }
}

#[cfg(test)]
mod tests;
