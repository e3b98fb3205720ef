//! Ops that take elements from where indices say; and the maps of places, which scattering walks the other way.
//!
//! Negative indices count from the back, unless `validate_indices` forbids them. An index outside the tensor is always
//! refused: since iOS 17 Core ML leaves it undefined, and nothing is gained by a guess.

mod places;

pub(super) use self::places::{Places, Rule, Tuples};

use anemone_kernels::layout;

use super::fast::{Ready, dims, for_bits, ready_if};
use super::moves::{around, as_declared, bad_value, exact, known_axis, one, result};
use super::row::*;

const INDICES16: &[DType] = &[Int32, UInt16, Int16];
const INDICES17: &[DType] = &[Int32, Int16, UInt16, Int8, UInt8];

const GATHER: &[Edition] = &[
    edition(
        Ios15,
        &[tensor("x", NUMS).domain('T'), tensor("indices", I32), tensor("axis", I32).constant().or(Int(0))],
    ),
    edition(
        Ios16,
        &[
            tensor("x", NUMS).domain('T'),
            tensor("indices", INDICES16).domain('I'),
            tensor("axis", I32).constant().or(Int(0)),
            tensor("batch_dims", I32).constant().or(Int(0)),
        ],
    ),
    edition(
        Ios17,
        &[
            tensor("x", NUMS17).domain('T'),
            tensor("indices", INDICES17).domain('I'),
            tensor("axis", I32).constant().or(Int(0)),
            tensor("batch_dims", I32).constant().or(Int(0)),
            tensor("validate_indices", BOOL).constant().or(Bool(false)),
        ],
    ),
];

const GATHER_ALONG_AXIS: &[Edition] = &[
    edition(
        Ios15,
        &[tensor("x", NUMS).domain('T'), tensor("indices", I32), tensor("axis", I32).constant().or(Int(0))],
    ),
    edition(
        Ios16,
        &[
            tensor("x", NUMS).domain('T'),
            tensor("indices", INDICES16).domain('I'),
            tensor("axis", I32).constant().or(Int(0)),
        ],
    ),
    edition(
        Ios17,
        &[
            tensor("x", NUMS17).domain('T'),
            tensor("indices", INDICES17).domain('I'),
            tensor("axis", I32).constant().or(Int(0)),
            tensor("validate_indices", BOOL).constant().or(Bool(false)),
        ],
    ),
];

const GATHER_ND: &[Edition] = &[
    edition(Ios15, &[tensor("x", NUMS).domain('T'), tensor("indices", I32)]),
    edition(
        Ios16,
        &[
            tensor("x", NUMS).domain('T'),
            tensor("indices", INDICES16).domain('I'),
            tensor("batch_dims", I32).constant().or(Int(0)),
        ],
    ),
    edition(
        Ios17,
        &[
            tensor("x", NUMS17).domain('T'),
            tensor("indices", INDICES17).domain('I'),
            tensor("batch_dims", I32).constant().or(Int(0)),
            tensor("validate_indices", BOOL).constant().or(Bool(false)),
        ],
    ),
];

/// The numbers of `indices` as places along a dimension of `n` elements.
pub(super) fn resolved(args: &Args<'_>, indices: &[i64], n: usize) -> Result<Vec<usize>, Fault> {
    let rule = Rule::of(args);
    indices.iter().map(|&i| rule.place(i, n)).collect()
}

/// Refuses, before the program runs, constant indices that lie outside a known dimension.
pub(super) fn check_indices(args: &Args<'_>, dim: Dim) -> Result<(), Fault> {
    if let (Some(indices), Dim::Known(n)) = (args.ints("indices"), dim) {
        resolved(args, &indices, usize::try_from(n).unwrap_or(usize::MAX))?;
    }
    Ok(())
}

