"""Ops that put elements where indices say, by the `at` of NumPy's functions, which applies them one after another."""

import numpy as np

from case import case

F, H, I = np.float32, np.float16, np.int32


def put(data, at, updates, mode):
    """data with updates at these indices. Sums of floats are carried in double precision and rounded once."""
    wide = data.astype(np.float64 if data.dtype.kind == "f" else np.int64)
    updates = updates.astype(wide.dtype)
    if mode == "update":
        wide[at] = updates
    elif mode == "div" and data.dtype.kind != "f":
        raise ValueError("NumPy has no whole quotient rounded towards zero")
    else:
        {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "max": np.maximum, "min": np.minimum}[
            mode
        ].at(wide, at, updates)
    return wide.astype(data.dtype)


MODES = ["update", "add", "sub", "mul", "div", "max", "min"]


def values(shape, dtype, rng):
    return rng.uniform(-4, 4, shape).astype(dtype) if np.dtype(dtype).kind == "f" else rng.integers(-9, 9, shape).astype(dtype)


def scatter(rng):
    def one(opset, dtype, shape, indices, axis, mode, note, **rest):
        data, indices = values(shape, dtype, rng), np.array(indices, I)
        at = axis % len(shape)
        updates = values((*shape[:at], *indices.shape, *shape[at + 1 :]), dtype, rng)
        arguments = {"axis": np.int32(axis)} if axis != 0 else {}
        if mode is not None:
            arguments["mode"] = mode
        want = put(data, (slice(None),) * at + (indices,), updates, mode or "add")
        case(
            "scatter",
            opset,
            want,
            "ulp 1",
            note,
            source="numpy",
            data=data,
            indices=indices,
            updates=updates,
            **arguments,
            **rest,
        )

    for mode in MODES:
        one("ios15", F, (3, 2), [2, 0], 0, mode, f"{mode}, rows")
        if mode != "update":
            one("ios15", F, (2, 3), [1, 1, -1], 1, mode, f"{mode}, columns that meet, and one from the back")
        one("ios17", H, (2, 3), [0, 2], -1, mode, f"{mode}, fp16", validate_indices=np.bool_(True))
        if mode != "div":
            one("ios15", I, (4,), [3, 0], 0, mode, f"{mode}, int32")
    one("ios15", F, (3, 2), [[0, 1], [2, 0]], 0, None, "the mode left out, a matrix of indices")
    one("ios15", F, (3,), 1, 0, "update", "a scalar index")
    one("ios15", F, (3, 2), [], 0, "add", "no indices")
    one("ios15", F, (2, 3, 2), [2, 0], 1, "sub", "an axis in the middle")
    case(
        "scatter",
        "ios15",
        np.array([-3, 3, -2, 2], I),
        "exact",
        "div, int32, towards zero",
        source="numpy",
        data=np.array([-7, 7, -4, 4], I),
        indices=np.array([0, 1, 2, 3], I),
        updates=np.array([2, 2, 2, 2], I),
        mode="div",
    )
    data = np.array([1, np.inf, -0.0], F)
    case(
        "scatter",
        "ios15",
        np.array([np.nan, np.nan, 0], F),
        "exact",
        "add: NaN, inf - inf and -0 + 0",
        source="numpy",
        data=data,
        indices=np.array([0, 1, 2], I),
        updates=np.array([np.nan, -np.inf, 0], F),
        mode="add",
    )


def scatter_along_axis(rng):
    def one(opset, dtype, shape, indices, axis, mode, note, **rest):
        data, indices = values(shape, dtype, rng), np.array(indices, I)
        updates = values(indices.shape, dtype, rng)
        at = list(np.indices(indices.shape))
        at[axis % len(shape)] = indices
        arguments = {"axis": np.int32(axis)} if axis != 0 else {}
        if mode is not None:
            arguments["mode"] = mode
        want = put(data, tuple(at), updates, mode or "add")
        case(
            "scatter_along_axis",
            opset,
            want,
            "ulp 1",
            note,
            source="numpy",
            data=data,
            indices=indices,
            updates=updates,
            **arguments,
            **rest,
        )

    for mode in MODES:
        one("ios15", F, (3, 2), [[2, 0], [0, 1]], 0, mode, f"{mode}, along the first axis")
        if mode != "update":
            one(
                "ios15", F, (2, 3), [[1, 1, -1, 0], [0, 2, 2, 2]], 1, mode, f"{mode}, elements that meet, and one from the back"
            )
        one("ios17", H, (2, 3), [[0], [2]], -1, mode, f"{mode}, fp16", validate_indices=np.bool_(True))
        if mode != "div":
            one("ios15", I, (2, 2), [[1, 0], [0, 1]], 1, mode, f"{mode}, int32")
    one("ios15", F, (3,), [1, 2], 0, None, "the mode left out")
    one("ios15", F, (2, 2, 2), [[[1, 0]], [[0, 1]]], 1, "update", "an axis in the middle")


def scatter_nd(rng):
    def one(opset, dtype, shape, indices, mode, note, **rest):
        data, indices = values(shape, dtype, rng), np.array(indices, I)
        updates = values((*indices.shape[:-1], *shape[indices.shape[-1] :]), dtype, rng)
        arguments = {} if mode is None else {"mode": mode}
        want = put(data, tuple(np.moveaxis(indices, -1, 0)), updates, mode or "add")
        case(
            "scatter_nd",
            opset,
            want,
            "ulp 1",
            note,
            source="numpy",
            data=data,
            indices=indices,
            updates=updates,
            **arguments,
            **rest,
        )

    for mode in MODES:
        one("ios15", F, (2, 3), [[0, 2], [1, 0]], mode, f"{mode}, elements")
        if mode != "update":
            one("ios15", F, (3, 2), [[2], [2], [-3]], mode, f"{mode}, rows that meet, and one from the back")
        one(
            "ios17",
            H,
            (2, 2, 2),
            [[[0, 1]], [[1, 1]]],
            mode,
            f"{mode}, fp16, a matrix of tuples",
            validate_indices=np.bool_(True),
        )
        if mode != "div":
            one("ios15", I, (3,), [[2], [0]], mode, f"{mode}, int32")
    one("ios15", F, (2, 2), [1, 0], None, "the mode left out, one element")
    case(
        "scatter_nd",
        "ios15",
        np.array([2**31 - 1, -(2**31)], I),
        "exact",
        "int32 wraps around, as Core ML's arithmetic does",
        source="numpy",
        data=np.array([-(2**31), 2**31 - 1], I),
        indices=np.array([[0], [1]], I),
        updates=np.array([-1, 1], I),
        mode="add",
    )


rng = np.random.default_rng(11)
for op in [scatter, scatter_along_axis, scatter_nd]:
    op(rng)
