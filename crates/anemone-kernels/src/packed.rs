//! Products with weights that were packed once.
//!
//! [`Packed`] holds the transposed weights of a layer in panels: so many outputs side by side, input after input, in
//! the order in which the innermost loop reads them, and in the type in which they are stored. Halves stay halves, so
//! that a layer which is bound by memory reads half of the bytes; they are widened in registers, and where many rows meet them
//! the first tile writes them down for the others.
//!
//! A result is `bias + Σ x·w`, summed in `f32`: in order within blocks of 512 inputs (of a single row in four
//! interleaved parts), and block after block. It is rounded once. Which thread computes what has no influence.
//!
//! ```
//! use anemone_kernels::finish::Finish;
//! use anemone_kernels::{gemm::Matrix, packed::{Packed, linear}};
//! let weights = Packed::new(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], 2); // 2 outputs of 3 inputs
//! let mut y = [0.0f32; 2];
//! linear(1, &mut y, Matrix::new(&[1.0, 0.0, 1.0], 1, 3), &weights, Finish::default());
//! assert_eq!(y, [4.0, 10.0]);
//! ```

mod shared;

use std::ops::Range;

pub(crate) use shared::shared;

use macro_rules_attribute::apply;

use crate::Float;
use crate::compiled::compiled_here;
use crate::finish::Finish;
use crate::gemm::{Bias, Matrix, dot_rows, gemm};
use crate::memory::Buffer;
use crate::scratch;
use crate::simd;
use crate::threads::{Shared, parallel_chunks, parallel_for, parallel_tasks};
use crate::tile::{
    self, Aside, Band, Bands, Ends, GROUP, Lines, Panels, Parts, Rounded, Rows, TILE_ROWS, Widening,
    panel_width,
};

/// The weights of a layer, packed.
///
/// ```
/// use anemone_kernels::packed::Packed;
/// let layer = Packed::new(&[1.0f32; 6], 2);
/// assert_eq!((layer.inputs(), layer.outputs()), (3, 2));
/// assert!(layer.bytes() >= 24, "whole panels");
/// ```
#[derive(Debug)]
pub struct Packed<W> {
    panels: Buffer,
    inputs: usize,
    outputs: usize,
    /// The columns of a panel.
    width: usize,
    /// How many panels there are.
    count: usize,
    /// How many panels rows meet at a time.
    group: usize,
    weights: std::marker::PhantomData<W>,
}

impl<W: Float> Packed<W> {
    /// Packs weights of `outputs` rows, with one weight for each input.
    ///
    /// # Panics
    ///
    /// When the weights are not whole rows.
    pub fn new(weights: &[W], outputs: usize) -> Self {
        let inputs = weights.len() / outputs.max(1);
        assert_eq!(weights.len(), inputs * outputs, "weights are whole rows");
        let width = panel_width();
        let mut panels = Buffer::zeroed(outputs.next_multiple_of(width) * inputs * size_of::<W>());
        let all: &mut [W] = bytemuck::cast_slice_mut(panels.bytes_mut());
        let panel = (inputs * width).max(1);
        for (panel, rows) in all.chunks_exact_mut(panel).zip(weights.chunks(panel)) {
            write_panel(panel, rows, inputs);
        }
        let count = outputs.div_ceil(width);
        let group = (GROUP / panel).clamp(1, count.max(1));
        Self { panels, inputs, outputs, width, count, group, weights: std::marker::PhantomData }
    }

    /// How many inputs a row has.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// How many outputs a row has.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The bytes that the packed weights take.
    pub fn bytes(&self) -> usize {
        self.panels.len()
    }

    /// Some panels: of each all inputs, with the weights of as many outputs as a panel is wide side by side.
    pub(crate) fn panels(&self, range: Range<usize>) -> &[W] {
        let (all, len): (&[W], _) = (bytemuck::cast_slice(self.panels.bytes()), self.inputs * self.width);
        &all[range.start * len..range.end * len]
    }
}

/// Writes rows of weights side by side into a panel.
fn write_panel<W: Float>(panel: &mut [W], rows: &[W], inputs: usize) {
    let width = panel.len() / inputs.max(1);
    for (column, row) in rows.chunks_exact(inputs.max(1)).enumerate() {
        for (to, &w) in panel[column..].iter_mut().step_by(width).zip(row) {
            *to = w;
        }
    }
}

/// A row of so many inputs is widened on the stack.
const SHORT: usize = 256;

