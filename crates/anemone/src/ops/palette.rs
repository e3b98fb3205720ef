//! Compressed weights that name the entries of a palette.

mod fast;

use super::constexpr::{
    ENTRIES, blocks, check_blocks, check_packed, dense, dense_count, mismatch, sparse, stated_shape, unpacked,
};
use super::moves::{exact, known_axis, of_rank, offsets, one, result, tensor_type};
use super::row::*;

const CODES: &[DType] = &[UInt1, UInt2, UInt3, UInt4, UInt6, UInt8];
const LUT_TO_DENSE: &[Edition] = &[
    edition_in_attributes(
        Ios16,
        &[
            tensor("indices", &[UInt8]).constant(),
            tensor("lut", ENTRIES).domain('T').constant(),
            tensor("shape", &[UInt32]).constant(),
        ],
    ),
    edition(
        Ios18,
        &[
            tensor("indices", CODES).domain('I').constant(),
            tensor("lut", ENTRIES).domain('T').constant(),
            tensor("vector_axis", I32).constant().or(Absent),
        ],
    ),
];

const LUT_TO_SPARSE: &[Edition] = &[edition(
    Ios18,
    &[
        tensor("indices_mask", &[UInt1]).constant(),
        tensor("indices_nonzero_data", CODES).domain('I').constant(),
        tensor("lut", ENTRIES).domain('T').constant(),
        tensor("vector_axis", I32).constant().or(Absent),
    ],
)];

fn infer_lut_to_dense(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let lut = args.ty("lut")?;
    if args.edition.in_attributes {
        let types = result(args, lut.dtype, stated_shape(args)?)?;
        check_packed(args, "indices", packed_codes(args)?)?;
        return Ok(types);
    }
    let indices = args.ty("indices")?;
    let palette = palette(args, "indices", &indices.shape, indices.dtype)?;
    result(args, lut.dtype, palette.spread(&indices.shape))
}

/// The dtype of the indices that iOS 16 packs, which the length of the palette gives.
fn packed_codes(args: &Args<'_>) -> Result<DType, Fault> {
    match of_rank(args, "lut", 1)?.shape[0] {
        Dim::Known(2) => Ok(UInt1),
        Dim::Known(4) => Ok(UInt2),
        Dim::Known(16) => Ok(UInt4),
        Dim::Known(64) => Ok(UInt6),
        Dim::Known(256) => Ok(UInt8),
        n => Err(mismatch(
            "lut",
            "indices",
            format!("`lut` has {n} entries and must have 2, 4, 16, 64 or 256"),
        )),
    }
}

/// How a palette of iOS 18 is laid out: a table for each block, entries in each table, a vector for each entry.
struct Palette {
    entries: usize,
    vector: usize,
    axis: usize,
}

impl Palette {
    /// The shape of the elements that indices of this shape name: a vector lies along its axis.
    fn spread(&self, indices: &Shape) -> Shape {
        let mut shape = indices.clone();
        shape[self.axis] = shape[self.axis].map(|n| n.saturating_mul(self.vector as u64));
        shape
    }
}

/// The layout of `lut` for indices of this shape and dtype.
fn palette(args: &Args<'_>, param: &'static str, indices: &Shape, dtype: DType) -> Result<Palette, Fault> {
    let lut = &args.ty("lut")?.shape;
    if indices.rank() == 0 || lut.rank() != indices.rank() + 2 {
        return Err(Fault::of(
            "lut",
            &codes::WRONG_RANK,
            format!(
                "`lut` has {} dimensions and `{param}` has {}; the lut needs two more, and the indices at least one",
                lut.rank(),
                indices.rank()
            ),
        )
        .against(param));
    }
    let (counts, table) = lut.split_at(indices.rank());
    check_blocks("lut", param, counts, indices)?;
    let entries = 1usize << dtype.bits();
    if !table[0].fits(entries.into()) {
        return Err(mismatch(
            "lut",
            param,
            format!(
                "`lut` has {} entries in each table, and indices of dtype {dtype} need {entries}",
                table[0]
            ),
        ));
    }
    let Dim::Known(vector @ 1..) = table[1] else {
        return Err(mismatch("lut", param, format!("`lut` has vectors of {} elements", table[1])));
    };
    let axis = if args.has("vector_axis") {
        known_axis(args, "vector_axis", indices.rank())?
    } else if vector == 1 {
        0
    } else {
        return Err(Fault::of(
            "vector_axis",
            &codes::MISSING_PARAMETER,
            format!("`{}` needs `vector_axis`, since `lut` has vectors of {vector} elements", args.op.name),
        ));
    };
    Ok(Palette { entries, vector: vector as usize, axis })
}

