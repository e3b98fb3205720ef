//! Ops that take a part of a tensor, or replace one.

mod part;

use anemone_kernels::layout;
use smallvec::SmallVec;

use self::part::{Along, Slicing, part, part_shape, part_view};
use super::fast::{Numbers, Ready, dims, for_bits, nothing, ready_if};
use super::moves::{
    INDEX17, MOVED17, View, bad_value, exact, expect_length, joined, known_ints, offsets, one, result,
    strides, unusable, viewed,
};
use super::row::*;

const SLICE_BY_INDEX: &[Edition] = &[
    edition(
        Ios15,
        &[
            tensor("x", NUMS_BOOL).domain('T'),
            tensor("begin", I32),
            tensor("end", I32),
            tensor("stride", I32).constant().or(Absent),
            tensor("begin_mask", BOOL).constant().or(Absent),
            tensor("end_mask", BOOL).constant().or(Absent),
            tensor("squeeze_mask", BOOL).constant().or(Absent),
        ],
    ),
    edition(
        Ios17,
        &[
            tensor("x", MOVED17).domain('T'),
            tensor("begin", INDEX17).domain('U'),
            tensor("end", INDEX17).domain('U'),
            tensor("stride", INDEX17).domain('U').constant().or(Absent),
            tensor("begin_mask", BOOL).constant().or(Absent),
            tensor("end_mask", BOOL).constant().or(Absent),
            tensor("squeeze_mask", BOOL).constant().or(Absent),
        ],
    ),
];

const SLICE_UPDATE: &[Edition] = &[edition(
    Ios18,
    &[
        tensor("x", MOVED17).domain('T'),
        tensor("update", MOVED17).domain('T'),
        tensor("begin", INDEX17).domain('U'),
        tensor("end", INDEX17).domain('U'),
        tensor("stride", INDEX17).domain('U').constant().or(Absent),
        tensor("begin_mask", BOOL).constant().or(Absent),
        tensor("end_mask", BOOL).constant().or(Absent),
        tensor("squeeze_mask", BOOL).constant().or(Absent),
    ],
)];

const SLICE_BY_SIZE: &[Edition] = &[
    edition(Ios15, &[tensor("x", NUMS_BOOL).domain('T'), tensor("begin", I32), tensor("size", I32)]),
    edition(
        Ios17,
        &[
            tensor("x", MOVED17).domain('T'),
            tensor("begin", INDEX17).domain('U'),
            tensor("size", INDEX17).domain('U'),
        ],
    ),
];

const CROP: &[Edition] = &[edition(
    Ios15,
    &[
        tensor("x", FLOATS).domain('T'),
        tensor("crop_height", I32).constant(),
        tensor("crop_width", I32).constant(),
    ],
)];

fn infer_slice(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    result(args, x.dtype, part_shape(&part(args, &x.shape)?))
}

/// The part of `x`, whose begin and end are known.
fn known_part(args: &Args<'_>, x: &[usize]) -> Result<Vec<Along>, Fault> {
    known_ints(args, "begin")?;
    known_ints(args, "end")?;
    part(args, &Shape::from(x))
}

fn compute_slice(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let x = args.tensor("x")?;
    one(part_view(&known_part(args, x.shape())?, x.shape()).picked(x)?)
}

/// Where a slice begins may be known only when it is taken; how much it takes is known before.
fn fast_slice(args: &Args<'_>, types: &[Type]) -> Ready {
    let x = dims(args, "x")?;
    let part = part(args, &Shape::from(&x[..]))?;
    if part.iter().any(|a| a.count == Dim::Unknown) {
        known_part(args, &x)?;
    }
    let view = part_view(&part, &x);
    let (slicing, nothing) = (Slicing::of(args, x.len())?, nothing(types));
    let (begin, end) = match (Numbers::<i64>::of(args, "begin")?, Numbers::<i64>::of(args, "end")?) {
        (Numbers::Known(_), Numbers::Known(_)) => return view.ready(args, "x"),
        later => later,
    };
    view.ready_from(args, "x", move |run, own| {
        let (begin, end) = (begin.read(run), end.read(run));
        let mut start = 0;
        for (axis, &n) in x.iter().enumerate() {
            let along = slicing.along(axis, n.into(), Some(begin[axis]), Some(end[axis]))?;
            start += if nothing { 0 } else { along.begin as usize * own[axis] };
        }
        Ok(start)
    })
}

