//! What becomes of sums before they are results.
//!
//! ```
//! use anemone_kernels::finish::Stage;
//! use anemone_kernels::math::{Unary, unary};
//! // |x|, times the sigmoid of that: both in one walk.
//! let mut y = [0.0f32; 1];
//! unary(1, &mut y, &[-2.0], Unary::Abs, &[Stage::Gate(Unary::Sigmoid)]);
//! assert!((y[0] - 2.0 / (1.0 + (-2.0f32).exp())).abs() < 1e-6);
//! ```

use crate::Float;
use crate::binary::{self, Binary};
use crate::math::{self, Unary};
use crate::simd::{self, Simd};
use crate::threads::{Shared, parallel_chunks};
use crate::tile::MOST_ROWS;

/// What a result is put through before it is written. Each stage rounds, so that the bits are those that an op of its own
/// would give.
///
/// ```
/// use anemone_kernels::finish::Stage;
/// use anemone_kernels::{binary::Binary, math::{Unary, unary}};
/// // 1 - |x|, where 1 is the element of another tensor and the first argument.
/// let stages = [Stage::Binary { f: Binary::Sub, other: &[1.0f32], swapped: true }];
/// let mut y = [0.0];
/// unary(1, &mut y, &[-3.0], Unary::Abs, &stages);
/// assert_eq!(y, [-2.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Stage<'a, T> {
    /// A function of the result.
    Unary(Unary),
    /// The result times a function of itself.
    Gate(Unary),
    /// A function of the result and the element of another tensor that lies where the result does.
    Binary {
        /// The function.
        f: Binary,
        /// The other tensor, which has as many elements as all results.
        other: &'a [T],
        /// Whether the element of the other tensor is the first argument.
        swapped: bool,
    },
}

/// What becomes of a sum: what is added to it, and the stages that it goes through after it was rounded.
///
/// ```
/// use anemone_kernels::finish::{Finish, Stage};
/// use anemone_kernels::{gemm::Matrix, math::Unary, packed::{Packed, linear}};
/// let (weights, stages) = (Packed::new(&[1.0f32, -1.0], 2), [Stage::Unary(Unary::Relu)]);
/// let finish = Finish { bias: Some(&[0.5, 0.5]), stages: &stages };
/// let mut y = [0.0f32; 2];
/// linear(1, &mut y, Matrix::new(&[2.0], 1, 1), &weights, finish);
/// assert_eq!(y, [2.5, 0.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Finish<'a, T> {
    /// What is added: one number for each output.
    pub bias: Option<&'a [f32]>,
    /// In order.
    pub stages: &'a [Stage<'a, T>],
}

/// Where rows of results lie among all of them.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// The first element.
    pub(crate) at: usize,
    /// From a row to the next.
    pub(crate) stride: usize,
    /// How many rows there are.
    pub(crate) count: usize,
    /// The elements of a row.
    pub(crate) len: usize,
}

/// How many results are put through stages at a time.
const BLOCK: usize = 256;

/// The most sums of a tile.
const ASIDE: usize = 2 * MOST_ROWS * simd::MAX_LANES;

/// Writes vectors side by side, rounded, as much of them as there is room for.
#[inline(always)]
pub(crate) fn write<S: Simd, T: Float, const N: usize>(simd: S, y: &mut [T], vectors: [S::V; N]) {
    let whole = y.len() == N * S::LANES;
    for (i, v) in vectors.into_iter().enumerate() {
        if whole {
            T::store(simd, &mut y[i * S::LANES..], v);
        } else if let Some(y) = y.get_mut(i * S::LANES..) {
            T::store_some(simd, y, v);
        }
    }
}

impl<T> Default for Finish<'_, T> {
    fn default() -> Self {
        Self { bias: None, stages: &[] }
    }
}

impl<'a, T: Float> Finish<'a, T> {
    /// A bias and no stages.
    pub fn bias(bias: Option<&'a [f32]>) -> Self {
        Self { bias, stages: &[] }
    }

