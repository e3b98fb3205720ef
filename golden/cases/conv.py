"""Convolutions: conv, conv_transpose, conv_quantized.

A transposed convolution is the gradient of a convolution, as the documentation has it, and PyTorch's autograd computes it.
"""

import numpy as np
import torch

from case import F16, F32, I32, case, i32, rounded, t64, uniform
from windows import convolved, padding

rng = np.random.default_rng(10)


def numbers(values):
    return None if values is None else i32(*values)


def conv(opset, note, shape, weight, *, dtype=F32, other=None, bias=False, strides=None, pad_type=None, pad=None,
         dilations=None, groups=None, x=None):
    x = uniform(rng, shape, dtype) if x is None else x
    w = uniform(rng, weight, other or dtype)
    b = uniform(rng, weight[0], other or dtype) if bias else None
    n = len(shape) - 2
    s, d = strides or (1,) * n, dilations or (1,) * n
    pads = padding(pad_type, shape[2:], weight[2:], s, d, pad)
    want = convolved(t64(x), t64(w), None if b is None else t64(b), s, pads, d, groups or 1).numpy()
    groups = None if groups is None else I32(groups)
    case("conv", opset, rounded(want, x), "ulp 1", note, source="torch", x=x, weight=w, bias=b, strides=numbers(strides),
         pad_type=pad_type, pad=numbers(pad), dilations=numbers(dilations), groups=groups)


conv("ios15", "1-D, defaults", (2, 3, 6), (4, 3, 3))
conv("ios15", "2-D with bias", (1, 2, 4, 5), (3, 2, 3, 2), bias=True)
conv("ios16", "2-D, fp16, strides", (2, 3, 5, 6), (2, 3, 3, 3), dtype=F16, bias=True, strides=(2, 3), pad_type="valid")
conv("ios15", "3-D", (1, 2, 3, 4, 3), (2, 2, 2, 3, 2), bias=True)
conv("ios15", "1-D custom padding, unequal", (1, 2, 5), (3, 2, 3), pad_type="custom", pad=(2, 1), bias=True)
conv("ios15", "2-D custom padding, strides", (1, 2, 5, 5), (2, 2, 3, 3), pad_type="custom", pad=(1, 0, 2, 1), strides=(2, 1))
conv("ios17", "3-D custom padding", (1, 1, 3, 3, 3), (2, 1, 2, 2, 2), dtype=F16, pad_type="custom", pad=(1, 0, 0, 1, 1, 1))
conv("ios15", "same, an odd kernel", (1, 2, 5, 5), (2, 2, 3, 3), pad_type="same")
conv("ios15", "same, an even kernel: one more behind", (1, 1, 5, 6), (2, 1, 2, 4), pad_type="same")
conv("ios15", "same, strides", (1, 2, 5, 6), (2, 2, 3, 3), pad_type="same", strides=(2, 2))
conv("ios15", "same, a kernel smaller than its stride", (1, 1, 7), (1, 1, 1), pad_type="same", strides=(3,))
conv("ios15", "same, dilated", (1, 1, 6, 7), (1, 1, 2, 3), pad_type="same", dilations=(2, 2))
conv("ios16", "same_lower: one more before", (1, 1, 5, 6), (2, 1, 2, 4), pad_type="same_lower")
conv("ios18", "same_lower, strides, fp16", (1, 2, 6, 5), (2, 2, 3, 2), dtype=F16, pad_type="same_lower", strides=(2, 2))
conv("ios15", "dilations", (1, 2, 7, 7), (2, 2, 2, 3), dilations=(3, 2))
conv("ios15", "dilations and strides", (1, 1, 9), (2, 1, 3), dilations=(2,), strides=(2,), bias=True)
conv("ios15", "groups", (1, 4, 3, 3), (6, 2, 2, 2), groups=2, bias=True)
conv("ios15", "depthwise", (2, 3, 4, 4), (3, 1, 3, 3), groups=3, pad_type="same")
conv("ios16", "depthwise with two outputs each, fp16", (1, 2, 5), (4, 1, 2), dtype=F16, groups=2)
conv("ios15", "a kernel of one", (1, 8, 2, 3), (5, 8, 1, 1), bias=True)
conv("ios18", "many channels, fp16", (1, 32, 3, 3), (8, 32, 3, 3), dtype=F16, bias=True, pad_type="same")
conv("ios17", "fp16 with weights in fp32", (1, 2, 4, 4), (2, 2, 2, 2), dtype=F16, other=F32, bias=True)
conv("ios17", "fp32 with weights in fp16", (1, 2, 4), (2, 2, 2), other=F16, bias=True)
conv("ios17", "groups, dilations and same", (1, 4, 6, 5), (4, 2, 2, 3), groups=2, dilations=(2, 1), pad_type="same", bias=True)
conv("ios15", "the kernel is as large as x", (1, 2, 3, 2), (3, 2, 3, 2), bias=True)
conv("ios15", "nothing", (0, 2, 4, 4), (3, 2, 2, 2), bias=True)
conv("ios16", "sums beyond fp16 on the way", (1, 3, 2), (2, 3, 1), dtype=F16,
     x=F16([[[60000, 1], [60000, 2], [-60000, 3]]]))