/// The number of leading dimensions that `x` and `indices` share, as many as which they must agree in.
fn batch_dims(args: &Args<'_>, x: &Shape, indices: &Shape, most: usize) -> Result<usize, Fault> {
    let given = args.int("batch_dims").unwrap_or(0);
    let Some(batch) = usize::try_from(given).ok().filter(|&b| b <= most) else {
        return Err(bad_value(args, "batch_dims", format_args!("{given} is not between 0 and {most}")));
    };
    if !x[..batch].iter().zip(&indices[..batch]).all(|(a, b)| a.fits(*b)) {
        return Err(Fault::of(
            "indices",
            &codes::SHAPE_MISMATCH,
            format!(
                "`indices` of shape {indices} and `x` of shape {x} must agree in {batch} dimensions of batches"
            ),
        )
        .against("x"));
    }
    Ok(batch)
}

/// Where slices along an axis lie: for each place before the axis, index, and place behind it.
///
/// With batches, the first dimensions of `indices` are those of the tensor.
pub(super) fn slice_places(
    shape: &[usize],
    axis: usize,
    batch: usize,
    indices: &[usize],
) -> impl Iterator<Item = usize> {
    let count = |dims: &[usize]| dims.iter().product::<usize>();
    let (outer, n, inner) = (count(&shape[..axis]), shape[axis], count(&shape[axis + 1..]));
    let (batches, between) = (count(&shape[..batch]), count(&shape[batch..axis]));
    let each = indices.len().checked_div(batches).unwrap_or(0);
    (0..outer * each * inner).map(move |at| {
        let (outer, k, i) = (at / inner / each, at / inner % each, at % inner);
        (outer * n + indices[outer / between * each + k]) * inner + i
    })
}

