//! What the fast ways of the ops share: where prepared kernels find the numbers that they read.
//!
//! A fast way is asked for after inference has accepted the same arguments, so that it does not check them again. It
//! gives `None` for what the kernels do not compute: other dtypes than fp16 and fp32, and tensors without elements.

use std::borrow::Cow;
use std::ops::Deref;

use anemone_kernels::Float;
use anemone_kernels::finish::Stage;
use anemone_kernels::norm::Lanes;
use anemone_kernels::scratch::{Scratch, scratch};

use smallvec::SmallVec;

use super::row::*;
use crate::mil::op::{After, MOST_AFTER};
use crate::types::f16;

/// Evaluates an expression with `$type` standing for the Rust type of a float dtype. Where the dtype is another, the
/// function around it has no fast way.
macro_rules! for_float {
    ($dtype:expr, $type:ident => $body:expr) => {
        match $dtype {
            $crate::types::DType::Fp32 => {
                type $type = f32;
                $body
            }
            $crate::types::DType::Fp16 => {
                type $type = $crate::types::f16;
                $body
            }
            _ => return Ok(None),
        }
    };
}
pub(super) use for_float;

/// Evaluates an expression with `$type` standing for the unsigned type of as many bits as a dtype has. Where it has
/// none, the function around it has no fast way.
macro_rules! for_bits {
    ($dtype:expr, $type:ident => $body:expr) => {
        match $dtype.bits() {
            8 => {
                type $type = u8;
                $body
            }
            16 => {
                type $type = u16;
                $body
            }
            32 => {
                type $type = u32;
                $body
            }
            64 => {
                type $type = u64;
                $body
            }
            _ => return Ok(None),
        }
    };
}
pub(super) use for_bits;

/// What preparing a step gives.
pub(super) type Ready = Result<Option<Prepared>, Fault>;

/// A step that is prepared, and cannot fail.
pub(super) fn ready(run: impl Fn(&mut Run<'_, '_>) + Send + Sync + 'static) -> Ready {
    Ok(Some(Prepared::sure(run)))
}

/// A step that is prepared, and finds out by the elements whether it can be done.
pub(super) fn ready_if(run: impl Fn(&mut Run<'_, '_>) -> Result<(), Fault> + Send + Sync + 'static) -> Ready {
    Ok(Some(Prepared::new(run)))
}

/// The elements of a constant, which are of the type that its dtype says.
pub(super) fn elements<T: crate::types::Element>(x: &Tensor) -> &[T] {
    x.as_slice().expect("the caller has chosen the type by the dtype, and tensors are aligned for it")
}

/// What comes after a step, and where it finds other tensors.
pub(super) struct Following(Vec<(After, Reader)>);

impl Following {
    /// What comes after this one.
    pub(super) fn of(args: &Args<'_>) -> Self {
        let reader = |after: &After| match after {
            After::Binary { other, .. } => Reader::Given(*other),
            After::Unary(_) | After::Gate(_) => Reader::Given(0),
        };
        Self(args.after.iter().map(|after| (*after, reader(after))).collect())
    }

    /// The stages of a run.
    pub(super) fn stages<'b, 'd: 'b, T: bytemuck::Pod>(
        &'b self,
        run: &Run<'_, 'd>,
    ) -> SmallVec<[Stage<'b, T>; MOST_AFTER]> {
        let stage = |(after, reader): &'b (After, Reader)| match *after {
            After::Unary(f) => Stage::Unary(f),
            After::Gate(f) => Stage::Gate(f),
            After::Binary { f, swapped, .. } => Stage::Binary { f, other: run.read(reader), swapped },
        };
        self.0.iter().map(stage).collect()
    }
}

/// A step that has nothing to write.
pub(super) fn idle() -> Ready {
    ready(|_| ())
}

/// Whether no result has an element.
pub(super) fn nothing(types: &[Type]) -> bool {
    types.iter().all(|ty| ty.as_tensor().is_some_and(|t| t.shape.elements() == Some(0)))
}

/// The dimensions of an argument, all of which are known when a step is prepared.
pub(super) fn dims(args: &Args<'_>, param: &'static str) -> Result<Vec<usize>, Fault> {
    Ok(args.ty(param)?.shape.known().unwrap_or_default())
}

/// Where a kernel finds numbers that it reads in single precision.
pub(super) enum Singles {
    /// They were widened when the step was prepared.
    Widened(Vec<f32>),
    /// They have single precision.
    Floats(Reader),
    /// They are widened when the step runs.
    Halves(Reader),
}

impl Singles {
    /// Those of an argument.
    ///
    /// # Errors
    ///
    /// As [`Args::ty`], or `not-constant` for numbers that are widened only when they are constant.
    pub(super) fn of(args: &Args<'_>, param: &'static str) -> Result<Self, Fault> {
        let (ty, reader) = (args.ty(param)?, args.reader(param)?);
        Ok(match (ty.dtype, &reader) {
            (Fp32, _) => Self::Floats(reader),
            (_, Reader::Constant(tensor)) => Self::Widened(singles(tensor).into_owned()),
            (Fp16, Reader::Given(_)) => Self::Halves(reader),
            _ => Self::Widened(singles(args.tensor(param)?).into_owned()),
        })
    }

