//! Compressed weights: constants that are stored small and decompressed once, when a program is loaded.
//!
//! The arithmetic is that of coremltools, step by step and in its dtypes, so that the weights have the same bits.

mod fast;

use super::moves::{
    bad_value, dims_of, exact, joined, known_axis, known_ints, of_rank, offsets, one, result, tensor_type,
};
use super::row::*;
use crate::types::f16;

pub(super) const ENTRIES: &[DType] = &[Int8, UInt8, Fp16, Fp32];
const QUANTIZED: &[DType] = &[Int4, UInt4, Int8, UInt8, Fp16, Fp32];

const AFFINE_DEQUANTIZE: &[Edition] = &[edition_in_attributes(
    Ios16,
    &[
        tensor("quantized_data", &[UInt8, Int8]).domain('S').constant(),
        tensor("zero_point", &[UInt8, Int8, Fp32]).domain('Z').constant(),
        tensor("scale", FLOATS).domain('D').constant(),
        tensor("axis", I32).constant(),
    ],
)];

const BLOCKWISE_SHIFT_SCALE: &[Edition] = &[edition(
    Ios18,
    &[
        tensor("data", QUANTIZED).domain('S').constant(),
        tensor("scale", FLOATS).domain('D').constant(),
        tensor("offset", QUANTIZED).domain('O').constant().or(Absent),
    ],
)];

const SPARSE_BLOCKWISE_SHIFT_SCALE: &[Edition] = &[edition(
    Ios18,
    &[
        tensor("data_mask", &[UInt1]).constant(),
        tensor("nonzero_data", QUANTIZED).domain('S').constant(),
        tensor("scale", FLOATS).domain('D').constant(),
        tensor("offset", QUANTIZED).domain('O').constant().or(Absent),
    ],
)];

const CAST_PARAMS: &[Parameter] =
    &[tensor("source_val", &[Fp16]).constant(), tensor("output_dtype", STR).constant()];

const CAST: &[Edition] = &[edition_in_attributes(Ios16, CAST_PARAMS), edition(Ios18, CAST_PARAMS)];

const SPARSE_TO_DENSE: &[Edition] = &[
    edition_in_attributes(
        Ios16,
        &[
            tensor("nonzero_data", ENTRIES).domain('T').constant(),
            tensor("mask", &[UInt8]).constant(),
            tensor("shape", &[UInt32]).constant(),
        ],
    ),
    edition(
        Ios18,
        &[tensor("nonzero_data", QUANTIZED).domain('T').constant(), tensor("mask", &[UInt1]).constant()],
    ),
];

/// Refuses a tensor whose shape does not go with another's.
pub(super) fn mismatch(
    param: &'static str,
    other: &'static str,
    message: impl Into<std::string::String>,
) -> Fault {
    Fault::of(param, &codes::SHAPE_MISMATCH, message).against(other)
}

/// Every element as f32, which holds all values of the dtypes here.
fn numbers(t: &Tensor) -> Vec<f32> {
    t.to_f64s().into_iter().map(|v| v as f32).collect()
}

/// The number as fp16 holds it.
fn halved(v: f32) -> f32 {
    f16::from_f32(v).to_f32()
}

/// A tensor of dtype fp16 or fp32 from numbers, each rounded once.
fn floats(dtype: DType, shape: &[usize], values: &[f32]) -> Result<Tensor, Fault> {
    if dtype == Fp32 {
        return Ok(Tensor::from_slice(shape, values)?);
    }
    let halves: Vec<f16> = values.iter().map(|&v| f16::from_f32(v)).collect();
    Ok(Tensor::from_slice(shape, &halves)?)
}

