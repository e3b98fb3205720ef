"""Ops that keep the elements and change the shape. NumPy moves them; what a shape means is coremltools' to say."""

import numpy as np

from case import case, folded

F, H, I = np.float32, np.float16, np.int32


def count(shape, dtype=F):
    """0, 1, 2, ... in this shape."""
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


def reshape():
    for opset, x, shape, note in [
        ("ios15", (2, 3), [3, 2], "another shape of as many elements"),
        ("ios15", (2, 3), [-1], "-1 is what is left over"),
        ("ios15", (2, 3, 4), [0, -1, 2], "0 before iOS 17 is the dimension at the same place"),
        ("ios15", (1,), [1, 1, 1, 1, 1], "to rank 5"),
        ("ios15", (2, 3), [1, 6, -1], "-1 that is 1"),
        ("ios17", (2, 50), [1, 0, -1, 0], "0 since iOS 17 counts from the back, and is 1 where x has no dimension"),
        ("ios17", (3, 4), [0, 2, -1], "0 in front of a shape of higher rank is 1"),
        ("ios17", (2, 3, 4), [-1, 0], "0 in a shape of lower rank"),
        ("ios18", (2, 2, 3), [0, 0, 0], "nothing but 0"),
    ]:
        x, shape = count(x), np.array(shape, I)
        folded("reshape", opset, note, within="exact", x=x, shape=shape)
    bits = np.array([np.inf, -np.inf, np.nan, -0.0, 1e-45, 3.4e38], F)
    case(
        "reshape",
        "ios15",
        bits.reshape(2, 3),
        "exact",
        "inf, NaN, -0 and denormals move as they are",
        source="numpy",
        x=bits,
        shape=np.array([2, 3], I),
    )
    case(
        "reshape",
        "ios15",
        count((3, 0)),
        "exact",
        "nothing into another shape of nothing",
        source="numpy",
        x=count((0, 3)),
        shape=np.array([3, -1], I),
    )
    case(
        "reshape",
        "ios15",
        count((4,), bool).reshape(2, 2),
        "exact",
        "bool",
        source="numpy",
        x=count((4,), bool),
        shape=np.array([2, 2], I),
    )
    for dtype in [np.int8, np.uint8, np.int16, np.uint16, np.int32, H]:
        x = count((2, 6), dtype)
        case("reshape", "ios17", x.reshape(4, 3), "exact", f"{x.dtype}", source="numpy", x=x, shape=np.array([4, 3], np.int16))
    case(
        "reshape",
        "ios17",
        count((3, 2)),
        "exact",
        "a shape of int8",
        source="numpy",
        x=count((6,)),
        shape=np.array([3, -1], np.int8),
    )


def reshape_like():
    for opset, x, refs, begins, ends, masks, note in [
        ("ios16", (6, 8), [(2, 3, 4), (1, 6, 2)], [0, 2], [2, 3], [False, False], "dimensions of two tensors"),
        ("ios16", (24,), [(2, 3, 4)], [0], [0], [True], "all dimensions of one tensor, by the mask"),
        ("ios16", (24,), [(2, 3, 4), (9, 2, 4)], [0, 1], [1, 0], [False, True], "the end of one counts, that of the other not"),
        ("ios16", (4, 3), [(2, 3, 4), (9, 3)], [-1, -1], [3, 2], [False, False], "begins from the back"),
        ("ios16", (6, 4), [(2, 3, 4)], [0], [-1], [False], "an end from the back"),
        (
            "ios17",
            (2, 6),
            [(5, 4, 3), (7,), (4,)],
            [1, 0, 0],
            [3, 0, 0],
            [False, False, False],
            "tensors of which nothing is taken",
        ),
    ]:
        dims = [d for r, b, e, m in zip(refs, begins, ends, masks) for d in (r[b:] if m else r[b:e])]
        x = count(x) if np.prod(x) == np.prod(dims) else count((int(np.prod(dims)),))
        case(
            "reshape_like",
            opset,
            x.reshape(dims),
            "exact",
            note,
            source="numpy",
            x=x,
            ref_tensors=[count(r, H) for r in refs],
            begins=[np.int32(b) for b in begins],
            ends=[np.int32(e) for e in ends],
            end_masks=[np.bool_(m) for m in masks],
        )
    x = count((2, 2), np.uint8)
    case(
        "reshape_like",
        "ios17",
        x.reshape(4),
        "exact",
        "uint8, and a reference of bool",
        source="numpy",
        x=x,
        ref_tensors=[np.zeros((3, 4), bool)],
        begins=[np.int32(1)],
        ends=[np.int32(2)],
        end_masks=[np.bool_(False)],
    )


