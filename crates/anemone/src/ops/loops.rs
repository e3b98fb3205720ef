//! What the meanings share: walking over tensors element by element.

use crate::mil::op::{Args, Default, Fault};
use crate::source::codes;
use crate::types::{DType, Datum, Dim, MAX_ELEMENTS, Shape, Tensor, TensorType, Type};

/// Row-major strides, in elements.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}

/// The shape of two operands after NumPy's broadcasting: from the back, a dimension of 1 stretches.
pub(super) fn broadcast(a: &Shape, b: &Shape) -> Option<Shape> {
    let rank = a.rank().max(b.rank());
    let dim = |s: &Shape, i: usize| (i + s.rank()).checked_sub(rank).map_or(Dim::Known(1), |j| s[j]);
    (0..rank)
        .map(|i| match (dim(a, i), dim(b, i)) {
            (Dim::Known(1), d) | (d, Dim::Known(1)) => Some(d),
            (Dim::Known(n), Dim::Known(m)) if n == m => Some(Dim::Known(n)),
            (Dim::Known(_), Dim::Known(_)) => None,
            // One side is not known and the other not 1: the result is the known one, or a run-time error.
            (a, b) => Some(a.or(b)),
        })
        .collect()
}

/// The broadcast shape of several arguments, or the fault that names the first two that do not fit.
pub(super) fn broadcast_of(args: &Args<'_>, params: &[&'static str]) -> Result<Shape, Fault> {
    let mut shape = Shape::scalar();
    let mut before = params[0];
    for &p in params {
        let ty = args.ty(p)?;
        shape = broadcast(&shape, &ty.shape).ok_or_else(|| {
            Fault::of(
                p,
                &codes::SHAPE_MISMATCH,
                format!(
                    "`{p}` of shape {} does not broadcast with `{before}` of shape {shape} in `{}`",
                    ty.shape, args.op.name
                ),
            )
            .against(before)
            .help("each dimension, counted from the last, must be equal or 1 on one side")
        })?;
        before = p;
    }
    Ok(shape)
}

/// Walks over `shape` in row-major order and gives, for each element, the offsets into operands of these strides.
///
/// A stride of 0 repeats an element, which is how broadcasting is expressed; see [`stretched`].
pub(super) fn walk<const N: usize>(
    shape: &[usize],
    strides: [&[usize]; N],
    mut each: impl FnMut([usize; N]),
) {
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0; shape.len()];
    let mut at = [0; N];
    loop {
        each(at);
        let mut axis = shape.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            for n in 0..N {
                at[n] += strides[n][axis];
            }
            if index[axis] < shape[axis] {
                break;
            }
            for n in 0..N {
                at[n] -= strides[n][axis] * shape[axis];
            }
            index[axis] = 0;
        }
    }
}

/// The strides with which an operand of shape `from` is read when it is broadcast to shape `to`.
pub(super) fn stretched(from: &[usize], to: &[usize]) -> Vec<usize> {
    let own = strides(from);
    let lead = to.len() - from.len();
    (0..to.len()).map(|i| if i < lead || from[i - lead] == 1 { 0 } else { own[i - lead] }).collect()
}

/// The result types of an op whose one result has the type of `x`.
pub(super) fn same_as_x(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    Ok(vec![args.ty("x")?.clone().into()])
}

/// Refuses an argument that is given and is not a scalar. A tensor of one element passes.
pub(super) fn check_scalar(args: &Args<'_>, param: &'static str) -> Result<(), Fault> {
    match args.opt_ty(param) {
        Some(ty) if ty.shape.elements().is_some_and(|n| n != 1) || ty.rank() > 1 => Err(Fault::of(
            param,
            &codes::WRONG_RANK,
            format!("`{param}` of `{}` must be a scalar, not of shape {}", args.op.name, ty.shape),
        )),
        _ => Ok(()),
    }
}

/// The number of a scalar argument: its value, or its default as the dtype of `x` holds it.
pub(super) fn number(args: &Args<'_>, param: &'static str) -> Result<f64, Fault> {
    if args.has(param) {
        args.tensor(param)?;
    }
    let value = args.float(param).ok_or_else(|| {
        Fault::of(param, &codes::BAD_VALUE, format!("`{param}` of `{}` must be one number", args.op.name))
    })?;
    let written = args.edition.params.iter().find(|p| p.name == param).map(|p| p.default);
    match (args.has(param), written, args.opt_ty("x")) {
        (false, Some(Default::Float(_)), Some(x)) if x.dtype.is_float() => {
            Ok(Tensor::from_f64s(x.dtype, &[], &[value])?.to_f64s()[0])
        }
        _ => Ok(value),
    }
}

/// Every element of a tensor argument as a float; refused where the elements are not numbers.
pub(super) fn floats(args: &Args<'_>, param: &'static str) -> Result<Vec<f64>, Fault> {
    Ok(numeric(args, param)?.to_f64s())
}

/// Every element of a tensor argument as a whole number; refused where the elements are not numbers.
pub(super) fn ints(args: &Args<'_>, param: &'static str) -> Result<Vec<i64>, Fault> {
    Ok(numeric(args, param)?.to_i64s())
}

fn numeric<'a>(args: &Args<'a>, param: &'static str) -> Result<&'a Tensor, Fault> {
    let tensor = args.tensor(param)?;
    if tensor.dtype() == DType::String {
        let message = format!("`{param}` of `{}` must be numbers, not strings", args.op.name);
        return Err(Fault::of(param, &codes::WRONG_DTYPE, message));
    }
    Ok(tensor)
}

/// An empty vector with room for the elements of this shape, refused where the machine has no memory for them.
pub(super) fn room<T>(shape: &[usize]) -> Result<Vec<T>, Fault> {
    let mut elements = Vec::new();
    let n = Shape::from(shape).elements().filter(|&n| n <= MAX_ELEMENTS);
    match n.map(|n| elements.try_reserve_exact(n as usize)) {
        Some(Ok(())) => Ok(elements),
        _ => Err(Fault::new(&codes::TENSOR_TOO_LARGE, format!("a tensor of shape {shape:?} is too large"))),
    }
}

/// The one result of an op, of the type that inference gave, from floats that are rounded once.
pub(super) fn from_floats(types: &[Type], values: &[f64]) -> Result<Vec<Datum>, Fault> {
    let ty = result_type(types)?;
    Ok(vec![Tensor::from_f64s(ty.dtype, &ty.shape.known().unwrap_or_default(), values)?.into()])
}

/// The one result of an op, of the type that inference gave, from whole numbers that wrap around.
pub(super) fn from_ints(types: &[Type], values: &[i64]) -> Result<Vec<Datum>, Fault> {
    let ty = result_type(types)?;
    Ok(vec![Tensor::from_i64s(ty.dtype, &ty.shape.known().unwrap_or_default(), values)?.into()])
}

fn result_type(types: &[Type]) -> Result<&TensorType, Fault> {
    let first = types.first().and_then(Type::as_tensor);
    first.ok_or_else(|| Fault::new(&codes::WRONG_KIND, "the result must be a tensor"))
}

/// The known shape that inference gave for a result; an engine calls a meaning only with known types.
pub(super) fn shape_of(ty: &Type) -> Vec<usize> {
    ty.as_tensor().and_then(|t| t.shape.known()).unwrap_or_default()
}
