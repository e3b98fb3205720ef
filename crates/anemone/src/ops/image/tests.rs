//! Images against the numbers of coremltools' documentation and of its tests, which ran on Apple's engines.

use super::*;
use crate::ops::testing::{arg, count, infer, refuse, tensors, words};

#[track_caller]
fn near(found: &Tensor, shape: &[usize], values: &[f64]) {
    assert_eq!(found.shape(), shape);
    let found = found.to_f64s();
    for (y, v) in found.iter().zip(values) {
        assert!(y == v || (y - v).abs() < 1e-5 * v.abs().max(1.0), "{found:?} where {values:?} is expected");
    }
    assert_eq!(found.len(), values.len());
}

/// Runs an op of `x`, which counts from 0.
#[track_caller]
fn check(op: &str, x: &[usize], rest: &str, shape: &[usize], values: &[f64]) {
    let from_zero: Vec<f64> = (0..x.iter().product::<usize>()).map(|v| v as f64).collect();
    let mut arguments = vec![("x", arg(Fp32, x, &from_zero))];
    arguments.extend(words(rest));
    let opset = crate::ops::find(op).unwrap().editions.last().unwrap().since;
    near(&tensors(op, opset, &arguments).unwrap()[0], shape, values);
}

#[test]
#[rustfmt::skip]
fn bilinear() {
    // The grid points of the documentation, for two pixels.
    let line = |mode: &str, n: usize, values: &[f64]| {
        let rest = format!("target_size_width={n} sampling_mode={mode}");
        check("resize_bilinear", &[1, 1, 2], &rest, &[1, 1, n], values);
    };
    line("UNALIGN_CORNERS", 5, &[0.0, 0.1, 0.5, 0.9, 1.0]);
    line("STRICT_ALIGN_CORNERS", 5, &[0.0, 0.25, 0.5, 0.75, 1.0]);
    line("ALIGN_CORNERS", 5, &[0.0, 0.25, 0.5, 0.75, 1.0]);
    line("DEFAULT", 5, &[0.0, 0.4, 0.8, 1.0, 1.0]);
    line("OFFSET_CORNERS", 5, &[0.1, 0.3, 0.5, 0.7, 0.9]);
    line("UNALIGN_CORNERS", 6, &[0.0, 0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0, 1.0]);
    line("STRICT_ALIGN_CORNERS", 6, &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
    line("DEFAULT", 6, &[0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0, 1.0, 1.0]);
    line("OFFSET_CORNERS", 6, &[1.0 / 12.0, 0.25, 5.0 / 12.0, 7.0 / 12.0, 0.75, 11.0 / 12.0]);
    line("STRICT_ALIGN_CORNERS", 1, &[0.0]);
    line("ALIGN_CORNERS", 1, &[0.5]);
    line("DEFAULT", 1, &[0.0]);
    line("OFFSET_CORNERS", 1, &[0.5]);
    line("UNALIGN_CORNERS", 1, &[0.5]);
    check("resize_bilinear", &[1, 2, 2], "target_size_height=3 target_size_width=3 sampling_mode=ALIGN_CORNERS", &[1, 3, 3],
        &[0.0, 0.5, 1.0, 1.0, 1.5, 2.0, 2.0, 2.5, 3.0]);
    check("resize_bilinear", &[2, 1, 1, 4], "target_size_width=2", &[2, 1, 1, 2], &[0.0, 2.0, 4.0, 6.0]);
    check("resize_bilinear", &[0, 1, 4], "target_size_width=2", &[0, 1, 2], &[]);
    check("upsample_bilinear", &[1, 1, 2], "scale_factor_width=2", &[1, 1, 4], &[0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]);
    check("upsample_bilinear", &[1, 1, 2], "scale_factor_width=2.5 align_corners=false", &[1, 1, 5], &[0.0, 0.1, 0.5, 0.9, 1.0]);
    check("upsample_bilinear", &[1, 1, 2], "scale_factor_width=2.5 align_corners=false half_pixel_centers=false", &[1, 1, 5], &[0.0, 0.4, 0.8, 1.0, 1.0]);
    check("upsample_bilinear", &[1, 2, 1], "scale_factor_height=1.5 scale_factor_width=3.0", &[1, 3, 3],
        &[0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0]);
}

#[test]
#[rustfmt::skip]
fn nearest() {
    let upsample = "upsample_nearest_neighbor";
    check(upsample, &[1, 1, 3], "scale_factor_height=1.0 scale_factor_width=1.0", &[1, 1, 3], &[0.0, 1.0, 2.0]);
    check(upsample, &[1, 1, 1, 3], "scale_factor_height=3.17 scale_factor_width=0.67", &[1, 1, 3, 2], &[0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
    check(upsample, &[1, 1, 1, 3], "scale_factor_height=2.0 scale_factor_width=1.12", &[1, 1, 2, 3], &[0.0, 1.0, 2.0, 0.0, 1.0, 2.0]);
    check(upsample, &[1, 2, 2], "scale_factor_height=2 scale_factor_width=2", &[1, 4, 4],
        &[0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 2.0, 2.0, 3.0, 3.0]);
    check(upsample, &[1, 1, 2], "scale_factor_width=1.5", &[1, 1, 3], &[0.0, 0.0, 1.0]);
    check(upsample, &[1, 1, 10], "scale_factor_width=0.7", &[1, 1, 7], &[0.0, 1.0, 2.0, 4.0, 5.0, 7.0, 8.0]);
    let resize = "resize_nearest_neighbor";
    check(resize, &[1, 1, 2], "target_size_height=1 target_size_width=3", &[1, 1, 3], &[0.0, 1.0, 1.0]);
    check(resize, &[1, 2, 1], "target_size_height=3 target_size_width=2", &[1, 3, 2], &[0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
    check(resize, &[1, 1, 4], "target_size_height=1 target_size_width=2", &[1, 1, 2], &[1.0, 3.0]);
    check(resize, &[2, 1, 1, 2], "target_size_height=2 target_size_width=1", &[2, 1, 2, 1], &[1.0, 1.0, 3.0, 3.0]);
}

#[test]
#[rustfmt::skip]
fn resizes_to_a_shape() {
    let resize = |x: Datum, shape: &[f64], dims: f64, rest: &str| {
        let shape = arg(UInt16, &[shape.len()], shape);
        let dims = Tensor::scalar(UInt32, dims).into();
        let mut arguments = vec![("x", x), ("shape", shape), ("resized_dims", dims)];
        arguments.extend(words(rest));
        tensors("resize", Ios17, &arguments).unwrap().remove(0)
    };
    let x = || arg(Fp32, &[1, 1, 1, 2, 1], &[-6.174, 9.371]);
    near(&resize(x(), &[1.0, 1.0, 3.0, 2.0], 2.0, "interpolation_mode=NEAREST_NEIGHBOR"), &[1, 1, 1, 3, 2],
        &[-6.174, -6.174, 9.371, 9.371, 9.371, 9.371]);
    near(&resize(x(), &[1.0, 0.0, 0.0, 0.0], 3.0, ""), &[1, 1, 1, 2, 1], &[-6.174, 9.371]);
    let line = || arg(Fp32, &[1, 1, 2], &[0.0, 1.0]);
    near(&resize(line(), &[1.0, 1.0, 5.0], 2.0, ""), &[1, 1, 5], &[0.0, 0.4, 0.8, 1.0, 1.0]);
    near(&resize(line(), &[3.0], 1.0, "sampling_mode=ALIGN_CORNERS"), &[1, 1, 3], &[0.0, 0.5, 1.0]);
    near(&resize(line(), &[], 0.0, ""), &[1, 1, 2], &[0.0, 1.0]);
    near(&resize(line(), &[7.0, 2.0], 2.0, "interpolation_mode=NEAREST_NEIGHBOR"), &[1, 7, 2], &[0.0, 1.0].repeat(7));
    // Halfway between two pixels, along all three dimensions.
    let cube = count(Fp32, &[2, 2, 2]);
    near(&resize(cube, &[1.0, 1.0, 1.0], 3.0, "sampling_mode=ALIGN_CORNERS"), &[1, 1, 1], &[4.5]);
    let ints = resize(count(Int32, &[2]), &[3.0], 1.0, "sampling_mode=STRICT_ALIGN_CORNERS interpolation_mode=NEAREST_NEIGHBOR");
    assert_eq!((ints.dtype(), ints.to_i64s()), (Int32, vec![1, 2, 2]));
}

#[test]
fn resamples() {
    let x = || arg(Fp32, &[1, 1, 2, 2], &[11.0, 22.0, 33.0, 44.0]);
    let places = [-1.0, -2.0, -3.7, -1.0, 0.0, 0.0, 3.5, 1.2];
    let case = |rest: &str, values: [f64; 4]| {
        let mut arguments = vec![("x", x()), ("coordinates", arg(Fp32, &[1, 2, 2, 2], &places))];
        arguments.extend(words(rest));
        near(&tensors("resample", Ios15, &arguments).unwrap()[0], &[1, 1, 2, 2], &values);
    };
    case(
        "sampling_mode=bilinear padding_mode=constant padding_value=6.17 align_corners=true \
         coordinates_mode=normalized_minus_one_to_one",
        [8.585, 6.17, 27.5, 6.17],
    );
    case(
        "sampling_mode=nearest padding_mode=border padding_value=-1.0 align_corners=false \
         coordinates_mode=unnormalized",
        [11.0, 11.0, 11.0, 44.0],
    );
    case(
        "sampling_mode=bilinear padding_mode=reflection padding_value=-1.0 align_corners=true \
         coordinates_mode=normalized_zero_to_one",
        [22.0, 36.3, 11.0, 34.1],
    );
    case(
        "sampling_mode=nearest padding_mode=symmetric padding_value=-1.0 align_corners=false \
         coordinates_mode=normalized_zero_to_one",
        [22.0, 33.0, 11.0, 33.0],
    );
    let whole = arg(UInt8, &[1, 2, 2, 2], &[0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
    let mut arguments = vec![("x", x()), ("coordinates", whole)];
    arguments.extend(words(
        "sampling_mode=bilinear padding_mode=constant padding_value=6.17 align_corners=true \
         coordinates_mode=normalized_minus_one_to_one",
    ));
    near(&tensors("resample", Ios17, &arguments).unwrap()[0], &[1, 1, 2, 2], &[27.5, 44.0, 27.5, 44.0]);
}

#[test]
fn places_that_are_no_numbers_do_no_harm() {
    let wild = [f64::NAN, 0.0, f64::INFINITY, f64::NEG_INFINITY, 1e30, -1e30];
    for mode in ["bilinear", "nearest"] {
        for padding in ["constant", "border", "reflection", "symmetric"] {
            let line = format!(
                "sampling_mode={mode} padding_mode={padding} padding_value=0.0 align_corners=false \
                 coordinates_mode=normalized_zero_to_one"
            );
            let mut arguments =
                vec![("x", count(Fp32, &[1, 2, 1, 1])), ("coordinates", arg(Fp32, &[1, 3, 1, 2], &wild))];
            arguments.extend(words(&line));
            assert_eq!(tensors("resample", Ios15, &arguments).unwrap()[0].shape(), [1, 2, 3, 1]);
        }
    }
}

const AFFINE: &str = "sampling_mode=bilinear padding_mode=constant padding_value=0.0 align_corners=true \
                      coordinates_mode=normalized_minus_one_to_one";

#[test]
fn affine_maps() {
    let case = |height: usize, width: usize, values: &[f64]| {
        let matrix = arg(Fp32, &[1, 6], &[-1.0, -2.0, -3.7, -1.0, 3.5, 1.2]);
        let x = arg(Fp32, &[1, 1, 2, 2], &[11.0, 22.0, 33.0, 44.0]);
        let mut arguments = vec![("x", x), ("transform_matrix", matrix)];
        let line = format!("output_height={height} output_width={width} {AFFINE}");
        arguments.extend(words(&line));
        near(&tensors("affine", Ios15, &arguments).unwrap()[0], &[1, 1, height, width], values);
    };
    case(3, 3, &[10.752501, 2.5025, 0.0, 1.9799997, 0.0, 0.0, 0.0, 0.0, 0.0]);
    case(2, 5, &[10.752501, 5.94, 2.5025, 0.44000006, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn crops() {
    let x = || count(Fp32, &[1, 1, 4, 4]);
    let roi = |numbers: &[f64], line: &str, shape: &[usize], values: &[f64]| {
        let mut arguments = vec![("x", x()), ("roi", arg(Fp32, &[1, 1, numbers.len(), 1, 1], numbers))];
        arguments.extend(words(line));
        near(&tensors("crop_resize", Ios16, &arguments).unwrap()[0], shape, values);
    };
    let align = "target_height=2 target_width=2 sampling_mode=ALIGN_CORNERS";
    roi(&[1.0, 1.0, 2.0, 2.0], align, &[1, 1, 1, 2, 2], &[6.0, 7.0, 10.0, 11.0]);
    roi(&[2.0, 2.0, 1.0, 1.0], align, &[1, 1, 1, 2, 2], &[11.0, 10.0, 7.0, 6.0]);
    roi(&[1.0, 1.0, 2.0, 2.0], "sampling_mode=ALIGN_CORNERS", &[1, 1, 1, 1, 1], &[8.5]);
    let third = 1.0 / 3.0;
    let normalized = format!("{align} normalized_coordinates=true");
    roi(&[0.0, 0.0, 0.0, third, third], &normalized, &[1, 1, 1, 2, 2], &[1.0, 2.0, 5.0, 6.0]);
    let width_first = format!("{align} box_coordinate_mode=CORNERS_WIDTH_FIRST");
    roi(&[0.0, 1.0, 1.0, 3.0], &width_first, &[1, 1, 1, 2, 2], &[5.0, 6.0, 13.0, 14.0]);
    let centre = format!("{align} box_coordinate_mode=CENTER_SIZE_WIDTH_FIRST spatial_scale=0.5");
    roi(&[3.0, 4.0, 2.0, 4.0], &centre, &[1, 1, 1, 2, 2], &[6.0, 7.0, 14.0, 15.0]);

    let boxes = |count: usize, numbers: &[f64], indices: Option<&[i64]>, line: &str, values: &[f64]| {
        let mut arguments = vec![("x", x()), ("boxes", arg(Fp32, &[count, 4], numbers))];
        if let Some(indices) = indices {
            let indices: Vec<f64> = indices.iter().map(|&i| i as f64).collect();
            arguments.push(("box_indices", arg(Int32, &[count], &indices)));
        }
        arguments.extend(words(line));
        near(&tensors("crop_resize", Ios17, &arguments).unwrap()[0], &[count, 1, 2, 2], values);
    };
    boxes(1, &[1.0, 1.0, 2.0, 2.0], None, align, &[6.0, 7.0, 10.0, 11.0]);
    boxes(
        3,
        &[0.1, 0.3, 1.3, 1.0, 0.5, 1.8, 1.0, 0.3, 0.0, 0.4, 0.6, 0.7],
        Some(&[0; 3]),
        &format!("{align} normalized_coordinates=true pad_value=10.0"),
        &[3.1, 5.2, 10.0, 10.0, 10.0, 7.9, 10.0, 13.9, 2.2, 3.1, 9.4, 10.3],
    );
    boxes(0, &[], None, align, &[]);
}

#[test]
fn refusals() {
    let refused = |op: &str, x: &[usize], rest: &str, code: &str| {
        let mut arguments = vec![("x", count(Fp32, x))];
        arguments.extend(words(rest));
        let opset = crate::ops::find(op).unwrap().editions.last().unwrap().since;
        refuse(op, opset, &arguments, code);
    };
    let to = "target_size_height=2 target_size_width=2";
    for op in ["resize_bilinear", "resize_nearest_neighbor"] {
        refused(op, &[4, 4], to, "wrong-rank");
        refused(op, &[1, 4, 4], "target_size_height=0 target_size_width=2", "bad-value");
        refused(op, &[1, 4, 4], "target_size_height=2 target_size_width=-2", "bad-value");
        refused(op, &[1, 0, 4], to, "shape-mismatch");
    }
    refused("resize_nearest_neighbor", &[1, 4, 4], "target_size_height=2", "missing-parameter");
    refused("resize_bilinear", &[1, 4, 4], "sampling_mode=CORNERS", "bad-value");
    for op in ["upsample_bilinear", "upsample_nearest_neighbor"] {
        refused(op, &[4, 4], "", "wrong-rank");
        refused(op, &[1, 4, 4], "scale_factor_height=0", "bad-value");
        refused(op, &[1, 4, 4], "scale_factor_width=-1.5", "bad-value");
        refused(op, &[1, 4, 4], "scale_factor_width=inf", "bad-value");
    }
    refused("upsample_bilinear", &[1, 4, 4], "half_pixel_centers=true", "bad-value");
    refused("resize", &[1, 2], "shape=[1,2,3] resized_dims=1", "shape-mismatch");
    refused("resize", &[1, 2], "shape=[1,2] resized_dims=3", "bad-value");
    refused("resize", &[1, 2], "shape=[1,2] resized_dims=-1", "bad-value");
    refused("resize", &[1, 2], "shape=[1,-2] resized_dims=1", "bad-value");
    refused("resize", &[1, 2], "shape=2 resized_dims=1", "wrong-rank");
    refused("resize", &[1, 2], "shape=[2] resized_dims=1 interpolation_mode=CUBIC", "bad-value");
    refused("resize", &[1, 2], "shape=[2] resized_dims=1 sampling_mode=CORNERS", "bad-value");
    refused("resize", &[1, 0], "shape=[2] resized_dims=1", "shape-mismatch");

    let sampled = |x: &[usize], at: &[usize], rest: &str, code: &str| {
        let line = format!(
            "{rest} padding_mode=border padding_value=0.0 coordinates_mode=unnormalized align_corners=false"
        );
        let mut arguments = vec![("x", count(Fp32, x)), ("coordinates", count(Fp32, at))];
        arguments.extend(words(&line));
        refuse("resample", Ios15, &arguments, code);
    };
    let bilinear = "sampling_mode=bilinear";
    sampled(&[1, 2, 2], &[1, 1, 1, 2], bilinear, "wrong-rank");
    sampled(&[1, 1, 2, 2], &[1, 1, 2], bilinear, "wrong-rank");
    sampled(&[1, 1, 2, 2], &[2, 1, 1, 2], bilinear, "shape-mismatch");
    sampled(&[1, 1, 2, 2], &[1, 1, 1, 3], bilinear, "shape-mismatch");
    sampled(&[1, 1, 2, 2], &[1, 1, 1, 2], "sampling_mode=cubic", "bad-value");

    let mapped = |x: &[usize], matrix: &[usize], rest: &str, code: &str| {
        let mut arguments = vec![("x", count(Fp32, x)), ("transform_matrix", count(Fp32, matrix))];
        arguments.extend(words(rest));
        refuse("affine", Ios15, &arguments, code);
    };
    let one = format!("output_height=1 output_width=1 {AFFINE}");
    mapped(&[1, 2, 2], &[1, 6], &one, "wrong-rank");
    mapped(&[1, 1, 2, 2], &[6], &one, "wrong-rank");
    mapped(&[3, 1, 2, 2], &[2, 6], &one, "shape-mismatch");
    mapped(&[1, 1, 2, 2], &[1, 5], &one, "shape-mismatch");
    mapped(&[1, 1, 2, 2], &[1, 6], &one.replace("output_height=1", "output_height=0"), "bad-value");
    mapped(&[1, 1, 2, 2], &[1, 6], &one.replace("bilinear", "nearest"), "bad-value");
    mapped(&[1, 1, 2, 2], &[1, 6], &one.replace("padding_value=0.0", "padding_value=1.0"), "bad-value");

    let cropped = |x: &[usize], boxes: &[usize], rest: &str, code: &str| {
        let name = if boxes.len() == 5 { "roi" } else { "boxes" };
        let opset = if boxes.len() == 5 { Ios16 } else { Ios17 };
        let mut arguments = vec![("x", count(Fp32, x)), (name, count(Fp32, boxes))];
        arguments.extend(words(rest));
        refuse("crop_resize", opset, &arguments, code);
    };
    cropped(&[1, 2, 2], &[1, 4], "", "wrong-rank");
    cropped(&[1, 1, 2, 2], &[4], "", "wrong-rank");
    cropped(&[1, 1, 2, 2], &[1, 5], "", "shape-mismatch");
    cropped(&[1, 1, 2, 2], &[1, 1, 3, 1, 1], "", "shape-mismatch");
    cropped(&[1, 1, 2, 2], &[1, 1, 5, 1, 1], "", "index-out-of-range");
    cropped(&[1, 1, 2, 2], &[3, 4], "", "shape-mismatch");
    cropped(&[1, 1, 2, 2], &[1, 4], "box_indices=[10]", "index-out-of-range");
    cropped(&[1, 1, 2, 2], &[1, 4], "box_indices=[0,0]", "shape-mismatch");
    cropped(&[1, 1, 2, 2], &[1, 4], "box_indices=0", "wrong-rank");
    cropped(&[1, 1, 2, 2], &[1, 4], "target_width=0", "bad-value");
    cropped(&[1, 1, 2, 2], &[1, 4], "box_coordinate_mode=CORNERS", "bad-value");
    cropped(&[1, 1, 2, 2], &[1, 4], "sampling_mode=CORNERS", "bad-value");
}

#[test]
fn hostile_sizes_do_not_overflow() {
    let most = i32::MAX;
    for (op, rest) in [
        ("resize_bilinear", format!("target_size_height={most} target_size_width={most}")),
        ("resize_nearest_neighbor", format!("target_size_height={most} target_size_width={most}")),
        ("upsample_bilinear", "scale_factor_height=1e38 scale_factor_width=1e38".into()),
        ("upsample_nearest_neighbor", format!("scale_factor_height={most} scale_factor_width={most}")),
    ] {
        let mut arguments = vec![("x", count(Fp32, &[1, 2, 2]))];
        arguments.extend(words(&rest));
        for dim in [Dim::Known(u64::MAX), Dim::Known(0), Dim::Known(2), Dim::Unknown] {
            let ty = Type::tensor(Fp32, [dim; 3].into_iter().collect::<Shape>());
            let _ = infer(op, Ios18, &arguments, &[("x", ty)]);
        }
        let fault = tensors(op, Ios18, &arguments).unwrap_err();
        assert_eq!(fault.code.name, "tensor-too-large");
    }
}
