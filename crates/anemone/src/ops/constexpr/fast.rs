//! The decompression of weights with the kernels: it runs once for each weight when a program is loaded.

use std::borrow::Cow;

use anemone_kernels::Float as _;
use anemone_kernels::weights::{Blocks, Codes, compress, expand, ones, shift_scale};

use super::{dense_count, known_axis, stated_shape};
use crate::ops::fast::{Found, bits, elements, filled, for_bits, for_float, moved, result, singles};
use crate::ops::loops::shape_of;
use crate::ops::row::*;
use crate::types::f16;

/// The elements of a tensor as the kernels read them.
fn codes(t: &Tensor) -> Option<Codes<'_>> {
    Some(match t.dtype() {
        Int4 | Int8 => Codes::Signed(t.bytes(), t.dtype().bits()),
        UInt1 | UInt2 | UInt3 | UInt4 | UInt6 | UInt8 => Codes::Unsigned(t.bytes(), t.dtype().bits()),
        Fp16 => Codes::Halves(elements(t)),
        Fp32 => Codes::Singles(elements(t)),
        _ => return None,
    })
}

/// One number for each block, where a single number holds for all.
fn for_each(values: Cow<'_, [f32]>, count: usize) -> Cow<'_, [f32]> {
    if values.len() == 1 { vec![values[0]; count].into() } else { values }
}

/// `constexpr_affine_dequantize`.
pub(super) fn affine(args: &Args<'_>, types: &[Type], context: &Context<'_>) -> Found {
    let (data, scale) = (args.tensor("quantized_data")?, args.tensor("scale")?);
    let (scales, zeros) = (singles(scale), singles(args.tensor("zero_point")?));
    let (blocks, count) = if scales.len() == 1 && zeros.len() == 1 {
        (Blocks::one(data.len()), 1)
    } else {
        let axis = known_axis(args, "axis", data.rank())?;
        (Blocks::along(data.shape(), axis), data.shape()[axis])
    };
    let (scales, zeros) = (for_each(scales, count), for_each(zeros, count));
    let Some(codes) = codes(data).filter(|_| !data.is_empty()) else { return Ok(None) };
    for_float!(scale.dtype(), T => filled(types, |y: &mut [T]| {
        shift_scale(context.threads, y, codes, &blocks, &scales, Some(&zeros), false);
    }))
}

/// The data, shifted and scaled block by block, in the dtype of the scale.
fn shifted_and_scaled(
    args: &Args<'_>,
    context: &Context<'_>,
    shape: &[usize],
    codes: Codes<'_>,
) -> Result<Option<Tensor>, Fault> {
    let scale = args.tensor("scale")?;
    let offset = if args.has("offset") { Some(args.tensor("offset")?) } else { None };
    let shifts = offset.map(singles);
    let narrow = scale.dtype() == Fp16;
    // Data is brought to the dtype of the scale first. Halves hold the whole numbers of a byte as they are.
    let mut halves = Vec::new();
    let codes = match codes {
        Codes::Singles(wide) if narrow => {
            halves.resize(wide.len(), f16::ZERO);
            f16::narrow(&mut halves, wide);
            Codes::Halves(&halves)
        }
        other => other,
    };
    let halved = narrow && offset.is_none_or(|o| o.dtype() != Fp32);
    let blocks = Blocks::new(shape, scale.shape());
    let scales = singles(scale);
    let y = for_float!(scale.dtype(), T => result(shape, |y: &mut [T]| {
        shift_scale(context.threads, y, codes, &blocks, &scales, shifts.as_deref(), halved);
    })?);
    Ok(y.as_tensor().cloned())
}

/// `constexpr_blockwise_shift_scale`.
pub(super) fn blockwise(args: &Args<'_>, _: &[Type], context: &Context<'_>) -> Found {
    let data = args.tensor("data")?;
    let Some(codes) = codes(data).filter(|_| !data.is_empty()) else { return Ok(None) };
    Ok(shifted_and_scaled(args, context, data.shape(), codes)?.map(|y| vec![y.into()]))
}

/// `constexpr_sparse_blockwise_shift_scale`.
pub(super) fn sparse_blockwise(args: &Args<'_>, types: &[Type], context: &Context<'_>) -> Found {
    let (mask, data) = (args.tensor("data_mask")?, args.tensor("nonzero_data")?);
    dense_count(data, "nonzero_data", ones(mask.bytes(), mask.len()), "data_mask")?;
    if mask.is_empty() {
        return Ok(None);
    }
    let mut numbers = vec![0.0; mask.len()];
    expand(context.threads, &mut numbers, mask.bytes(), &singles(data));
    let scaled = shifted_and_scaled(args, context, mask.shape(), Codes::Singles(&numbers))?;
    let Some(scaled) = scaled else { return Ok(None) };
    let values = for_float!(scaled.dtype(), T => result(&shape_of(&types[1]), |y: &mut [T]| {
        compress(y, mask.bytes(), elements(&scaled));
    })?);
    Ok(Some(vec![mask.clone().into(), values]))
}

/// `constexpr_sparse_to_dense`.
pub(super) fn sparse_to_dense(args: &Args<'_>, _: &[Type], context: &Context<'_>) -> Found {
    let (values, mask) = (args.tensor("nonzero_data")?, args.tensor("mask")?);
    let shape = if args.edition.in_attributes {
        stated_shape(args)?.known().unwrap_or_default()
    } else {
        mask.shape().to_vec()
    };
    dense_count(values, "nonzero_data", ones(mask.bytes(), shape.iter().product()), "mask")?;
    Ok(for_bits!(values.dtype(), E => {
        let dense = moved(values.dtype(), &shape, |to: &mut [E]| {
            expand(context.threads, to, mask.bytes(), bits(values));
        })?;
        Some(vec![dense])
    }))
}

/// `constexpr_cast`, which only widens.
pub(super) fn cast(args: &Args<'_>, types: &[Type], context: &Context<'_>) -> Found {
    let source = args.tensor("source_val")?;
    filled(types, |y: &mut [f32]| {
        anemone_kernels::threads::parallel_chunks(context.threads, y, 1 << 12, 8, |i, y| {
            f16::widen(y, &elements::<f16>(source)[i << 12..][..y.len()]);
        });
    })
}
