//! The decompression of weights with the kernels: it runs once for each weight when a program is loaded.

use anemone_kernels::Float;
use anemone_kernels::fours::Numbers;
use anemone_kernels::scratch::scratch;
use anemone_kernels::threads::parallel_chunks;
use anemone_kernels::weights::{Blocks, Codes, compress, expand, ones, shift_scale, shift_scale_from};

use super::{dense_count, known_axis};
use crate::ops::fast::{Elements, Ready, Singles, dims, for_bits, for_float, ready, singles};
use crate::ops::loops::shape_of;
use crate::ops::row::*;
use crate::types::f16;

/// Where the kernels find codes.
struct Source {
    reader: Reader,
    dtype: DType,
}

impl Source {
    /// Those of an argument, if the kernels read its dtype.
    fn of(args: &Args<'_>, param: &'static str) -> Result<Option<Self>, Fault> {
        let dtype = args.ty(param)?.dtype;
        let known =
            matches!(dtype, Int4 | Int8 | UInt1 | UInt2 | UInt3 | UInt4 | UInt6 | UInt8 | Fp16 | Fp32);
        Ok(if known { Some(Self { reader: args.reader(param)?, dtype }) } else { None })
    }

    fn codes<'b, 'd: 'b>(&'b self, run: &Run<'_, 'd>) -> Codes<'b> {
        match self.dtype {
            Int4 | Int8 => Codes::Signed(run.read(&self.reader), self.dtype.bits()),
            Fp16 => Codes::Halves(run.read(&self.reader)),
            Fp32 => Codes::Singles(run.read(&self.reader)),
            _ => Codes::Unsigned(run.read(&self.reader), self.dtype.bits()),
        }
    }
}

/// The scales and zero points of `constexpr_affine_dequantize`, block by block.
fn affine_blocks(args: &Args<'_>) -> Result<(Blocks, Vec<f32>, Vec<f32>), Fault> {
    let shape = dims(args, "quantized_data")?;
    let (scales, zeros) = (singles(args.tensor("scale")?), singles(args.tensor("zero_point")?));
    let (blocks, count) = if scales.len() == 1 && zeros.len() == 1 {
        (Blocks::one(shape.iter().product()), 1)
    } else {
        let axis = known_axis(args, "axis", shape.len())?;
        (Blocks::along(&shape, axis), shape[axis])
    };
    // A single number holds for all blocks.
    let each = |values: &[f32]| if values.len() == 1 { vec![values[0]; count] } else { values.to_vec() };
    Ok((blocks, each(&scales), each(&zeros)))
}

/// `constexpr_affine_dequantize`.
pub(super) fn affine(args: &Args<'_>, _: &[Type]) -> Ready {
    let (blocks, scales, zeros) = affine_blocks(args)?;
    let empty = dims(args, "quantized_data")?.contains(&0);
    let Some(source) = Source::of(args, "quantized_data")?.filter(|_| !empty) else {
        return Ok(None);
    };
    for_float!(args.ty("scale")?.dtype, T => ready(move |run| {
        let codes = source.codes(run);
        shift_scale(run.threads, run.write::<T>(0), codes, &blocks, &scales, Some(&zeros), false);
    }))
}

/// Parts of what `constexpr_affine_dequantize` gives.
pub(super) fn affine_parts(args: &Args<'_>) -> Result<Option<Parts>, Fault> {
    let (blocks, scales, zeros) = affine_blocks(args)?;
    let Some(codes) = Bytes::of(args, "quantized_data")? else { return Ok(None) };
    for_float!(args.ty("scale")?.dtype, T => Ok(Some(Parts::new(move |start, to: &mut [T]| {
        shift_scale_from(to, start, codes.codes(), &blocks, &scales, Some(&zeros), false);
    }))))
}

/// Packed codes that are constant.
struct Bytes(Tensor);

impl Bytes {
    fn of(args: &Args<'_>, param: &'static str) -> Result<Option<Self>, Fault> {
        let codes = args.tensor(param)?;
        let known = matches!(codes.dtype(), Int4 | Int8 | UInt1 | UInt2 | UInt3 | UInt4 | UInt6 | UInt8);
        Ok((known && !codes.is_empty()).then(|| Self(codes.clone())))
    }

    fn codes(&self) -> Codes<'_> {
        match self.0.dtype() {
            Int4 | Int8 => Codes::Signed(self.0.bytes(), self.0.dtype().bits()),
            dtype => Codes::Unsigned(self.0.bytes(), dtype.bits()),
        }
    }
}

/// How data is shifted and scaled block by block, in the dtype of the scale.
struct Scaling {
    blocks: Blocks,
    scales: Singles,
    shifts: Option<Singles>,
    /// Whether the scale is of halves, to which data is brought first.
    narrow: bool,
    /// Whether differences are rounded to halves.
    halved: bool,
}

impl Scaling {
    fn of(args: &Args<'_>, data: DType, shape: &[usize]) -> Result<Self, Fault> {
        let narrow = args.ty("scale")?.dtype == Fp16;
        Ok(Self {
            blocks: Blocks::new(shape, &dims(args, "scale")?),
            scales: Singles::of(args, "scale")?,
            shifts: Singles::opt(args, "offset")?,
            narrow,
            // The difference of whole numbers of a byte is one that halves hold.
            halved: narrow
                && args.opt_ty("offset").is_none_or(|o| o.dtype != Fp32)
                && ![Some(data), args.opt_ty("offset").map(|o| o.dtype)].iter().flatten().all(|d| d.is_int()),
        })
    }