fn infer_affine(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let (data, scale) = (args.ty("quantized_data")?, args.ty("scale")?);
    let axis = known_axis(args, "axis", data.rank())?;
    for param in ["scale", "zero_point"] {
        let ty = args.ty(param)?;
        let fits = match &ty.shape[..] {
            [] => true,
            [n] => n.fits(data.shape[axis]),
            _ => false,
        };
        if !fits {
            return Err(mismatch(
                param,
                "quantized_data",
                format!(
                    "`{param}` of shape {} must be a scalar or have {} elements, one for each place along the axis",
                    ty.shape, data.shape[axis]
                ),
            ));
        }
    }
    result(args, scale.dtype, data.shape.clone())
}

fn compute_affine(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    infer_affine(args)?;
    let (data, scale) = (args.tensor("quantized_data")?, args.tensor("scale")?);
    let axis = known_axis(args, "axis", data.rank())?;
    let inner: usize = data.shape()[axis + 1..].iter().product();
    let dim = data.shape()[axis];
    let (scales, zeros) = (numbers(scale), numbers(args.tensor("zero_point")?));
    let of = |all: &[f32], at: usize| if all.len() == 1 { all[0] } else { all[at / inner % dim] };
    let values: Vec<f32> =
        numbers(data).into_iter().enumerate().map(|(at, q)| (q - of(&zeros, at)) * of(&scales, at)).collect();
    one(floats(scale.dtype(), data.shape(), &values)?)
}

/// For each element of a tensor of this shape, in order, the block that it lies in, when the tensor is cut into
/// `counts` equal blocks along each axis. Blocks are counted in row-major order.
pub(super) fn blocks(shape: &[usize], counts: &[usize]) -> impl Iterator<Item = usize> {
    let steps = super::moves::strides(counts);
    let mut view = Vec::new();
    let mut strides = Vec::new();
    for ((&n, &count), step) in shape.iter().zip(counts).zip(steps) {
        view.extend([count, n.checked_div(count).unwrap_or(0)]);
        strides.extend([step, 0]);
    }
    offsets(0, &view, &strides)
}

/// Refuses scales that do not cut the data into equal blocks.
fn check_scales(args: &Args<'_>, param: &'static str, data: &Shape, dtype: DType) -> Result<(), Fault> {
    let scale = args.ty("scale")?;
    if data.rank() != scale.rank() || data.rank() == 0 {
        return Err(Fault::of(
            "scale",
            &codes::WRONG_RANK,
            format!(
                "`scale` of `{}` has {} dimensions and `{param}` has {}; they must have as many, and at least one",
                args.op.name,
                scale.rank(),
                data.rank()
            ),
        )
        .against(param));
    }
    check_blocks("scale", param, &scale.shape, data)?;
    let Some(offset) = args.opt_ty("offset") else { return Ok(()) };
    if !offset.shape.fits(&scale.shape) {
        return Err(mismatch(
            "offset",
            "scale",
            format!("`offset` has shape {} and `scale` has shape {}", offset.shape, scale.shape),
        ));
    }
    if !offset.dtype.is_float() && offset.dtype != dtype {
        return Err(Fault::of(
            "offset",
            &codes::DTYPE_MISMATCH,
            format!("`offset` is {} and must be {dtype}, as the data, or a float", offset.dtype),
        ));
    }
    Ok(())
}

/// Refuses a number of blocks that does not divide the dimension.
pub(super) fn check_blocks(
    param: &'static str,
    data_param: &'static str,
    counts: &[Dim],
    data: &Shape,
) -> Result<(), Fault> {
    for (axis, (count, dim)) in counts.iter().zip(data.iter()).enumerate() {
        if let (Dim::Known(count), Dim::Known(dim)) = (count, dim)
            && (*count == 0 || dim % count != 0)
        {
            return Err(mismatch(
                param,
                data_param,
                format!(
                    "`{param}` cuts axis {axis} of {dim} elements into {count} blocks, which are not equal"
                ),
            ));
        }
    }
    Ok(())
}

