"""Non-maximum suppression, as coremltools' tests define it on top of TensorFlow's: in NumPy, box by box.

A box counts with its best class. If no score is above the threshold, the best box stays all the same. The results are padded
with 0, and the indices with -1.
"""

import numpy as np

from case import case

F, H, I = np.float32, np.float16, np.int32


def overlaps(boxes):
    """The intersection over the union of each two boxes of centre, width and height."""
    boxes = boxes.astype(np.float64)
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    shared = np.clip(np.minimum(high[:, None], high) - np.maximum(low[:, None], low), 0, None).prod(-1)
    area = boxes[:, 2:].prod(-1)
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(shared / (area[:, None] + area - shared))


def suppressed(boxes, scores, iou, score, most, per_class):
    """The boxes of one image that stay, by striking out what each overlaps."""
    best, classes, shares = scores.max(1), scores.argmax(1), overlaps(boxes)
    order = list(np.argsort(-best.astype(np.float64), kind="stable"))
    left = [b for b in order if score is None or best[b] > score] or order[:1]
    kept = []
    while left and len(kept) < most:
        top, *left = left
        kept.append(top)
        left = [b for b in left if shares[top, b] <= iou or per_class and classes[top] != classes[b]]
    return kept


def one(opset, boxes, scores, iou, score, most, per_class, note):
    found = [suppressed(b, s, iou, score, most, bool(per_class)) for b, s in zip(boxes, scores)]

    def padded(all, k):
        return np.concatenate([all[k], np.zeros((most - len(k), all.shape[1]), all.dtype)])

    want = [
        np.stack([padded(b, k) for b, k in zip(boxes, found)]),
        np.stack([padded(s, k) for s, k in zip(scores, found)]),
        np.array([k + [-1] * (most - len(k)) for k in found], I).reshape(len(boxes), most),
    ]
    arguments = {"boxes": boxes, "scores": scores, "iou_threshold": boxes.dtype.type(iou)}
    if opset == "ios17":
        arguments |= {name: arguments[name].transpose(0, 2, 1) for name in ["boxes", "scores"]}
        want[:2] = [all.transpose(0, 2, 1) for all in want[:2]]
    else:
        arguments["score_threshold"] = boxes.dtype.type(score)
        want.append(np.array([len(k) for k in found], I))
    if per_class is not None:
        arguments["per_class_suppression"] = np.bool_(per_class)
    case("non_maximum_suppression", opset, want, "exact", note, source="numpy", max_boxes=np.int32(most), **arguments)


rng = np.random.default_rng(17)
diagonal = np.repeat(np.arange(4, dtype=F), 4).reshape(1, 4, 4)
one("ios15", diagonal, np.array([[[-3.5], [9.4], [2.3], [0.7]]], F), F(0.2), F(0.4), 2, True, "the case of coremltools' test")
three = np.array([[[0, 0, 2, 2], [1, 0, 2, 2], [9, 9, 1, 1]]], F)
scores = np.array([[[0.5, 0.1], [0.0, 0.9], [0.2, 0.3]]], F)
one("ios15", three, scores, F(0.3), F(0.0), 3, False, "an overlap of a third, suppressed")
one("ios15", three, scores, F(0.4), F(0.0), 3, False, "an overlap of a third, let through")
one("ios15", three, scores, F(0.3), F(0.0), 3, True, "boxes of different classes do not suppress each other")
one("ios15", three, scores, F(0.3), F(0.4), 5, None, "a score below the threshold, and room for more boxes")
one("ios15", three, scores, F(0.4), F(0.0), 2, False, "fewer boxes than would stay")
one("ios17", three, scores, F(0.3), None, 3, False, "iOS 17: boxes last, no threshold for scores")
one("ios17", three, scores, F(0.3), None, 4, True, "iOS 17, per class")
one("ios15", three, scores, F(0.4), F(5), 2, False, "no score above the threshold: the best box stays, as in coremltools' test")
one("ios15", three, scores, F(0.4), F(0.5), 3, False, "a score at the threshold is not above it")
one("ios15", three, scores, F(0.4), F(0), 0, False, "no box asked for")
points = np.array([[[1, 1, 0, 0], [1, 1, 0, 2], [1, 1, 0, 0]]], F)
one("ios15", points, np.array([[[1], [2], [3]]], F), F(0.0), F(0.5), 3, False, "boxes without area overlap with nothing")
one("ios15", three[:, :1], scores[:, :1], F(0.5), F(0.0), 2, True, "one box")
same = np.tile(np.array([[[1, 1, 2, 2]]], F), (1, 3, 1))
one(
    "ios15",
    same,
    np.array([[[0.5], [0.5], [0.5]]], F),
    F(1.0),
    F(0.1),
    3,
    False,
    "equal boxes and scores: an overlap of 1 is not above 1",
)
one("ios15", same, np.array([[[0.5], [0.5], [0.5]]], F), F(0.9), F(0.1), 3, False, "equal boxes and scores: the first stays")
for dtype, opset, per_class in [(F, "ios15", False), (H, "ios15", True), (F, "ios17", False), (H, "ios17", True)]:
    # Halves and quarters, so that the shares are far from the threshold or exact in every precision.
    boxes = np.concatenate([rng.integers(0, 16, (2, 12, 2)) / 2, rng.integers(4, 12, (2, 12, 2)) / 2], -1).astype(dtype)
    scores = rng.permuted(np.tile(np.arange(36) / 64, (2, 1)), axis=1).reshape(2, 12, 3).astype(dtype)
    one(
        opset,
        boxes,
        scores,
        dtype(0.25),
        dtype(0.125) if opset == "ios15" else None,
        8,
        per_class,
        f"two images of twelve boxes, three classes, {boxes.dtype}",
    )
