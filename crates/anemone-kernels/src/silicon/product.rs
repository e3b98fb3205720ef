//! The multiply-accumulate unit: products of matrices, summed in fixed point.
//!
//! A product of two halves is dropped where their exponents add up to −17 or less, and else rounded half away from zero to a
//! multiple of 2⁻¹⁶. Sums start at the bias on that grid and are exact in 32 bits; one that reaches 32768 on its way is
//! infinite from there on. The result is rounded half away from zero once.
//!
//! Sums of 32 bits do not depend on the order unless they overflow. Whether one may is told by the lengths of its two
//! vectors; such sums are carried again, one product after the other.

use std::ops::Range;

use half::f16;

use super::grid::Term;
use super::number::{INFINITE, LIMIT, on_grid, store_sum};
use crate::gemm::Matrix;
use crate::scratch::{Scratch, scratch};
use crate::simd::{self, Kernel, Simd};
use crate::threads::{Shared, parallel_for};
use crate::tile;

pub use crate::gemm::Bias;

/// The most rows that are computed at once.
pub(super) const ROWS: usize = 8;

/// How many numbers the panels of one task have together, about.
const GROUP: usize = 1 << 18;

/// Computes `C = A·B + bias`; `c` is row-major.
///
/// ```
/// use anemone_kernels::silicon::{Bias, product};
/// use anemone_kernels::gemm::Matrix;
/// use half::f16;
/// let [a, b] = [[1.0, 2.0], [2048.0, 0.5]].map(|x| x.map(f16::from_f32));
/// let mut c = [f16::ZERO];
/// product(1, &mut c, Matrix::new(&a, 1, 2), Matrix::new(&b, 2, 1), Bias::None);
/// assert_eq!(c[0].to_f32(), 2050.0, "2049 lies between two halves");
/// ```
///
/// # Panics
///
/// As [`product_batched`].
pub fn product(threads: usize, c: &mut [f16], a: Matrix<'_, f16>, b: Matrix<'_, f16>, bias: Bias<'_>) {
    product_batched(threads, c, a, b, &[(0, 0)], bias);
}

/// Computes one product for each of `items`, whose matrices start so many elements behind `a` and `b`; the products
/// lie one behind the other in `c`.
///
/// ```
/// use anemone_kernels::silicon::{Bias, product_batched};
/// use anemone_kernels::gemm::Matrix;
/// use half::f16;
/// let [a, b] = [[1.0, 2.0], [3.0, 4.0]].map(|x| x.map(f16::from_f32));
/// let mut c = [f16::ZERO; 2];
/// product_batched(1, &mut c, Matrix::new(&a, 1, 1), Matrix::new(&b, 1, 1), &[(0, 1), (1, 0)], Bias::None);
/// assert_eq!(c.map(f16::to_f32), [4.0, 6.0]);
/// ```
///
/// # Panics
///
/// When the columns of `a` are not as many as the rows of `b`, `c` has not one element for each row and column,
/// `bias` not one for each row or column, or a matrix reaches past its slice.
pub fn product_batched(
    threads: usize,
    c: &mut [f16],
    a: Matrix<'_, f16>,
    b: Matrix<'_, f16>,
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
    if c.is_empty() {
        return;
    }
    let job = Job { items: items.len(), rows: m, inputs: k, columns: n };
    let rows = |item: usize| a.at(items[item].0);
    let fill = |item: usize, columns: Range<usize>, panels: &mut Panels| {
        panels.write(b.at(items[item].1).block(0..k, columns));
    };
    let starts = Starts::of(bias, m, n);
    let c = Shared::new(c);
    job.run(
        threads,
        rows,
        fill,
        |_| &starts,
        |item, row, column, sums| {
            let start = (item * m + row) * n + column;
            // SAFETY: a row of some columns is in one task only.
            let c = unsafe { c.slice(start..start + sums.len()) };
            c.iter_mut().zip(sums).for_each(|(c, &sum)| *c = store_sum(sum));
        },
    );
}

