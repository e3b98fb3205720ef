//! Palettes with the kernels.

use anemone_kernels::weights::{Blocks, compress, expand, look_up, look_up_vectors, ones, unpack};

use super::{Palette, dense_count, palette};
use crate::ops::fast::{Found, bits, for_bits, moved};
use crate::ops::loops::shape_of;
use crate::ops::row::*;

/// The elements that codes of a byte each name, whose entries are vectors.
fn vectors(
    args: &Args<'_>,
    palette: &Palette,
    codes: &[u8],
    shape: &[usize],
    context: &Context<'_>,
) -> Result<Option<Datum>, Fault> {
    let lut = args.tensor("lut")?;
    let blocks = Blocks::new(shape, &lut.shape()[..shape.len()]);
    let inner = shape[palette.axis + 1..].iter().product();
    let to = palette.spread(&Shape::from(shape)).known().unwrap_or_default();
    let sizes = [palette.entries, palette.vector, inner];
    Ok(for_bits!(lut.dtype(), E => Some(moved(lut.dtype(), &to, |y: &mut [E]| {
        look_up_vectors(context.threads, y, codes, &blocks, bits(lut), sizes);
    })?)))
}

/// `constexpr_lut_to_dense`.
pub(super) fn to_dense(args: &Args<'_>, types: &[Type], context: &Context<'_>) -> Found {
    let (indices, lut) = (args.tensor("indices")?, args.tensor("lut")?);
    let to = shape_of(&types[0]);
    if to.contains(&0) {
        return Ok(None);
    }
    let (width, blocks) = if args.edition.in_attributes {
        (super::packed_codes(args)?.bits(), Blocks::one(to.iter().product()))
    } else {
        let shape = indices.shape();
        let palette = palette(args, "indices", &Shape::from(shape), indices.dtype())?;
        if palette.vector > 1 {
            let mut codes = vec![0; indices.len()];
            unpack(&mut codes, indices.bytes(), indices.dtype().bits());
            return Ok(vectors(args, &palette, &codes, shape, context)?.map(|y| vec![y]));
        }
        (indices.dtype().bits(), Blocks::new(shape, &lut.shape()[..shape.len()]))
    };
    Ok(for_bits!(lut.dtype(), E => {
        let dense = moved(lut.dtype(), &to, |y: &mut [E]| {
            look_up(context.threads, y, indices.bytes(), width, &blocks, bits(lut));
        })?;
        Some(vec![dense])
    }))
}

/// `constexpr_lut_to_sparse`.
pub(super) fn to_sparse(args: &Args<'_>, types: &[Type], context: &Context<'_>) -> Found {
    let (mask, indices) = (args.tensor("indices_mask")?, args.tensor("indices_nonzero_data")?);
    let shape = mask.shape();
    let palette = palette(args, "indices_mask", &Shape::from(shape), indices.dtype())?;
    let count = ones(mask.bytes(), mask.len());
    dense_count(indices, "indices_nonzero_data", count, "indices_mask")?;
    if mask.is_empty() {
        return Ok(None);
    }
    let mut named = vec![0; count];
    unpack(&mut named, indices.bytes(), indices.dtype().bits());
    let mut codes = vec![0; mask.len()];
    expand(context.threads, &mut codes, mask.bytes(), &named);
    let Some(all) = vectors(args, &palette, &codes, shape, context)? else { return Ok(None) };
    let Some(all) = all.as_tensor() else { return Ok(None) };
    // Each bit of the mask stands for a whole vector.
    let inner: usize = shape[palette.axis + 1..].iter().product();
    let mut set = vec![0; mask.len()];
    unpack(&mut set, mask.bytes(), 1);
    let spread = moved(UInt1, &shape_of(&types[0]), |to: &mut [u8]| {
        let lines = set.chunks_exact(inner).flat_map(|line| std::iter::repeat_n(line, palette.vector));
        for (at, &bit) in lines.flatten().enumerate() {
            to[at / 8] |= bit << (at % 8);
        }
    })?;
    let Some(bitmask) = spread.as_tensor() else { return Ok(None) };
    let values = for_bits!(all.dtype(), E => {
        moved(all.dtype(), &[count * palette.vector], |to: &mut [E]| {
            compress(to, bitmask.bytes(), bits(all));
        })?
    });
    Ok(Some(vec![spread, values]))
}
