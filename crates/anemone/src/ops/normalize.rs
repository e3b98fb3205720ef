//! Normalisations: elements, measured against others of the same tensor or against statistics.

use anemone_kernels::norm::{self, Affine};
use anemone_kernels::scratch::scratch;
use anemone_kernels::threads::parallel_chunks;

use super::activation::{check_channels, check_rank, map_channels};
use super::fast::{Elements, Ready, Singles, dims, for_float, idle, neighbours, ready};
use super::lanes::{Lanes, axes_of};
use super::loops::{check_scalar, floats, from_floats, number, same_as_x};
use super::moves::permuted;
use super::row::*;
use Tolerance::Sum;

/// The parameters as of iOS 15, where all have the dtype of `x`, and as of iOS 17, where they may have another.
macro_rules! editions {
    ($(($name:literal, $dtypes:ident $(, $default:expr)?)),*) => {
        &[
            edition(Ios15, &[
                tensor("x", FLOATS).domain('T'),
                $(parameter!($name, $dtypes, 'T' $(, $default)?)),*
            ]),
            edition(Ios17, &[
                tensor("x", FLOATS).domain('T'),
                $(parameter!($name, $dtypes, 'U' $(, $default)?)),*
            ]),
        ]
    };
}

/// A constant parameter; whole numbers belong to no domain.
macro_rules! parameter {
    ($name:literal, I32, $domain:literal $(, $default:expr)?) => {
        tensor($name, I32).constant()$(.or($default))?
    };
    ($name:literal, $dtypes:ident, $domain:literal $(, $default:expr)?) => {
        tensor($name, $dtypes).domain($domain).constant()$(.or($default))?
    };
}

/// A row of this family.
const fn row(
    name: &'static str,
    summary: &'static str,
    editions: &'static [Edition],
    tolerance: Tolerance,
    infer: Infer,
    compute: Compute,
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
    row(
        "batch_norm",
        "x less the mean of its channel, divided by its deviation, times gamma, plus beta",
        editions!(
            ("mean", FLOATS),
            ("variance", FLOATS),
            ("gamma", FLOATS, Absent),
            ("beta", FLOATS, Absent),
            ("epsilon", FLOATS, Float(1e-5))
        ),
        Sum(4),
        infer_batch_norm,
        compute_batch_norm,
    ),
    row(
        "instance_norm",
        "each channel of each sample, with mean 0 and deviation 1, times gamma, plus beta",
        editions!(("gamma", FLOATS, Absent), ("beta", FLOATS, Absent), ("epsilon", FLOATS, Float(1e-5))),
        Sum(4),
        infer_instance_norm,
        compute_instance_norm,
    ),
    row(
        "l2_norm",
        "x divided by the square root of the sum of squares over its last three dimensions",
        editions!(("epsilon", FLOATS, Float(1e-6))),
        Sum(4),
        infer_l2_norm,
        compute_l2_norm,
    ),
    row(
        "layer_norm",
        "the elements along axes, with mean 0 and deviation 1, times gamma, plus beta",
        editions!(
            ("axes", I32, Absent),
            ("gamma", FLOATS, Absent),
            ("beta", FLOATS, Absent),
            ("epsilon", FLOATS, Float(1e-5))
        ),
        Sum(4),
        infer_layer_norm,
        compute_layer_norm,
    ),
    row(
        "local_response_norm",
        "x divided by (k + alpha times the mean of squares of the neighbouring channels)^beta",
        editions!(
            ("size", I32),
            ("alpha", FLOATS, Float(1e-4)),
            ("beta", FLOATS, Float(0.75)),
            ("k", FLOATS, Float(1.0))
        ),
        Sum(4),
        infer_local_response_norm,
        compute_local_response_norm,
    ),
];

/// The elements of a parameter, or none when it is not given.
fn optional(args: &Args<'_>, param: &'static str) -> Result<Option<Vec<f64>>, Fault> {
    args.has(param).then(|| floats(args, param)).transpose()
}

/// Applies `gamma` and `beta`, each of which may be missing, at this index.
fn affine(x: f64, gamma: Option<&Vec<f64>>, beta: Option<&Vec<f64>>, at: usize) -> f64 {
    x * gamma.map_or(1.0, |g| g[at]) + beta.map_or(0.0, |b| b[at])
}

