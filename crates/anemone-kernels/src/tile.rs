//! The tile: the loop that all products of matrices come down to.
//!
//! A [`Band`] of rows meets a panel of columns. Rows are read number by number, panels a vector at a time, so that a tile
//! of a few rows and two vectors of columns stays in registers while it is summed. Sums are carried in `f32`: in order
//! within blocks of 512 elements (of a single row in four interleaved parts), and block after block. What is computed
//! in which order depends on the number of rows of the band alone.

use std::ops::Range;

use crate::finish::{self, Finish, Place, Stage};
use crate::gemm::{Bias, Matrix};
use crate::simd::{self, Kernel, Simd};
use crate::threads::Shared;
use crate::{Float, scratch};

/// How many elements are summed before the sum is added to those of the blocks before.
const DEPTH: usize = 512;

/// The rows that most tiles have.
pub(crate) const TILE_ROWS: usize = 12;

/// The most rows that a tile has: one less of rows that are left is not worth a tile of its own.
pub(crate) const MOST_ROWS: usize = TILE_ROWS + 1;

/// How many numbers the panels have together that rows meet at a time: so many that they stay in the second-level cache
/// beside the rows.
pub(crate) const GROUP: usize = 1 << 17;

/// The columns of a panel on this processor.
pub(crate) fn panel_width() -> usize {
    simd::dispatch(Width)
}

struct Width;

impl Kernel for Width {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        2 * S::LANES
    }
}

/// The rows of a product: `f32` whose elements lie side by side.
#[derive(Clone, Copy)]
pub(crate) struct Lines<'a> {
    pub(crate) data: &'a [f32],
    /// From the start of a row to that of the next.
    pub(crate) stride: usize,
}

impl<'a> Lines<'a> {
    /// The rows of a matrix that can be read where they are.
    pub(crate) fn in_place<T: Float>(a: Matrix<'a, T>) -> Option<Self> {
        let data = T::as_f32s(a.data).filter(|_| a.column_stride == 1 || a.columns <= 1)?;
        Some(Self { data, stride: a.row_stride })
    }

    /// The rows of a matrix: where they are, or written out.
    pub(crate) fn of<T: Float>(a: Matrix<'a, T>, written: &'a mut scratch::Floats) -> Self {
        Self::in_place(a).unwrap_or_else(|| {
            *written = scratch::floats(a.rows * a.columns);
            write(written, a.columns, a);
            Self { data: written, stride: a.columns }
        })
    }

    /// So many rows from this one on.
    pub(crate) fn from(self, row: usize) -> Self {
        Self { data: self.data.get(row * self.stride..).unwrap_or(&[]), ..self }
    }
}

/// Where the rows of a product lie.
pub(crate) trait Rows: Copy + Sync {
    /// The rows of `inputs` elements from this one on, which is the first of a tile.
    fn after(self, row: usize, inputs: usize) -> Self;

    /// From a row to the next, and from an element to the next, in a block of `R` rows.
    fn steps<const R: usize>(self) -> [usize; 2];

    /// The elements of `R` rows from this one on, of their `inputs` so many from this one on.
    fn part<const R: usize>(&self, row: usize, inputs: usize, elements: Range<usize>) -> &[f32];
}

impl Rows for Lines<'_> {
    fn after(self, row: usize, _: usize) -> Self {
        self.from(row)
    }

    #[inline(always)]
    fn steps<const R: usize>(self) -> [usize; 2] {
        [self.stride, 1]
    }

    #[inline(always)]
    fn part<const R: usize>(&self, row: usize, _: usize, elements: Range<usize>) -> &[f32] {
        &self.data[row * self.stride + elements.start..][..(R - 1) * self.stride + elements.len()]
    }
}

/// The rows of a product in blocks, each of so many rows as a tile has: of all rows of a block one element after the
/// other, as the innermost loop reads them.
#[derive(Clone, Copy)]
pub(crate) struct Blocks<'a>(pub(crate) &'a [f32]);

