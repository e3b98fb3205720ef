//! Ops that put tensors together, cut them apart and repeat them.

use std::cell::Cell;

use anemone_kernels::layout;

use super::fast::{Ready, dims, for_bits, ready};
use super::loops::shape_of;
use super::moves::{
    View, ViewCopy, bad_value, dims_of, exact, expect_length, joined, known_axis, known_int, known_ints,
    offsets, one, result, strides, tensor_type, viewed,
};
use super::row::*;
use crate::mil::op::recycled;

const CONCAT: &[Edition] = &[edition(
    Ios15,
    &[
        Parameter::new("values", Kind::Tuple, DTypes::ANY),
        tensor("axis", I32).constant(),
        tensor("interleave", BOOL).constant().or(Bool(false)),
    ],
)];

const STACK: &[Edition] =
    &[edition(Ios15, &[Parameter::new("values", Kind::Tuple, DTypes::ANY), tensor("axis", I32).constant()])];

const SPLIT: &[Edition] = &[edition(
    Ios15,
    &[
        tensor("x", NUMS_BOOL).domain('T'),
        tensor("num_splits", I32).constant().or(Absent),
        tensor("split_sizes", I32).constant().or(Absent),
        tensor("axis", I32).constant(),
    ],
)];

const TILE: &[Edition] = &[edition(Ios15, &[tensor("x", NUMS_BOOL).domain('T'), tensor("reps", I32)])];

/// The most results of a split. Real programs have tens.
const MAX_SPLITS: i64 = 1 << 16;

/// The types of `values`, of which there is at least one, and which have one dtype and rank.
fn value_types<'a>(args: &Args<'a>) -> Result<Vec<&'a TensorType>, Fault> {
    let name = args.op.name;
    let types = args.many("values").iter().map(|v| v.ty.as_tensor()).collect::<Option<Vec<_>>>().ok_or_else(
        || Fault::of("values", &codes::WRONG_KIND, format!("`values` of `{name}` must be tensors")),
    )?;
    let Some(first) = types.first() else {
        return Err(bad_value(args, "values", "there are none"));
    };
    for t in &types {
        if t.dtype != first.dtype {
            return Err(Fault::of(
                "values",
                &codes::DTYPE_MISMATCH,
                format!("`values` of `{name}` are of dtypes {} and {}", first.dtype, t.dtype),
            )
            .help("cast them to one dtype first"));
        }
        if t.rank() != first.rank() {
            return Err(Fault::of(
                "values",
                &codes::WRONG_RANK,
                format!("`values` of `{name}` have {} and {} dimensions", first.rank(), t.rank()),
            ));
        }
    }
    Ok(types)
}

/// The shapes of `values`, dimension for dimension the known ones; only along `free` may they differ.
fn agreed(args: &Args<'_>, types: &[&TensorType], free: Option<usize>) -> Result<Vec<Dim>, Fault> {
    let mut dims = types[0].shape.to_vec();
    for t in types {
        for (i, (dim, &new)) in dims.iter_mut().zip(t.shape.iter()).enumerate() {
            if Some(i) == free {
                continue;
            }
            if !dim.fits(new) {
                return Err(Fault::of(
                    "values",
                    &codes::SHAPE_MISMATCH,
                    format!(
                        "`values` of `{}` have shapes {} and {}, which differ along axis {i}",
                        args.op.name, types[0].shape, t.shape
                    ),
                ));
            }
            *dim = dim.or(new);
        }
    }
    Ok(dims)
}

/// The tensors of `values`.
fn values<'a>(args: &Args<'a>) -> Result<Vec<&'a Tensor>, Fault> {
    let all = args.many("values").iter().map(|v| v.value.and_then(Datum::as_tensor)).collect::<Option<_>>();
    all.ok_or_else(|| bad_value(args, "values", "they must be known when the op runs"))
}

fn infer_concat(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let types = value_types(args)?;
    let axis = known_int(args, "axis")?;
    let interleave = known_int(args, "interleave")? != 0;
    // Scalars are joined to a vector.
    if types[0].rank() == 0 {
        return result(args, types[0].dtype, [types.len()].into_iter().collect());
    }
    let axis = args.normal_axis("axis", axis, types[0].rank())?;
    let mut dims = agreed(args, &types, (!interleave).then_some(axis))?;
    let lengths = types.iter().map(|t| if interleave { dims[axis] } else { t.shape[axis] });
    let sum = lengths.map(Dim::known).try_fold(0u64, |sum, n| n.map(|n| sum.saturating_add(n)));
    dims[axis] = sum.map_or(Dim::Unknown, Dim::Known);
    result(args, types[0].dtype, dims.into_iter().collect())
}

