//! Products with weights that were packed once.
//!
//! [`Packed`] holds the transposed weights of a layer in panels: so many outputs side by side, input after input, in
//! the order in which the innermost loop reads them, and in the type in which they are stored. Halves stay halves, so
//! that a layer which is bound by memory reads half of the bytes; they are widened in registers.
//!
//! A result is `bias + Σ x·w`, summed in `f32`: in order within blocks of 512 inputs (of a single row in four
//! interleaved parts), and block after block. It is rounded once. Which thread computes what has no influence.

use crate::Float;
use crate::math::{Unary, in_place};
use crate::memory::Buffer;
use crate::scratch;
use crate::simd::{self, Kernel, Simd};
use crate::threads::{Shared, parallel_chunks, parallel_for};

/// How many inputs are summed before the sum is added to those of the blocks before.
const DEPTH: usize = 512;

/// The most rows that are computed at once.
const MOST_ROWS: usize = 12;

/// The most columns of a panel.
pub(crate) const MOST_COLUMNS: usize = 2 * simd::MAX_LANES;

/// The weights of a layer, packed.
#[derive(Debug)]
pub struct Packed<W> {
    panels: Buffer,
    inputs: usize,
    outputs: usize,
    /// The columns of a panel.
    width: usize,
    weights: std::marker::PhantomData<W>,
}

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
        for (panel, rows) in
            all.chunks_exact_mut((inputs * width).max(1)).zip(weights.chunks(width * inputs.max(1)))
        {
            for (column, row) in rows.chunks_exact(inputs.max(1)).enumerate() {
                for (to, &w) in panel[column..].iter_mut().step_by(width).zip(row) {
                    *to = w;
                }
            }
        }
        Self { panels, inputs, outputs, width, weights: std::marker::PhantomData }
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

    fn panel(&self, i: usize) -> &[W] {
        let all: &[W] = bytemuck::cast_slice(self.panels.bytes());
        &all[i * self.inputs * self.width..][..self.inputs * self.width]
    }
}

/// What becomes of a sum.
#[derive(Clone, Copy, Debug, Default)]
pub struct Finish<'a> {
    /// What is added: one number for each output.
    pub bias: Option<&'a [f32]>,
    /// What the rounded sum is put through; the result is rounded again.
    pub activation: Option<Unary>,
}

/// Computes a row of outputs for each row of inputs.
///
/// ```
/// use anemone_kernels::packed::{Finish, Packed, linear};
/// let weights = Packed::new(&[1.0f32, 2.0, 10.0, 20.0], 2);
/// let mut y = [0.0f32; 2];
/// linear(1, &mut y, &[1.0, 1.0], &weights, Finish { bias: Some(&[0.5, 0.0]), activation: None });
/// assert_eq!(y, [3.5, 30.0]);
/// ```
///
/// # Panics
///
/// When `x` has no whole rows of inputs, `y` not as many of outputs, or the bias not one number for each output.
pub fn linear<T: Float, W: Float>(
    threads: usize,
    y: &mut [T],
    x: &[T],
    weights: &Packed<W>,
    finish: Finish<'_>,
) {
    let (inputs, outputs) = (weights.inputs, weights.outputs);
    if y.is_empty() {
        return;
    }
    let rows = y.len() / outputs;
    assert_eq!((y.len(), x.len()), (rows * outputs, rows * inputs), "a layer takes and gives whole rows");
    if let Some(bias) = finish.bias {
        assert_eq!(bias.len(), outputs, "a bias has one number for each output");
    }
    // Waking a thread costs more than so many multiplications.
    let threads = if rows * inputs * outputs < 1 << 17 { 1 } else { threads };
    if let Some(x) = T::as_f32s(x) {
        return tiles(threads, y, x, rows, weights, finish);
    }
    let mut wide = scratch::floats(x.len());
    parallel_chunks(threads, &mut wide, 1 << 14, 4, |i, wide| T::widen(wide, &x[i << 14..][..wide.len()]));
    tiles(threads, y, &wide, rows, weights, finish);
}