impl Rows for Blocks<'_> {
    fn after(self, row: usize, inputs: usize) -> Self {
        Self(&self.0[row * inputs..])
    }

    #[inline(always)]
    fn steps<const R: usize>(self) -> [usize; 2] {
        [1, R]
    }

    #[inline(always)]
    fn part<const R: usize>(&self, row: usize, inputs: usize, elements: Range<usize>) -> &[f32] {
        &self.0[row * inputs + elements.start * R..][..elements.len() * R]
    }
}

/// How many rows the next tile has, of so many that are left.
///
/// A panel is read once for each tile, so that one of few rows takes longer than its rows say. On Zen 4 49 rows with a tile of 13 at
/// the end, rather than 12 and 1, take 5 % less time, and 196 with two of 8, rather than 12 and 4, 1 to 4 %. Shorter vectors keep
/// to the largest tile that fits: there it was not measured.
#[inline(always)]
pub(crate) fn next_rows(left: usize, lanes: usize) -> usize {
    let wide = lanes == simd::MAX_LANES;
    match left {
        13 | 15 | 17 if wide => MOST_ROWS,
        14 | 16 if wide => 8,
        _ => {
            let most = if wide { TILE_ROWS } else { TILE_ROWS / 2 };
            [TILE_ROWS, 8, 6, 4, 2].into_iter().find(|&rows| rows <= left && rows <= most).unwrap_or(1)
        }
    }
}

/// Rows in parts of whole tiles: however many rows a part has, they fall into the same tiles.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    rows: usize,
    part: usize,
    /// How many parts there are.
    pub(crate) count: usize,
}

impl Parts {
    /// Parts of so many rows, which are a multiple of [`TILE_ROWS`] if there are more. The last one also has what is left, if
    /// that is so little that its tiles depend on the rows before.
    pub(crate) fn of(rows: usize, part: usize) -> Self {
        // A division is a part of what the smallest layers take.
        let count = if rows <= part { 1 } else { rows / part + usize::from(rows % part > MOST_LEFT) };
        Self { rows, part, count }
    }

    /// The rows of a part.
    pub(crate) fn range(self, at: usize) -> Range<usize> {
        let end = if at + 1 == self.count { self.rows } else { (at + 1) * self.part };
        at * self.part..end
    }

    /// The most rows of a part.
    pub(crate) fn most(self) -> usize {
        self.rows.min(self.part + MOST_LEFT)
    }
}

/// Rows in bands, one for each of several threads, or one that all threads share.
#[derive(Clone, Copy)]
pub(crate) struct Bands {
    rows: usize,
    /// How many bands there are.
    pub(crate) count: usize,
    /// The threads of each.
    pub(crate) threads: usize,
}

impl Bands {
    /// Of more rows than a share of the outputs each thread makes its own ready, and reads all weights; else all threads make rows
    /// ready, and each has weights of its own. What one writes and another reads costs more than what both read.
    pub(crate) fn of(threads: usize, rows: usize, outputs: usize) -> Self {
        let count = if 4 * rows > outputs { threads.clamp(1, Parts::of(rows, TILE_ROWS).count) } else { 1 };
        Self { rows, count, threads: if count > 1 { 1 } else { threads } }
    }

    /// The rows of a band. Bands differ by one tile at most, of which the last one may have a few rows more or less.
    pub(crate) fn range(self, at: usize) -> Range<usize> {
        let last = Parts::of(self.rows, TILE_ROWS).count - 1;
        let border = |i: usize| {
            let before = (i * self.rows / self.count + TILE_ROWS / 2) / TILE_ROWS;
            if i < self.count { before.min(last) * TILE_ROWS } else { self.rows }
        };
        border(at)..border(at + 1)
    }
}

/// So many rows more than whole tiles, and less, fall into tiles with those before them.
const MOST_LEFT: usize = 5;

/// How many rows the tiles of so many rows have on this processor: each as it is to be computed.
pub(crate) fn tile_rows(rows: usize) -> impl Iterator<Item = Range<usize>> {
    let lanes = panel_width() / 2;
    let mut row = 0;
    std::iter::from_fn(move || {
        let first = row;
        (first < rows).then(|| {
            row += next_rows(rows - first, lanes);
            first..row
        })
    })
}