/// The data, shifted and scaled block by block.
///
/// The data is first brought to the dtype of the scale; differences and products are rounded to the dtype that holds
/// both operands.
fn shifted_and_scaled(args: &Args<'_>, data: &Tensor) -> Result<Tensor, Fault> {
    let scale = args.tensor("scale")?;
    let offset = if args.has("offset") { Some(args.tensor("offset")?) } else { None };
    let narrow = scale.dtype() == Fp16;
    let round_data = |v: f32| if narrow { halved(v) } else { v };
    let in_halves = narrow && offset.is_none_or(|o| o.dtype() != Fp32);
    let round = |v: f32| if in_halves { halved(v) } else { v };
    let (scales, shifts) = (numbers(scale), offset.map(numbers));
    let values: Vec<f32> = numbers(data)
        .into_iter()
        .zip(blocks(data.shape(), scale.shape()))
        .map(|(v, block)| {
            let v = round_data(v);
            let v = shifts.as_ref().map_or(v, |s| round(v - s[block]));
            round(scales[block] * v)
        })
        .collect();
    floats(scale.dtype(), data.shape(), &values)
}

fn infer_blockwise(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let data = args.ty("data")?;
    check_scales(args, "data", &data.shape, data.dtype)?;
    result(args, args.ty("scale")?.dtype, data.shape.clone())
}

fn compute_blockwise(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    infer_blockwise(args)?;
    one(shifted_and_scaled(args, args.tensor("data")?)?)
}

fn infer_sparse_blockwise(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let (mask, values) = (args.ty("data_mask")?, of_rank(args, "nonzero_data", 1)?);
    check_scales(args, "data_mask", &mask.shape, values.dtype)?;
    let dtype = args.ty("scale")?.dtype;
    Ok(vec![mask.clone().into(), tensor_type(args, dtype, values.shape.clone())?])
}

fn compute_sparse_blockwise(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    infer_sparse_blockwise(args)?;
    let mask = args.tensor("data_mask")?;
    let dense = dense(args.tensor("nonzero_data")?, "nonzero_data", mask, "data_mask")?;
    let values = sparse(&shifted_and_scaled(args, &dense)?, mask)?;
    Ok(vec![mask.clone().into(), values.into()])
}

/// A tensor of the mask's shape that has the values, in order, where the mask is set, and zeros elsewhere.
pub(super) fn dense(
    values: &Tensor,
    param: &'static str,
    mask: &Tensor,
    mask_param: &'static str,
) -> Result<Tensor, Fault> {
    let set = mask.to_i64s();
    let count = set.iter().filter(|&&bit| bit != 0).count();
    dense_count(values, param, count, mask_param)?;
    let all = joined(&[values, &Tensor::zeros(values.dtype(), &[1])?])?;
    let mut next = 0;
    let from = set.into_iter().map(|bit| {
        if bit == 0 {
            return count;
        }
        next += 1;
        next - 1
    });
    Ok(all.pick(mask.shape(), from)?)
}

/// Refuses values that are not as many as bits of the mask are set.
pub(super) fn dense_count(
    values: &Tensor,
    param: &'static str,
    count: usize,
    mask_param: &'static str,
) -> Result<(), Fault> {
    if count == values.len() {
        return Ok(());
    }
    let message = format!("`{param}` has {} elements, and `{mask_param}` has {count} bits set", values.len());
    Err(mismatch(param, mask_param, message))
}

/// The elements where the mask is set, in order: the inverse of [`dense`].
pub(super) fn sparse(dense: &Tensor, mask: &Tensor) -> Result<Tensor, Fault> {
    let set: Vec<usize> =
        mask.to_i64s().into_iter().enumerate().filter(|(_, bit)| *bit != 0).map(|(at, _)| at).collect();
    Ok(dense.pick(&[set.len()], set.iter().copied())?)
}

/// The shape that iOS 16 gives beside packed bits.
pub(super) fn stated_shape(args: &Args<'_>) -> Result<Shape, Fault> {
    dims_of(args, "shape", &known_ints(args, "shape")?)
}

