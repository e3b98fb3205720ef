"""Compressed weights that are scaled, shifted or sparse, by the functions with which coremltools decompresses them."""

import numpy as np
from coremltools.converters.mil.mil.ops.defs.iOS16 import constexpr_ops as ios16
from coremltools.converters.mil.mil.ops.defs.iOS18 import compression as ios18

from case import case, sub

F, H = np.float32, np.float16
RANGES = {"int4": (-8, 7), "uint4": (0, 15), "int8": (-128, 127), "uint8": (0, 255)}
rng = np.random.default_rng(31)


def values(dtype, shape):
    """Random numbers of a dtype, in one that NumPy has."""
    if dtype in RANGES:
        low, high = RANGES[dtype]
        wide = np.int8 if dtype[0] == "i" else np.uint8
        return rng.integers(low, high + 1, shape).astype(wide)
    return rng.uniform(-4, 4, shape).astype({"fp16": H, "fp32": F}[dtype])


def stored(array, dtype):
    """The array as it is written."""
    return sub(array, dtype) if dtype in ("int4", "uint4") else array


def affine_dequantize():
    for dtype, shape, axis, scale, zero, note in [
        ("int8", (2, 4), 0, (2,), (2,), "a scale and zero a row"),
        ("uint8", (2, 3), 1, (3,), (3,), "a scale and zero a column"),
        ("int8", (4,), 0, (), (), "one scale and zero"),
        ("uint8", (2, 3, 4), -2, (3,), (), "a scale for each place of an axis from the back, one zero"),
        ("int8", (3, 2, 1, 1), 0, (), (3,), "one scale, a zero for each channel"),
    ]:
        for to in [H, F]:
            data, scales = values(dtype, shape), rng.uniform(0.01, 2, scale).astype(to)
            zeros = values(dtype, zero)
            want = ios16.constexpr_affine_dequantize.decompress(data, zeros, scales, axis)
            case(
                "constexpr_affine_dequantize",
                "ios16",
                want,
                "exact",
                f"{dtype} to {np.dtype(to)}: {note}",
                source="coremltools",
                quantized_data=data,
                zero_point=zeros,
                scale=scales,
                axis=np.int32(axis),
            )
    data, scales, zeros = values("uint8", (2, 3)), rng.uniform(0.01, 2, 2).astype(F), rng.uniform(0, 9, 2).astype(F)
    want = ios16.constexpr_affine_dequantize.decompress(data, zeros, scales, 0)
    case(
        "constexpr_affine_dequantize",
        "ios16",
        want,
        "exact",
        "zeros of fp32, which need not be whole",
        source="coremltools",
        quantized_data=data,
        zero_point=zeros,
        scale=scales,
        axis=np.int32(0),
    )
    ends = np.array([-128, 127], np.int8)
    case(
        "constexpr_affine_dequantize",
        "ios17",
        np.array([-255 * 0.5, 0], F),
        "exact",
        "the ends of int8, in a later opset",
        source="numpy",
        quantized_data=ends,
        zero_point=np.int8(127),
        scale=F(0.5),
        axis=np.int32(0),
    )


def blockwise_shift_scale():
    for dtype in ["int4", "uint4", "int8", "uint8", "fp16", "fp32"]:
        for shape, blocks, offset in [
            ((4, 6), (2, 3), True),
            ((4, 6), (1, 1), False),
            ((2, 8), (2, 4), False),
            ((2, 3, 2, 2), (2, 1, 1, 1), True),
        ]:
            for to in [H, F]:
                data, scales = values(dtype, shape), rng.uniform(0.01, 2, blocks).astype(to)
                shifts = values(dtype, blocks) if offset else None
                want = ios18.constexpr_blockwise_shift_scale.decompress(data, scales, shifts).astype(to)
                note = f"{dtype} to {np.dtype(to)}, {shape} in {blocks} blocks{', offsets' if offset else ''}"
                case(
                    "constexpr_blockwise_shift_scale",
                    "ios18",
                    want,
                    "exact",
                    note,
                    source="coremltools",
                    data=stored(data, dtype),
                    scale=scales,
                    offset=stored(shifts, dtype) if offset else None,
                )
    for dtype, to, of in [("int4", H, H), ("int8", F, H), ("uint4", H, F), ("uint8", F, F)]:
        data, scales, shifts = (
            values(dtype, (2, 6)),
            rng.uniform(0.01, 2, (1, 3)).astype(to),
            rng.uniform(-3, 3, (1, 3)).astype(of),
        )
        want = ios18.constexpr_blockwise_shift_scale.decompress(data, scales, shifts).astype(to)
        case(
            "constexpr_blockwise_shift_scale",
            "ios18",
            want,
            "exact",
            f"{dtype} to {np.dtype(to)}, offsets of {np.dtype(of)}",
            source="coremltools",
            data=stored(data, dtype),
            scale=scales,
            offset=shifts,
        )


