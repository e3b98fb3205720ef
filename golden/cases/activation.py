"""Activations, elementwise and along an axis."""

import numpy as np
import scipy.special
import torch
import torch.nn.functional as F

from case import EDGES, F16, F32, I32, case, folded, rounded, t64, uniform, wide

rng = np.random.default_rng(6)
np.seterr(all="ignore")


def torched(f):
    """A function of PyTorch as one of NumPy."""
    return lambda x: f(torch.tensor(x)).numpy()


# name: the function on float64, its source, how near the reference must be.
UNARY = {
    "relu": (torched(F.relu), "torch", "ulp 0"),
    "relu6": (torched(F.relu6), "torch", "ulp 0"),
    "sigmoid": (scipy.special.expit, "scipy", "ulp 1"),
    "silu": (torched(F.silu), "torch", "ulp 1"),
    "softplus": (lambda x: np.logaddexp(x, 0), "numpy", "ulp 1"),
    "softsign": (torched(F.softsign), "torch", "ulp 1"),
}
for op, (f, source, within) in UNARY.items():
    for opset, note, x in [
        ("ios15", "fp32, more than a vector register", uniform(rng, (5, 1, 9), F32, -9, 9)),
        ("ios16", "fp16, more than a vector register", uniform(rng, (3, 15), F16, -9, 9)),
        ("ios15", "far from zero", uniform(rng, 8, F32, -100, 100)),
        ("ios15", "edges in fp32", EDGES[F32]),
        ("ios18", "edges in fp16", EDGES[F16]),
        ("ios15", "a scalar", F32(-0.25)),
        ("ios17", "nothing", np.zeros((0, 3), F16)),
    ]:
        case(op, opset, rounded(f(wide(x)), x), within, note, source=source, x=x)
    if op != "silu":
        folded(op, "ios15", "fp32", x=uniform(rng, 8))
        folded(op, "ios17", "fp16", x=uniform(rng, (3, 1), F16))

GELU = {
    "EXACT": (lambda x: x * scipy.special.ndtr(x), "scipy"),
    "TANH_APPROXIMATION": (torched(lambda x: F.gelu(x, approximate="tanh")), "torch"),
    "SIGMOID_APPROXIMATION": (lambda x: x * scipy.special.expit(1.702 * x), "scipy"),
}
for mode, (f, source) in [*GELU.items(), (None, GELU["EXACT"])]:
    for opset, note, x in [
        ("ios15", "fp32", uniform(rng, (4, 9), F32, -5, 5)),
        ("ios16", "fp16", uniform(rng, (4, 9), F16, -5, 5)),
        ("ios15", "edges in fp32", EDGES[F32]),
        ("ios18", "edges in fp16", EDGES[F16]),
        ("ios17", "nothing", np.zeros((2, 0), F16)),
    ]:
        note += ", the default mode" if mode is None else ""
        case("gelu", opset, rounded(f(wide(x)), x), "ulp 1", note, source=source, x=x, mode=mode)
    if mode:
        folded("gelu", "ios15", "fp32", x=uniform(rng, 8), mode=mode)

# Ops with numbers beside x: the function on float64.
ALPHA = {
    "elu": lambda x, a: np.where(x < 0, a * np.expm1(x), x),
    "leaky_relu": lambda x, a: F.leaky_relu(torch.tensor(x), a).numpy(),
    "thresholded_relu": lambda x, a: np.where(x >= a, x, 0),
}
ALPHA_BETA = {
    "clamped_relu": lambda x, a, b: torch.clamp(F.leaky_relu(torch.tensor(x), a), max=b).numpy(),
    "linear_activation": lambda x, a, b: x * a + b,
    "scaled_tanh": lambda x, a, b: a * np.tanh(b * x),
    "sigmoid_hard": lambda x, a, b: np.clip(a * x + b, 0, 1),
}
for op, f in [*ALPHA.items(), *ALPHA_BETA.items()]:
    source = "torch" if op in ["leaky_relu", "clamped_relu"] else "numpy"
    names = ["alpha", "beta"] if op in ALPHA_BETA else ["alpha"]
    # A comparison with not-a-number is false, and that x < alpha is false as well: Core ML's documentation leaves it open.
    edges = {d: e[~np.isnan(e)] if op == "thresholded_relu" else e for d, e in EDGES.items()}
    for opset, note, x, numbers in [
        ("ios15", "fp32", uniform(rng, (4, 1, 9)), (0.7, 1.3)),
        ("ios16", "fp16", uniform(rng, (4, 9), F16), (0.7, 1.3)),
        ("ios15", "edges in fp32", edges[F32], (0.5, 0.75)),
        ("ios18", "edges in fp16", edges[F16], (0.5, 0.75)),
        ("ios15", "a scalar", F32(-1.5), (0.25, 3)),
        ("ios15", "alpha is 0", uniform(rng, 6), (0, 1)),
        ("ios15", "negative numbers", uniform(rng, 6), (-0.5, -0.25)),
        ("ios17", "nothing", np.zeros((0, 2), F16), (1, 1)),
        ("ios17", "numbers of another dtype, fp32", uniform(rng, 6), (F16(0.3), F16(1.1))),
        ("ios17", "numbers of another dtype, fp16", uniform(rng, 6, F16), (F32(0.3), F32(1.1))),
    ]:
        given = [n if isinstance(n, (F16, F32)) else x.dtype.type(n) for n in numbers][: len(names)]
        want = f(wide(x), *(float(n) for n in given))
        case(op, opset, rounded(want, x), "ulp 1", note, source=source, x=x, **dict(zip(names, given)))
    folded(op, "ios15", "fp32", x=uniform(rng, 8), **dict(zip(names, [F32(0.25), F32(0.75)])))
    folded(op, "ios17", "fp16", x=uniform(rng, 3, F16), **dict(zip(names, [F16(0.25), F16(0.75)])))