/// Gives a lane mean 0 and deviation 1. The variance is that of all elements, not of a sample of them.
fn standardize(lane: &mut [f64], epsilon: f64) {
    let n = lane.len() as f64;
    let mean = lane.iter().fold(0.0, |sum, x| sum + x) / n;
    let variance = lane.iter().fold(0.0, |sum, x| sum + (x - mean) * (x - mean)) / n;
    let deviation = (variance + epsilon).sqrt();
    lane.iter_mut().for_each(|x| *x = (*x - mean) / deviation);
}

fn infer_batch_norm(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    check_channels(args, "mean")?;
    check_channels(args, "variance")?;
    infer_instance_norm(args)
}

fn infer_instance_norm(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    check_rank(args, 3..=5)?;
    check_channels(args, "gamma")?;
    check_channels(args, "beta")?;
    check_scalar(args, "epsilon")?;
    same_as_x(args)
}

fn compute_batch_norm(args: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    let (mean, variance) = (floats(args, "mean")?, floats(args, "variance")?);
    let (gamma, beta) = (optional(args, "gamma")?, optional(args, "beta")?);
    let epsilon = number(args, "epsilon")?;
    map_channels(args, types, |x, c| {
        affine((x - mean[c]) / (variance[c] + epsilon).sqrt(), gamma.as_ref(), beta.as_ref(), c)
    })
}

fn compute_instance_norm(args: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    let shape = args.tensor("x")?.shape();
    let (gamma, beta) = (optional(args, "gamma")?, optional(args, "beta")?);
    let epsilon = number(args, "epsilon")?;
    let spatial: Vec<usize> = (2..shape.len()).collect();
    let mut x = floats(args, "x")?;
    let mut channels = (0..shape[1]).cycle();
    Lanes::along(shape, &spatial)?.update(&mut x, |lane| {
        standardize(lane, epsilon);
        let c = channels.next().unwrap_or(0);
        lane.iter_mut().for_each(|x| *x = affine(*x, gamma.as_ref(), beta.as_ref(), c));
    })?;
    from_floats(types, &x)
}

fn infer_l2_norm(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    check_rank(args, 3..=usize::MAX)?;
    check_scalar(args, "epsilon")?;
    same_as_x(args)
}

fn compute_l2_norm(args: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    let shape = args.tensor("x")?.shape();
    let epsilon = number(args, "epsilon")?;
    let last: Vec<usize> = (shape.len() - 3..shape.len()).collect();
    let mut x = floats(args, "x")?;
    Lanes::along(shape, &last)?.update(&mut x, |lane| {
        let norm = (lane.iter().fold(0.0, |sum, x| sum + x * x) + epsilon).sqrt();
        lane.iter_mut().for_each(|x| *x /= norm);
    })?;
    from_floats(types, &x)
}

fn infer_layer_norm(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    check_scalar(args, "epsilon")?;
    let shape: Shape = axes_of(args, x.rank())?.iter().map(|&axis| x.shape[axis]).collect();
    for param in ["gamma", "beta"] {
        if let Some(ty) = args.opt_ty(param).filter(|ty| !ty.shape.fits(&shape)) {
            let message = format!("`{param}` of `layer_norm` has shape {}, not {shape}", ty.shape);
            return Err(Fault::of(param, &codes::SHAPE_MISMATCH, message)
                .against("x")
                .help("give it the dimensions of `x` that `axes` names"));
        }
    }
    same_as_x(args)
}

fn compute_layer_norm(args: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    let tensor = args.tensor("x")?;
    let (gamma, beta) = (optional(args, "gamma")?, optional(args, "beta")?);
    let epsilon = number(args, "epsilon")?;
    let mut x = floats(args, "x")?;
    Lanes::along(tensor.shape(), &axes_of(args, tensor.rank())?)?.update(&mut x, |lane| {
        standardize(lane, epsilon);
        for (at, x) in lane.iter_mut().enumerate() {
            *x = affine(*x, gamma.as_ref(), beta.as_ref(), at);
        }
    })?;
    from_floats(types, &x)
}

fn infer_local_response_norm(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    check_rank(args, 3..=5)?;
    for param in ["size", "alpha", "beta", "k"] {
        check_scalar(args, param)?;
    }
    match args.int("size") {
        Some(size) if size < 1 => {
            let message = format!("`size` of `local_response_norm` is {size}; it must be at least 1");
            Err(Fault::of("size", &codes::BAD_VALUE, message))
        }
        _ => same_as_x(args),
    }
}