    /// The scales, and the shifts.
    fn numbers<'b, 'd: 'b>(&'b self, run: &Run<'_, 'd>) -> (Elements<'b, f32>, Option<Elements<'b, f32>>) {
        (self.scales.read(run), self.shifts.as_ref().map(|s| s.read(run)))
    }

    fn apply<T: Float>(
        &self,
        threads: usize,
        y: &mut [T],
        codes: Codes<'_>,
        (scales, shifts): (Elements<'_, f32>, Option<Elements<'_, f32>>),
    ) {
        // Halves hold the whole numbers of a byte as they are.
        let mut halves = scratch(if self.narrow { y.len() } else { 0 });
        let codes = match codes {
            Codes::Singles(wide) if self.narrow => {
                f16::narrow(&mut halves, wide);
                Codes::Halves(&halves)
            }
            other => other,
        };
        shift_scale(threads, y, codes, &self.blocks, &scales, shifts.as_deref(), self.halved);
    }
}

/// `constexpr_blockwise_shift_scale`.
pub(super) fn blockwise(args: &Args<'_>, _: &[Type]) -> Ready {
    let shape = dims(args, "data")?;
    let Some(source) = Source::of(args, "data")?.filter(|_| !shape.contains(&0)) else { return Ok(None) };
    let scaling = Scaling::of(args, args.ty("data")?.dtype, &shape)?;
    for_float!(args.ty("scale")?.dtype, T => ready(move |run| {
        let (codes, numbers) = (source.codes(run), scaling.numbers(run));
        scaling.apply(run.threads, run.write::<T>(0), codes, numbers);
    }))
}

/// Parts of what `constexpr_blockwise_shift_scale` gives.
pub(super) fn blockwise_parts(args: &Args<'_>) -> Result<Option<Parts>, Fault> {
    let Some(codes) = Bytes::of(args, "data")? else { return Ok(None) };
    let shape = dims(args, "data")?;
    let blocks = Blocks::new(&shape, &dims(args, "scale")?);
    let scales = singles(args.tensor("scale")?).into_owned();
    let shifts = args.value("offset").map(|offset| singles(offset).into_owned());
    // The difference of whole numbers of a byte is one that halves hold.
    if args.opt_ty("offset").is_some_and(|offset| offset.dtype.is_float()) {
        return Ok(None);
    }
    let dtype = args.ty("scale")?.dtype;
    let fours = matches!(codes.0.dtype(), Int4 | UInt4).then(|| {
        let signed = codes.0.dtype() == Int4;
        let (scale, shift) = (scales.clone(), shifts.clone());
        (codes.0.clone(), blocks.clone(), Numbers::Scaled { scale, shift, signed, halved: dtype == Fp16 })
    });
    let parts = for_float!(dtype, T => Parts::new(move |start, to: &mut [T]| {
        shift_scale_from(to, start, codes.codes(), &blocks, &scales, shifts.as_deref(), false);
    }));
    Ok(Some(match fours {
        Some((codes, blocks, numbers)) => parts.of_fours(codes, blocks, numbers),
        None => parts,
    }))
}

/// `constexpr_sparse_blockwise_shift_scale`.
pub(super) fn sparse_blockwise(args: &Args<'_>, _: &[Type]) -> Ready {
    let (mask, data) = (args.tensor("data_mask")?, args.tensor("nonzero_data")?);
    dense_count(data, "nonzero_data", ones(mask.bytes(), mask.len()), "data_mask")?;
    if mask.is_empty() {
        return Ok(None);
    }
    let (len, scaling, numbers) =
        (mask.len(), Scaling::of(args, data.dtype(), mask.shape())?, Singles::of(args, "nonzero_data")?);
    let mask = args.reader("data_mask")?;
    for_float!(args.ty("scale")?.dtype, T => ready(move |run| {
        let mask: &[u8] = run.read(&mask);
        run.write(0).copy_from_slice(mask);
        let (mut dense, mut scaled) = (scratch::<f32>(len), scratch::<T>(len));
        expand(run.threads, &mut dense, mask, &numbers.read(run));
        scaling.apply(run.threads, &mut scaled, Codes::Singles(&dense), scaling.numbers(run));
        compress(run.write(1), mask, &scaled);
    }))
}

/// `constexpr_sparse_to_dense`.
pub(super) fn sparse_to_dense(args: &Args<'_>, types: &[Type]) -> Ready {
    let (values, mask) = (args.tensor("nonzero_data")?, args.tensor("mask")?);
    let count = shape_of(&types[0]).iter().product();
    dense_count(values, "nonzero_data", ones(mask.bytes(), count), "mask")?;
    let (dtype, values, mask) = (values.dtype(), args.reader("nonzero_data")?, args.reader("mask")?);
    for_bits!(dtype, E => ready(move |run| {
        let (mask, values): (&[u8], &[E]) = (run.read(&mask), run.read(&values));
        expand(run.threads, run.write(0), mask, values);
    }))
}

/// `constexpr_cast`, which only widens.
pub(super) fn cast(args: &Args<'_>, _: &[Type]) -> Ready {
    let source = args.reader("source_val")?;
    ready(move |run| {
        let source: &[f16] = run.read(&source);
        parallel_chunks(run.threads, run.write(0), 1 << 12, 8, |i, y| {
            f16::widen(y, &source[i << 12..][..y.len()]);
        });
    })
}
