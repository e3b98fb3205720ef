//! Quantisation: real numbers as scaled whole numbers, and back.

use anemone_kernels::weights::{self, Blocks, Codes};

use super::fast::{Ready, Singles, dims, for_float, idle, ready};
use super::loops::{check_scalar, floats, from_floats, strides};
use super::row::*;

const BYTES: &[DType] = &[UInt8, Int8];

/// A row of this family.
const fn row(
    name: &'static str,
    summary: &'static str,
    editions: &'static [Edition],
    infer: Infer,
    compute: Compute,
    fast: Prepare,
) -> Op {
    Op {
        name,
        summary,
        editions,
        results: Results::Exactly(1),
        infer,
        meaning: Meaning::Compute(compute),
        fast: Fast::Prepared(fast),
        tolerance: Tolerance::Ulp(1),
        scalar: Scalar::None,
    }
}

pub(super) static OPS: &[Op] = &[
    row(
        "quantize",
        "input / scale, rounded to the even of two, plus zero_point, held to the range of a byte",
        &[edition(
            Ios17,
            &[
                tensor("input", FLOATS).domain('S'),
                tensor("zero_point", BYTES).domain('D').constant().or(Absent),
                tensor("scale", FLOATS).domain('S').constant(),
                tensor("axis", I32).constant().or(Absent),
                tensor("output_dtype", STR).constant(),
            ],
        )],
        infer_quantize,
        compute_quantize,
        fast_quantize,
    ),
    row(
        "dequantize",
        "scale * (input - zero_point)",
        &[edition(
            Ios17,
            &[
                tensor("input", BYTES).domain('S'),
                tensor("zero_point", BYTES).domain('S').constant().or(Absent),
                tensor("scale", FLOATS).domain('D').constant(),
                tensor("axis", I32).constant().or(Absent),
            ],
        )],
        infer_dequantize,
        compute_dequantize,
        fast_dequantize,
    ),
];

fn infer_quantize(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    check_scalar(args, "output_dtype")?;
    args.tensor("output_dtype")?;
    let name = args.str("output_dtype").unwrap_or_default();
    let Some(dtype) = DType::from_name(name).filter(|d| BYTES.contains(d)) else {
        let message = format!("`quantize` cannot give dtype `{name}`");
        return Err(Fault::of("output_dtype", &codes::BAD_VALUE, message).help("use `int8` or `uint8`"));
    };
    if let Some(zero) = args.opt_ty("zero_point").filter(|zero| zero.dtype != dtype) {
        let message = format!("`zero_point` of `quantize` is {} and `output_dtype` says {dtype}", zero.dtype);
        return Err(Fault::of("zero_point", &codes::DTYPE_MISMATCH, message).against("output_dtype"));
    }
    if args.value("scale").is_some_and(|s| !s.is_empty() && s.to_f64s().iter().all(|&s| s == 0.0)) {
        return Err(Fault::of("scale", &codes::BAD_VALUE, "`scale` of `quantize` is 0"));
    }
    check_scales(args)?;
    Ok(vec![Type::tensor(dtype, args.ty("input")?.shape.clone())])
}

fn infer_dequantize(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    check_scales(args)?;
    Ok(vec![Type::tensor(args.ty("scale")?.dtype, args.ty("input")?.shape.clone())])
}

/// `scale` and `zero_point` are scalars, without an axis, or vectors of one number for each place along the axis.
fn check_scales(args: &Args<'_>) -> Result<(), Fault> {
    let (op, input, scale) = (args.op.name, args.ty("input")?, args.ty("scale")?);
    let axis = args.has("axis");
    match scale.rank() {
        0 if axis => {
            let message = format!("`axis` of `{op}` has no use, since `scale` is a scalar");
            return Err(Fault::of("axis", &codes::BAD_VALUE, message)
                .against("scale")
                .help("leave `axis` out, or give a scale for each place along it"));
        }
        1 if !axis => {
            let message = format!("`{op}` needs `axis`, since `scale` is a vector");
            return Err(Fault::of("axis", &codes::MISSING_PARAMETER, message).against("scale"));
        }
        0 | 1 => {}
        rank => {
            let message = format!("`scale` of `{op}` has {rank} dimensions; it must be a scalar or a vector");
            return Err(Fault::of("scale", &codes::WRONG_RANK, message));
        }
    }
    if let Some(zero) = args.opt_ty("zero_point").filter(|zero| !zero.shape.fits(&scale.shape)) {
        let message =
            format!("`zero_point` of `{op}` has shape {} and `scale` has {}", zero.shape, scale.shape);
        return Err(Fault::of("zero_point", &codes::SHAPE_MISMATCH, message).against("scale"));
    }
    if axis {
        let axis = axis_of(args)?;
        if !input.shape[axis].fits(scale.shape[0]) {
            let message = format!(
                "`scale` of `{op}` has {} elements, and `input` has {} along axis {axis}",
                scale.shape[0], input.shape[axis]
            );
            return Err(Fault::of("scale", &codes::SHAPE_MISMATCH, message).against("input"));
        }
    }
    Ok(())
}

