//! What the ops that move elements share.
//!
//! Such an op is a map from each place of its result to a place of its operands. [`offsets`] is the map of a strided
//! view; [`joined`] lays several operands one after another, so that one map can point into all of them.

use anemone_kernels::layout;
use anemone_kernels::scratch::scratch;

use super::fast::{Elements, Ready, dims, for_bits, ready, ready_if};
use super::row::*;
pub(super) use crate::mil::op::View;
use crate::mil::op::{Compute, Infer};
use crate::types::{MAX_ELEMENTS, MAX_RANK};

/// What ops that move elements take since iOS 17.
pub(super) const MOVED17: &[DType] = &[Fp16, Fp32, Int8, Int16, Int32, UInt8, UInt16, DType::Bool];

/// What indices may be since iOS 17.
pub(super) const INDEX17: &[DType] = &[Int8, Int16, Int32];

/// A row of an op whose results are the same bits on every engine, and whose meaning is as fast as it gets, where the row
/// does not name another fast way; [`Fast::Meaning`] says which are.
pub(super) const fn exact(
    name: &'static str,
    summary: &'static str,
    editions: &'static [Edition],
    results: Results,
    infer: Infer,
    compute: Compute,
) -> Op {
    Op {
        name,
        summary,
        editions,
        results,
        infer,
        meaning: Meaning::Compute(compute),
        fast: Fast::Meaning,
        tolerance: Tolerance::Exact,
        scalar: Scalar::None,
    }
}

/// A row whose result has the elements of its first argument, which need not be moved.
pub(super) const fn alias(op: Op) -> Op {
    Op { fast: Fast::Alias, ..op }
}

/// The offsets at which a strided view reads its operand, in row-major order of the view.
pub(super) struct Offsets {
    shape: Vec<usize>,
    strides: Vec<isize>,
    index: Vec<usize>,
    next: Option<isize>,
}

/// The view of this shape that starts at `start` and moves by `strides[a]` elements along axis `a`.
pub(super) fn offsets(start: usize, shape: &[usize], strides: &[isize]) -> Offsets {
    Offsets {
        shape: shape.to_vec(),
        strides: strides.to_vec(),
        index: vec![0; shape.len()],
        next: (!shape.contains(&0)).then_some(start as isize),
    }
}

impl Iterator for Offsets {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let at = self.next?;
        let mut next = at;
        let mut axis = self.shape.len();
        self.next = loop {
            if axis == 0 {
                break None;
            }
            axis -= 1;
            self.index[axis] += 1;
            next += self.strides[axis];
            if self.index[axis] < self.shape[axis] {
                break Some(next);
            }
            next -= self.strides[axis] * self.shape[axis] as isize;
            self.index[axis] = 0;
        };
        Some(at as usize)
    }
}

impl View {
    /// The elements of a tensor, picked one by one.
    pub(super) fn picked(&self, x: &Tensor) -> Result<Tensor, Fault> {
        Ok(x.pick(&self.shape, offsets(self.start, &self.dims, &self.steps))?)
    }

    /// A step that gives the view of an argument; none for strings and elements below a byte.
    pub(super) fn ready(self, args: &Args<'_>, param: &'static str) -> Ready {
        // What is itself not made is copied from where it comes from.
        let view = args.view(param, |view| self.of(view)).unwrap_or(self);
        let (dtype, x, copy) = (args.ty(param)?.dtype, args.reader(param)?, view.copy());
        for_bits!(dtype, E => ready(move |run| {
            let x: &[E] = run.read(&x);
            copy.run(run.threads, run.write(0), x);
        }))
    }

    /// As [`View::ready`], of a view that starts where `start` says when the step runs; it is given the strides of the
    /// argument.
    pub(super) fn ready_from(
        self,
        args: &Args<'_>,
        param: &'static str,
        start: impl Fn(&Run<'_, '_>, &[usize]) -> Result<usize, Fault> + Send + Sync + 'static,
    ) -> Ready {
        let (dtype, x, own) = (args.ty(param)?.dtype, args.reader(param)?, dims(args, param)?);
        let (own, copy) = (super::loops::strides(&own), self.copy());
        for_bits!(dtype, E => ready_if(move |run| {
            let (x, start) = (run.read::<E>(&x), start(run, &own)?);
            copy.run_from(run.threads, start, run.write(0), x);
            Ok(())
        }))
    }

    /// What the kernels need to copy the elements.
    pub(super) fn copy(self) -> ViewCopy {
        let steps = self.steps.iter().zip(&self.dims);
        let steps: Vec<isize> = steps.map(|(&s, &n)| if n > 1 { s } else { 0 }).collect();
        let forward = steps.iter().map(|&s| usize::try_from(s)).collect::<Result<Vec<_>, _>>();
        let steps = forward.map_or(Steps::Back(steps), Steps::Forward);
        ViewCopy { start: self.start, dims: self.dims, steps }
    }
}

/// A [`View`] whose elements can be copied, as often as wanted.
pub(super) struct ViewCopy {
    start: usize,
    dims: Vec<usize>,
    steps: Steps,
}

enum Steps {
    Forward(Vec<usize>),
    /// Some lead back.
    Back(Vec<isize>),
}

