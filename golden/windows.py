"""Windows over spatial dimensions, which convolutions and poolings share.

How much padding `same` needs is coremltools' to say; Core ML puts the odd element behind, and with `same_lower` before.
"""

import torch.nn.functional as F
from coremltools.converters.mil.mil.ops.defs._utils import aggregated_pad

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def padding(pad_type, spatial, kernel, strides, dilations, pad):
    """The padding before and behind each dimension."""
    if pad_type == "custom":
        return [tuple(pad[2 * i : 2 * i + 2]) for i in range(len(spatial))]
    totals = aggregated_pad(pad_type or "valid", kernel, spatial, strides, dilations)
    halves = [(t // 2, t - t // 2) for t in totals]
    return [h[::-1] for h in halves] if pad_type == "same_lower" else halves


def padded(t, pads, value=0.0):
    """PyTorch counts from the last dimension."""
    return F.pad(t, [int(n) for pair in reversed(pads) for n in pair], value=value)


def convolved(x, weight, bias, strides, pads, dilations, groups):
    return CONV[x.ndim - 2](padded(x, pads), weight, bias, strides, 0, dilations, groups)
