"""Normalisations by statistics of a channel, of axes, and of neighbouring channels."""

import numpy as np
import torch
import torch.nn.functional as F

from case import F16, F32, I32, case, folded, i32, rounded, t64, uniform

rng = np.random.default_rng(8)


def positive(n, dtype=F32):
    return uniform(rng, n, dtype, 0.1, 3)


def opt(value):
    return None if value is None else t64(value)


def small(x, given, default):
    """An epsilon as it is stored: the default has the dtype of `x`."""
    return float(x.dtype.type(default) if given is None else given)


for opset, note, shape, dtype, other, gamma, beta, epsilon in [
    ("ios15", "rank 3", (2, 3, 4), F32, F32, True, True, F32(1e-3)),
    ("ios15", "rank 4, defaults", (1, 3, 2, 2), F32, F32, False, False, None),
    ("ios15", "rank 5, gamma only", (2, 2, 1, 2, 2), F32, F32, True, False, None),
    ("ios16", "fp16, beta only", (2, 4, 3), F16, F16, False, True, None),
    ("ios16", "fp16, all", (1, 5, 2, 3), F16, F16, True, True, F16(0.5)),
    ("ios17", "fp16 with statistics in fp32", (1, 3, 2, 2), F16, F32, True, True, F32(1e-5)),
    ("ios17", "fp32 with statistics in fp16", (1, 3, 2, 2), F32, F16, True, True, F16(1e-3)),
    ("ios15", "nothing", (0, 3, 2), F32, F32, True, True, None),
    ("ios15", "one channel, one element", (1, 1, 1), F32, F32, True, True, None),
]:
    x, c = uniform(rng, shape, dtype), shape[1]
    args = dict(mean=uniform(rng, c, other), variance=positive(c, other))
    args["gamma"] = uniform(rng, c, other) if gamma else None
    args["beta"] = uniform(rng, c, other) if beta else None
    want = F.batch_norm(
        t64(x), *(opt(v) for v in args.values()), training=False, eps=small(x, epsilon, 1e-5)
    ).numpy() if x.size else np.zeros(shape)
    case("batch_norm", opset, rounded(want, x), "ulp 1", note, source="torch", x=x, **args, epsilon=epsilon)
x, zeros = uniform(rng, (1, 2, 3)), np.zeros(2, F32)
want = F.batch_norm(t64(x), t64(zeros), t64(zeros), training=False, eps=small(x, None, 1e-5)).numpy()
case("batch_norm", "ios15", rounded(want, x), "ulp 1", "no variance: epsilon alone", source="torch", x=x, mean=zeros, variance=zeros)

# A group for each channel is instance normalisation, and PyTorch takes it for a single element as well.
for opset, note, shape, dtype, other, gamma, beta, epsilon in [
    ("ios15", "rank 3", (2, 3, 4), F32, F32, True, True, F32(1e-3)),
    ("ios15", "rank 4, defaults", (2, 3, 2, 3), F32, F32, False, False, None),
    ("ios15", "gamma only", (1, 2, 3, 3), F32, F32, True, False, None),
    ("ios16", "fp16, beta only", (2, 2, 5), F16, F16, False, True, None),
    ("ios16", "fp16, all", (1, 3, 2, 3), F16, F16, True, True, F16(0.5)),
    ("ios17", "fp16 with numbers in fp32", (1, 3, 2, 2), F16, F32, True, True, F32(1e-5)),
    ("ios17", "fp32 with numbers in fp16", (1, 3, 2, 2), F32, F16, True, True, F16(1e-3)),
    ("ios15", "one element a channel", (2, 3, 1), F32, F32, True, True, None),
    ("ios18", "nothing", (0, 3, 2), F32, F32, True, True, None),
]:
    x, c = uniform(rng, shape, dtype), shape[1]
    args = dict(gamma=uniform(rng, c, other) if gamma else None, beta=uniform(rng, c, other) if beta else None)
    want = F.group_norm(t64(x), c, *(opt(v) for v in args.values()), eps=small(x, epsilon, 1e-5)).numpy()
    case("instance_norm", opset, rounded(want, x), "ulp 1", note, source="torch", x=x, **args, epsilon=epsilon)
x = (uniform(rng, (1, 2, 8), F32, -1, 1) + F32(1000)).astype(F32)
want = F.group_norm(t64(x), 2, eps=small(x, None, 1e-5)).numpy()
case("instance_norm", "ios15", rounded(want, x), "ulp 1", "a mean far from zero", source="torch", x=x)

for opset, note, x, epsilon in [
    ("ios15", "rank 3: one norm", uniform(rng, (2, 3, 2)), None),
    ("ios15", "rank 4: a norm a sample", uniform(rng, (2, 3, 2, 1)), F32(0.5)),
    ("ios16", "rank 5, fp16", uniform(rng, (2, 2, 1, 3, 1), F16), F16(0.01)),
    ("ios17", "epsilon of another dtype", uniform(rng, (1, 2, 3), F16), F32(0.25)),
    ("ios17", "epsilon of another dtype, fp32", uniform(rng, (1, 2, 3)), F16(0.25)),
    ("ios15", "zeros: epsilon alone", np.zeros((1, 2, 2), F32), None),
    ("ios16", "squares beyond fp16", F16([[[30000, -20000, 65504]]]), None),
    ("ios15", "nothing", np.zeros((0, 1, 2, 2), F32), None),
]:
    t = t64(x)
    want = (t / torch.sqrt(t.square().sum((-3, -2, -1), keepdim=True) + small(x, epsilon, 1e-6))).numpy()
    case("l2_norm", opset, rounded(want, x), "ulp 1", note, source="torch", x=x, epsilon=epsilon)