impl ViewCopy {
    /// Copies the elements of the view of `from`.
    pub(super) fn run<E: bytemuck::Pod + Send + Sync>(&self, threads: usize, to: &mut [E], from: &[E]) {
        self.run_from(threads, self.start, to, from);
    }

    /// As [`ViewCopy::run`], of the view that starts here.
    fn run_from<E: bytemuck::Pod + Send + Sync>(
        &self,
        threads: usize,
        start: usize,
        to: &mut [E],
        from: &[E],
    ) {
        match &self.steps {
            Steps::Forward(steps) => layout::copy(threads, to, &self.dims, from, start, steps),
            Steps::Back(steps) => layout::copy_back(threads, to, &self.dims, from, start, steps),
        }
    }
}

/// The elements before, along and behind an axis.
pub(super) fn around(shape: &[usize], axis: usize) -> [usize; 3] {
    let count = |dims: &[usize]| dims.iter().product();
    [count(&shape[..axis]), shape[axis], count(&shape[axis + 1..])]
}

/// What is picked along some axes of a tensor, along one after the other.
pub(super) struct Picks(Vec<([usize; 3], Vec<usize>)>);

impl Picks {
    /// Of a tensor of this shape, these places along these axes.
    pub(super) fn new(mut shape: Vec<usize>, along: impl IntoIterator<Item = (usize, Vec<usize>)>) -> Self {
        let pick = |(axis, places): (usize, Vec<usize>)| {
            let sizes = around(&shape, axis);
            shape[axis] = places.len();
            (sizes, places)
        };
        Self(along.into_iter().map(pick).collect())
    }

    /// A step that picks from an argument.
    pub(super) fn ready(self, args: &Args<'_>, param: &'static str) -> Ready {
        let (dtype, x) = (args.ty(param)?.dtype, args.reader(param)?);
        for_bits!(dtype, E => ready(move |run| {
            let x: &[E] = run.read(&x);
            let Some((last, before)) = self.0.split_last() else { return run.write(0).copy_from_slice(x) };
            let mut picked = Elements::Lent(x);
            for &([outer, n, inner], ref places) in before {
                let mut next = scratch(outer * places.len() * inner);
                layout::look_up(run.threads, &mut next, &picked, places, [outer, n, inner]);
                picked = Elements::Own(next);
            }
            layout::look_up(run.threads, run.write(0), &picked, &last.1, last.0);
        }))
    }
}

/// A row of an op that gives a [`View`] of `x`, which a function of the arguments describes.
macro_rules! viewed {
    ($name:literal, $summary:literal, $editions:expr, $infer:expr, $view:expr $(,)?) => {
        Op {
            fast: $crate::mil::op::Fast::Viewing(
                |args, _| $view(args)?.ready(args, "x"),
                |args| Ok(Some(vec![$view(args)?])),
            ),
            ..$crate::ops::moves::exact($name, $summary, $editions, Results::Exactly(1), $infer, |args, _| {
                $crate::ops::moves::one($view(args)?.picked(args.tensor("x")?)?)
            })
        }
    };
}

pub(super) use viewed;

/// Row-major strides that can be negated.
pub(super) fn strides(shape: &[usize]) -> Vec<isize> {
    super::loops::strides(shape).into_iter().map(|s| s as isize).collect()
}

/// The elements of several tensors of one dtype, one after another.
pub(super) fn joined(parts: &[&Tensor]) -> Result<Tensor, Fault> {
    let n: usize = parts.iter().map(|t| t.len()).sum();
    let Some(dtype) = parts.first().map(|t| t.dtype()) else { return Ok(Tensor::zeros(Fp32, &[0])?) };
    Ok(if dtype == DType::String {
        let all = parts.iter().filter_map(|t| t.as_strings()).flatten().cloned().collect();
        Tensor::from_strings(&[n], all)?
    } else if dtype.is_sub_byte() {
        Tensor::from_i64s(dtype, &[n], &parts.iter().flat_map(|t| t.to_i64s()).collect::<Vec<_>>())?
    } else {
        let mut all = Tensor::zeros(dtype, &[n])?;
        let mut rest = all.bytes_mut().unwrap_or_default();
        for part in parts {
            rest.split_off_mut(..part.bytes().len()).unwrap_or_default().copy_from_slice(part.bytes());
        }
        all
    })
}

/// The one result, as a meaning gives it.
pub(super) fn one(t: Tensor) -> Result<Vec<Datum>, Fault> {
    Ok(vec![t.into()])
}

/// The type of the one result, if a tensor may have it.
pub(super) fn result(args: &Args<'_>, dtype: DType, shape: Shape) -> Result<Vec<Type>, Fault> {
    Ok(vec![tensor_type(args, dtype, shape)?])
}

