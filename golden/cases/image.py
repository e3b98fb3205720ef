"""Images: stretching, shrinking, and sampling at computed places.

Core ML's documentation gives formulas for where samples lie; PyTorch's functions are used where they have the same ones. The
numbers of coremltools' tests, which were compared with Apple's engines, are there as cases of their own.
"""

import numpy as np
import torch
import torch.nn.functional as nn

from case import case, rounded, t64, wide

F, H, I = np.float32, np.float16, np.int32
MODES = ["STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS"]
rng = np.random.default_rng(23)


def picture(*shape, dtype=F):
    return rng.uniform(-4, 4, shape).astype(dtype)


def points(mode, n_in, n_out):
    """Where the samples of a line lie: the formulas in the documentation of `resize_bilinear`."""
    i = np.arange(n_out, dtype=np.float64)
    many = max(n_out - 1, 1)
    at = {
        "STRICT_ALIGN_CORNERS": i * (n_in - 1) / many,
        "ALIGN_CORNERS": i * (n_in - 1) / many if n_out > 1 else np.array([(n_in - 1) / 2]),
        "DEFAULT": i * (n_in - n_in / n_out) / many,
        "OFFSET_CORNERS": 0.5 * max(1, n_in - 1) / n_out + i * max(1, n_in - 1) / n_out,
        "UNALIGN_CORNERS": i * n_in / n_out + 0.5 * n_in / n_out - 0.5,
    }[mode]
    return at.clip(0, n_in - 1)


def along(values, axis, at):
    """The values between the elements of an axis, at these places."""
    lines = np.moveaxis(values, axis, -1)
    pixels = np.arange(values.shape[axis])
    found = np.apply_along_axis(lambda line: np.interp(at, pixels, line), -1, lines)
    return np.moveaxis(found, -1, axis)


def stretched(x, sizes, mode):
    """x with its last axes resized between its pixels."""
    values = wide(x)
    for k, size in enumerate(sizes):
        axis = x.ndim - len(sizes) + k
        values = along(values, axis, points(mode, x.shape[axis], size))
    return rounded(values, x)


def interpolated(x, **arguments):
    """What PyTorch makes of it, with the leading axes as channels."""
    flat = t64(x).reshape(1, -1, *x.shape[-2:])
    y = nn.interpolate(flat, **arguments).numpy()
    return rounded(y.reshape(*x.shape[:-2], *y.shape[-2:]), x)


SIZES = [
    ((1, 2, 3, 4), (6, 7)),
    ((2, 4, 5), (2, 3)),
    ((1, 1, 3, 3), (1, 1)),
    ((1, 1, 1, 1), (3, 2)),
    ((2, 1, 5, 2), (5, 4)),
    ((1, 2, 4, 3), (4, 3)),
    ((1, 2, 1, 2, 3), (4, 2)),
]
for mode in MODES:
    for shape, (height, width) in SIZES:
        x = picture(*shape)
        if mode in ["STRICT_ALIGN_CORNERS", "UNALIGN_CORNERS"]:
            want, source = (
                interpolated(x, size=(height, width), mode="bilinear", align_corners=mode != "UNALIGN_CORNERS"),
                "torch",
            )
        else:
            want, source = stretched(x, (height, width), mode), "numpy"
        case(
            "resize_bilinear",
            "ios15",
            want,
            "rel 3e-7",
            f"{mode}, {shape[-2:]} to {height, width}",
            source=source,
            x=x,
            target_size_height=I(height),
            target_size_width=I(width),
            sampling_mode=mode,
        )
        sizes = np.array([1, 1, height, width][-min(len(shape), 4) :], [np.int16, np.uint16, np.uint32, I][len(shape) % 4])
        case(
            "resize",
            "ios17",
            want,
            "rel 3e-7",
            f"LINEAR, {mode}, {shape[-2:]} to {height, width}",
            source=source,
            x=x,
            shape=sizes,
            resized_dims=np.uint32(2),
            interpolation_mode="LINEAR",
            sampling_mode=mode,
        )
