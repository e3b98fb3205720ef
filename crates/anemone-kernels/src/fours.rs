//! Layers that meet one row with weights of four bits.
//!
//! A code names one of 16 numbers, which lie in registers: weights are looked up there as they are multiplied, and never
//! written. Memory is read for codes and scales alone, a quarter of what halves take.
//!
//! The numbers are those of [`weights`](crate::weights), rounded as those are, and summed as
//! [`packed::row`](crate::packed::row) sums them, so that the bits are the same.
//!
//! ```
//! use anemone_kernels::{finish::Finish, fours::{Fours, Numbers, row}, weights::Blocks};
//! // Two outputs of 32 inputs, each with its scale; all codes are 1.
//! let blocks = Blocks::along(&[2, 32], 0);
//! let numbers = Numbers::Scaled { scale: vec![1.0, 0.5], shift: None, signed: true, halved: true };
//! let weights = Fours::new(blocks, numbers, 32).unwrap();
//! let mut y = [0.0f32; 2];
//! row(1, &mut y, &[1.0; 32], &[0x11; 32], &weights, Finish::default());
//! assert_eq!(y, [32.0, 16.0]);
//! ```

use macro_rules_attribute::apply;

use crate::compiled::compiled_here;
use crate::finish::Finish;
use crate::simd::{self, Kernel, Simd};
use crate::threads::parallel_chunks;
use crate::weights::{Blocks, number};
use crate::{Float, scratch};

/// What codes of four bits stand for.
///
/// ```
/// use anemone_kernels::{fours::{Fours, Numbers}, weights::Blocks};
/// let palette = Numbers::Tables((0..16).map(|i| i as f32).collect());
/// assert!(Fours::new(Blocks::one(64), palette, 32).is_some());
/// ```
#[derive(Clone, Debug)]
pub enum Numbers {
    /// Each block has its 16 numbers.
    Tables(Vec<f32>),
    /// `scale · (code - shift)`.
    Scaled {
        /// One for each block.
        scale: Vec<f32>,
        /// None, or one for each block.
        shift: Option<Vec<f32>>,
        /// Whether codes are in two's complement.
        signed: bool,
        /// Whether weights are rounded to halves.
        halved: bool,
    },
}

/// How the weights of a layer are made of codes of four bits.
///
/// ```
/// use anemone_kernels::{fours::{Fours, Numbers}, weights::Blocks};
/// let scaled = |count| Numbers::Scaled { scale: vec![1.0; count], shift: None, signed: false, halved: true };
/// // Blocks of 32 in each of 4 rows of 64 weights.
/// assert!(Fours::new(Blocks::new(&[4, 64], &[4, 2]), scaled(8), 64).is_some());
/// // Blocks of 16 are shorter than what is looked up at a time.
/// assert!(Fours::new(Blocks::new(&[4, 64], &[4, 4]), scaled(16), 64).is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Fours {
    blocks: Blocks,
    numbers: Numbers,
    inputs: usize,
}

/// So many codes are looked up at a time, by the longest vectors.
const STEP: usize = 2 * simd::MAX_LANES;

impl Fours {
    /// The weights of rows of `inputs`. `None` where blocks are cut in another way than [`row`] reads them: rows and
    /// blocks are multiples of 32, and one is a multiple of the other.
    ///
    /// # Panics
    ///
    /// When there are not as many tables, scales or shifts as blocks.
    pub fn new(blocks: Blocks, numbers: Numbers, inputs: usize) -> Option<Self> {
        let given = match &numbers {
            Numbers::Tables(tables) => (blocks.count() * 16, tables.len()),
            Numbers::Scaled { scale, shift, .. } => {
                let shifts = shift.as_ref().map_or(scale.len(), Vec::len);
                assert_eq!(scale.len(), shifts, "there is a shift for each scale");
                (blocks.count(), scale.len())
            }
        };
        assert_eq!(given.0, given.1, "each block has its numbers");
        (inputs.is_multiple_of(STEP) && blocks.cut_rows(inputs, STEP)).then_some(Self {
            blocks,
            numbers,
            inputs,
        })
    }
}