fn compute_concat(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let types = infer_concat(args)?;
    let shape = shape_of(&types[0]);
    let parts = values(args)?;
    let all = joined(&parts)?;
    if parts[0].rank() == 0 {
        return one(all);
    }
    let axis = known_axis(args, "axis", shape.len())?;
    // A part is, for each place before the axis, a run of elements; `starts` says where the runs of each part begin.
    let runs: Vec<usize> = parts.iter().map(|t| t.shape()[axis..].iter().product()).collect();
    let starts: Vec<usize> = parts
        .iter()
        .scan(0, |sum, t| {
            let start = *sum;
            *sum += t.len();
            Some(start)
        })
        .collect();
    let before: usize = shape[..axis].iter().product();
    let mut from: Vec<std::ops::Range<usize>> = Vec::new();
    if known_int(args, "interleave")? != 0 {
        let inner: usize = shape[axis + 1..].iter().product();
        for outer in 0..before * parts[0].shape()[axis] {
            from.extend(starts.iter().map(|start| start + outer * inner..start + (outer + 1) * inner));
        }
    } else {
        for outer in 0..before {
            from.extend(
                starts.iter().zip(&runs).map(|(start, n)| start + outer * n..start + (outer + 1) * n),
            );
        }
    }
    one(all.pick(&shape, from.into_iter().flatten())?)
}

fn stack_axis(args: &Args<'_>, rank: usize) -> Result<usize, Fault> {
    known_axis(args, "axis", rank + 1)
}

fn infer_stack(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let types = value_types(args)?;
    let mut dims = agreed(args, &types, None)?;
    dims.insert(stack_axis(args, dims.len())?, types.len().into());
    result(args, types[0].dtype, dims.into_iter().collect())
}

fn compute_stack(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let types = infer_stack(args)?;
    let shape = shape_of(&types[0]);
    let parts = values(args)?;
    let mut steps = strides(parts[0].shape());
    steps.insert(stack_axis(args, parts[0].rank())?, parts[0].len() as isize);
    one(joined(&parts)?.pick(&shape, offsets(0, &shape, &steps))?)
}

/// The axis, and the length of each result along it.
fn pieces(args: &Args<'_>, x: &Shape) -> Result<(usize, Vec<Dim>), Fault> {
    let axis = known_axis(args, "axis", x.rank())?;
    let count = if args.has("num_splits") { Some(known_int(args, "num_splits")?) } else { None };
    if let Some(n) = count
        && !(1..=MAX_SPLITS).contains(&n)
    {
        return Err(bad_value(args, "num_splits", format_args!("{n} is not between 1 and {MAX_SPLITS}")));
    }
    if args.has("split_sizes") {
        let sizes = known_ints(args, "split_sizes")?;
        if sizes.len() as i64 > MAX_SPLITS || sizes.is_empty() {
            return Err(bad_value(args, "split_sizes", format_args!("it has {} numbers", sizes.len())));
        }
        if count.is_some_and(|n| n != sizes.len() as i64) {
            return Err(Fault::of(
                "split_sizes",
                &codes::SHAPE_MISMATCH,
                format!(
                    "`split_sizes` of `split` has {} numbers and `num_splits` says otherwise",
                    sizes.len()
                ),
            )
            .against("num_splits"));
        }
        let sizes = dims_of(args, "split_sizes", &sizes)?;
        let sum = sizes.iter().filter_map(|d| d.known()).fold(0u64, u64::saturating_add);
        if !x[axis].fits(Dim::Known(sum)) {
            return Err(Fault::of(
                "split_sizes",
                &codes::SHAPE_MISMATCH,
                format!("`split_sizes` of `split` add up to {sum}, and the dimension is {}", x[axis]),
            )
            .against("x"));
        }
        return Ok((axis, sizes.to_vec()));
    }
    match count {
        None => Err(Fault::of(
            "num_splits",
            &codes::MISSING_PARAMETER,
            "`split` needs `num_splits` or `split_sizes`",
        )),
        Some(n) => match x[axis] {
            Dim::Known(d) if d % n as u64 != 0 => Err(Fault::of(
                "num_splits",
                &codes::SHAPE_MISMATCH,
                format!("the dimension of {d} cannot be split into {n} equal parts"),
            )
            .against("x")
            .help("give `split_sizes`")),
            dim => Ok((axis, vec![dim.map(|d| d / n as u64); n as usize])),
        },
    }
}