# The lines of grid points that the documentation writes down, for the two pixels 0 and 1.
for mode, n, line in [
    ("UNALIGN_CORNERS", 5, [0, 0.1, 0.5, 0.9, 1]),
    ("STRICT_ALIGN_CORNERS", 5, [0, 0.25, 0.5, 0.75, 1]),
    ("ALIGN_CORNERS", 5, [0, 0.25, 0.5, 0.75, 1]),
    ("DEFAULT", 5, [0, 0.4, 0.8, 1, 1]),
    ("OFFSET_CORNERS", 5, [0.1, 0.3, 0.5, 0.7, 0.9]),
    ("UNALIGN_CORNERS", 6, [0, 0, 0.33, 0.67, 1, 1]),
    ("DEFAULT", 6, [0, 0.33, 0.67, 1, 1, 1]),
    ("OFFSET_CORNERS", 6, [0.08, 0.25, 0.42, 0.58, 0.75, 0.92]),
]:
    case(
        "resize_bilinear",
        "ios15",
        np.array([[line]], F),
        "rel 6e-3",
        f"{mode}: the line of the documentation",
        source="coremltools",
        x=np.array([[[0, 1]]], F),
        target_size_width=I(n),
        sampling_mode=mode,
    )
x = picture(1, 2, 4, 4, dtype=H)
case("resize_bilinear", "ios15", stretched(x, (1, 1), "DEFAULT"), "ulp 1", "fp16, all parameters left out", source="numpy", x=x)
x = picture(1, 1, 2, 2)
x[0, 0, 0, 0] = np.inf
want = np.array([[[[np.inf, np.inf, x[0, 0, 0, 1]], [x[0, 0, 1, 0], 0, x[0, 0, 1, 1]]]]], F)
want[0, 0, 1, 1] = rounded(wide(x[0, 0, 1]).mean(), x)
case(
    "resize_bilinear",
    "ios15",
    want,
    "ulp 1",
    "inf spreads only to the samples that have a share of it",
    source="numpy",
    x=x,
    target_size_height=I(2),
    target_size_width=I(3),
    sampling_mode="ALIGN_CORNERS",
)

# `resize_nearest_neighbor` is TensorFlow's with half_pixel_centers, which is PyTorch's `nearest-exact`;
# `upsample_nearest_neighbor` is PyTorch's `nearest`, at the distance that the size of the result gives.
for shape, (height, width) in [
    *SIZES,
    ((1, 1, 2, 1), (2, 3)),
    ((1, 1, 2, 1), (3, 2)),
    ((1, 1, 10, 7), (7, 10)),
    ((1, 1, 3, 3), (6, 9)),
]:
    x = picture(*shape)
    want = interpolated(x, size=(height, width), mode="nearest-exact")
    note = f"{shape[-2:]} to {height, width}"
    case(
        "resize_nearest_neighbor",
        "ios15",
        want,
        "exact",
        note,
        source="torch",
        x=x,
        target_size_height=I(height),
        target_size_width=I(width),
    )
    for mode in ["DEFAULT", "UNALIGN_CORNERS"]:
        case(
            "resize",
            "ios17",
            want,
            "exact",
            f"NEAREST_NEIGHBOR, {mode}, {note}",
            source="torch",
            x=x,
            shape=np.array([height, width], I),
            resized_dims=np.uint32(2),
            interpolation_mode="NEAREST_NEIGHBOR",
            sampling_mode=mode,
        )
# On the other grids, the nearest pixel is asked for where no sample lies halfway between two: there Core ML does not say.
for mode, (n, to) in [
    ("STRICT_ALIGN_CORNERS", (5, 4)),
    ("STRICT_ALIGN_CORNERS", (4, 6)),
    ("ALIGN_CORNERS", (5, 4)),
    ("ALIGN_CORNERS", (3, 1)),
    ("OFFSET_CORNERS", (4, 5)),
    ("OFFSET_CORNERS", (4, 4)),
]:
    x = picture(1, 2, n)
    want = x[..., np.rint(points(mode, n, to)).astype(int)]
    case(
        "resize",
        "ios17",
        want,
        "exact",
        f"NEAREST_NEIGHBOR, {mode}, {n} to {to}",
        source="numpy",
        x=x,
        shape=np.array([to], I),
        resized_dims=np.uint32(1),
        interpolation_mode="NEAREST_NEIGHBOR",
        sampling_mode=mode,
    )