/// The part, where it is known before the run.
fn slice_view(args: &Args<'_>) -> Result<Option<Vec<View>>, Fault> {
    let (x, known) = (dims(args, "x")?, ["begin", "end"].iter().all(|&bound| args.value(bound).is_some()));
    Ok(if known { Some(vec![part_view(&known_part(args, &x)?, &x)]) } else { None })
}

/// Whether a slice begins behind the front of the last dimension, as far as that is known before the run.
pub(super) fn begins_within_width(args: &Args<'_>) -> Result<bool, Fault> {
    let x = &args.ty("x")?.shape;
    let along = match args.op.name {
        "slice_by_size" => {
            return Ok(args.ints("begin").and_then(|b| b.last().copied()).is_some_and(|b| b != 0));
        }
        _ => part(args, x)?,
    };
    let known = args.value("begin").is_some();
    Ok(known && along.last().is_some_and(|a| a.begin > 0))
}

fn infer_update(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let (x, update) = (args.ty("x")?, args.ty("update")?);
    if update.rank() == 0 {
        return Err(Fault::of(
            "update",
            &codes::WRONG_RANK,
            "`update` of `slice_update` must have a dimension; Core ML takes no scalar here",
        ));
    }
    let shape = part_shape(&part(args, &x.shape)?);
    if !shape.fits(&update.shape) {
        return Err(Fault::of(
            "update",
            &codes::SHAPE_MISMATCH,
            format!("`update` of `slice_update` has shape {}, and the slice has shape {shape}", update.shape),
        )
        .against("x"));
    }
    Ok(vec![x.clone().into()])
}

fn compute_update(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let (x, update) = (args.tensor("x")?, args.tensor("update")?);
    infer_update(args)?;
    let part = part(args, &Shape::from(x.shape()))?;
    let mut from: Vec<usize> = (0..x.len()).collect();
    let view = part_view(&part, x.shape());
    for (i, at) in offsets(view.start, &view.dims, &view.steps).enumerate() {
        from[at] = x.len() + i;
    }
    one(joined(&[x, update])?.pick(x.shape(), from)?)
}

/// The part is written over the elements of `x`. Where it begins may be known only when it is written.
fn fast_update(args: &Args<'_>, _: &[Type]) -> Ready {
    let (dtype, shape) = (args.ty("x")?.dtype, dims(args, "x")?);
    let (update, new) = (args.reader("update")?, args.ty("update")?);
    let slicing = Slicing::of(args, shape.len())?;
    let part = part(args, &Shape::from(&shape[..]))?;
    let (begin, end) = (Numbers::<i64>::of(args, "begin")?, Numbers::<i64>::of(args, "end")?);
    // As many elements along each axis as the update has; those that go have one.
    let mut left = new.shape.iter();
    let mut count = |a: &Along| if a.squeezed { Some(1) } else { left.next().and_then(|d| d.known()) };
    let Some(counts) = part.iter().map(|a| count(a).map(|n| n as usize)).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    if dtype != new.dtype {
        return Ok(None);
    }
    let stepped = part.iter().zip(&counts).any(|(a, &n)| n > 1 && a.stride != 1);
    let own = strides(&shape);
    let step = |((a, &own), &n): ((&Along, &isize), &usize)| if n > 1 { a.stride as isize * own } else { 0 };
    let steps: Vec<isize> = part.iter().zip(&own).zip(&counts).map(step).collect();
    for_bits!(dtype, E => ready_if(move |run| {
        let update: &[E] = run.read(&update);
        let (begin, end) = (begin.read(run), end.read(run));
        let mut start: SmallVec<[usize; 8]> = SmallVec::new();
        for (axis, (&n, &count)) in shape.iter().zip(&counts).enumerate() {
            let along = slicing.along(axis, n.into(), Some(begin[axis]), Some(end[axis]))?;
            if along.count != Dim::from(count) {
                return Err(Fault::of(
                    "update",
                    &codes::SHAPE_MISMATCH,
                    format!("`update` of `slice_update` has {count} elements for {} of axis {axis}", along.count),
                )
                .against("x"));
            }
            start.push(if update.is_empty() { 0 } else { along.begin as usize });
        }
        let to = run.write(0);
        if stepped {
            let first = start.iter().zip(&own).map(|(&at, &own)| at as isize * own).sum();
            place_apart(to, first, update, &counts, &steps);
        } else {
            layout::place(to, &shape, &start, update, &counts);
        }
        Ok(())
    }))
}

