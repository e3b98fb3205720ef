//! Ops that keep the elements and their order, and change the shape; and `shape`, which asks for it.

use super::fast::{Ready, dims, ready};
use super::loops::shape_of;
use super::moves::{
    MOVED17, alias, as_declared, bad_value, exact, known_axis, known_int, known_ints, length, one, product,
    result,
};
use super::row::*;
use crate::types::MAX_RANK;

const EXPAND_DIMS: &[Edition] = &[
    edition(Ios15, &[tensor("x", NUMS_BOOL).domain('T'), tensor("axes", I32).constant()]),
    edition(Ios17, &[tensor("x", MOVED17).domain('T'), tensor("axes", I32).constant()]),
];

const SQUEEZE: &[Edition] = &[
    edition(Ios15, &[tensor("x", NUMS_BOOL).domain('T'), tensor("axes", I32).constant().or(Absent)]),
    edition(Ios17, &[tensor("x", MOVED17).domain('T'), tensor("axes", I32).constant().or(Absent)]),
];

const RESHAPE: &[Edition] = &[
    edition(Ios15, &[tensor("x", NUMS_BOOL).domain('T'), tensor("shape", I32)]),
    edition(Ios17, &[tensor("x", MOVED17).domain('T'), tensor("shape", &[Int8, Int16, Int32]).domain('U')]),
];

const RESHAPE_LIKE: &[Edition] = &[
    edition(
        Ios16,
        &[
            tensor("x", NUMS_BOOL).domain('T'),
            Parameter::new("ref_tensors", Kind::Tuple, DTypes::ANY),
            Parameter::new("begins", Kind::Tuple, DTypes::ANY).constant(),
            Parameter::new("ends", Kind::Tuple, DTypes::ANY).constant(),
            Parameter::new("end_masks", Kind::Tuple, DTypes::ANY).constant(),
        ],
    ),
    edition(
        Ios17,
        &[
            tensor("x", MOVED17).domain('T'),
            Parameter::new("ref_tensors", Kind::Tuple, DTypes::ANY),
            Parameter::new("begins", Kind::Tuple, DTypes::ANY).constant(),
            Parameter::new("ends", Kind::Tuple, DTypes::ANY).constant(),
            Parameter::new("end_masks", Kind::Tuple, DTypes::ANY).constant(),
        ],
    ),
];

const FLATTEN2D: &[Edition] =
    &[edition(Ios15, &[tensor("x", NUMS_BOOL).domain('T'), tensor("axis", I32).constant().or(Int(1))])];

const SHAPE: &[Edition] = &[edition(Ios15, &[tensor("x", NUMS_BOOL).domain('T')])];

const IDENTITY: &[Edition] = &[edition(Ios15, &[Parameter::new("x", Kind::Any, DTypes::ANY)])];

/// The elements of `x`, in the shape that these arguments give.
fn same_elements(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    one(args.tensor("x")?.reshaped(&shape_of(&(args.op.infer)(args)?[0]))?)
}

fn infer_expand_dims(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    let axes = known_ints(args, "axes")?;
    let rank = x.rank() + axes.len();
    if rank > MAX_RANK {
        return result(args, x.dtype, Shape::unknown(rank));
    }
    let mut at = axes.iter().map(|&a| args.normal_axis("axes", a, rank)).collect::<Result<Vec<_>, _>>()?;
    at.sort_unstable();
    let mut dims = x.shape.to_vec();
    for axis in at {
        // With an axis given twice, an earlier one leaves too few dimensions to reach a later one.
        if axis > dims.len() {
            return Err(bad_value(args, "axes", "it names an axis twice"));
        }
        dims.insert(axis, Dim::Known(1));
    }
    result(args, x.dtype, dims.into_iter().collect())
}