/// Writes the elements of a matrix as rows, which start `stride` apart.
pub(crate) fn write<T: Float>(to: &mut [f32], stride: usize, from: Matrix<'_, T>) {
    if from.rows > 0 && from.columns > 0 {
        simd::dispatch(Write { to, stride, from });
    }
}

/// Writes `b` as panels of so many columns; what the last one has more holds zeros.
pub(crate) fn write_panels<T: Float>(panels: &mut [f32], width: usize, b: Matrix<'_, T>) {
    let panels = panels.chunks_exact_mut((b.rows * width).max(1));
    for (panel, at) in panels.zip((0..b.columns).step_by(width)) {
        let b = b.block(0..b.rows, at..b.columns.min(at + width));
        if b.columns < width {
            panel.fill(0.0);
        }
        write(panel, width, b);
    }
}

struct Write<'a, T> {
    to: &'a mut [f32],
    stride: usize,
    from: Matrix<'a, T>,
}

impl<T: Float> Kernel for Write<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { to, stride, from } = self;
        let Matrix { data, rows, columns, row_stride, column_stride } = from;
        if row_stride == 1 && column_stride != 1 {
            return transposed(simd, to, stride, from);
        }
        for (row, to) in to.chunks_mut(stride.max(1)).take(rows).enumerate() {
            let (to, from) = (&mut to[..columns], &data[row * row_stride..]);
            if column_stride == 1 {
                let from = &from[..columns];
                if columns == 2 * S::LANES {
                    simd.store(to, T::load(simd, from));
                    simd.store(&mut to[S::LANES..], T::load(simd, &from[S::LANES..]));
                    continue;
                }
                let whole = columns / S::LANES * S::LANES;
                for i in (0..whole).step_by(S::LANES) {
                    simd.store(&mut to[i..], T::load(simd, &from[i..]));
                }
                if whole < columns {
                    simd.store_some(&mut to[whole..], T::load_some(simd, &from[whole..]));
                }
            } else {
                let from = from.iter().step_by(column_stride.max(1));
                to.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_f32());
            }
        }
    }
}

/// Writes a matrix whose columns lie side by side, square by square.
#[inline(always)]
fn transposed<S: Simd, T: Float>(simd: S, to: &mut [f32], stride: usize, from: Matrix<'_, T>) {
    let Matrix { data, rows, columns, column_stride, .. } = from;
    let mut vectors = [simd.splat(0.0); simd::MAX_LANES];
    for row in (0..rows).step_by(S::LANES) {
        let down = S::LANES.min(rows - row);
        for column in (0..columns).step_by(S::LANES) {
            let across = S::LANES.min(columns - column);
            for (i, v) in vectors[..across].iter_mut().enumerate() {
                let from = &data[(column + i) * column_stride + row..][..down];
                *v = if down == S::LANES { T::load(simd, from) } else { T::load_some(simd, from) };
            }
            simd.transpose(&mut vectors[..S::LANES]);
            for (i, v) in vectors[..down].iter().enumerate() {
                let to = &mut to[(row + i) * stride + column..][..across];
                if across == S::LANES { simd.store(to, *v) } else { simd.store_some(to, *v) }
            }
        }
    }
}

/// What becomes of the sums of a tile.
pub(crate) trait Ends {
    /// Those of some rows from this one on with a panel.
    fn tile<S: Simd, const R: usize>(&mut self, simd: S, row: usize, panel: usize, sums: [[S::V; 2]; R]);
}

/// Results that lie side by side in rows, rounded.
pub(crate) struct Rounded<'a, T> {
    y: &'a Shared<'a, T>,
    start: usize,
    stride: usize,
    columns: usize,
    bias: Bias<'a>,
    /// Only such as are done in registers.
    stages: &'a [Stage<'a, T>],
}

impl<'a, T> Rounded<'a, T> {
    /// The results of row `r` are the `columns` elements of `y` from `start + r · stride` on. The bias is that of these
    /// rows, or of these columns.
    ///
    /// # Safety
    ///
    /// While it lives, no other reference to these results may be made.
    pub(crate) unsafe fn new(
        y: &'a Shared<'a, T>,
        start: usize,
        stride: usize,
        columns: usize,
        bias: Bias<'a>,
        stages: &'a [Stage<'a, T>],
    ) -> Self {
        Self { y, start, stride, columns, bias, stages }
    }
}