/// The axis that `axis` names, counted from the front.
fn axis_of(args: &Args<'_>) -> Result<usize, Fault> {
    check_scalar(args, "axis")?;
    let axis = args.tensor("axis")?.to_i64s().first().copied().unwrap_or_default();
    args.normal_axis("axis", axis, args.ty("input")?.rank())
}

/// Applies a function to every element of `input`, its scale and its zero point.
fn map(args: &Args<'_>, types: &[Type], f: impl Fn(f64, f64, f64) -> f64) -> Result<Vec<Datum>, Fault> {
    let shape = args.tensor("input")?.shape();
    let scale = floats(args, "scale")?;
    let zero = if args.has("zero_point") { floats(args, "zero_point")? } else { vec![0.0; scale.len()] };
    // The elements of one place along the axis lie side by side; a scalar is one place.
    let step = if args.has("axis") { strides(shape)[axis_of(args)?] } else { 1 };
    let at = |i: usize| i / step % scale.len();
    let input = floats(args, "input")?;
    let y: Vec<f64> = input.iter().enumerate().map(|(i, &x)| f(x, scale[at(i)], zero[at(i)])).collect();
    from_floats(types, &y)
}

fn compute_quantize(args: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    map(args, types, |x, scale, zero| (x / scale).round_ties_even() + zero)
}

fn compute_dequantize(args: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    map(args, types, |x, scale, zero| scale * (x - zero))
}

/// The places along the axis as blocks; a scalar is one block.
fn blocks(args: &Args<'_>, input: &[usize]) -> Result<Blocks, Fault> {
    let axis = args.has("axis").then(|| axis_of(args)).transpose()?;
    Ok(axis.map_or_else(|| Blocks::one(input.iter().product()), |axis| Blocks::along(input, axis)))
}

fn fast_quantize(args: &Args<'_>, types: &[Type]) -> Ready {
    let (dtype, shape, x) = (args.ty("input")?.dtype, dims(args, "input")?, args.reader("input")?);
    if shape.contains(&0) {
        return idle();
    }
    let signed = types[0].as_tensor().is_some_and(|t| t.dtype == Int8);
    let blocks = blocks(args, &shape)?;
    let (scale, zero) = (Singles::of(args, "scale")?, Singles::opt(args, "zero_point")?);
    for_float!(dtype, T => ready(move |run| {
        let (x, scale, zero) = (run.read::<T>(&x), scale.read(run), zero.as_ref().map(|z| z.read(run)));
        weights::quantize(run.threads, run.write(0), x, &blocks, &scale, zero.as_deref(), signed);
    }))
}

/// Differences of bytes, and their products with a scale, are exact before the one rounding.
fn fast_dequantize(args: &Args<'_>, _: &[Type]) -> Ready {
    let (dtype, shape, x) = (args.ty("input")?.dtype, dims(args, "input")?, args.reader("input")?);
    if shape.contains(&0) {
        return idle();
    }
    let (blocks, signed) = (blocks(args, &shape)?, dtype == Int8);
    let (scales, zero) = (Singles::of(args, "scale")?, Singles::opt(args, "zero_point")?);
    for_float!(args.ty("scale")?.dtype, T => ready(move |run| {
        let (x, scales, zero) = (run.read::<u8>(&x), scales.read(run), zero.as_ref().map(|z| z.read(run)));
        let codes = if signed { Codes::Signed(x, 8) } else { Codes::Unsigned(x, 8) };
        weights::shift_scale(run.threads, run.write::<T>(0), codes, &blocks, &scales, zero.as_deref(), false);
    }))
}