/// The elements that indices name, each in the table of its block.
fn looked_up(args: &Args<'_>, palette: &Palette, indices: &Tensor) -> Result<Tensor, Fault> {
    let lut = args.tensor("lut")?;
    let tables = &lut.shape()[..indices.rank()];
    let entries: Vec<usize> = indices
        .to_i64s()
        .into_iter()
        .zip(blocks(indices.shape(), tables))
        .map(|(index, block)| block * palette.entries + index as usize)
        .collect();
    let shape = palette.spread(&Shape::from(indices.shape())).known().unwrap_or_default();
    let (dim, vector) = (indices.shape()[palette.axis], palette.vector);
    let inner: usize = indices.shape()[palette.axis + 1..].iter().product();
    let from = (0..entries.len() * vector).map(|at| {
        let (place, v) = (at / inner / vector, at / inner % vector);
        let (outer, along) = (place / dim, place % dim);
        entries[(outer * dim + along) * inner + at % inner] * vector + v
    });
    Ok(lut.pick(&shape, from)?)
}

fn compute_lut_to_dense(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    infer_lut_to_dense(args)?;
    if args.edition.in_attributes {
        let indices = unpacked(args, "indices", packed_codes(args)?)?;
        let from = indices.to_i64s().into_iter().map(|i| i as usize);
        return one(args.tensor("lut")?.pick(indices.shape(), from)?);
    }
    let indices = args.tensor("indices")?;
    let palette = palette(args, "indices", &Shape::from(indices.shape()), indices.dtype())?;
    one(looked_up(args, &palette, indices)?)
}

fn infer_lut_to_sparse(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let (mask, indices) = (args.ty("indices_mask")?, of_rank(args, "indices_nonzero_data", 1)?);
    let palette = palette(args, "indices_mask", &mask.shape, indices.dtype)?;
    let count = indices.shape[0].map(|n| n.saturating_mul(palette.vector as u64));
    Ok(vec![
        tensor_type(args, mask.dtype, palette.spread(&mask.shape))?,
        tensor_type(args, args.ty("lut")?.dtype, [count].into_iter().collect())?,
    ])
}

fn compute_lut_to_sparse(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    infer_lut_to_sparse(args)?;
    let (mask, indices) = (args.tensor("indices_mask")?, args.tensor("indices_nonzero_data")?);
    let palette = palette(args, "indices_mask", &Shape::from(mask.shape()), indices.dtype())?;
    let all = looked_up(args, &palette, &dense(indices, "indices_nonzero_data", mask, "indices_mask")?)?;
    // Each bit of the mask stands for a whole vector.
    let (dim, vector) = (mask.shape()[palette.axis], palette.vector);
    let inner: usize = mask.shape()[palette.axis + 1..].iter().product();
    let outer: usize = mask.shape()[..palette.axis].iter().product();
    let view = [outer, dim, vector, inner];
    let steps = [(dim * inner) as isize, inner as isize, 0, 1];
    let mask = mask.pick(all.shape(), offsets(0, &view, &steps))?;
    let values = sparse(&all, &mask)?;
    Ok(vec![mask.into(), values.into()])
}