    /// Checks that other tensors have as many elements as the result.
    pub(crate) fn check(&self, results: usize) {
        for stage in self.stages {
            if let Stage::Binary { other, .. } = stage {
                assert_eq!(other.len(), results, "the other tensor is as large as the result");
            }
        }
    }

    /// Whether all stages are so simple that [`Finish::vectors`] does them in registers.
    pub(crate) fn in_registers(&self) -> bool {
        self.stages.iter().all(|stage| {
            matches!(
                stage,
                Stage::Unary(Unary::Relu | Unary::Clip { .. } | Unary::SigmoidHard { .. })
                    | Stage::Gate(Unary::SigmoidHard { .. })
                    | Stage::Binary { f: Binary::Add, .. }
            )
        })
    }

    /// As [`Finish::split`], for a kernel whose tiles are so large that to write one down for a function that needs the
    /// registers for itself, and to read it again, costs little: at most [`ASIDE`] numbers.
    pub(crate) fn split_of_tiles(self) -> (Self, bool) {
        let is_aside = |stage: &Stage<'_, T>| {
            matches!(stage, Stage::Unary(_) | Stage::Gate(_) | Stage::Binary { f: Binary::Add, .. })
        };
        if self.stages.iter().all(is_aside) { (self, false) } else { (Self { stages: &[], ..self }, true) }
    }

    /// A kernel's part of the work: what is done in its registers, and whether stages are left for
    /// [`after`](Finish::after).
    pub(crate) fn split(self) -> (Self, bool) {
        if self.in_registers() { (self, false) } else { (Self { stages: &[], ..self }, true) }
    }

    /// Puts the sums of a tile through stages that are [done in registers](Finish::in_registers), and writes them.
    ///
    /// # Safety
    ///
    /// While it runs, no other reference to the results of these rows may be made.
    #[inline(always)]
    pub(crate) unsafe fn rows<S: Simd, const N: usize, const R: usize>(
        mut self,
        simd: S,
        y: &Shared<'_, T>,
        mut sums: [[S::V; N]; R],
        Place { at, stride, count, len }: Place,
    ) {
        // The sums of a tile fill the registers. A clip alone they go through there, and are written from there; for all else they
        // are laid down, and row by row goes through all stages at once. Loops that are longer, or whose bounds are not constant,
        // would lay them down before.
        if let Some(high) = self.stages.first().and_then(clip_from_zero) {
            self.stages = &self.stages[1..];
            let high = simd.splat(high);
            for sums in sums.iter_mut() {
                for sum in sums {
                    *sum = simd.at_most(simd.relu(*sum), high);
                }
            }
        }
        let whole = N * S::LANES;
        if self.stages.is_empty() && (N == 1 || len == whole) {
            let len = if N == 1 { len } else { whole };
            for (r, &sums) in sums.iter().enumerate().take(count) {
                let at = at + r * stride;
                // SAFETY: the caller promises that nothing else refers to these elements.
                write(simd, unsafe { y.slice(at..at + len) }, sums);
            }
            return;
        }
        let laid_down = sums;
        for (r, &sums) in laid_down.iter().enumerate().take(count) {
            let at = at + r * stride;
            let sums = self.vectors(simd, sums, at, len);
            // SAFETY: as above.
            write(simd, unsafe { y.slice(at..at + len) }, sums);
        }
    }

    /// Puts sums that lie side by side through stages that are [done in registers](Finish::in_registers). The first `len` are
    /// results, which lie from `at` on among all of them.
    ///
    /// No closure here takes or gives a vector: one that is not inlined would not be compiled for this processor.
    #[inline(always)]
    pub(crate) fn vectors<S: Simd, const N: usize>(
        &self,
        simd: S,
        mut sums: [S::V; N],
        at: usize,
        len: usize,
    ) -> [S::V; N] {
        for stage in self.stages {
            if let Some(high) = clip_from_zero(stage) {
                let high = simd.splat(high);
                for sum in &mut sums {
                    *sum = simd.at_most(simd.relu(*sum), high);
                }
                continue;
            }
            match *stage {
                Stage::Unary(Unary::Clip { low, high }) => {
                    let (low, high) = (simd.splat(low), simd.splat(high));
                    for sum in &mut sums {
                        *sum = simd.minimum(simd.maximum(T::round(simd, *sum), low), high);
                    }
                }
                Stage::Unary(Unary::SigmoidHard { alpha, beta }) => {
                    for sum in &mut sums {
                        *sum = sigmoid_hard(simd, T::round(simd, *sum), alpha, beta);
                    }
                }
                Stage::Gate(Unary::SigmoidHard { alpha, beta }) => {
                    for sum in &mut sums {
                        let v = T::round(simd, *sum);
                        *sum = simd.mul(v, T::round(simd, sigmoid_hard(simd, v, alpha, beta)));
                    }
                }
                Stage::Binary { f: Binary::Add, other, .. } => {
                    let other = &other[at..][..len];
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let other = other.get(i * S::LANES..).unwrap_or_default();
                        let other = if other.len() >= S::LANES {
                            T::load(simd, other)
                        } else {
                            T::load_some(simd, other)
                        };
                        *sum = simd.add(T::round(simd, *sum), other);
                    }
                }
                _ => unreachable!("kernels are given the stages that are done in registers"),
            }
        }
        sums
    }

    /// As [`Finish::vectors`], for the stages that [`Finish::split_of_tiles`] gave.
    #[inline(always)]
    pub(crate) fn tile<S: Simd, const N: usize, const R: usize>(
        &self,
        simd: S,
        sums: &mut [[S::V; N]; R],
        place: Place,
    ) {
        for stage in self.stages {
            match *stage {
                Stage::Unary(f) => self.aside(simd, f, sums, place.count),
                Stage::Gate(f) => {
                    let mut gate = *sums;
                    self.aside(simd, f, &mut gate, place.count);
                    for (sums, gate) in sums.iter_mut().zip(gate) {
                        for (sum, gate) in sums.iter_mut().zip(gate) {
                            *sum = simd.mul(T::round(simd, *sum), T::round(simd, gate));
                        }
                    }
                }
                Stage::Binary { .. } => {
                    let one = Finish { bias: None, stages: &[*stage] };
                    for (r, sums) in sums.iter_mut().enumerate().take(place.count) {
                        *sums = one.vectors(simd, *sums, place.at + r * place.stride, place.len);
                    }
                }
            }
        }
    }

    /// Puts `count` rows of sums through a function that needs the registers for itself.
    #[inline(always)]
    fn aside<S: Simd, const N: usize, const R: usize>(
        &self,
        simd: S,
        f: Unary,
        sums: &mut [[S::V; N]; R],
        count: usize,
    ) {
        let mut numbers = [0.0; ASIDE];
        for (sums, numbers) in sums.iter().zip(numbers.chunks_exact_mut(N * S::LANES)) {
            for (sum, to) in sums.iter().zip(numbers.chunks_exact_mut(S::LANES)) {
                simd.store(to, T::round(simd, *sum));
            }
        }
        let halves = T::as_f32s(&[]).is_none();
        simd::dispatch(math::Apply { block: &mut numbers[..count * N * S::LANES], f, halves });
        for (sums, numbers) in sums.iter_mut().zip(numbers.chunks_exact(N * S::LANES)) {
            for (sum, from) in sums.iter_mut().zip(numbers.chunks_exact(S::LANES)) {
                *sum = simd.load(from);
            }
        }
    }

    /// Rounds sums, and puts them through the stages. The results lie from `at` on among all of them.
    pub(crate) fn write(&self, y: &mut [T], sums: &mut [f32], at: usize) {
        assert_eq!(y.len(), sums.len(), "each sum gives a result");
        for (i, (y, sums)) in y.chunks_mut(BLOCK).zip(sums.chunks_mut(BLOCK)).enumerate() {
            if !self.stages.is_empty() {
                round(y, sums);
            }
            self.staged(y, sums, at + i * BLOCK);
        }
    }

    /// Puts at most [`BLOCK`] numbers, which are rounded, through the stages.
    fn staged(&self, y: &mut [T], sums: &mut [f32], at: usize) {
        let halves = T::as_f32s(&[]).is_none();
        for (i, stage) in self.stages.iter().enumerate() {
            if i > 0 {
                round(y, sums);
            }
            match stage {
                Stage::Unary(f) => simd::dispatch(math::Apply { block: sums, f: *f, halves }),
                Stage::Gate(f) => {
                    let mut gate = [0.0; BLOCK];
                    let gate = &mut gate[..y.len()];
                    gate.copy_from_slice(sums);
                    simd::dispatch(math::Apply { block: &mut *gate, f: *f, halves });
                    round(y, gate);
                    simd::dispatch(binary::Apply { a: sums, b: gate, f: Binary::Mul });
                }
                Stage::Binary { f, other: whole, swapped } => {
                    let mut other = [0.0; BLOCK];
                    let other = &mut other[..y.len()];
                    T::widen(other, &whole[at..at + y.len()]);
                    if *swapped {
                        other.swap_with_slice(sums);
                    }
                    simd::dispatch(binary::Apply { a: sums, b: other, f: *f });
                }
            }
        }
        T::narrow(y, sums);
    }

    /// Puts results through the stages that a product has left as they are.
    pub(crate) fn after(&self, threads: usize, y: &mut [T]) {
        if self.stages.is_empty() {
            return;
        }
        parallel_chunks(threads, y, BLOCK, 1 << 4, |i, y| {
            let mut sums = [0.0; BLOCK];
            let sums = &mut sums[..y.len()];
            T::widen(sums, y);
            self.staged(y, sums, i * BLOCK);
        });
    }
}

