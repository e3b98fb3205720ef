"""Ops that order elements, and the one that finds those that are not zero.

Equal elements keep their order: Core ML does not say, and a stable order is one of those it may give.
"""

import numpy as np

from case import case

F, H, I = np.float32, np.float16, np.int32


def order(x, axis, ascending):
    """The places of the elements in their order. NaN comes last either way."""
    wide = x.astype(np.float64)
    return np.argsort(wide if ascending else -wide, axis=axis, kind="stable")


SHUFFLED = np.random.default_rng(3).permutation(24).reshape(2, 3, 4)


def argsort():
    for x, axis, ascending, note in [
        (SHUFFLED.astype(F), None, None, "the defaults: the last axis, from the largest on"),
        (SHUFFLED.astype(F), 0, False, "the first axis"),
        (SHUFFLED.astype(F), -2, True, "an axis from the back, from the smallest on"),
        (SHUFFLED.astype(H), 2, True, "fp16"),
        (SHUFFLED.astype(I), 1, False, "int32"),
        (np.array([1, 3, 1, 3, 2], F), 0, False, "ties"),
        (np.array([1, 3, 1, 3, 2], F), 0, True, "ties, ascending"),
        (np.array([0.0, -0.0, 1], F), 0, True, "0 and -0 are equal"),
        (np.array([np.inf, -np.inf, 0, 1e-45], F), 0, False, "inf and a denormal"),
        (np.array([np.nan, 1, np.nan, 2], F), 0, False, "NaN comes last"),
        (np.array([np.nan, 1, np.nan, 2], F), 0, True, "NaN comes last, ascending"),
        (np.zeros((2, 0), F), 1, False, "nothing"),
        (np.array([[5]], I), -1, True, "size 1"),
        (np.array([-(2**31), 2**31 - 1, 0], I), 0, False, "the ends of int32"),
    ]:
        arguments = {}
        if axis is not None:
            arguments = {"axis": np.int32(axis), "ascending": np.bool_(ascending)}
        case(
            "argsort",
            "ios15",
            order(x, -1 if axis is None else axis, bool(ascending)).astype(I),
            "exact",
            note,
            source="numpy",
            x=x,
            **arguments,
        )


def topk():
    def one(opset, x, k, axis, ascending, note, places=I, **rest):
        arguments = {}
        if k is not None:
            arguments["k"] = k
        if axis is not None:
            arguments |= {"axis": np.int32(axis), "ascending": np.bool_(ascending)}
        at = -1 if axis is None else axis
        n = 1 if k is None else x.shape[at] if k == -1 else int(k)
        found = np.take(order(x, at, bool(ascending)), np.arange(n), axis=at)
        want = [np.take_along_axis(x, found, at), found.astype(places)]
        if not rest.get("return_indices", True):
            want = want[:1]
        case("topk", opset, want, "exact", note, source="numpy", x=x, **arguments, **rest)

    x = SHUFFLED.astype(F)
    one("ios15", x, None, None, None, "the defaults: the largest of the last axis")
    one("ios15", x, np.int32(2), -1, False, "the two largest")
    one("ios15", x, np.int32(2), 1, True, "the two smallest along an inner axis")
    one("ios15", x, np.int32(2), 0, False, "all of the first axis")
    one("ios15", x, np.int32(0), 2, False, "none")
    one("ios15", SHUFFLED.astype(H), np.int32(3), -3 + 1, True, "fp16, an axis from the back")
    one("ios15", SHUFFLED.astype(I), np.int32(3), 2, False, "int32")
    one("ios15", np.array([2, 7, 7, 2, 7], F), np.int32(4), 0, False, "ties")
    one("ios15", np.array([2, 7, 7, 2, 7], F), np.int32(4), 0, True, "ties, ascending")
    one("ios15", np.array([np.nan, -np.inf, 1, np.inf], F), np.int32(4), 0, False, "inf, and NaN last")
    one("ios16", x, np.int32(2), 2, False, "no indices asked for", return_indices=np.bool_(False))
    one(
        "ios16",
        x,
        np.int32(2),
        2,
        True,
        "sorted, and with indices, as said",
        sort=np.bool_(True),
        return_indices=np.bool_(True),
    )
    one("ios16", x, np.int32(1), 1, False, "not sorted, where there is nothing to sort", sort=np.bool_(False))
    one("ios17", x, np.int32(-1), 2, False, "-1: all of them")
    one("ios17", x, np.int8(3), 2, False, "k of int8, indices of uint16", np.uint16, output_indices_dtype="uint16")
    one("ios17", x, np.int16(1), 0, True, "k of int16", output_indices_dtype="int32")
    one("ios17", x, np.int32(2), 1, False, "values only, sorted", sort=np.bool_(True), return_indices=np.bool_(False))
    for dtype in [np.int8, np.uint8, np.int16, np.uint16]:
        ends = np.array([np.iinfo(dtype).min, np.iinfo(dtype).max, 7], dtype)
        one("ios17", ends, np.int32(2), 0, False, f"the ends of {ends.dtype}")


def non_zero():
    for x, note in [
        (np.array([[0, -1], [2, 0]], F), "fp32"),
        (np.array([0, np.nan, -0.0, np.inf, 1e-45], F), "NaN, inf and a denormal are not zero; -0 is"),
        (np.array([[[0, 1], [0, 0]], [[1, 0], [1, 1]]], bool), "bool, rank 3"),
        (np.zeros((2, 2), H), "nothing but zeros"),
        (np.array([3, 0, -(2**31)], I), "int32"),
        (np.zeros((0, 3), F), "nothing"),
        (np.array([[5]], I), "size 1"),
    ]:
        case("non_zero", "ios15", np.argwhere(x).astype(I), "exact", note, source="numpy", x=x)


for op in [argsort, topk, non_zero]:
    op()
