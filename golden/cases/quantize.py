"""quantize and dequantize, by coremltools, PyTorch and NumPy."""

import numpy as np
import torch

from case import F16, F32, I32, case, folded, rounded, wide

rng = np.random.default_rng(12)

for dtype, zero in [("int8", np.int8(-7)), ("uint8", np.uint8(9))]:
    x = rng.uniform(-40, 40, (3, 4)).astype(F32)
    y = rng.integers(0, 127, (3, 4)).astype(dtype)
    scales = rng.uniform(0.1, 1, 3).astype(F32)
    halves = rng.uniform(0.1, 1, 4).astype(F16)
    one = F32(0.25)
    folded("quantize", "ios17", "one scale", input=x, scale=one, zero_point=zero, output_dtype=dtype)
    folded("quantize", "ios17", "a scale a row", input=x, scale=scales, axis=I32(-2), output_dtype=dtype)
    folded("dequantize", "ios17", "one scale", input=y, scale=one, zero_point=zero)
    threes = np.full(4, 3, y.dtype)
    folded("dequantize", "ios17", "a scale a column", input=y, scale=halves, axis=I32(1), zero_point=threes)

# PyTorch holds to the range before it gives whole numbers, and takes the even one of two, as Core ML does. Scales are powers
# of two, so that multiplying by their inverses, as it does, gives the same.
for dtype, quantized in [("int8", torch.qint8), ("uint8", torch.quint8)]:
    low, high = (-128, 127) if dtype == "int8" else (0, 255)
    for shape, axis, note in [
        ((2, 3, 4), 1, "an inner axis"),
        ((5,), 0, "a vector"),
        ((2, 2, 1, 3), -1, "the last of four axes"),
        ((4, 2), 0, "the first axis"),
    ]:
        n = shape[axis]
        scales = (2.0 ** rng.integers(-3, 2, n)).astype(F32)
        zeros = rng.integers(low, high + 1, n).astype(dtype)
        x = rng.uniform(-90, 90, shape).astype(F32)
        flat = torch.tensor(x), torch.tensor(scales), torch.tensor(zeros.astype(I32)), axis % len(shape)
        want = torch.quantize_per_channel(*flat, quantized).int_repr().numpy()
        case(
            "quantize",
            "ios17",
            want,
            "exact",
            f"{note}, {dtype}",
            source="torch",
            input=x,
            scale=scales,
            zero_point=zeros,
            axis=I32(axis),
            output_dtype=dtype,
        )
        line = [-1 if k == axis % len(shape) else 1 for k in range(len(shape))]
        want = rounded(
            wide(scales).reshape(line)
            * (wide(want_in := rng.integers(low, high + 1, shape).astype(dtype)) - wide(zeros).reshape(line)),
            scales,
        )
        case(
            "dequantize",
            "ios17",
            want,
            "ulp 1",
            f"{note}, {dtype}",
            source="numpy",
            input=want_in,
            scale=scales,
            zero_point=zeros,
            axis=I32(axis),
        )
    x = np.array([0.25, 0.75, 1.25, -0.25, -0.75, -1.25], F32)
    want = torch.quantize_per_tensor(torch.tensor(x), 0.5, 0, quantized).int_repr().numpy()
    case(
        "quantize",
        "ios17",
        want,
        "exact",
        f"ties go to the even, {dtype}, no zero point",
        source="torch",
        input=x,
        scale=F32(0.5),
        output_dtype=dtype,
    )
    x = np.array([1e30, -1e30, np.inf, -np.inf, 300, -300, 1e-45], F32)
    case(
        "quantize",
        "ios17",
        np.array([high, low, high, low, high, low, 0], dtype),
        "exact",
        f"what is out of range, {dtype}",
        source="numpy",
        input=x,
        scale=F32(1),
        output_dtype=dtype,
    )
    x = np.array([[1, -2.5], [60000, -60000]], F16)
    want = np.clip(np.around(wide(x) / 0.5) + 3, low, high).astype(dtype)
    case(
        "quantize",
        "ios17",
        want,
        "exact",
        f"fp16, {dtype}",
        source="numpy",
        input=x,
        scale=F16(0.5),
        zero_point=np.dtype(dtype).type(3),
        output_dtype=dtype,
    )
    ends = np.array([low, high, 0], dtype)
    case(
        "dequantize",
        "ios17",
        rounded(wide(ends) * 3, F16(0)),
        "exact",
        f"the ends of {dtype}, to fp16, no zero point",
        source="numpy",
        input=ends,
        scale=F16(3),
    )
    far = rounded((wide(ends) - high) * wide(F16(600)), F16(0))
    case(
        "dequantize",
        "ios17",
        far,
        "exact",
        f"beyond fp16 is inf, {dtype}",
        source="numpy",
        input=ends,
        scale=F16(600),
        zero_point=ends[1],
    )
    case(
        "quantize",
        "ios17",
        np.zeros((0, 2), dtype),
        "exact",
        f"nothing, {dtype}",
        source="numpy",
        input=np.zeros((0, 2), F32),
        scale=F32(1),
        output_dtype=dtype,
    )
x = np.array([-1, 0, 1, 2], F16)
case(
    "quantize",
    "ios17",
    np.array([0, 10, 20, 30], np.int8),
    "exact",
    "the case of coremltools' test",
    source="coremltools",
    input=x,
    scale=F16(0.1),
    zero_point=np.int8(10),
    output_dtype="int8",
)
x = np.array([[-1, 0], [1, 2]], F16)
case(
    "quantize",
    "ios17",
    np.array([[0, 10], [100, 200]], np.uint8),
    "exact",
    "the case of coremltools' test, a scale a row",
    source="coremltools",
    input=x,
    scale=np.array([0.1, 0.01], F16),
    zero_point=np.array([10, 0], np.uint8),
    axis=I32(0),
    output_dtype="uint8",
)