/// Elements of this dtype that iOS 16 packs into the bytes of a vector.
pub(super) fn unpacked(args: &Args<'_>, param: &'static str, dtype: DType) -> Result<Tensor, Fault> {
    let shape = stated_shape(args)?.known().unwrap_or_default();
    check_packed(args, param, dtype)?;
    Ok(Tensor::from_bytes(dtype, &shape, args.tensor(param)?.bytes())?)
}

/// Refuses a vector of packed bits that is not as long as `shape` needs.
pub(super) fn check_packed(args: &Args<'_>, param: &'static str, dtype: DType) -> Result<(), Fault> {
    let shape = stated_shape(args)?;
    let bytes = of_rank(args, param, 1)?.shape[0];
    let needed = shape.elements().unwrap_or(0).saturating_mul(dtype.bits() as u64).div_ceil(8);
    if !bytes.fits(Dim::Known(needed)) {
        return Err(mismatch(
            param,
            "shape",
            format!(
                "`{param}` of `{}` has {bytes} bytes, and shape {shape} at {} bits each needs {needed}",
                args.op.name,
                dtype.bits()
            ),
        ));
    }
    Ok(())
}

fn infer_sparse_to_dense(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let dtype = of_rank(args, "nonzero_data", 1)?.dtype;
    if args.edition.in_attributes {
        let types = result(args, dtype, stated_shape(args)?)?;
        check_packed(args, "mask", UInt1)?;
        return Ok(types);
    }
    result(args, dtype, args.ty("mask")?.shape.clone())
}

fn compute_sparse_to_dense(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    infer_sparse_to_dense(args)?;
    let mask = if args.edition.in_attributes {
        unpacked(args, "mask", UInt1)?
    } else {
        args.tensor("mask")?.clone()
    };
    one(dense(args.tensor("nonzero_data")?, "nonzero_data", &mask, "mask")?)
}

fn infer_cast(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let source = args.ty("source_val")?;
    match args.str("output_dtype") {
        Some("fp32") => result(args, Fp32, source.shape.clone()),
        Some(other) => {
            let why = format_args!("`{other}` is not fp32").to_string();
            Err(bad_value(args, "output_dtype", why))
        }
        None => Err(args
            .tensor("output_dtype")
            .err()
            .unwrap_or_else(|| bad_value(args, "output_dtype", "it must be a string"))),
    }
}

fn compute_cast(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    infer_cast(args)?;
    let source = args.tensor("source_val")?;
    one(floats(Fp32, source.shape(), &numbers(source))?)
}

const ONE: Results = Results::Exactly(1);
const TWO: Results = Results::Exactly(2);