/// Computes a row of outputs for each row of inputs, which may lie in columns, as the places of planes do whose channels follow
/// each other.
///
/// ```
/// use anemone_kernels::{finish::Finish, gemm::Matrix, packed::{Packed, linear}};
/// let weights = Packed::new(&[1.0f32, 2.0, 10.0, 20.0], 2);
/// let mut y = [0.0f32; 2];
/// linear(1, &mut y, Matrix::new(&[1.0, 1.0], 1, 2), &weights, Finish::bias(Some(&[0.5, 0.0])));
/// assert_eq!(y, [3.5, 30.0]);
/// ```
///
/// # Panics
///
/// When the columns of `x` are not the inputs or lie beyond its slice, `y` has not a row of outputs for each row of `x`, or the bias
/// not one number for each output.
#[apply(compiled_here)]
pub fn linear<T: Float, W: Float>(
    threads: usize,
    y: &mut [T],
    x: Matrix<'_, T>,
    weights: &Packed<W>,
    finish: Finish<'_, T>,
) {
    let (inputs, outputs) = (weights.inputs, weights.outputs);
    let sizes = (Some(y.len()), inputs);
    assert_eq!(sizes, (x.rows.checked_mul(outputs), x.columns), "a layer takes and gives whole rows");
    if let Some(bias) = finish.bias {
        assert_eq!(bias.len(), outputs, "a bias has one number for each output");
    }
    finish.check(y.len());
    if y.is_empty() {
        return;
    }
    let (x, rows) = (x.at(0), x.rows);
    let whole = finish;
    let (finish, left) = whole.split_of_tiles();
    // Waking a thread costs more than so many multiplications.
    let threads = if rows * inputs * outputs < 1 << 17 { 1 } else { threads };
    let layer = Layer { y: &Shared::new(&mut *y), weights, finish };
    let mut wide;
    let single = if rows == 1 && (x.column_stride == 1 || inputs <= 1) { x.data.get(..inputs) } else { None };
    let one = match single.map(|x| T::as_f32s(x).ok_or(x)) {
        Some(Ok(x)) => Some(x),
        Some(Err(x)) if inputs <= SHORT => {
            wide = [0.0; SHORT];
            T::widen(&mut wide[..inputs], x);
            Some(&wide[..inputs])
        }
        _ => None,
    };
    if let Some(data) = one {
        layer.rows(threads, Lines { data, stride: inputs }, 0..1);
    } else {
        let bands = Bands::of(threads, rows, outputs);
        parallel_tasks(threads, bands.count, |tasks| {
            for own in tasks.map(|at| bands.range(at)) {
                let most =
                    if bands.threads == 1 && weights.count <= weights.group { HELD } else { usize::MAX };
                let part = (most / stride(inputs)).clamp(4 * TILE_ROWS, rows.max(4 * TILE_ROWS));
                let parts = Parts::of(own.len(), part / TILE_ROWS * TILE_ROWS);
                for part in (0..parts.count).map(|at| parts.range(at)) {
                    let own = own.start + part.start..own.start + part.end;
                    let data = &lines(bands.threads, x.block(own.clone(), 0..inputs));
                    layer.rows(bands.threads, Lines { data, stride: stride(inputs) }, own);
                }
            }
        });
    }
    if left {
        whole.after(threads, y);
    }
}

/// Rows that meet a single group of panels are widened so many numbers at a time, which stay in the second-level cache: to write them
/// where no cache has the memory takes as long as a third of a product with 32 outputs.
const HELD: usize = 1 << 15;

/// Where the results of a layer go.
struct Layer<'a, T, W> {
    y: &'a Shared<'a, T>,
    weights: &'a Packed<W>,
    finish: Finish<'a, T>,
}

impl<T: Float, W: Float> Layer<'_, T, W> {
    /// Computes these rows, which no other thread has.
    fn rows(&self, threads: usize, x: Lines<'_>, own: Range<usize>) {
        let Self { y, weights, finish } = *self;
        let ends = |first: usize, columns: Range<usize>| {
            let (start, count) = ((own.start + first) * weights.outputs + columns.start, columns.len());
            let bias = finish.bias.map_or(Bias::None, |bias| Bias::Columns(&bias[columns]));
            // SAFETY: rows of a band and columns of a group are in one task only.
            unsafe { Rounded::new(y, start, weights.outputs, count, bias, finish.stages) }
        };
        if finish.in_registers() {
            tiles(threads, x, own.len(), weights, ends);
        } else {
            tiles(threads, x, own.len(), weights, |first, columns| Aside(ends(first, columns)));
        }
    }
}

/// From a row of so many numbers to the next: an odd number of cache lines, so that the rows of a tile lie in different sets of
/// the first-level cache.
fn stride(inputs: usize) -> usize {
    (inputs.div_ceil(16) | 1) * 16
}