impl<T: Float> Rounded<'_, T> {
    /// Writes a tile; `ASIDE` when its stages are not all done in registers.
    #[inline(always)]
    fn end<S: Simd, const R: usize, const ASIDE: bool>(
        &mut self,
        simd: S,
        row: usize,
        panel: usize,
        mut sums: [[S::V; 2]; R],
    ) {
        let first = panel * 2 * S::LANES;
        match self.bias {
            Bias::None => {}
            Bias::Rows(bias) => {
                for (sums, &bias) in sums.iter_mut().zip(&bias[row..row + R]) {
                    let bias = simd.splat(bias);
                    *sums = [simd.add(bias, sums[0]), simd.add(bias, sums[1])];
                }
            }
            Bias::Columns(bias) => {
                let bias = loaded(simd, &bias[first..]);
                for sums in &mut sums {
                    *sums = [simd.add(bias[0], sums[0]), simd.add(bias[1], sums[1])];
                }
            }
        }
        let len = (self.columns - first).min(2 * S::LANES);
        let place = Place { at: self.start + row * self.stride + first, stride: self.stride, count: R, len };
        let finish = Finish { bias: None, stages: self.stages };
        if !ASIDE {
            // SAFETY: who made this promised that nothing else refers to these results.
            return unsafe { finish.rows(simd, self.y, sums, place) };
        }
        finish.tile(simd, &mut sums, place);
        for (r, sums) in sums.into_iter().enumerate() {
            let at = place.at + r * place.stride;
            // SAFETY: as above.
            finish::write(simd, unsafe { self.y.slice(at..at + len) }, sums);
        }
    }
}

impl<T: Float> Ends for Rounded<'_, T> {
    #[inline(always)]
    fn tile<S: Simd, const R: usize>(&mut self, simd: S, row: usize, panel: usize, sums: [[S::V; 2]; R]) {
        self.end::<S, R, false>(simd, row, panel, sums);
    }
}

/// As [`Rounded`], with stages of which some need the registers for themselves.
pub(crate) struct Aside<'a, T>(pub(crate) Rounded<'a, T>);

impl<T: Float> Ends for Aside<'_, T> {
    #[inline(always)]
    fn tile<S: Simd, const R: usize>(&mut self, simd: S, row: usize, panel: usize, sums: [[S::V; 2]; R]) {
        self.0.end::<S, R, true>(simd, row, panel, sums);
    }
}

/// Results whose rows lie apart and whose columns are planes: each tile is written with its rows side by side.
pub(crate) struct Transposed<'a, T> {
    y: &'a Shared<'a, T>,
    start: usize,
    plane: usize,
    columns: usize,
    finish: Finish<'a, T>,
}

impl<'a, T> Transposed<'a, T> {
    /// The result of row `r` and column `c` is that of `y` at `start + c · plane + r`. The bias is that of these columns, and
    /// the stages are done in registers.
    ///
    /// # Safety
    ///
    /// As [`Rounded::new`].
    pub(crate) unsafe fn new(
        y: &'a Shared<'a, T>,
        start: usize,
        plane: usize,
        columns: usize,
        finish: Finish<'a, T>,
    ) -> Self {
        Self { y, start, plane, columns, finish }
    }
}

impl<T: Float> Transposed<'_, T> {
    /// Writes the half of a tile whose first column this is.
    #[inline(always)]
    fn half<S: Simd, const R: usize>(&self, simd: S, row: usize, first: usize, sums: [S::V; R]) {
        let mut square = [[simd.splat(0.0)]; simd::MAX_LANES];
        for (to, sum) in square.iter_mut().zip(sums) {
            *to = [sum];
        }
        simd.transpose(square[..S::LANES].as_flattened_mut());
        let count = self.columns.saturating_sub(first).min(S::LANES);
        let place = Place { at: self.start + first * self.plane + row, stride: self.plane, count, len: R };
        // SAFETY: who made this promised that nothing else refers to these results.
        unsafe { self.finish.rows(simd, self.y, square, place) };
    }
}

