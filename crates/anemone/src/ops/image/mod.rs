//! Images: `resize` and its older kin, and sampling at computed places (`resample`, `affine`, `crop_resize`).
//!
//! Places and weights are computed in f64, and every result is rounded once. What coremltools leaves open follows
//! its own tests, which were recorded on Apple's engines.

mod resize;
mod sample;
#[cfg(test)]
mod tests;

use super::row::*;

const SCALE: &[DType] = &[Fp32, Int32];

const UPSAMPLE_BILINEAR: &[Edition] = &[
    edition(
        Ios15,
        &[
            tensor("x", FLOATS).domain('T'),
            tensor("scale_factor_height", SCALE).domain('U').constant().or(Int(1)),
            tensor("scale_factor_width", SCALE).domain('U').constant().or(Int(1)),
            tensor("align_corners", BOOL).constant().or(Bool(true)),
        ],
    ),
    edition(
        Ios16,
        &[
            tensor("x", FLOATS).domain('T'),
            tensor("scale_factor_height", SCALE).domain('U').constant().or(Int(1)),
            tensor("scale_factor_width", SCALE).domain('U').constant().or(Int(1)),
            tensor("align_corners", BOOL).constant().or(Bool(true)),
            // The opposite of `align_corners`.
            tensor("half_pixel_centers", BOOL).constant().or(Absent),
        ],
    ),
];

const UPSAMPLE_NEAREST: &[Edition] = &[edition(
    Ios15,
    &[
        tensor("x", FLOATS).domain('T'),
        tensor("scale_factor_height", SCALE).domain('U').constant().or(Int(1)),
        tensor("scale_factor_width", SCALE).domain('U').constant().or(Int(1)),
    ],
)];

const RESIZE_BILINEAR: &[Edition] = &[edition(
    Ios15,
    &[
        tensor("x", FLOATS).domain('T'),
        tensor("target_size_height", I32).constant().or(Int(1)),
        tensor("target_size_width", I32).constant().or(Int(1)),
        tensor("sampling_mode", STR).constant().or(Str("DEFAULT")),
    ],
)];

const RESIZE_NEAREST: &[Edition] = &[edition(
    Ios15,
    &[
        tensor("x", FLOATS).domain('T'),
        tensor("target_size_height", I32).constant(),
        tensor("target_size_width", I32).constant(),
    ],
)];

const RESIZE: &[Edition] = &[edition(
    Ios17,
    &[
        tensor("x", NUMS).domain('T'),
        tensor("shape", &[Int32, Int16, UInt16, UInt32]).domain('U'),
        tensor("resized_dims", &[UInt32]).constant(),
        tensor("interpolation_mode", STR).constant().or(Str("LINEAR")),
        tensor("sampling_mode", STR).constant().or(Str("DEFAULT")),
    ],
)];

/// The parameters of `resample`, with coordinates of these dtypes.
macro_rules! resample {
    ($coordinates:expr) => {
        &[
            tensor("x", FLOATS).domain('T'),
            tensor("coordinates", $coordinates).domain('U'),
            tensor("sampling_mode", STR).constant(),
            tensor("padding_mode", STR).constant(),
            tensor("padding_value", FLOATS).domain('T').constant(),
            tensor("coordinates_mode", STR).constant(),
            tensor("align_corners", BOOL).constant(),
        ]
    };
}

const RESAMPLE: &[Edition] = &[
    edition(Ios15, resample!(&[Int32, Fp32])),
    edition(Ios16, resample!(NUMS)),
    edition(Ios17, resample!(NUMS17)),
];

const AFFINE: &[Edition] = &[edition(
    Ios15,
    &[
        tensor("x", FLOATS).domain('T'),
        tensor("transform_matrix", FLOATS).domain('T'),
        tensor("output_height", I32).constant(),
        tensor("output_width", I32).constant(),
        tensor("sampling_mode", STR).constant(),
        tensor("padding_mode", STR).constant(),
        tensor("padding_value", FLOATS).domain('T').constant(),
        tensor("coordinates_mode", STR).constant(),
        tensor("align_corners", BOOL).constant(),
    ],
)];

