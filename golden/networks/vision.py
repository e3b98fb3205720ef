"""Images and videos."""

import math

import coremltools as ct
import torch
import torch.nn as nn
import torch.nn.functional as F
from models import Model, package


def settled(net: nn.Module) -> nn.Module:
    """Gives batch normalisations statistics and gains that are not those they start with."""
    for layer in net.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.running_mean.uniform_(-0.3, 0.3)
            layer.running_var.uniform_(0.5, 1.5)
            layer.weight.data.uniform_(0.5, 1.5)
            layer.bias.data.uniform_(-0.3, 0.3)
    return net


# coremltools converts `torchvision::nms`. The operator is defined here in the plainest way, so that torchvision is not needed.
_LIBRARY = torch.library.Library("torchvision", "DEF")
_LIBRARY.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def suppressed(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> torch.Tensor:
    """The boxes that stay, best first: each drops those after it that overlap it by more than the threshold."""
    left, top, right, bottom = boxes.unbind(1)
    area = (right - left) * (bottom - top)
    rest = scores.argsort(descending=True, stable=True).tolist()
    kept = []
    while rest:
        best = rest.pop(0)
        kept.append(best)

        def overlap(other: int) -> float:
            width = min(right[best], right[other]) - max(left[best], left[other])
            height = min(bottom[best], bottom[other]) - max(top[best], top[other])
            shared = max(width, 0.0) * max(height, 0.0)
            return float(shared / (area[best] + area[other] - shared))

        rest = [other for other in rest if overlap(other) <= threshold]
    return torch.tensor(kept, dtype=torch.int64)


_LIBRARY.impl("nms", suppressed, "CPU")


class Detector(nn.Module):
    """Two convolutions, a head of boxes and scores over a grid, and suppression of what overlaps."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.norm = nn.BatchNorm2d(8)
        self.neck = nn.Conv2d(8, 12, 3, 2, 1)
        self.boxes = nn.Conv2d(12, 4, 1)
        self.scores = nn.Conv2d(12, 3, 1)
        rows, columns = torch.meshgrid(torch.arange(5.0), torch.arange(5.0), indexing="ij")
        self.register_buffer("centres", torch.stack([columns, rows], -1).reshape(25, 2) * 4 + 2)

    def forward(self, image):
        x = F.silu(self.neck(F.relu6(self.norm(self.stem(image)))))
        deltas = self.boxes(x).flatten(2).transpose(1, 2)[0]
        scores, classes = self.scores(x).flatten(2).transpose(1, 2)[0].sigmoid().max(-1)
        centres = self.centres + deltas[:, :2].tanh() * 2
        half = 3 + 2 * deltas[:, 2:].sigmoid()
        boxes = torch.cat([centres - half, centres + half], -1).clamp(0.0, 20.0)
        keep = torch.ops.torchvision.nms(boxes, scores, 0.3)
        return boxes[keep], scores[keep], classes[keep].int()


@package
def detector_nms_ios16():
    return Model(
        settled(Detector()),
        "ios16",
        ["boxes", "scores", "classes"],
        [{"image": torch.rand(1, 3, 20, 20)}, {"image": torch.rand(1, 3, 20, 20)}],
        fp16=False,
        note="detector: boxes from a grid, non-maximum suppression with as many results as there are",
    )


@package
def detector_nms_ios17():
    return Model(
        settled(Detector()),
        "ios17",
        ["boxes", "scores", "classes"],
        [{"image": torch.rand(1, 3, 20, 20)}],
        fp16=False,
        note="detector: suppression in the form of iOS 17, boxes last, unused results -1",
    )


class ShiftedWindows(nn.Module):
    """A Swin block: attention in windows that are shifted, with a bias by relative position and a mask across seams."""

    def __init__(self, size=8, window=4, shift=2, dim=16, heads=2) -> None:
        super().__init__()
        self.size, self.window, self.shift, self.heads = size, window, shift, heads
        self.before, self.after = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.grow, self.shrink = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)
        self.table = nn.Parameter(torch.randn((2 * window - 1) ** 2, heads) * 0.2)
        at = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        relative = (at[:, :, None] - at[:, None, :]).permute(1, 2, 0) + window - 1
        self.register_buffer("relative", relative[..., 0] * (2 * window - 1) + relative[..., 1])
        region = torch.zeros(1, size, size, 1)
        bands = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
        for i, rows in enumerate(bands):
            for j, columns in enumerate(bands):
                region[:, rows, columns] = 3 * i + j
        seams = self.cut(region).squeeze(-1)
        apart = seams[:, None, :] != seams[:, :, None]
        self.register_buffer("mask", apart.float() * -100.0)

    def cut(self, x):
        n, w = self.size // self.window, self.window
        return x.view(1, n, w, n, w, -1).permute(0, 1, 3, 2, 4, 5).reshape(n * n, w * w, -1)

    def join(self, x):
        n, w = self.size // self.window, self.window
        return x.view(1, n, n, w, w, -1).permute(0, 1, 3, 2, 4, 5).reshape(1, self.size, self.size, -1)

    def forward(self, x):
        kept = x
        x = torch.roll(self.before(x), (-self.shift, -self.shift), (1, 2))
        x = self.cut(x)
        count, length, dim = x.shape
        q, k, v = self.qkv(x).reshape(count, length, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q * (dim // self.heads) ** -0.5) @ k.transpose(-2, -1)
        bias = self.table[self.relative.view(-1)].view(length, length, self.heads).permute(2, 0, 1)
        scores = scores + bias.unsqueeze(0) + self.mask[:, None]
        x = self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(count, length, dim))
        x = kept + torch.roll(self.join(x), (self.shift, self.shift), (1, 2))
        return x + self.shrink(F.gelu(self.grow(self.after(x))))


@package
def swin_block_ios17():
    return Model(
        ShiftedWindows(),
        "ios17",
        ["y"],
        [{"x": torch.randn(1, 8, 8, 16)}],
        note="Swin block: rolled windows, gathered bias by relative position, mask across seams",
    )


class ConvNextBlock(nn.Module):
    def __init__(self, dim) -> None:
        super().__init__()
        self.depth = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.grow, self.shrink = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)
        self.gain = nn.Parameter(torch.rand(dim))

    def forward(self, x):
        y = self.norm(self.depth(x).permute(0, 2, 3, 1))
        y = self.gain * self.shrink(F.gelu(self.grow(y)))
        return x + y.permute(0, 3, 1, 2)


class ConvNext(nn.Module):
    """A stem of patches, two depthwise blocks with normalisation over the channels of each place, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down = nn.Conv2d(3, 12, 4, 4), nn.Conv2d(12, 20, 2, 2)
        self.first, self.second = ConvNextBlock(12), ConvNextBlock(20)
        self.norm, self.head = nn.LayerNorm(20), nn.Linear(20, 10)

    def forward(self, image):
        x = self.second(self.down(self.first(self.stem(image))))
        return self.head(self.norm(x.mean((-2, -1))))


@package
def convnext_ios15():
    return Model(ConvNext(), "ios15", ["logits"], [{"image": torch.randn(1, 3, 24, 24)}], note="depthwise ConvNeXt")


class Video(nn.Module):
    """A 3-D network: convolution, pooling, a transposed convolution back."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv3d(2, 6, (3, 3, 3), padding=1), nn.BatchNorm3d(6)
        self.second = nn.Conv3d(6, 8, (2, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1), groups=2, dilation=(2, 1, 1))
        self.back = nn.ConvTranspose3d(8, 4, 2, stride=2)

    def forward(self, clip):
        x = F.max_pool3d(F.elu(self.norm(self.first(clip))), (1, 2, 2))
        x = F.leaky_relu(self.second(x), 0.1)
        pooled = F.avg_pool3d(x, 2, stride=1, padding=0).mean((2, 3, 4))
        return self.back(x), pooled


@package
def video_conv3d_ios16():
    return Model(
        settled(Video()),
        "ios16",
        ["volume", "features"],
        [{"clip": torch.randn(1, 2, 5, 8, 8)}],
        note="3-D convolution with groups and dilation, 3-D pooling, 3-D transposed convolution",
    )


class ClassToken(nn.Module):
    """A vision transformer: patches, a class token, positions, one block."""

    def __init__(self, dim=24, heads=3) -> None:
        super().__init__()
        self.heads = heads
        self.patches = nn.Conv2d(3, dim, 4, 4)
        self.token, self.places = nn.Parameter(torch.randn(1, 1, dim)), nn.Parameter(torch.randn(1, 17, dim) * 0.3)
        self.before, self.after, self.last = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        self.head = nn.Linear(dim, 7)

    def forward(self, image):
        x = self.patches(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        count, length, dim = x.shape
        parts = self.qkv(self.before(x)).reshape(count, length, 3, self.heads, dim // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(count, length, dim)
        x = x + self.out(y)
        x = x + self.mlp(self.after(x))
        return self.head(self.last(x)[:, 0])


@package
def vit_class_token_ios18():
    return Model(
        ClassToken(),
        "ios18",
        ["logits"],
        [{"image": torch.randn(2, 3, 16, 16)}],
        io16=True,
        note="vision transformer with a class token, attention as one op, fp16 inputs and outputs",
    )


class SqueezeExcite(nn.Module):
    """An inverted bottleneck of EfficientNet: expansion, depthwise convolution, squeeze and excitation, projection."""

    def __init__(self, dim=12, grown=36) -> None:
        super().__init__()
        self.grow, self.norm1 = nn.Conv2d(dim, grown, 1, bias=False), nn.BatchNorm2d(grown)
        self.depth, self.norm2 = nn.Conv2d(grown, grown, 5, 1, 2, groups=grown, bias=False), nn.BatchNorm2d(grown)
        self.squeeze, self.excite = nn.Conv2d(grown, 4, 1), nn.Conv2d(4, grown, 1)
        self.shrink, self.norm3 = nn.Conv2d(grown, dim, 1, bias=False), nn.BatchNorm2d(dim)

    def forward(self, x):
        y = F.silu(self.norm1(self.grow(x)))
        y = F.silu(self.norm2(self.depth(y)))
        y = y * torch.sigmoid(self.excite(F.silu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))))
        return x + self.norm3(self.shrink(y))


@package
def efficientnet_block_ios15():
    return Model(
        settled(SqueezeExcite()),
        "ios15",
        ["y"],
        [{"x": torch.randn(1, 12, 10, 10)}],
        note="squeeze and excitation in an inverted bottleneck, batch normalisation folded by the converter",
    )


class Segmentation(nn.Module):
    """Dilated convolutions side by side and upsampling with the corners aligned and not."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.rates = nn.ModuleList(nn.Conv2d(8, 6, 3, padding=r, dilation=r) for r in (1, 2, 4))
        self.whole = nn.Conv2d(8, 6, 1)
        self.head = nn.Conv2d(24, 5, 1)

    def forward(self, image):
        x = F.hardswish(self.stem(image))
        pooled = self.whole(x.mean((2, 3), keepdim=True))
        pooled = F.interpolate(pooled, size=(7, 9), mode="bilinear", align_corners=False)
        x = self.head(torch.cat([rate(x) for rate in self.rates] + [pooled], 1))
        aligned = F.interpolate(x, size=(14, 18), mode="bilinear", align_corners=True)
        loose = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        nearest = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return aligned, loose, nearest, aligned.argmax(1).int()


@package
def segmentation_head_ios17():
    return Model(
        Segmentation(),
        "ios17",
        ["aligned", "loose", "nearest", "classes"],
        [{"image": torch.randn(1, 3, 14, 18)}],
        fp16=False,
        note="segmentation head: dilated convolutions, bilinear upsampling with and without aligned corners, argmax",
    )


class Warp(nn.Module):
    """Samples an image where a network says, in each mode that the converter has."""

    def __init__(self) -> None:
        super().__init__()
        self.flow = nn.Conv2d(3, 2, 3, padding=1)
        self.image = nn.Conv2d(3, 4, 1)

    def forward(self, image, grid):
        places = grid + 0.3 * self.flow(image).permute(0, 2, 3, 1)
        x = self.image(image)
        return (
            F.grid_sample(x, places, mode="bilinear", padding_mode="zeros", align_corners=True),
            F.grid_sample(x, places, mode="bilinear", padding_mode="border", align_corners=False),
            F.grid_sample(x, places, mode="nearest", padding_mode="zeros", align_corners=False),
        )


@package
def grid_sample_ios16():
    axis = torch.linspace(-1.2, 1.2, 7)
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    return Model(
        Warp(),
        "ios16",
        ["zeros", "border", "nearest"],
        [{"image": torch.randn(1, 3, 7, 7), "grid": torch.stack([columns, rows], -1)[None]}],
        fp16=False,
        note="sampling at computed places (optical flow, deformation), also outside of the image",
    )


class SuperResolution(nn.Module):
    """Pixels to depth, convolutions, depth to pixels, and an upsampled copy beside."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(12, 16, 3, padding=1), nn.Conv2d(16, 48, 3, padding=1)
        self.slope = nn.PReLU(16, init=0.2)

    def forward(self, image):
        x = self.second(self.slope(self.first(F.pixel_unshuffle(image, 2))))
        return F.pixel_shuffle(x, 4) + F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)


@package
def super_resolution_ios16():
    return Model(
        SuperResolution(),
        "ios16",
        ["large"],
        [{"image": torch.rand(1, 3, 8, 6)}],
        note="sub-pixel super-resolution: pixel_unshuffle, prelu, pixel_shuffle",
    )


class Pyramid(nn.Module):
    """Pooling of every kind, and upsampling by cubic and by other sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding="same")

    def forward(self, image):
        x = self.conv(image)
        return (
            F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
            F.avg_pool2d(x, 3, 2, 1, ceil_mode=False, count_include_pad=False),
            F.avg_pool2d(x, (2, 3), (2, 1), (1, 1), ceil_mode=True),
            F.adaptive_avg_pool2d(x, (3, 2)),
            F.adaptive_max_pool2d(x, (2, 4)),
            F.interpolate(x, size=(5, 11), mode="nearest"),
            F.interpolate(x, size=(4, 20), mode="bilinear", align_corners=False),
            x.norm(dim=1),
        )