fn fast(args: &Args<'_>, _: &[Type]) -> Ready {
    let (dtype, shape, x) = (args.ty("x")?.dtype, dims(args, "x")?, args.reader("x")?);
    for_float!(dtype, T => match args.op.name {
        "batch_norm" => fast_batch_norm::<T>(args, &shape, x),
        "instance_norm" => fast_instance_norm::<T>(args, &shape, x),
        "l2_norm" => fast_l2_norm::<T>(args, &shape, x),
        "layer_norm" => fast_layer_norm::<T>(args, &shape, x),
        "local_response_norm" => fast_local_response_norm::<T>(args, &shape, x),
        _ => Ok(None),
    })
}

fn fast_batch_norm<T: anemone_kernels::Float>(args: &Args<'_>, shape: &[usize], x: Reader) -> Ready {
    let (mean, variance) = (floats(args, "mean")?, floats(args, "variance")?);
    let (gamma, beta) = (optional(args, "gamma")?, optional(args, "beta")?);
    let epsilon = number(args, "epsilon")?;
    let lanes = norm::Lanes::along(shape, 1..2);
    let (factors, offsets): (Vec<f64>, Vec<f64>) = (0..lanes.length)
        .map(|c| {
            let factor = gamma.as_ref().map_or(1.0, |g| g[c]) / (variance[c] + epsilon).sqrt();
            (factor, beta.as_ref().map_or(0.0, |b| b[c]) - mean[c] * factor)
        })
        .unzip();
    ready(move |run| {
        let x: &[T] = run.read(&x);
        norm::scale_channels(run.threads, run.write(0), x, lanes, &factors, &offsets);
    })
}

fn fast_instance_norm<T: anemone_kernels::Float>(args: &Args<'_>, shape: &[usize], x: Reader) -> Ready {
    let (gamma, beta) = (Singles::opt(args, "gamma")?, Singles::opt(args, "beta")?);
    let epsilon = number(args, "epsilon")?;
    let (channels, length) = (shape[1], shape[2..].iter().product());
    ready(move |run| {
        let (x, gamma, beta) = (run.read::<T>(&x), read(&gamma, run), read(&beta, run));
        let affine = Affine { gamma: gamma.as_deref(), beta: beta.as_deref() };
        norm::instance_norm(run.threads, run.write(0), x, channels, length, affine, epsilon);
    })
}

fn fast_layer_norm<T: anemone_kernels::Float>(args: &Args<'_>, shape: &[usize], x: Reader) -> Ready {
    let axes = axes_of(args, shape.len())?;
    let near = neighbours(shape, &axes);
    let (gamma, beta) = (Singles::opt(args, "gamma")?, Singles::opt(args, "beta")?);
    let epsilon = number(args, "epsilon")?;
    let Some(lanes) = near else {
        // Axes that are apart are brought together, and back.
        let others: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
        let perm = [&others[..], &axes].concat();
        let together: Vec<usize> = perm.iter().map(|&axis| shape[axis]).collect();
        let mut back = vec![0; perm.len()];
        perm.iter().enumerate().for_each(|(to, &axis)| back[axis] = to);
        let (there, back) =
            (permuted(shape, &perm, &together).copy(), permuted(&together, &back, shape).copy());
        let (elements, lanes) =
            (shape.iter().product(), norm::Lanes::along(&together, others.len()..perm.len()));
        return ready(move |run| {
            let (gamma, beta) = (read(&gamma, run), read(&beta, run));
            let affine = Affine { gamma: gamma.as_deref(), beta: beta.as_deref() };
            let (mut near, mut normal) = (scratch::<T>(elements), scratch::<T>(elements));
            there.run(run.threads, &mut near, run.read::<T>(&x));
            norm::layer_norm(run.threads, &mut normal, &near, lanes, affine, epsilon);
            back.run(run.threads, run.write::<T>(0), &normal);
        });
    };
    ready(move |run| {
        let (x, gamma, beta) = (run.read::<T>(&x), read(&gamma, run), read(&beta, run));
        let affine = Affine { gamma: gamma.as_deref(), beta: beta.as_deref() };
        norm::layer_norm(run.threads, run.write(0), x, lanes, affine, epsilon);
    })
}