x = np.array([1, 0.99999994, 1.0000001, -1], F32)
case("thresholded_relu", "ios15", np.where(x >= 1, x, F32(0)), "exact", "x at alpha is kept; PyTorch drops it",
     source="numpy", x=x, alpha=F32(1))

for opset, note, x, alpha in [
    ("ios15", "rank 4", uniform(rng, (2, 3, 2, 2)), uniform(rng, 3)),
    ("ios16", "rank 4, fp16", uniform(rng, (1, 2, 3, 1), F16), uniform(rng, 2, F16)),
    ("ios15", "rank 3, which takes equal numbers only", uniform(rng, (2, 3, 2)), np.full(3, 0.25, F32)),
    ("ios15", "rank 5, which takes equal numbers only", uniform(rng, (1, 2, 1, 2, 2)), np.full(2, -0.5, F32)),
    ("ios15", "one channel", uniform(rng, (3, 1, 1, 4)), F32([0.1])),
    ("ios17", "alpha of another dtype", uniform(rng, (1, 3, 2, 2), F16), uniform(rng, 3)),
    ("ios18", "alpha of another dtype, fp32", uniform(rng, (1, 3, 2, 2)), uniform(rng, 3, F16)),
    ("ios18", "edges", EDGES[F16].reshape(1, 2, 2, 4), F16([0.5, -2])),
    ("ios15", "nothing", np.zeros((0, 3, 2, 2), F32), uniform(rng, 3)),
]:
    alpha = np.asarray(alpha, getattr(alpha, "dtype", F32))
    want = F.prelu(t64(x), t64(alpha)).numpy()
    case("prelu", opset, rounded(want, x), "ulp 1", note, source="torch", x=x, alpha=alpha)
folded("prelu", "ios15", "rank 4", x=uniform(rng, (2, 3, 2, 1)), alpha=uniform(rng, 3))
folded("prelu", "ios15", "rank 3", x=uniform(rng, (2, 3, 2)), alpha=np.full(3, 0.25, F32))

for opset, note, x, alpha, beta in [
    ("ios15", "rank 4", uniform(rng, (2, 3, 2, 2)), uniform(rng, 3), uniform(rng, 3)),
    ("ios16", "rank 4, fp16", uniform(rng, (1, 2, 3, 1), F16), uniform(rng, 2, F16), uniform(rng, 2, F16)),
    ("ios15", "rank 3", uniform(rng, (2, 3, 4)), uniform(rng, 3), uniform(rng, 3)),
    ("ios15", "no overflow on the way", uniform(rng, (1, 2, 3, 1), F32, 100, 200), uniform(rng, 2), np.ones(2, F32)),
    ("ios17", "numbers of another dtype", uniform(rng, (1, 3, 2, 1), F16), uniform(rng, 3), uniform(rng, 3)),
    ("ios18", "numbers of fp16", uniform(rng, (1, 3, 2, 1)), uniform(rng, 3, F16), uniform(rng, 3, F16)),
    ("ios15", "nothing", np.zeros((1, 3, 0, 2), F32), uniform(rng, 3), uniform(rng, 3)),
]:
    a, b = wide(alpha).reshape(-1, *[1] * (x.ndim - 2)), wide(beta).reshape(-1, *[1] * (x.ndim - 2))
    want = a * np.logaddexp(b * wide(x), 0)
    case("softplus_parametric", opset, rounded(want, x), "ulp 1", note, source="numpy", x=x, alpha=alpha, beta=beta)
folded("softplus_parametric", "ios15", "rank 4", x=uniform(rng, (2, 3, 1, 2)), alpha=uniform(rng, 3), beta=uniform(rng, 3))

masked = uniform(rng, (3, 4), F16)
masked[0, 1:], masked[1, 2], masked[2] = -np.inf, np.inf, -np.inf
for opset, note, x, axis in [
    ("ios15", "the default axis", uniform(rng, (2, 5)), None),
    ("ios15", "the first axis", uniform(rng, (4, 3)), I32(0)),
    ("ios16", "fp16, a middle axis from the back", uniform(rng, (2, 3, 2, 2), F16), I32(-3)),
    ("ios17", "one element", uniform(rng, (3, 1)), I32(1)),
    ("ios15", "large numbers", uniform(rng, (2, 6), F32, -1000, 1000), I32(-1)),
    ("ios18", "65504 and ties, fp16", F16([[65504, 65504, -65504, 0]]), I32(-1)),
    ("ios16", "infinities: one, a positive one, and nothing else", masked, I32(1)),
    ("ios15", "not-a-number", F32([[1, np.nan, 2], [1, 2, 3]]), I32(-1)),
    ("ios15", "nothing", np.zeros((0, 4), F32), I32(-1)),
    ("ios15", "a vector", uniform(rng, 7), I32(0)),
]:
    want = F.softmax(t64(x), -1 if axis is None else int(axis)).numpy()
    case("softmax", opset, rounded(want, x), "ulp 1", note, source="torch", x=x, axis=axis)
for shape in [(3,), (2, 3), (1, 2, 2), (2, 1, 2, 2)]:
    for axis in range(-len(shape), len(shape)):
        folded("softmax", "ios15", f"axis {axis}", x=uniform(rng, shape), axis=I32(axis))
