//! Which part of a tensor a slice takes.

use crate::ops::moves::{View, expect_length, known_ints, strides, unusable};
use crate::ops::row::*;

/// What a slice takes along one axis.
#[derive(Clone, Copy)]
pub(super) struct Along {
    /// The first element; it means something only if there is one.
    pub(super) begin: i64,
    /// The step from one element to the next.
    pub(super) stride: i64,
    /// How many elements.
    pub(super) count: Dim,
    /// Whether the axis is not in the result.
    pub(super) squeezed: bool,
}

/// What a call says of its slice, but for where that begins and ends.
pub(super) struct Slicing {
    op: &'static str,
    stride: Vec<i64>,
    /// Where `begin` does not count, where `end` does not, and which axes go.
    masks: [Vec<i64>; 3],
}

impl Slicing {
    /// Of a tensor of this rank.
    pub(super) fn of(args: &Args<'_>, rank: usize) -> Result<Self, Fault> {
        for param in ["begin", "end"] {
            expect_length(args, param, rank)?;
        }
        let given = |param, or: i64| {
            if !args.has(param) {
                return Ok(vec![or; rank]);
            }
            expect_length(args, param, rank)?;
            known_ints(args, param)
        };
        let stride = given("stride", 1)?;
        let masks = [given("begin_mask", 0)?, given("end_mask", 0)?, given("squeeze_mask", 0)?];
        Ok(Self { op: args.op.name, stride, masks })
    }

    /// What is taken along an axis, as far as it is known.
    pub(super) fn along(
        &self,
        axis: usize,
        dim: Dim,
        begin: Option<i64>,
        end: Option<i64>,
    ) -> Result<Along, Fault> {
        let [begin_mask, end_mask, squeeze_mask] = &self.masks;
        let begin = if begin_mask[axis] != 0 { Bound::Open } else { begin.into() };
        let end = if end_mask[axis] != 0 { Bound::Open } else { end.into() };
        if squeeze_mask[axis] != 0 {
            return single(self.op, axis, dim, begin);
        }
        several(self.op, axis, dim, begin, end, self.stride[axis])
    }
}

/// The part of `x` that a call describes, axis by axis, as far as it is known.
pub(super) fn part(args: &Args<'_>, x: &Shape) -> Result<Vec<Along>, Fault> {
    let slicing = Slicing::of(args, x.rank())?;
    let (begin, end) = (args.ints("begin"), args.ints("end"));
    let at = |numbers: &Option<Vec<i64>>, i: usize| numbers.as_ref().and_then(|n| n.get(i).copied());
    (0..x.rank()).map(|i| slicing.along(i, x[i], at(&begin, i), at(&end, i))).collect()
}

/// One end of a slice.
#[derive(Clone, Copy, PartialEq)]
enum Bound {
    /// The end of the axis.
    Open,
    /// A place; a negative one counts from the back.
    At(i64),
    /// A place that is known when the program runs.
    Later,
}

impl From<Option<i64>> for Bound {
    fn from(at: Option<i64>) -> Self {
        at.map_or(Bound::Later, Bound::At)
    }
}

/// The one element of an axis that goes.
fn single(op: &str, axis: usize, dim: Dim, begin: Bound) -> Result<Along, Fault> {
    let begin = match (begin, dim) {
        (Bound::Open, _) => 0,
        (Bound::At(b), Dim::Known(n)) if b < 0 => b.saturating_add_unsigned(n),
        (Bound::At(b), _) => b,
        (Bound::Later, _) => 0,
    };
    if let Dim::Known(n) = dim
        && (begin < 0 || begin as u64 >= n)
    {
        return Err(Fault::of(
            "begin",
            &codes::INDEX_OUT_OF_RANGE,
            format!("`{op}` takes one element of axis {axis}, which has {n}, and not where `begin` says"),
        )
        .against("x"));
    }
    Ok(Along { begin, stride: 1, count: Dim::Known(1), squeezed: true })
}

/// The elements of an axis that stays, as NumPy's `begin:end:stride` takes them.
fn several(op: &str, axis: usize, dim: Dim, begin: Bound, end: Bound, stride: i64) -> Result<Along, Fault> {
    let along = |begin, count| Ok(Along { begin, stride, count, squeezed: false });
    if stride == 0 {
        return Err(unusable(op, "stride", format_args!("it is 0 along axis {axis}")));
    }
    let forward = stride > 0;
    if let (Bound::At(b), Bound::At(e)) = (begin, end)
        && (forward && b >= 0 && e >= 0 && e < b || !forward && b < 0 && e < 0 && b < e)
    {
        return Err(unusable(
            op,
            "end",
            format_args!("along axis {axis} it lies before `begin`: {b} to {e} by {stride}"),
        )
        .against("begin"));
    }
    let steps = |distance: i64| {
        if distance <= 0 { 0 } else { (distance as u64 - 1) / stride.unsigned_abs() + 1 }
    };
    let Dim::Known(n) = dim else {
        // Some lengths follow without the dimension, which then has an element there.
        let few = match (begin, end) {
            (Bound::At(b), Bound::At(e)) if (b < 0) == (e < 0) && (b >= 0) == forward => {
                let count = steps(if forward { e.saturating_sub(b) } else { b.saturating_sub(e) });
                (count <= 1).then_some(count)
            }
            (Bound::At(-1), Bound::Open) if forward => Some(1),
            (Bound::At(0), Bound::Open) if !forward => Some(1),
            _ => None,
        };
        let whole = begin == Bound::Open && end == Bound::Open && stride.unsigned_abs() == 1;
        return along(0, if whole { dim } else { few.map_or(Dim::Unknown, Dim::Known) });
    };
    if begin == Bound::Later || end == Bound::Later {
        return along(0, Dim::Unknown);
    }
    // Dimensions of tensors are far below 2^63; a larger one is refused elsewhere.
    let n = n.min(i64::MAX as u64) as i64;
    let (low, high) = if forward { (0, n) } else { (-1, n - 1) };
    let place = |bound: Bound, open: i64| match bound {
        Bound::At(b) if b < 0 => b.saturating_add(n).clamp(low, high),
        Bound::At(b) => b.clamp(low, high),
        _ => open,
    };
    let (first, last) = if forward { (low, high) } else { (high, low) };
    let (begin, end) = (place(begin, first), place(end, last));
    along(begin, Dim::Known(steps(if forward { end - begin } else { begin - end })))
}

/// The shape of the part, without the axes that go.
pub(super) fn part_shape(part: &[Along]) -> Shape {
    part.iter().filter(|a| !a.squeezed).map(|a| a.count).collect()
}

/// The part of `x` as a view.
pub(super) fn part_view(part: &[Along], x: &[usize]) -> View {
    let own = strides(x);
    let dims: Vec<usize> = part.iter().map(|a| a.count.known().unwrap_or(0) as usize).collect();
    let empty = dims.contains(&0);
    let start: usize =
        if empty { 0 } else { part.iter().zip(&own).map(|(a, &s)| a.begin as usize * s as usize).sum() };
    // A stride that is never taken may be any number.
    let steps: Vec<isize> = part
        .iter()
        .zip(&own)
        .zip(&dims)
        .map(|((a, &s), &n)| if n > 1 && !empty { a.stride as isize * s } else { 0 })
        .collect();
    let shape = part_shape(part).known().unwrap_or_default();
    View { shape, start, dims, steps }
}