/// Numbers that need not be given.
fn read<'b, 'd: 'b>(numbers: &'b Option<Singles>, run: &Run<'_, 'd>) -> Option<Elements<'b, f32>> {
    numbers.as_ref().map(|n| n.read(run))
}

fn fast_l2_norm<T: anemone_kernels::Float>(args: &Args<'_>, shape: &[usize], x: Reader) -> Ready {
    let epsilon = number(args, "epsilon")?;
    let length: usize = shape[shape.len().saturating_sub(3)..].iter().product();
    if shape.contains(&0) {
        return idle();
    }
    ready(move |run| {
        let x: &[T] = run.read(&x);
        parallel_chunks(run.threads, run.write::<T>(0), length, (1usize << 14).div_ceil(length), |i, y| {
            let mut wide = scratch::<f32>(length);
            T::widen(&mut wide, &x[i * length..][..length]);
            let sum = wide.iter().fold(0.0, |sum, &x| sum + f64::from(x) * f64::from(x));
            let scale = 1.0 / (sum + epsilon).sqrt();
            wide.iter_mut().for_each(|x| *x = (f64::from(*x) * scale) as f32);
            T::narrow(y, &wide);
        });
    })
}

/// Row by row, where a row is what lies behind a channel.
fn fast_local_response_norm<T: anemone_kernels::Float>(args: &Args<'_>, shape: &[usize], x: Reader) -> Ready {
    let size = number(args, "size")?;
    let (alpha, beta, k) = (number(args, "alpha")?, number(args, "beta")?, number(args, "k")?);
    let (back, forward) = ((size / 2.0) as usize, ((size - 1.0) / 2.0) as usize);
    let (channels, inner) = (shape[1], shape[2..].iter().product::<usize>());
    if shape.contains(&0) {
        return idle();
    }
    // Most networks have a beta of 3/4, for which two roots are faster than a power.
    let powered = move |v: f64| if beta == 0.75 { v.sqrt() * v.sqrt().sqrt() } else { v.powf(beta) };
    ready(move |run| {
        let x: &[T] = run.read(&x);
        parallel_chunks(run.threads, run.write::<T>(0), inner, (1usize << 14).div_ceil(inner), |i, y| {
            let (first, c) = (i / channels * channels, i % channels);
            let window = c.saturating_sub(back)..(c.saturating_add(forward).saturating_add(1)).min(channels);
            let (mut row, mut sums) = (scratch::<f32>(inner), scratch::<f64>(inner));
            sums.fill(0.0);
            for other in window {
                T::widen(&mut row, &x[(first + other) * inner..][..inner]);
                sums.iter_mut().zip(&*row).for_each(|(sum, &x)| *sum += f64::from(x) * f64::from(x));
            }
            T::widen(&mut row, &x[i * inner..][..inner]);
            for (x, &sum) in row.iter_mut().zip(&*sums) {
                *x = (f64::from(*x) / powered(k + alpha / size * sum)) as f32;
            }
            T::narrow(y, &row);
        });
    })
}

/// A window of even size reaches one channel further back than forward, as PyTorch has it.
fn compute_local_response_norm(args: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    let size = number(args, "size")?;
    let (alpha, beta, k) = (number(args, "alpha")?, number(args, "beta")?, number(args, "k")?);
    let (back, forward) = ((size / 2.0) as usize, ((size - 1.0) / 2.0) as usize);
    let mut x = floats(args, "x")?;
    let mut squares = Vec::new();
    Lanes::along(args.tensor("x")?.shape(), &[1])?.update(&mut x, |lane| {
        squares.clear();
        squares.extend(lane.iter().map(|x| x * x));
        for (c, x) in lane.iter_mut().enumerate() {
            let window = c.saturating_sub(back)..(c + forward + 1).min(squares.len());
            let sum = squares[window].iter().fold(0.0, |sum, x| sum + x);
            *x /= (k + alpha / size * sum).powf(beta);
        }
    })?;
    from_floats(types, &x)
}

#[cfg(test)]
mod tests {
    use crate::mil::Opset::*;
    use crate::ops::check::*;
    use crate::types::DType::*;
    use crate::types::Tensor;

    /// The numbers from 0 on, divided by 4.
    fn ramp(shape: &[usize]) -> Tensor {
        let n = shape.iter().product();
        t(Fp32, shape, &(0..n).map(|i| i as f64 / 4.0).collect::<Vec<_>>())
    }