/// Writes a block of this shape, whose first element goes to `first`, and whose neighbours along each axis go so far from
/// each other.
fn place_apart<E: Copy>(to: &mut [E], first: isize, from: &[E], shape: &[usize], steps: &[isize]) {
    let (Some((&count, outer)), Some((&step, outer_steps))) = (shape.split_last(), steps.split_last()) else {
        from.iter().take(1).for_each(|&new| to[first as usize] = new);
        return;
    };
    let mut index: SmallVec<[usize; 8]> = SmallVec::from_elem(0, outer.len());
    let mut start = first;
    for line in from.chunks_exact(count.max(1)) {
        for (i, &new) in line.iter().enumerate() {
            to[(start + i as isize * step) as usize] = new;
        }
        for ((at, &n), &step) in index.iter_mut().zip(outer).zip(outer_steps).rev() {
            *at += 1;
            start += step;
            if *at < n {
                break;
            }
            start -= step * n as isize;
            *at = 0;
        }
    }
}

/// Where the part begins, and its shape, as far as they are known.
fn sized(args: &Args<'_>, x: &Shape) -> Result<Vec<(Option<u64>, Dim)>, Fault> {
    for param in ["begin", "size"] {
        expect_length(args, param, x.rank())?;
    }
    let (begins, sizes) = (args.ints("begin"), args.ints("size"));
    let at = |numbers: &Option<Vec<i64>>, i: usize| numbers.as_ref().and_then(|n| n.get(i).copied());
    (0..x.rank()).map(|i| sized_along(i, x[i], at(&begins, i), at(&sizes, i))).collect()
}

/// Where the part begins along an axis, and how long it is, as far as they are known.
fn sized_along(
    axis: usize,
    dim: Dim,
    begin: Option<i64>,
    size: Option<i64>,
) -> Result<(Option<u64>, Dim), Fault> {
    let outside = |param, n: u64, what: &str| {
        Fault::of(
            param,
            &codes::INDEX_OUT_OF_RANGE,
            format!("`slice_by_size` takes {what} of axis {axis}, which has {n} elements"),
        )
        .against("x")
    };
    let begin = match (begin, dim) {
        (Some(b), Dim::Known(n)) => {
            let from_front = if b < 0 { b.saturating_add_unsigned(n) } else { b };
            match u64::try_from(from_front) {
                Ok(b) if b <= n => Some(b),
                _ => return Err(outside("begin", n, &format!("from element {b} on"))),
            }
        }
        (Some(b), Dim::Unknown) => u64::try_from(b).ok(),
        (None, _) => None,
    };
    let size = match (size, dim, begin) {
        (Some(-1), Dim::Known(n), Some(b)) => Dim::Known(n.saturating_sub(b)),
        (Some(-1) | None, ..) => Dim::Unknown,
        (Some(s), dim, _) => {
            let Ok(s) = u64::try_from(s) else {
                let why = format_args!("{s} along axis {axis} is no length");
                return Err(unusable("slice_by_size", "size", why));
            };
            let from = begin.unwrap_or(0);
            if let Dim::Known(n) = dim
                && from.saturating_add(s) > n
            {
                return Err(outside("size", n, &format!("{s} elements from {from}")));
            }
            Dim::Known(s)
        }
    };
    Ok((begin, size))
}

