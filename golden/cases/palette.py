"""Compressed weights that name the entries of a palette, by the functions with which coremltools decompresses them."""

import numpy as np
from coremltools.converters.mil.mil.ops.defs.iOS16 import constexpr_ops as ios16
from coremltools.converters.mil.mil.ops.defs.iOS18 import compression as ios18

from case import case, sub

F, H = np.float32, np.float16
rng = np.random.default_rng(37)


def entries(dtype, shape):
    """Random entries of a palette."""
    if dtype in (H, F):
        return rng.uniform(-4, 4, shape).astype(dtype)
    return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, shape).astype(dtype)


def stored(indices, bits):
    """The indices as they are written."""
    return indices.astype(np.uint8) if bits == 8 else sub(indices.astype(np.uint8), f"uint{bits}")


def packed(indices, bits):
    """Bytes that hold the indices one after another, the least bits first."""
    each = (indices.ravel()[:, None] >> np.arange(bits)) & 1
    return np.packbits(each.astype(np.uint8), bitorder="little")


def lut_to_dense():
    for bits in [1, 2, 4, 6, 8]:
        for shape, dtype in [((5,), H), ((3, 7), F), ((2, 3, 2, 2), [np.int8, np.uint8][bits % 2])]:
            indices, lut = rng.integers(0, 2**bits, shape), entries(dtype, 2**bits)
            data = packed(indices, bits)
            want = ios16.constexpr_lut_to_dense.decompress(lut, data, shape)
            assert np.array_equal(want, lut[indices])
            case(
                "constexpr_lut_to_dense",
                "ios16",
                want,
                "exact",
                f"{bits} bits packed, {shape} of {lut.dtype}",
                source="coremltools",
                indices=data,
                lut=lut,
                shape=np.array(shape, np.uint32),
            )
    for bits in [1, 2, 3, 4, 6, 8]:
        for shape, tables, vector, axis in [
            ((6, 2), (2, 1), 1, None),
            ((4, 6), (1, 3), 1, None),
            ((2, 2, 2), (1, 1, 1), 3, 1),
            ((2, 2, 2), (1, 1, 1), 2, -1),
            ((4, 3), (2, 1), 2, 0),
            ((4, 4), (2, 2), 2, 1),
            ((5,), (1,), 1, 0),
        ]:
            dtype = [H, F, np.int8, np.uint8][rng.integers(4)]
            indices, lut = rng.integers(0, 2**bits, shape), entries(dtype, (*tables, 2**bits, vector))
            at = None if axis is None else np.int32(axis)
            want = ios18.constexpr_lut_to_dense.decompress(indices, lut, at)
            case(
                "constexpr_lut_to_dense",
                "ios18",
                want,
                "exact",
                f"{bits} bits, {shape} in {tables} tables of {lut.dtype}, vectors of {vector} on axis {axis}",
                source="coremltools",
                indices=stored(indices, bits),
                lut=lut,
                vector_axis=at,
            )
    indices = np.array([2, 3, 3, 0, 1, 0, 3, 0, 2, 1, 0, 3]).reshape(6, 2)
    lut = np.array([1, 5, 9, 13, 2, 10, 18, 26], H).reshape(2, 1, 4, 1)
    want = np.array([9, 13, 13, 1, 5, 1, 26, 2, 18, 10, 2, 26], H).reshape(6, 2)
    case(
        "constexpr_lut_to_dense",
        "ios18",
        want,
        "exact",
        "the example of the documentation",
        source="coremltools",
        indices=stored(indices, 2),
        lut=lut,
    )


def lut_to_sparse():
    for bits in [1, 2, 3, 4, 6, 8]:
        for shape, tables, vector, axis in [
            ((4, 6), (1, 1), 1, None),
            ((4, 6), (2, 3), 1, None),
            ((4, 6), (1, 1), 2, 0),
            ((2, 4, 3), (1, 2, 1), 3, 1),
            ((4, 6), (1, 1), 2, -1),
        ]:
            dtype = [H, F, np.int8, np.uint8][rng.integers(4)]
            mask = rng.integers(0, 2, shape).astype(np.uint8)
            indices, lut = rng.integers(0, 2**bits, int(mask.sum())), entries(dtype, (*tables, 2**bits, vector))
            at = None if axis is None else np.int32(axis)
            spread, want = ios18.constexpr_lut_to_sparse.decompress(mask, indices, lut, at)
            note = f"{bits} bits, {shape} in {tables} tables of {lut.dtype}, vectors of {vector} on axis {axis}"
            case(
                "constexpr_lut_to_sparse",
                "ios18",
                [sub(spread, "uint1"), want],
                "exact",
                note,
                source="coremltools",
                indices_mask=sub(mask, "uint1"),
                indices_nonzero_data=stored(indices, bits),
                lut=lut,
                vector_axis=at,
            )
    mask = np.array([[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 1], [0, 1, 1, 0, 1, 0], [0, 0, 0, 1, 0, 0]], np.uint8)
    indices, lut = np.array([0, 1, 1, 0, 1, 1, 0, 0, 1]), np.array([2, 3], H).reshape(1, 1, 2, 1)
    want = np.array([2, 3, 3, 2, 3, 3, 2, 2, 3], H)
    case(
        "constexpr_lut_to_sparse",
        "ios18",
        [sub(mask, "uint1"), want],
        "exact",
        "the example of the documentation",
        source="coremltools",
        indices_mask=sub(mask, "uint1"),
        indices_nonzero_data=stored(indices, 1),
        lut=lut,
    )


lut_to_dense()
lut_to_sparse()