conv("ios15", "infinity and not-a-number", (1, 1, 6), (1, 1, 2), x=F32([[[1, np.inf, 2, 3, np.nan, 4]]]))


def conv_transpose(opset, note, shape, weight, *, dtype=F32, other=None, bias=False, strides=None, pad_type=None, pad=None,
                   dilations=None, groups=None, output_shape=None):
    x = uniform(rng, shape, dtype)
    w = uniform(rng, weight, other or dtype)
    channels, n = weight[1] * (groups or 1), len(shape) - 2
    b = uniform(rng, channels, other or dtype) if bias else None
    s, d = strides or (1,) * n, dilations or (1,) * n
    spread = [(weight[2 + i] - 1) * d[i] + 1 for i in range(n)]
    if output_shape:
        out = output_shape[2:]
    elif pad_type == "same":
        out = [s[i] * shape[2 + i] for i in range(n)]
    else:
        cut = [0] * 2 * n if pad is None else pad
        out = [s[i] * (shape[2 + i] - 1) + spread[i] - cut[2 * i] - cut[2 * i + 1] for i in range(n)]
    z = torch.zeros((shape[0], channels, *out), dtype=torch.float64, requires_grad=True)
    y = convolved(z, t64(w), None, s, padding(pad_type, out, weight[2:], s, d, pad), d, groups or 1)
    assert y.shape == tuple(shape), (y.shape, shape)
    (want,) = torch.autograd.grad(y, z, t64(x))
    if b is not None:
        want = want + t64(b).reshape(-1, *[1] * n)
    groups = None if groups is None else I32(groups)
    case("conv_transpose", opset, rounded(want.numpy(), x), "ulp 1", note, source="torch", x=x, weight=w, bias=b,
         pad=numbers(pad), output_shape=numbers(output_shape), pad_type=pad_type, strides=numbers(strides),
         dilations=numbers(dilations), groups=groups)


conv_transpose("ios15", "1-D, defaults", (2, 3, 4), (3, 2, 3))
conv_transpose("ios15", "2-D with bias", (1, 2, 3, 2), (2, 3, 2, 3), bias=True)
conv_transpose("ios16", "2-D, fp16, strides", (1, 2, 3, 3), (2, 2, 3, 2), dtype=F16, strides=(2, 3), bias=True)
conv_transpose("ios15", "3-D", (1, 2, 2, 3, 2), (2, 2, 2, 2, 2), strides=(1, 2, 1))
conv_transpose("ios15", "custom padding", (1, 2, 4, 4), (2, 2, 3, 3), pad_type="custom", pad=(1, 1, 1, 1), strides=(2, 2))
conv_transpose("ios15", "custom padding, unequal", (1, 1, 5), (1, 2, 4), pad_type="custom", pad=(0, 2), strides=(2,))
conv_transpose("ios15", "same", (1, 2, 3, 3), (2, 2, 3, 3), pad_type="same", bias=True)
conv_transpose("ios15", "same, strides", (1, 2, 3, 2), (2, 1, 3, 4), pad_type="same", strides=(2, 2))
conv_transpose("ios15", "same, a kernel smaller than its stride", (1, 1, 3), (1, 2, 1), pad_type="same", strides=(3,), bias=True)
conv_transpose("ios17", "same, dilated, fp16", (1, 1, 4, 4), (1, 2, 2, 2), dtype=F16, pad_type="same", dilations=(2, 3))
conv_transpose("ios15", "dilations", (1, 2, 3, 3), (2, 2, 2, 3), dilations=(2, 1))
conv_transpose("ios15", "dilations and strides", (1, 1, 3), (1, 1, 3), dilations=(2,), strides=(3,))
conv_transpose("ios15", "groups", (1, 4, 2, 2), (4, 2, 2, 2), groups=2, bias=True)
conv_transpose("ios16", "depthwise, fp16", (1, 3, 3), (3, 1, 4), dtype=F16, groups=3, strides=(2,))
conv_transpose("ios15", "the output shape of `same`, one less", (1, 1, 3), (1, 1, 3), pad_type="same", strides=(2,), output_shape=(1, 1, 5))
conv_transpose("ios15", "the output shape of `valid`, one more", (1, 2, 2), (2, 1, 2), strides=(2,), output_shape=(1, 1, 5))
conv_transpose("ios15", "the output shape of `custom`", (1, 1, 3, 3), (1, 1, 3, 3), pad_type="custom", pad=(1, 1, 1, 1),
               strides=(2, 2), output_shape=(1, 1, 6, 6))
