"""Reductions over axes, indices of extremes, and running sums."""

import numpy as np
import torch

from case import F16, F32, I32, case, folded, i32, rounded, t64, uniform, whole, wide

rng = np.random.default_rng(7)
np.seterr(all="ignore")


def log_sum_exp(x, axis, keepdims):
    axis = tuple(range(x.ndim)) if axis is None else axis
    return torch.logsumexp(torch.tensor(x), axis, keepdims).numpy()


# name: the function on float64.
REDUCE = {
    "reduce_l1_norm": lambda x, **k: np.sum(np.abs(x), **k),
    "reduce_l2_norm": lambda x, **k: np.sqrt(np.sum(np.square(x), **k)),
    "reduce_log_sum": lambda x, **k: np.log(np.sum(x, **k)),
    "reduce_log_sum_exp": log_sum_exp,
    "reduce_max": np.max,
    "reduce_mean": np.mean,
    "reduce_min": np.min,
    "reduce_prod": np.prod,
    "reduce_sum": np.sum,
    "reduce_sum_square": lambda x, **k: np.sum(np.square(x), **k),
}
SHAPES = [(3,), (2, 3), (1, 2, 2), (2, 1, 2, 2)]
for op, f in REDUCE.items():
    low = 0.5 if op == "reduce_log_sum" else -4
    source = "torch" if op == "reduce_log_sum_exp" else "numpy"
    within = "ulp 0" if op in ["reduce_max", "reduce_min"] else "ulp 1"
    some = op in ["reduce_max", "reduce_min"]

    def float_case(opset, note, x, axes=None, keep_dims=None):
        axis = None if axes is None else tuple(int(a) for a in axes)
        want = rounded(np.asarray(f(wide(x), axis=axis, keepdims=bool(keep_dims))), x)
        case(op, opset, want, within, note, source=source, x=x, axes=axes, keep_dims=keep_dims)

    float_case("ios15", "all axes by default", uniform(rng, (2, 3), F32, low))
    float_case("ios15", "all axes by default, kept", uniform(rng, (2, 3), F32, low), None, True)
    float_case("ios15", "the first axis", uniform(rng, (4, 3), F32, low), i32(0), False)
    float_case("ios16", "the last axis from the back, fp16", uniform(rng, (3, 5), F16, low), i32(-1), True)
    float_case("ios17", "axes apart from each other", uniform(rng, (2, 3, 4), F32, low), i32(0, -1), False)
    float_case("ios18", "axes out of order, fp16", uniform(rng, (2, 3, 2, 2), F16, low), i32(3, 1), True)
    float_case("ios15", "one element", uniform(rng, (3, 1), F32, low), i32(1), False)
    float_case("ios15", "all but nothing is left", np.zeros((0, 3), F32), i32(1), False)
    if not some:
        if op != "reduce_log_sum_exp":
            float_case("ios15", "over no elements", np.zeros((2, 0), F32), i32(1), True)
    float_case("ios15", "infinities and not-a-number", F32([[1, np.inf], [-np.inf, 1], [np.nan, 1], [np.inf, -np.inf]]), i32(1), False)
    float_case("ios16", "overflow in fp16", F16([[65504, 65504], [300, 300], [-65504, -65504]]), i32(1), False)
    float_case("ios15", "large and small fp32", F32([[3e38, 3e38], [1e30, 1e30], [1e-30, 1e-30]]), i32(1), False)
    float_case("ios15", "subnormal numbers", F32([[1e-45, 1e-40], [-1e-42, 3e-45]]), i32(1), False)
    float_case("ios15", "many elements", uniform(rng, (2, 300), F32, low if low > 0 else -1, 1), i32(1), False)
    for shape in SHAPES:
        for keep_dims in [True, False]:
            rank = len(shape)
            axes = rng.permutation(rank)[: rng.integers(1, rank + 1)]
            axes = np.array([a - rank * rng.integers(0, 2) for a in axes], I32)
            folded(op, "ios15", "fp32", x=uniform(rng, shape, F32, low), axes=axes, keep_dims=keep_dims)
            folded(op, "ios15", "int32", x=whole(rng, shape, 1 if "log" in op else -9, 9), axes=axes, keep_dims=keep_dims)
    folded(op, "ios15", "all axes by default", x=uniform(rng, (2, 3), F32, 0.5))

big = i32(2**31 - 1, 2, 65536, -7).reshape(2, 2)
for op, f in [("reduce_sum", np.sum), ("reduce_prod", np.prod)]:
    want = f(big, axis=1, dtype=I32)
    case(op, "ios15", want, "exact", "int32 that wraps around", source="numpy", x=big, axes=i32(1), keep_dims=False)
for op, f in [("reduce_max", np.max), ("reduce_min", np.min)]:
    x = i32(16777217, 16777216, -(2**31), 2**31 - 1).reshape(2, 2)
    case(op, "ios15", f(x, axis=1), "exact", "int32 beyond fp32", source="numpy", x=x, axes=i32(1), keep_dims=False)
    case(op, "ios15", f(x), "exact", "int32, all axes", source="numpy", x=x)

