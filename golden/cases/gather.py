"""Ops that take elements from where indices say, by NumPy."""

import numpy as np

from case import case

F, H, I = np.float32, np.float16, np.int32


def count(shape, dtype=F):
    """0, 1, 2, ... in this shape."""
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


def batched(take, x, indices, batch):
    """The same for each batch."""
    if batch == 0:
        return take(x, indices)
    return np.stack([batched(take, a, b, batch - 1) for a, b in zip(x, indices)])


def gather():
    for opset, shape, indices, axis, batch, note in [
        ("ios15", (4, 2), [2, 0, 2], None, 0, "rows"),
        ("ios15", (2, 4), [3, 1], 1, 0, "columns"),
        ("ios15", (2, 3, 4), [2, 0], -2, 0, "an axis from the back"),
        ("ios15", (3, 2), 1, 0, 0, "a scalar index takes the axis away"),
        ("ios15", (4, 2), [[0, 1], [3, 2]], 0, 0, "a matrix of indices"),
        ("ios15", (2, 4), [-1, -4], 1, 0, "negative indices, before iOS 17"),
        ("ios15", (3, 2), [], 0, 0, "no indices"),
        ("ios15", (3,), [0, 0, 2], 0, 0, "a vector"),
        ("ios16", (2, 3, 2), [[0, 2], [1, 1]], 1, 1, "one dimension of batches"),
        ("ios16", (2, 3, 2), [[0, 1], [1, 1]], 2, 1, "batches, and an axis behind another"),
        ("ios16", (2, 2, 3), [[[0], [2]], [[1], [1]]], 2, 2, "two dimensions of batches"),
        ("ios16", (2, 3), [2, 0], 1, 1, "a scalar for each batch"),
    ]:
        x, indices = count(shape), np.array(indices, I)
        arguments = {} if axis is None else {"axis": np.int32(axis)}
        if opset == "ios16":
            arguments["batch_dims"] = np.int32(batch)
        at = 0 if axis is None else axis - batch if axis >= 0 else axis
        want = batched(lambda a, i: np.take(a, i, at), x, indices, batch)
        case("gather", opset, want, "exact", note, source="numpy", x=x, indices=indices, **arguments)
    for dtype in [np.uint16, np.int16]:
        x = count((3,), H)
        case(
            "gather",
            "ios16",
            x[[2, 1]],
            "exact",
            f"fp16, indices of {np.dtype(dtype)}",
            source="numpy",
            x=x,
            indices=np.array([2, 1], dtype),
        )
    for dtype, index in [(np.int8, np.uint8), (np.uint8, np.int8), (np.int16, np.uint16), (np.uint16, np.int16), (I, I)]:
        x = count((3, 2), dtype)
        case(
            "gather",
            "ios17",
            x[[2, 0]],
            "exact",
            f"{x.dtype}, indices of {np.dtype(index)}",
            source="numpy",
            x=x,
            indices=np.array([2, 0], index),
            axis=np.int32(0),
            batch_dims=np.int32(0),
            validate_indices=np.bool_(True),
        )
    x = np.array([np.nan, np.inf, -0.0, 1e-45], F)
    case(
        "gather", "ios15", x[[3, 0, 2]], "exact", "NaN, -0 and a denormal", source="numpy", x=x, indices=np.array([3, 0, 2], I)
    )


def gather_along_axis():
    for opset, shape, indices, axis, note in [
        ("ios15", (3, 2), [[2, 0], [0, 1]], None, "along the first axis"),
        ("ios15", (2, 3), [[2, 0, 2, 1], [0, 0, 1, 1]], 1, "more indices than elements"),
        ("ios15", (2, 3), [[1], [2]], -1, "an axis from the back"),
        ("ios15", (2, 2, 2), [[[1, 0]], [[0, 1]]], 1, "an axis in the middle"),
        ("ios15", (2, 3), [[-1, -3], [-2, 0]], 1, "negative indices, before iOS 17"),
        ("ios16", (3,), [2, 1, 0, 0], 0, "a vector"),
        ("ios16", (2, 0), [[], []], 1, "nothing"),
    ]:
        x, indices = count(shape), np.array(indices, I)
        arguments = {} if axis is None else {"axis": np.int32(axis)}
        case(
            "gather_along_axis",
            opset,
            np.take_along_axis(x, indices.astype(np.int64), axis or 0),
            "exact",
            note,
            source="numpy",
            x=x,
            indices=indices,
            **arguments,
        )
    for dtype, index in [(np.int8, np.uint8), (np.uint8, np.int8), (np.int16, np.uint16), (np.uint16, np.int16), (H, I)]:
        x = count((2, 2), dtype)
        indices = np.array([[1, 0], [1, 1]])
        case(
            "gather_along_axis",
            "ios17",
            np.take_along_axis(x, indices, 1),
            "exact",
            f"{x.dtype}, indices of {np.dtype(index)}",
            source="numpy",
            x=x,
            indices=indices.astype(index),
            axis=np.int32(1),
            validate_indices=np.bool_(True),
        )


def gather_nd():
    for opset, shape, indices, batch, note in [
        ("ios15", (2, 3), [[0, 2], [1, 0]], 0, "elements"),
        ("ios15", (3, 2), [[2], [0], [2]], 0, "rows"),
        ("ios15", (2, 3, 4), [[1, 2], [0, 0]], 0, "rows of matrices"),
        ("ios15", (2, 3), [1, 2], 0, "one element, as a scalar"),
        ("ios15", (2, 2), [[[0, 1]], [[1, 1]]], 0, "a matrix of tuples"),
        ("ios15", (2, 3), [[-1, -3]], 0, "negative indices, before iOS 17"),
        ("ios16", (2, 3), [[2], [0]], 1, "one dimension of batches"),
        ("ios16", (2, 2, 3), [[[1, 2], [0, 0]], [[0, 1], [1, 1]]], 1, "batches of several tuples"),
        ("ios16", (2, 2, 3), [[[1], [2]], [[0], [1]]], 2, "two dimensions of batches"),
        ("ios16", (2, 3, 2), [[[0]], [[2]]], 1, "batches of slices"),
    ]:
        x, indices = count(shape), np.array(indices, I)
        arguments = {"batch_dims": np.int32(batch)} if opset == "ios16" else {}
        want = batched(lambda a, i: a[tuple(np.moveaxis(i, -1, 0))], x, indices, batch)
        case("gather_nd", opset, want, "exact", note, source="numpy", x=x, indices=indices, **arguments)
    for dtype, index in [(np.int8, np.uint8), (np.uint8, np.int8), (np.int16, np.uint16), (np.uint16, np.int16), (H, I)]:
        x = count((2, 2), dtype)
        case(
            "gather_nd",
            "ios17",
            x[[1, 0], [0, 1]],
            "exact",
            f"{x.dtype}, indices of {np.dtype(index)}",
            source="numpy",
            x=x,
            indices=np.array([[1, 0], [0, 1]], index),
            batch_dims=np.int32(0),
            validate_indices=np.bool_(True),
        )


for op in [gather, gather_along_axis, gather_nd]:
    op()
