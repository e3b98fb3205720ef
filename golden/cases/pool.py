"""Poolings over windows. Padding is zeros, and less than any number to max_pool."""

import numpy as np
import torch
import torch.nn.functional as F

from case import F16, F32, case, i32, rounded, t64, uniform
from windows import CONV, padded, padding

rng = np.random.default_rng(11)
MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def summed(x, kernel, strides):
    """The sum of each window: a convolution of each channel with ones."""
    ones = torch.ones((x.shape[1], 1, *kernel), dtype=torch.float64)
    return CONV[x.ndim - 2](x, ones, None, strides, 0, 1, x.shape[1])


def pool(op, opset, note, shape, kernel, *, dtype=F32, strides=None, pad_type="valid", pad=None, ceil_mode=None,
         exclude=None, x=None):
    x = uniform(rng, shape, dtype) if x is None else x
    n, t = len(shape) - 2, t64(x)
    s = strides or (1,) * n
    pads = padding(pad_type, shape[2:], kernel, s, (1,) * n, pad)
    if ceil_mode:
        # Both sides have the same padding, which PyTorch takes itself.
        half = [p[0] for p in pads]
        if op == "max_pool":
            want = MAX[n](t, kernel, s, half, ceil_mode=True)
        elif op == "avg_pool":
            want = AVG[n](t, kernel, s, half, ceil_mode=True, count_include_pad=not exclude)
        else:
            size = MAX[n](t, kernel, s, half, ceil_mode=True).shape[2:]
            reach = [(size[i] - 1) * s[i] + kernel[i] - half[i] - shape[2 + i] for i in range(n)]
            want = summed(padded(t.square(), list(zip(half, reach))), kernel, s).sqrt()
    elif op == "max_pool":
        want = MAX[n](padded(t, pads, -np.inf), kernel, s)
    elif op == "avg_pool":
        want = AVG[n](padded(t, pads), kernel, s)
        if exclude:
            want = want / AVG[n](padded(torch.ones_like(t), pads), kernel, s)
    else:
        want = summed(padded(t.square(), pads), kernel, s).sqrt()
    args = dict(kernel_sizes=i32(*kernel), strides=None if strides is None else i32(*strides), pad_type=pad_type)
    args.update(pad=None if pad is None else i32(*pad), ceil_mode=ceil_mode)
    if op == "avg_pool":
        args.update(exclude_padding_from_average=exclude)
    within = "ulp 0" if op == "max_pool" else "ulp 1"
    case(op, opset, rounded(want.numpy(), x), within, note, source="torch", x=x, **args)


for op in ["max_pool", "avg_pool", "l2_pool"]:
    pool(op, "ios15", "1-D", (2, 3, 6), (3,), strides=(2,))
    pool(op, "ios15", "2-D, strides of 1 by default", (1, 2, 4, 5), (2, 3))
    pool(op, "ios16", "2-D, fp16", (2, 2, 4, 4), (2, 2), dtype=F16, strides=(2, 2))
    pool(op, "ios15", "custom padding, unequal", (1, 2, 5, 5), (3, 3), strides=(2, 2), pad_type="custom", pad=(1, 0, 1, 2))
    pool(op, "ios15", "same", (1, 1, 5, 6), (3, 2), pad_type="same")
    pool(op, "ios15", "same, strides", (1, 2, 5, 6), (3, 3), strides=(2, 2), pad_type="same")
    pool(op, "ios16", "same_lower: one more before", (1, 1, 5, 6), (2, 4), pad_type="same_lower")
    pool(op, "ios17", "same_lower, strides, fp16", (1, 1, 6, 5), (3, 2), dtype=F16, strides=(2, 2), pad_type="same_lower")
    pool(op, "ios15", "ceil mode", (1, 2, 5, 6), (2, 3), strides=(2, 2), ceil_mode=True)
    pool(op, "ios15", "ceil mode, padding", (1, 1, 6, 7), (3, 3), strides=(2, 3), pad_type="custom", pad=(1, 1, 1, 1), ceil_mode=True)
    pool(op, "ios15", "ceil mode, whose last window would start in the padding", (1, 1, 5), (2,), strides=(2,),
         pad_type="custom", pad=(1, 1), ceil_mode=True)
    pool(op, "ios18", "ceil mode, 1-D, fp16", (1, 3, 8), (3,), dtype=F16, strides=(3,), ceil_mode=True)
    pool(op, "ios15", "the whole of x", (2, 3, 4, 4), (4, 4))
    pool(op, "ios15", "a window of one", (1, 2, 3, 3), (1, 1), strides=(2, 2))
    pool(op, "ios15", "nothing", (0, 2, 4, 4), (2, 2))
    pool(op, "ios15", "infinities and not-a-number", (1, 1, 8), (2,), x=F32([[[1, np.inf, 2, -np.inf, -np.inf, 3, np.nan, 4]]]))
    pool(op, "ios16", "65504", (1, 1, 5), (2,), x=F16([[[65504, 65504, -65504, 1, 2]]]))
    if op != "l2_pool":
        pool(op, "ios15", "3-D", (1, 2, 3, 4, 3), (2, 2, 2), strides=(1, 2, 1))
        pool(op, "ios16", "3-D, padding, fp16", (1, 1, 3, 3, 4), (2, 3, 2), dtype=F16, pad_type="custom", pad=(1, 0, 1, 1, 0, 1))
        pool(op, "ios15", "3-D, same", (1, 1, 3, 2, 3), (2, 2, 3), pad_type="same")
for note, more in [
    ("custom padding", dict(pad_type="custom", pad=(1, 2, 2, 0))),
    ("same", dict(pad_type="same")),
    ("same, strides", dict(pad_type="same", strides=(2, 2))),
    ("valid", dict()),
    ("ceil mode", dict(pad_type="custom", pad=(1, 1, 1, 1), strides=(2, 2), ceil_mode=True)),
]:
    for dtype, opset in [(F32, "ios15"), (F16, "ios16")]:
        pool("avg_pool", opset, f"{note}, the padding not counted", (1, 2, 5, 6), (3, 3), dtype=dtype, exclude=True, **more)
pool("avg_pool", "ios15", "the padding counted, stated", (1, 1, 4), (3,), pad_type="same", exclude=False)