/// Where sums start: at a number for each row, or for each column.
pub(super) struct Starts {
    rows: Option<Vec<i64>>,
    columns: Option<Vec<i64>>,
}

impl Starts {
    pub(super) fn of(bias: Bias<'_>, rows: usize, columns: usize) -> Self {
        let all = |bias: &[f32], count| {
            assert_eq!(bias.len(), count, "a bias has one number for each row or column");
            Some(bias.iter().map(|&b| on_grid(b)).collect())
        };
        match bias {
            Bias::None => Self { rows: None, columns: None },
            Bias::Rows(bias) => Self { rows: all(bias, rows), columns: None },
            Bias::Columns(bias) => Self { rows: None, columns: all(bias, columns) },
        }
    }

    fn at(&self, row: usize, column: usize) -> i64 {
        let of = |starts: &Option<Vec<i64>>, i: usize| starts.as_ref().map_or(0, |starts| starts[i]);
        of(&self.rows, row) + of(&self.columns, column)
    }

    /// The largest magnitude of some rows and columns.
    fn largest(&self, rows: Range<usize>, columns: Range<usize>) -> i64 {
        let of = |starts: &Option<Vec<i64>>, range: Range<usize>| {
            starts.as_ref().and_then(|s| s[range].iter().map(|s| s.abs()).max()).unwrap_or(0)
        };
        of(&self.rows, rows) + of(&self.columns, columns)
    }
}

/// The columns of a panel on this processor.
pub(super) fn panel_width() -> usize {
    simd::dispatch(Width)
}

struct Width;

impl Kernel for Width {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        if S::SUMS == simd::MAX_LANES { 2 * S::SUMS } else { S::SUMS }
    }
}

/// Columns as panels: of each input the numbers of as many columns as a panel has side by side.
pub(super) struct Panels {
    pub(super) data: Scratch<f32>,
    /// The length of each column.
    lengths: Scratch<f32>,
    pub(super) width: usize,
    pub(super) inputs: usize,
    pub(super) columns: usize,
}

impl Panels {
    /// Room for so many columns.
    pub(super) fn new(inputs: usize, columns: usize) -> Self {
        let width = panel_width();
        let room = columns.next_multiple_of(width);
        let (data, lengths) = (scratch(room.saturating_mul(inputs)), scratch(room));
        Self { data, lengths, width, inputs, columns: 0 }
    }

    /// Takes the columns of a matrix.
    pub(super) fn write(&mut self, b: Matrix<'_, f16>) {
        self.columns = b.columns;
        tile::write_panels(&mut self.data, self.width, b);
    }

    /// Reads infinities and NaNs as numbers, and notes how long the columns are.
    pub(super) fn finish(&mut self) {
        let panel = self.inputs * self.width;
        for i in 0..self.columns.div_ceil(self.width) {
            let lengths = &mut self.lengths[i * self.width..][..self.width];
            simd::dispatch(Finish { panel: &mut self.data[i * panel..][..panel], lengths });
        }
    }
}

/// Reads the numbers of a panel as the engine does, and gives the lengths of its columns.
struct Finish<'a> {
    panel: &'a mut [f32],
    lengths: &'a mut [f32],
}

impl Kernel for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let mut squares = [0.0f32; 2 * simd::MAX_LANES];
        let squares = &mut squares[..self.lengths.len()];
        for row in self.panel.chunks_exact_mut(squares.len()) {
            for (x, square) in row.iter_mut().zip(&mut *squares) {
                let bits = x.to_bits();
                // What is infinite in single precision has the exponent 16.
                let read =
                    if bits & 0x7f80_0000 == 0x7f80_0000 { bits & 0x807f_ffff | 0x4780_0000 } else { bits };
                *x = f32::from_bits(read);
                *square += *x * *x;
            }
        }
        self.lengths.iter_mut().zip(squares).for_each(|(length, square)| *length = square.sqrt());
    }
}

/// Rows as terms: of each input those of all rows side by side.
pub(super) struct Terms {
    terms: Scratch<Term>,
    count: usize,
    lengths: [f64; ROWS],
    /// How many rows are computed, of which the last may be none.
    room: usize,
}