/// Rows, widened.
fn lines<T: Float>(threads: usize, x: Matrix<'_, T>) -> scratch::Floats {
    let stride = stride(x.columns);
    let mut lines = scratch::floats(x.rows * stride);
    // So many rows that the squares of a transpose are whole.
    let part = ((1 << 12) / stride + 1).next_multiple_of(simd::MAX_LANES);
    parallel_chunks(threads, &mut lines, part * stride, (1 << 15) / (part * stride) + 1, |at, to| {
        tile::write(to, stride, x.block(at * part..x.rows.min((at + 1) * part), 0..x.columns));
    });
    lines
}

/// Computes the outputs of one row of inputs with weights that lie as a file has them: for each output one row of weights.
///
/// A single row reads each weight once, so that to pack large ones would cost memory and give nothing.
///
/// ```
/// use anemone_kernels::{finish::Finish, packed};
/// let mut y = [0.0f32; 2];
/// packed::row(1, &mut y, &[1.0, 1.0], &[1.0f32, 2.0, 10.0, 20.0], Finish::bias(Some(&[0.5, 0.0])));
/// assert_eq!(y, [3.5, 30.0]);
/// ```
///
/// # Panics
///
/// When the weights are not as many as inputs times outputs, or the bias is not one number for each output.
#[apply(compiled_here)]
pub fn row<T: Float, W: Float>(threads: usize, y: &mut [T], x: &[T], weights: &[W], finish: Finish<'_, T>) {
    finish.check(y.len());
    let bias = finish.bias.map_or(Bias::None, Bias::Columns);
    let (x, weights) = (Matrix::new(x, 1, x.len()), Matrix::new(weights, y.len(), x.len()).transposed());
    gemm(threads, y, x, weights, bias);
    finish.after(threads, y);
}

/// As [`row`], with weights that are made as they are read: `make` writes those from a place on, which is a multiple of
/// the inputs.
///
/// What is made stays in the caches, so that memory is read for what the weights are made of alone.
///
/// ```
/// use anemone_kernels::{finish::Finish, packed};
/// let mut y = [0.0f32; 2];
/// // The weights are their own numbers: 0, 1 and 2, 3.
/// let make = |start: usize, to: &mut [f32]| to.iter_mut().zip(start..).for_each(|(w, i)| *w = i as f32);
/// packed::row_made(1, &mut y, &[1.0, 1.0], make, Finish::default());
/// assert_eq!(y, [1.0, 5.0]);
/// ```
///
/// # Panics
///
/// When the bias is not one number for each output.
pub fn row_made<T: Float, W: Float>(
    threads: usize,
    y: &mut [T],
    x: &[T],
    make: impl Fn(usize, &mut [W]) + Sync,
    finish: Finish<'_, T>,
) {
    // So many weights are made at a time, which the first-level cache holds, and so many make it worth to wake a thread.
    const MADE: usize = 1 << 13;
    const WORTH: usize = 1 << 17;
    let inputs = x.len();
    finish.check(y.len());
    if let Some(bias) = finish.bias {
        assert_eq!(bias.len(), y.len(), "a bias has one number for each output");
    }
    // Whole fours of rows, since those are summed side by side.
    let rows = (MADE / inputs.max(1)).next_multiple_of(4).max(4);
    parallel_chunks(threads, y, rows, WORTH.div_ceil(rows * inputs.max(1)), |i, y| {
        let mut weights = scratch::scratch::<W>(y.len() * inputs);
        make(i * rows * inputs, &mut weights);
        let mut sums = scratch::floats(y.len());
        match finish.bias {
            Some(bias) => sums.copy_from_slice(&bias[i * rows..][..y.len()]),
            None => sums.fill(0.0),
        }
        dot_rows(&mut sums, x, Matrix::new(&weights, y.len(), inputs));
        T::narrow(y, &sums);
    });
    finish.after(threads, y);
}

/// So many numbers of panels are widened at a time.
const WIDENED: usize = 1 << 15;