def sparse_blockwise_shift_scale():
    for dtype in ["int4", "uint4", "int8", "uint8", "fp16", "fp32"]:
        for shape, blocks, offset in [((4, 6), (2, 3), True), ((3, 4), (1, 4), False), ((2, 2, 2), (1, 2, 1), True)]:
            to = [H, F][len(shape) % 2]
            mask = rng.integers(0, 2, shape).astype(np.uint8)
            data, scales = values(dtype, int(mask.sum())), rng.uniform(0.01, 2, blocks).astype(to)
            shifts = values(dtype, blocks) if offset else None
            same, want = ios18.constexpr_sparse_blockwise_shift_scale.decompress(mask, data, scales, shifts)
            note = f"{dtype} to {np.dtype(to)}, {shape} in {blocks} blocks{', offsets' if offset else ''}"
            case(
                "constexpr_sparse_blockwise_shift_scale",
                "ios18",
                [sub(same, "uint1"), want.astype(to)],
                "exact",
                note,
                source="coremltools",
                data_mask=sub(mask, "uint1"),
                nonzero_data=stored(data, dtype),
                scale=scales,
                offset=stored(shifts, dtype) if offset else None,
            )
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1], [1, 1, 0, 0]], np.uint8)
    data = np.array([10, 11, 3, 4, 5, 6, 7, 8, 9], np.int8)
    want = np.array([0.9, 1.8, 0.2, 0.4, 0.6, 0.9, 1.2, 0.7, 1.4], F)
    case(
        "constexpr_sparse_blockwise_shift_scale",
        "ios18",
        [sub(mask, "uint1"), want],
        "rel 1e-6",
        "the example of the documentation",
        source="coremltools",
        data_mask=sub(mask, "uint1"),
        nonzero_data=data,
        scale=np.array([[0.1, 0.2, 0.3, 0.4]], F),
        offset=np.array([[1, 2, 3, 4]], np.int8),
    )


def sparse_to_dense():
    for shape in [(5,), (3, 3), (2, 3, 4), (1, 1, 1, 17)]:
        for dtype in ["int8", "uint8", "fp16", "fp32"]:
            mask = rng.integers(0, 2, shape).astype(np.uint8)
            data = values(dtype, int(mask.sum()))
            packed = np.packbits(mask, bitorder="little")
            # coremltools reads the packed mask to its end, and so needs a shape of whole bytes; NumPy puts the values in place.
            want = np.zeros(shape, data.dtype)
            want[mask != 0] = data
            case(
                "constexpr_sparse_to_dense",
                "ios16",
                want,
                "exact",
                f"{dtype}, {shape}, packed bits",
                source="numpy",
                nonzero_data=data,
                mask=packed,
                shape=np.array(shape, np.uint32),
            )
        for dtype in ["int4", "uint4", "int8", "fp16"]:
            mask = rng.integers(0, 2, shape).astype(np.uint8)
            data = values(dtype, int(mask.sum()))
            want = ios18.constexpr_sparse_to_dense.decompress(data, mask)
            case(
                "constexpr_sparse_to_dense",
                "ios18",
                stored(want, dtype),
                "exact",
                f"{dtype}, {shape}",
                source="coremltools",
                nonzero_data=stored(data, dtype),
                mask=sub(mask, "uint1"),
            )
    for bits, note in [(0, "no bit set"), (1, "all bits set")]:
        mask = np.full((2, 3), bits, np.uint8)
        data = values("fp32", 6 * bits)
        want = ios18.constexpr_sparse_to_dense.decompress(data, mask)
        case(
            "constexpr_sparse_to_dense",
            "ios18",
            want,
            "exact",
            note,
            source="coremltools",
            nonzero_data=data,
            mask=sub(mask, "uint1"),
        )


def cast():
    special = np.array([np.inf, -np.inf, np.nan, -0.0, 6e-8, 65504], H)
    for x, note in [
        (special, "inf, NaN, -0, the least subnormal and the largest number"),
        (values("fp16", (2, 3)), "a matrix"),
        (values("fp16", ()), "a scalar"),
        (values("fp16", (1, 2, 1, 2)), "rank 4"),
        (np.zeros((0,), H), "nothing"),
    ]:
        for opset in ["ios16", "ios18"]:
            case("constexpr_cast", opset, x.astype(F), "exact", note, source="numpy", source_val=x, output_dtype="fp32")


affine_dequantize()
blockwise_shift_scale()
sparse_blockwise_shift_scale()
sparse_to_dense()
cast()