fn infer_split(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    let (axis, sizes) = pieces(args, &x.shape)?;
    let piece = |size: Dim| {
        let mut shape = x.shape.clone();
        shape[axis] = size;
        tensor_type(args, x.dtype, shape)
    };
    sizes.into_iter().map(piece).collect()
}

/// The parts of `x`.
fn parts(args: &Args<'_>) -> Result<Vec<View>, Fault> {
    let x = dims(args, "x")?;
    let (axis, sizes) = pieces(args, &Shape::from(&x[..]))?;
    let steps = strides(&x);
    let mut start = 0;
    let mut results = Vec::with_capacity(sizes.len());
    for size in sizes {
        let mut shape = x.clone();
        shape[axis] = size.known().unwrap_or(0) as usize;
        let next = start + shape[axis] * steps[axis] as usize;
        // Behind the last part there is no element that an empty one could start at.
        let first = if shape.contains(&0) { 0 } else { start };
        results.push(View { dims: shape.clone(), shape, start: first, steps: steps.clone() });
        start = next;
    }
    Ok(results)
}

fn compute_split(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let x = args.tensor("x")?;
    parts(args)?.iter().map(|part| part.picked(x).map(Datum::from)).collect()
}

fn fast_split(args: &Args<'_>, _: &[Type]) -> Ready {
    let (dtype, x) = (args.ty("x")?.dtype, args.reader("x")?);
    let parts: Vec<ViewCopy> = parts(args)?.into_iter().map(View::copy).collect();
    for_bits!(dtype, E => ready(move |run| {
        let (x, threads) = (run.read::<E>(&x), run.threads);
        run.write_all().zip(&parts).for_each(|(to, part)| part.run(threads, to, x));
    }))
}