/// The sums of rows with all columns: some panels after the others, met by one band of rows after the other, so that both stay in
/// the second-level cache. `ends` says what becomes of the rows from one on, in these columns.
pub(crate) fn tiles<X: Rows, W: Float, E: Ends>(
    threads: usize,
    x: X,
    rows: usize,
    weights: &Packed<W>,
    ends: impl Fn(usize, Range<usize>) -> E + Sync,
) {
    let (inputs, outputs, width) = (weights.inputs, weights.outputs, weights.width);
    let panels = weights.count;
    // Halves that many rows meet are widened once for all of them.
    let widens = W::as_f32s(&[]).is_none() && rows > 2 * TILE_ROWS;
    let most = 8 * TILE_ROWS;
    // What a single band meets is widened little by little: the more of it comes from memory while others are multiplied.
    let group = if widens && rows <= most { WIDENED / (inputs * width).max(1) } else { weights.group };
    let group = group.clamp(1, weights.group);
    // A few groups for each of several threads, also of a small layer.
    let group = if threads > 1 { group.min(panels.div_ceil(8)) } else { group };
    // A division is a part of what the smallest layers take.
    let parts = |whole: usize, part: usize| if whole <= part { 1 } else { whole.div_ceil(part) };
    let groups = parts(panels, group);
    // Groups differ by one panel at most, so that threads have as much to do.
    let border = |at: usize| if groups == 1 { at.min(1) * panels } else { at.min(groups) * panels / groups };
    // Few groups are shared by several threads: bands of whole tiles, so that the same rows are summed together.
    let few = threads > 1 && groups / 4 < threads && rows > 2 * TILE_ROWS;
    let bands = Parts::of(rows, if few { 2 * TILE_ROWS } else { most });
    // A task is a group of panels with a band of rows; bands of one group follow each other.
    let grain = parts(1 << 16, bands.most() * group * width * inputs.max(1));
    parallel_for(threads, groups * bands.count, grain, |tasks| {
        let mut wide = scratch::floats(if widens { group * inputs * width } else { 0 });
        let mut held = None;
        for task in tasks {
            let (at, band) = (task / bands.count, bands.range(task % bands.count));
            let (first, taken) = (band.start, band.len());
            let part = weights.panels(border(at)..border(at + 1));
            let columns = border(at) * width..outputs.min(border(at + 1) * width);
            let (count, ends) = (columns.len(), ends(first, columns));
            let x = x.after(first, inputs);
            if widens {
                // The first band asks for what is widened after these.
                let next = if first == 0 { weights.panels(border(at + 1)..border(at + 2)) } else { &[] };
                let next = bytemuck::cast_slice(next);
                if held != Some(at) {
                    held = Some(at);
                    let panels = Panels { next, ..Panels::written(part, inputs, width, count) };
                    let band = Band { x, rows: taken, inputs, panels, ends };
                    simd::dispatch(Widening { band, wide: &mut wide[..part.len()] });
                } else {
                    let panels = Panels { next, ..Panels::written(&wide, inputs, width, count) };
                    simd::dispatch(Band { x, rows: taken, inputs, panels, ends });
                }
            } else {
                let panels = Panels::written(part, inputs, width, count);
                simd::dispatch(Band { x, rows: taken, inputs, panels, ends });
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::binary::Binary;
    use crate::finish::Stage;
    use crate::math::{Unary, unary};
    use crate::testing::{close, floats};

    fn check<T: Float, W: Float>(rows: usize, inputs: usize, outputs: usize) {
        let (x, w) = (floats::<T>(rows * inputs, 1), floats::<W>(outputs * inputs, 2));
        let bias = floats::<f32>(outputs, 3);
        let packed = Packed::new(&w, outputs);
        assert_eq!((packed.inputs(), packed.outputs()), (inputs, outputs));
        let given = [1, 2, 4].map(|threads| {
            let mut y = vec![T::from_f32(f32::NAN); rows * outputs];
            linear(threads, &mut y, Matrix::new(&x, rows, inputs), &packed, Finish::bias(Some(&bias)));
            y
        });
        assert!(
            given
                .iter()
                .all(|y| bytemuck::cast_slice::<T, u8>(y) == bytemuck::cast_slice::<T, u8>(&given[0]))
        );
        for r in 0..rows {
            for o in 0..outputs {
                let products = (0..inputs)
                    .map(|i| f64::from(x[r * inputs + i].to_f32()) * f64::from(w[o * inputs + i].to_f32()));
                let size = products.clone().map(f64::abs).sum::<f64>() + 1.0;
                let exact = f64::from(bias[o]) + products.sum::<f64>();
                let bound = size * 2f64.powi(-24) * (inputs.min(512) + 8) as f64;
                close(
                    given[0][r * outputs + o],
                    exact,
                    bound,
                    &format!("{rows} {inputs} {outputs}: {r} {o}"),
                );
            }
        }
        if rows == 1 {
            let mut y = vec![T::from_f32(f32::NAN); outputs];
            row(2, &mut y, &x, &w, Finish { bias: Some(&bias), stages: &[Stage::Unary(Unary::Relu)] });
            for (y, expected) in y.iter().zip(&given[0]) {
                let expected = f64::from(expected.to_f32().max(0.0));
                close(*y, expected, expected * 2f64.powi(-10) + 1e-6 * inputs as f64, "weights as they lie");
            }
            let made = |start: usize, to: &mut [W]| to.copy_from_slice(&w[start..][..to.len()]);
            let stages = &[Stage::Unary(Unary::Relu)];
            for threads in [1, 3] {
                let mut z = vec![T::from_f32(f32::NAN); outputs];
                row_made(threads, &mut z, &x, made, Finish { bias: Some(&bias), stages });
                assert_eq!(z, y, "weights that are made");
            }
        }
        let x = Matrix::new(&x, rows, inputs);
        let mut active = vec![T::from_f32(0.0); rows * outputs];
        let finish = Finish { bias: Some(&bias), stages: &[Stage::Unary(Unary::Gelu)] };
        linear(2, &mut active, x, &packed, finish);
        let mut apart = active.clone();
        unary(1, &mut apart, &given[0], Unary::Gelu, &[]);
        assert_eq!(active, apart, "an activation gives the bits that it gives by itself");
        let stages =
            [Stage::Unary(Unary::Relu), Stage::Binary { f: Binary::Add, other: &given[0], swapped: false }];
        linear(2, &mut active, x, &packed, Finish { bias: Some(&bias), stages: &stages });
        let expected = given[0].iter().map(|y| T::from_f32(y.to_f32().max(0.0) + y.to_f32()));
        assert!(active.into_iter().eq(expected), "a residual gives the bits that it gives by itself");
    }

    #[test]
    fn rows_of_every_number_meet_panels_of_every_width() {
        for rows in [1, 2, 3, 5, 6, 7, 12, 13, 14, 15, 17, 25, 49, 100] {
            for (inputs, outputs) in [(1, 1), (3, 16), (64, 64), (7, 33), (513, 70), (1030, 5)] {
                check::<f32, f32>(rows, inputs, outputs);
                check::<f16, f16>(rows, inputs, outputs);
                check::<f32, f16>(rows, inputs, outputs);
            }
        }
    }

    #[test]
    fn halves_give_the_bits_of_what_they_are_widened_to() {
        for (rows, inputs, outputs) in
            [(2, 40, 20), (25, 70, 48), (41, 513, 70), (100, 1030, 5), (125, 9, 130)]
        {
            let (x, w) = (floats::<f32>(rows * inputs, 1), floats::<f16>(outputs * inputs, 2));
            let x = Matrix::new(&x, rows, inputs);
            let wide: Vec<f32> = w.iter().map(|w| w.to_f32()).collect();
            let mut expected = vec![f32::NAN; rows * outputs];
            linear(1, &mut expected, x, &Packed::new(&wide, outputs), Finish::default());
            for threads in [1, 3] {
                let mut y = vec![f32::NAN; rows * outputs];
                linear(threads, &mut y, x, &Packed::new(&w, outputs), Finish::default());
                assert_eq!(y, expected, "{rows} x {inputs} x {outputs}");
            }
        }
    }

    #[test]
    fn rows_that_lie_in_columns_give_the_same_bits() {
        for (rows, inputs, outputs) in [(1, 3, 5), (2, 40, 20), (33, 70, 48), (49, 17, 130), (196, 100, 40)] {
            let (x, w) = (floats::<f16>(rows * inputs, 1), floats::<f16>(outputs * inputs, 2));
            let packed = Packed::new(&w, outputs);
            let mut expected = vec![f16::NAN; rows * outputs];
            linear(1, &mut expected, Matrix::new(&x, rows, inputs), &packed, Finish::default());
            let columns: Vec<f16> = (0..x.len()).map(|i| x[i % rows * inputs + i / rows]).collect();
            for threads in [1, 3] {
                let mut y = vec![f16::NAN; rows * outputs];
                let x = Matrix::new(&columns, inputs, rows).transposed();
                linear(threads, &mut y, x, &packed, Finish::default());
                assert_eq!(y, expected, "{rows} x {inputs} x {outputs}");
            }
        }
    }

    #[test]
    fn nothing_gives_nothing() {
        let nothing = |rows| Matrix::new(&[] as &[f32], rows, 0);
        linear(1, &mut [], nothing(0), &Packed::<f32>::new(&[], 0), Finish::default());
        let mut y = [7.0f32; 2];
        linear(1, &mut y, nothing(1), &Packed::<f32>::new(&[], 2), Finish::bias(Some(&[1.0, 2.0])));
        assert_eq!(y, [1.0, 2.0]);
    }
}
