"""Ops that move elements between channels or batches and blocks of space."""

import numpy as np
import torch
import torch.nn.functional as nn

from case import case

F, H, I = np.float32, np.float16, np.int32


def count(shape, dtype=F):
    """0, 1, 2, ... in this shape."""
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


def shuffles():
    for shape, by, dtype, note in [
        ((1, 4, 1, 1), 2, F, "one pixel becomes a block"),
        ((1, 8, 2, 3), 2, F, "two channels"),
        ((2, 9, 1, 2), 3, H, "blocks of 3, fp16"),
        ((1, 2, 2, 2), 1, F, "blocks of 1 change nothing"),
        ((0, 4, 1, 1), 2, F, "nothing"),
    ]:
        x = count(shape, dtype)
        want = nn.pixel_shuffle(torch.from_numpy(x), by).numpy()
        case("pixel_shuffle", "ios15", want, "exact", note, source="torch", x=x, upscale_factor=np.int32(by))
        case(
            "pixel_unshuffle",
            "ios16",
            x,
            "exact",
            note + "; the way back",
            source="torch",
            x=want,
            downscale_factor=np.uint32(by),
        )
    for shape, by, dtype, note in [
        ((1, 4, 1, 1), 2, F, "one pixel becomes a block"),
        ((1, 8, 2, 3), 2, F, "two channels: the place in the block counts first"),
        ((2, 9, 1, 2), 3, H, "blocks of 3, fp16"),
        ((1, 12, 1, 1), 2, F, "three channels"),
        ((0, 4, 1, 1), 2, F, "nothing"),
    ]:
        x = count(shape, dtype)
        n, c, h, w = shape
        # As NumPy says it of TensorFlow's op, which the documentation of Core ML names.
        want = x.reshape(n, by, by, c // by**2, h, w).transpose(0, 3, 4, 1, 5, 2).reshape(n, c // by**2, h * by, w * by)
        case("depth_to_space", "ios15", want, "exact", note, source="numpy", x=x, block_size=np.int32(by))
        case("space_to_depth", "ios15", x, "exact", note + "; the way back", source="numpy", x=want, block_size=np.int32(by))


def batches():
    for shape, block, pad, dtype, note in [
        ((1, 1, 2, 2), (2, 2), (0, 0, 0, 0), F, "one block of four pixels becomes four images"),
        ((1, 3, 2, 4), (2, 2), (0, 0, 0, 0), F, "three channels"),
        ((2, 1, 4, 2), (2, 1), (0, 0, 0, 0), F, "blocks along the height only"),
        ((1, 1, 3, 3), (2, 2), (0, 1, 1, 0), F, "a border on two sides"),
        ((2, 2, 3, 4), (3, 2), (1, 2, 1, 1), H, "blocks of 3 by 2, and a border all around, fp16"),
        ((1, 1, 2, 2), (1, 1), (0, 0, 0, 0), F, "blocks of 1 change nothing"),
    ]:
        x = count(shape, dtype)
        padded = np.pad(x, [(0, 0), (0, 0), pad[:2], pad[2:]])
        # An image of a result is every a-th row and b-th column from a first one on.
        want = np.concatenate([padded[:, :, i :: block[0], j :: block[1]] for i in range(block[0]) for j in range(block[1])])
        block, pad = np.array(block, I), np.array(pad, I).reshape(2, 2)
        case("space_to_batch", "ios15", want, "exact", note, source="numpy", x=x, block_shape=block, paddings=pad)
        case(
            "batch_to_space", "ios15", x, "exact", note + "; the way back", source="numpy", x=want, block_shape=block, crops=pad
        )


shuffles()
batches()