fn infer_by_size(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    result(args, x.dtype, sized(args, &x.shape)?.into_iter().map(|(_, size)| size).collect())
}

/// The part that `slice_by_size` takes, as far as it is known.
fn part_by_size(args: &Args<'_>, x: &[usize]) -> Result<Vec<Along>, Fault> {
    let along = |(begin, count): (Option<u64>, Dim)| Along {
        begin: begin.unwrap_or(0) as i64,
        stride: 1,
        count,
        squeezed: false,
    };
    Ok(sized(args, &Shape::from(x))?.into_iter().map(along).collect())
}

fn compute_by_size(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let x = args.tensor("x")?;
    known_ints(args, "begin")?;
    known_ints(args, "size")?;
    one(part_view(&part_by_size(args, x.shape())?, x.shape()).picked(x)?)
}

/// As [`slice_view`].
fn by_size_view(args: &Args<'_>) -> Result<Option<Vec<View>>, Fault> {
    let (x, known) = (dims(args, "x")?, ["begin", "size"].iter().all(|&bound| args.value(bound).is_some()));
    Ok(if known { Some(vec![part_view(&part_by_size(args, &x)?, &x)]) } else { None })
}

/// As [`fast_slice`].
fn fast_by_size(args: &Args<'_>, types: &[Type]) -> Ready {
    let x = dims(args, "x")?;
    let view = part_view(&part_by_size(args, &x)?, &x);
    let begin = match Numbers::<i64>::of(args, "begin")? {
        Numbers::Known(_) if args.value("size").is_some() => return view.ready(args, "x"),
        begin => begin,
    };
    let sizes: Vec<Option<i64>> = known_ints(args, "size")?.into_iter().map(Some).collect();
    if sizes.contains(&Some(-1)) {
        known_ints(args, "begin")?;
    }
    let nothing = nothing(types);
    view.ready_from(args, "x", move |run, own| {
        let begin = begin.read(run);
        let mut start = 0;
        for (axis, &n) in x.iter().enumerate() {
            let (from, _) = sized_along(axis, n.into(), Some(begin[axis]), sizes[axis])?;
            start += if nothing { 0 } else { from.unwrap_or(0) as usize * own[axis] };
        }
        Ok(start)
    })
}

fn infer_crop(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    result(args, x.dtype, part_shape(&cropped(args, &x.shape)?))
}

/// What is left of each axis.
fn cropped(args: &Args<'_>, x: &Shape) -> Result<Vec<Along>, Fault> {
    if x.rank() < 3 {
        return Err(Fault::of(
            "x",
            &codes::WRONG_RANK,
            format!("`x` of `crop` has {} dimensions and must have 3 or more", x.rank()),
        ));
    }
    let mut part: Vec<Along> =
        x.iter().map(|&count| Along { begin: 0, stride: 1, count, squeezed: false }).collect();
    for (param, axis) in [("crop_height", x.rank() - 2), ("crop_width", x.rank() - 1)] {
        let amounts = known_ints(args, param)?;
        let [before, behind] = amounts[..] else {
            return Err(bad_value(args, param, format_args!("it has {} numbers, not 2", amounts.len())));
        };
        let both = before.checked_add(behind).filter(|_| before >= 0 && behind >= 0);
        let count = match (both, x[axis]) {
            (Some(both), Dim::Known(n)) if both as u64 <= n => Dim::Known(n - both as u64),
            (Some(_), Dim::Unknown) => Dim::Unknown,
            _ => {
                let why = format_args!("{before} and {behind} cannot be taken off {}", x[axis]).to_string();
                return Err(bad_value(args, param, why));
            }
        };
        part[axis] = Along { begin: before, count, ..part[axis] };
    }
    Ok(part)
}

