//! Which ops give a part of their result for parts of their arguments.

use super::reduce;
use crate::mil::op::{Args, Op, Scalar};
use crate::types::TensorType;

/// The arguments that an axis of the only result divides, each with the axis of it that is divided: a part of the result along
/// the axis is what the op gives of these places of them, and of all of its other arguments. `None` where no such parts make
/// the result, or where nobody has said so of the op.
///
/// `rank` is that of the result. Of a parameter that several values are bound to, each is divided.
pub(crate) fn along(args: &Args<'_>, rank: usize, axis: usize) -> Option<Vec<(&'static str, usize)>> {
    let op = args.op.name;
    let dims = |param| dims(args.opt_ty(param)?);
    let own = |param, default| args.normal_axis(param, args.int(param).unwrap_or(default), rank).ok();
    let axes = |rank: usize| {
        let Some(axes) = args.ints("axes") else { return (!args.has("axes")).then(|| (0..rank).collect()) };
        axes.into_iter().map(|a| args.normal_axis("axes", a, rank).ok()).collect::<Option<Vec<usize>>>()
    };
    let behind = |param, back: usize| Some((param, dims(param)?.len().checked_sub(back)?));
    Some(match op {
        _ if is_elementwise(args.op) => {
            let mut divided = Vec::new();
            for param in args.edition.params {
                let Some(own) = dims(param.name) else { continue };
                let Some(at) = (axis + own.len()).checked_sub(rank) else { continue };
                if own.get(at).is_some_and(|&d| d != 1) {
                    divided.push((param.name, at));
                }
            }
            divided
        }
        "prelu" | "softplus_parametric" | "batch_norm" if axis != 1 => vec![("x", axis)],
        "softmax" if axis != own("axis", -1)? => vec![("x", axis)],
        "cumsum" if axis != own("axis", 0)? => vec![("x", axis)],
        "layer_norm" | "reverse" if !axes(rank)?.contains(&axis) => vec![("x", axis)],
        _ if reduce::OPS.iter().any(|row| row.name == op)
            && args.edition.params.iter().any(|p| p.name == "axes") =>
        {
            let given = args.opt_ty("x")?.rank();
            let axes = axes(given)?;
            let at = match args.bool("keep_dims")? {
                true => Some(axis).filter(|a| !axes.contains(a)),
                false => (0..given).filter(|a| !axes.contains(a)).nth(axis),
            };
            vec![("x", at?)]
        }
        "transpose" => {
            let from = *args.ints("perm")?.get(axis)?;
            vec![("x", args.normal_axis("perm", from, rank).ok()?)]
        }
        "concat" if !args.bool("interleave")? && axis != own("axis", 0)? => vec![("values", axis)],
        "stack" => {
            let own = own("axis", 0)?;
            let at = if axis > own { axis.checked_sub(1) } else { Some(axis).filter(|_| axis != own) };
            vec![("values", at?)]
        }
        "matmul" => {
            let (x, y) = (dims("x")?, dims("y")?);
            if x.len() < 2 || y.len() < 2 {
                return None;
            }
            match rank - axis {
                1 => vec![behind("y", if args.bool("transpose_y")? { 2 } else { 1 })?],
                2 => vec![behind("x", if args.bool("transpose_x")? { 1 } else { 2 })?],
                back => {
                    let has = |dims: &[u64]| dims.len().checked_sub(back).is_some_and(|at| dims[at] != 1);
                    let params = [("x", x), ("y", y)].into_iter().filter(|(_, dims)| has(dims));
                    params.map(|(param, _)| behind(param, back)).collect::<Option<_>>()?
                }
            }
        }
        "conv" | "max_pool" | "avg_pool" if axis == 0 => vec![("x", 0)],
        "max_pool" | "avg_pool" if axis == 1 => vec![("x", 1)],
        _ => return None,
    })
}

/// Whether each element of the result is made of those that stand there.
pub(crate) fn is_elementwise(op: &Op) -> bool {
    /// Those whose other arguments are numbers or words.
    const OTHERS: &[&str] = &[
        "cast",
        "clamped_relu",
        "clip",
        "elu",
        "gelu",
        "identity",
        "inverse",
        "leaky_relu",
        "linear_activation",
        "log",
        "logical_not",
        "rsqrt",
        "scaled_tanh",
        "select",
        "sigmoid_hard",
        "threshold",
        "thresholded_relu",
    ];
    !matches!(op.scalar, Scalar::None) || OTHERS.contains(&op.name)
}

fn dims(ty: &TensorType) -> Option<Vec<u64>> {
    ty.shape.iter().map(|d| d.known()).collect()
}