/// Computes the outputs of one row of inputs: for each output one row of codes.
///
/// ```
/// use anemone_kernels::{finish::Finish, fours::{Fours, Numbers, row}, weights::Blocks};
/// let palette = Numbers::Tables((0..16).map(|i| i as f32 - 8.0).collect());
/// let weights = Fours::new(Blocks::one(32), palette, 32).unwrap();
/// let mut y = [0.0f32];
/// row(1, &mut y, &[2.0; 32], &[0x98; 16], &weights, Finish::default()); // codes 8 and 9: 0 and 1
/// assert_eq!(y, [32.0]);
/// ```
///
/// # Panics
///
/// When there are not as many inputs as the weights say, fewer codes than weights, or when the bias is not one number
/// for each output.
#[apply(compiled_here)]
pub fn row<T: Float>(
    threads: usize,
    y: &mut [T],
    x: &[T],
    codes: &[u8],
    weights: &Fours,
    finish: Finish<'_, T>,
) {
    // So many weights are a task, and so many make it worth to wake a thread.
    const TASK: usize = 1 << 16;
    const WORTH: usize = 1 << 17;
    let inputs = weights.inputs;
    finish.check(y.len());
    assert_eq!(x.len(), inputs, "there is an input for each weight of a row");
    assert!(y.len().saturating_mul(inputs / 2) <= codes.len(), "there is a code for each weight");
    assert!(y.len() * inputs <= weights.blocks.reach(), "each weight is in a block");
    if let Some(bias) = finish.bias {
        assert_eq!(bias.len(), y.len(), "a bias has one number for each output");
    }
    let rows = (TASK / inputs.max(1)).next_multiple_of(4).max(4);
    parallel_chunks(threads, y, rows, WORTH.div_ceil(rows * inputs.max(1)), |i, y| {
        let (mut wide, mut sums) = (scratch::floats(inputs), scratch::floats(y.len()));
        T::widen(&mut wide, x);
        match finish.bias {
            Some(bias) => sums.copy_from_slice(&bias[i * rows..][..y.len()]),
            None => sums.fill(0.0),
        }
        simd::dispatch(Dots { y: &mut sums, first: i * rows, x: &wide, codes, weights });
        T::narrow(y, &sums);
    });
    finish.after(threads, y);
}

/// Adds to each `y` the dot product of `x` with a row of weights, from row `first` on.
struct Dots<'a> {
    y: &'a mut [f32],
    first: usize,
    x: &'a [f32],
    codes: &'a [u8],
    weights: &'a Fours,
}

impl Kernel for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match &self.weights.numbers {
            Numbers::Tables(tables) => self.with(simd, Given(tables.as_chunks().0)),
            Numbers::Scaled { scale, shift, signed, halved } => {
                let sign = if *signed { 8 } else { 0 };
                let mut all = [0.0; 16];
                all.iter_mut().zip(0..).for_each(|(to, code)| *to = number(code, sign));
                let (numbers, shift, halved) = (simd.table(&all), shift.as_deref(), *halved);
                self.with(simd, Scaled { numbers, scale, shift, halved });
            }
        }
    }
}

impl Dots<'_> {
    #[inline(always)]
    fn with<S: Simd>(self, simd: S, tables: impl Tables<S>) {
        let Self { y, first, x, codes, weights } = self;
        let (fours, left) = y.as_chunks_mut::<4>();
        let last = first + 4 * fours.len();
        for (sums, row) in fours.iter_mut().zip((first..).step_by(4)) {
            dots(simd, sums, row, x, codes, &weights.blocks, tables);
        }
        for (sum, row) in left.iter_mut().zip(last..) {
            dots(simd, std::array::from_mut(sum), row, x, codes, &weights.blocks, tables);
        }
    }
}

/// Gives the 16 numbers of each block.
trait Tables<S: Simd>: Copy {
    /// Those of so many blocks, from one on.
    fn from(self, block: usize, count: usize) -> Self;
    /// Those of one of them.
    fn of(self, simd: S, block: usize) -> S::Table;
}

#[derive(Clone, Copy)]
struct Given<'a>(&'a [[f32; 16]]);

impl<S: Simd> Tables<S> for Given<'_> {
    #[inline(always)]
    fn from(self, block: usize, count: usize) -> Self {
        Self(&self.0[block..][..count])
    }

    #[inline(always)]
    fn of(self, simd: S, block: usize) -> S::Table {
        simd.table(&self.0[block])
    }
}

#[derive(Clone, Copy)]
struct Scaled<'a, S: Simd> {
    /// What codes are before they are shifted.
    numbers: S::Table,
    scale: &'a [f32],
    shift: Option<&'a [f32]>,
    halved: bool,
}

impl<S: Simd> Tables<S> for Scaled<'_, S> {
    #[inline(always)]
    fn from(self, block: usize, count: usize) -> Self {
        let (scale, shift) = (&self.scale[block..][..count], self.shift.map(|s| &s[block..][..count]));
        Self { scale, shift, ..self }
    }

    #[inline(always)]
    fn of(self, simd: S, block: usize) -> S::Table {
        let shift = self.shift.map_or(0.0, |shift| shift[block]);
        simd.scaled(self.numbers, -shift, self.scale[block], self.halved)
    }
}

