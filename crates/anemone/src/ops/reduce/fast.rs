//! Reductions with the kernels.

use anemone_kernels::Float as _;
use anemone_kernels::norm::{self, Reduction};
use anemone_kernels::scratch::scratch;

use super::{first, log_sum_exp, sum};
use crate::ops::fast::{Ready, dims, for_float, idle, neighbours, nothing, ready};
use crate::ops::lanes::{axes_of, axis_of};
use crate::ops::moves::{ViewCopy, permuted};
use crate::ops::row::*;

/// The lanes along some axes of an argument, whose elements are brought together where the axes are no neighbours.
struct Together {
    x: Reader,
    first: Option<ViewCopy>,
    lanes: norm::Lanes,
}

impl Together {
    fn new(args: &Args<'_>, axes: &[usize]) -> Result<Self, Fault> {
        let (x, shape) = (args.reader("x")?, dims(args, "x")?);
        if let Some(lanes) = neighbours(&shape, axes) {
            return Ok(Self { x, first: None, lanes });
        }
        let kept = (0..shape.len()).filter(|axis| !axes.contains(axis));
        let perm: Vec<usize> = kept.chain(axes.iter().copied()).collect();
        let moved: Vec<usize> = perm.iter().map(|&axis| shape[axis]).collect();
        let lanes = norm::Lanes::along(&moved, moved.len() - axes.len()..moved.len());
        Ok(Self { x, first: Some(permuted(&shape, &perm, &moved).copy()), lanes })
    }

    /// Calls `f` with the elements.
    fn with<T: bytemuck::Pod + Send + Sync>(
        &self,
        run: &mut Run<'_, '_>,
        f: impl FnOnce(&mut Run<'_, '_>, &[T]),
    ) {
        let x: &[T] = run.read(&self.x);
        let Some(copy) = &self.first else { return f(run, x) };
        let mut together = scratch::<T>(x.len());
        copy.run(run.threads, &mut together, x);
        f(run, &together);
    }
}

/// Reductions along neighbouring axes; others are brought together first.
pub(super) fn reduction(args: &Args<'_>, types: &[Type]) -> Ready {
    if args.op.name == "cumsum" {
        return fast_cumsum(args);
    }
    let x = args.ty("x")?;
    if args.op.name.starts_with("reduce_arg") {
        return fast_arg(args, types);
    }
    let lanes = Together::new(args, &axes_of(args, x.rank())?)?;
    if x.dtype == Int32 {
        return if nothing(types) { idle() } else { fast_ints(args, lanes) };
    }
    let reduction = match args.op.name {
        "reduce_l1_norm" => Reduction::L1,
        "reduce_l2_norm" => Reduction::L2,
        "reduce_log_sum" => Reduction::LogSum,
        "reduce_log_sum_exp" => Reduction::LogSumExp,
        "reduce_max" => Reduction::Max,
        "reduce_mean" => Reduction::Mean,
        "reduce_min" => Reduction::Min,
        "reduce_prod" => Reduction::Product,
        "reduce_sum" => Reduction::Sum,
        "reduce_sum_square" => Reduction::SumSquare,
        _ => return Ok(None),
    };
    for_float!(x.dtype, T => ready(move |run| {
        lanes.with(run, |run, x: &[T]| norm::reduce(run.threads, run.write(0), x, lanes.lanes, reduction));
    }))
}

/// Reductions of whole numbers, which wrap around.
fn fast_ints(args: &Args<'_>, x: Together) -> Ready {
    let n = x.lanes.length as i64;
    match args.op.name {
        "reduce_l1_norm" => folded(x, 0, |sum: i64, x| sum.wrapping_add(x.abs()), |sum| sum),
        "reduce_l2_norm" => as_floats(x, |x| sum(x, |x| x * x).sqrt()),
        "reduce_log_sum" => as_floats(x, |x| sum(x, |x| x).ln()),
        "reduce_log_sum_exp" => as_floats(x, log_sum_exp),
        "reduce_max" => folded(x, i64::MIN, i64::max, |max| max),
        "reduce_mean" => folded(x, 0, i64::wrapping_add, move |sum| sum.checked_div(n).unwrap_or(0)),
        "reduce_min" => folded(x, i64::MAX, i64::min, |min| min),
        "reduce_prod" => folded(x, 1, i64::wrapping_mul, |product| product),
        "reduce_sum" => folded(x, 0, i64::wrapping_add, |sum| sum),
        "reduce_sum_square" => folded(x, 0, |sum: i64, x| sum.wrapping_add(x.wrapping_mul(x)), |sum| sum),
        _ => Ok(None),
    }
}

/// Reduces each lane of whole numbers as floats.
fn as_floats(x: Together, f: impl Fn(&[f64]) -> f64 + Send + Sync + 'static) -> Ready {
    ready(move |run| {
        x.with(run, |run, elements: &[i32]| {
            let y: &mut [i32] = run.write(0);
            by_lane(elements, x.lanes, &f, |lane, number| y[lane] = number as i32);
        });
    })
}