const CROP_RESIZE: &[Edition] = &[
    edition(
        Ios15,
        &[
            tensor("x", FLOATS).domain('T'),
            tensor("roi", FLOATS).domain('T'),
            tensor("target_height", I32).constant().or(Int(1)),
            tensor("target_width", I32).constant().or(Int(1)),
            tensor("normalized_coordinates", BOOL).constant().or(Bool(false)),
            tensor("spatial_scale", F32).constant().or(Float(1.0)),
            tensor("box_coordinate_mode", STR).constant().or(Str("CORNERS_HEIGHT_FIRST")),
            tensor("sampling_mode", STR).constant().or(Str("DEFAULT")),
        ],
    ),
    edition(
        Ios16,
        &[
            tensor("x", FLOATS).domain('T'),
            tensor("roi", FLOATS).domain('T'),
            tensor("target_height", I32).constant().or(Int(1)),
            tensor("target_width", I32).constant().or(Int(1)),
            tensor("normalized_coordinates", BOOL).constant().or(Bool(false)),
            tensor("spatial_scale", F32).constant().or(Float(1.0)),
            tensor("box_coordinate_mode", STR).constant().or(Str("CORNERS_HEIGHT_FIRST")),
            tensor("sampling_mode", STR).constant().or(Str("DEFAULT")),
            tensor("pad_value", FLOATS).domain('T').constant().or(Float(0.0)),
        ],
    ),
    edition(
        Ios17,
        &[
            tensor("x", FLOATS).domain('T'),
            tensor("boxes", &[Fp16, Fp32, UInt16]).domain('B'),
            // The first image for the first box, and so on.
            tensor("box_indices", &[UInt16, Int32]).domain('C').or(Absent),
            tensor("target_height", I32).constant().or(Int(1)),
            tensor("target_width", I32).constant().or(Int(1)),
            tensor("normalized_coordinates", BOOL).constant().or(Bool(false)),
            tensor("spatial_scale", F32).constant().or(Float(1.0)),
            tensor("box_coordinate_mode", STR).constant().or(Str("CORNERS_HEIGHT_FIRST")),
            tensor("sampling_mode", STR).constant().or(Str("DEFAULT")),
            tensor("pad_value", FLOATS).domain('T').constant().or(Float(0.0)),
        ],
    ),
];

/// A word of a parameter that takes one of a few.
fn word<T: Copy>(args: &Args<'_>, param: &'static str, words: &[(&str, T)]) -> Result<T, Fault> {
    let given = args.str(param).ok_or_else(|| super::window::not_known(args, param))?;
    words.iter().find(|(w, _)| *w == given).map(|w| w.1).ok_or_else(|| {
        let known: Vec<_> = words.iter().map(|(w, _)| format!("`{w}`")).collect();
        Fault::of(
            param,
            &codes::BAD_VALUE,
            format!("`{param}` of `{}` is `{given}`, which is not one of its words", args.op.name),
        )
        .help(format!("use {}", known.join(", ")))
    })
}

/// A size that a parameter states.
fn size(args: &Args<'_>, param: &'static str) -> Result<u64, Fault> {
    let given = args.int(param).ok_or_else(|| super::window::not_known(args, param))?;
    u64::try_from(given).ok().filter(|&n| n > 0).ok_or_else(|| {
        Fault::of(
            param,
            &codes::BAD_VALUE,
            format!("`{param}` of `{}` is {given}, where 1 is the least", args.op.name),
        )
    })
}

/// The type of a tensor argument of this rank.
fn ranked<'a>(args: &Args<'a>, param: &'static str, rank: usize) -> Result<&'a TensorType, Fault> {
    let ty = args.ty(param)?;
    if ty.rank() == rank {
        return Ok(ty);
    }
    Err(Fault::of(
        param,
        &codes::WRONG_RANK,
        format!("`{param}` of `{}` has {} dimensions, where the op takes {rank}", args.op.name, ty.rank()),
    ))
}

