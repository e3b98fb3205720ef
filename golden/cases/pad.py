"""Padding, by NumPy."""

import numpy as np

from case import case

F, H, I = np.float32, np.float16, np.int32
MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}

for shape, pad, mode, note in [
    ((3,), [1, 2], "constant", "a vector"),
    ((2, 3), [0, 1, 2, 0], "constant", "two axes"),
    ((2, 3), [1, 1], "constant", "the last axis only"),
    ((1, 2, 2, 3), [0, 0, 0, 0, 1, 1, 2, 2], "constant", "an image, by all its axes"),
    ((1, 1, 2, 2), [1, 0, 0, 1], "constant", "an image, by its sides"),
    ((0, 2), [1, 1, 0, 0], "constant", "around nothing"),
    ((2, 2), [0, 0, 0, 0], "constant", "no border"),
    ((4,), [3, 3], "reflect", "as far as there are elements"),
    ((2, 3), [1, 0, 2, 1], "reflect", "two axes"),
    ((1, 1, 3, 3), [1, 1, 2, 2], "reflect", "an image"),
    ((1, 3), [0, 0, 2, 2], "reflect", "an axis of one element stays"),
    ((3,), [2, 4], "replicate", "farther than there are elements"),
    ((2, 2), [1, 0, 1, 1], "replicate", "two axes"),
    ((1, 1, 2, 3), [1, 1, 1, 2], "replicate", "an image"),
    ((1,), [1, 1], "replicate", "one element"),
]:
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(F) + 1
    pairs = [(0, 0)] * (len(shape) - len(pad) // 2) + list(zip(pad[::2], pad[1::2]))
    want = np.pad(x, pairs, mode=MODES[mode])
    case("pad", "ios15", want, "exact", f"{mode}: {note}", source="numpy", x=x, pad=np.array(pad, I), mode=mode)
x = np.array([[1, np.nan], [np.inf, -0.0]], F)
for value in [F(7), F(-np.inf), F(np.nan), F(-0.0)]:
    want = np.pad(x, [(0, 0), (1, 0)], constant_values=value)
    case(
        "pad",
        "ios15",
        want,
        "exact",
        f"a border of {value}",
        source="numpy",
        x=x,
        pad=np.array([1, 0], I),
        mode="constant",
        constant_val=value,
    )
x = np.array([1, 2], H)
case(
    "pad",
    "ios15",
    np.array([0.5, 1, 2], H),
    "exact",
    "fp16, and the mode left out",
    source="numpy",
    x=x,
    pad=np.array([1, 0], I),
    constant_val=H(0.5),
)
case(
    "pad",
    "ios15",
    np.array([0, 1, 2, 0], H),
    "exact",
    "fp16, and nothing but the border given",
    source="numpy",
    x=x,
    pad=np.array([1, 1], I),
)
