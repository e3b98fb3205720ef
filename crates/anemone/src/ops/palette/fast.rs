//! Palettes with the kernels.

use anemone_kernels::fours::Numbers;
use anemone_kernels::scratch::scratch;
use anemone_kernels::weights::{
    Blocks, compress, expand, look_up, look_up_from, look_up_vectors, ones, unpack,
};

use super::{Palette, dense_count, palette};
use crate::ops::fast::{Ready, bits as bits_of, dims, for_bits, ready, singles};
use crate::ops::loops::shape_of;
use crate::ops::row::*;

/// How codes of a byte each name vectors of a palette.
struct Vectors {
    lut: Reader,
    blocks: Blocks,
    /// The entries, the length of a vector, and the elements behind the axis along which vectors lie.
    sizes: [usize; 3],
}

impl Vectors {
    /// For codes of this shape.
    fn of(args: &Args<'_>, palette: &Palette, shape: &[usize]) -> Result<Self, Fault> {
        let blocks = Blocks::new(shape, &dims(args, "lut")?[..shape.len()]);
        let inner = shape[palette.axis + 1..].iter().product();
        Ok(Self { lut: args.reader("lut")?, blocks, sizes: [palette.entries, palette.vector, inner] })
    }
}

/// `constexpr_lut_to_dense`.
pub(super) fn to_dense(args: &Args<'_>, types: &[Type]) -> Ready {
    let (indices, lut) = (args.ty("indices")?, args.ty("lut")?);
    let to = shape_of(&types[0]);
    if to.contains(&0) {
        return Ok(None);
    }
    let reader = args.reader("indices")?;
    let (bits, blocks) = if args.edition.in_attributes {
        (super::packed_codes(args)?.bits(), Blocks::one(to.iter().product()))
    } else {
        let (shape, bits) = (dims(args, "indices")?, indices.dtype.bits());
        let palette = palette(args, "indices", &indices.shape, indices.dtype)?;
        if palette.vector > 1 {
            let (vectors, count) = (Vectors::of(args, &palette, &shape)?, shape.iter().product());
            return for_bits!(lut.dtype, E => ready(move |run| {
                let mut codes = scratch::<u8>(count);
                unpack(&mut codes, run.read(&reader), bits);
                let lut: &[E] = run.read(&vectors.lut);
                look_up_vectors(run.threads, run.write(0), &codes, &vectors.blocks, lut, vectors.sizes);
            }));
        }
        (bits, Blocks::new(&shape, &dims(args, "lut")?[..shape.len()]))
    };
    let (dtype, lut) = (lut.dtype, args.reader("lut")?);
    for_bits!(dtype, E => ready(move |run| {
        let (codes, lut): (&[u8], &[E]) = (run.read(&reader), run.read(&lut));
        look_up(run.threads, run.write(0), codes, bits, &blocks, lut);
    }))
}

/// Parts of what `constexpr_lut_to_dense` gives, where each code names one of at most 16 numbers: more do not lie in a
/// register, and to look them up each time takes longer than to read them.
pub(super) fn to_dense_parts(args: &Args<'_>) -> Result<Option<Parts>, Fault> {
    let (indices, lut) = (args.tensor("indices")?.clone(), args.tensor("lut")?.clone());
    let (bits, blocks) = if args.edition.in_attributes {
        let elements = shape_of(&(args.op.infer)(args)?[0]).iter().product();
        (super::packed_codes(args)?.bits(), Blocks::one(elements))
    } else {
        let palette = palette(args, "indices", &args.ty("indices")?.shape, indices.dtype())?;
        if palette.vector > 1 {
            return Ok(None);
        }
        (indices.dtype().bits(), Blocks::new(indices.shape(), &lut.shape()[..indices.rank()]))
    };
    if bits > 4 {
        return Ok(None);
    }
    let fours = (bits == 4 && lut.dtype().is_float())
        .then(|| (indices.clone(), blocks.clone(), Numbers::Tables(singles(&lut).into_owned())));
    let parts = for_bits!(lut.dtype(), E => Parts::new(move |start, to: &mut [E]| {
        look_up_from(to, start, indices.bytes(), bits, &blocks, bits_of(&lut));
    }));
    Ok(Some(match fours {
        Some((codes, blocks, numbers)) => parts.of_fours(codes, blocks, numbers),
        None => parts,
    }))
}

/// `constexpr_lut_to_sparse`.
pub(super) fn to_sparse(args: &Args<'_>, _: &[Type]) -> Ready {
    let (mask, indices) = (args.tensor("indices_mask")?, args.tensor("indices_nonzero_data")?);
    let (shape, bits) = (mask.shape(), indices.dtype().bits());
    let palette = palette(args, "indices_mask", &Shape::from(shape), indices.dtype())?;
    let (len, count) = (mask.len(), ones(mask.bytes(), mask.len()));
    dense_count(indices, "indices_nonzero_data", count, "indices_mask")?;
    if mask.is_empty() {
        return Ok(None);
    }
    let vectors = Vectors::of(args, &palette, shape)?;
    let [_, vector, inner] = vectors.sizes;
    let (mask, indices) = (args.reader("indices_mask")?, args.reader("indices_nonzero_data")?);
    for_bits!(args.ty("lut")?.dtype, E => ready(move |run| {
        let mask: &[u8] = run.read(&mask);
        let (mut named, mut codes) = (scratch::<u8>(count), scratch::<u8>(len));
        unpack(&mut named, run.read(&indices), bits);
        expand(run.threads, &mut codes, mask, &named);
        let mut all = scratch::<E>(len * vector);
        let lut: &[E] = run.read(&vectors.lut);
        look_up_vectors(run.threads, &mut all, &codes, &vectors.blocks, lut, vectors.sizes);
        // Each bit of the mask stands for a whole vector.
        let mut set = codes;
        unpack(&mut set, mask, 1);
        let mut spread = scratch::<u8>((len * vector).div_ceil(8));
        spread.fill(0);
        let lines = set.chunks_exact(inner).flat_map(|line| std::iter::repeat_n(line, vector));
        for (at, &bit) in lines.flatten().enumerate() {
            spread[at / 8] |= bit << (at % 8);
        }
        compress(run.write(1), &spread, &all);
        run.write(0).copy_from_slice(&spread);
    }))
}