impl<T: Float> Ends for Transposed<'_, T> {
    #[inline(always)]
    fn tile<S: Simd, const R: usize>(&mut self, simd: S, row: usize, panel: usize, sums: [[S::V; 2]; R]) {
        let first = 2 * panel * S::LANES;
        let bias = match self.finish.bias {
            Some(bias) => loaded(simd, &bias[first..]),
            None => [simd.splat(0.0); 2],
        };
        let (mut left, mut right) = ([simd.splat(0.0); R], [simd.splat(0.0); R]);
        for (r, sums) in sums.into_iter().enumerate() {
            left[r] = simd.add(bias[0], sums[0]);
            right[r] = simd.add(bias[1], sums[1]);
        }
        self.half(simd, row, first, left);
        self.half(simd, row, first + S::LANES, right);
    }
}

/// Sums in memory, to which is added.
pub(crate) struct Added<'a> {
    /// Rows that start `stride` apart.
    pub(crate) sums: &'a mut [f32],
    pub(crate) stride: usize,
    pub(crate) columns: usize,
}

impl Ends for Added<'_> {
    #[inline(always)]
    fn tile<S: Simd, const R: usize>(&mut self, simd: S, row: usize, panel: usize, sums: [[S::V; 2]; R]) {
        let first = panel * 2 * S::LANES;
        let columns = (self.columns - first).min(2 * S::LANES);
        for (r, sums) in sums.into_iter().enumerate() {
            let to = &mut self.sums[(row + r) * self.stride + first..][..columns];
            let before = loaded(simd, to);
            finish::write(simd, to, [simd.add(before[0], sums[0]), simd.add(before[1], sums[1])]);
        }
    }
}

/// Numbers of a row, and zeros where it ends before the panel.
#[inline(always)]
pub(crate) fn loaded<S: Simd>(simd: S, row: &[f32]) -> [S::V; 2] {
    if row.len() >= 2 * S::LANES {
        return [simd.load(row), simd.load(&row[S::LANES..])];
    }
    [simd.load_some(row), simd.load_some(row.get(S::LANES..).unwrap_or_default())]
}

/// Panels of columns, one like the other.
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a, W> {
    pub(crate) data: &'a [W],
    /// From the numbers of an element, one for each column, to those of the next.
    pub(crate) stride: usize,
    /// From a panel to the next.
    pub(crate) distance: usize,
    /// The columns of all of them; the last one may have less than it has room for.
    pub(crate) columns: usize,
    /// What is met after these, and is asked for while they are: it may come from far.
    pub(crate) next: &'a [u8],
}

impl<'a, W> Panels<'a, W> {
    /// Panels that were written one after the other, of columns with so many elements.
    pub(crate) fn written(data: &'a [W], inputs: usize, width: usize, columns: usize) -> Self {
        Self { data, stride: width, distance: inputs * width, columns, next: &[] }
    }
}

/// The sums of a band of rows and some panels of columns.
pub(crate) struct Band<'a, X, W, E> {
    pub(crate) x: X,
    pub(crate) rows: usize,
    /// The elements of a row, and of a column.
    pub(crate) inputs: usize,
    pub(crate) panels: Panels<'a, W>,
    pub(crate) ends: E,
}

impl<X: Rows, W: Float, E: Ends> Kernel for Band<'_, X, W, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.from(simd, 0);
    }
}

/// As [`Band`], of panels whose numbers are widened for the tiles after the first, while that one is summed.
pub(crate) struct Widening<'a, X, W, E> {
    pub(crate) band: Band<'a, X, W, E>,
    /// As many numbers as the panels have.
    pub(crate) wide: &'a mut [f32],
}

