//! Poolings: `avg_pool`, `max_pool`, `l2_pool`, over one to three spatial dimensions.
//!
//! Padding is less than any number to `max_pool`, and zero to the others. Sums are carried in f64 and rounded once.

#[cfg(test)]
mod tests;

use std::ops::Range;

use anemone_kernels::norm::{Lanes, Reduction, reduce};
use anemone_kernels::pool::{self as kernels, Pooling};

use super::fast::{Ready, dims, for_float, idle, nothing, ready};
use super::row::*;
use super::window::{SPATIAL, Window, Windows, for_kernels, numbers, room, spatial};

const AVG_POOL: &[Edition] = &[edition(
    Ios15,
    &[
        tensor("exclude_padding_from_average", BOOL).constant().or(Bool(false)),
        tensor("x", FLOATS).domain('T'),
        tensor("kernel_sizes", I32).constant(),
        tensor("strides", I32).constant().or(Absent),
        tensor("pad_type", STR).constant(),
        tensor("pad", I32).constant().or(Absent),
        tensor("ceil_mode", BOOL).constant().or(Bool(false)),
    ],
)];

/// The parameters of `max_pool` and `l2_pool`.
const POOL: &[Edition] = &[edition(
    Ios15,
    &[
        tensor("x", FLOATS).domain('T'),
        tensor("kernel_sizes", I32).constant(),
        tensor("strides", I32).constant().or(Absent),
        tensor("pad_type", STR).constant(),
        tensor("pad", I32).constant().or(Absent),
        tensor("ceil_mode", BOOL).constant().or(Bool(false)),
    ],
)];

/// What a call says: the sizes of the kernel, and how it slides.
fn read(args: &Args<'_>) -> Result<(Vec<u64>, Windows), Fault> {
    let spatial = spatial(args, if args.op.name == "l2_pool" { 2 } else { SPATIAL })?;
    args.tensor("kernel_sizes")?;
    let kernel = numbers(args, "kernel_sizes", spatial, 1)?.unwrap_or_else(|| vec![1; spatial]);
    Ok((kernel, Windows::read(args, "kernel_sizes", spatial)?))
}

fn infer(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let (kernel, windows) = read(args)?;
    let x = args.ty("x")?;
    let mut shape = x.shape.clone();
    for (i, &k) in kernel.iter().enumerate() {
        shape[2 + i] = windows.output(i, x.shape[2 + i], Dim::Known(k))?;
    }
    Ok(vec![Type::tensor(x.dtype, shape)])
}

/// What is under the kernel for each output along one dimension: the elements of the input, and how many they and
/// the padding are.
fn covers(window: &Window) -> Vec<(Range<usize>, usize)> {
    (0..window.output).map(|o| (window.inputs(o), window.covered(o))).collect()
}

/// The windows of a call, along the last dimensions of all three.
fn sides(args: &Args<'_>) -> Result<[Window; SPATIAL], Fault> {
    let (kernel, windows) = read(args)?;
    let x = dims(args, "x")?;
    let mut sides = [Window::ONE; SPATIAL];
    let lead = SPATIAL - kernel.len();
    for (i, &k) in kernel.iter().enumerate() {
        sides[lead + i] = windows.window(i, x[2 + i], k as usize)?;
    }
    Ok(sides)
}

