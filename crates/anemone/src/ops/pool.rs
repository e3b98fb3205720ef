//! Poolings: `avg_pool`, `max_pool`, `l2_pool`, over one to three spatial dimensions.
//!
//! Padding is less than any number to `max_pool`, and zero to the others. Sums are carried in f64 and rounded once.

use std::ops::Range;

use super::row::*;
use super::window::{SPATIAL, Window, Windows, numbers, room, spatial};

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

/// Pools each channel: `step` takes what is under a kernel one by one, starting with `start`, and `finish` makes the
/// result of it, of the number of elements of the input, and of the number of elements with the padding.
fn pool(
    args: &Args<'_>,
    start: f64,
    step: impl Fn(f64, f64) -> f64,
    finish: impl Fn(f64, usize, usize) -> f64,
) -> Result<Vec<Datum>, Fault> {
    let (kernel, windows) = read(args)?;
    let x = args.tensor("x")?;
    let mut sides = [Window::ONE; SPATIAL];
    let lead = SPATIAL - kernel.len();
    for (i, &k) in kernel.iter().enumerate() {
        sides[lead + i] = windows.window(i, x.shape()[2 + i], k as usize)?;
    }
    let mut shape = x.shape()[..2].to_vec();
    shape.extend(sides[lead..].iter().map(|w| w.output));
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

/// A row of this family.
const fn pooling(
    name: &'static str,
    summary: &'static str,
    editions: &'static [Edition],
    compute: crate::mil::op::Compute,
    tolerance: Tolerance,
) -> Op {
    Op {
        name,
        summary,
        editions,
        results: Results::Exactly(1),
        infer,
        meaning: Meaning::Compute(compute),
        fast: None,
        tolerance,
        scalar: Scalar::None,
    }
}

pub(super) static OPS: &[Op] = &[
    pooling("avg_pool", "the mean of each window", AVG_POOL, compute_avg, Tolerance::Sum(8)),
    pooling("max_pool", "the largest element of each window", POOL, compute_max, Tolerance::Exact),
    pooling("l2_pool", "the Euclidean norm of each window", POOL, compute_l2, Tolerance::Sum(8)),
];

#[cfg(test)]
mod tests {
    use super::super::testing::{self, arg, count, refuse, tensors, words};
    use super::*;

    /// `x` counts from 1; what is expected comes from loops over index tuples in NumPy.
    #[track_caller]
    fn check(op: &str, x: &[usize], rest: &str, shape: &[usize], values: &[f64]) {
        for dtype in [Fp32, Fp16] {
            let mut arguments = vec![("x", count(dtype, x))];
            arguments.extend(words(rest));
            let y = tensors(op, Ios16, &arguments).unwrap();
            assert_eq!(y[0].shape(), shape);
            // The expected numbers are written with six digits, and fp16 has eleven bits.
            let slack = if dtype == Fp32 { 1e-6 } else { 2f64.powi(-11) };
            for (y, v) in y[0].to_f64s().into_iter().zip(values) {
                assert!(y == *v || (y - v).abs() <= slack * v.abs(), "{y} where {v} is expected");
            }
        }
    }

    #[test]
    #[rustfmt::skip]
    fn poolings() {
        check("max_pool", &[1, 1, 5], "kernel_sizes=[2] pad_type=valid", &[1, 1, 4], &[2.0, 3.0, 4.0, 5.0]);
        check("max_pool", &[1, 1, 5], "kernel_sizes=[2] pad_type=valid strides=[2]", &[1, 1, 2], &[2.0, 4.0]);
        check("max_pool", &[1, 1, 5], "kernel_sizes=[2] pad_type=valid strides=[2] ceil_mode=true", &[1, 1, 3], &[2.0, 4.0, 5.0]);
        check("max_pool", &[1, 1, 4], "kernel_sizes=[2] pad_type=valid strides=[2] ceil_mode=true", &[1, 1, 2], &[2.0, 4.0]);
        check("max_pool", &[1, 1, 3], "kernel_sizes=[1] pad_type=valid strides=[3] ceil_mode=true", &[1, 1, 2], &[1.0, f64::NEG_INFINITY]);
        check("max_pool", &[1, 1, 4], "kernel_sizes=[2] pad_type=custom strides=[3] pad=[1,1] ceil_mode=true", &[1, 1, 2], &[1.0, 4.0]);
        check("max_pool", &[1, 1, 5], "kernel_sizes=[3] pad_type=custom strides=[3] pad=[1,1] ceil_mode=true", &[1, 1, 2], &[2.0, 5.0]);
        check("max_pool", &[1, 1, 5], "kernel_sizes=[3] pad_type=same strides=[2]", &[1, 1, 3], &[2.0, 4.0, 5.0]);
        check("max_pool", &[1, 1, 6], "kernel_sizes=[3] pad_type=same strides=[2]", &[1, 1, 3], &[3.0, 5.0, 6.0]);
        check("max_pool", &[1, 1, 6], "kernel_sizes=[3] pad_type=same_lower strides=[2]", &[1, 1, 3], &[2.0, 4.0, 6.0]);
        check("max_pool", &[1, 1, 2], "kernel_sizes=[1] pad_type=custom pad=[1,2]", &[1, 1, 5], &[f64::NEG_INFINITY, 1.0, 2.0, f64::NEG_INFINITY, f64::NEG_INFINITY]);
        check("max_pool", &[2, 2, 2, 3], "kernel_sizes=[2,2] pad_type=valid", &[2, 2, 1, 2], &[5.0, 6.0, 11.0, 12.0, 17.0, 18.0, 23.0, 24.0]);
        check("max_pool", &[1, 1, 3, 3], "kernel_sizes=[3,2] pad_type=custom strides=[1,2] pad=[1,1,0,1]", &[1, 1, 3, 2], &[5.0, 6.0, 8.0, 9.0, 8.0, 9.0]);
        check("max_pool", &[1, 1, 2, 2, 4], "kernel_sizes=[2,1,2] pad_type=valid strides=[1,1,2]", &[1, 1, 1, 2, 2], &[10.0, 12.0, 14.0, 16.0]);
        check("avg_pool", &[1, 1, 4], "kernel_sizes=[2] pad_type=valid", &[1, 1, 3], &[1.5, 2.5, 3.5]);
        check("avg_pool", &[1, 1, 4], "kernel_sizes=[2] pad_type=same", &[1, 1, 4], &[1.5, 2.5, 3.5, 2.0]);
        check("avg_pool", &[1, 1, 4], "kernel_sizes=[2] pad_type=same_lower", &[1, 1, 4], &[0.5, 1.5, 2.5, 3.5]);
        check("avg_pool", &[1, 1, 4], "kernel_sizes=[2] pad_type=same exclude_padding_from_average=true", &[1, 1, 4], &[1.5, 2.5, 3.5, 4.0]);
        check("avg_pool", &[1, 1, 3], "kernel_sizes=[2] pad_type=custom strides=[2] pad=[1,2]", &[1, 1, 3], &[0.5, 2.5, 0.0]);
        check("avg_pool", &[1, 1, 3], "kernel_sizes=[2] pad_type=custom strides=[2] pad=[1,2] exclude_padding_from_average=true", &[1, 1, 3], &[1.0, 2.5, 0.0]);
        check("avg_pool", &[1, 1, 5], "kernel_sizes=[2] pad_type=valid strides=[2] ceil_mode=true", &[1, 1, 3], &[1.5, 3.5, 5.0]);
        check("avg_pool", &[1, 1, 5], "kernel_sizes=[3] pad_type=custom strides=[2] pad=[1,1] ceil_mode=true", &[1, 1, 3], &[1.0, 3.0, 3.0]);
        check("avg_pool", &[1, 1, 6], "kernel_sizes=[3] pad_type=custom strides=[2] pad=[1,1] ceil_mode=true", &[1, 1, 4], &[1.0, 3.0, 5.0, 3.0]);
        check("avg_pool", &[1, 1, 6], "kernel_sizes=[3] pad_type=custom strides=[2] pad=[1,1] ceil_mode=true exclude_padding_from_average=true", &[1, 1, 4], &[1.5, 3.0, 5.0, 6.0]);
        check("avg_pool", &[1, 1, 1], "kernel_sizes=[1] pad_type=custom strides=[3] pad=[2,2] exclude_padding_from_average=true", &[1, 1, 2], &[0.0, 0.0]);
        check("avg_pool", &[1, 2, 2, 2], "kernel_sizes=[2,2] pad_type=valid", &[1, 2, 1, 1], &[2.5, 6.5]);
        check("avg_pool", &[1, 1, 2, 3], "kernel_sizes=[2,2] pad_type=custom strides=[1,2] pad=[1,0,0,1]", &[1, 1, 2, 2], &[0.75, 0.75, 3.0, 2.25]);
        check("avg_pool", &[1, 1, 2, 3], "kernel_sizes=[2,2] pad_type=custom strides=[1,2] pad=[1,0,0,1] exclude_padding_from_average=true", &[1, 1, 2, 2], &[1.5, 3.0, 3.0, 4.5]);
        check("avg_pool", &[1, 1, 3, 3], "kernel_sizes=[2,2] pad_type=valid strides=[2,2] ceil_mode=true", &[1, 1, 2, 2], &[3.0, 4.5, 7.5, 9.0]);
        check("avg_pool", &[1, 1, 2, 2, 2], "kernel_sizes=[2,2,2] pad_type=valid", &[1, 1, 1, 1, 1], &[4.5]);
        check("avg_pool", &[1, 1, 2, 1, 2], "kernel_sizes=[1,1,2] pad_type=same", &[1, 1, 2, 1, 2], &[1.5, 1.0, 3.5, 2.0]);
        check("l2_pool", &[1, 1, 4], "kernel_sizes=[2] pad_type=valid", &[1, 1, 3], &[2.236068, 3.605551, 5.0]);
        check("l2_pool", &[1, 1, 2, 2], "kernel_sizes=[2,2] pad_type=valid", &[1, 1, 1, 1], &[5.477226]);
        check("l2_pool", &[1, 1, 2, 2], "kernel_sizes=[2,2] pad_type=same strides=[2,1]", &[1, 1, 1, 2], &[5.477226, 4.472136]);
        check("l2_pool", &[1, 1, 3], "kernel_sizes=[2] pad_type=valid strides=[2] ceil_mode=true", &[1, 1, 2], &[2.236068, 3.0]);
    }

    #[test]
    fn empty_batches() {
        check("max_pool", &[0, 2, 4], "kernel_sizes=[2] pad_type=valid", &[0, 2, 3], &[]);
        check("avg_pool", &[2, 0, 4, 4], "kernel_sizes=[2,2] pad_type=same", &[2, 0, 4, 4], &[]);
    }

    #[test]
    fn a_nan_stays_one() {
        let x = arg(Fp32, &[1, 1, 3], &[1.0, f64::NAN, 2.0]);
        let mut arguments = vec![("x", x)];
        arguments.extend(words("kernel_sizes=[3] pad_type=valid"));
        for op in ["max_pool", "avg_pool", "l2_pool"] {
            assert!(tensors(op, Ios15, &arguments).unwrap()[0].to_f64s()[0].is_nan());
        }
    }

    #[test]
    fn refusals() {
        let refused = |op: &str, x: &[usize], rest: &str, code: &str| {
            let mut arguments = vec![("x", count(Fp32, x))];
            arguments.extend(words(rest));
            refuse(op, Ios15, &arguments, code);
        };
        for op in ["avg_pool", "max_pool", "l2_pool"] {
            refused(op, &[1, 4], "kernel_sizes=[2] pad_type=valid", "wrong-rank");
            refused(op, &[1, 1, 4], "kernel_sizes=[2,2] pad_type=valid", "shape-mismatch");
            refused(op, &[1, 1, 4], "kernel_sizes=[0] pad_type=valid", "bad-value");
            refused(op, &[1, 1, 4], "kernel_sizes=[5] pad_type=valid", "shape-mismatch");
            refused(op, &[1, 1, 4], "kernel_sizes=[2] strides=[0] pad_type=valid", "bad-value");
            refused(op, &[1, 1, 4], "kernel_sizes=[2] pad_type=full", "bad-value");
            refused(op, &[1, 1, 4], "kernel_sizes=[2] pad_type=same_lower", "opset-too-old");
            refused(op, &[1, 1, 4], "kernel_sizes=[2] pad_type=custom pad=[-1,0]", "bad-value");
            refused(op, &[1, 1, 4], "kernel_sizes=[2] pad_type=custom pad=[0,1] ceil_mode=true", "bad-value");
            refused(op, &[1, 1, 4], "kernel_sizes=[2] pad_type=same ceil_mode=true", "bad-value");
            refused(op, &[1, 1, 4], "pad_type=same", "missing-parameter");
        }
        refused(
            "max_pool",
            &[1, 1, 2, 2, 2],
            "kernel_sizes=[1,1,1] pad_type=valid ceil_mode=true",
            "bad-value",
        );
        refused("l2_pool", &[1, 1, 2, 2, 2], "kernel_sizes=[1,1,1] pad_type=valid", "wrong-rank");
    }

    #[test]
    fn hostile_numbers_neither_overflow_nor_take_forever() {
        let most = i32::MAX;
        let mut arguments = vec![("x", count(Fp32, &[1, 1, 2]))];
        let line = format!("kernel_sizes=[{most}] strides=[{most}] pad=[{most},{most}] pad_type=custom");
        arguments.extend(words(&line));
        assert_eq!(tensors("max_pool", Ios15, &arguments).unwrap()[0].to_f64s(), [f64::NEG_INFINITY, 2.0]);
        for dim in [Dim::Known(u64::MAX), Dim::Known(0), Dim::Unknown] {
            let ty = Type::tensor(Fp32, [dim; 3].into_iter().collect::<Shape>());
            assert!(testing::infer("avg_pool", Ios15, &arguments, &[("x", ty)]).is_ok());
        }
    }
}
