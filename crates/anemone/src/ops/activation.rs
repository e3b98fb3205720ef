//! Activations: elementwise ops that stand after a layer, and softmax.

use anemone_kernels::math::{self, Unary};
use anemone_kernels::norm;
use anemone_kernels::threads::parallel_chunks;

use super::elementwise::{FLOAT_X, erfc, larger, map, parametric, same_as_x_with_scalars, smaller, unary};
use super::fast::{Ready, dims, for_float, idle, ready, singles};
use super::lanes::{Lanes, axis_of};
use super::loops::{floats, from_floats, number, same_as_x, strides};
use super::row::*;
use crate::types::Element;
use Tolerance::{Exact, Sum, Ulp};

/// `x` and one number or one number for each channel; as of iOS 17 their dtypes may differ.
const WITH_ALPHA: &[Edition] = &[
    edition(Ios15, &[tensor("x", FLOATS).domain('T'), tensor("alpha", FLOATS).domain('T').constant()]),
    edition(Ios17, &[tensor("x", FLOATS).domain('T'), tensor("alpha", FLOATS).domain('U').constant()]),
];

/// `x` and two numbers, or two for each channel; as of iOS 17 their dtypes may differ from that of `x`.
const WITH_ALPHA_BETA: &[Edition] = &[
    edition(
        Ios15,
        &[
            tensor("x", FLOATS).domain('T'),
            tensor("alpha", FLOATS).domain('T').constant(),
            tensor("beta", FLOATS).domain('T').constant(),
        ],
    ),
    edition(
        Ios17,
        &[
            tensor("x", FLOATS).domain('T'),
            tensor("alpha", FLOATS).domain('U').constant(),
            tensor("beta", FLOATS).domain('U').constant(),
        ],
    ),
];