@package
def pooling_pyramid_ios17():
    names = "ceil uncounted padded mean most nearest linear length"
    return Model(
        Pyramid(),
        "ios17",
        names.split(),
        [{"image": torch.randn(1, 2, 9, 12)}],
        fp16=False,
        note="pooling with ceil, padding counted and not, adaptive; resizing to other sizes",
    )


class Normalisations(nn.Module):
    """Style transfer: instance normalisation with a style's gains, local responses, reflected borders."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect")
        self.norm = nn.InstanceNorm2d(8, affine=True)
        self.style = nn.Linear(5, 16)
        self.last = nn.Conv2d(8, 3, 3, padding=1, padding_mode="replicate")

    def forward(self, image, style):
        x = F.relu(self.norm(self.first(image)))
        gain, offset = self.style(style).view(1, 16, 1, 1).chunk(2, 1)
        mean = x.mean((2, 3), keepdim=True)
        spread = ((x - mean) ** 2).mean((2, 3), keepdim=True).add(1e-5).sqrt()
        x = (x - mean) / spread * (1 + gain) + offset
        x = F.local_response_norm(x, 3, alpha=0.1, beta=0.6, k=1.5)
        return torch.tanh(self.last(x)) * 0.5 + 0.5


@package
def style_transfer_ios17():
    return Model(
        Normalisations(),
        "ios17",
        ["styled"],
        [{"image": torch.rand(1, 3, 10, 12), "style": torch.randn(1, 5)}],
        note="style transfer: instance normalisation, adaptive gains, local response normalisation, reflected borders",
    )


class TimedBlock(nn.Module):
    """A block of a diffusion U-Net: the time step embedded as sines, group normalisation, attention over places."""

    def __init__(self, dim=16) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.norm1, self.conv1 = nn.GroupNorm(4, dim), nn.Conv2d(dim, dim, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(4, dim), nn.Conv2d(dim, dim, 3, padding=1)
        self.norm3, self.qkv, self.out = nn.GroupNorm(4, dim), nn.Conv2d(dim, 3 * dim, 1), nn.Conv2d(dim, dim, 1)
        self.key, self.value = nn.Linear(6, dim), nn.Linear(6, dim)
        self.down = nn.Conv2d(dim, dim, 3, 2, 1)
        self.register_buffer("rates", torch.exp(-math.log(10000.0) * torch.arange(dim // 2) / (dim // 2)))

    def forward(self, x, step, context):
        angles = step[:, None] * self.rates[None]
        time = self.time(torch.cat([angles.cos(), angles.sin()], -1))
        y = self.conv1(F.silu(self.norm1(x))) + time[:, :, None, None]
        x = x + self.conv2(F.silu(self.norm2(y)))
        count, dim, height, width = x.shape
        q, k, v = self.qkv(self.norm3(x)).flatten(2).chunk(3, 1)
        scores = torch.einsum("bcq,bck->bqk", q, k) * dim**-0.5
        y = torch.einsum("bqk,bck->bcq", scores.softmax(-1), v)
        keys, values = self.key(context), self.value(context)
        cross = torch.matmul(y.transpose(1, 2), keys.transpose(1, 2)) * dim**-0.5
        y = y + torch.matmul(cross.softmax(-1), values).transpose(1, 2)
        x = x + self.out(y.reshape(count, dim, height, width))
        small = self.down(x)
        return F.interpolate(small, scale_factor=2.0, mode="nearest") + x


@package
def diffusion_block_ios17():
    return Model(
        TimedBlock(),
        "ios17",
        ["y"],
        [{"x": torch.randn(1, 16, 8, 8), "step": torch.tensor([7.0]), "context": torch.randn(1, 5, 6)}],
        note="block of a diffusion U-Net: time embedding, group normalisation, self and cross attention, down and up",
    )


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3, 2), nn.Linear(8, 4)

    def forward(self, image):
        return self.head(F.relu(self.conv(image)).mean((2, 3))).softmax(-1)


@package
def image_classifier_ios16():
    net = Classifier().eval()
    labels = ["anemone", "clownfish", "crab", "coral"]
    image = torch.randint(0, 256, (1, 3, 12, 12)).float()

    def expect(run):
        wide = Classifier().double().eval()
        wide.load_state_dict({k: v.double() for k, v in net.state_dict().items()})
        found = wide(run["image"] / 128 - 1)
        return [labels[int(found.argmax())]]

    return Model(
        net,
        "ios16",
        ["classLabel"],
        [{"image": image}],
        inputs=[ct.ImageType(name="image", shape=image.shape, scale=1 / 128, bias=[-1.0, -1.0, -1.0])],
        convert={"classifier_config": ct.ClassifierConfig(labels)},
        expect=expect,
        note="classifier of an image: scale and bias of the input in the program, a label out",
    )