/// Pools each channel: `step` takes what is under a kernel one by one, starting with `start`, and `finish` makes the
/// result of it, of the number of elements of the input, and of the number of elements with the padding.
fn pool(
    args: &Args<'_>,
    start: f64,
    step: impl Fn(f64, f64) -> f64,
    finish: impl Fn(f64, usize, usize) -> f64,
) -> Result<Vec<Datum>, Fault> {
    let (x, sides) = (args.tensor("x")?, sides(args)?);
    let mut shape = x.shape()[..2].to_vec();
    shape.extend(sides[SPATIAL + 2 - x.rank()..].iter().map(|w| w.output));
    let mut y = room(x.dtype(), &shape)?;
    if shape.contains(&0) {
        return Ok(vec![Tensor::zeros(x.dtype(), &shape)?.into()]);
    }
    let xs = x.to_f64s();
    let [depth, height, width] = sides.map(|w| w.input);
    let [over_d, over_h, over_w] = [covers(&sides[0]), covers(&sides[1]), covers(&sides[2])];
    for plane in 0..shape[0] * shape[1] {
        let x = &xs[plane * depth * height * width..][..depth * height * width];
        for (ds, dn) in &over_d {
            for (hs, hn) in &over_h {
                for (ws, wn) in &over_w {
                    let mut value = start;
                    for d in ds.clone() {
                        for h in hs.clone() {
                            let row = &x[(d * height + h) * width..][..width];
                            value = row[ws.clone()].iter().fold(value, |v, &x| step(v, x));
                        }
                    }
                    let inside = ds.len() * hs.len() * ws.len();
                    y.push(finish(value, inside, dn.saturating_mul(*hn).saturating_mul(*wn)));
                }
            }
        }
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), &shape, &y)?.into()])
}

fn compute_max(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let larger = |a: f64, b: f64| if b > a || b.is_nan() { b } else { a };
    pool(args, f64::NEG_INFINITY, larger, |max, _, _| max)
}

/// A window that covers nothing, which `ceil_mode` can give, averages to 0.
fn compute_avg(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let exclude = args.bool("exclude_padding_from_average").unwrap_or(false);
    pool(
        args,
        0.0,
        |sum, x| sum + x,
        |sum, inside, all| sum / (if exclude { inside } else { all }).max(1) as f64,
    )
}

fn compute_l2(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    pool(args, 0.0, |sum, x| sum + x * x, |sum, _, _| sum.sqrt())
}

/// Large kernels go over each element once for each window that it lies in, one by one, which the meaning does as
/// well; the kernels are for small ones, and for those that cover all of `x`.
fn fast(args: &Args<'_>, types: &[Type]) -> Ready {
    let (dtype, own, x) = (args.ty("x")?.dtype, dims(args, "x")?, args.reader("x")?);
    let Some(window) = for_kernels(&sides(args)?) else { return Ok(None) };
    if nothing(types) {
        return idle();
    }
    if own.contains(&0) {
        return Ok(None);
    }
    let exclude = args.bool("exclude_padding_from_average").unwrap_or(false);
    let (pooling, reduction) = match args.op.name {
        "max_pool" => (Pooling::Max, Reduction::Max),
        "avg_pool" => (Pooling::Average { padding: !exclude }, Reduction::Mean),
        _ => (Pooling::Norm, Reduction::L2),
    };
    let whole = window.output_len() == 1 && window.kernel == window.input && window.before == [0; SPATIAL];
    if !whole && window.kernel_len() > 256 {
        return Ok(None);
    }
    let lanes = Lanes { outer: own[0] * own[1], length: window.input_len(), inner: 1 };
    for_float!(dtype, T => ready(move |run| {
        let x: &[T] = run.read(&x);
        if whole {
            reduce(run.threads, run.write(0), x, lanes, reduction);
        } else {
            kernels::pool(run.threads, run.write(0), x, &window, pooling);
        }
    }))
}

/// A row of this family.
const fn pooling(
    name: &'static str,
    summary: &'static str,
    editions: &'static [Edition],
    compute: Compute,
    tolerance: Tolerance,
) -> Op {
    Op {
        name,
        summary,
        editions,
        results: Results::Exactly(1),
        infer,
        meaning: Meaning::Compute(compute),
        fast: Fast::Prepared(fast),
        tolerance,
        scalar: Scalar::None,
    }
}

pub(super) static OPS: &[Op] = &[
    pooling("avg_pool", "the mean of each window", AVG_POOL, compute_avg, Tolerance::Sum(8)),
    pooling("max_pool", "the largest element of each window", POOL, compute_max, Tolerance::Exact),
    pooling("l2_pool", "the Euclidean norm of each window", POOL, compute_l2, Tolerance::Sum(8)),
];