impl Terms {
    pub(super) fn new(inputs: usize) -> Self {
        Self { terms: scratch(inputs * ROWS), count: 0, lengths: [0.0; ROWS], room: 0 }
    }

    /// Takes the rows of a matrix, of which there are [`ROWS`] at most.
    pub(super) fn write(&mut self, a: Matrix<'_, f16>) {
        self.count = a.rows;
        self.room = match a.rows {
            1 => 1,
            2..=4 => 4,
            _ => ROWS,
        };
        let mut squares = [0.0f64; ROWS];
        for (k, terms) in self.terms.chunks_exact_mut(self.room).take(a.columns).enumerate() {
            for (r, term) in terms.iter_mut().enumerate() {
                *term = Term::default();
                if r < a.rows {
                    *term = Term::of(a.data[r * a.row_stride + k * a.column_stride]);
                    squares[r] += term.square();
                }
            }
        }
        self.lengths = squares.map(f64::sqrt);
    }
}

/// Products of matrices: of how many, and how large.
pub(super) struct Job {
    pub(super) items: usize,
    pub(super) rows: usize,
    pub(super) inputs: usize,
    pub(super) columns: usize,
}

impl Job {
    /// Computes all sums. `rows` gives the first matrix of an item, `fill` writes some columns of the second, `starts`
    /// gives where sums start, and `write` takes the sums of a row from a column on.
    pub(super) fn run<'m, 's>(
        &self,
        threads: usize,
        rows: impl Fn(usize) -> Matrix<'m, f16> + Sync,
        fill: impl Fn(usize, Range<usize>, &mut Panels) + Sync,
        starts: impl Fn(usize) -> &'s Starts + Sync,
        write: impl Fn(usize, usize, usize, &[i64]) + Sync,
    ) {
        let (across, width) = self.columns_of_a_task();
        let work =
            self.items.saturating_mul(self.rows).saturating_mul(self.columns).saturating_mul(self.inputs);
        let threads = if work < 1 << 15 { 1 } else { threads };
        // Where there are few columns, rows are shared out too.
        let mut down = self.rows;
        while self.items * across * self.rows.div_ceil(down) < 2 * threads && down > 4 * ROWS {
            down = (down / 2).next_multiple_of(ROWS);
        }
        let parts = self.rows.div_ceil(down);
        parallel_for(threads, self.items * across * parts, 1, |tasks| {
            let mut panels = Panels::new(self.inputs, width.min(self.columns));
            let mut terms = Terms::new(self.inputs);
            let mut sums = scratch::<i64>(ROWS * width);
            let mut held = None;
            for task in tasks {
                let (item, part) = (task / (across * parts), task % parts);
                let group = task / parts % across;
                let first = group * width;
                let columns = first..self.columns.min(first + width);
                if held.replace((item, group)) != Some((item, group)) {
                    fill(item, columns.clone(), &mut panels);
                    panels.finish();
                }
                let (a, end) = (rows(item), self.rows.min((part + 1) * down));
                for row in (part * down..end).step_by(ROWS) {
                    let last = end.min(row + ROWS);
                    terms.write(a.block(row..last, 0..self.inputs));
                    sums_of(&terms, &panels, starts(item), (row, first), &mut sums);
                    for (i, sums) in sums.chunks_exact(columns.len()).take(last - row).enumerate() {
                        write(item, row + i, first, sums);
                    }
                }
            }
        });
    }

    /// How many tasks the columns are cut into, and how many columns each has.
    fn columns_of_a_task(&self) -> (usize, usize) {
        let panel = panel_width();
        let panels = (GROUP / (self.inputs.max(1) * panel)).clamp(1, 8);
        (self.columns.div_ceil(panels * panel), panels * panel)
    }
}

/// Computes the sums of some rows and columns, row after row; `at` is the first row and column.
pub(super) fn sums_of(terms: &Terms, panels: &Panels, starts: &Starts, at: (usize, usize), sums: &mut [i64]) {
    simd::dispatch(Block { terms, panels, starts, at, sums });
}