#[cfg(test)]
mod tests {
    use crate::mil::Opset::*;
    use crate::ops::check::*;
    use crate::types::DType::*;
    use crate::types::Tensor;

    const INF: f64 = f64::INFINITY;

    #[test]
    fn quantize() {
        let with = |x: Tensor, scale: Tensor, dtype: &str, rest: &[(&'static str, Tensor)]| {
            [&[("input", x), ("scale", scale), ("output_dtype", s(dtype))], rest].concat()
        };
        let zero = |dtype, z: f64| ("zero_point", Tensor::scalar(dtype, z));
        let x = f(&[1.25, 0.25, -0.75, 1000.0, -1000.0, INF, f64::NAN]);
        // np.around(x / 0.5), of two the even one, held to [-128, 127]
        let y = t(Int8, &[7], &[2.0, 0.0, -2.0, 127.0, -128.0, 127.0, 0.0]);
        check("quantize", Ios17, &with(x.clone(), f1(0.5), "int8", &[]), &y);
        let y = t(UInt8, &[3], &[12.0, 10.0, 0.0]);
        check("quantize", Ios17, &with(f(&[1.0, 0.0, -9.0]), f1(0.5), "uint8", &[zero(UInt8, 10.0)]), &y);
        let x = t(Fp16, &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let scale = h(&[1.0, 2.0]);
        let axis = |axis| ("axis", i1(axis));
        let y = t(Int8, &[2, 2], &[1.0, 2.0, 2.0, 2.0]);
        check("quantize", Ios17, &with(x.clone(), scale.clone(), "int8", &[axis(0)]), &y);
        let points = ("zero_point", t(Int8, &[2], &[-1.0, 5.0]));
        let y = t(Int8, &[2, 2], &[0.0, 6.0, 2.0, 7.0]);
        check("quantize", Ios17, &with(x.clone(), scale.clone(), "int8", &[axis(-1), points]), &y);
        check("quantize", Ios17, &with(f(&[]), f1(1.0), "int8", &[]), &t(Int8, &[0], &[]));

        let bad = |scale: &Tensor, dtype, rest: &[(&'static str, Tensor)], code, param| {
            refuse("quantize", Ios17, &with(x.clone(), scale.clone(), dtype, rest), code, Some(param));
        };
        let one = Tensor::scalar(Fp16, 1.0);
        bad(&one, "int32", &[], "bad-value", "output_dtype");
        bad(&one, "int8", &[zero(UInt8, 1.0)], "dtype-mismatch", "zero_point");
        bad(&Tensor::scalar(Fp16, 0.0), "int8", &[], "bad-value", "scale");
        bad(&one, "int8", &[axis(0)], "bad-value", "axis");
        bad(&scale, "int8", &[], "missing-parameter", "axis");
        bad(&scale, "int8", &[axis(2)], "index-out-of-range", "axis");
        bad(&scale, "int8", &[axis(0), zero(Int8, 1.0)], "shape-mismatch", "zero_point");
        bad(&h(&[1.0]), "int8", &[axis(0)], "shape-mismatch", "scale");
        bad(&x, "int8", &[axis(0)], "wrong-rank", "scale");
    }

    #[test]
    fn dequantize() {
        let x = t(Int8, &[2, 2], &[-128.0, 0.0, 1.0, 127.0]);
        let args = [("input", x.clone()), ("scale", f1(0.5))];
        check("dequantize", Ios17, &args, &t(Fp32, &[2, 2], &[-64.0, 0.0, 0.5, 63.5]));
        let args = [
            ("input", x.clone()),
            ("scale", h(&[2.0, 0.25])),
            ("axis", i1(1)),
            ("zero_point", t(Int8, &[2], &[-128.0, 127.0])),
        ];
        check("dequantize", Ios17, &args, &t(Fp16, &[2, 2], &[0.0, -31.75, 258.0, 0.0]));
        let args = [
            ("input", t(UInt8, &[1], &[3.0])),
            ("scale", f1(2.0)),
            ("zero_point", Tensor::scalar(UInt8, 255.0)),
        ];
        check("dequantize", Ios17, &args, &f(&[-504.0]));
        refuse(
            "dequantize",
            Ios17,
            &[("input", x), ("scale", f(&[1.0, 2.0]))],
            "missing-parameter",
            Some("axis"),
        );
    }
}
