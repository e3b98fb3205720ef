//! What becomes of sums before they are results.

use crate::binary::{self, Binary};
use crate::math::{self, Unary};
use crate::simd::{self, Simd};
use crate::threads::parallel_chunks;
use crate::tile::MOST_COLUMNS;
use crate::{Float, scratch};

/// What a result is put through before it is written. Each stage rounds, so that the bits are those that an op of its own
/// would give.
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
#[derive(Clone, Copy, Debug)]
pub struct Finish<'a, T> {
    /// What is added: one number for each output.
    pub bias: Option<&'a [f32]>,
    /// In order.
    pub stages: &'a [Stage<'a, T>],
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

    /// Whether all stages are so simple that [`Finish::write_vectors`] does them in registers.
    pub(crate) fn in_registers(&self) -> bool {
        self.stages.iter().all(|stage| {
            matches!(
                stage,
                Stage::Unary(Unary::Relu | Unary::Clip { .. }) | Stage::Binary { f: Binary::Add, .. }
            )
        })
    }

    /// A kernel's part of the work: what is done in its registers, and whether stages are left for
    /// [`after`](Finish::after).
    pub(crate) fn split(self) -> (Self, bool) {
        if self.in_registers() { (self, false) } else { (Self { stages: &[], ..self }, true) }
    }

    /// Puts vectors of sums through stages that are [done in registers](Finish::in_registers), and rounds them; `of` writes
    /// the elements of another tensor that lie where the sums do.
    ///
    /// No closure here takes or gives a vector: one that is not inlined would not be compiled for this processor.
    #[inline(always)]
    pub(crate) fn vectors<S: Simd, const N: usize>(
        &self,
        simd: S,
        mut sums: [S::V; N],
        of: impl Fn(&[T], &mut [T; MOST_COLUMNS]),
        results: &mut [T],
    ) {
        for stage in self.stages {
            let mut others = [T::zeroed(); MOST_COLUMNS];
            if let Stage::Binary { other, .. } = stage {
                of(other, &mut others);
            }
            for i in 0..N {
                let sum = T::round(simd, sums[i]);
                sums[i] = match stage {
                    Stage::Unary(Unary::Clip { low, high }) => {
                        simd.minimum(simd.maximum(sum, simd.splat(*low)), simd.splat(*high))
                    }
                    Stage::Unary(Unary::Relu) => simd.maximum(sum, simd.splat(0.0)),
                    Stage::Binary { f: Binary::Add, .. } => {
                        simd.add(sum, T::load(simd, &others[i * S::LANES..]))
                    }
                    _ => unreachable!("kernels are given the stages that are done in registers"),
                };
            }
        }
        for i in 0..N {
            T::store(simd, &mut results[i * S::LANES..], sums[i]);
        }
    }

    /// Writes sums that lie side by side: those of `y`, of which the vectors may have more.
    #[inline(always)]
    pub(crate) fn write_vectors<S: Simd, const N: usize>(
        &self,
        simd: S,
        y: &mut [T],
        sums: [S::V; N],
        at: usize,
    ) {
        let len = y.len();
        let of = |other: &[T], to: &mut [T; MOST_COLUMNS]| to[..len].copy_from_slice(&other[at..at + len]);
        if len == N * S::LANES {
            return self.vectors(simd, sums, of, y);
        }
        let mut all = [T::zeroed(); MOST_COLUMNS];
        self.vectors(simd, sums, of, &mut all);
        y.copy_from_slice(&all[..len]);
    }

    /// Rounds sums, and puts them through the stages. The results lie from `at` on among all of them.
    pub(crate) fn write(&self, y: &mut [T], sums: &mut [f32], at: usize) {
        const BLOCK: usize = 256;
        assert_eq!(y.len(), sums.len(), "each sum gives a result");
        for (i, (y, sums)) in y.chunks_mut(BLOCK).zip(sums.chunks_mut(BLOCK)).enumerate() {
            let at = at + i * BLOCK;
            for stage in self.stages {
                round(y, sums);
                match stage {
                    Stage::Unary(f) => simd::dispatch(math::Apply { block: sums, f: *f }),
                    Stage::Gate(f) => {
                        let mut gate = [0.0; BLOCK];
                        let gate = &mut gate[..y.len()];
                        gate.copy_from_slice(sums);
                        simd::dispatch(math::Apply { block: &mut *gate, f: *f });
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
    }

    /// Puts results through the stages that a product has left as they are.
    pub(crate) fn after(&self, threads: usize, y: &mut [T]) {
        const BLOCK: usize = 1 << 12;
        if self.stages.is_empty() {
            return;
        }
        parallel_chunks(threads, y, BLOCK, 1, |i, y| {
            let mut sums = scratch::floats(y.len());
            T::widen(&mut sums, y);
            self.write(y, &mut sums, i * BLOCK);
        });
    }
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
    use crate::testing::floats;

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

    #[test]
    fn stages_change_no_bit() {
        for len in [1, 7, 16, 33, 64, 65, 200] {
            check::<f32>(len);
            check::<f16>(len);
        }
    }
}