impl<X: Rows, W: Float, E: Ends> Kernel for Widening<'_, X, W, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { mut band, wide } = self;
        let first = next_rows(band.rows, S::LANES);
        let row = if S::LANES == simd::MAX_LANES && first == TILE_ROWS {
            band.rows::<S, TILE_ROWS, true>(simd, 0, wide)
        } else if S::LANES < simd::MAX_LANES && first == TILE_ROWS / 2 {
            band.rows::<S, { TILE_ROWS / 2 }, true>(simd, 0, wide)
        } else {
            W::widen(wide, band.panels.data);
            0
        };
        let Band { x, rows, inputs, panels, ends } = band;
        let Panels { stride, distance, columns, next, .. } = panels;
        let panels = Panels { data: &*wide, stride, distance, columns, next };
        Band { x, rows, inputs, panels, ends }.from(simd, row);
    }
}

impl<X: Rows, W: Float, E: Ends> Band<'_, X, W, E> {
    /// Computes the rows from this one on, which is the first of a tile.
    #[inline(always)]
    fn from<S: Simd>(&mut self, simd: S, mut row: usize) {
        while row < self.rows {
            row += match next_rows(self.rows - row, S::LANES) {
                MOST_ROWS => self.rows::<S, MOST_ROWS, false>(simd, row, &mut []),
                TILE_ROWS => self.rows::<S, TILE_ROWS, false>(simd, row, &mut []),
                8 => self.rows::<S, 8, false>(simd, row, &mut []),
                6 => self.rows::<S, 6, false>(simd, row, &mut []),
                4 => self.rows::<S, 4, false>(simd, row, &mut []),
                2 => self.rows::<S, 2, false>(simd, row, &mut []),
                _ => self.rows::<S, 1, false>(simd, row, &mut []),
            };
        }
    }

    /// Computes so many rows from this one on, with all panels, whose numbers it may write `WIDE`; gives their number.
    #[inline(always)]
    fn rows<S: Simd, const R: usize, const WIDE: bool>(
        &mut self,
        simd: S,
        row: usize,
        wide: &mut [f32],
    ) -> usize {
        let count = self.panels.columns.div_ceil(2 * S::LANES);
        for panel in 0..count {
            // A single vector of columns takes half of the time.
            let narrow = R > 1 && !WIDE && self.panels.columns - panel * 2 * S::LANES <= S::LANES;
            let next = row.div_ceil(R) * count + panel;
            let sums = if narrow {
                let zero = simd.splat(0.0);
                let mut both = [[zero; 2]; R];
                let sums = self.all::<S, R, 1, false>(simd, row, panel, next, &mut []);
                for (both, [sum]) in both.iter_mut().zip(sums) {
                    *both = [sum, zero];
                }
                both
            } else {
                self.all::<S, R, 2, WIDE>(simd, row, panel, next, wide)
            };
            self.ends.tile(simd, row, panel, sums);
        }
        R
    }

    /// The sums of rows with so many vectors of a panel. Of what comes next the part of this number is asked for.
    #[inline(always)]
    fn all<S: Simd, const R: usize, const N: usize, const WIDE: bool>(
        &self,
        simd: S,
        row: usize,
        panel: usize,
        next: usize,
        wide: &mut [f32],
    ) -> [[S::V; N]; R] {
        let mut sums = self.part::<S, R, N, WIDE>(simd, [row, panel, 0], next, wide);
        // Most layers have one block: sums that wait for others would lie in memory.
        for from in (DEPTH..self.inputs).step_by(DEPTH) {
            let found = self.part::<S, R, N, WIDE>(simd, [row, panel, from], next, wide);
            for (sums, found) in sums.iter_mut().zip(found) {
                for (sum, found) in sums.iter_mut().zip(found) {
                    *sum = simd.add(*sum, found);
                }
            }
        }
        sums
    }

    /// The sums of rows over a block of their elements.
    #[inline(always)]
    fn part<S: Simd, const R: usize, const N: usize, const WIDE: bool>(
        &self,
        simd: S,
        [row, panel, from]: [usize; 3],
        next: usize,
        wide: &mut [f32],
    ) -> [[S::V; N]; R] {
        let (width, depth) = (N * S::LANES, DEPTH.min(self.inputs - from));
        if depth == 0 {
            return [[simd.splat(0.0); N]; R];
        }
        let Panels { data, stride, distance, next: coming, .. } = self.panels;
        let x = self.x.part::<R>(row, self.inputs, from..from + depth);
        let numbers = panel * distance + from * stride;
        let numbers = numbers..numbers + (depth - 1) * stride + width;
        let panel = &data[numbers.clone()];
        if R == 1 {
            return [single(simd, x, panel, stride); R];
        }
        let coming = coming.get((next * self.inputs + from) / 2 * LINE..).unwrap_or_default();
        let wide = if WIDE { &mut wide[numbers] } else { &mut [] };
        block::<S, W, R, N, WIDE>(simd, x, self.x.steps::<R>(), panel, stride, depth, coming, wide)
    }
}

