"""Ops that take a part of a tensor, or replace one, by the slices of NumPy."""

import numpy as np

from case import case

F, H, I = np.float32, np.float16, np.int32


def count(shape, dtype=F, start=0):
    """start, start + 1, ... in this shape."""
    return (np.arange(np.prod(shape, dtype=int)).reshape(shape) + start).astype(dtype)


def slices(begin, end, stride=None, begin_mask=None, end_mask=None, squeeze_mask=None):
    """What the parameters mean, as Python writes it."""
    rank = len(begin)
    stride = stride or [1] * rank
    begin_mask, end_mask, squeeze_mask = (mask or [0] * rank for mask in (begin_mask, end_mask, squeeze_mask))
    return tuple(
        (0 if bm else b) if sm else slice(None if bm else b, None if em else e, s)
        for b, e, s, bm, em, sm in zip(begin, end, stride, begin_mask, end_mask, squeeze_mask)
    )


def given(dtype, stride=None, begin_mask=None, end_mask=None, squeeze_mask=None):
    """The optional arguments that are given."""
    masks = {"begin_mask": begin_mask, "end_mask": end_mask, "squeeze_mask": squeeze_mask}
    arguments = {name: np.array(mask, bool) for name, mask in masks.items() if mask is not None}
    return arguments if stride is None else {"stride": np.array(stride, dtype)} | arguments


# Shape, begin, end, the optional arguments, and what the case covers.
PARTS = [
    ((10,), [2], [5], {}, "from the third to the fifth"),
    ((10,), [-3], [-1], {}, "both ends counted from the back"),
    ((10,), [2], [-2], {}, "an end counted from the back"),
    ((10,), [1], [9], {"stride": [3]}, "every third"),
    ((10,), [0], [10], {"stride": [11]}, "a stride past the end"),
    ((10,), [8], [2], {"stride": [-2]}, "backwards"),
    ((10,), [-1], [-11], {"stride": [-4]}, "backwards, from the back"),
    ((10,), [5], [100], {}, "an end behind the last element"),
    ((10,), [3], [0], {"begin_mask": [1], "end_mask": [1]}, "both masks: everything"),
    ((10,), [7], [4], {"begin_mask": [1]}, "the begin masked"),
    ((10,), [7], [4], {"end_mask": [1]}, "the end masked"),
    ((10,), [7], [4], {"stride": [-1], "end_mask": [1]}, "backwards to the first"),
    ((10,), [7], [4], {"stride": [-1], "begin_mask": [1]}, "backwards from the last"),
    ((5,), [0], [0], {"stride": [-2], "begin_mask": [1], "end_mask": [1]}, "every second, backwards, all"),
    ((3, 4), [1, 0], [2, 4], {"squeeze_mask": [1, 0]}, "a row alone"),
    ((3, 4), [0, -1], [3, 0], {"squeeze_mask": [0, 1]}, "the last column alone"),
    ((3, 4), [2, 1], [0, 0], {"squeeze_mask": [1, 1]}, "one element, as a scalar"),
    ((3, 4), [2, 1], [0, 3], {"begin_mask": [1, 0], "squeeze_mask": [1, 0]}, "a masked begin that is squeezed is 0"),
    ((2, 3, 4), [0, 2, 3], [2, 0, 0], {"stride": [1, -1, -2], "end_mask": [0, 1, 1]}, "strides of both signs"),
    ((2, 3, 4), [0, 1, 0], [2, 3, 4], {}, "an inner axis"),
    ((1, 2, 3, 2), [0, 0, 1, 0], [1, 2, 3, 2], {"stride": [1, 1, 2, 1]}, "rank 4"),
    ((10,), [3], [3], {}, "nothing"),
    ((2, 4), [0, 2], [2, 2], {}, "nothing of each row"),
]