def expand_dims():
    for opset, x, axes, note in [
        ("ios15", (2, 3), [0], "in front"),
        ("ios15", (2, 3), [2], "behind"),
        ("ios15", (2, 3), [-1], "behind, counted from the back"),
        ("ios15", (2, 3), [-2], "in the middle, counted from the back"),
        ("ios15", (2, 3), [0, 2, 4], "three at once, as axes of the result"),
        ("ios15", (2, 3), [3, 0], "axes in any order"),
        ("ios15", (), [0], "a scalar becomes a vector"),
        ("ios15", (0, 2), [1], "nothing"),
        ("ios17", (3,), [-1, 0], "from both ends"),
    ]:
        x = count(x)
        case("expand_dims", opset, np.expand_dims(x, tuple(axes)), "exact", note, source="numpy", x=x, axes=np.array(axes, I))
    for dtype in [np.int8, np.uint16, bool, H]:
        x = count((2,), dtype)
        case("expand_dims", "ios17", np.expand_dims(x, 1), "exact", f"{x.dtype}", source="numpy", x=x, axes=np.array([1], I))


def squeeze():
    for opset, x, axes, note in [
        ("ios15", (1, 2, 1, 3), None, "every dimension of 1"),
        ("ios15", (1, 2, 1, 3), [0], "one of two dimensions of 1"),
        ("ios15", (1, 2, 1, 3), [-2], "an axis from the back"),
        ("ios15", (1, 2, 1, 3), [2, 0], "axes in any order"),
        ("ios15", (1, 1, 1), None, "to a scalar"),
        ("ios15", (2, 3), None, "nothing to do"),
        ("ios17", (1, 0, 1), [0], "nothing"),
    ]:
        x, given = count(x), {} if axes is None else {"axes": np.array(axes, I)}
        want = np.squeeze(x, None if axes is None else tuple(axes))
        case("squeeze", opset, want, "exact", note, source="numpy", x=x, **given)
    x = count((1, 3), np.int16)
    case("squeeze", "ios17", x[0], "exact", "int16", source="numpy", x=x, axes=np.array([0], I))


def flatten2d():
    for x, axis, note in [
        ((2, 3, 4), None, "the first dimension, and the others"),
        ((2, 3, 4), 2, "the last dimension alone behind"),
        ((2, 3, 4), 0, "one row"),
        ((2, 3, 4), 3, "one column"),
        ((2, 3, 4), -1, "an axis from the back"),
        ((2, 3, 4), -3, "the first axis, counted from the back"),
        ((4,), 1, "a vector"),
        ((2, 0, 3), 1, "nothing"),
    ]:
        x, given = count(x), {} if axis is None else {"axis": np.int32(axis)}
        at = 1 if axis is None else axis
        rows = int(np.prod(x.shape[:at], dtype=int))
        columns = int(np.prod(x.shape[at:], dtype=int))
        case("flatten2d", "ios15", x.reshape(rows, columns), "exact", note, source="numpy", x=x, **given)
    x = np.array([[True, False], [False, True]])
    case("flatten2d", "ios15", x.reshape(1, 4), "exact", "bool", source="numpy", x=x, axis=np.int32(0))


def shape():
    for x, note in [
        (count((2, 3)), "fp32"),
        (count((1,), H), "fp16"),
        (count((0, 4), I), "nothing has a shape too"),
        (np.zeros((1, 2, 1, 3, 1), bool), "bool, rank 5"),
        (count((), F), "a scalar has no dimensions"),
    ]:
        case("shape", "ios15", np.array(x.shape, I), "exact", note, source="numpy", x=x)


def identity():
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45], F)
    for x, note in [
        (special, "NaN, inf, -0 and the least denormal"),
        (count((2, 3), H), "fp16"),
        (count((2, 2), bool), "bool"),
        (np.array(7, I), "a scalar of int32"),
        (count((0, 2)), "nothing"),
    ]:
        case("identity", "ios15", x, "exact", note, source="numpy", x=x)
    x = np.array([-128, 127], np.int8)
    case("identity", "ios17", x, "exact", "int8", source="numpy", x=x)


for op in [reshape, reshape_like, expand_dims, squeeze, flatten2d, shape, identity]:
    op()