/// The upper bound of a stage that clips from zero on.
///
/// Such a stage may come before the rounding: both keep the order of numbers, so that the result of one after the other is the
/// same either way. Of two zeros the bound counts, which is the positive one.
#[inline(always)]
fn clip_from_zero<T>(stage: &Stage<'_, T>) -> Option<f32> {
    match *stage {
        Stage::Unary(Unary::Relu) => Some(f32::INFINITY),
        Stage::Unary(Unary::Clip { low, high }) if low.to_bits() == 0 && high > 0.0 => Some(high),
        _ => None,
    }
}

/// [`Unary::SigmoidHard`]. Of two zeros the bound counts, as everywhere.
#[inline(always)]
fn sigmoid_hard<S: Simd>(simd: S, v: S::V, alpha: f32, beta: f32) -> S::V {
    simd.at_most(simd.relu(simd.linear(v, alpha, beta)), simd.splat(1.0))
}

/// Rounds numbers to the type of the results, of which `y` has room for as many.
fn round<T: Float>(y: &mut [T], numbers: &mut [f32]) {
    if T::as_f32s(&[]).is_none() {
        T::narrow(y, numbers);
        T::widen(numbers, y);
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::binary::Operand;
    use crate::simd::Kernel;
    use crate::testing::floats;
    use crate::tile::loaded;

    /// Stages give the bits that kernels of their own give.
    fn check<T: Float>(len: usize) {
        let (sums, other) = (floats::<f32>(len, 1), floats::<T>(len + 5, 2));
        let mut expected = vec![T::from_f32(0.0); len];
        T::narrow(&mut expected, &sums);
        let binary = |x: &[T], y: &[T], f| {
            let mut z = vec![T::from_f32(0.0); len];
            let operand = |data| Operand { data, strides: &[1] };
            crate::binary::binary(1, &mut z, &[len], operand(x), operand(y), f, &[]);
            z
        };
        let unary = |x: &[T], f| {
            let mut y = x.to_vec();
            crate::math::unary(1, &mut y, x, f, &[]);
            y
        };
        expected = unary(&expected, Unary::Gelu);
        expected = binary(&expected, &other[5..], Binary::Add);
        expected = binary(&expected, &unary(&expected, Unary::Sigmoid), Binary::Mul);
        expected = binary(&other[5..], &expected, Binary::Sub);
        let stages = [
            Stage::Unary(Unary::Gelu),
            Stage::Binary { f: Binary::Add, other: &other, swapped: false },
            Stage::Gate(Unary::Sigmoid),
            Stage::Binary { f: Binary::Sub, other: &other, swapped: true },
        ];
        let mut y = vec![T::from_f32(f32::NAN); len];
        Finish { bias: None, stages: &stages }.write(&mut y, &mut sums.clone(), 5);
        assert_eq!(bytemuck::cast_slice::<T, u8>(&y), bytemuck::cast_slice::<T, u8>(&expected), "{len}");
    }

    /// Puts numbers through stages as kernels do: in registers if all can be done there.
    struct OfTiles<'a, T> {
        y: &'a mut [T],
        sums: &'a [f32],
        finish: Finish<'a, T>,
    }

    impl<T: Float> Kernel for OfTiles<'_, T> {
        type Output = ();

        fn run<S: Simd>(self, simd: S) {
            for (i, sums) in self.sums.chunks(2 * S::LANES).enumerate() {
                let (at, len) = (i * 2 * S::LANES, sums.len());
                let mut vectors = [loaded(simd, sums)];
                let place = Place { at, stride: 0, count: 1, len };
                if self.finish.in_registers() {
                    // SAFETY: nothing else refers to the results.
                    unsafe { self.finish.rows(simd, &Shared::new(&mut *self.y), vectors, place) };
                } else {
                    self.finish.tile(simd, &mut vectors, place);
                    write(simd, &mut self.y[at..at + len], vectors[0]);
                }
            }
        }
    }

    fn check_registers<T: Float>() {
        let mut sums = floats::<f32>(500, 3);
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum *= [1e-4, 1.0, 9.0, 1e5][i % 4];
        }
        sums.extend([0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN, f32::MAX]);
        sums.extend([1e-40, -1e-40, 1.0, -1.0, -3.0, 3.0]);
        let other = floats::<T>(sums.len(), 4);
        for stage in [
            Stage::Unary(Unary::Relu),
            Stage::Unary(Unary::Clip { low: 0.0, high: 6.0 }),
            // Bounds that halves do not have, and that are not theirs.
            Stage::Unary(Unary::Clip { low: 0.0, high: 0.1 }),
            Stage::Unary(Unary::Clip { low: 0.0, high: 1e-9 }),
            Stage::Unary(Unary::Clip { low: 0.0, high: 65_519.0 }),
            Stage::Unary(Unary::Clip { low: 0.0, high: 1e6 }),
            Stage::Unary(Unary::Clip { low: -0.3, high: 0.7 }),
            Stage::Unary(Unary::SigmoidHard { alpha: 1.0 / 6.0, beta: 0.5 }),
            Stage::Gate(Unary::SigmoidHard { alpha: 1.0 / 6.0, beta: 0.5 }),
            Stage::Unary(Unary::Gelu),
            Stage::Gate(Unary::Sigmoid),
            Stage::Binary { f: Binary::Add, other: &other, swapped: false },
        ] {
            let stages = [stage, Stage::Unary(Unary::SigmoidHard { alpha: -0.7, beta: 1e-3 })];
            for stages in [&stages[..1], &stages] {
                let finish = Finish { bias: None, stages };
                assert!(!finish.split_of_tiles().1);
                let mut given = [(); 3].map(|()| vec![T::from_f32(9.0); sums.len()]);
                let [apart, best, portable] = &mut given;
                finish.write(apart, &mut sums.clone(), 0);
                simd::dispatch(OfTiles { y: best, sums: &sums, finish });
                OfTiles { y: portable, sums: &sums, finish }.run(simd::Portable);
                for (i, sum) in sums.iter().enumerate() {
                    // Which of two NaN is handed on is the processor's choice.
                    let bits = |x: f32| if x.is_nan() { u32::MAX } else { x.to_bits() };
                    let [apart, best, portable] = [0, 1, 2].map(|k| bits(given[k][i].to_f32()));
                    assert_eq!([best, portable], [apart; 2], "{stages:?} of {sum:e}");
                }
            }
        }
    }

    #[test]
    fn what_is_done_in_registers_gives_the_same_bits() {
        check_registers::<f32>();
        check_registers::<f16>();
    }

    #[test]
    fn stages_change_no_bit() {
        for len in [1, 7, 16, 33, 64, 65, 200] {
            check::<f32>(len);
            check::<f16>(len);
        }
    }
}
