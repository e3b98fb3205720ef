"""quantize and dequantize."""

import numpy as np

from case import F16, F32, I32, folded

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
