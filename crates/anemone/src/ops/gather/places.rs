//! The places that indices name, which kernels compute before the run or in it.

use anemone_kernels::scratch::scratch;

use super::{no_tuple, places_along};
use crate::ops::fast::{Elements, Numbers, dims};
use crate::ops::loops::strides;
use crate::ops::row::*;

/// Which indices an op takes.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Rule {
    op: &'static str,
    /// Whether negative ones are refused.
    strict: bool,
}

impl Rule {
    pub(in crate::ops) fn of(args: &Args<'_>) -> Self {
        Self { op: args.op.name, strict: args.bool("validate_indices") == Some(true) }
    }

    /// The place that an index names among `n` elements.
    pub(super) fn place(self, index: i64, n: usize) -> Result<usize, Fault> {
        let from_front =
            if index < 0 && !self.strict { index.saturating_add_unsigned(n as u64) } else { index };
        match usize::try_from(from_front) {
            Ok(i) if i < n => Ok(i),
            _ => Err(Fault::of(
                "indices",
                &codes::INDEX_OUT_OF_RANGE,
                format!("`indices` of `{}` holds {index}, and there are {n} elements", self.op),
            )
            .help(if self.strict {
                "`validate_indices` takes no negative indices"
            } else {
                "indices count from 0"
            })),
        }
    }

    /// The places that indices name among `n` elements.
    fn places(self, indices: &[i64], n: usize, to: &mut [usize]) -> Result<(), Fault> {
        to.iter_mut().zip(indices).try_for_each(|(to, &index)| self.place(index, n).map(|place| *to = place))
    }
}

/// Places that a kernel computes of `indices`: when the step is prepared, if they are constant, else when it runs.
pub(in crate::ops) enum Places {
    Known(Vec<usize>),
    Given { indices: Numbers<i64>, count: usize, of: Box<PlacesOf> },
}

/// Writes the places that indices name.
type PlacesOf = dyn Fn(&[i64], &mut [usize]) -> Result<(), Fault> + Send + Sync;

impl Places {
    /// As many places as `count`, which `of` computes.
    fn new(
        args: &Args<'_>,
        count: usize,
        of: impl Fn(&[i64], &mut [usize]) -> Result<(), Fault> + Send + Sync + 'static,
    ) -> Result<Self, Fault> {
        match Numbers::<i64>::of(args, "indices")? {
            Numbers::Known(indices) => {
                let mut places = vec![0; count];
                of(&indices, &mut places)?;
                Ok(Self::Known(places))
            }
            indices => Ok(Self::Given { indices, count, of: Box::new(of) }),
        }
    }

    /// The index of each number, along a dimension of `n` elements.
    pub(in crate::ops) fn along(args: &Args<'_>, n: usize) -> Result<Self, Fault> {
        let rule = Rule::of(args);
        let count = dims(args, "indices")?.iter().product();
        Self::new(args, count, move |indices, to| rule.places(indices, n, to))
    }

    /// Where slices along an axis of a tensor of this shape start, as [`slice_places`](super::slice_places) walks through them.
    pub(in crate::ops) fn of_slices(
        args: &Args<'_>,
        shape: Vec<usize>,
        axis: usize,
        batch: usize,
    ) -> Result<Self, Fault> {
        let (rule, indices) = (Rule::of(args), dims(args, "indices")?);
        let count = shape[..axis].iter().chain(&indices[batch..]).product();
        Self::new(args, count, move |indices, to| {
            let mut places = scratch(indices.len());
            rule.places(indices, shape[axis], &mut places)?;
            let start = slice_starts(&shape, axis, batch, &places);
            to.iter_mut().enumerate().for_each(|(i, to)| *to = start(i));
            Ok(())
        })
    }

    /// Where the elements lie that [`places_along`] gives.
    pub(in crate::ops) fn of_each(args: &Args<'_>, shape: Vec<usize>, axis: usize) -> Result<Self, Fault> {
        let (rule, own) = (Rule::of(args), dims(args, "indices")?);
        let (length, count) = (own[axis], own.iter().product());
        Self::new(args, count, move |indices, to| {
            let mut places = scratch(indices.len());
            rule.places(indices, shape[axis], &mut places)?;
            to.iter_mut()
                .zip(places_along(&shape, axis, length, &places))
                .for_each(|(to, place)| *to = place);
            Ok(())
        })
    }

    /// Where the slices start that tuples of indices name.
    pub(in crate::ops) fn of_tuples(args: &Args<'_>, tuples: Tuples) -> Result<Self, Fault> {
        Self::new(args, tuples.count, move |indices, to| {
            let mut starts = to.iter_mut().enumerate();
            starts.try_for_each(|(i, to)| tuples.start(i, indices).map(|start| *to = start))
        })
    }

    /// The places.
    pub(in crate::ops) fn read<'b>(&'b self, run: &Run<'_, '_>) -> Result<Elements<'b, usize>, Fault> {
        Ok(match self {
            Self::Known(places) => Elements::Lent(places),
            Self::Given { indices, count, of } => {
                let mut places = scratch(*count);
                of(&indices.read(run), &mut places)?;
                Elements::Own(places)
            }
        })
    }
}

/// Where the slices of [`slice_places`](super::slice_places) start, by their number.
fn slice_starts(shape: &[usize], axis: usize, batch: usize, indices: &[usize]) -> impl Fn(usize) -> usize {
    let count = |dims: &[usize]| dims.iter().product::<usize>();
    let (n, inner) = (shape[axis], count(&shape[axis + 1..]));
    let (batches, between) = (count(&shape[..batch]), count(&shape[batch..axis]));
    let each = indices.len().checked_div(batches).unwrap_or(0);
    move |at| {
        let (outer, k) = (at / each, at % each);
        (outer * n + indices[outer / between * each + k]) * inner
    }
}

/// How tuples of indices name slices of a tensor: the last dimension of `indices` is the tuple.
pub(in crate::ops) struct Tuples {
    rule: Rule,
    /// How many tuples there are, and how many of each batch.
    pub(super) count: usize,
    each: usize,
    /// How far apart the batches lie.
    apart: usize,
    /// The dimensions that a tuple names a place in, and how far apart their elements lie.
    named: Vec<(usize, usize)>,
    /// How long the slices are.
    pub(in crate::ops) run: usize,
}

impl Tuples {
    pub(in crate::ops) fn of(
        args: &Args<'_>,
        shape: &[usize],
        batch: usize,
        indices: &[usize],
    ) -> Result<Self, Fault> {
        let Some((&depth, leading)) = indices.split_last() else {
            return Err(no_tuple(args));
        };
        let steps = strides(shape);
        let count: usize = leading.iter().product();
        let batches: usize = shape[..batch].iter().product();
        let named = shape[batch..batch + depth].iter().copied().zip(steps[batch..].iter().copied());
        Ok(Self {
            rule: Rule::of(args),
            count,
            each: count.checked_div(batches).unwrap_or(0),
            apart: batch.checked_sub(1).map_or(0, |last| steps[last]),
            named: named.collect(),
            run: shape[batch + depth..].iter().product(),
        })
    }

    /// Where the slice starts that a tuple of these indices names.
    pub(super) fn start(&self, tuple: usize, indices: &[i64]) -> Result<usize, Fault> {
        let mut start = if self.apart > 0 { tuple / self.each * self.apart } else { 0 };
        for (&index, &(n, step)) in indices[tuple * self.named.len()..].iter().zip(&self.named) {
            start += self.rule.place(index, n)? * step;
        }
        Ok(start)
    }
}