/// Dimensions that are not 1 stay, as in PyTorch, and so do those that were not known when the program was written:
/// the rank of the result does not depend on the run.
fn infer_squeeze(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    let mut wanted = vec![!args.has("axes"); x.rank()];
    if args.has("axes") {
        for axis in known_ints(args, "axes")? {
            let axis = args.normal_axis("axes", axis, x.rank())?;
            if std::mem::replace(&mut wanted[axis], true) {
                return Err(bad_value(args, "axes", "it names an axis twice"));
            }
        }
    }
    let goes = |i: usize| wanted[i] && x.shape[i] == Dim::Known(1);
    let kept = (0..x.rank()).filter(|&i| !goes(i)).count();
    let declared = args.declared.first().and_then(Type::as_tensor);
    let mut spare = declared.map_or(0, |d| d.rank().saturating_sub(kept));
    let mut dims: Vec<Dim> = Vec::new();
    for (i, &dim) in x.shape.iter().enumerate() {
        let stays = spare > 0 && declared.is_some_and(|d| d.shape.get(dims.len()) == Some(&Dim::Unknown));
        if goes(i) && stays {
            spare -= 1;
        }
        if !goes(i) || stays {
            dims.push(dim);
        }
    }
    result(args, x.dtype, dims.into_iter().collect())
}

fn infer_reshape(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    let rank = length(args, "shape")?;
    let Some(wanted) = args.ints("shape") else {
        return match rank {
            // A rank that no tensor has is refused by `result`, which needs no more than one too many.
            Dim::Known(n) => result(args, x.dtype, Shape::unknown(n.min(MAX_RANK as u64 + 1) as usize)),
            Dim::Unknown => as_declared(args, "shape", x.dtype),
        };
    };
    if wanted.len() > MAX_RANK {
        return result(args, x.dtype, Shape::unknown(wanted.len()));
    }
    // A 0 stands for the dimension of `x` at the same place, counted from the front; since iOS 17 from the back, and
    // for 1 where `x` has none.
    let inherited = |i: usize| -> Result<Dim, Fault> {
        if args.edition.since >= Ios17 {
            let from_back = wanted.len() - i;
            return Ok(x.rank().checked_sub(from_back).map_or(Dim::Known(1), |j| x.shape[j]));
        }
        if wanted.len() != x.rank() {
            return Err(bad_value(
                args,
                "shape",
                format_args!("a 0 needs a shape of as many dimensions as `x`, which has {}", x.rank()),
            ));
        }
        Ok(x.shape[i])
    };
    let mut dims = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (i, &n) in wanted.iter().enumerate() {
        dims.push(match n {
            0 => inherited(i)?,
            -1 if open.replace(i).is_some() => {
                return Err(bad_value(args, "shape", "only one dimension can be -1"));
            }
            -1 => Dim::Unknown,
            n => Dim::Known(
                u64::try_from(n)
                    .map_err(|_| bad_value(args, "shape", format_args!("{n} is not a dimension")))?,
            ),
        });
    }
    let all = product(&x.shape);
    if let Some(i) = open {
        let others: Vec<Dim> = dims.iter().enumerate().filter(|&(j, _)| j != i).map(|(_, &d)| d).collect();
        if let (Dim::Known(all), Dim::Known(others)) = (all, product(&others)) {
            if others == 0 || all % others != 0 {
                return Err(mismatch(args, x, &dims.into_iter().collect()));
            }
            dims[i] = Dim::Known(all / others);
        }
    }
    let shape: Shape = dims.into_iter().collect();
    if let (Some(n), Dim::Known(all)) = (shape.elements(), all)
        && n != all
    {
        return Err(mismatch(args, x, &shape));
    }
    result(args, x.dtype, shape)
}

fn mismatch(args: &Args<'_>, x: &TensorType, shape: &Shape) -> Fault {
    let param = if args.op.name == "reshape" { "shape" } else { "ref_tensors" };
    Fault::of(
        param,
        &codes::SHAPE_MISMATCH,
        format!("`x` of shape {} has not as many elements as the shape {shape} holds", x.shape),
    )
    .against("x")
}

/// The one number of an argument of a tuple.
fn item(args: &Args<'_>, param: &'static str, i: usize) -> Result<i64, Fault> {
    let value = args.many(param)[i].value.and_then(Datum::as_tensor);
    value.and_then(|t| t.to_i64s().first().copied()).ok_or_else(|| {
        Fault::of(
            param,
            &codes::NOT_CONSTANT,
            format!("`{param}` of `{}` must be known when the program is compiled", args.op.name),
        )
    })
}