    /// Those of an argument that need not be given.
    ///
    /// # Errors
    ///
    /// As [`Singles::of`].
    pub(super) fn opt(args: &Args<'_>, param: &'static str) -> Result<Option<Self>, Fault> {
        args.has(param).then(|| Self::of(args, param)).transpose()
    }

    /// The numbers.
    pub(super) fn read<'b, 'd: 'b>(&'b self, run: &Run<'_, 'd>) -> Elements<'b, f32> {
        match self {
            Self::Widened(numbers) => Elements::Lent(numbers),
            Self::Floats(reader) => Elements::Lent(run.read(reader)),
            Self::Halves(reader) => {
                let halves: &[f16] = run.read(reader);
                let mut wide = scratch(halves.len());
                f16::widen(&mut wide, halves);
                Elements::Own(wide)
            }
        }
    }
}

/// Where a kernel finds numbers of any dtype, which it reads as `i64` or as `f64`.
pub(super) enum Numbers<T> {
    /// They are constant.
    Known(Vec<T>),
    /// They are widened when the step runs.
    Given(Reader, DType),
}

macro_rules! numbers {
    ($wide:ty, $all:ident, $($dtype:ident => $narrow:ty),*) => {
        impl Numbers<$wide> {
            /// Those of an argument.
            ///
            /// # Errors
            ///
            /// As [`Args::ty`], or `not-constant` for dtypes that are rare.
            pub(super) fn of(args: &Args<'_>, param: &'static str) -> Result<Self, Fault> {
                let (ty, reader) = (args.ty(param)?, args.reader(param)?);
                Ok(match (ty.dtype, &reader) {
                    ($($dtype)|*, Reader::Given(_)) => Self::Given(reader, ty.dtype),
                    _ => Self::Known(args.tensor(param)?.$all()),
                })
            }

            /// The numbers.
            pub(super) fn read<'b>(&'b self, run: &Run<'_, '_>) -> Elements<'b, $wide> {
                match self {
                    Self::Known(numbers) => Elements::Lent(numbers),
                    Self::Given(reader, dtype) => Elements::Own(match dtype {
                        $($dtype => {
                            let numbers: &[$narrow] = run.read(reader);
                            let mut wide = scratch::<$wide>(numbers.len());
                            wide.iter_mut().zip(numbers).for_each(|(to, &from)| *to = from.into());
                            wide
                        })*
                        _ => unreachable!("only these dtypes are given"),
                    }),
                }
            }
        }
    };
}
numbers!(i64, to_i64s, Int8 => i8, Int16 => i16, Int32 => i32, UInt8 => u8, UInt16 => u16, UInt32 => u32);
numbers!(f64, to_f64s, Int8 => i8, Int16 => i16, Int32 => i32, UInt8 => u8, UInt16 => u16, UInt32 => u32, Fp16 => f16,
    Fp32 => f32);

/// Elements that a kernel reads.
pub(super) enum Elements<'b, T> {
    /// They lie somewhere.
    Lent(&'b [T]),
    /// They were made for this run.
    Own(Scratch<T>),
}

impl<T: bytemuck::Pod> Deref for Elements<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Elements::Lent(elements) => elements,
            Elements::Own(elements) => elements,
        }
    }
}

/// The numbers of a tensor in single precision.
pub(super) fn singles(x: &Tensor) -> Cow<'_, [f32]> {
    if let Some(singles) = x.as_slice::<f32>() {
        return Cow::Borrowed(singles);
    }
    let Some(halves) = x.as_slice::<f16>() else {
        return x.to_f64s().into_iter().map(|v| v as f32).collect();
    };
    let mut singles = vec![0.0; halves.len()];
    f16::widen(&mut singles, halves);
    singles.into()
}

/// The elements of a tensor as bits, of the type that [`for_bits`] chose.
pub(super) fn bits<E: bytemuck::Pod>(x: &Tensor) -> &[E] {
    bytemuck::try_cast_slice(x.bytes())
        .expect("the caller has chosen the type by the dtype, and tensors are aligned for it")
}

/// The lanes along these axes, where they are neighbours but for dimensions of 1.
pub(super) fn neighbours(shape: &[usize], axes: &[usize]) -> Option<Lanes> {
    let axes: Vec<usize> = axes.iter().copied().filter(|&axis| shape[axis] != 1).collect();
    let (Some(&first), Some(&last)) = (axes.iter().min(), axes.iter().max()) else {
        return Some(Lanes { outer: shape.iter().product(), length: 1, inner: 1 });
    };
    let all = (first..=last).all(|axis| shape[axis] == 1 || axes.contains(&axis));
    all.then(|| Lanes::along(shape, first..last + 1))
}

#[cfg(test)]
mod tests;