/// Panel after panel; of large results each for so many rows at a time that they stay in the second-level cache.
fn tiles<T: Float, W: Float>(
    threads: usize,
    y: &mut [T],
    x: &[f32],
    rows: usize,
    weights: &Packed<W>,
    finish: Finish<'_>,
) {
    let (inputs, outputs, width) = (weights.inputs, weights.outputs, weights.width);
    let panels = outputs.div_ceil(width);
    let band = rows.min(8 * MOST_ROWS);
    let bands = rows.div_ceil(band);
    let y = Shared::new(y);
    // A task is a panel with a band of rows; bands of one panel follow each other.
    let grain = ((1 << 16) / (band * width * inputs.max(1))).max(1);
    parallel_for(threads, panels * bands, grain, |tasks| {
        for task in tasks {
            let (panel, band_at) = (task / bands, task % bands * band);
            let (from, columns) = (panel * width, width.min(outputs - panel * width));
            simd::dispatch(Band {
                x: &x[band_at * inputs..rows.min(band_at + band) * inputs],
                rows: band.min(rows - band_at),
                inputs,
                panel: weights.panel(panel),
                ends: Columns {
                    bias: finish.bias.map(|bias| &bias[from..from + columns]),
                    activation: finish.activation,
                    columns,
                    write: |row| {
                        let start = (band_at + row) * outputs + from;
                        // SAFETY: rows of a band and columns of a panel are in one task only.
                        unsafe { y.slice(start..start + columns) }
                    },
                },
            });
        }
    });
}

/// Rounds sums to where they belong, and puts them through an activation.
pub(crate) fn rounded<T: Float>(y: &mut [T], sums: &mut [f32], activation: Option<Unary>) {
    T::narrow(y, sums);
    if let Some(f) = activation {
        T::widen(sums, y);
        // A call, since the code of all activations is too much to stand in each kind of tile.
        in_place(sums, f);
        T::narrow(y, sums);
    }
}

/// What is added to the sums of a row, and what becomes of them.
pub(crate) trait Ends {
    fn bias<S: Simd>(&self, simd: S, row: usize) -> [S::V; 2];
    fn end<S: Simd>(&self, simd: S, row: usize, sums: [S::V; 2]);
}

/// A bias for each column, and results that lie side by side.
struct Columns<'a, F> {
    bias: Option<&'a [f32]>,
    activation: Option<Unary>,
    columns: usize,
    /// The results of a row.
    write: F,
}

impl<'y, T: Float, F: Fn(usize) -> &'y mut [T]> Ends for Columns<'_, F> {
    #[inline(always)]
    fn bias<S: Simd>(&self, simd: S, _: usize) -> [S::V; 2] {
        let Some(bias) = self.bias else { return [simd.splat(0.0); 2] };
        if bias.len() == 2 * S::LANES {
            return [simd.load(bias), simd.load(&bias[S::LANES..])];
        }
        let mut all = [0.0; MOST_COLUMNS];
        all[..bias.len()].copy_from_slice(bias);
        [simd.load(&all), simd.load(&all[S::LANES..])]
    }

    #[inline(always)]
    fn end<S: Simd>(&self, simd: S, row: usize, sums: [S::V; 2]) {
        let y = (self.write)(row);
        if self.columns == 2 * S::LANES && self.activation.is_none() {
            T::store(simd, y, sums[0]);
            T::store(simd, &mut y[S::LANES..], sums[1]);
        } else {
            rounded(y, &mut stored(simd, sums)[..self.columns], self.activation);
        }
    }
}

/// The sums of a row in memory.
#[inline(always)]
pub(crate) fn stored<S: Simd>(simd: S, sums: [S::V; 2]) -> [f32; MOST_COLUMNS] {
    let mut all = [0.0; MOST_COLUMNS];
    simd.store(&mut all, sums[0]);
    simd.store(&mut all[S::LANES..], sums[1]);
    all
}