fn infer_reshape_like(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    let refs = args.many("ref_tensors");
    for param in ["begins", "ends", "end_masks"] {
        if args.many(param).len() != refs.len() {
            return Err(Fault::of(
                param,
                &codes::SHAPE_MISMATCH,
                format!(
                    "`{param}` of `reshape_like` has {} values and `ref_tensors` has {}",
                    args.many(param).len(),
                    refs.len()
                ),
            )
            .against("ref_tensors"));
        }
    }
    let mut dims = Vec::new();
    for (i, reference) in refs.iter().enumerate() {
        let Some(t) = reference.ty.as_tensor() else {
            return Err(Fault::of("ref_tensors", &codes::WRONG_KIND, "`ref_tensors` must be tensors"));
        };
        // As a slice of a Python list: negative places count from the back, places outside are the border.
        let rank = t.rank() as i64;
        let place = |n: i64| (if n < 0 { n.saturating_add(rank) } else { n }).clamp(0, rank) as usize;
        let begin = place(item(args, "begins", i)?);
        let end = if item(args, "end_masks", i)? != 0 { t.rank() } else { place(item(args, "ends", i)?) };
        dims.extend_from_slice(t.shape.get(begin..end).unwrap_or_default());
        if dims.len() > MAX_RANK {
            return result(args, x.dtype, Shape::unknown(dims.len()));
        }
    }
    let shape: Shape = dims.into_iter().collect();
    if let (Some(n), Some(all)) = (shape.elements(), x.shape.elements())
        && n != all
    {
        return Err(mismatch(args, x, &shape));
    }
    result(args, x.dtype, shape)
}

fn infer_flatten2d(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    // The axis is a border between dimensions, so that it may also be the rank.
    let at = match known_int(args, "axis")? {
        n if n == x.rank() as i64 => x.rank(),
        _ => known_axis(args, "axis", x.rank())?,
    };
    let (before, behind) = x.shape.split_at(at);
    result(args, x.dtype, [product(before), product(behind)].into_iter().collect())
}

fn infer_shape(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    result(args, Int32, [args.ty("x")?.rank()].into_iter().collect())
}

fn compute_shape(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let dims: Vec<i64> = args.tensor("x")?.shape().iter().map(|&d| d as i64).collect();
    one(Tensor::from_i64s(Int32, &[dims.len()], &dims)?)
}

fn fast_shape(args: &Args<'_>, _: &[Type]) -> Ready {
    let shape: Vec<i32> = dims(args, "x")?.into_iter().map(|d| d as i32).collect();
    ready(move |run| run.write(0).copy_from_slice(&shape))
}

fn infer_identity(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    match args.arg("x") {
        Some(x) => Ok(vec![x.ty.clone()]),
        None => Ok(vec![args.ty("x")?.clone().into()]),
    }
}

fn compute_identity(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    match args.arg("x").and_then(|x| x.value) {
        Some(x) => Ok(vec![x.clone()]),
        None => one(args.tensor("x")?.clone()),
    }
}

const ONE: Results = Results::Exactly(1);