/// The bytes that memory is asked for at a time.
const LINE: usize = 64;

/// The sums of `R` rows of `x`, whose first `depth` elements meet the rows of the panel. With each two of them a line of what
/// is coming is asked for. The numbers of the panel may be written `WIDE`.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "they are the parts of a tile and of its panel")]
fn block<S: Simd, W: Float, const R: usize, const N: usize, const WIDE: bool>(
    simd: S,
    x: &[f32],
    [next_row, next]: [usize; 2],
    panel: &[W],
    stride: usize,
    depth: usize,
    coming: &[u8],
    wide: &mut [f32],
) -> [[S::V; N]; R] {
    let width = N * S::LANES;
    assert!(x.len() > (R - 1) * next_row + (depth - 1) * next, "the rows have as many elements as the panel");
    assert!(panel.len() >= (depth - 1) * stride + width, "the panel has all of its columns");
    let mut sums = [[simd.splat(0.0); N]; R];
    // SAFETY: `k < depth`, so that the second assertion holds these numbers within the panel.
    let weights = |k: usize| unsafe { panel.get_unchecked(k * stride..k * stride + width) };
    // SAFETY: `r < R` and `k < depth`, so that the first assertion holds the element within the rows.
    let number = |r: usize, k: usize| simd.splat(unsafe { *x.get_unchecked(r * next_row + k * next) });
    // Where there are registers for it, two elements of a row are read at a time, which halves the computing of places.
    let twos = if S::LANES == simd::MAX_LANES { depth / 2 * 2 } else { 0 };
    let line = if coming.is_empty() { 0 } else { LINE };
    for k in (0..twos).step_by(2) {
        let (mut one, mut two) = ([simd.splat(0.0); N], [simd.splat(0.0); N]);
        for (n, (one, two)) in one.iter_mut().zip(&mut two).enumerate() {
            *one = W::load(simd, &weights(k)[n * S::LANES..]);
            *two = W::load(simd, &weights(k + 1)[n * S::LANES..]);
        }
        if WIDE {
            keep(simd, &mut wide[k * stride..], one);
            keep(simd, &mut wide[(k + 1) * stride..], two);
        }
        simd::prefetch(coming, k / 2 * line);
        for (r, sums) in sums.iter_mut().enumerate() {
            let x = number(r, k);
            for n in 0..N {
                sums[n] = simd.mul_add(x, one[n], sums[n]);
            }
            let x = number(r, k + 1);
            for n in 0..N {
                sums[n] = simd.mul_add(x, two[n], sums[n]);
            }
        }
    }
    for k in twos..depth {
        let mut one = [simd.splat(0.0); N];
        for (n, one) in one.iter_mut().enumerate() {
            *one = W::load(simd, &weights(k)[n * S::LANES..]);
        }
        if WIDE {
            keep(simd, &mut wide[k * stride..], one);
        }
        for (r, sums) in sums.iter_mut().enumerate() {
            let x = number(r, k);
            for n in 0..N {
                sums[n] = simd.mul_add(x, one[n], sums[n]);
            }
        }
    }
    sums
}

/// Writes vectors side by side.
#[inline(always)]
fn keep<S: Simd, const N: usize>(simd: S, to: &mut [f32], from: [S::V; N]) {
    for (n, from) in from.into_iter().enumerate() {
        simd.store(&mut to[n * S::LANES..], from);
    }
}