x = np.array([0.37, 6.17], F).reshape(1, 1, 2, 1)
case(
    "resize_nearest_neighbor",
    "ios15",
    np.repeat(x, 3, 3),
    "exact",
    "the case of coremltools' test",
    source="coremltools",
    x=x,
    target_size_height=I(2),
    target_size_width=I(3),
)
x = picture(1, 1, 2, 2, dtype=H)
case(
    "resize_nearest_neighbor",
    "ios15",
    np.repeat(x, 2, 3),
    "exact",
    "fp16",
    source="numpy",
    x=x,
    target_size_height=I(2),
    target_size_width=I(4),
)
x = np.array([-6.174, 9.371], F).reshape(1, 1, 1, 2, 1)
want = np.array([-6.174, -6.174, 9.371, 9.371, 9.371, 9.371], F).reshape(1, 1, 1, 3, 2)
case(
    "resize",
    "ios17",
    want,
    "exact",
    "the case of coremltools' test, rank 5",
    source="coremltools",
    x=x,
    shape=np.array([1, 1, 3, 2], I),
    resized_dims=np.uint32(2),
    interpolation_mode="NEAREST_NEIGHBOR",
    sampling_mode="DEFAULT",
)
case(
    "resize",
    "ios17",
    np.array([[[0, 0.4, 0.8, 1, 1]]], F),
    "rel 1e-6",
    "the case of coremltools' test",
    source="coremltools",
    x=np.array([[[0, 1]]], F),
    shape=np.array([1, 1, 5], I),
    resized_dims=np.uint32(2),
    interpolation_mode="LINEAR",
    sampling_mode="DEFAULT",
)
case(
    "resize",
    "ios17",
    x,
    "exact",
    "0 is the size that x has",
    source="coremltools",
    x=x,
    shape=np.array([1, 0, 0, 0], I),
    resized_dims=np.uint32(3),
    interpolation_mode="LINEAR",
    sampling_mode="DEFAULT",
)
x = picture(2, 3, 4)
case(
    "resize",
    "ios17",
    stretched(x, (3, 5, 3), "ALIGN_CORNERS"),
    "rel 3e-7",
    "three dimensions",
    source="numpy",
    x=x,
    shape=np.array([3, 5, 3], np.uint16),
    resized_dims=np.uint32(3),
    sampling_mode="ALIGN_CORNERS",
)
case(
    "resize",
    "ios17",
    stretched(x, (2,), "DEFAULT"),
    "rel 3e-7",
    "one dimension, by a shape with numbers to spare, modes left out",
    source="numpy",
    x=x,
    shape=np.array([9, 9, 2], I),
    resized_dims=np.uint32(1),
)
case("resize", "ios17", x, "exact", "no dimension", source="numpy", x=x, shape=np.array([9], I), resized_dims=np.uint32(0))
x = np.array([[10, -20, 30]], I)
case(
    "resize",
    "ios17",
    np.array([[10, 10, -20, -20, 30, 30]], I),
    "exact",
    "NEAREST_NEIGHBOR, int32",
    source="numpy",
    x=x,
    shape=np.array([1, 6], I),
    resized_dims=np.uint32(1),
    interpolation_mode="NEAREST_NEIGHBOR",
    sampling_mode="DEFAULT",
)
x = picture(1, 1, 3, 2, dtype=H)
case(
    "resize",
    "ios17",
    interpolated(x, size=(5, 5), mode="bilinear"),
    "ulp 1",
    "fp16",
    source="torch",
    x=x,
    shape=np.array([5, 5], I),
    resized_dims=np.uint32(2),
    sampling_mode="UNALIGN_CORNERS",
)