/// Where the elements lie that indices name one by one along an axis; `indices` has the other dimensions of `shape`.
pub(super) fn places_along(
    shape: &[usize],
    axis: usize,
    length: usize,
    indices: &[usize],
) -> impl Iterator<Item = usize> {
    let (n, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
    indices.iter().enumerate().map(move |(at, index)| (at / inner / length * n + index) * inner + at % inner)
}

/// Where the elements of these slices lie.
pub(super) fn tuple_places(
    args: &Args<'_>,
    shape: &[usize],
    batch: usize,
    indices: &Tensor,
) -> Result<impl Iterator<Item = usize>, Fault> {
    let tuples = Tuples::of(args, shape, batch, indices.shape())?;
    let numbers = indices.to_i64s();
    let starts = (0..tuples.count).map(|t| tuples.start(t, &numbers)).collect::<Result<Vec<_>, _>>()?;
    Ok(starts.into_iter().flat_map(move |start| start..start + tuples.run))
}

pub(super) fn no_tuple(args: &Args<'_>) -> Fault {
    Fault::of(
        "indices",
        &codes::WRONG_RANK,
        format!("`indices` of `{}` must have a last dimension, which is the tuple of indices", args.op.name),
    )
}

/// Refuses, before the program runs, tuples of constant indices that lie outside known dimensions.
pub(super) fn check_tuples(args: &Args<'_>, dims: &[Dim]) -> Result<(), Fault> {
    let rule = Rule::of(args);
    for (at, index) in args.ints("indices").unwrap_or_default().into_iter().enumerate() {
        if let Some(Dim::Known(n)) = dims.get(at % dims.len().max(1)) {
            rule.place(index, usize::try_from(*n).unwrap_or(usize::MAX))?;
        }
    }
    Ok(())
}

/// The axis, and the number of dimensions of batches.
fn gathered(args: &Args<'_>, x: &Shape, indices: &Shape) -> Result<(usize, usize), Fault> {
    let axis = known_axis(args, "axis", x.rank())?;
    let batch = batch_dims(args, x, indices, axis.min(indices.rank()))?;
    Ok((axis, batch))
}

fn infer_gather(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let (x, indices) = (args.ty("x")?, args.ty("indices")?);
    let (axis, batch) = gathered(args, &x.shape, &indices.shape)?;
    check_indices(args, x.shape[axis])?;
    let shape = x.shape[..axis].iter().chain(&indices.shape[batch..]).chain(&x.shape[axis + 1..]);
    result(args, x.dtype, shape.copied().collect())
}

fn compute_gather(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let (x, indices) = (args.tensor("x")?, args.tensor("indices")?);
    let (axis, batch) = gathered(args, &Shape::from(x.shape()), &Shape::from(indices.shape()))?;
    let places = resolved(args, &indices.to_i64s(), x.shape()[axis])?;
    let (before, behind) = (&x.shape()[..axis], &x.shape()[axis + 1..]);
    let shape = [before, &indices.shape()[batch..], behind].concat();
    one(x.pick(&shape, slice_places(x.shape(), axis, batch, &places))?)
}

/// Slices of elements of whole bytes.
fn fast_gather(args: &Args<'_>, _: &[Type]) -> Ready {
    let (dtype, shape, x) = (args.ty("x")?.dtype, dims(args, "x")?, args.reader("x")?);
    let (axis, batch) = gathered(args, &args.ty("x")?.shape, &args.ty("indices")?.shape)?;
    let sizes @ [_, n, inner] = around(&shape, axis);
    if batch == 0 {
        let rows = Places::along(args, n)?;
        return for_bits!(dtype, E => ready_if(move |run| {
            let (x, rows) = (run.read::<E>(&x), rows.read(run)?);
            layout::look_up(run.threads, run.write(0), x, &rows, sizes);
            Ok(())
        }));
    }
    let starts = Places::of_slices(args, shape, axis, batch)?;
    for_bits!(dtype, E => ready_if(move |run| {
        let (x, starts) = (run.read::<E>(&x), starts.read(run)?);
        layout::runs(run.threads, run.write(0), x, inner, |i| Some(starts[i]));
        Ok(())
    }))
}

/// Refuses indices that have not the dimensions of `data`, but for one axis.
pub(super) fn check_along(
    args: &Args<'_>,
    param: &'static str,
    data: &Shape,
    indices: &Shape,
    axis: usize,
) -> Result<(), Fault> {
    if data.rank() != indices.rank() {
        return Err(Fault::of(
            "indices",
            &codes::WRONG_RANK,
            format!(
                "`indices` of `{}` has {} dimensions and `{param}` has {}",
                args.op.name,
                indices.rank(),
                data.rank()
            ),
        )
        .against(param));
    }
    if let Some(other) = (0..data.rank()).find(|&i| i != axis && !data[i].fits(indices[i])) {
        return Err(Fault::of(
            "indices",
            &codes::SHAPE_MISMATCH,
            format!("`indices` of shape {indices} and `{param}` of shape {data} differ along axis {other}"),
        )
        .against(param));
    }
    Ok(())
}

fn infer_along(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let (x, indices) = (args.ty("x")?, args.ty("indices")?);
    let axis = known_axis(args, "axis", x.rank())?;
    check_along(args, "x", &x.shape, &indices.shape, axis)?;
    check_indices(args, x.shape[axis])?;
    let mut shape = indices.shape.or(&x.shape);
    shape[axis] = indices.shape[axis];
    result(args, x.dtype, shape)
}

fn compute_along(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let (x, indices) = (args.tensor("x")?, args.tensor("indices")?);
    let axis = known_axis(args, "axis", x.rank())?;
    check_along(args, "x", &Shape::from(x.shape()), &Shape::from(indices.shape()), axis)?;
    let places = resolved(args, &indices.to_i64s(), x.shape()[axis])?;
    one(x.pick(indices.shape(), places_along(x.shape(), axis, indices.shape()[axis], &places))?)
}

fn fast_along(args: &Args<'_>, _: &[Type]) -> Ready {
    let (dtype, shape, x) = (args.ty("x")?.dtype, dims(args, "x")?, args.reader("x")?);
    let axis = known_axis(args, "axis", shape.len())?;
    let [outer, n, inner] = around(&shape, axis);
    let sizes = [outer, n, dims(args, "indices")?[axis], inner];
    let rows = Places::along(args, n)?;
    for_bits!(dtype, E => ready_if(move |run| {
        let (x, rows) = (run.read::<E>(&x), rows.read(run)?);
        layout::look_up_each(run.threads, run.write(0), x, &rows, sizes);
        Ok(())
    }))
}

/// How many indices a tuple has, and the number of dimensions of batches.
fn tuples(args: &Args<'_>, x: &Shape, indices: &Shape) -> Result<(Dim, usize), Fault> {
    let (&depth, leading) = indices.split_last().ok_or_else(|| no_tuple(args))?;
    let batch = batch_dims(args, x, indices, x.rank().min(leading.len()))?;
    check_depth(args, depth, x.rank() - batch)?;
    Ok((depth, batch))
}

/// Refuses tuples that are longer than there are dimensions to name.
pub(super) fn check_depth(args: &Args<'_>, depth: Dim, most: usize) -> Result<(), Fault> {
    match depth {
        Dim::Known(n) if n > most as u64 => Err(Fault::of(
            "indices",
            &codes::SHAPE_MISMATCH,
            format!("`indices` of `{}` holds tuples of {n} indices, for {most} dimensions", args.op.name),
        )),
        _ => Ok(()),
    }
}

fn infer_nd(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let (x, indices) = (args.ty("x")?, args.ty("indices")?);
    let (depth, batch) = tuples(args, &x.shape, &indices.shape)?;
    let Some(depth) = depth.known() else {
        return as_declared(args, "indices", x.dtype);
    };
    let (named, behind) = x.shape[batch..].split_at(depth as usize);
    check_tuples(args, named)?;
    let leading = &indices.shape[..indices.rank() - 1];
    result(args, x.dtype, leading.iter().chain(behind).copied().collect())
}

fn compute_nd(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let (x, indices) = (args.tensor("x")?, args.tensor("indices")?);
    let (depth, batch) = tuples(args, &Shape::from(x.shape()), &Shape::from(indices.shape()))?;
    let depth = depth.known().unwrap_or(0) as usize;
    let shape = [&indices.shape()[..indices.rank() - 1], &x.shape()[batch + depth..]].concat();
    one(x.pick(&shape, tuple_places(args, x.shape(), batch, indices)?)?)
}

fn fast_nd(args: &Args<'_>, _: &[Type]) -> Ready {
    let (dtype, shape, x) = (args.ty("x")?.dtype, dims(args, "x")?, args.reader("x")?);
    let (_, batch) = tuples(args, &args.ty("x")?.shape, &args.ty("indices")?.shape)?;
    let tuples = Tuples::of(args, &shape, batch, &dims(args, "indices")?)?;
    let (slice, starts) = (tuples.run, Places::of_tuples(args, tuples)?);
    for_bits!(dtype, E => ready_if(move |run| {
        let (x, starts) = (run.read::<E>(&x), starts.read(run)?);
        layout::runs(run.threads, run.write(0), x, slice, |i| Some(starts[i]));
        Ok(())
    }))
}

const ONE: Results = Results::Exactly(1);

pub(super) static OPS: &[Op] = &[
    Op {
        fast: Fast::Prepared(fast_gather),
        ..exact(
            "gather",
            "the slices of x along an axis that indices name",
            GATHER,
            ONE,
            infer_gather,
            compute_gather,
        )
    },
    Op {
        fast: Fast::Prepared(fast_along),
        ..exact(
            "gather_along_axis",
            "the elements of x along an axis that indices name one by one",
            GATHER_ALONG_AXIS,
            ONE,
            infer_along,
            compute_along,
        )
    },
    Op {
        fast: Fast::Prepared(fast_nd),
        ..exact(
            "gather_nd",
            "the slices of x that tuples of indices name",
            GATHER_ND,
            ONE,
            infer_nd,
            compute_nd,
        )
    },
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    /// Gathers from 0, 1, 2, ….
    #[track_caller]
    fn takes(op: &str, x: &[usize], line: &[(&str, Datum)], to: &[usize], order: &[i32]) {
        let args = [&[("x", iota(x))], line].concat();
        let order: Vec<f32> = order.iter().map(|&v| v as f32).collect();
        check(op, Ios16, &args, &[f32s(to, &order)]);
    }

    #[test]
    fn gather_takes_slices() {
        let at = |i: Datum, axis| [("indices", i), ("axis", int(axis))];
        // np.take(np.arange(6).reshape(2, 3), indices, axis)
        takes("gather", &[2, 3], &at(vec32(&[1, 0, -1]), 0), &[3, 3], &[3, 4, 5, 0, 1, 2, 3, 4, 5]);
        takes("gather", &[2, 3], &at(vec32(&[2, 0]), -1), &[2, 2], &[2, 0, 5, 3]);
        takes("gather", &[2, 3], &at(int(1), 1), &[2], &[1, 4]);
        takes("gather", &[3], &at(int(-2), 0), &[], &[1]);
        takes("gather", &[2, 2], &at(i32s(&[1, 2], &[1, 1]), 0), &[1, 2, 2], &[2, 3, 2, 3]);
        takes("gather", &[2, 3], &at(vec32(&[]), 1), &[2, 0], &[]);
        takes("gather", &[0, 3], &at(vec32(&[1]), 1), &[0, 1], &[]);
        let x = [("x", ints(UInt8, &[3], &[7, 8, 9])), ("indices", ints(UInt8, &[2], &[2, 0]))];
        check("gather", Ios17, &x, &[ints(UInt8, &[2], &[9, 7])]);
        let x = [("x", texts(&[2], &["a", "b"])), ("indices", int(1))];
        check("gather", Ios15, &x, &[text("b")]);
    }

    #[test]
    fn gather_takes_within_batches() {
        let at = |i: Datum, axis, batch| [("indices", i), ("axis", int(axis)), ("batch_dims", int(batch))];
        // tf.gather(np.arange(6).reshape(2, 3), [[2, 0], [1, 1]], axis=1, batch_dims=1)
        takes("gather", &[2, 3], &at(i32s(&[2, 2], &[2, 0, 1, 1]), 1, 1), &[2, 2], &[2, 0, 4, 4]);
        // tf.gather(np.arange(12).reshape(2, 2, 3), [[2], [0]], axis=2, batch_dims=1)
        takes("gather", &[2, 2, 3], &at(i32s(&[2, 1], &[2, 0]), 2, 1), &[2, 2, 1], &[2, 5, 6, 9]);
        takes("gather", &[2, 3], &at(vec32(&[2, 0]), 1, 1), &[2], &[2, 3]);
        let no = |i: Datum, axis, batch, code| {
            refuse("gather", Ios16, &[&[("x", iota(&[2, 3]))], &at(i, axis, batch)[..]].concat(), code);
        };
        no(vec32(&[0, 0, 0]), 1, 1, "shape-mismatch");
        no(vec32(&[0]), 0, 1, "bad-value");
        no(int(0), 1, 1, "bad-value");
        no(vec32(&[0]), 1, -1, "bad-value");
    }

    #[test]
    fn indices_outside_are_refused() {
        let x = |i: i32| [("x", iota(&[3])), ("indices", int(i))];
        for op in ["gather", "gather_nd"] {
            let at =
                |i: i32| if op == "gather" { x(i) } else { [("x", iota(&[3])), ("indices", vec32(&[i]))] };
            for opset in [Ios15, Ios17] {
                refuse(op, opset, &at(3), "index-out-of-range");
                refuse(op, opset, &at(-4), "index-out-of-range");
                refuse(op, opset, &at(i32::MIN), "index-out-of-range");
            }
            let strict = [&at(-1)[..], &[("validate_indices", flag(true))]].concat();
            refuse(op, Ios17, &strict, "index-out-of-range");
        }
        let wide = [("x", Type::tensor(Fp32, Shape::unknown(1)))];
        infers("gather", Ios15, &x(9), &wide, "fp32");
        refuse(
            "gather",
            Ios15,
            &[("x", iota(&[3])), ("indices", int(0)), ("axis", int(1))],
            "index-out-of-range",
        );
    }

    #[test]
    fn gather_along_axis_takes_elements() {
        let at = |i: Datum, axis| [("indices", i), ("axis", int(axis))];
        // np.take_along_axis(np.arange(6).reshape(2, 3), indices, axis)
        takes("gather_along_axis", &[2, 3], &at(i32s(&[2, 2], &[2, 0, 1, -1]), 1), &[2, 2], &[2, 0, 4, 5]);
        takes("gather_along_axis", &[2, 3], &at(i32s(&[1, 3], &[1, 0, 1]), 0), &[1, 3], &[3, 1, 5]);
        takes("gather_along_axis", &[2, 3], &at(i32s(&[2, 0], &[]), -1), &[2, 0], &[]);
        takes("gather_along_axis", &[3], &at(vec32(&[2, 2, 2, 2]), 0), &[4], &[2, 2, 2, 2]);
        let no = |i: Datum, axis, code| {
            refuse("gather_along_axis", Ios15, &[&[("x", iota(&[2, 3]))], &at(i, axis)[..]].concat(), code);
        };
        no(i32s(&[1, 3], &[0; 3]), 1, "shape-mismatch");
        no(vec32(&[0, 0]), 1, "wrong-rank");
        no(i32s(&[2, 1], &[3, 0]), 1, "index-out-of-range");
    }

    #[test]
    fn gather_nd_takes_what_tuples_name() {
        let at = |i: Datum, batch| [("indices", i), ("batch_dims", int(batch))];
        // tf.gather_nd(np.arange(6).reshape(2, 3), indices)
        takes("gather_nd", &[2, 3], &at(i32s(&[2, 2], &[1, 2, 0, -1]), 0), &[2], &[5, 2]);
        takes("gather_nd", &[2, 3], &at(i32s(&[2, 1], &[1, 0]), 0), &[2, 3], &[3, 4, 5, 0, 1, 2]);
        takes("gather_nd", &[2, 3], &at(vec32(&[1, 1]), 0), &[], &[4]);
        takes("gather_nd", &[2], &at(i32s(&[2, 0], &[]), 0), &[2, 2], &[0, 1, 0, 1]);
        takes("gather_nd", &[2, 3], &at(i32s(&[0, 1], &[]), 0), &[0, 3], &[]);
        // tf.gather_nd(np.arange(6).reshape(2, 3), [[1], [0]], batch_dims=1)
        takes("gather_nd", &[2, 3], &at(i32s(&[2, 1], &[1, 0]), 1), &[2], &[1, 3]);
        takes("gather_nd", &[2, 2, 2], &at(i32s(&[2, 1, 1], &[1, 0]), 1), &[2, 1, 2], &[2, 3, 4, 5]);
        let no = |i: Datum, batch, code| {
            refuse("gather_nd", Ios16, &[&[("x", iota(&[2, 3]))], &at(i, batch)[..]].concat(), code);
        };
        no(i32s(&[1, 3], &[0; 3]), 0, "shape-mismatch");
        no(i32s(&[2, 2], &[0; 4]), 1, "shape-mismatch");
        no(i32s(&[3, 1], &[0; 3]), 1, "shape-mismatch");
        no(int(0), 0, "wrong-rank");
        no(vec32(&[0, 3]), 0, "index-out-of-range");
    }
}
