"""Networks whose package is the point: flexible shapes, several functions, compressed weights."""

import coremltools as ct
import coremltools.optimize.coreml as optimize
import torch
import torch.nn as nn
import torch.nn.functional as F
from models import Model, package


class AnyLength(nn.Module):
    """Convolution and attention over a sequence of any length."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.qkv, self.head = nn.Conv1d(6, 8, 3, padding=1), nn.Linear(8, 24), nn.Linear(8, 5)

    def forward(self, x):
        y = F.relu(self.conv(x)).transpose(1, 2)
        q, k, v = self.qkv(y).chunk(3, -1)
        y = y + torch.matmul(torch.softmax(torch.matmul(q, k.transpose(1, 2)) * 0.35, -1), v)
        last = y[:, -1]
        return self.head(y), last * y.shape[1], y.reshape(1, -1, 4)


@package
def flexible_range_ios16():
    lengths = (7, 1, 20)
    return Model(
        AnyLength(),
        "ios16",
        ["y", "last", "folded"],
        [{"x": torch.randn(1, 6, n)} for n in lengths],
        shapes={"x": ct.Shape(shape=(1, 6, ct.RangeDim(1, 24, default=7)))},
        note="a range of lengths: shapes that are computed in the program",
    )


class AnySize(nn.Module):
    """A small U-Net that takes images of several sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.mid, self.up = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, padding=1), nn.ConvTranspose2d(8, 4, 2, 2)
        self.last = nn.Conv2d(7, 2, 1)

    def forward(self, image):
        x = self.up(F.relu(self.mid(F.relu(self.down(image)))))
        pooled = F.adaptive_avg_pool2d(x, 1).flatten(1)
        return self.last(torch.cat([x, image], 1)), pooled


@package
def flexible_enumerated_ios18():
    sizes = [(1, 3, 8, 8), (1, 3, 8, 12), (1, 3, 16, 8)]
    return Model(
        AnySize(),
        "ios18",
        ["mask", "pooled"],
        [{"image": torch.randn(s)} for s in sizes],
        shapes={"image": ct.EnumeratedShapes(shapes=sizes, default=sizes[0])},
        note="three sizes of an image",
    )


class Adapted(nn.Module):
    """A shared base with an adapter of low rank of its own."""

    def __init__(self, base) -> None:
        super().__init__()
        self.base, self.inner, self.outer = base, nn.Linear(24, 2, bias=False), nn.Linear(2, 24, bias=False)

    def forward(self, x):
        return torch.tanh(self.base(x) + self.outer(self.inner(x)))


@package
def adapters_multifunction_ios18():
    base = nn.Linear(24, 24)
    note = "two functions, a base that they share in the weight file and an adapter for each"
    return {
        name: Model(Adapted(base), "ios18", ["y"], [{"x": torch.randn(count, 24)}], note=note)
        for name, count in (("polite", 2), ("brief", 3))
    }


class Dense(nn.Module):
    """What is compressed."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(8, 16, 3, padding=1), nn.Conv2d(16, 32, 1), nn.Linear(32, 16)

    def forward(self, x):
        return self.last(F.relu(self.second(F.relu(self.first(x)))).mean((2, 3)))


def compressed(opset, note, *passes):
    """A network whose weights go through passes of coremltools, one after the other."""

    def compress(made):
        for run, config, arguments in passes:
            made = run(made, optimize.OptimizationConfig(global_config=config), **arguments)
        return made

    return Model(Dense(), opset, ["y"], [{"x": torch.randn(1, 8, 7, 7)}], compress=compress, note=note)


@package
def quantized_int8_ios16():
    config = optimize.OpLinearQuantizerConfig(mode="linear", dtype="uint8", weight_threshold=64)
    return compressed("ios16", "8-bit weights with zero points", (optimize.linear_quantize_weights, config, {}))


@package
def quantized_int4_blocks_ios18():
    config = optimize.OpLinearQuantizerConfig(
        mode="linear", dtype="int4", granularity="per_block", block_size=4, weight_threshold=64
    )
    return compressed("ios18", "4-bit weights in blocks of four, with offsets", (optimize.linear_quantize_weights, config, {}))


@package
def palettized_groups_ios18():
    config = optimize.OpPalettizerConfig(
        mode="uniform", nbits=3, granularity="per_grouped_channel", group_size=8, weight_threshold=64
    )
    return compressed("ios18", "3-bit palettes, one for eight channels", (optimize.palettize_weights, config, {}))


@package
def pruned_palettized_ios18():
    prune = optimize.OpMagnitudePrunerConfig(target_sparsity=0.5, weight_threshold=64)
    palette = optimize.OpPalettizerConfig(mode="uniform", nbits=4, weight_threshold=64)
    return compressed(
        "ios18",
        "half of the weights pruned, the others from a palette of sixteen",
        (optimize.prune_weights, prune, {}),
        (optimize.palettize_weights, palette, {"joint_compression": True}),
    )


@package
def palette_quantized_ios18():
    palette = optimize.OpPalettizerConfig(mode="uniform", nbits=4, weight_threshold=64)
    table = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", granularity="per_tensor", weight_threshold=8)
    return compressed(
        "ios18",
        "a palette whose entries are quantized to 8 bits",
        (optimize.palettize_weights, palette, {}),
        (optimize.linear_quantize_weights, table, {"joint_compression": True}),
    )


class Fake(nn.Module):
    """Activations through 8 bits, as after training with quantization."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 1)

    def forward(self, x):
        x = torch.quantize_per_tensor(x.float(), 0.03125, 4, torch.qint8).dequantize().to(x.dtype)
        x = F.relu(self.first(x))
        x = torch.quantize_per_tensor(x.float(), 0.015625, 3, torch.quint8).dequantize().to(x.dtype)
        return self.last(x)


@package
def quantized_activations_ios17():
    return Model(
        Fake(),
        "ios17",
        ["y"],
        [{"x": torch.randn(1, 3, 6, 6)}],
        fp16=False,
        note="activations through 8 bits: quantize and dequantize",
    )