for shape, factors, note in [
    ((1, 2, 3, 4), (2, 3), "whole factors"),
    ((2, 5, 10, 22), (2.5, 0.75), "factors of both kinds, as in coremltools' test"),
    ((1, 1, 4, 4), (0.5, 0.5), "shrinking"),
    ((1, 1, 3, 3), (1, 1), "nothing to do"),
    ((2, 3, 10), (1.0, 0.7), "10 times 0.7 are 7, rank 3"),
    ((1, 1, 1, 2), (3, 2.6), "a height of 1"),
]:
    x = picture(*shape)
    height, width = (int(np.floor(F(n) * F(f))) for n, f in zip(shape[-2:], factors))
    kind = I if all(isinstance(f, int) for f in factors) else F
    factors = {"scale_factor_height": kind(factors[0]), "scale_factor_width": kind(factors[1])}
    for align in [True, False]:
        want = interpolated(x, size=(height, width), mode="bilinear", align_corners=align)
        case(
            "upsample_bilinear",
            "ios15",
            want,
            "rel 3e-7",
            f"{note}, align_corners {align}",
            source="torch",
            x=x,
            **factors,
            align_corners=np.bool_(align),
        )
    want = stretched(x, (height, width), "DEFAULT")
    case(
        "upsample_bilinear",
        "ios16",
        want,
        "rel 3e-7",
        f"{note}, neither aligned nor half pixels",
        source="numpy",
        x=x,
        **factors,
        align_corners=np.bool_(False),
        half_pixel_centers=np.bool_(False),
    )
    want = interpolated(x, size=(height, width), mode="nearest")
    case("upsample_nearest_neighbor", "ios15", want, "exact", note, source="torch", x=x, **factors)
x = np.array([[[[1, 2]]]], F)
for align, half, line in [
    (True, False, [1, 1.2, 1.4, 1.6, 1.8, 2]),
    (False, True, [1, 1, 1.33334, 1.66667, 2, 2]),
    (False, False, [1, 1.33334, 1.66667, 2, 2, 2]),
    (True, None, [1, 1.2, 1.4, 1.6, 1.8, 2]),
    (False, None, [1, 1, 1.33334, 1.66667, 2, 2]),
]:
    case(
        "upsample_bilinear",
        "ios16",
        np.array([[[line, line]]], F),
        "rel 1e-5",
        f"the case of coremltools' test: align_corners {align}, half_pixel_centers {half}",
        source="coremltools",
        x=x,
        scale_factor_height=I(2),
        scale_factor_width=I(3),
        align_corners=np.bool_(align),
        half_pixel_centers=None if half is None else np.bool_(half),
    )
x = picture(1, 2, 2, 2, dtype=H)
case("upsample_bilinear", "ios15", x, "exact", "fp16, all parameters left out", source="numpy", x=x)
case("upsample_nearest_neighbor", "ios15", x, "exact", "fp16, all parameters left out", source="numpy", x=x)
x = np.array([1.5, -2.5, 3.5], F).reshape(1, 1, 1, 3)
for factors, line in [((3.17, 0.67), [1.5, -2.5] * 3), ((2.0, 1.12), [1.5, -2.5, 3.5] * 2)]:
    want = np.array(line, F).reshape(1, 1, int(factors[0]), -1)
    case(
        "upsample_nearest_neighbor",
        "ios15",
        want,
        "exact",
        "the case of coremltools' test",
        source="coremltools",
        x=x,
        scale_factor_height=F(factors[0]),
        scale_factor_width=F(factors[1]),
    )

# `resample` is PyTorch's grid_sample, for coordinates from -1 to 1. A value of padding other than 0 is put in by sampling the
# difference from it. Core ML's `reflection` mirrors at the centres of the outer pixels and `symmetric` at their outer edges,
# whatever `align_corners` says; PyTorch has the one with align_corners and the other without, so coordinates are converted.
PADDINGS = {"constant": "zeros", "border": "border"}


def resampled(x, at, sampling, padding, value, coordinates, align):
    """What grid_sample gives for these coordinates."""
    sizes = np.array([x.shape[3], x.shape[2]], np.float64)
    places = wide(at)
    if coordinates == "normalized_zero_to_one":
        places = places * 2 - 1
    if coordinates != "unnormalized":
        places = (places + 1) / 2 * (sizes - 1) if align else ((places + 1) * sizes - 1) / 2
    torch_aligns = padding != "symmetric"
    grid = places * 2 / np.maximum(sizes - 1, 1) - 1 if torch_aligns else (places * 2 + 1) / sizes - 1
    base = value if padding == "constant" else 0.0
    y = nn.grid_sample(
        t64(x) - base,
        torch.tensor(grid),
        mode=sampling,
        padding_mode=PADDINGS.get(padding, "reflection"),
        align_corners=torch_aligns,
    )
    return rounded(y.numpy() + base, x)


