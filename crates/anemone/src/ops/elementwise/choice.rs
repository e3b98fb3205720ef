//! Ops that choose, bound or convert elements.

use super::unary::{map_either, parametric, same_as_x_with_scalars};
use super::{fast, larger};
use crate::ops::loops::{broadcast_of, check_scalar, ints, number, same_as_x, shape_of, stretched, walk};
use crate::ops::row::*;

pub(super) const LOGICAL_NOT: Op = Op {
    infer: same_as_x,
    fast: Fast::Prepared(fast::not),
    ..parametric(
        "logical_not",
        "whether x is false",
        &[edition(Ios15, &[tensor("x", BOOL)])],
        Tolerance::Exact,
        |args, types| {
            let y: Vec<bool> = ints(args, "x")?.into_iter().map(|x| x == 0).collect();
            Ok(vec![Tensor::from_bools(&shape_of(&types[0]), &y)?.into()])
        },
    )
};

pub(super) const THRESHOLD: Op = parametric(
    "threshold",
    "the larger of x and alpha",
    &[edition(Ios15, &[tensor("x", NUMS).domain('T'), tensor("alpha", NUMS).domain('T').constant()])],
    Tolerance::Exact,
    |args, types| {
        let alpha = number(args, "alpha")?;
        // A whole number of 32 bits is exact as a float.
        map_either(args, types, |x| larger(x, alpha), |x| x.max(alpha as i64))
    },
);

/// As of iOS 17 the bounds must enclose something.
pub(super) fn infer_clip(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let types = same_as_x_with_scalars(args)?;
    match (args.float("alpha"), args.float("beta")) {
        (Some(alpha), Some(beta)) if alpha >= beta && args.edition.since >= Ios17 => Err(Fault::of(
            "alpha",
            &codes::BAD_VALUE,
            format!("`alpha` of `clip` is {alpha}, which is not less than `beta`, {beta}"),
        )
        .against("beta")
        .help("give the lower bound as `alpha` and the upper as `beta`")),
        _ => Ok(types),
    }
}

const CAST_15: &[Parameter] = &[tensor("x", NUMS_BOOL).domain('T'), tensor("dtype", STR).constant()];
const CAST_17: &[Parameter] = &[
    tensor("x", &[Fp16, Fp32, Int8, UInt8, Int16, UInt16, Int32, DType::Bool]).domain('T'),
    tensor("dtype", STR).constant(),
];

pub(super) const CAST: Op = Op {
    infer: infer_cast,
    fast: Fast::Prepared(fast::cast),
    ..parametric(
        "cast",
        "x in another dtype",
        &[edition(Ios15, CAST_15), edition(Ios17, CAST_17)],
        Tolerance::Exact,
        compute_cast,
    )
};

fn infer_cast(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    check_scalar(args, "dtype")?;
    let x = args.ty("x")?;
    args.tensor("dtype")?;
    let name = args.str("dtype").unwrap_or_default();
    // An edition casts between the dtypes that it takes.
    let dtypes = args.edition.params.first().map_or(DTypes::ANY, |p| p.dtypes);
    match DType::from_name(name).filter(|&d| dtypes.contains(d)) {
        Some(dtype) => Ok(vec![Type::tensor(dtype, x.shape.clone())]),
        None => Err(Fault::of("dtype", &codes::BAD_VALUE, format!("`cast` cannot give dtype `{name}`"))
            .help(format!("use {dtypes}"))),
    }
}

/// Floats are cut toward zero and held to the range of a whole-number dtype; whole numbers wrap around.
fn compute_cast(args: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    if args.ty("x")?.dtype.is_float() {
        super::map(args, types, |x| x)
    } else {
        super::unary::map_ints(args, types, |x| x)
    }
}

pub(super) const SELECT: Op = Op {
    infer: infer_select,
    fast: Fast::Prepared(fast::select),
    ..parametric(
        "select",
        "a where cond is true, b elsewhere",
        &[edition(
            Ios15,
            &[tensor("cond", BOOL), tensor("a", NUMS_BOOL).domain('T'), tensor("b", NUMS_BOOL).domain('T')],
        )],
        Tolerance::Exact,
        compute_select,
    )
};

fn infer_select(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    Ok(vec![Type::tensor(args.ty("a")?.dtype, broadcast_of(args, &["cond", "a", "b"])?)])
}

/// Moves elements as they are: a NaN keeps its bits.
fn compute_select(args: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    let shape = shape_of(&types[0]);
    let cond = ints(args, "cond")?;
    let (a, b) = (args.tensor("a")?, args.tensor("b")?);
    let size = a.dtype().bits() / 8;
    if a.dtype() != b.dtype() || size == 0 {
        let message = format!(
            "`a` and `b` of `select` must have one numeric dtype, not {} and {}",
            a.dtype(),
            b.dtype()
        );
        return Err(Fault::of("b", &codes::DTYPE_MISMATCH, message).against("a"));
    }
    let over = |shape_of_one: &[usize]| stretched(shape_of_one, &shape);
    let mut out = Tensor::zeros(a.dtype(), &shape)?;
    let mut to = out.bytes_mut().unwrap_or_default().chunks_exact_mut(size);
    walk(&shape, [&over(args.tensor("cond")?.shape()), &over(a.shape()), &over(b.shape())], |[c, i, j]| {
        let (from, at) = if cond[c] != 0 { (a, i) } else { (b, j) };
        if let Some(to) = to.next() {
            to.copy_from_slice(&from.bytes()[at * size..(at + 1) * size]);
        }
    });
    Ok(vec![out.into()])
}