pub(super) static OPS: &[Op] = &[
    Op {
        fast: Fast::InParts(fast::to_dense, fast::to_dense_parts),
        ..exact(
            "constexpr_lut_to_dense",
            "the entries of a palette that indices name",
            LUT_TO_DENSE,
            Results::Exactly(1),
            infer_lut_to_dense,
            compute_lut_to_dense,
        )
    },
    Op {
        fast: Fast::Prepared(fast::to_sparse),
        ..exact(
            "constexpr_lut_to_sparse",
            "the entries of a palette that the indices of a sparse tensor name",
            LUT_TO_SPARSE,
            Results::Exactly(2),
            infer_lut_to_sparse,
            compute_lut_to_sparse,
        )
    },
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn ios16_palettes_are_packed() {
        let dense = |indices: &[i64], lut: Datum, shape: &[i64]| {
            vec![
                ("indices", ints(UInt8, &[indices.len()], indices)),
                ("lut", lut),
                ("shape", ints(UInt32, &[shape.len()], shape)),
            ]
        };
        // The documentation's example: five indices of two bits, the first in the lowest bits.
        let lut = || f16s(&[4], &[10.0, 20.0, 30.0, 40.0]);
        let args = dense(&[0b01_10_11_00, 0b11], lut(), &[5]);
        check("constexpr_lut_to_dense", Ios16, &args, &[f16s(&[5], &[10.0, 40.0, 30.0, 20.0, 40.0])]);
        // Six bits straddle bytes: 1, 2, 63.
        let all: Vec<i64> = (0..64).collect();
        let args = dense(&[0b10_000001, 0b1111_0000, 0b11], ints(Int8, &[64], &all), &[1, 3]);
        check("constexpr_lut_to_dense", Ios16, &args, &[ints(Int8, &[1, 3], &[1, 2, 63])]);
        refuse("constexpr_lut_to_dense", Ios16, &dense(&[0], lut(), &[5]), "shape-mismatch");
        refuse("constexpr_lut_to_dense", Ios16, &dense(&[0], iota(&[8]), &[1]), "shape-mismatch");
        let vast = dense(&[0], lut(), &[4294967295, 4294967295]);
        refuse("constexpr_lut_to_dense", Ios16, &vast, "tensor-too-large");
    }

    fn palette(indices: Datum, lut: Datum, axis: Option<i32>) -> Vec<(&'static str, Datum)> {
        let axis = axis.map(|a| ("vector_axis", int(a)));
        [("indices", indices), ("lut", lut)].into_iter().chain(axis).collect()
    }

    #[test]
    fn palettes_may_differ_by_block() {
        let indices = ints(UInt2, &[6, 2], &[2, 3, 3, 0, 1, 0, 3, 0, 2, 1, 0, 3]);
        let lut = f16s(&[2, 1, 4, 1], &[1.0, 5.0, 9.0, 13.0, 2.0, 10.0, 18.0, 26.0]);
        let expected = [9.0, 13.0, 13.0, 1.0, 5.0, 1.0, 26.0, 2.0, 18.0, 10.0, 2.0, 26.0];
        check("constexpr_lut_to_dense", Ios18, &palette(indices, lut, None), &[f16s(&[6, 2], &expected)]);
    }

    #[test]
    fn palettes_may_hold_vectors() {
        let indices = || ints(UInt1, &[2, 2, 2], &[0, 0, 1, 0, 1, 1, 0, 0]);
        let lut = || ints(Int8, &[1, 1, 1, 2, 3], &[1, 2, 3, 11, 12, 13]);
        let gives = |axis, shape: &[usize], values: &[i64]| {
            let args = palette(indices(), lut(), Some(axis));
            check("constexpr_lut_to_dense", Ios18, &args, &[ints(Int8, shape, values)]);
        };
        let rows = [1, 1, 11, 1, 2, 2, 12, 2, 3, 3, 13, 3, 11, 11, 1, 1, 12, 12, 2, 2, 13, 13, 3, 3];
        gives(0, &[6, 2, 2], &rows);
        let middle = [1, 1, 2, 2, 3, 3, 11, 1, 12, 2, 13, 3, 11, 11, 12, 12, 13, 13, 1, 1, 2, 2, 3, 3];
        gives(1, &[2, 6, 2], &middle);
        let last = [1, 2, 3, 1, 2, 3, 11, 12, 13, 1, 2, 3, 11, 12, 13, 11, 12, 13, 1, 2, 3, 1, 2, 3];
        gives(-1, &[2, 2, 6], &last);
        refuse("constexpr_lut_to_dense", Ios18, &palette(indices(), lut(), None), "missing-parameter");
        refuse("constexpr_lut_to_dense", Ios18, &palette(indices(), lut(), Some(3)), "index-out-of-range");
        let two_bits = ints(UInt2, &[2, 2, 2], &[0; 8]);
        refuse("constexpr_lut_to_dense", Ios18, &palette(two_bits, lut(), Some(0)), "shape-mismatch");
        let flat = ints(UInt1, &[2, 2], &[0; 4]);
        refuse("constexpr_lut_to_dense", Ios18, &palette(flat, lut(), Some(0)), "wrong-rank");
        let uneven = ints(UInt1, &[3, 1], &[0; 3]);
        let lut = ints(Int8, &[2, 1, 2, 1], &[0; 4]);
        refuse("constexpr_lut_to_dense", Ios18, &palette(uneven, lut, None), "shape-mismatch");
    }

    #[test]
    fn vectors_and_blocks_go_together() {
        let args = |axis| {
            let lut = ints(Int8, &[2, 1, 2, 2], &[0, 1, 2, 3, 4, 5, 6, 7]);
            palette(ints(UInt1, &[2, 3], &[0, 1, 1, 1, 0, 1]), lut, Some(axis))
        };
        let tall = ints(Int8, &[4, 3], &[0, 2, 2, 1, 3, 3, 6, 4, 6, 7, 5, 7]);
        check("constexpr_lut_to_dense", Ios18, &args(0), &[tall]);
        let wide = ints(Int8, &[2, 6], &[0, 1, 2, 3, 2, 3, 6, 7, 4, 5, 6, 7]);
        check("constexpr_lut_to_dense", Ios18, &args(1), &[wide]);
    }

    #[test]
    fn sparse_palettes_spread_the_mask() {
        let sparse = |axis| {
            [
                ("indices_mask", ints(UInt1, &[2, 3], &[1, 0, 1, 0, 1, 1])),
                ("indices_nonzero_data", ints(UInt1, &[4], &[1, 0, 1, 1])),
                ("lut", ints(Int8, &[2, 1, 2, 2], &[0, 1, 2, 3, 4, 5, 6, 7])),
                ("vector_axis", int(axis)),
            ]
        };
        let mask = ints(UInt1, &[4, 3], &[1, 0, 1, 1, 0, 1, 0, 1, 1, 0, 1, 1]);
        let values = ints(Int8, &[8], &[2, 0, 3, 1, 6, 6, 7, 7]);
        check("constexpr_lut_to_sparse", Ios18, &sparse(0), &[mask, values]);
        let mask = ints(UInt1, &[2, 6], &[1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1]);
        let values = ints(Int8, &[8], &[2, 3, 0, 1, 6, 7, 6, 7]);
        check("constexpr_lut_to_sparse", Ios18, &sparse(1), &[mask, values]);
    }
}