for sampling in ["bilinear", "nearest"]:
    for padding in ["constant", "border", "reflection", "symmetric"]:
        for coordinates in ["unnormalized", "normalized_minus_one_to_one", "normalized_zero_to_one"]:
            for align in [True, False]:
                x = picture(2, 2, 4, 5)
                # In units of pixels, some outside; never halfway between two, where each library rounds its own way.
                places = rng.integers(-40, 40, (2, 3, 4, 2)) / 8 + 1 / 32
                sizes = np.array([5, 4])
                at = places
                if coordinates != "unnormalized":
                    at = places / (sizes - 1) if align else (places + 0.5) / sizes
                    at = at if coordinates == "normalized_zero_to_one" else at * 2 - 1
                at, value = at.astype(F), F(1.5)
                want = resampled(x, at, sampling, padding, value, coordinates, align)
                case(
                    "resample",
                    "ios15",
                    want,
                    "exact" if sampling == "nearest" else "rel 1e-6",
                    f"{sampling}, {padding}, {coordinates}, align_corners {align}",
                    source="torch",
                    x=x,
                    coordinates=at,
                    sampling_mode=sampling,
                    padding_mode=padding,
                    padding_value=value,
                    coordinates_mode=coordinates,
                    align_corners=np.bool_(align),
                )
x = np.array([11, 22, 33, 44], F).reshape(1, 1, 2, 2)
at = np.array([-1, -2, -3.7, -1, 0, 0, 3.5, 1.2], F).reshape(1, 2, 2, 2)
whole = np.array([0, 0, 1, 1, 0, 0, 1, 1]).reshape(1, 2, 2, 2)
for sampling, padding, value, coordinates, align, line, of_whole in [
    ("bilinear", "constant", 6.17, "normalized_minus_one_to_one", True, [8.585, 6.17, 27.5, 6.17], [27.5, 44, 27.5, 44]),
    ("nearest", "border", -1, "unnormalized", False, [11, 11, 11, 44], [11, 44, 11, 44]),
    ("bilinear", "reflection", -1, "normalized_zero_to_one", True, [22, 36.3, 11, 34.1], [11, 44, 11, 44]),
    ("nearest", "symmetric", -1, "normalized_zero_to_one", False, [22, 33, 11, 33], [11, 44, 11, 44]),
]:
    modes = {
        "sampling_mode": sampling,
        "padding_mode": padding,
        "padding_value": F(value),
        "coordinates_mode": coordinates,
        "align_corners": np.bool_(align),
    }
    want, note = np.array(line, F).reshape(1, 1, 2, 2), f"the case of coremltools' test: {sampling}, {padding}"
    case("resample", "ios15", want, "rel 1e-6", note, source="coremltools", x=x, coordinates=at, **modes)
    case(
        "resample",
        "ios16",
        want,
        "rel 2e-3",
        note + ", coordinates of fp16",
        source="coremltools",
        x=x,
        coordinates=at.astype(H),
        **modes,
    )
    want = np.array(of_whole, F).reshape(1, 1, 2, 2)
    case(
        "resample",
        "ios15",
        want,
        "rel 1e-6",
        note + ", coordinates of int32",
        source="coremltools",
        x=x,
        coordinates=whole.astype(I),
        **modes,
    )
    for dtype in [np.int8, np.uint8, np.int16, np.uint16]:
        case(
            "resample",
            "ios17",
            want,
            "rel 1e-6",
            f"{note}, coordinates of {np.dtype(dtype)}",
            source="coremltools",
            x=x,
            coordinates=whole.astype(dtype),
            **modes,
        )