for op, f in [("reduce_argmax", np.argmax), ("reduce_argmin", np.argmin)]:
    for opset, note, x, axis, keep_dims, output_dtype in [
        ("ios15", "the default axis", uniform(rng, (3, 5)), None, None, None),
        ("ios15", "the first axis, kept", uniform(rng, (4, 3)), I32(0), True, None),
        ("ios16", "fp16, a middle axis from the back", uniform(rng, (2, 5, 3), F16), I32(-2), False, None),
        ("ios15", "int32", whole(rng, (3, 7), -100, 100), I32(1), False, None),
        ("ios15", "int32 beyond fp32", i32(16777216, 16777217, 16777216, -(2**31), 2**31 - 1), I32(0), False, None),
        ("ios15", "infinities", F32([1, np.inf, -np.inf, 2]), I32(0), True, None),
        ("ios15", "ties, of which the first is taken; Core ML leaves it open", F32([[2, 2, 1, 1], [0, -0.0, 0, 0]]), I32(1), False, None),
        ("ios15", "one element", uniform(rng, (2, 1)), I32(-1), True, None),
        ("ios15", "nothing is left", np.zeros((0, 3), F32), I32(1), False, None),
        ("ios17", "the default dtype", uniform(rng, (2, 9)), I32(1), False, None),
        ("ios17", "int32 results", uniform(rng, (2, 9), F16), I32(0), True, "int32"),
        ("ios18", "uint16 results", uniform(rng, (3, 4)), I32(1), False, "uint16"),
        ("ios17", "uint16 results of int32", whole(rng, (3, 4)), I32(-1), True, "uint16"),
        ("ios15", "many elements", uniform(rng, (2, 500)), I32(1), False, None),
    ]:
        want = f(x, axis=-1 if axis is None else int(axis), keepdims=bool(keep_dims))
        want = np.asarray(want).astype(output_dtype or "int32")
        case(op, opset, want, "exact", note, source="numpy", x=x, axis=axis, keep_dims=keep_dims, output_dtype=output_dtype)
    for shape in SHAPES:
        for keep_dims in [True, False]:
            axis = I32(rng.integers(-len(shape), len(shape)))
            folded(op, "ios15", "fp32", x=uniform(rng, shape), axis=axis, keep_dims=keep_dims)
            folded(op, "ios17", "int32", x=whole(rng, shape, 0, 3), axis=axis, keep_dims=keep_dims, output_dtype="int32")


def cumsum(x, axis, exclusive, reverse):
    """tf.math.cumsum, which Core ML names as its definition, from PyTorch's."""
    x = torch.flip(x, [axis]) if reverse else x
    y = torch.cumsum(x, axis, dtype=x.dtype)
    y = y - x if exclusive else y
    return (torch.flip(y, [axis]) if reverse else y).numpy()


for opset, note, x, axis in [
    ("ios15", "the default axis", uniform(rng, (4, 3)), None),
    ("ios16", "fp16, a middle axis", uniform(rng, (2, 4, 2), F16), I32(1)),
    ("ios15", "the last axis as -1", uniform(rng, (2, 5)), I32(-1)),
    ("ios17", "int32", whole(rng, (3, 4)), I32(0)),
    ("ios15", "one element", uniform(rng, (3, 1)), I32(1)),
    ("ios15", "nothing", np.zeros((2, 0), F32), I32(1)),
]:
    for exclusive, reverse in [(None, None), (True, None), (False, True), (True, True)]:
        t = torch.tensor(x) if x.dtype == I32 else t64(x)
        want = cumsum(t, 0 if axis is None else int(axis), bool(exclusive), bool(reverse))
        want = want if x.dtype == I32 else rounded(want, x)
        words = note + (", exclusive" if exclusive else "") + (", reverse" if reverse else "")
        case("cumsum", opset, want, "ulp 1", words, source="torch", x=x, axis=axis, exclusive=exclusive, reverse=reverse)
x = F16([60000, 60000, -60000, 1])
case("cumsum", "ios16", rounded(np.cumsum(wide(x)), x), "exact", "overflow on the way in fp16", source="numpy", x=x)
x = i32(2**31 - 1, 1, -5)
case("cumsum", "ios15", np.cumsum(x, dtype=I32), "exact", "int32 that wraps around", source="numpy", x=x)
x = F32([1, np.inf, -np.inf, 1])
case("cumsum", "ios15", rounded(np.cumsum(wide(x)), x), "exact", "infinities", source="numpy", x=x)
for shape in SHAPES:
    for reverse in [True, False]:
        axis = I32(rng.integers(0, len(shape)))
        folded("cumsum", "ios15", "fp32", x=uniform(rng, shape), axis=axis, reverse=reverse)
        folded("cumsum", "ios15", "int32", x=whole(rng, shape), axis=I32(-1), reverse=reverse)