pub(super) static OPS: &[Op] = &[
    alias(exact("reshape", "x in another shape", RESHAPE, ONE, infer_reshape, same_elements)),
    alias(exact(
        "reshape_like",
        "x in a shape put together from the dimensions of other tensors",
        RESHAPE_LIKE,
        ONE,
        infer_reshape_like,
        same_elements,
    )),
    alias(exact(
        "expand_dims",
        "x with new dimensions of 1",
        EXPAND_DIMS,
        ONE,
        infer_expand_dims,
        same_elements,
    )),
    alias(exact("squeeze", "x without its dimensions of 1", SQUEEZE, ONE, infer_squeeze, same_elements)),
    alias(exact(
        "flatten2d",
        "x as a matrix: the dimensions before an axis, and those from it on",
        FLATTEN2D,
        ONE,
        infer_flatten2d,
        same_elements,
    )),
    Op {
        fast: Fast::Prepared(fast_shape),
        ..exact("shape", "the dimensions of x", SHAPE, ONE, infer_shape, compute_shape)
    },
    alias(exact("identity", "x itself", IDENTITY, ONE, infer_identity, compute_identity)),
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::mil::Opset;

    #[track_caller]
    fn reshapes(opset: Opset, from: &[usize], shape: &[i32], to: &[usize]) {
        check("reshape", opset, &[("x", iota(from)), ("shape", vec32(shape))], &[iota(to)]);
    }

    #[test]
    fn reshape_keeps_the_order_of_elements() {
        reshapes(Ios15, &[2, 3], &[3, 2], &[3, 2]);
        reshapes(Ios15, &[2, 3], &[-1], &[6]);
        reshapes(Ios15, &[2, 3, 4], &[0, -1, 2], &[2, 6, 2]);
        reshapes(Ios15, &[], &[1, 1], &[1, 1]);
        reshapes(Ios15, &[1], &[], &[]);
        reshapes(Ios15, &[0, 3], &[3, -1], &[3, 0]);
        reshapes(Ios15, &[0, 3], &[0, 7], &[0, 7]);
        // iOS 17 counts a 0 from the back.
        reshapes(Ios17, &[2, 50], &[1, 0, -1, 0], &[1, 1, 2, 50]);
        reshapes(Ios17, &[2, 3, 4], &[-1, 0], &[6, 4]);
        check(
            "reshape",
            Ios17,
            &[("x", ints(UInt8, &[4], &[1, 2, 3, 255])), ("shape", ints(Int16, &[2], &[2, 2]))],
            &[ints(UInt8, &[2, 2], &[1, 2, 3, 255])],
        );
        check(
            "reshape",
            Ios17,
            &[("x", ints(UInt3, &[4], &[1, 2, 3, 7])), ("shape", vec32(&[2, 2]))],
            &[ints(UInt3, &[2, 2], &[1, 2, 3, 7])],
        );
    }

    #[test]
    fn reshape_refuses_what_cannot_fit() {
        let no = |opset, from: &[usize], shape: &[i32], code| {
            refuse("reshape", opset, &[("x", iota(from)), ("shape", vec32(shape))], code);
        };
        no(Ios15, &[2, 3], &[4, 2], "shape-mismatch");
        no(Ios15, &[2, 3], &[4, -1], "shape-mismatch");
        no(Ios15, &[2, 3], &[-1, -1], "bad-value");
        no(Ios15, &[2, 3], &[-2, 3], "bad-value");
        no(Ios15, &[2, 3], &[0, 3, 1], "bad-value");
        no(Ios15, &[0, 3], &[0, -1], "shape-mismatch");
        no(Ios15, &[2], &[i32::MAX, i32::MAX, i32::MAX], "shape-mismatch");
        no(Ios15, &[1], &[1; 65], "wrong-rank");
    }

    #[test]
    fn reshape_infers_what_can_be_known_before_the_run() {
        let x = |dims: &[Option<u64>]| {
            let dims = dims.iter().map(|d| d.map_or(Dim::Unknown, Dim::Known)).collect::<Shape>();
            ("x", Type::tensor(Fp16, dims))
        };
        let shape = |s| [("x", iota(&[1])), ("shape", vec32(s))];
        infers("reshape", Ios15, &shape(&[-1, 8]), &[x(&[None, Some(64)])], "tensor<fp16, [?, 8]>");
        infers(
            "reshape",
            Ios15,
            &shape(&[0, 8, 8]),
            &[x(&[None, Some(8), Some(8)])],
            "tensor<fp16, [?, 8, 8]>",
        );
        infers("reshape", Ios15, &shape(&[4, 16]), &[x(&[None, Some(64)])], "tensor<fp16, [4, 16]>");
        let by_length = |n: Dim| ("shape", Type::tensor(Int32, [n].into_iter().collect::<Shape>()));
        infers("reshape", Ios15, &shape(&[1]), &[by_length(Dim::Known(3))], "tensor<fp32, [?, ?, ?]>");
        infers("reshape", Ios15, &shape(&[1]), &[by_length(Dim::Known(u64::MAX))], "wrong-rank");
        infers("reshape", Ios15, &shape(&[1]), &[by_length(Dim::Unknown)], "bad-value");
        infers("reshape", Ios15, &shape(&[1]), &[x(&[Some(u64::MAX), Some(u64::MAX)])], "shape-mismatch");
    }

    #[test]
    fn reshape_like_puts_dimensions_together() {
        let like = |x: &[usize], masks: [bool; 2]| {
            [
                ("x", iota(x)),
                ("ref_tensors", iota(&[2, 3, 4])),
                ("ref_tensors", iota(&[1, 5, 6])),
                ("begins", int(0)),
                ("begins", int(-2)),
                ("ends", int(2)),
                ("ends", int(0)),
                ("end_masks", flag(masks[0])),
                ("end_masks", flag(masks[1])),
            ]
        };
        check("reshape_like", Ios16, &like(&[180], [false, true]), &[iota(&[2, 3, 5, 6])]);
        check("reshape_like", Ios17, &like(&[6], [false, false]), &[iota(&[2, 3])]);
        refuse("reshape_like", Ios16, &like(&[181], [false, true]), "shape-mismatch");
        refuse("reshape_like", Ios16, &like(&[180], [false, true])[..8], "shape-mismatch");
    }

    #[track_caller]
    fn with_axes(op: &str, from: &[usize], axes: &[i32], to: &[usize]) {
        check(op, Ios15, &[("x", iota(from)), ("axes", vec32(axes))], &[iota(to)]);
    }

    #[test]
    fn expand_dims_counts_axes_in_the_result() {
        with_axes("expand_dims", &[2, 3], &[0], &[1, 2, 3]);
        with_axes("expand_dims", &[2, 3], &[-1], &[2, 3, 1]);
        with_axes("expand_dims", &[2, 3], &[3, 0], &[1, 2, 3, 1]);
        with_axes("expand_dims", &[2, 3], &[-3, 1], &[2, 1, 1, 3]);
        with_axes("expand_dims", &[], &[0], &[1]);
        with_axes("expand_dims", &[0], &[-2], &[1, 0]);
        refuse("expand_dims", Ios15, &[("x", iota(&[2])), ("axes", vec32(&[2]))], "index-out-of-range");
        refuse("expand_dims", Ios15, &[("x", iota(&[2])), ("axes", vec32(&[2, 2]))], "bad-value");
        refuse("expand_dims", Ios15, &[("x", iota(&[2])), ("axes", vec32(&[0; 64]))], "wrong-rank");
    }

    #[test]
    fn squeeze_drops_only_dimensions_of_one() {
        with_axes("squeeze", &[1, 2, 1, 3], &[0], &[2, 1, 3]);
        with_axes("squeeze", &[1, 2, 1, 3], &[-2, 0], &[2, 3]);
        with_axes("squeeze", &[2, 3], &[0], &[2, 3]);
        with_axes("squeeze", &[1], &[0], &[]);
        refuse("squeeze", Ios15, &[("x", iota(&[1])), ("axes", vec32(&[1]))], "index-out-of-range");
        check("squeeze", Ios17, &[("x", iota(&[1, 0, 1]))], &[iota(&[0])]);
        check(
            "squeeze",
            Ios17,
            &[("x", ints(DType::Bool, &[1, 2], &[1, 0]))],
            &[ints(DType::Bool, &[2], &[1, 0])],
        );
    }

    #[test]
    fn flatten2d_cuts_the_shape_in_two() {
        let flat = |from: &[usize], axis, to: &[usize]| {
            check("flatten2d", Ios15, &[("x", iota(from)), ("axis", int(axis))], &[iota(to)]);
        };
        flat(&[3], -1, &[1, 3]);
        flat(&[3], 1, &[3, 1]);
        flat(&[4, 3], -1, &[4, 3]);
        flat(&[2, 3, 2], -1, &[6, 2]);
        flat(&[5, 5, 2], 1, &[5, 10]);
        flat(&[], 0, &[1, 1]);
        refuse("flatten2d", Ios15, &[("x", iota(&[2])), ("axis", int(2))], "index-out-of-range");
    }

    #[test]
    fn shape_and_identity() {
        check("shape", Ios15, &[("x", iota(&[2, 0, 5]))], &[vec32(&[2, 0, 5])]);
        check("shape", Ios15, &[("x", iota(&[]))], &[vec32(&[])]);
        check("identity", Ios15, &[("x", texts(&[2], &["a", "b"]))], &[texts(&[2], &["a", "b"])]);
    }
}