# `affine` is PyTorch's affine_grid and grid_sample.
for shape, count, height, width, dtype, note in [
    ((2, 3, 4, 5), 2, 3, 4, F, "a matrix for each image"),
    ((2, 1, 3, 3), 1, 5, 2, F, "one matrix for all images"),
    ((1, 2, 4, 4), 1, 4, 4, H, "fp16"),
    ((1, 1, 2, 2), 1, 1, 1, F, "one pixel, which lies in the middle"),
]:
    x = picture(*shape, dtype=dtype)
    matrix = rng.uniform(-1.2, 1.2, (count, 6)).astype(dtype)
    grid = nn.affine_grid(
        t64(matrix).reshape(count, 2, 3).expand(shape[0], 2, 3), (*shape[:2], height, width), align_corners=True
    )
    want = rounded(nn.grid_sample(t64(x), grid, padding_mode="zeros", align_corners=True).numpy(), x)
    case(
        "affine",
        "ios15",
        want,
        "rel 1e-6" if dtype == F else "ulp 1",
        note,
        source="torch",
        x=x,
        transform_matrix=matrix,
        output_height=I(height),
        output_width=I(width),
        sampling_mode="bilinear",
        padding_mode="constant",
        padding_value=dtype(0),
        coordinates_mode="normalized_minus_one_to_one",
        align_corners=np.bool_(True),
    )
x, matrix = np.array([11, 22, 33, 44], F).reshape(1, 1, 2, 2), np.array([[-1, -2, -3.7, -1, 3.5, 1.2]], F)
for height, width, values in [
    (3, 3, [10.752501, 2.5025, 0, 1.9799997, 0, 0, 0, 0, 0]),
    (2, 5, [10.752501, 5.94, 2.5025, 0.44000006, 0, 0, 0, 0, 0, 0]),
]:
    case(
        "affine",
        "ios15",
        np.array(values, F).reshape(1, 1, height, width),
        "rel 1e-6",
        "the case of coremltools' test",
        source="coremltools",
        x=x,
        transform_matrix=matrix,
        output_height=I(height),
        output_width=I(width),
        sampling_mode="bilinear",
        padding_mode="constant",
        padding_value=F(0),
        coordinates_mode="normalized_minus_one_to_one",
        align_corners=np.bool_(True),
    )
unit = np.array([[1, 0, 0, 0, 1, 0]], F)
x = picture(1, 2, 3, 3)
for align in [True, False]:
    case(
        "affine",
        "ios15",
        x,
        "rel 1e-6",
        f"the matrix that changes nothing, align_corners {align}",
        source="numpy",
        x=x,
        transform_matrix=unit,
        output_height=I(3),
        output_width=I(3),
        sampling_mode="bilinear",
        padding_mode="constant",
        padding_value=F(0),
        coordinates_mode="normalized_minus_one_to_one",
        align_corners=np.bool_(align),
    )


def crops(x, boxes, images, height, width, mode, box_mode="CORNERS_HEIGHT_FIRST", normalized=False, scale=1.0, pad=0.0):
    """Boxes cut out of images: between pixels inside an image, `pad` where a sample lies outside.

    A box is a line of pixels from its start to its end on each axis, on which samples lie as in `resize_bilinear`; one that ends
    before it starts is walked backwards. One number of coremltools' tests is left out, since no reading of the documentation gives
    it: with UNALIGN_CORNERS, a box from 2 to 1 in coordinates from 0 to 1 is said to give the whole image there.
    """
    found = []
    for box, image in zip(wide(boxes), images):
        h, w = (box[[0, 2]], box[[1, 3]]) if "HEIGHT" in box_mode else (box[[1, 3]], box[[0, 2]])
        lines, inside = [], []
        for (a, b), size, count in [(h, x.shape[2], height), (w, x.shape[3], width)]:
            start, end = (a - b / 2, a + b / 2) if "CENTER" in box_mode else (a, b)
            start, end = (v * scale * (size - 1 if normalized else 1) for v in (start, end))
            at = start + np.sign(end - start) * points(mode, abs(end - start) + 1, count)
            inside.append((at >= 0) & (at <= size - 1))
            lines.append(at)
        y = along(along(wide(x[image]), 1, lines[0]), 2, lines[1])
        found.append(np.where(inside[0][:, None] & inside[1], y, pad))
    return rounded(np.array(found), x)


