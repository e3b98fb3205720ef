"""Ops that put the elements of one tensor in another order, by NumPy and PyTorch."""

import itertools

import numpy as np
import torch

from case import case

F, H, I = np.float32, np.float16, np.int32
rng = np.random.default_rng(59)


def count(shape, dtype=F):
    """0, 1, 2, ... in this shape."""
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


def transpose():
    for perm in itertools.permutations(range(3)):
        x = count((2, 3, 4))
        case(
            "transpose",
            "ios15",
            x.transpose(perm),
            "exact",
            "every order of three axes",
            source="numpy",
            x=x,
            perm=np.array(perm, I),
        )
    for x, perm, note in [
        ((2, 3, 4, 5), [0, 3, 1, 2], "channels from the back to the second place"),
        ((2, 3, 4, 5), [0, -1, -3, -2], "axes from the back"),
        ((1, 2, 1, 2, 3), [4, 2, 3, 1, 0], "rank 5"),
        ((0, 3), [1, 0], "nothing"),
        ((4,), [0], "a vector stays"),
        ((17, 33), [1, 0], "a matrix of odd sides"),
    ]:
        x = count(x)
        case("transpose", "ios15", x.transpose(perm), "exact", note, source="numpy", x=x, perm=np.array(perm, I))
    x = rng.integers(0, 256, (3, 33, 37)).astype(np.uint8)
    case(
        "transpose",
        "ios17",
        x.transpose(0, 2, 1),
        "exact",
        "matrices of odd sides",
        source="numpy",
        x=x,
        perm=np.array([0, 2, 1], I),
    )
    for dtype in [np.int8, np.uint8, np.int16, np.uint16, I, H, bool]:
        x = count((2, 3), dtype)
        case("transpose", "ios17", x.T, "exact", f"{x.dtype}", source="numpy", x=x, perm=np.array([1, 0], I))


def reverse():
    for opset, x, axes, note in [
        ("ios15", (2, 3), None, "all axes"),
        ("ios15", (2, 3), [0], "the first axis"),
        ("ios15", (2, 3), [-1], "the last axis, counted from the back"),
        ("ios15", (2, 3, 2), [2, 0], "two of three axes"),
        ("ios15", (1, 1), [0, 1], "size 1"),
        ("ios15", (2, 0), [0], "nothing"),
        ("ios17", (5,), None, "a vector"),
    ]:
        x, given = count(x), {} if axes is None else {"axes": np.array(axes, I)}
        case("reverse", opset, np.flip(x, axes), "exact", note, source="numpy", x=x, **given)
    x = count((2, 2), np.uint8)
    case("reverse", "ios17", x[:, ::-1], "exact", "uint8", source="numpy", x=x, axes=np.array([1], I))
    x = np.array([True, False, False])
    case("reverse", "ios15", x[::-1], "exact", "bool", source="numpy", x=x)


def reverse_sequence():
    for opset, shape, lengths, seq, batch, note in [
        ("ios15", (2, 4), [4, 2], 1, 0, "a whole sequence, and the first half of another"),
        ("ios15", (2, 4), [0, 1], 1, 0, "lengths 0 and 1 change nothing"),
        ("ios15", (4, 2), [3, 4], 0, 1, "sequences along the first axis"),
        ("ios15", (2, 3, 4), [2, 3], -2, -3, "axes from the back"),
        ("ios15", (2, 3, 2, 4), [2, 4, 1], 3, 1, "axes with others between and before them"),
        ("ios17", (1, 5), [5], 1, 0, "one batch"),
    ]:
        x = count(shape)
        want = np.moveaxis(x, [batch, seq], [0, 1]).copy()
        for row, n in zip(want, lengths):
            row[:n] = row[:n][::-1].copy()
        want = np.moveaxis(want, [0, 1], [batch, seq])
        axes = {"seq_axis": np.int32(seq), "batch_axis": np.int32(batch)}
        if batch == 0:
            del axes["batch_axis"]
        case("reverse_sequence", opset, want, "exact", note, source="numpy", x=x, lengths=np.array(lengths, I), **axes)
    x = count((2, 3), np.int16)
    case(
        "reverse_sequence",
        "ios17",
        np.array([[1, 0, 2], [5, 4, 3]], np.int16),
        "exact",
        "int16, lengths of int8",
        source="numpy",
        x=x,
        lengths=np.array([2, 3], np.int8),
        seq_axis=np.int32(1),
        batch_axis=np.int32(0),
    )


def sliding_windows():
    for opset, shape, axis, size, stride, note in [
        ("ios15", (5,), 0, 2, None, "windows that overlap"),
        ("ios15", (5,), 0, 2, 2, "windows side by side, and one element left over"),
        ("ios15", (7,), 0, 2, 3, "gaps between windows"),
        ("ios15", (2, 5), -1, 3, 1, "an axis from the back"),
        ("ios15", (4, 2), 0, 3, 1, "the first of two axes"),
        ("ios15", (2, 4, 3), 1, 4, 9, "one window, and a stride that is never taken"),
        ("ios15", (2, 4, 3), 1, 1, 1, "windows of one element"),
        ("ios17", (0, 3), 1, 2, 1, "nothing"),
    ]:
        x, given = count(shape), {} if stride is None else {"stride": np.int32(stride)}
        want = torch.from_numpy(x).unfold(axis, size, stride or 1).numpy()
        want = np.moveaxis(want, -1, axis % len(shape) + 1)
        case(
            "sliding_windows",
            opset,
            want,
            "exact",
            note,
            source="torch",
            x=x,
            axis=np.int32(axis),
            size=np.int32(size),
            **given,
        )
    x = count((4,), np.uint16)
    case(
        "sliding_windows",
        "ios17",
        np.array([[0, 1, 2], [1, 2, 3]], np.uint16),
        "exact",
        "uint16",
        source="numpy",
        x=x,
        axis=np.int32(0),
        size=np.int32(3),
    )


def band_part():
    x = count((4, 4)) + 1
    for shape, lower, upper, note in [
        ((4, 4), None, None, "everything"),
        ((4, 4), 0, -1, "the upper triangle"),
        ((4, 4), -1, 0, "the lower triangle"),
        ((4, 4), 0, 0, "the diagonal"),
        ((4, 5), 1, 2, "a band of four diagonals"),
        ((2, 3, 2), 1, 0, "two matrices"),
        ((3, 3), 9, 0, "more diagonals than there are"),
        ((1, 4), 0, 1, "one row"),
        ((0, 3), 0, 0, "nothing"),
    ]:
        x, given = count(shape) + 1, {}
        if lower is not None:
            given = {"lower": np.int32(lower), "upper": np.int32(upper)}
        want = x
        if upper not in (None, -1):
            want = np.tril(want, upper)
        if lower not in (None, -1):
            want = np.triu(want, -lower)
        case("band_part", "ios15", want, "exact", note, source="numpy", x=x, **given)
    x = np.array([[np.nan, np.inf], [-np.inf, np.nan]], H)
    case(
        "band_part",
        "ios15",
        np.where([[True, False], [False, True]], x, H(0)),
        "exact",
        "what lies outside is 0, whatever it was",
        source="numpy",
        x=x,
        lower=np.int32(0),
        upper=np.int32(0),
    )
    x = np.ones((2, 2), bool)
    case("band_part", "ios15", np.tril(x), "exact", "bool", source="numpy", x=x, lower=np.int32(-1), upper=np.int32(0))


for op in [transpose, reverse, reverse_sequence, sliding_windows, band_part]:
    op()