conv_transpose("ios17", "fp16 with weights in fp32", (1, 2, 3), (2, 2, 2), dtype=F16, other=F32, bias=True)
conv_transpose("ios18", "fp32 with weights in fp16", (1, 2, 3), (2, 2, 2), other=F16, bias=True)
conv_transpose("ios17", "groups, custom padding", (1, 4, 3), (4, 1, 3), groups=2, pad_type="custom", pad=(1, 0), strides=(2,))
conv_transpose("ios18", "fp16, an output shape", (1, 1, 3), (1, 2, 2), dtype=F16, strides=(3,), output_shape=(1, 2, 9))
conv_transpose("ios15", "one element", (1, 1, 1, 1), (1, 1, 1, 1), bias=True)
conv_transpose("ios18", "many channels, fp16", (1, 24, 3, 3), (24, 4, 2, 2), dtype=F16, strides=(2, 2), bias=True)


def conv_quantized(opset, note, shape, weight, scale, zero, *, dtype=F32, bias=None, **args):
    x = uniform(rng, shape, dtype)
    w = rng.integers(0, 256, weight).astype(np.uint8)
    scale, zero = np.asarray(scale, dtype), np.asarray(zero, dtype)
    over = lambda v: v if v.size == 1 else v.reshape(-1, *[1] * (len(weight) - 1))
    n = len(shape) - 2
    s, d = args.get("strides") or (1,) * n, args.get("dilations") or (1,) * n
    pads = padding(args.get("pad_type"), shape[2:], weight[2:], s, d, args.get("pad"))
    dense = t64(w) * t64(over(scale)) + t64(over(zero))
    b = None if bias is None else t64(bias)
    want = convolved(t64(x), dense, b, s, pads, d, args.get("groups") or 1).numpy()
    args = {k: v if isinstance(v, str) else I32(v) if isinstance(v, int) else i32(*v) for k, v in args.items()}
    case("conv_quantized", opset, rounded(want, x), "ulp 1", note, source="torch", x=x, weight=w, bias=bias,
         quantization_type="linear", quant_scale=scale, quant_bias=zero, **args)


conv_quantized("ios15", "one scale", (1, 2, 4, 4), (3, 2, 2, 2), 0.02, -2.5)
conv_quantized("ios15", "a scale an output", (1, 2, 5), (3, 2, 3), [0.02, 0.01, 0.5], [-2, 1, -50])
conv_quantized("ios16", "fp16", (1, 3, 3, 3), (2, 3, 2, 2), 0.0125, -1.5, dtype=F16)
conv_quantized("ios15", "strides and padding", (1, 2, 5, 5), (2, 2, 3, 3), 0.01, -1.25, strides=(2, 2), pad_type="same")
conv_quantized("ios17", "groups, dilations, 8 bits stated", (1, 4, 6), (4, 2, 2), [0.01] * 4, [-1] * 4, groups=2, dilations=(2,), nbits=8)
conv_quantized("ios15", "a bias of uint8, which is added as it stands", (1, 2, 3), (2, 2, 2), 0.01, -1, bias=np.uint8([3, 200]))
conv_quantized("ios15", "custom padding", (1, 1, 3, 4), (2, 1, 2, 2), 0.03, -3, pad_type="custom", pad=(1, 0, 0, 2))