pub(super) static OPS: &[Op] = &[
    Op {
        fast: Fast::InParts(fast::affine, fast::affine_parts),
        ..exact(
            "constexpr_affine_dequantize",
            "scale * (data - zero point), for a tensor or along an axis",
            AFFINE_DEQUANTIZE,
            ONE,
            infer_affine,
            compute_affine,
        )
    },
    Op {
        fast: Fast::InParts(fast::blockwise, fast::blockwise_parts),
        ..exact(
            "constexpr_blockwise_shift_scale",
            "scale * (data - offset), block by block",
            BLOCKWISE_SHIFT_SCALE,
            ONE,
            infer_blockwise,
            compute_blockwise,
        )
    },
    Op {
        fast: Fast::Prepared(fast::sparse_to_dense),
        ..exact(
            "constexpr_sparse_to_dense",
            "values where a mask is set, and zeros elsewhere",
            SPARSE_TO_DENSE,
            ONE,
            infer_sparse_to_dense,
            compute_sparse_to_dense,
        )
    },
    Op {
        fast: Fast::Prepared(fast::sparse_blockwise),
        ..exact(
            "constexpr_sparse_blockwise_shift_scale",
            "the values of a sparse tensor, scaled and shifted block by block",
            SPARSE_BLOCKWISE_SHIFT_SCALE,
            TWO,
            infer_sparse_blockwise,
            compute_sparse_blockwise,
        )
    },
    Op {
        fast: Fast::Prepared(fast::cast),
        ..exact("constexpr_cast", "a constant of dtype fp16 as fp32", CAST, ONE, infer_cast, compute_cast)
    },
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    // The expected bits are those of coremltools' `decompress` on the same arrays.

    fn halves(shape: &[usize], bits: &[u16]) -> Datum {
        Tensor::from_slice(shape, &bits.iter().map(|&b| f16::from_bits(b)).collect::<Vec<_>>())
            .unwrap()
            .into()
    }

    fn singles(shape: &[usize], bits: &[u32]) -> Datum {
        f32s(shape, &bits.iter().map(|&b| f32::from_bits(b)).collect::<Vec<_>>())
    }

    #[test]
    fn affine_dequantize_has_the_bits_of_coremltools() {
        let args = [
            ("quantized_data", ints(Int8, &[2, 3], &[113, 32, 47, 101, 20, 70])),
            ("zero_point", ints(Int8, &[3], &[-7, 3, 100])),
            ("scale", f16s(&[3], &[0.1, 0.013, 1.7])),
            ("axis", int(1)),
        ];
        let expected = halves(&[2, 3], &[18944, 13832, 54690, 18790, 13074, 53856]);
        check("constexpr_affine_dequantize", Ios16, &args, &[expected]);
        let args = [
            ("quantized_data", ints(UInt8, &[2, 2], &[0, 255, 17, 200])),
            ("zero_point", f32s(&[], &[1.5])),
            ("scale", f32s(&[], &[0.1])),
            ("axis", int(-2)),
        ];
        let expected = singles(&[2, 2], &[3189348762, 1103809741, 1069966951, 1100926157]);
        check("constexpr_affine_dequantize", Ios16, &args, &[expected]);
        let empty = [
            ("quantized_data", ints(UInt8, &[2, 0], &[])),
            args[1].clone(),
            args[2].clone(),
            args[3].clone(),
        ];
        check("constexpr_affine_dequantize", Ios16, &empty, &[f32s(&[2, 0], &[])]);
        let long = [args[0].clone(), args[1].clone(), ("scale", f32s(&[3], &[1.0; 3])), args[3].clone()];
        refuse("constexpr_affine_dequantize", Ios16, &long, "shape-mismatch");
        let off = [args[0].clone(), args[1].clone(), args[2].clone(), ("axis", int(2))];
        refuse("constexpr_affine_dequantize", Ios16, &off, "index-out-of-range");
    }

    const SHIFT: &str = "constexpr_blockwise_shift_scale";

    fn shift(data: Datum, scale: Datum, offset: Option<Datum>) -> Vec<(&'static str, Datum)> {
        let offset = offset.map(|o| ("offset", o));
        [("data", data), ("scale", scale)].into_iter().chain(offset).collect()
    }

    #[test]
    fn blockwise_shift_scale_has_the_bits_of_coremltools() {
        let nibbles = || ints(Int4, &[2, 4], &[-8, 7, 3, -1, 1, 2, -5, 6]);
        let scale = || f16s(&[2, 2], &[0.1, 0.37, 2.3, 0.0013]);
        let with = |offset: Datum, bits: &[u16]| {
            check(SHIFT, Ios18, &shift(nibbles(), scale(), Some(offset)), &[halves(&[2, 4], bits)]);
        };
        with(ints(Int4, &[2, 2], &[1, -2, 3, -4]), &[47923, 14540, 16231, 13804, 50330, 49306, 38227, 8872]);
        let shifts = [0.3, -2.7, 3.1, -4.9];
        with(f16s(&[2, 2], &shifts), &[47779, 14684, 16440, 14600, 50389, 49423, 34899, 9025]);
        let exact = [0.300_748_83, -2.698_518_8, 3.100_309_4, -4.897_737_5];
        with(f32s(&[2, 2], &exact), &[47780, 14684, 16440, 14599, 50389, 49424, 34907, 9025]);
        let data = || f32s(&[2, 4], &[0.1, 1.7, 2049.4, -3.3, 1e-6, 0.5, 65503.0, 7.0]);
        let expected = halves(&[2, 4], &[8478, 12656, 25069, 48355, 39, 15514, 21842, 8361]);
        check(SHIFT, Ios18, &shift(data(), scale(), None), &[expected]);
        let wide: Vec<f32> = scale().as_tensor().unwrap().to_f64s().iter().map(|&v| v as f32).collect();
        let bits =
            [1008979149, 1043204506, 1144889641, 3214693990, 907699999, 1066614784, 1118456330, 1008014336];
        check(SHIFT, Ios18, &shift(data(), f32s(&[2, 2], &wide), None), &[singles(&[2, 4], &bits)]);
    }

    #[test]
    fn blockwise_shift_scale_refuses_uneven_blocks() {
        let data = || ints(Int8, &[2, 4], &[0; 8]);
        let no = |scale: &[usize], offset: Option<Datum>, code| {
            refuse(SHIFT, Ios18, &shift(data(), iota(scale), offset), code);
        };
        no(&[2, 3], None, "shape-mismatch");
        no(&[2, 0], None, "shape-mismatch");
        no(&[2], None, "wrong-rank");
        no(&[2, 2], Some(ints(Int8, &[2, 1], &[0, 0])), "shape-mismatch");
        no(&[2, 2], Some(ints(UInt8, &[2, 2], &[0; 4])), "dtype-mismatch");
    }

    #[test]
    fn sparse_to_dense_fills_a_mask() {
        let args = |mask: i64, values: &[f32]| {
            [
                ("nonzero_data", f16s(&[values.len()], values)),
                ("mask", ints(UInt8, &[1], &[mask])),
                ("shape", ints(UInt32, &[2], &[1, 5])),
            ]
        };
        let expected = f16s(&[1, 5], &[0.0, 0.0, 7.0, 8.0, 0.0]);
        check("constexpr_sparse_to_dense", Ios16, &args(0b01100, &[7.0, 8.0]), &[expected]);
        refuse("constexpr_sparse_to_dense", Ios16, &args(0b01100, &[7.0]), "shape-mismatch");
        let mask = || ints(UInt1, &[2, 2], &[1, 0, 0, 1]);
        let args = [("nonzero_data", ints(Int4, &[2], &[-8, 7])), ("mask", mask())];
        check("constexpr_sparse_to_dense", Ios18, &args, &[ints(Int4, &[2, 2], &[-8, 0, 0, 7])]);
        let few = [("nonzero_data", ints(Int4, &[1], &[-8])), ("mask", mask())];
        refuse("constexpr_sparse_to_dense", Ios18, &few, "shape-mismatch");
    }

    #[test]
    fn sparse_scales_keep_the_mask() {
        let mask = || ints(UInt1, &[4, 4], &[1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0]);
        let args = [
            ("data_mask", mask()),
            ("nonzero_data", ints(Int8, &[9], &[10, 11, 3, 4, 5, 6, 7, 8, 9])),
            ("scale", f16s(&[1, 4], &[0.1, 0.2, 0.3, 0.4])),
            ("offset", ints(Int8, &[1, 4], &[1, 2, 3, 4])),
        ];
        let values = halves(&[9], &[15155, 16179, 12902, 13926, 14541, 15156, 15564, 14745, 15769]);
        check("constexpr_sparse_blockwise_shift_scale", Ios18, &args, &[mask(), values]);
    }

    #[test]
    fn cast_widens() {
        let args = [("source_val", f16s(&[2], &[0.1, -2.0])), ("output_dtype", text("fp32"))];
        for opset in [Ios16, Ios18] {
            check("constexpr_cast", opset, &args, &[f32s(&[2], &[f16::from_f32(0.1).to_f32(), -2.0])]);
        }
        let other = [args[0].clone(), ("output_dtype", text("fp64"))];
        refuse("constexpr_cast", Ios16, &other, "bad-value");
    }
}