fn relu(x: f64) -> f64 {
    larger(x, 0.0)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// ln(1 + e^x), which does not overflow before its result does.
fn softplus(x: f64) -> f64 {
    (-x.abs()).exp().ln_1p() + relu(x)
}

fn with_alpha(args: &Args<'_>, types: &[Type], f: impl Fn(f64, f64) -> f64) -> Result<Vec<Datum>, Fault> {
    let alpha = number(args, "alpha")?;
    map(args, types, |x| f(x, alpha))
}

fn with_alpha_beta(
    args: &Args<'_>,
    types: &[Type],
    f: impl Fn(f64, f64, f64) -> f64,
) -> Result<Vec<Datum>, Fault> {
    let (alpha, beta) = (number(args, "alpha")?, number(args, "beta")?);
    map(args, types, |x| f(x, alpha, beta))
}

pub(super) static OPS: &[Op] = &[
    Op {
        fast: Fast::Prepared(fast_clamped_relu),
        ..parametric(
            "clamped_relu",
            "x, or alpha * x where x is negative; at most beta",
            WITH_ALPHA_BETA,
            Ulp(1),
            |args, types| {
                with_alpha_beta(args, types, |x, alpha, beta| {
                    smaller(beta, if x < 0.0 { alpha * x } else { x })
                })
            },
        )
    },
    parametric("elu", "x, or alpha * (e^x - 1) where x is negative", WITH_ALPHA, Ulp(4), |args, types| {
        with_alpha(args, types, |x, alpha| if x < 0.0 { alpha * x.exp_m1() } else { x })
    }),
    Op {
        infer: infer_gelu,
        ..parametric(
            "gelu",
            "x times the share of the normal distribution below x",
            &[edition(
                Ios15,
                &[tensor("x", FLOATS).domain('T'), tensor("mode", STR).constant().or(Str("EXACT"))],
            )],
            Ulp(8),
            compute_gelu,
        )
    },
    parametric("leaky_relu", "x, or alpha * x where x is negative", WITH_ALPHA, Ulp(1), |args, types| {
        with_alpha(args, types, |x, alpha| if x < 0.0 { alpha * x } else { x })
    }),
    parametric("linear_activation", "alpha * x + beta", WITH_ALPHA_BETA, Ulp(1), |args, types| {
        with_alpha_beta(args, types, |x, alpha, beta| alpha * x + beta)
    }),
    Op {
        infer: infer_prelu,
        fast: Fast::Prepared(fast_prelu),
        ..parametric(
            "prelu",
            "x, or alpha * x where x is negative, with an alpha for each channel",
            WITH_ALPHA,
            Ulp(1),
            |args, types| {
                let alpha = floats(args, "alpha")?;
                map_channels(args, types, |x, c| if x < 0.0 { alpha[c] * x } else { x })
            },
        )
    },
    unary("relu", "the larger of x and 0", FLOAT_X, Exact, relu),
    unary("relu6", "x held between 0 and 6", FLOAT_X, Exact, |x| smaller(relu(x), 6.0)),
    parametric("scaled_tanh", "alpha * tanh(beta * x)", WITH_ALPHA_BETA, Ulp(4), |args, types| {
        with_alpha_beta(args, types, |x, alpha, beta| alpha * (beta * x).tanh())
    }),
    unary("sigmoid", "1 / (1 + e^-x)", FLOAT_X, Ulp(4), sigmoid),
    parametric(
        "sigmoid_hard",
        "alpha * x + beta, held between 0 and 1",
        WITH_ALPHA_BETA,
        Ulp(1),
        |args, types| {
            with_alpha_beta(args, types, |x, alpha, beta| smaller(larger(alpha * x + beta, 0.0), 1.0))
        },
    ),
    unary("silu", "x * sigmoid(x)", FLOAT_X, Ulp(4), |x| x / (1.0 + (-x).exp())),
    Op {
        infer: infer_softmax,
        fast: Fast::Prepared(fast_softmax),
        ..parametric(
            "softmax",
            "e^x divided by its sum along an axis",
            &[edition(Ios15, &[tensor("x", FLOATS).domain('T'), tensor("axis", I32).constant().or(Int(-1))])],
            Sum(4),
            compute_softmax,
        )
    },
    unary("softplus", "ln(1 + e^x)", FLOAT_X, Ulp(4), softplus),
    Op {
        infer: infer_softplus_parametric,
        fast: Fast::Prepared(fast_softplus_parametric),
        ..parametric(
            "softplus_parametric",
            "alpha * ln(1 + e^(beta * x)), with an alpha and a beta for each channel",
            WITH_ALPHA_BETA,
            Ulp(4),
            |args, types| {
                let (alpha, beta) = (floats(args, "alpha")?, floats(args, "beta")?);
                map_channels(args, types, |x, c| alpha[c] * softplus(beta[c] * x))
            },
        )
    },
    unary("softsign", "x / (1 + |x|)", FLOAT_X, Ulp(1), |x| x / (1.0 + x.abs())),
    parametric("thresholded_relu", "x, or 0 where x is less than alpha", WITH_ALPHA, Exact, |args, types| {
        with_alpha(args, types, |x, alpha| if x < alpha { 0.0 } else { x })
    }),
];

const GELU_MODES: [&str; 3] = ["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"];

fn infer_gelu(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    match args.str("mode") {
        Some(mode) if !GELU_MODES.contains(&mode) => {
            Err(Fault::of("mode", &codes::BAD_VALUE, format!("`gelu` has no mode `{mode}`"))
                .help(format!("use `{}`", GELU_MODES.join("`, `"))))
        }
        _ => same_as_x_with_scalars(args),
    }
}

fn compute_gelu(args: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    use std::f64::consts::{FRAC_2_PI, SQRT_2};
    match args.str("mode") {
        Some("TANH_APPROXIMATION") => {
            let scale = FRAC_2_PI.sqrt();
            // (1 + tanh(z)) / 2 is sigmoid(2z), which keeps its digits where x is far below 0.
            map(args, types, |x| x * sigmoid(2.0 * scale * (x + 0.044715 * x * x * x)))
        }
        Some("SIGMOID_APPROXIMATION") => map(args, types, |x| x * sigmoid(1.702 * x)),
        // 1 + erf(z) is erfc(-z), which keeps its digits where x is far below 0.
        _ => map(args, types, |x| 0.5 * x * erfc(-x / SQRT_2)),
    }
}

/// Refuses a parameter that is not a vector of one number for each channel of `x`.
pub(super) fn check_channels(args: &Args<'_>, param: &'static str) -> Result<(), Fault> {
    let (x, Some(p)) = (args.ty("x")?, args.opt_ty(param)) else { return Ok(()) };
    if p.rank() != 1 {
        return Err(Fault::of(
            param,
            &codes::WRONG_RANK,
            format!("`{param}` of `{}` must be a vector, not of shape {}", args.op.name, p.shape),
        ));
    }
    match x.shape.get(1) {
        Some(channels) if !channels.fits(p.shape[0]) => Err(Fault::of(
            param,
            &codes::SHAPE_MISMATCH,
            format!("`{param}` of `{}` has {} elements for {channels} channels", args.op.name, p.shape[0]),
        )
        .against("x")
        .help("give one element for each channel: dimension 1 of `x`")),
        _ => Ok(()),
    }
}

/// Refuses an `x` whose rank lies outside this range.
pub(super) fn check_rank(args: &Args<'_>, ranks: std::ops::RangeInclusive<usize>) -> Result<(), Fault> {
    let rank = args.ty("x")?.rank();
    if ranks.contains(&rank) {
        return Ok(());
    }
    let (low, high) = ranks.into_inner();
    let wants = if high == usize::MAX { format!("at least {low}") } else { format!("{low} to {high}") };
    Err(Fault::of(
        "x",
        &codes::WRONG_RANK,
        format!("`x` of `{}` has {rank} dimensions; it must have {wants}", args.op.name),
    ))
}

fn infer_prelu(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    check_rank(args, 3..=5)?;
    check_channels(args, "alpha")?;
    let alpha = args.value("alpha").map(Tensor::to_f64s).unwrap_or_default();
    if args.ty("x")?.rank() != 4 && alpha.iter().any(|a| (a - alpha[0]).abs() > 1e-5) {
        let message = "the elements of `alpha` of `prelu` differ, and `x` does not have 4 dimensions";
        return Err(Fault::of("alpha", &codes::BAD_VALUE, message)
            .against("x")
            .help("reshape `x` to 4 dimensions, or give the same alpha for all channels"));
    }
    same_as_x(args)
}

fn infer_softplus_parametric(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    check_rank(args, 3..=usize::MAX)?;
    check_channels(args, "alpha")?;
    check_channels(args, "beta")?;
    same_as_x(args)
}

/// Applies a function to every element of `x` and the number of its channel.
pub(super) fn map_channels(
    args: &Args<'_>,
    types: &[Type],
    f: impl Fn(f64, usize) -> f64,
) -> Result<Vec<Datum>, Fault> {
    let shape = args.tensor("x")?.shape();
    // The elements of one channel lie side by side: as many as the stride of dimension 1.
    let (channels, inner) = (shape[1].max(1), strides(shape)[1].max(1));
    let x = floats(args, "x")?;
    let y: Vec<f64> = x.into_iter().enumerate().map(|(i, x)| f(x, i / inner % channels)).collect();
    from_floats(types, &y)
}

fn fast_clamped_relu(args: &Args<'_>, _: &[Type]) -> Ready {
    let (dtype, x) = (args.ty("x")?.dtype, args.reader("x")?);
    let (alpha, beta) = (number(args, "alpha")? as f32, number(args, "beta")? as f32);
    for_float!(dtype, T => ready(move |run| {
        let x: &[T] = run.read(&x);
        math::map(run.threads, run.write(0), x, |x| {
            let x = if x < 0.0 { alpha * x } else { x };
            if beta < x || beta.is_nan() { beta } else { x }
        });
    }))
}

fn fast_prelu(args: &Args<'_>, _: &[Type]) -> Ready {
    let alpha = singles(args.tensor("alpha")?).into_owned();
    for_float!(args.ty("x")?.dtype, T => by_channels(args, move |y: &mut [T], x, c| {
        math::unary(1, y, x, Unary::LeakyRelu { alpha: alpha[c] }, &[]);
    }))
}

/// In f64, since the power of e makes much of what is lost in `beta * x`.
fn fast_softplus_parametric(args: &Args<'_>, _: &[Type]) -> Ready {
    let (alpha, beta) = (floats(args, "alpha")?, floats(args, "beta")?);
    for_float!(args.ty("x")?.dtype, T => by_channels(args, move |y: &mut [T], x, c| {
        math::map(1, y, x, |x| (alpha[c] * softplus(beta[c] * f64::from(x))) as f32);
    }))
}

/// Calls `f` with the results, the elements and the number of each channel of each sample.
fn by_channels<T: Element + Send + Sync>(
    args: &Args<'_>,
    f: impl Fn(&mut [T], &[T], usize) + Send + Sync + 'static,
) -> Ready {
    let (shape, x) = (dims(args, "x")?, args.reader("x")?);
    if shape.contains(&0) {
        return idle();
    }
    let (channels, inner) = (shape[1], strides(&shape)[1]);
    ready(move |run| {
        let x: &[T] = run.read(&x);
        parallel_chunks(run.threads, run.write(0), inner, (1usize << 14).div_ceil(inner), |i, y| {
            f(y, &x[i * inner..][..inner], i % channels);
        });
    })
}

fn infer_softmax(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    axis_of(args)?;
    same_as_x(args)
}

fn compute_softmax(args: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    let lanes = Lanes::along(args.tensor("x")?.shape(), &[axis_of(args)?])?;
    let mut x = floats(args, "x")?;
    lanes.update(&mut x, softmax)?;
    from_floats(types, &x)
}

fn fast_softmax(args: &Args<'_>, _: &[Type]) -> Ready {
    let (dtype, x, axis) = (args.ty("x")?.dtype, args.reader("x")?, axis_of(args)?);
    let lanes = norm::Lanes::along(&dims(args, "x")?, axis..axis + 1);
    for_float!(dtype, T => ready(move |run| {
        let x: &[T] = run.read(&x);
        norm::softmax(run.threads, run.write(0), x, lanes);
    }))
}

/// The softmax of one lane. The largest element is subtracted first, so that no power overflows.
pub(super) fn softmax(lane: &mut [f64]) {
    let top = lane.iter().copied().fold(f64::NEG_INFINITY, larger);
    let mut sum = 0.0;
    for x in lane.iter_mut() {
        *x = (*x - top).exp();
        sum += *x;
    }
    lane.iter_mut().for_each(|x| *x /= sum);
}

#[cfg(test)]
#[allow(clippy::approx_constant)] // The numbers are as NumPy prints them.
mod tests {
    use crate::mil::Opset::*;
    use crate::ops::check::*;
    use crate::types::DType::*;

    const INF: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;

    /// An activation of an fp32 vector.
    #[track_caller]
    fn of_x(op: &str, x: &[f64], y: &[f64]) {
        check(op, Ios15, &[("x", f(x))], &f(y));
    }

    /// An activation with alpha, in the dtype of x and, as of iOS 17, in another.
    #[track_caller]
    fn with_alpha(op: &str, x: &[f64], alpha: f64, y: &[f64]) {
        check(op, Ios15, &[("x", f(x)), ("alpha", f1(alpha))], &f(y));
        check(op, Ios17, &[("x", h(x)), ("alpha", f1(alpha))], &h(y));
    }

    /// An activation with alpha and beta, likewise.
    #[track_caller]
    fn with_alpha_beta(op: &str, x: &[f64], alpha: f64, beta: f64, y: &[f64]) {
        check(op, Ios15, &[("x", f(x)), ("alpha", f1(alpha)), ("beta", f1(beta))], &f(y));
        check(op, Ios17, &[("x", h(x)), ("alpha", f1(alpha)), ("beta", f1(beta))], &h(y));
    }

    #[test]
    fn of_x_alone() {
        of_x("relu", &[-1.0, 0.0, 2.0, NAN, INF, -INF], &[0.0, 0.0, 2.0, NAN, INF, 0.0]);
        of_x("relu6", &[-1.0, 3.0, 7.0, NAN], &[0.0, 3.0, 6.0, NAN]);
        of_x("sigmoid", &[0.0, 1.0, -INF, INF], &[0.5, 0.7310585786300049, 0.0, 1.0]);
        // The smallest results keep their digits: 1 / (1 + np.exp(80.))
        of_x("sigmoid", &[-80.0], &[1.8048513878454153e-35]);
        of_x("silu", &[0.0, 1.0, -1.0, -1000.0], &[0.0, 0.7310585786300049, -0.2689414213699951, 0.0]);
        of_x(
            "softplus",
            &[0.0, 1.0, -80.0, 1000.0],
            &[0.6931471805599453, 1.3132616875182228, 1.8048513878454153e-35, 1000.0],
        );
        of_x("softsign", &[0.0, 1.0, -3.0, INF], &[0.0, 0.5, -0.75, NAN]);
    }

    #[test]
    fn of_x_and_numbers() {
        with_alpha("elu", &[2.0, 0.0, -1.0, -INF], 0.5, &[2.0, 0.0, -0.3160602794142788, -0.5]);
        with_alpha("leaky_relu", &[2.0, 0.0, -4.0, NAN], 0.25, &[2.0, 0.0, -1.0, NAN]);
        with_alpha("thresholded_relu", &[2.0, 0.5, 0.25, -1.0], 0.5, &[2.0, 0.5, 0.0, 0.0]);
        with_alpha_beta("clamped_relu", &[-4.0, 2.0, 9.0], 0.5, 6.0, &[-2.0, 2.0, 6.0]);
        with_alpha_beta("clamped_relu", &[-4.0, 2.0], 0.5, -3.0, &[-3.0, -3.0]);
        with_alpha_beta("linear_activation", &[-4.0, 2.0], 0.5, 3.0, &[1.0, 4.0]);
        // 2 * np.tanh(0.5 * x)
        with_alpha_beta("scaled_tanh", &[1.0, -INF], 2.0, 0.5, &[0.9242343145200195, -2.0]);
        with_alpha_beta("sigmoid_hard", &[-4.0, 1.0, 9.0], 0.25, 0.5, &[0.0, 0.75, 1.0]);
        refuse("elu", Ios15, &[("x", f(&[1.0])), ("alpha", f(&[1.0, 2.0]))], "wrong-rank", Some("alpha"));
    }

    #[test]
    fn gelu() {
        let gelu =
            |mode, x: &[f64], y: &[f64]| check("gelu", Ios15, &[("x", f(x)), ("mode", s(mode))], &f(y));
        // 0.5 * x * (1 + math.erf(x / 2**0.5)); at -8 by math.erfc.
        of_x(
            "gelu",
            &[0.0, 1.0, -1.0, -8.0],
            &[0.0, 0.8413447460685429, -0.15865525393145707, -4.9767684594174555e-15],
        );
        gelu("EXACT", &[2.0], &[1.9544997361036416]);
        gelu("TANH_APPROXIMATION", &[1.0, -1.0], &[0.8411919906082768, -0.15880800939172324]);
        gelu("SIGMOID_APPROXIMATION", &[1.0, -1.0], &[0.8457957659328212, -0.1542042340671787]);
        refuse("gelu", Ios15, &[("x", f(&[])), ("mode", s("exact"))], "bad-value", Some("mode"));
    }

    #[test]
    fn one_number_for_each_channel() {
        let x = t(Fp32, &[1, 2, 1, 2], &[-1.0, 2.0, -3.0, 4.0]);
        let arg = |alpha| [("x", x.clone()), ("alpha", alpha)];
        check("prelu", Ios15, &arg(f(&[0.5, 2.0])), &t(Fp32, &[1, 2, 1, 2], &[-0.5, 2.0, -6.0, 4.0]));
        check("prelu", Ios17, &arg(h(&[0.5, 2.0])), &t(Fp32, &[1, 2, 1, 2], &[-0.5, 2.0, -6.0, 4.0]));
        refuse("prelu", Ios15, &arg(f(&[0.5])), "shape-mismatch", Some("alpha"));
        refuse("prelu", Ios15, &arg(f1(0.5)), "wrong-rank", Some("alpha"));
        refuse("prelu", Ios15, &[("x", f(&[1.0])), ("alpha", f(&[0.5]))], "wrong-rank", Some("x"));
        let x = t(Fp32, &[1, 2, 2], &[-1.0, 2.0, -3.0, 4.0]);
        let arg = |alpha| [("x", x.clone()), ("alpha", alpha)];
        check("prelu", Ios15, &arg(f(&[0.5, 0.5])), &t(Fp32, &[1, 2, 2], &[-0.5, 2.0, -1.5, 4.0]));
        refuse("prelu", Ios15, &arg(f(&[0.5, 2.0])), "bad-value", Some("alpha"));
        check(
            "prelu",
            Ios15,
            &[("x", t(Fp32, &[1, 0, 2], &[])), ("alpha", f(&[]))],
            &t(Fp32, &[1, 0, 2], &[]),
        );

        // alpha * np.log(1 + np.exp(beta * x))
        let args = [("x", x), ("alpha", f(&[1.0, 2.0])), ("beta", f(&[1.0, -1.0]))];
        let y = [0.31326168751822286, 2.1269280110429727, 6.0971747, 0.036299855];
        check("softplus_parametric", Ios15, &args, &t(Fp32, &[1, 2, 2], &y));
    }

    #[test]
    fn softmax() {
        let of = |shape: &[usize], x: &[f64], axis, y: &[f64]| {
            check("softmax", Ios15, &[("x", t(Fp32, shape, x)), ("axis", i1(axis))], &t(Fp32, shape, y));
        };
        // e = np.exp([1, 2, 3]); e / e.sum()
        let y = [0.09003057317038046, 0.24472847105479764, 0.6652409557748218];
        of_x("softmax", &[1.0, 2.0, 3.0], &y);
        of_x("softmax", &[1001.0, 1002.0, 1003.0], &y);
        of_x("softmax", &[-INF, 0.0, 0.0], &[0.0, 0.5, 0.5]);
        of_x("softmax", &[INF, 0.0], &[NAN, NAN]);
        of_x("softmax", &[NAN, 0.0], &[NAN, NAN]);
        of_x("softmax", &[-INF, -INF], &[NAN, NAN]);
        of(
            &[2, 3],
            &[1.0, 1.0, 2.0, 1.0, 2.0, 2.0],
            0,
            &[0.5, 0.2689414213699951, 0.5, 0.5, 0.7310585786300049, 0.5],
        );
        of(
            &[2, 3],
            &[1.0, 1.0, 2.0, 1.0, 2.0, 2.0],
            -2,
            &[0.5, 0.2689414213699951, 0.5, 0.5, 0.7310585786300049, 0.5],
        );
        of(&[2, 1, 1], &[5.0, 7.0], 1, &[1.0, 1.0]);
        of(&[2, 0], &[], 0, &[]);
        of(&[2, 0], &[], 1, &[]);
        check("softmax", Ios15, &[("x", h(&[0.0, 0.0]))], &h(&[0.5, 0.5]));
        refuse("softmax", Ios15, &[("x", f(&[1.0])), ("axis", i1(1))], "index-out-of-range", Some("axis"));
        refuse("softmax", Ios15, &[("x", f1(1.0))], "index-out-of-range", Some("axis"));
    }
}