fn without_border(args: &Args<'_>) -> Result<View, Fault> {
    let x = dims(args, "x")?;
    Ok(part_view(&cropped(args, &Shape::from(&x[..]))?, &x))
}

const ONE: Results = Results::Exactly(1);

pub(super) static OPS: &[Op] = &[
    Op {
        fast: Fast::Viewing(fast_slice, slice_view),
        ..exact(
            "slice_by_index",
            "a part of x, as NumPy's begin:end:stride takes it",
            SLICE_BY_INDEX,
            ONE,
            infer_slice,
            compute_slice,
        )
    },
    Op {
        fast: Fast::Viewing(fast_by_size, by_size_view),
        ..exact(
            "slice_by_size",
            "a part of x, by its begin and size",
            SLICE_BY_SIZE,
            ONE,
            infer_by_size,
            compute_by_size,
        )
    },
    Op {
        fast: Fast::Updating(fast_update),
        ..exact(
            "slice_update",
            "x with a part of it replaced",
            SLICE_UPDATE,
            ONE,
            infer_update,
            compute_update,
        )
    },
    viewed!("crop", "x without a border of its last two axes", CROP, infer_crop, without_border),
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    /// Slices 0, 1, 2, … of a shape; the line adds strides and masks.
    #[track_caller]
    fn slices(x: &[usize], begin: &[i32], end: &[i32], line: &[(&str, Datum)], to: &[usize], order: &[i32]) {
        let args = [&[("x", iota(x)), ("begin", vec32(begin)), ("end", vec32(end))], line].concat();
        let order: Vec<f32> = order.iter().map(|&v| v as f32).collect();
        check("slice_by_index", Ios15, &args, &[f32s(to, &order)]);
    }

    fn stride(s: &[i32]) -> (&'static str, Datum) {
        ("stride", vec32(s))
    }

    #[test]
    fn slice_by_index_takes_what_numpy_takes() {
        // x = np.arange(10)
        slices(&[10], &[2], &[5], &[], &[3], &[2, 3, 4]); // x[2:5]
        slices(&[10], &[-3], &[-1], &[], &[2], &[7, 8]); // x[-3:-1]
        slices(&[10], &[1], &[9], &[stride(&[3])], &[3], &[1, 4, 7]); // x[1:9:3]
        slices(&[10], &[8], &[2], &[stride(&[-2])], &[3], &[8, 6, 4]); // x[8:2:-2]
        slices(&[10], &[-1], &[-11], &[stride(&[-4])], &[3], &[9, 5, 1]); // x[-1:-11:-4]
        slices(&[10], &[5], &[100], &[], &[5], &[5, 6, 7, 8, 9]); // x[5:100]
        slices(&[10], &[-100], &[2], &[], &[2], &[0, 1]); // x[-100:2]
        slices(&[10], &[3], &[3], &[], &[0], &[]); // x[3:3]
        slices(&[10], &[20], &[30], &[], &[0], &[]); // x[20:30]
        slices(&[10], &[0], &[i32::MAX], &[stride(&[i32::MAX])], &[1], &[0]);
        slices(&[0], &[0], &[1], &[], &[0], &[]);
        slices(&[1], &[0], &[1], &[stride(&[-1])], &[0], &[]);
        slices(&[], &[], &[], &[], &[], &[0]);
        // x = np.arange(6).reshape(2, 3)
        slices(&[2, 3], &[0, 1], &[2, 3], &[], &[2, 2], &[1, 2, 4, 5]); // x[0:2, 1:3]
        slices(&[2, 3], &[1, 2], &[0, 0], &[stride(&[-1, -1])], &[1, 2], &[5, 4]); // x[1:0:-1, 2:0:-1]
    }

    #[test]
    fn slice_by_index_masks() {
        let begin = |m: &[bool]| ("begin_mask", flags(m));
        let end = |m: &[bool]| ("end_mask", flags(m));
        let squeeze = |m: &[bool]| ("squeeze_mask", flags(m));
        slices(&[4], &[2], &[3], &[begin(&[true])], &[3], &[0, 1, 2]); // x[:3]
        slices(&[4], &[2], &[3], &[end(&[true])], &[2], &[2, 3]); // x[2:]
        slices(&[4], &[2], &[3], &[begin(&[true]), end(&[true]), stride(&[-1])], &[4], &[3, 2, 1, 0]); // x[::-1]
        slices(&[4], &[1], &[0], &[end(&[true]), stride(&[-1])], &[2], &[1, 0]); // x[1::-1]
        slices(&[4], &[0], &[2], &[begin(&[true]), stride(&[-1])], &[1], &[3]); // x[:2:-1]
        slices(&[4], &[-2], &[0], &[squeeze(&[true])], &[], &[2]); // x[-2]
        slices(&[2, 3], &[1, 0], &[0, 2], &[squeeze(&[true, false])], &[2], &[3, 4]); // x[1, 0:2]
        slices(&[2, 3], &[1, 2], &[0, 0], &[squeeze(&[true, true])], &[], &[5]); // x[1, 2]
        slices(&[2, 3], &[9, 1], &[9, 9], &[begin(&[true, false]), squeeze(&[true, false])], &[2], &[1, 2]); // x[0, 1:]
        let bools =
            [("x", ints(DType::Bool, &[3], &[1, 0, 1])), ("begin", vec32(&[1])), ("end", vec32(&[3]))];
        check("slice_by_index", Ios15, &bools, &[ints(DType::Bool, &[2], &[0, 1])]);
        let nibbles =
            [("x", ints(UInt4, &[5], &[1, 2, 3, 4, 5])), ("begin", vec32(&[1])), ("end", vec32(&[4]))];
        check("slice_by_index", Ios17, &nibbles, &[ints(UInt4, &[3], &[2, 3, 4])]);
    }

    #[test]
    fn slice_by_index_refuses() {
        let no = |begin: &[i32], end: &[i32], line: &[(&'static str, Datum)], code| {
            let args = [&[("x", iota(&[4])), ("begin", vec32(begin)), ("end", vec32(end))], line].concat();
            refuse("slice_by_index", Ios15, &args, code);
        };
        no(&[3], &[1], &[], "bad-value");
        no(&[-3], &[-1], &[stride(&[-1])], "bad-value");
        no(&[0], &[1], &[stride(&[0])], "bad-value");
        no(&[0, 0], &[1, 1], &[], "shape-mismatch");
        no(&[0], &[1], &[("end_mask", flags(&[true, true]))], "shape-mismatch");
        no(&[4], &[5], &[("squeeze_mask", flags(&[true]))], "index-out-of-range");
        no(&[-5], &[5], &[("squeeze_mask", flags(&[true]))], "index-out-of-range");
    }

    #[test]
    fn slice_by_index_infers_without_the_dimension() {
        let x = [("x", Type::tensor(Fp16, Shape::unknown(1)))];
        let infer = |begin, end, line: &[(&'static str, Datum)], expected: &str| {
            let args =
                [&[("x", iota(&[1])), ("begin", vec32(&[begin])), ("end", vec32(&[end]))], line].concat();
            infers("slice_by_index", Ios15, &args, &x, expected);
        };
        infer(0, 1, &[], "tensor<fp16, [1]>");
        infer(3, 3, &[], "tensor<fp16, [0]>");
        infer(-1, 0, &[("end_mask", flags(&[true]))], "tensor<fp16, [1]>");
        infer(0, 2, &[], "tensor<fp16, [?]>");
        infer(-2, 1, &[], "tensor<fp16, [?]>");
        infer(0, 9, &[("squeeze_mask", flags(&[true]))], "fp16");
        let later = [("begin", Type::tensor(Int32, [1].as_slice()))];
        let args = [("x", iota(&[4])), ("begin", vec32(&[0])), ("end", vec32(&[2]))];
        infers("slice_by_index", Ios15, &args, &later, "tensor<fp32, [?]>");
        let long = [("begin", Type::tensor(Int32, [2].as_slice()))];
        infers("slice_by_index", Ios15, &args, &long, "shape-mismatch");
    }

    #[test]
    fn slice_by_size_counts() {
        let takes = |x: &[usize], begin: &[i32], size: &[i32], to: &[usize], order: &[f32]| {
            let args = [("x", iota(x)), ("begin", vec32(begin)), ("size", vec32(size))];
            check("slice_by_size", Ios15, &args, &[f32s(to, order)]);
        };
        takes(&[4], &[1], &[2], &[2], &[1.0, 2.0]);
        takes(&[4], &[1], &[-1], &[3], &[1.0, 2.0, 3.0]);
        takes(&[4], &[-2], &[-1], &[2], &[2.0, 3.0]);
        takes(&[4], &[4], &[0], &[0], &[]);
        takes(&[4], &[4], &[-1], &[0], &[]);
        takes(&[2, 3], &[1, 1], &[1, 2], &[1, 2], &[4.0, 5.0]);
        let no = |begin: i32, size: i32, code| {
            let args = [("x", iota(&[4])), ("begin", vec32(&[begin])), ("size", vec32(&[size]))];
            refuse("slice_by_size", Ios15, &args, code);
        };
        no(1, 4, "index-out-of-range");
        no(5, 0, "index-out-of-range");
        no(-5, 1, "index-out-of-range");
        no(0, -2, "bad-value");
    }

    #[test]
    fn slice_update_replaces() {
        let x = ("x", iota(&[2, 3]));
        let update = |u: Datum, begin: &[i32], end: &[i32], line: &[(&'static str, Datum)]| {
            [&[x.clone(), ("update", u), ("begin", vec32(begin)), ("end", vec32(end))], line].concat()
        };
        let new = f32s(&[1, 2], &[-1.0, -2.0]);
        let args = update(new.clone(), &[1, 0], &[2, 2], &[]);
        check("slice_update", Ios18, &args, &[f32s(&[2, 3], &[0.0, 1.0, 2.0, -1.0, -2.0, 5.0])]);
        let args = update(new.clone(), &[0, 2], &[1, 0], &[stride(&[1, -1])]);
        check("slice_update", Ios18, &args, &[f32s(&[2, 3], &[0.0, -2.0, -1.0, 3.0, 4.0, 5.0])]);
        let squeeze = ("squeeze_mask", flags(&[false, true]));
        let args = update(f32s(&[2], &[-1.0, -2.0]), &[0, -1], &[2, 0], &[squeeze]);
        check("slice_update", Ios18, &args, &[f32s(&[2, 3], &[0.0, 1.0, -1.0, 3.0, 4.0, -2.0])]);
        refuse("slice_update", Ios18, &update(new, &[0, 0], &[2, 2], &[]), "shape-mismatch");
        let all = ("squeeze_mask", flags(&[true, true]));
        refuse("slice_update", Ios18, &update(f32s(&[], &[1.0]), &[0, 0], &[0, 0], &[all]), "wrong-rank");
    }

    #[test]
    fn crop_takes_a_border_off() {
        let crop = |height: [i32; 2], width: [i32; 2]| {
            [("x", iota(&[1, 3, 4])), ("crop_height", vec32(&height)), ("crop_width", vec32(&width))]
        };
        check("crop", Ios15, &crop([1, 0], [2, 1]), &[f32s(&[1, 2, 1], &[6.0, 10.0])]);
        check("crop", Ios15, &crop([3, 0], [0, 0]), &[f32s(&[1, 0, 4], &[])]);
        refuse("crop", Ios15, &crop([2, 2], [0, 0]), "bad-value");
        refuse("crop", Ios15, &crop([-1, 0], [0, 0]), "bad-value");
        let flat = [("x", iota(&[3, 4])), ("crop_height", vec32(&[0, 0])), ("crop_width", vec32(&[0, 0]))];
        refuse("crop", Ios15, &flat, "wrong-rank");
    }
}