def slice_by_index():
    for shape, begin, end, rest, note in PARTS:
        x = count(shape)
        case(
            "slice_by_index",
            "ios15",
            x[slices(begin, end, **rest)],
            "exact",
            note,
            source="numpy",
            x=x,
            begin=np.array(begin, I),
            end=np.array(end, I),
            **given(I, **rest),
        )
    special = np.array([np.nan, np.inf, -0.0, 1e-45], F)
    case(
        "slice_by_index",
        "ios15",
        special[1:],
        "exact",
        "inf, -0 and a denormal",
        source="numpy",
        x=special,
        begin=np.array([1], I),
        end=np.array([4], I),
    )
    x = count((3, 4), np.int8)
    case(
        "slice_by_index",
        "ios17",
        x[:, 2],
        "exact",
        "all masks, with numbers that they overrule",
        source="numpy",
        x=x,
        begin=np.array([1, 2], np.int16),
        end=np.array([2, 0], np.int16),
        begin_mask=np.array([True, False]),
        end_mask=np.array([True, False]),
        squeeze_mask=np.array([False, True]),
    )
    for dtype, index in [
        (H, np.int16),
        (np.int8, np.int8),
        (np.uint8, I),
        (np.int16, np.int16),
        (np.uint16, np.int8),
        (bool, I),
    ]:
        x = count((2, 3), dtype)
        case(
            "slice_by_index",
            "ios17",
            x[1:, ::2],
            "exact",
            f"{x.dtype}, indices of {np.dtype(index)}",
            source="numpy",
            x=x,
            begin=np.array([1, 0], index),
            end=np.array([2, 3], index),
            stride=np.array([1, 2], index),
        )


def slice_update():
    for shape, begin, end, rest, note in PARTS:
        x = count(shape)
        part = slices(begin, end, **rest)
        update = count(x[part].shape, F, 100)
        if update.ndim == 0:
            continue
        want = x.copy()
        want[part] = update
        case(
            "slice_update",
            "ios18",
            want,
            "exact",
            note,
            source="numpy",
            x=x,
            update=update,
            begin=np.array(begin, I),
            end=np.array(end, I),
            **given(I, **rest),
        )
    for dtype in [H, np.int8, np.uint8, np.int16, np.uint16, I, bool]:
        x, update = np.zeros((2, 3), dtype), np.ones((2, 1), dtype)
        want = x.copy()
        want[:, 1:2] = update
        case(
            "slice_update",
            "ios18",
            want,
            "exact",
            want.dtype.name,
            source="numpy",
            x=x,
            update=update,
            begin=np.array([0, 1], np.int16),
            end=np.array([2, 2], np.int16),
        )


def slice_by_size():
    for shape, begin, size, note in [
        ((10,), [2], [3], "three from the third on"),
        ((10,), [2], [-1], "-1: all that are left"),
        ((10,), [-3], [2], "a begin counted from the back"),
        ((3, 4), [1, 0], [1, -1], "a row"),
        ((2, 3, 4), [0, 1, 2], [2, 2, 1], "three axes"),
        ((4,), [4], [0], "nothing, behind the last"),
        ((4,), [4], [-1], "nothing is left"),
        ((4,), [0], [4], "everything"),
    ]:
        x = count(shape)
        part = tuple(
            slice(b if b >= 0 else b + n, None if s == -1 else (b if b >= 0 else b + n) + s)
            for b, s, n in zip(begin, size, shape)
        )
        case(
            "slice_by_size",
            "ios15",
            x[part],
            "exact",
            note,
            source="numpy",
            x=x,
            begin=np.array(begin, I),
            size=np.array(size, I),
        )
    for dtype, index in [(np.uint8, np.int16), (np.int16, np.int8), (bool, I), (H, np.int16)]:
        x = count((5,), dtype)
        case(
            "slice_by_size",
            "ios17",
            x[1:4],
            "exact",
            f"{x.dtype}, indices of {np.dtype(index)}",
            source="numpy",
            x=x,
            begin=np.array([1], index),
            size=np.array([3], index),
        )


def crop():
    for shape, height, width, note in [
        ((1, 1, 4, 4), [0, 1], [1, 1], "the case of coremltools' test"),
        ((2, 5, 6), [2, 1], [0, 3], "rank 3"),
        ((1, 2, 3, 3), [0, 0], [0, 0], "nothing is cut"),
        ((1, 1, 3, 4), [1, 1], [3, 0], "one column is left"),
        ((1, 2, 2, 2), [1, 1], [0, 0], "nothing is left"),
        ((1, 2, 1, 3, 4), [1, 0], [0, 1], "rank 5"),
    ]:
        x = count(shape)
        want = x[..., height[0] : shape[-2] - height[1], width[0] : shape[-1] - width[1]]
        case(
            "crop",
            "ios15",
            want,
            "exact",
            note,
            source="numpy",
            x=x,
            crop_height=np.array(height, I),
            crop_width=np.array(width, I),
        )
    x = count((1, 3, 3), H)
    case(
        "crop",
        "ios15",
        x[:, 1:2, 1:2],
        "exact",
        "fp16",
        source="numpy",
        x=x,
        crop_height=np.array([1, 1], I),
        crop_width=np.array([1, 1], I),
    )


for op in [slice_by_index, slice_update, slice_by_size, crop]:
    op()