/// The sums of a band of rows and a panel of columns.
pub(crate) struct Band<'a, W, E> {
    /// The rows, one after the other.
    pub(crate) x: &'a [f32],
    pub(crate) rows: usize,
    /// The elements of a row.
    pub(crate) inputs: usize,
    /// For each element of a row as many numbers as the panel has columns.
    pub(crate) panel: &'a [W],
    pub(crate) ends: E,
}

impl<W: Float, E: Ends> Kernel for Band<'_, W, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let rows = self.rows;
        let most = if S::LANES == simd::MAX_LANES { MOST_ROWS } else { MOST_ROWS / 2 };
        let mut row = 0;
        while row < rows {
            row += match rows - row {
                left if left >= 12 && most == 12 => self.rows::<S, 12>(simd, row),
                left if left >= 8 && most == 12 => self.rows::<S, 8>(simd, row),
                left if left >= 6 => self.rows::<S, 6>(simd, row),
                left if left >= 4 => self.rows::<S, 4>(simd, row),
                left if left >= 2 => self.rows::<S, 2>(simd, row),
                _ => self.rows::<S, 1>(simd, row),
            };
        }
    }
}

impl<W: Float, E: Ends> Band<'_, W, E> {
    /// Computes so many rows from this one on; gives their number.
    #[inline(always)]
    fn rows<S: Simd, const R: usize>(&self, simd: S, row: usize) -> usize {
        let mut sums = self.part::<S, R>(simd, row, 0);
        // Most layers have one block: sums that wait for others would lie in memory.
        for from in (DEPTH..self.inputs).step_by(DEPTH) {
            for (sums, found) in sums.iter_mut().zip(self.part::<S, R>(simd, row, from)) {
                sums[0] = simd.add(sums[0], found[0]);
                sums[1] = simd.add(sums[1], found[1]);
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            let bias = self.ends.bias(simd, row + r);
            self.ends.end(simd, row + r, [simd.add(bias[0], sums[0]), simd.add(bias[1], sums[1])]);
        }
        R
    }

    /// The sums of rows over a block of their elements.
    #[inline(always)]
    fn part<S: Simd, const R: usize>(&self, simd: S, row: usize, from: usize) -> [[S::V; 2]; R] {
        let (width, depth) = (2 * S::LANES, DEPTH.min(self.inputs - from));
        let x = &self.x[row * self.inputs..][..R * self.inputs];
        let panel = &self.panel[from * width..][..depth * width];
        if R == 1 {
            let [one] = single(simd, &x[from..from + depth], panel);
            return [one; R];
        }
        block::<S, W, R>(simd, x, self.inputs, from, panel)
    }
}

/// The sums of `R` rows of `x`, whose elements from `from` on meet the rows of the panel.
#[inline(always)]
fn block<S: Simd, W: Float, const R: usize>(
    simd: S,
    x: &[f32],
    inputs: usize,
    from: usize,
    panel: &[W],
) -> [[S::V; 2]; R] {
    let width = 2 * S::LANES;
    let depth = panel.len() / width;
    assert!(x.len() >= R * inputs && from + depth <= inputs, "the rows have as many elements as the panel");
    let mut sums = [[simd.splat(0.0); 2]; R];
    for (k, weights) in panel.chunks_exact(width).enumerate() {
        let (a, b) = (W::load(simd, &weights[..S::LANES]), W::load(simd, &weights[S::LANES..]));
        for (r, sums) in sums.iter_mut().enumerate() {
            // SAFETY: `r < R` and `from + k < from + depth <= inputs`, so that it lies within the `R * inputs` elements
            // that the assertion has found.
            let x = simd.splat(unsafe { *x.get_unchecked(r * inputs + from + k) });
            sums[0] = simd.mul_add(x, a, sums[0]);
            sums[1] = simd.mul_add(x, b, sums[1]);
        }
    }
    sums
}