/// From so many bytes on a panel that one row meets is asked for ahead: it comes from memory more often than not.
const FAR: usize = 1 << 14;

/// The sums of one row, in four parts, since one alone would wait for each addition.
#[inline(always)]
fn single<S: Simd, W: Float, const N: usize>(simd: S, x: &[f32], panel: &[W], stride: usize) -> [S::V; N] {
    let width = N * S::LANES;
    assert!(panel.len() >= (x.len() - 1) * stride + width, "the panel has all of its columns");
    let mut parts = [[simd.splat(0.0); N]; 4];
    let (fours, ones) = x.as_chunks::<4>();
    let far = size_of_val(panel) >= FAR;
    for (k, x) in fours.iter().enumerate() {
        for (i, parts) in parts.iter_mut().enumerate() {
            let first = (4 * k + i) * stride;
            // SAFETY: `4 · k + i < x.len()`, so that the assertion holds these numbers within the panel.
            let weights = unsafe { panel.get_unchecked(first..first + width) };
            if far {
                simd::prefetch(weights, simd::AHEAD);
                if size_of_val(weights) > LINE {
                    simd::prefetch(weights, simd::AHEAD + LINE);
                }
            }
            step(simd, parts, x[i], weights);
        }
    }
    for (k, &x) in ones.iter().enumerate() {
        step(simd, &mut parts[0], x, &panel[(4 * fours.len() + k) * stride..][..width]);
    }
    let [p, q, r, s] = parts;
    let mut sums = p;
    for n in 0..N {
        sums[n] = simd.add(simd.add(p[n], q[n]), simd.add(r[n], s[n]));
    }
    sums
}

/// Adds the numbers of one element of a panel, times `x`.
#[inline(always)]
fn step<S: Simd, W: Float, const N: usize>(simd: S, sums: &mut [S::V; N], x: f32, weights: &[W]) {
    let x = simd.splat(x);
    for (n, sum) in sums.iter_mut().enumerate() {
        *sum = simd.mul_add(x, W::load(simd, &weights[n * S::LANES..][..S::LANES]), *sum);
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::testing::floats;

    #[test]
    fn parts_fall_into_the_tiles_that_all_rows_fall_into() {
        simd::with_each(|rank| {
            for rows in 1..130 {
                let whole: Vec<_> = tile_rows(rows).collect();
                assert!(whole.iter().all(|tile| tile.len() <= MOST_ROWS));
                for part in [1, 2, 8].map(|tiles| tiles * TILE_ROWS) {
                    let parts = Parts::of(rows, part);
                    let tiles_of = |part: Range<usize>| {
                        assert!(part.len() <= parts.most());
                        tile_rows(part.len()).map(move |t| part.start + t.start..part.start + t.end)
                    };
                    let divided = (0..parts.count).flat_map(|at| tiles_of(parts.range(at)));
                    assert_eq!(divided.collect::<Vec<_>>(), whole, "{rows} rows by {part}, rank {rank}");
                }
            }
        });
    }

    fn check<T: Float>(rows: usize, columns: usize) {
        let data: Vec<T> = floats(3 * (rows + 4) * (columns + 4), 1);
        for (row_stride, column_stride) in [(columns + 3, 1), (1, rows + 2), (2 * columns, 2), (1, 1)] {
            let from = Matrix::strided(&data, rows, columns, row_stride, column_stride);
            let stride = columns + 5;
            let mut to = vec![9.0; rows * stride];
            write(&mut to, stride, from);
            for (row, to) in to.chunks(stride).enumerate() {
                for (column, &to) in to.iter().enumerate() {
                    let at = row * row_stride + column * column_stride;
                    let wanted = if column < columns { data[at].to_f32() } else { 9.0 };
                    assert_eq!(to, wanted, "{rows}x{columns}, {row_stride} {column_stride}");
                }
            }
        }
    }

    #[test]
    fn matrices_of_every_layout_are_written_as_rows() {
        for (rows, columns) in [(1, 1), (16, 16), (8, 40), (33, 17), (5, 31), (64, 3)] {
            check::<f32>(rows, columns);
            check::<f16>(rows, columns);
        }
    }
}