/// The type of a result, if a tensor may have it.
pub(super) fn tensor_type(args: &Args<'_>, dtype: DType, shape: Shape) -> Result<Type, Fault> {
    if shape.rank() > MAX_RANK {
        return Err(Fault::new(
            &codes::WRONG_RANK,
            format!(
                "the result of `{}` would have {} dimensions, and {MAX_RANK} are the most",
                args.op.name,
                shape.rank()
            ),
        ));
    }
    // Empty tensors too, so that strides and offsets cannot overflow.
    let extent = shape.iter().filter_map(|d| d.known()).fold(1, |n: u64, d| n.saturating_mul(d.max(1)));
    if extent > MAX_ELEMENTS {
        return Err(Fault::new(
            &codes::TENSOR_TOO_LARGE,
            format!("the result of `{}` would have shape {shape}", args.op.name),
        ));
    }
    Ok(TensorType { dtype, shape }.into())
}

/// The declared type of the result, where not even its rank can be inferred.
pub(super) fn as_declared(args: &Args<'_>, param: &'static str, dtype: DType) -> Result<Vec<Type>, Fault> {
    match args.declared.first().and_then(Type::as_tensor) {
        Some(declared) => result(args, dtype, declared.shape.clone()),
        None => Err(Fault::of(
            param,
            &codes::BAD_VALUE,
            format!("`{param}` of `{}` does not say how many dimensions the result has", args.op.name),
        )
        .help(format!("give `{param}` a known length"))),
    }
}

/// The numbers of a parameter that must be known when the program is compiled.
pub(super) fn known_ints(args: &Args<'_>, param: &'static str) -> Result<Vec<i64>, Fault> {
    match args.ints(param) {
        Some(ints) => Ok(ints),
        None => Err(match args.tensor(param) {
            Err(fault) => fault,
            Ok(_) => bad_value(args, param, "it must be a number"),
        }),
    }
}

/// The number of a parameter that must be known when the program is compiled.
pub(super) fn known_int(args: &Args<'_>, param: &'static str) -> Result<i64, Fault> {
    known_ints(args, param)?.first().copied().ok_or_else(|| bad_value(args, param, "it is empty"))
}

/// The axis that a parameter names, counted from the front.
pub(super) fn known_axis(args: &Args<'_>, param: &'static str, rank: usize) -> Result<usize, Fault> {
    args.normal_axis(param, known_int(args, param)?, rank)
}

/// The parameter has a value that the op does not take.
pub(super) fn bad_value(args: &Args<'_>, param: &'static str, why: impl std::fmt::Display) -> Fault {
    unusable(args.op.name, param, why)
}

/// [`bad_value`], of an op by its name.
pub(super) fn unusable(op: &str, param: &'static str, why: impl std::fmt::Display) -> Fault {
    Fault::of(param, &codes::BAD_VALUE, format!("`{param}` of `{op}` cannot be used: {why}"))
}

/// The type of a tensor argument of exactly this rank.
pub(super) fn of_rank<'a>(
    args: &Args<'a>,
    param: &'static str,
    rank: usize,
) -> Result<&'a TensorType, Fault> {
    let ty = args.ty(param)?;
    if ty.rank() == rank {
        return Ok(ty);
    }
    Err(Fault::of(
        param,
        &codes::WRONG_RANK,
        format!("`{param}` of `{}` has {} dimensions and must have {rank}", args.op.name, ty.rank()),
    ))
}

/// The length of a vector argument.
pub(super) fn length(args: &Args<'_>, param: &'static str) -> Result<Dim, Fault> {
    Ok(of_rank(args, param, 1)?.shape[0])
}

/// Refuses a vector argument that has not one number for each of `count` dimensions.
pub(super) fn expect_length(args: &Args<'_>, param: &'static str, count: usize) -> Result<(), Fault> {
    match length(args, param)? {
        Dim::Known(n) if n != count as u64 => Err(Fault::of(
            param,
            &codes::SHAPE_MISMATCH,
            format!("`{param}` of `{}` has {n} numbers and must have {count}", args.op.name),
        )),
        _ => Ok(()),
    }
}

/// The number of elements of these dimensions, if it is known.
pub(super) fn product(dims: &[Dim]) -> Dim {
    dims.iter().copied().collect::<Shape>().elements().map_or(Dim::Unknown, Dim::Known)
}

/// The dimensions of a shape that a program computes: none may be negative.
pub(super) fn dims_of(args: &Args<'_>, param: &'static str, ints: &[i64]) -> Result<Shape, Fault> {
    ints.iter()
        .map(|&d| {
            u64::try_from(d)
                .map(Dim::Known)
                .map_err(|_| bad_value(args, param, format_args!("it asks for a dimension of {d}")))
        })
        .collect()
}

/// A size or factor: a number of 1 or more.
pub(super) fn factor(args: &Args<'_>, param: &'static str) -> Result<u64, Fault> {
    match known_int(args, param)? {
        n @ 1.. => Ok(n as u64),
        n => Err(bad_value(args, param, format_args!("{n} is less than 1"))),
    }
}

/// A tensor seen in the shape `view`, its axes permuted, in the shape `shape`.
pub(super) fn permuted(view: &[usize], perm: &[usize], shape: &[usize]) -> View {
    let own = strides(view);
    let dims = perm.iter().map(|&axis| view[axis]).collect();
    let steps = perm.iter().map(|&axis| own[axis]).collect();
    View { shape: shape.to_vec(), start: 0, dims, steps }
}