/// Adds the dot products of `x` with some rows, from `row` on, in the order in which dense rows are summed.
#[inline(always)]
fn dots<S: Simd, const N: usize>(
    simd: S,
    y: &mut [f32; N],
    row: usize,
    x: &[f32],
    codes: &[u8],
    blocks: &Blocks,
    tables: impl Tables<S>,
) {
    let len = x.len();
    let run = blocks.run().min(len);
    let count = len / run;
    let (x, _) = x.as_chunks::<STEP>();
    let mut rows = [(&codes.as_chunks::<{ STEP / 2 }>().0[..0], tables); N];
    for (n, (codes_of, tables_of)) in rows.iter_mut().enumerate() {
        let at = row + n;
        *codes_of = &codes[at * (len / 2)..].as_chunks().0[..x.len()];
        *tables_of = tables.from(blocks.block_at(at * len), count);
    }
    let mut sums = [[simd.splat(0.0); 2]; N];
    let mut at = 0;
    for r in 0..count {
        let mut numbers = [rows[0].1.of(simd, r); N];
        for n in 1..N {
            numbers[n] = rows[n].1.of(simd, r);
        }
        let end = at + run / STEP;
        while at < end {
            for part in 0..STEP / (2 * S::LANES) {
                let first = part * 2 * S::LANES;
                let (a, b) = (simd.load(&x[at][first..]), simd.load(&x[at][first + S::LANES..]));
                for n in 0..N {
                    let codes = &rows[n].0[at];
                    simd::prefetch(codes, simd::AHEAD);
                    let low = simd.look_up_fours(numbers[n], &codes[first / 2..]);
                    let high = simd.look_up_fours(numbers[n], &codes[(first + S::LANES) / 2..]);
                    sums[n][0] = simd.mul_add(a, low, sums[n][0]);
                    sums[n][1] = simd.mul_add(b, high, sums[n][1]);
                }
            }
            at += 1;
        }
    }
    for (y, [a, b]) in y.iter_mut().zip(sums) {
        *y += simd.sum(simd.add(a, b));
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::packed;
    use crate::testing::floats;
    use crate::weights::{Codes, look_up_from, shift_scale_from};

    /// Compares with weights that are made, on one thread with each set of instructions, and on several.
    fn check<T: Float, W: Float>([outputs, inputs]: [usize; 2], counts: [usize; 2]) {
        let blocks = Blocks::new(&[outputs, inputs], &counts);
        let number = counts[0] * counts[1];
        let codes: Vec<u8> = (0..outputs * inputs / 2).map(|i| (i * 73 + i / 11) as u8).collect();
        let (x, bias) = (floats::<T>(inputs, 1), floats::<f32>(outputs, 2));
        let halved = size_of::<W>() == 2;
        let compare = |numbers: Numbers, make: &(dyn Fn(usize, &mut [W]) + Sync)| {
            let weights = Fours::new(blocks.clone(), numbers, inputs).expect("rows and blocks meet");
            let result = |threads: usize, looked_up: bool| {
                let mut y = vec![T::from_f32(f32::NAN); outputs];
                match looked_up {
                    true => row(threads, &mut y, &x, &codes, &weights, Finish::bias(Some(&bias))),
                    false => packed::row_made(threads, &mut y, &x, make, Finish::bias(Some(&bias))),
                }
                bytemuck::cast_slice::<T, u8>(&y).to_vec()
            };
            simd::with_each(|rank| {
                assert_eq!(result(1, true), result(1, false), "{outputs} {inputs} {counts:?}, rank {rank}");
            });
            assert_eq!(result(3, true), result(1, true));
        };
        let (scale, zeros) = (floats::<f32>(number, 3), floats::<f32>(number, 4));
        let zeros: Vec<f32> = zeros.iter().map(|z| (z * 4.0).round() + 4.0).collect();
        for (signed, shift) in [(true, None), (false, Some(&zeros)), (true, Some(&zeros))] {
            let numbers = Numbers::Scaled { scale: scale.clone(), shift: shift.cloned(), signed, halved };
            compare(numbers, &|start, to| {
                let codes = if signed { Codes::Signed(&codes, 4) } else { Codes::Unsigned(&codes, 4) };
                let shift = shift.map(Vec::as_slice);
                shift_scale_from(to, start, codes, &blocks, &scale, shift, false);
            });
        }
        let tables = floats::<W>(number * 16, 5);
        let numbers = Numbers::Tables(tables.iter().map(|n| n.to_f32()).collect());
        compare(numbers, &|start, to| look_up_from(to, start, &codes, 4, &blocks, &tables));
    }

    #[test]
    fn weights_that_are_looked_up_give_the_bits_of_those_that_are_made() {
        for (shape, counts) in [
            ([1, 32], [1, 1]),
            ([7, 64], [7, 2]),
            ([4, 96], [1, 1]),
            ([6, 128], [3, 2]),
            ([12, 320], [4, 1]),
            ([300, 896], [300, 28]),
            ([5, 96], [1, 3]),
        ] {
            check::<f16, f16>(shape, counts);
            check::<f32, f16>(shape, counts);
            check::<f32, f32>(shape, counts);
        }
    }

    #[test]
    fn what_rows_do_not_meet_is_declined() {
        for (shape, counts) in [([4, 48], [4, 1]), ([4, 64], [4, 4]), ([4, 64], [1, 64]), ([2, 40], [1, 1])] {
            let numbers = Numbers::Tables(vec![0.0; counts[0] * counts[1] * 16]);
            assert!(Fours::new(Blocks::new(&shape, &counts), numbers, shape[1]).is_none(), "{shape:?}");
        }
    }
}
