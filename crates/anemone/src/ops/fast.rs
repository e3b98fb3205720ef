//! What the fast ways of the ops share: typed slices in, a typed tensor out.
//!
//! A fast way is called after inference has accepted the same arguments, so that it does not check them again. It
//! gives `None` for what the kernels do not compute: other dtypes than fp16 and fp32, and tensors without elements.

use std::borrow::Cow;

use anemone_kernels::Float;

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
pub(super) fn result<T: Float + Element>(
    shape: &[usize],
    fill: impl FnOnce(&mut [T]),
) -> Result<Datum, Fault> {
    let mut y = Tensor::zeros(T::DTYPE, shape)?;
    fill(y.as_mut_slice().expect("the tensor was made with this dtype"));
    Ok(y.into())
}