/// The sums of one row, in four parts, since one alone would wait for each addition.
#[inline(always)]
fn single<S: Simd, W: Float>(simd: S, x: &[f32], panel: &[W]) -> [[S::V; 2]; 1] {
    let width = 2 * S::LANES;
    let mut parts = [[simd.splat(0.0); 2]; 4];
    let (fours, ones) = (x.chunks_exact(4), x.chunks_exact(4).remainder());
    let step = |sums: &mut [S::V; 2], x: f32, weights: &[W]| {
        let x = simd.splat(x);
        sums[0] = simd.mul_add(x, W::load(simd, &weights[..S::LANES]), sums[0]);
        sums[1] = simd.mul_add(x, W::load(simd, &weights[S::LANES..]), sums[1]);
    };
    let tail = &panel[(x.len() - ones.len()) * width..];
    for (x, weights) in fours.zip(panel.chunks_exact(4 * width)) {
        for (i, parts) in parts.iter_mut().enumerate() {
            step(parts, x[i], &weights[i * width..][..width]);
        }
    }
    for (&x, weights) in ones.iter().zip(tail.chunks_exact(width)) {
        step(&mut parts[0], x, weights);
    }
    let [p, q, r, s] = parts;
    let add = |i: usize| simd.add(simd.add(p[i], q[i]), simd.add(r[i], s[i]));
    [[add(0), add(1)]]
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::math::unary;
    use crate::testing::{close, floats};

    fn check<T: Float, W: Float>(rows: usize, inputs: usize, outputs: usize) {
        let (x, w) = (floats::<T>(rows * inputs, 1), floats::<W>(outputs * inputs, 2));
        let bias = floats::<f32>(outputs, 3);
        let packed = Packed::new(&w, outputs);
        assert_eq!((packed.inputs(), packed.outputs()), (inputs, outputs));
        let given = [1, 2, 4].map(|threads| {
            let mut y = vec![T::from_f32(f32::NAN); rows * outputs];
            linear(threads, &mut y, &x, &packed, Finish { bias: Some(&bias), activation: None });
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
                let bound = size * 2f64.powi(-24) * (inputs.min(DEPTH) + 8) as f64;
                close(
                    given[0][r * outputs + o],
                    exact,
                    bound,
                    &format!("{rows} {inputs} {outputs}: {r} {o}"),
                );
            }
        }
        let mut active = vec![T::from_f32(0.0); rows * outputs];
        let finish = Finish { bias: Some(&bias), activation: Some(Unary::Gelu) };
        linear(2, &mut active, &x, &packed, finish);
        let mut apart = active.clone();
        unary(1, &mut apart, &given[0], Unary::Gelu);
        assert_eq!(active, apart, "an activation gives the bits that it gives by itself");
    }

    #[test]
    fn rows_of_every_number_meet_panels_of_every_width() {
        for rows in [1, 2, 3, 5, 6, 7, 12, 13, 25, 100] {
            for (inputs, outputs) in [(1, 1), (3, 16), (64, 64), (7, 33), (513, 70), (1030, 5)] {
                check::<f32, f32>(rows, inputs, outputs);
                check::<f16, f16>(rows, inputs, outputs);
                check::<f32, f16>(rows, inputs, outputs);
            }
        }
    }

    #[test]
    fn nothing_gives_nothing() {
        linear(1, &mut [] as &mut [f32], &[], &Packed::<f32>::new(&[], 0), Finish::default());
        let mut y = [7.0f32; 2];
        linear(
            1,
            &mut y,
            &[],
            &Packed::<f32>::new(&[], 2),
            Finish { bias: Some(&[1.0, 2.0]), activation: None },
        );
        assert_eq!(y, [1.0, 2.0]);
    }
}
