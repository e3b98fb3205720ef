"""Ops that put tensors together, cut them apart and repeat them, by NumPy."""

import numpy as np

from case import case

F, H, I = np.float32, np.float16, np.int32


def count(shape, dtype=F, start=0):
    """start, start + 1, ... in this shape."""
    return (np.arange(np.prod(shape, dtype=int)).reshape(shape) + start).astype(dtype)


def concat():
    for shapes, axis, dtype, note in [
        ([(2, 3), (4, 3)], 0, F, "rows"),
        ([(2, 3), (2, 1)], 1, F, "columns"),
        ([(2, 3), (2, 1), (2, 2)], -1, H, "three, along the last axis, fp16"),
        ([(1, 2, 3, 2), (1, 4, 3, 2)], 1, F, "channels"),
        ([(0, 2), (3, 2)], 0, F, "one part is empty"),
        ([(0, 2), (0, 2)], 0, F, "all parts are empty"),
        ([(2, 2)], 0, F, "one part"),
        ([(3,), (2,)], -1, I, "vectors of int32"),
        ([(2, 1, 2)] * 3, -2, bool, "bool"),
    ]:
        parts = [count(s, dtype, 10 * i) for i, s in enumerate(shapes)]
        case("concat", "ios15", np.concatenate(parts, axis), "exact", note, source="numpy", values=parts, axis=np.int32(axis))
    for shape, n, axis, note in [
        ((2, 3), 2, 0, "rows in turn"),
        ((2, 3), 3, 1, "columns in turn"),
        ((1, 4, 2, 1), 2, -3, "channels in turn"),
        ((3, 1), 2, 0, "rows of one element in turn"),
    ]:
        parts = [count(shape, F, 10 * i) for i in range(n)]
        at = axis % len(shape)
        want = np.stack(parts, at + 1).reshape(*shape[:at], n * shape[at], *shape[at + 1 :])
        case(
            "concat", "ios15", want, "exact", note, source="numpy", values=parts, axis=np.int32(axis), interleave=np.bool_(True)
        )
    special = [np.array([np.nan, -0.0], F), np.array([np.inf, 1e-45], F)]
    case(
        "concat",
        "ios15",
        np.concatenate(special),
        "exact",
        "NaN, -0, inf and a denormal",
        source="numpy",
        values=special,
        axis=np.int32(0),
        interleave=np.bool_(False),
    )
    for dtype in [np.int8, np.uint8, np.int16, np.uint16]:
        parts = [count((2,), dtype), count((1,), dtype, 5)]
        case(
            "concat",
            "ios17",
            np.concatenate(parts),
            "exact",
            parts[0].dtype.name,
            source="numpy",
            values=parts,
            axis=np.int32(0),
        )


def stack():
    for shape, n, axis, dtype, note in [
        ((2, 3), 2, 0, F, "in front"),
        ((2, 3), 2, 1, F, "in the middle"),
        ((2, 3), 2, -1, F, "behind"),
        ((2, 3), 3, -2, H, "from the back, fp16"),
        ((), 3, 0, I, "scalars"),
        ((2,), 1, 1, F, "one part"),
        ((0, 2), 2, 0, F, "nothing"),
        ((2, 1, 2), 2, 2, bool, "bool"),
    ]:
        parts = [count(shape, dtype, 10 * i) for i in range(n)]
        case("stack", "ios15", np.stack(parts, axis), "exact", note, source="numpy", values=parts, axis=np.int32(axis))
    parts = [count((2,), np.uint8), count((2,), np.uint8, 250)]
    case("stack", "ios17", np.stack(parts), "exact", "uint8", source="numpy", values=parts, axis=np.int32(0))


def split():
    for shape, by, axis, dtype, note in [
        ((2, 6), 3, 1, F, "equal parts of columns"),
        ((4, 2), 2, 0, H, "equal parts of rows, fp16"),
        ((2, 3), 3, -1, F, "an axis from the back"),
        ((2, 2), 1, 0, F, "one part"),
        ((1, 8, 1, 2), 2, 1, F, "halves of the channels"),
        ((2, 4), 2, 1, bool, "bool"),
    ]:
        x = count(shape, dtype)
        case(
            "split",
            "ios15",
            np.split(x, by, axis),
            "exact",
            note,
            source="numpy",
            x=x,
            num_splits=np.int32(by),
            axis=np.int32(axis),
        )
    for shape, sizes, axis, both, note in [
        ((2, 6), [1, 2, 3], 1, False, "parts of stated sizes"),
        ((5, 2), [4, 1], -2, True, "sizes and their number"),
        ((2, 3), [0, 3], 1, False, "an empty part"),
        ((3,), [3, 0, 0], 0, False, "empty parts behind the last element"),
    ]:
        x, given = count(shape, I), {"num_splits": np.int32(len(sizes))} if both else {}
        want = np.split(x, np.cumsum(sizes)[:-1], axis)
        case(
            "split",
            "ios15",
            want,
            "exact",
            note,
            source="numpy",
            x=x,
            split_sizes=np.array(sizes, I),
            axis=np.int32(axis),
            **given,
        )


def tile():
    for shape, reps, dtype, note in [
        ((2, 2), [1, 2], F, "columns twice"),
        ((2, 1), [2, 1], F, "rows twice"),
        ((2, 3), [2, 3], H, "both, fp16"),
        ((1, 2, 1, 2), [2, 1, 3, 1], F, "two of four axes"),
        ((3,), [1], F, "once"),
        ((0, 2), [3, 2], F, "nothing"),
        ((2,), [2], bool, "bool"),
        ((2, 1), [1, 4], I, "int32"),
        ((1,), [7], F, "size 1"),
    ]:
        x = count(shape, dtype)
        case("tile", "ios15", np.tile(x, reps), "exact", note, source="numpy", x=x, reps=np.array(reps, I))


for op in [concat, stack, split, tile]:
    op()
