//! What the fast ways of the ops share: typed slices in, a typed tensor out.
//!
//! A fast way is called after inference has accepted the same arguments, so that it does not check them again. It
//! gives `None` for what the kernels do not compute: other dtypes than fp16 and fp32, and tensors without elements.

use std::borrow::Cow;

use anemone_kernels::Float;
use anemone_kernels::norm::Lanes;

use super::loops::shape_of;
use super::row::*;
use crate::types::{Element, f16};

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

/// The dimensions of an argument, all of which are known when a step is prepared.
pub(super) fn dims(args: &Args<'_>, param: &'static str) -> Result<Vec<usize>, Fault> {
    Ok(args.ty(param)?.shape.known().unwrap_or_default())
}

/// What a fast way gives.
pub(super) type Found = Result<Option<Vec<Datum>>, Fault>;

/// The elements of a tensor, which are of the type that its dtype says.
pub(super) fn elements<T: Element>(x: &Tensor) -> &[T] {
    x.as_slice().expect("the caller has chosen the type by the dtype, and tensors are aligned for it")
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

/// [`singles`] of an argument, if it is given.
pub(super) fn singles_of<'a>(args: &Args<'a>, param: &'static str) -> Result<Option<Cow<'a, [f32]>>, Fault> {
    if args.has(param) { Ok(Some(singles(args.tensor(param)?))) } else { Ok(None) }
}

/// A result of this shape, whose elements `fill` writes.
pub(super) fn result<T: Element>(shape: &[usize], fill: impl FnOnce(&mut [T])) -> Result<Datum, Fault> {
    let mut y = Tensor::zeros(T::DTYPE, shape)?;
    fill(y.as_mut_slice().expect("the tensor was made with this dtype"));
    Ok(y.into())
}

/// The one [`result`], of the type that inference gave.
pub(super) fn filled<T: Element>(types: &[Type], fill: impl FnOnce(&mut [T])) -> Found {
    Ok(Some(vec![result(&shape_of(&types[0]), fill)?]))
}

/// The elements of a tensor as bits, of the type that [`for_bits`] chose.
pub(super) fn bits<E: bytemuck::Pod>(x: &Tensor) -> &[E] {
    bytemuck::try_cast_slice(x.bytes())
        .expect("the caller has chosen the type by the dtype, and tensors are aligned for it")
}

/// A result of any dtype, whose bits `fill` writes.
pub(super) fn moved<E: bytemuck::Pod>(
    dtype: DType,
    shape: &[usize],
    fill: impl FnOnce(&mut [E]),
) -> Result<Datum, Fault> {
    let mut y = Tensor::zeros(dtype, shape)?;
    if let Some(bytes) = y.bytes_mut() {
        fill(bytemuck::try_cast_slice_mut(bytes).expect("the caller has chosen the type by the dtype"));
    }
    Ok(y.into())
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