    #[test]
    fn batch_norm() {
        let x = t(Fp32, &[1, 2, 2], &[1.0, 3.0, -1.0, 5.0]);
        let stats =
            [("x", x.clone()), ("mean", f(&[1.0, 2.0])), ("variance", f(&[3.0, 8.0])), ("epsilon", f1(1.0))];
        check("batch_norm", Ios15, &stats, &t(Fp32, &[1, 2, 2], &[0.0, 1.0, -1.0, 1.0]));
        let all = [&stats[..], &[("gamma", f(&[2.0, 3.0])), ("beta", f(&[0.5, -0.5]))]].concat();
        check("batch_norm", Ios15, &all, &t(Fp32, &[1, 2, 2], &[0.5, 2.5, -3.5, 2.5]));
        let mixed = [("x", t(Fp16, &[1, 1, 1], &[3.0])), ("mean", f(&[1.0])), ("variance", f(&[0.0]))];
        // In fp16 the default epsilon is 1.00136e-05, and 2 / np.sqrt(epsilon) not 632.5.
        check("batch_norm", Ios17, &mixed, &t(Fp16, &[1, 1, 1], &[632.0]));
        refuse(
            "batch_norm",
            Ios15,
            &[("x", x.clone()), ("mean", f(&[1.0])), ("variance", f(&[1.0, 1.0]))],
            "shape-mismatch",
            Some("mean"),
        );
        refuse(
            "batch_norm",
            Ios15,
            &[("x", x), ("mean", f(&[1.0, 1.0])), ("variance", f1(1.0))],
            "wrong-rank",
            Some("variance"),
        );
        refuse(
            "batch_norm",
            Ios15,
            &[("x", ramp(&[2, 2])), ("mean", f(&[1.0, 1.0])), ("variance", f(&[1.0, 1.0]))],
            "wrong-rank",
            Some("x"),
        );
    }