thread_local! {
    /// Room for the tensors that are joined, which a thread keeps.
    static ROOM: Cell<Vec<(&'static [u8], usize)>> = const { Cell::new(Vec::new()) };
}

/// Tensors of whole bytes, joined row by row: a row of each of them, whose dimensions are those from `axis` on.
fn joined_rows(args: &Args<'_>, axis: usize) -> Ready {
    let types = value_types(args)?;
    let row = |ty: &TensorType| ty.shape.known().unwrap_or_default()[axis..].iter().product();
    let parts: Vec<(Reader, usize)> = args.readers("values").zip(types.iter().map(|ty| row(ty))).collect();
    for_bits!(types[0].dtype, E => ready(move |run| {
        let mut rows: Vec<(&[E], usize)> = recycled(ROOM.take());
        rows.extend(parts.iter().map(|(part, n)| (run.read(part), *n)));
        layout::join(run.threads, run.write(0), &rows);
        ROOM.set(recycled(rows));
    }))
}

fn fast_concat(args: &Args<'_>, types: &[Type]) -> Ready {
    if value_types(args)?[0].rank() == 0 {
        return joined_rows(args, 0);
    }
    let axis = known_axis(args, "axis", shape_of(&types[0]).len())?;
    // Parts that take turns do so with each place along the axis.
    let turns = usize::from(known_int(args, "interleave")? != 0);
    joined_rows(args, axis + turns)
}

fn fast_stack(args: &Args<'_>, _: &[Type]) -> Ready {
    joined_rows(args, stack_axis(args, value_types(args)?[0].rank())?)
}

fn infer_tile(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    expect_length(args, "reps", x.rank())?;
    let Some(reps) = args.ints("reps") else {
        return result(args, x.dtype, Shape::unknown(x.rank()));
    };
    let tiled = |(&dim, &n): (&Dim, &i64)| match n {
        1 => Ok(dim),
        n if n > 0 => Ok(dim.map(|d| d.saturating_mul(n as u64))),
        n => Err(bad_value(args, "reps", format_args!("{n} is less than 1"))),
    };
    result(args, x.dtype, x.shape.iter().zip(&reps).map(tiled).collect::<Result<_, _>>()?)
}

fn tiled(args: &Args<'_>) -> Result<View, Fault> {
    let x = dims(args, "x")?;
    let reps = known_ints(args, "reps")?;
    let types = infer_tile(args)?;
    // Each dimension becomes two: the repetitions, which do not move, and the elements.
    let (mut dims, mut steps) = (Vec::new(), Vec::new());
    for ((&n, &step), reps) in x.iter().zip(&strides(&x)).zip(reps) {
        dims.extend([reps as usize, n]);
        steps.extend([0, step]);
    }
    Ok(View { shape: shape_of(&types[0]), start: 0, dims, steps })
}

const ONE: Results = Results::Exactly(1);

pub(super) static OPS: &[Op] = &[
    Op {
        fast: Fast::Prepared(fast_concat),
        ..exact("concat", "tensors joined along an axis", CONCAT, ONE, infer_concat, compute_concat)
    },
    Op {
        fast: Fast::Prepared(fast_stack),
        ..exact("stack", "tensors joined along a new axis", STACK, ONE, infer_stack, compute_stack)
    },
    Op {
        fast: Fast::Viewing(fast_split, |args| parts(args).map(Some)),
        ..exact("split", "x cut along an axis", SPLIT, Results::Inferred, infer_split, compute_split)
    },
    viewed!("tile", "x repeated along its axes", TILE, infer_tile, tiled),
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn from(shape: &[usize], first: i32) -> Datum {
        let n = shape.iter().product::<usize>() as i32;
        i32s(shape, &(first..first + n).collect::<Vec<_>>())
    }

    #[track_caller]
    fn concats(parts: &[Datum], axis: i32, interleave: bool, expected: Datum) {
        let mut args: Vec<(&str, Datum)> = parts.iter().map(|p| ("values", p.clone())).collect();
        args.extend([("axis", int(axis)), ("interleave", flag(interleave))]);
        check("concat", Ios15, &args, &[expected]);
    }

    #[test]
    fn concat_joins_along_an_axis() {
        let (a, b) = (from(&[2, 2], 0), from(&[2, 1], 10));
        concats(&[a.clone(), b.clone()], 1, false, i32s(&[2, 3], &[0, 1, 10, 2, 3, 11]));
        concats(&[a.clone(), b], -1, false, i32s(&[2, 3], &[0, 1, 10, 2, 3, 11]));
        concats(&[a.clone(), from(&[1, 2], 4)], 0, false, from(&[3, 2], 0));
        concats(&[a.clone(), from(&[0, 2], 4)], 0, false, a.clone());
        concats(std::slice::from_ref(&a), 0, false, a.clone());
        concats(&[int(7), int(8)], 0, false, vec32(&[7, 8]));
        concats(&[from(&[0, 2], 0), from(&[0, 3], 0)], 1, false, from(&[0, 5], 0));
        concats(&[texts(&[1], &["a"]), texts(&[1], &["b"])], 0, false, texts(&[2], &["a", "b"]));
        let (a, b) = (ints(UInt3, &[3], &[1, 2, 3]), ints(UInt3, &[2], &[7, 0]));
        concats(&[a, b], 0, false, ints(UInt3, &[5], &[1, 2, 3, 7, 0]));
    }

    #[test]
    fn concat_interleaves() {
        // np.stack([a, b], axis + 1).reshape(...)
        let (a, b) = (from(&[3, 2], 1), from(&[3, 2], 7));
        let rows = i32s(&[6, 2], &[1, 2, 7, 8, 3, 4, 9, 10, 5, 6, 11, 12]);
        concats(&[a.clone(), b.clone()], 0, true, rows);
        concats(&[a, b], 1, true, i32s(&[3, 4], &[1, 7, 2, 8, 3, 9, 4, 10, 5, 11, 6, 12]));
        concats(&[from(&[2, 0], 0), from(&[2, 0], 0)], 0, true, from(&[4, 0], 0));
    }

    #[test]
    fn concat_refuses_what_does_not_fit() {
        let no = |parts: &[Datum], axis, interleave, code| {
            let mut args: Vec<(&str, Datum)> = parts.iter().map(|p| ("values", p.clone())).collect();
            args.extend([("axis", int(axis)), ("interleave", flag(interleave))]);
            refuse("concat", Ios15, &args, code);
        };
        no(&[iota(&[2, 2]), iota(&[3, 2])], 1, false, "shape-mismatch");
        no(&[iota(&[2, 2]), iota(&[3, 2])], 0, true, "shape-mismatch");
        no(&[iota(&[2]), iota(&[2, 2])], 0, false, "wrong-rank");
        no(&[iota(&[2]), vec32(&[1, 2])], 0, false, "dtype-mismatch");
        no(&[iota(&[2])], 1, false, "index-out-of-range");
        no(&[], 0, false, "bad-value");
    }

    #[test]
    fn stack_makes_an_axis() {
        let stacks = |axis, expected: Datum| {
            let args = [("values", from(&[2, 2], 0)), ("values", from(&[2, 2], 4)), ("axis", int(axis))];
            check("stack", Ios15, &args, &[expected]);
        };
        stacks(0, from(&[2, 2, 2], 0));
        stacks(1, i32s(&[2, 2, 2], &[0, 1, 4, 5, 2, 3, 6, 7]));
        stacks(-1, i32s(&[2, 2, 2], &[0, 4, 1, 5, 2, 6, 3, 7]));
        check("stack", Ios15, &[("values", int(1)), ("values", int(2)), ("axis", int(0))], &[vec32(&[1, 2])]);
        let uneven = [("values", iota(&[2])), ("values", iota(&[3])), ("axis", int(0))];
        refuse("stack", Ios15, &uneven, "shape-mismatch");
        refuse("stack", Ios15, &[("values", iota(&[2])), ("axis", int(2))], "index-out-of-range");
    }

    #[test]
    fn split_cuts_along_an_axis() {
        let x = ("x", from(&[2, 3], 0));
        let args = [x.clone(), ("num_splits", int(3)), ("axis", int(1))];
        check(
            "split",
            Ios15,
            &args,
            &[i32s(&[2, 1], &[0, 3]), i32s(&[2, 1], &[1, 4]), i32s(&[2, 1], &[2, 5])],
        );
        let args = [x.clone(), ("split_sizes", vec32(&[1, 2])), ("axis", int(-1))];
        check("split", Ios15, &args, &[i32s(&[2, 1], &[0, 3]), i32s(&[2, 2], &[1, 2, 4, 5])]);
        let args = [x.clone(), ("split_sizes", vec32(&[0, 2])), ("num_splits", int(2)), ("axis", int(0))];
        check("split", Ios15, &args, &[from(&[0, 3], 0), from(&[2, 3], 0)]);
        let no = |line: &[(&'static str, Datum)], code| {
            refuse("split", Ios15, &[&[x.clone(), ("axis", int(1))], line].concat(), code);
        };
        no(&[("num_splits", int(2))], "shape-mismatch");
        no(&[("num_splits", int(0))], "bad-value");
        no(&[("num_splits", int(i32::MAX))], "bad-value");
        no(&[("split_sizes", vec32(&[1, 1]))], "shape-mismatch");
        no(&[("split_sizes", vec32(&[4, -1]))], "bad-value");
        no(&[("split_sizes", vec32(&[1, 2])), ("num_splits", int(3))], "shape-mismatch");
        no(&[], "missing-parameter");
    }

    #[test]
    fn tile_repeats() {
        let tiles = |x: Datum, reps: &[i32], expected: Datum| {
            check("tile", Ios15, &[("x", x), ("reps", vec32(reps))], &[expected]);
        };
        // np.tile
        tiles(from(&[2, 2], 0), &[1, 2], i32s(&[2, 4], &[0, 1, 0, 1, 2, 3, 2, 3]));
        tiles(from(&[2, 1], 0), &[2, 1], i32s(&[4, 1], &[0, 1, 0, 1]));
        tiles(from(&[0, 2], 0), &[3, 2], from(&[0, 4], 0));
        tiles(ints(DType::Bool, &[2], &[1, 0]), &[2], ints(DType::Bool, &[4], &[1, 0, 1, 0]));
        let no =
            |reps: &[i32], code| refuse("tile", Ios15, &[("x", iota(&[2, 2])), ("reps", vec32(reps))], code);
        no(&[1, 0], "bad-value");
        no(&[1], "shape-mismatch");
        no(&[i32::MAX, i32::MAX], "tensor-too-large");
    }
}