def crop(opset, x, boxes, images, height, width, note, **rest):
    """A case of iOS 15 or 16, with `roi`, or of iOS 17, with `boxes`."""
    mode = rest.get("sampling_mode", "DEFAULT")
    known = {
        "box_mode": "box_coordinate_mode",
        "normalized": "normalized_coordinates",
        "scale": "spatial_scale",
        "pad": "pad_value",
    }
    want = crops(
        x,
        boxes,
        images or range(len(boxes)),
        height,
        width,
        mode,
        **{k: wide(rest[p])[()] if k in ("scale", "pad") else rest[p] for k, p in known.items() if p in rest},
    )
    sizes = {"target_height": I(height), "target_width": I(width)}
    if opset == "ios17":
        given = {"boxes": boxes, "box_indices": None if images is None else np.array(images, I)}
    else:
        roi = np.concatenate([np.array(images, boxes.dtype)[:, None], boxes], 1)
        given, want = {"roi": roi.reshape(len(boxes), 1, 5, 1, 1)}, want[:, None]
    case(
        "crop_resize", opset, want, "rel 1e-6" if x.dtype == F else "ulp 1", note, source="numpy", x=x, **given, **sizes, **rest
    )


x = np.arange(1, 17, dtype=F).reshape(1, 1, 4, 4)
wild = np.array([[0.1, 0.3, 1.3, 1], [0.5, 1.8, 1, 0.3], [0, 0.4, 0.6, 0.7]], F)
for opset, boxes, images, height, values, rest, note in [
    ("ios15", [[1, 1, 2, 2]], None, 2, [6, 7, 10, 11], {}, "a box of four pixels"),
    (
        "ios15",
        [[1, 1, 2, 2]],
        None,
        4,
        [
            6,
            6.333333,
            6.66666,
            7,
            7.333333,
            7.666666,
            8,
            8.333333,
            8.666666,
            9,
            9.3333333,
            9.666666,
            10,
            10.333333,
            10.666666,
            11,
        ],
        {},
        "stretched",
    ),
    ("ios15", [[1, 1, 2, 2]], None, 1, [8.5], {}, "one pixel, the middle"),
    (
        "ios15",
        [[0, 0, 1 / 3, 1 / 3]],
        [0],
        2,
        [1, 2, 5, 6],
        {"normalized_coordinates": np.bool_(True)},
        "coordinates from 0 to 1, the number of the image",
    ),
    ("ios15", [[2, 2, 1, 1]], None, 2, [11, 10, 7, 6], {}, "an inverted box"),
    (
        "ios16",
        wild,
        [0, 0, 0],
        2,
        [3.1, 5.2, 10, 10, 10, 7.899, 10, 13.9, 2.2, 3.1, 9.4, 10.3],
        {"normalized_coordinates": np.bool_(True), "pad_value": F(10)},
        "boxes beyond the image, padded with 10",
    ),
    ("ios17", [[1, 1, 2, 2]], None, 2, [6, 7, 10, 11], {"pad_value": F(10)}, "a box of four pixels"),
    (
        "ios17",
        wild,
        [0, 0, 0],
        2,
        [3.1, 5.2, 10, 10, 10, 7.899, 10, 13.9, 2.2, 3.1, 9.4, 10.3],
        {"normalized_coordinates": np.bool_(True), "pad_value": F(10)},
        "boxes beyond the image",
    ),
]:
    boxes = np.array(boxes, F)
    want = np.array(values, F).reshape(len(boxes), *([1, 1] if opset != "ios17" else [1]), height, height)
    if opset == "ios17":
        given = {"boxes": boxes, "box_indices": None if images is None else np.array(images, I)}
    elif images is None:
        given = {"roi": boxes.reshape(len(boxes), 1, 4, 1, 1)}
    else:
        given = {"roi": np.concatenate([np.array(images, F)[:, None], boxes], 1).reshape(len(boxes), 1, 5, 1, 1)}
    case(
        "crop_resize",
        opset,
        want,
        "rel 1e-4",
        f"the case of coremltools' test: {note}",
        source="coremltools",
        x=x,
        **given,
        target_height=I(height),
        target_width=I(height),
        sampling_mode="ALIGN_CORNERS",
        **rest,
    )