for shape in [(1, 2, 3), (2, 2, 1, 2), (2, 1, 1, 3, 2)]:
    folded("l2_norm", "ios15", "the default epsilon", x=uniform(rng, shape))
    folded("l2_norm", "ios15", "epsilon", x=uniform(rng, shape), epsilon=F32(0.5))


def layer_norm(x, axes, gamma, beta, epsilon):
    """PyTorch normalises the last axes; others are moved there and back."""
    rank = x.ndim
    axes = sorted(int(a) % rank for a in (range(rank) if axes is None else axes))
    order = [a for a in range(rank) if a not in axes] + axes
    t = t64(x).permute(order)
    y = F.layer_norm(t, [x.shape[a] for a in axes], opt(gamma), opt(beta), epsilon)
    return y.permute([order.index(a) for a in range(rank)]).numpy()


for opset, note, shape, axes, dtype, other, gamma, beta, epsilon in [
    ("ios15", "the last axis", (2, 3, 6), (-1,), F32, F32, True, True, F32(1e-3)),
    ("ios15", "all axes by default", (2, 3), None, F32, F32, True, True, None),
    ("ios15", "two axes, no gamma and beta", (2, 3, 4), (1, 2), F32, F32, False, False, None),
    ("ios16", "fp16, the channels, gamma only", (1, 5, 1, 3), (1,), F16, F16, True, False, None),
    ("ios16", "fp16, beta only", (2, 7), (1,), F16, F16, False, True, F16(0.1)),
    ("ios15", "axes apart from each other", (2, 3, 4), (0, 2), F32, F32, True, True, None),
    ("ios15", "the first axis", (5, 3), (0,), F32, F32, True, True, None),
    ("ios17", "fp16 with numbers in fp32", (2, 3, 8), (-1,), F16, F32, True, True, F32(1e-5)),
    ("ios17", "fp32 with numbers in fp16", (2, 8), (-1,), F32, F16, True, True, F16(1e-3)),
    ("ios15", "one element", (3, 1), (1,), F32, F32, True, True, None),
    ("ios15", "nothing", (0, 4), (1,), F32, F32, True, True, None),
    ("ios18", "many elements", (2, 100), (-1,), F16, F16, True, True, None),
]:
    x = uniform(rng, shape, dtype)
    over = tuple(shape if axes is None else (shape[a] for a in axes))
    args = dict(gamma=uniform(rng, over, other) if gamma else None, beta=uniform(rng, over, other) if beta else None)
    want = layer_norm(x, axes, **args, epsilon=small(x, epsilon, 1e-5))
    axes = None if axes is None else i32(*axes)
    case("layer_norm", opset, rounded(want, x), "ulp 1", note, source="torch", x=x, axes=axes, **args, epsilon=epsilon)
for note, x in [
    ("squares beyond fp16", F16([[30000, -20000, 65504, 0]])),
    ("a mean far from zero", (uniform(rng, (2, 8), F32, -1, 1) + F32(1000)).astype(F32)),
    ("equal elements", np.full((2, 4), 3, F32)),
    ("infinity and not-a-number", F32([[1, np.inf, 2], [1, 2, np.nan], [1, 2, 3]])),
]:
    want = layer_norm(x, (-1,), None, None, small(x, None, 1e-5))
    case("layer_norm", "ios16", rounded(want, x), "ulp 1", note, source="torch", x=x, axes=i32(-1))
for shape in [(3,), (2, 3), (1, 2, 2), (2, 1, 2, 2)]:
    for _ in range(2):
        axes = np.sort(rng.permutation(len(shape))[: rng.integers(1, len(shape) + 1)]).astype(I32)
        over = tuple(shape[axis] for axis in axes)
        gamma, beta = uniform(rng, over), uniform(rng, over)
        folded("layer_norm", "ios15", "all", x=uniform(rng, shape), axes=axes, gamma=gamma, beta=beta, epsilon=F32(0.01))
        folded("layer_norm", "ios15", "defaults", x=uniform(rng, shape), axes=axes)

for opset, note, shape, dtype, other, size, alpha, beta, k in [
    ("ios15", "defaults", (1, 5, 2, 2), F32, F32, 3, None, None, None),
    ("ios15", "all", (2, 4, 3), F32, F32, 3, 0.5, 0.6, 2),
    ("ios16", "fp16", (1, 6, 2, 1), F16, F16, 5, 0.25, 0.75, 1),
    ("ios15", "an even size, one more behind, as PyTorch has it", (1, 5, 2), F32, F32, 4, 1, 1, 0.5),
    ("ios15", "one channel at a time", (1, 3, 2, 2), F32, F32, 1, 0.5, 0.5, 1),
    ("ios15", "more than there are channels", (1, 2, 3), F32, F32, 7, 1, 0.75, 1),
    ("ios17", "fp16 with numbers in fp32", (1, 4, 2, 2), F16, F32, 3, 0.3, 0.7, 1.1),
    ("ios17", "nothing", (0, 4, 2, 2), F32, F16, 3, 0.3, 0.7, 1.1),
    ("ios15", "a negative exponent", (1, 4, 2, 2), F32, F32, 3, 0.3, -0.5, 1.5),
]:
    x = uniform(rng, shape, dtype)
    numbers = {n: None if v is None else other(v) for n, v in [("alpha", alpha), ("beta", beta), ("k", k)]}
    stored = {n: small(x, numbers[n], v) for n, v in [("alpha", 1e-4), ("beta", 0.75), ("k", 1.0)]}
    want = F.local_response_norm(t64(x), size, **stored).numpy() if x.size else np.zeros(shape)
    case("local_response_norm", opset, rounded(want, x), "ulp 1", note, source="torch", x=x, size=I32(size), **numbers)
