"""Ops that make a tensor of few numbers."""

import numpy as np

from case import case

F, H, I = np.float32, np.float16, np.int32


def fills():
    for shape, value, note in [
        ([2, 3], None, "0 of dtype fp32 unless a value is given"),
        ([2, 1], F(1.5), "fp32"),
        ([3], H(-0.0), "-0 of dtype fp16"),
        ([1, 2], I(-7), "int32"),
        ([2], np.bool_(True), "bool"),
        ([0, 2], F(1), "nothing"),
        ([1], F(np.nan), "NaN"),
        ([1, 1, 2, 1, 1], F(np.inf), "inf, rank 5"),
    ]:
        given = {} if value is None else {"value": value}
        want = np.full(shape, F(0) if value is None else value)
        case("fill", "ios15", want, "exact", note, source="numpy", shape=np.array(shape, I), **given)
        reference = np.zeros(shape, [F, H, I, bool][len(shape) % 4])
        case(
            "fill_like",
            "ios16",
            want,
            "exact",
            note + "; the dtype of the reference has no say",
            source="numpy",
            ref_tensor=reference,
            **given,
        )


def range_1d():
    for start, end, step, note in [
        (I(0), I(5), I(1), "whole numbers"),
        (I(5), I(0), I(-2), "downwards"),
        (I(3), I(3), I(1), "nothing"),
        (I(3), I(0), I(1), "the wrong way: nothing"),
        (I(-4), I(5), I(3), "a step that meets the end"),
        (F(0), F(1), F(0.25), "quarters"),
        (F(1), F(2), F(0.3), "a step that passes the end"),
        (F(0), F(0.3), F(0.1), "a quotient that rounds to a whole number"),
        (H(0), H(0.25), H(0.1), "fp16"),
        (F(-1), F(-2), F(-0.5), "downwards, fp32"),
        (H(0), H(10), H(2.5), "fp16, exact"),
    ]:
        # NumPy adds the step to the start in the dtype; the documentation has the start and a multiple of the step.
        n = len(np.arange(start, end, step, dtype=start.dtype))
        want = (np.float64(start) + np.arange(n) * np.float64(step)).astype(start.dtype)
        case("range_1d", "ios15", want, "exact", note, source="numpy", start=start, end=end, step=step)


def one_hot():
    for indices, size, axis, on, off, note in [
        ([1, 0, 2], 3, None, None, None, "the defaults: int32, 1 and 0, on the last axis"),
        ([1, 0], 4, 0, None, None, "vectors along the first axis"),
        ([[0, 1], [2, 0]], 3, 1, F(5), F(-1), "in the middle, values of fp32"),
        ([1, 2], 3, -2, H(0.5), H(0), "from the back, fp16"),
        ([-1, 3, 1], 3, -1, I(1), I(0), "indices outside mark nothing"),
        (2, 3, None, None, None, "a scalar index"),
        ([], 3, None, None, None, "no indices"),
        ([0, 1], 2, -1, np.bool_(True), np.bool_(False), "bool"),
        ([0, 0], 1, -1, I(9), I(8), "vectors of one element"),
    ]:
        indices = np.array(indices, I)
        given = {} if axis is None else {"axis": np.int32(axis)}
        if on is not None:
            given |= {"on_value": on, "off_value": off}
        else:
            on, off = I(1), I(0)
        hot = indices[..., None] == np.arange(size)
        want = np.moveaxis(np.where(hot, on, off), -1, -1 if axis is None else axis)
        case(
            "one_hot",
            "ios15",
            want,
            "exact",
            note,
            source="numpy",
            indices=indices,
            one_hot_vector_size=np.int32(size),
            **given,
        )


for op in [fills, range_1d, one_hot]:
    op()