x = picture(2, 2, 6, 5)
corners = np.array([[1, 0.5, 4, 3.5], [0, 0, 5, 4], [2.25, 1, 2.25, 3]], F)
for mode in MODES:
    for opset in ["ios15", "ios17"]:
        crop(opset, x, corners, [1, 0, 1], 3, 4, f"{mode}, three boxes of two images, one without height", sampling_mode=mode)
        crop(opset, x, corners, [0, 0, 1], 1, 1, f"{mode}, one pixel of each box", sampling_mode=mode)
for box_mode, boxes in [
    ("CORNERS_WIDTH_FIRST", [[0.5, 1, 3.5, 4]]),
    ("CENTER_SIZE_HEIGHT_FIRST", [[2.5, 2, 3, 2]]),
    ("CENTER_SIZE_WIDTH_FIRST", [[2, 2.5, 2, 3]]),
]:
    for opset in ["ios16", "ios17"]:
        crop(
            opset,
            x,
            np.array(boxes, F),
            [1],
            3,
            2,
            box_mode,
            box_coordinate_mode=box_mode,
            sampling_mode="STRICT_ALIGN_CORNERS",
        )
crop(
    "ios17",
    x,
    np.array([[2, 1, 6, 4]], F),
    None,
    2,
    2,
    "boxes scaled by a half, no indices",
    spatial_scale=F(0.5),
    sampling_mode="UNALIGN_CORNERS",
)
for opset in ["ios15", "ios16"]:
    crop(
        opset,
        x,
        np.array([[4, 2, 2, 6]], F),
        [1],
        2,
        2,
        "a box scaled by a half, width first",
        spatial_scale=F(0.5),
        box_coordinate_mode="CORNERS_WIDTH_FIRST",
        sampling_mode="STRICT_ALIGN_CORNERS",
    )
crop(
    "ios17",
    x,
    np.array([[0.25, 0.25, 0.75, 0.5]], H),
    [1],
    2,
    3,
    "boxes of fp16, from 0 to 1",
    normalized_coordinates=np.bool_(True),
    sampling_mode="ALIGN_CORNERS",
)
crop(
    "ios17",
    x,
    np.array([[-1, -1, 3, 3]], F),
    [0],
    5,
    5,
    "samples outside are the padding",
    pad_value=F(-9),
    sampling_mode="STRICT_ALIGN_CORNERS",
)
crop(
    "ios16",
    picture(1, 3, 4, 4, dtype=H),
    np.array([[0, 1, 3, 2]], H),
    [0],
    2,
    2,
    "fp16, and the padding of fp16",
    pad_value=H(2),
    sampling_mode="ALIGN_CORNERS",
)
whole = np.array([[1, 0, 4, 3]], np.uint16)
case(
    "crop_resize",
    "ios17",
    x[1:, :, 1:5, 0:4],
    "exact",
    "boxes and indices of uint16",
    source="numpy",
    x=x,
    boxes=whole,
    box_indices=np.array([1], np.uint16),
    target_height=I(4),
    target_width=I(4),
    sampling_mode="ALIGN_CORNERS",
)
roi = corners[:2].reshape(2, 1, 4, 1, 1)
want = np.stack([crops(x, np.repeat(box[None], 2, 0), [0, 1], 2, 2, "ALIGN_CORNERS") for box in corners[:2]])
case(
    "crop_resize",
    "ios15",
    want,
    "rel 1e-6",
    "boxes without the number of an image are cut out of each",
    source="numpy",
    x=x,
    roi=roi,
    target_height=I(2),
    target_width=I(2),
    sampling_mode="ALIGN_CORNERS",
)
case(
    "crop_resize",
    "ios17",
    np.zeros((0, 2, 1, 1), F),
    "exact",
    "no boxes",
    source="numpy",
    x=x,
    boxes=np.zeros((0, 4), F),
    box_indices=np.zeros(0, I),
)
