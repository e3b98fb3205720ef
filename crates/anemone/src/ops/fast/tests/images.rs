//! Images.

use super::*;
use crate::ops::testing::ints as whole;

const GRIDS: [&str; 5] =
    ["DEFAULT", "STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "OFFSET_CORNERS", "UNALIGN_CORNERS"];

fn single(value: f64) -> Datum {
    Tensor::scalar(Fp32, value).into()
}

#[test]
fn resized() {
    for dtype in FLOATS {
        let x = ("x", spread(dtype, &[2, 3, 7, 10], 9.0, 1));
        for (height, width) in [(7, 10), (14, 10), (3, 25), (1, 1), (20, 4)] {
            let size = [("target_size_height", int(height)), ("target_size_width", int(width))];
            agree("resize_nearest_neighbor", Ios15, &[std::slice::from_ref(&x), &size[..]].concat());
            for grid in GRIDS {
                let mode = [("sampling_mode", word(grid))];
                agree("resize_bilinear", Ios15, &[std::slice::from_ref(&x), &size[..], &mode].concat());
                for (way, dims) in [("LINEAR", 2), ("NEAREST_NEIGHBOR", 2), ("LINEAR", 4)] {
                    let to = [0, 4, height, width];
                    let rest = [
                        ("shape", ints(&to[4 - dims..])),
                        ("resized_dims", whole(UInt32, &[], &[dims as i64])),
                        ("interpolation_mode", word(way)),
                    ];
                    agree("resize", Ios17, &[std::slice::from_ref(&x), &rest[..], &mode].concat());
                }
            }
        }
        for (height, width) in [(2.0, 3.0), (1.5, 0.7), (1.0, 1.0)] {
            let factors = [("scale_factor_height", single(height)), ("scale_factor_width", single(width))];
            agree("upsample_nearest_neighbor", Ios15, &[std::slice::from_ref(&x), &factors[..]].concat());
            for align in [false, true] {
                let align = [("align_corners", bool(align))];
                agree("upsample_bilinear", Ios15, &[std::slice::from_ref(&x), &factors[..], &align].concat());
            }
        }
    }
}

#[test]
fn sampled() {
    for dtype in FLOATS {
        let x = ("x", spread(dtype, &[2, 3, 7, 10], 9.0, 1));
        let places = ("coordinates", spread(Fp32, &[2, 5, 6, 2], 1.3, 2));
        let pixels = ("coordinates", spread(Fp32, &[2, 5, 6, 2], 12.0, 2));
        for padding in ["constant", "border", "reflection", "symmetric"] {
            for way in ["bilinear", "nearest"] {
                for (at, mode) in [(&places, "normalized_minus_one_to_one"), (&pixels, "unnormalized")] {
                    let rest = [
                        ("sampling_mode", word(way)),
                        ("padding_mode", word(padding)),
                        ("padding_value", Datum::from(Tensor::scalar(dtype, 5.0))),
                        ("coordinates_mode", word(mode)),
                        ("align_corners", bool(true)),
                    ];
                    agree("resample", Ios15, &[&[x.clone(), at.clone()], &rest[..]].concat());
                }
            }
        }
        for rows in [1, 2] {
            let args = [
                x.clone(),
                ("transform_matrix", spread(dtype, &[rows, 6], 1.0, 3)),
                ("output_height", int(5)),
                ("output_width", int(8)),
                ("sampling_mode", word("bilinear")),
                ("padding_mode", word("constant")),
                ("padding_value", Datum::from(Tensor::scalar(dtype, 0.0))),
                ("coordinates_mode", word("normalized_minus_one_to_one")),
                ("align_corners", bool(rows == 1)),
            ];
            agree("affine", Ios15, &args);
        }
        let corners = [0.0, 0.1, 0.5, 0.9, -0.2, 0.3, 1.1, 0.8, 0.4, 0.4, 0.4, 0.9];
        let boxes = Tensor::from_f64s(dtype, &[3, 4], &corners).expect("three boxes");
        for grid in GRIDS {
            let rest = [
                ("target_height", int(4)),
                ("target_width", int(5)),
                ("normalized_coordinates", bool(true)),
                ("sampling_mode", word(grid)),
            ];
            let indices = ("box_indices", ints(&[1, 0, 1]));
            let args = [x.clone(), ("boxes", boxes.clone().into()), indices];
            agree("crop_resize", Ios17, &[&args[..], &rest].concat());
            let roi = boxes.reshaped(&[3, 1, 4, 1, 1]).expect("three boxes");
            agree("crop_resize", Ios16, &[&[x.clone(), ("roi", roi.into())], &rest[..]].concat());
        }
    }
}