struct Block<'a> {
    terms: &'a Terms,
    panels: &'a Panels,
    starts: &'a Starts,
    at: (usize, usize),
    sums: &'a mut [i64],
}

impl Kernel for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        for panel in 0..self.panels.columns.div_ceil(self.panels.width) {
            match (self.terms.room, S::SUMS == simd::MAX_LANES) {
                (1, true) => self.tile::<S, 1, 2>(simd, panel),
                (4, true) => self.tile::<S, 4, 2>(simd, panel),
                (_, true) => self.tile::<S, ROWS, 2>(simd, panel),
                (1, false) => self.tile::<S, 1, 1>(simd, panel),
                (4, false) => self.tile::<S, 4, 1>(simd, panel),
                (_, false) => self.tile::<S, ROWS, 1>(simd, panel),
            }
        }
    }
}

impl Block<'_> {
    /// The sums with one panel.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const C: usize>(&mut self, simd: S, panel: usize) {
        let (inputs, width) = (self.panels.inputs, self.panels.width);
        let terms = &self.terms.terms[..inputs * R];
        let numbers = &self.panels.data[panel * inputs * width..][..inputs * width];
        let mut found = [[simd.sums(0); C]; R];
        for (terms, row) in terms.as_chunks::<R>().0.iter().zip(numbers.chunks_exact(C * S::SUMS)) {
            let mut factors = [simd.factors(row); C];
            for c in 1..C {
                factors[c] = simd.factors(&row[c * S::SUMS..]);
            }
            for r in 0..R {
                for c in 0..C {
                    found[r][c] = simd.accumulate(found[r][c], &terms[r], factors[c]);
                }
            }
        }
        let first = panel * width;
        let columns = first..self.panels.columns.min(first + width);
        let (at, count) = (self.at, self.terms.count);
        let largest = self.starts.largest(at.0..at.0 + count, at.1 + columns.start..at.1 + columns.end);
        let mut lengths = [0.0f32; 2 * simd::MAX_LANES];
        lengths[..columns.len()].copy_from_slice(&self.panels.lengths[columns.clone()]);
        let longest = lengths.iter().fold(0.0f32, |a, &b| a.max(b));
        for (r, found) in found.iter().enumerate().take(count) {
            let mut whole = [0i32; 2 * simd::MAX_LANES];
            for (c, &found) in found.iter().enumerate() {
                simd.store_sums(&mut whole[c * S::SUMS..], found);
            }
            let sums = &mut self.sums[r * self.panels.columns..][columns.clone()];
            let length = self.terms.lengths[r];
            let all_fit = fits(inputs, length, longest, largest);
            for (c, sum) in sums.iter_mut().enumerate() {
                let start = self.starts.at(at.0 + r, at.1 + first + c);
                *sum = if all_fit || fits(inputs, length, lengths[c], start) {
                    start + i64::from(whole[c])
                } else {
                    carried::<R>(terms, r, &numbers[c..], width, start)
                };
            }
        }
    }
}

/// Whether no sum of a row and a column of these lengths can overflow on its way: it is never larger than the product of
/// the lengths, but for what rounding adds.
#[inline(always)]
fn fits(inputs: usize, row: f64, column: f32, start: i64) -> bool {
    // The length of a column is a sum in single precision.
    let margin = 1.0 + 1e-3 + inputs as f64 * 1.2e-7;
    row * f64::from(column) * margin + start.unsigned_abs() as f64 + inputs as f64 + 1.0 < LIMIT as f64
}

/// A sum whose overflow on its way is seen.
#[inline(never)]
fn carried<const R: usize>(terms: &[Term], row: usize, column: &[f32], width: usize, start: i64) -> i64 {
    let mut sum = start;
    let mut inputs = terms.as_chunks::<R>().0.iter().zip(column.iter().step_by(width));
    loop {
        if sum.abs() >= LIMIT {
            return INFINITE * sum.signum();
        }
        let Some((terms, &w)) = inputs.next() else { return sum };
        sum += terms[row].times(w);
    }
}

#[cfg(test)]
mod tests;