/// How a grid of samples lies on a line of pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Grid {
    /// The first and last samples are the first and last pixels; a single sample is the first pixel.
    Strict,
    /// The same, but a single sample lies in the middle.
    Align,
    /// The first sample is the first pixel, and as much room follows each sample.
    Default,
    /// Samples in the middle of equal parts of the line between the centres of the first and last pixel.
    Offset,
    /// Samples in the middle of equal parts of the line between the outer edges of the first and last pixel.
    Unalign,
}

impl Grid {
    fn read(args: &Args<'_>) -> Result<Self, Fault> {
        word(
            args,
            "sampling_mode",
            &[
                ("DEFAULT", Grid::Default),
                ("STRICT_ALIGN_CORNERS", Grid::Strict),
                ("ALIGN_CORNERS", Grid::Align),
                ("OFFSET_CORNERS", Grid::Offset),
                ("UNALIGN_CORNERS", Grid::Unalign),
            ],
        )
    }

    /// Sample `i` of `count` on a line whose last pixel lies at `last` and whose first lies at 0.
    fn point(self, i: usize, count: usize, last: f64) -> f64 {
        let (at, count) = (i as f64, count as f64);
        let point = match self {
            Grid::Strict | Grid::Align if count > 1.0 => at * last / (count - 1.0),
            Grid::Strict => 0.0,
            Grid::Align => last / 2.0,
            Grid::Default => at * (last + 1.0) / count,
            Grid::Offset => (at + 0.5) * last.max(1.0) / count,
            Grid::Unalign => (at + 0.5) * (last + 1.0) / count - 0.5,
        };
        point.max(0.0).min(last)
    }
}

/// A row of this family.
const fn image(
    name: &'static str,
    summary: &'static str,
    editions: &'static [Edition],
    infer: crate::mil::op::Infer,
    compute: crate::mil::op::Compute,
    fast: Prepare,
    tolerance: Tolerance,
) -> Op {
    Op {
        name,
        summary,
        editions,
        results: Results::Exactly(1),
        infer,
        meaning: Meaning::Compute(compute),
        fast: Fast::Prepared(fast),
        tolerance,
        scalar: Scalar::None,
    }
}

pub(super) static OPS: &[Op] = &[
    image(
        "resize",
        "the last dimensions stretched or shrunk to a shape",
        RESIZE,
        resize::infer_resize,
        resize::compute_resize,
        resize::fast_resize,
        Tolerance::Sum(8),
    ),
    image(
        "resize_bilinear",
        "an image stretched or shrunk to a size, between its pixels",
        RESIZE_BILINEAR,
        resize::infer_to_size,
        resize::compute_bilinear,
        resize::fast_bilinear,
        Tolerance::Sum(8),
    ),
    image(
        "resize_nearest_neighbor",
        "an image stretched or shrunk to a size, by its nearest pixels",
        RESIZE_NEAREST,
        resize::infer_to_size,
        resize::compute_nearest,
        resize::fast_nearest,
        Tolerance::Exact,
    ),
    image(
        "upsample_bilinear",
        "an image stretched or shrunk by factors, between its pixels",
        UPSAMPLE_BILINEAR,
        resize::infer_by_factor,
        resize::compute_bilinear,
        resize::fast_bilinear,
        Tolerance::Sum(8),
    ),
    image(
        "upsample_nearest_neighbor",
        "an image stretched or shrunk by factors, by its pixels",
        UPSAMPLE_NEAREST,
        resize::infer_by_factor,
        resize::compute_nearest,
        resize::fast_nearest,
        Tolerance::Exact,
    ),
    image(
        "resample",
        "an image sampled at coordinates",
        RESAMPLE,
        sample::infer_resample,
        sample::compute,
        sample::fast,
        Tolerance::Sum(8),
    ),
    image(
        "affine",
        "an image rotated, scaled, sheared and moved",
        AFFINE,
        sample::infer_affine,
        sample::compute,
        sample::fast,
        Tolerance::Sum(8),
    ),
    image(
        "crop_resize",
        "boxes cut out of images and resized",
        CROP_RESIZE,
        sample::infer_crop_resize,
        sample::compute,
        sample::fast,
        Tolerance::Sum(8),
    ),
];