/// Calls `give` with the number of each lane of whole numbers, and what a function makes of its elements.
fn by_lane<W: bytemuck::Pod + From<i32>, R>(
    x: &[i32],
    lanes: norm::Lanes,
    f: impl Fn(&[W]) -> R,
    mut give: impl FnMut(usize, R),
) {
    let norm::Lanes { outer, length, inner } = lanes;
    let mut lane = scratch::<W>(length);
    for at in 0..outer * inner {
        let first = at / inner * length * inner + at % inner;
        let elements = x.get(first..).unwrap_or_default().iter().step_by(inner);
        lane.iter_mut().zip(elements).for_each(|(to, &x)| *to = x.into());
        give(at, f(&lane));
    }
}

/// Folds each lane of whole numbers.
fn folded(
    x: Together,
    start: i64,
    f: impl Fn(i64, i64) -> i64 + Send + Sync + 'static,
    finish: impl Fn(i64) -> i64 + Send + Sync + 'static,
) -> Ready {
    let norm::Lanes { length, inner, .. } = x.lanes;
    ready(move |run| {
        x.with(run, |run, x: &[i32]| {
            if x.is_empty() {
                return run.write::<i32>(0).fill(finish(start) as i32);
            }
            let mut all = scratch::<i64>(inner);
            for (y, x) in run.write::<i32>(0).chunks_exact_mut(inner).zip(x.chunks_exact(length * inner)) {
                all.fill(start);
                for row in x.chunks_exact(inner) {
                    all.iter_mut().zip(row).for_each(|(all, &x)| *all = f(*all, x.into()));
                }
                y.iter_mut().zip(&*all).for_each(|(y, &all)| *y = finish(all) as i32);
            }
        });
    })
}

fn fast_arg(args: &Args<'_>, types: &[Type]) -> Ready {
    let (dtype, x, axis) = (args.ty("x")?.dtype, args.reader("x")?, axis_of(args)?);
    let lanes = norm::Lanes::along(&dims(args, "x")?, axis..axis + 1);
    let smallest = args.op.name == "reduce_argmin";
    let narrow = types[0].as_tensor().is_some_and(|t| t.dtype == UInt16);
    if nothing(types) {
        return idle();
    }
    if dtype == Int32 {
        let better = if smallest { |x: i64, best| x < best } else { |x: i64, best| x > best };
        return ready(move |run| {
            let x: &[i32] = run.read(&x);
            if narrow {
                let y: &mut [u16] = run.write(0);
                by_lane(x, lanes, |lane| first(lane, better), |lane, at| y[lane] = at as u16);
            } else {
                let y: &mut [i32] = run.write(0);
                by_lane(x, lanes, |lane| first(lane, better), |lane, at| y[lane] = at as i32);
            }
        });
    }
    for_float!(dtype, T => ready(move |run| {
        let x: &[T] = run.read(&x);
        if !narrow {
            return norm::arg_max(run.threads, run.write(0), x, lanes, smallest);
        }
        let mut wide = scratch::<i32>(lanes.outer * lanes.inner);
        norm::arg_max(run.threads, &mut wide, x, lanes, smallest);
        run.write::<u16>(0).iter_mut().zip(&*wide).for_each(|(y, &at)| *y = at as u16);
    }))
}

fn fast_cumsum(args: &Args<'_>) -> Ready {
    let (dtype, shape, x) = (args.ty("x")?.dtype, dims(args, "x")?, args.reader("x")?);
    let axis = axis_of(args)?;
    let lanes = norm::Lanes::along(&shape, axis..axis + 1);
    let way = (args.bool("exclusive").unwrap_or(false), args.bool("reverse").unwrap_or(false));
    if shape.contains(&0) {
        return idle();
    }
    if dtype == Int32 {
        return ready(move |run| {
            let x: &[i32] = run.read(&x);
            running(run.write(0), x, lanes, 0, i32::wrapping_add, |sum| sum, way);
        });
    }
    for_float!(dtype, T => ready(move |run| {
        let x: &[T] = run.read(&x);
        let add = |sum: f64, x: T| sum + f64::from(x.to_f32());
        running(run.write(0), x, lanes, 0.0, add, |sum| T::from_f32(sum as f32), way);
    }))
}

/// Writes the running sums of each lane, row by row.
fn running<T: Copy, S: bytemuck::Pod>(
    y: &mut [T],
    x: &[T],
    lanes: norm::Lanes,
    zero: S,
    add: impl Fn(S, T) -> S,
    give: impl Fn(S) -> T,
    (exclusive, reverse): (bool, bool),
) {
    let norm::Lanes { length, inner, .. } = lanes;
    let mut sums = scratch::<S>(inner);
    for (y, x) in y.chunks_exact_mut(length * inner).zip(x.chunks_exact(length * inner)) {
        sums.fill(zero);
        for i in 0..length {
            let row = if reverse { length - 1 - i } else { i } * inner;
            let elements = y[row..][..inner].iter_mut().zip(&x[row..]);
            for ((y, &x), sum) in elements.zip(&mut *sums) {
                let before = *sum;
                *sum = add(before, x);
                *y = give(if exclusive { before } else { *sum });
            }
        }
    }
}