    #[test]
    fn instance_norm() {
        let x = t(Fp32, &[2, 1, 1, 2], &[1.0, 3.0, 10.0, 14.0]);
        let with =
            |rest: &[(&'static str, Tensor)]| [&[("x", x.clone()), ("epsilon", f1(0.0))], rest].concat();
        check("instance_norm", Ios15, &with(&[]), &t(Fp32, &[2, 1, 1, 2], &[-1.0, 1.0, -1.0, 1.0]));
        let affine = with(&[("gamma", f(&[2.0])), ("beta", f(&[0.5]))]);
        check("instance_norm", Ios17, &affine, &t(Fp32, &[2, 1, 1, 2], &[-1.5, 2.5, -1.5, 2.5]));
        let two = [
            ("x", t(Fp32, &[1, 2, 2], &[1.0, 3.0, 10.0, 14.0])),
            ("gamma", f(&[1.0, 2.0])),
            ("epsilon", f1(0.0)),
        ];
        check("instance_norm", Ios15, &two, &t(Fp32, &[1, 2, 2], &[-1.0, 1.0, -2.0, 2.0]));
        // One element: its own mean, so 0. None: nothing.
        check("instance_norm", Ios15, &[("x", t(Fp32, &[1, 1, 1], &[7.0]))], &t(Fp32, &[1, 1, 1], &[0.0]));
        check("instance_norm", Ios15, &[("x", t(Fp32, &[1, 2, 0], &[]))], &t(Fp32, &[1, 2, 0], &[]));
        refuse("instance_norm", Ios15, &with(&[("gamma", f(&[1.0, 1.0]))]), "shape-mismatch", Some("gamma"));
    }

    #[test]
    fn l2_norm() {
        let x = t(Fp32, &[2, 1, 1, 2], &[3.0, 4.0, 5.0, 12.0]);
        let y = [0.6, 0.8, 0.3846153846153846, 0.9230769230769231];
        let args = |x| [("x", x), ("epsilon", f1(0.0))];
        check("l2_norm", Ios15, &args(x.clone()), &t(Fp32, &[2, 1, 1, 2], &y));
        check("l2_norm", Ios17, &args(t(Fp16, &[1, 1, 2], &[3.0, 4.0])), &t(Fp16, &[1, 1, 2], &[0.6, 0.8]));
        check("l2_norm", Ios15, &[("x", t(Fp32, &[1, 1, 1], &[0.0]))], &t(Fp32, &[1, 1, 1], &[0.0]));
        refuse("l2_norm", Ios15, &[("x", f(&[1.0]))], "wrong-rank", Some("x"));
    }

    #[test]
    fn layer_norm() {
        let x = t(Fp32, &[2, 2], &[1.0, 3.0, 10.0, 14.0]);
        let with =
            |rest: &[(&'static str, Tensor)]| [&[("x", x.clone()), ("epsilon", f1(0.0))], rest].concat();
        check("layer_norm", Ios15, &with(&[("axes", i(&[-1]))]), &t(Fp32, &[2, 2], &[-1.0, 1.0, -1.0, 1.0]));
        check("layer_norm", Ios15, &with(&[("axes", i(&[0]))]), &t(Fp32, &[2, 2], &[-1.0, -1.0, 1.0, 1.0]));
        // (x - x.mean()) / x.std()
        let all = [-1.14415511, -0.76277007, 0.57207755, 1.33484762];
        check("layer_norm", Ios15, &with(&[]), &t(Fp32, &[2, 2], &all));
        let affine = with(&[("axes", i(&[1])), ("gamma", f(&[2.0, 3.0])), ("beta", f(&[0.5, 0.25]))]);
        check("layer_norm", Ios17, &affine, &t(Fp32, &[2, 2], &[-1.5, 3.25, -1.5, 3.25]));
        let gamma = t(Fp32, &[2, 2], &[1.0, 0.0, -1.0, 2.0]);
        let scaled: Vec<f64> = all.iter().zip([1.0, 0.0, -1.0, 2.0]).map(|(a, b)| a * b).collect();
        check(
            "layer_norm",
            Ios15,
            &with(&[("axes", i(&[1, 0])), ("gamma", gamma)]),
            &t(Fp32, &[2, 2], &scaled),
        );
        check(
            "layer_norm",
            Ios15,
            &[("x", t(Fp32, &[0, 2], &[])), ("axes", i(&[1]))],
            &t(Fp32, &[0, 2], &[]),
        );
        check("layer_norm", Ios15, &[("x", f1(5.0))], &f1(0.0));
        let bad = |axes: &[i64], gamma| with(&[("axes", i(axes)), ("gamma", gamma)]);
        refuse("layer_norm", Ios15, &bad(&[1], f(&[1.0])), "shape-mismatch", Some("gamma"));
        refuse("layer_norm", Ios15, &bad(&[1], f1(1.0)), "shape-mismatch", Some("gamma"));
        refuse("layer_norm", Ios15, &bad(&[2], f(&[1.0])), "index-out-of-range", Some("axes"));
    }

    #[test]
    fn local_response_norm() {
        let x = t(Fp32, &[1, 4, 1], &[1.0, 2.0, 3.0, 4.0]);
        let with =
            |size, alpha| [("x", x.clone()), ("size", i1(size)), ("alpha", f1(alpha)), ("beta", f1(1.0))];
        // x / (1 + alpha / 3 * s), s the sums of squares of three neighbours: [5, 14, 29, 25]
        let y = [1.0 / 6.0, 2.0 / 15.0, 3.0 / 30.0, 4.0 / 26.0];
        check("local_response_norm", Ios15, &with(3, 3.0), &t(Fp32, &[1, 4, 1], &y));
        // torch.nn.functional.local_response_norm(x, 2, 2, 1, 1): c - 1 and c
        let y = [1.0 / 2.0, 2.0 / 6.0, 3.0 / 14.0, 4.0 / 26.0];
        check("local_response_norm", Ios15, &with(2, 2.0), &t(Fp32, &[1, 4, 1], &y));
        let y = [1.0 / 31.0, 2.0 / 31.0, 3.0 / 31.0, 4.0 / 31.0];
        let size = (1 << 31) - 1;
        check("local_response_norm", Ios15, &with(size, size as f64), &t(Fp32, &[1, 4, 1], &y));
        // 2 / (1 + 1e-4 * 4) ** 0.75
        let one = [("x", t(Fp32, &[1, 1, 1], &[2.0])), ("size", i1(1))];
        check("local_response_norm", Ios17, &one, &t(Fp32, &[1, 1, 1], &[1.9994002]));
        refuse("local_response_norm", Ios15, &with(0, 1.0), "bad-value", Some("size"));
    }
}
