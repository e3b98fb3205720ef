//! Convolutions against numbers computed elsewhere.

use super::*;
use crate::ops::testing::{arg, count, fast_agrees, infer, random, refuse, tensors, words};

/// `x` and `weight` count from 1; what is expected comes from sums over padded arrays in NumPy.
#[track_caller]
fn check(op: &str, x: &[usize], weight: &[usize], bias: &[i32], rest: &str, shape: &[usize], values: &[i32]) {
    for (opset, dtype) in [(Ios16, Fp32), (Ios17, Fp16)] {
        let mut arguments = vec![("x", count(dtype, x)), ("weight", count(dtype, weight))];
        if !bias.is_empty() {
            let bias: Vec<f64> = bias.iter().map(|&b| b.into()).collect();
            arguments.push(("bias", arg(dtype, &[bias.len()], &bias)));
        }
        arguments.extend(words(rest));
        let y = tensors(op, opset, &arguments).unwrap();
        assert_eq!(y[0].shape(), shape);
        assert_eq!(y[0].to_f64s(), values.iter().map(|&v| v.into()).collect::<Vec<f64>>());
    }
}

#[test]
#[rustfmt::skip]
fn convolutions() {
    check("conv", &[1, 1, 5], &[1, 1, 3], &[], "", &[1, 1, 3], &[14, 20, 26]);
    check("conv", &[1, 1, 5], &[1, 1, 2], &[], "pad_type=same", &[1, 1, 5], &[5, 8, 11, 14, 5]);
    check("conv", &[1, 1, 5], &[1, 1, 2], &[], "pad_type=same_lower", &[1, 1, 5], &[2, 5, 8, 11, 14]);
    check("conv", &[1, 1, 5], &[1, 1, 3], &[], "pad_type=same strides=[2]", &[1, 1, 3], &[8, 20, 14]);
    check("conv", &[1, 1, 6], &[1, 1, 3], &[], "pad_type=same strides=[2]", &[1, 1, 3], &[14, 26, 17]);
    check("conv", &[1, 1, 6], &[1, 1, 3], &[], "pad_type=same_lower strides=[2]", &[1, 1, 3], &[8, 20, 32]);
    check("conv", &[1, 1, 4], &[1, 1, 1], &[], "pad_type=same strides=[3]", &[1, 1, 2], &[1, 4]);
    check("conv", &[1, 1, 4], &[1, 1, 3], &[], "pad_type=custom pad=[2,1] strides=[2]", &[1, 1, 3], &[3, 14, 11]);
    check("conv", &[1, 1, 7], &[1, 1, 3], &[], "dilations=[2] strides=[2]", &[1, 1, 2], &[22, 34]);
    check("conv", &[2, 1, 3], &[2, 1, 1], &[10, -10], "", &[2, 2, 3], &[11, 12, 13, -8, -6, -4, 14, 15, 16, -2, 0, 2]);
    check("conv", &[1, 2, 3, 3], &[1, 2, 2, 2], &[], "", &[1, 1, 2, 2], &[356, 392, 464, 500]);
    check("conv", &[1, 1, 3, 4], &[1, 1, 3, 2], &[100], "pad_type=custom pad=[1,0,0,2] strides=[1,2]", &[1, 1, 2, 3], &[172, 208, 100, 249, 291, 100]);
    check("conv", &[1, 1, 4, 4], &[1, 1, 2, 2], &[], "dilations=[2,3]", &[1, 1, 2, 1], &[84, 124]);
    check("conv", &[1, 4, 2, 2], &[4, 1, 1, 2], &[], "groups=4", &[1, 4, 2, 1], &[5, 11, 39, 53, 105, 127, 203, 233]);
    check("conv", &[1, 4, 1, 2], &[4, 2, 1, 1], &[1, 2, 3, 4], "groups=2", &[1, 4, 1, 2], &[8, 11, 17, 24, 70, 81, 95, 110]);
    check("conv", &[1, 2, 2, 1], &[4, 1, 2, 1], &[], "groups=2", &[1, 4, 1, 1], &[5, 11, 39, 53]);
    check("conv", &[1, 1, 2, 2, 3], &[1, 1, 2, 1, 2], &[], "", &[1, 1, 1, 2, 2], &[58, 68, 88, 98]);
    check("conv", &[1, 1, 2, 2, 2], &[1, 1, 1, 2, 2], &[], "pad_type=same strides=[1,2,1]", &[1, 1, 2, 1, 2], &[30, 14, 70, 30]);
    check("conv", &[1, 1, 3, 1, 3], &[2, 1, 2, 1, 3], &[], "pad_type=custom pad=[1,0,0,0,1,1] strides=[2,1,2]", &[1, 2, 2, 1, 2], &[17, 23, 106, 94, 35, 53, 250, 262]);
}

#[test]
#[rustfmt::skip]
fn transposed_convolutions() {
    check("conv_transpose", &[1, 1, 3], &[1, 1, 3], &[], "", &[1, 1, 5], &[1, 4, 10, 12, 9]);
    check("conv_transpose", &[1, 1, 3], &[1, 1, 3], &[], "strides=[2]", &[1, 1, 7], &[1, 2, 5, 4, 9, 6, 9]);
    check("conv_transpose", &[1, 1, 3], &[1, 1, 2], &[], "strides=[3]", &[1, 1, 8], &[1, 2, 0, 2, 4, 0, 3, 6]);
    check("conv_transpose", &[1, 1, 3], &[1, 1, 3], &[], "strides=[2] pad_type=same", &[1, 1, 6], &[1, 2, 5, 4, 9, 6]);
    check("conv_transpose", &[1, 1, 3], &[1, 1, 4], &[], "strides=[2] pad_type=same", &[1, 1, 6], &[2, 5, 8, 9, 14, 9]);
    check("conv_transpose", &[1, 1, 2], &[1, 1, 1], &[], "strides=[3] pad_type=same", &[1, 1, 6], &[1, 0, 0, 2, 0, 0]);
    check("conv_transpose", &[1, 1, 3], &[1, 1, 3], &[], "strides=[2] pad_type=custom pad=[1,1]", &[1, 1, 5], &[2, 5, 4, 9, 6]);
    check("conv_transpose", &[1, 1, 3], &[1, 1, 3], &[], "strides=[2] pad_type=custom pad=[0,2]", &[1, 1, 5], &[1, 2, 5, 4, 9]);
    check("conv_transpose", &[1, 1, 3], &[1, 1, 3], &[], "strides=[2] pad_type=same output_shape=[1,1,5]", &[1, 1, 5], &[2, 5, 4, 9, 6]);
    check("conv_transpose", &[1, 1, 3], &[1, 1, 3], &[], "strides=[2] pad_type=custom pad=[1,1] output_shape=[1,1,6]", &[1, 1, 6], &[2, 5, 4, 9, 6, 9]);
    check("conv_transpose", &[1, 1, 2], &[1, 1, 2], &[], "strides=[2] output_shape=[1,1,5]", &[1, 1, 5], &[1, 2, 2, 4, 0]);
    check("conv_transpose", &[1, 1, 3], &[1, 1, 2], &[], "dilations=[2]", &[1, 1, 5], &[1, 2, 5, 4, 6]);
    check("conv_transpose", &[1, 2, 2], &[2, 2, 2], &[100, 200], "", &[1, 2, 3], &[116, 142, 128, 224, 262, 240]);
    check("conv_transpose", &[1, 4, 1], &[4, 2, 2], &[], "groups=2", &[1, 4, 2], &[11, 14, 17, 20, 79, 86, 93, 100]);
    check("conv_transpose", &[2, 1, 2], &[1, 1, 2], &[], "", &[2, 1, 3], &[1, 4, 4, 3, 10, 8]);
    check("conv_transpose", &[1, 1, 2, 2], &[1, 1, 2, 2], &[], "strides=[2,1]", &[1, 1, 4, 3], &[1, 4, 4, 3, 10, 8, 3, 10, 8, 9, 24, 16]);
    check("conv_transpose", &[1, 1, 2, 2], &[1, 2, 3, 3], &[], "strides=[2,2] pad_type=custom pad=[1,0,0,1]", &[1, 2, 4, 4], &[4, 5, 14, 10, 10, 14, 36, 24, 12, 15, 34, 20, 21, 24, 55, 32, 13, 14, 41, 28, 46, 50, 126, 78, 39, 42, 97, 56, 48, 51, 118, 68]);
    check("conv_transpose", &[1, 1, 2, 1, 2], &[1, 1, 2, 2, 1], &[], "strides=[1,1,2]", &[1, 1, 3, 2, 3], &[1, 0, 2, 2, 0, 4, 6, 0, 10, 10, 0, 16, 9, 0, 12, 12, 0, 16]);
}

#[test]
fn empty_batches_and_channels() {
    check("conv", &[0, 2, 4], &[3, 2, 2], &[], "", &[0, 3, 3], &[]);
    check("conv", &[1, 0, 3], &[2, 0, 2], &[7, 8], "", &[1, 2, 2], &[7, 7, 8, 8]);
    check("conv_transpose", &[0, 2, 4], &[2, 3, 2], &[], "", &[0, 3, 5], &[]);
    check("conv_transpose", &[1, 1, 2], &[1, 0, 2], &[], "", &[1, 0, 3], &[]);
}

#[test]
fn a_weight_of_another_dtype_does_not_change_the_result() {
    let y = tensors("conv", Ios17, &[("x", count(Fp16, &[1, 1, 2])), ("weight", count(Fp32, &[1, 1, 1]))]);
    assert_eq!(y.unwrap()[0].dtype(), Fp16);
}

#[test]
fn sums_are_rounded_once() {
    // 2048 + 1 + 1 in fp16 is 2050, and 2048 when it is rounded after each step.
    let ones = arg(Fp16, &[1, 3, 1], &[1.0; 3]);
    let y = tensors("conv", Ios15, &[("x", arg(Fp16, &[1, 3, 1], &[2048.0, 1.0, 1.0])), ("weight", ones)]);
    assert_eq!(y.unwrap()[0].to_f64s(), [2050.0]);
}

#[test]
fn padding_is_zeros() {
    let x = arg(Fp32, &[1, 1, 3], &[2.0, 1.0, 3.0]);
    let weight = arg(Fp32, &[1, 1, 3], &[f64::INFINITY, 1.0, 1.0]);
    let same = words("pad_type=same").remove(0);
    let y = tensors("conv", Ios15, &[("x", x), ("weight", weight), same]).unwrap()[0].to_f64s();
    assert!(y[0].is_nan());
    assert_eq!(y[1..], [f64::INFINITY; 2]);
}

#[test]
fn quantized_weights_have_a_scale_and_a_bias() {
    let call = |scale: &[f64], bias: &[f64], kind: &str| {
        let mut arguments = vec![
            ("x", count(Fp32, &[1, 1, 2])),
            ("weight", count(UInt8, &[2, 1, 2])),
            ("quant_scale", arg(Fp32, &[scale.len()], scale)),
            ("quant_bias", arg(Fp32, &[bias.len()], bias)),
        ];
        arguments.extend(words(kind));
        tensors("conv_quantized", Ios15, &arguments).map(|y| y[0].to_f64s())
    };
    // Weights 0.5 1.5 | 2.5 3.5, then 0 1 | 16 26.
    assert_eq!(call(&[1.0], &[-0.5], "quantization_type=linear").unwrap(), [3.5, 9.5]);
    assert_eq!(call(&[1.0, 10.0], &[-1.0, -14.0], "quantization_type=linear").unwrap(), [2.0, 68.0]);
    assert_eq!(call(&[1.0; 3], &[0.0], "quantization_type=linear").unwrap_err().code.name, "shape-mismatch");
    assert_eq!(call(&[1.0], &[0.0], "quantization_type=log").unwrap_err().code.name, "bad-value");
    assert_eq!(call(&[1.0], &[0.0], "quantization_type=linear nbits=9").unwrap_err().code.name, "bad-value");
    assert_eq!(call(&[1.0], &[0.0], "quantization_type=lut").unwrap_err().code.name, "no-meaning");
}

#[test]
fn the_fast_convolutions_agree() {
    for (dtype, other) in [(Fp32, Fp32), (Fp16, Fp16), (Fp16, Fp32), (Fp32, Fp16)] {
        for (seed, (op, x, weight, rest)) in [
            ("conv", &[2, 3, 30][..], &[5, 3, 4][..], "strides=[2]"),
            ("conv", &[2, 16, 9, 9], &[8, 16, 1, 1], ""),
            ("conv", &[1, 16, 9, 9], &[8, 16, 1, 1], "strides=[2,2]"),
            ("conv", &[1, 8, 12, 11], &[6, 8, 3, 3], "pad_type=same"),
            ("conv", &[1, 8, 12, 11], &[6, 8, 3, 2], "pad_type=same_lower strides=[2,3]"),
            (
                "conv",
                &[1, 8, 12, 11],
                &[6, 4, 3, 3],
                "groups=2 pad_type=custom pad=[0,3,2,1] dilations=[2,1]",
            ),
            ("conv", &[2, 8, 12, 11], &[8, 1, 3, 3], "groups=8 pad_type=same"),
            ("conv", &[2, 8, 12, 11], &[16, 1, 3, 3], "groups=8 strides=[2,2] dilations=[1,2]"),
            ("conv", &[1, 2, 5, 6, 7], &[3, 2, 2, 3, 1], "pad_type=same strides=[1,2,1]"),
            ("conv_transpose", &[2, 6, 9], &[6, 4, 3], "strides=[2]"),
            ("conv_transpose", &[1, 6, 5, 7], &[6, 4, 4, 4], "strides=[2,2] pad_type=same"),
            ("conv_transpose", &[1, 6, 5, 7], &[6, 2, 3, 3], "groups=3 pad_type=custom pad=[1,0,0,1]"),
            ("conv_transpose", &[1, 6, 5, 7], &[6, 1, 3, 3], "groups=6 dilations=[2,2] strides=[3,1]"),
            ("conv_transpose", &[1, 2, 3, 3], &[2, 2, 3, 3], "strides=[2,2] output_shape=[1,2,9,8]"),
            (
                "conv_transpose",
                &[1, 2, 3, 3],
                &[2, 2, 3, 3],
                "strides=[2,2] output_shape=[1,2,4,9] pad_type=same",
            ),
            ("conv_transpose", &[1, 2, 2, 3, 4], &[2, 3, 2, 2, 3], "strides=[1,2,1]"),
        ]
        .into_iter()
        .enumerate()
        {
            let seed = seed as u64;
            let mut all = vec![("x", random(dtype, x, seed)), ("weight", random(other, weight, seed + 50))];
            all.extend(words(rest));
            assert!(fast_agrees(op, Ios17, &all));
            let y = tensors(op, Ios17, &all).unwrap().remove(0);
            all.push(("bias", random(other, &[y.shape()[1]], seed + 80)));
            assert!(fast_agrees(op, Ios17, &all));
        }
    }
}

#[test]
fn what_the_kernels_do_not_compute_has_no_fast_way() {
    let far = "strides=[2147483647] dilations=[2147483647] output_shape=[1,1,3]";
    for (op, x, weight, rest, has) in [
        ("conv", [0, 2, 4], [3, 2, 2], "", true),
        ("conv", [1, 0, 3], [2, 0, 2], "", false),
        ("conv_transpose", [1, 1, 2], [1, 1, 2], far, false),
    ] {
        let mut all = vec![("x", count(Fp32, &x)), ("weight", count(Fp32, &weight))];
        all.extend(words(rest));
        assert_eq!(fast_agrees(op, Ios17, &all), has, "{op} of {x:?}");
    }
}

#[test]
fn refusals() {
    let refused = |op: &str, x: &[usize], weight: &[usize], rest: &str, code: &str| {
        let mut arguments = vec![("x", count(Fp32, x)), ("weight", count(Fp32, weight))];
        arguments.extend(words(rest));
        refuse(op, Ios15, &arguments, code);
    };
    for op in ["conv", "conv_transpose"] {
        refused(op, &[1, 1], &[1, 1], "", "wrong-rank");
        refused(op, &[1, 1, 1, 1, 1, 1], &[1, 1, 1, 1, 1, 1], "", "wrong-rank");
        refused(op, &[1, 1, 4], &[1, 1, 2, 2], "", "wrong-rank");
        refused(op, &[1, 3, 4], &[2, 2, 2], "", "shape-mismatch");
        refused(op, &[1, 3, 4], &[3, 3, 2], "groups=2", "shape-mismatch");
        refused(op, &[1, 1, 4], &[1, 1, 0], "", "shape-mismatch");
        refused(op, &[1, 1, 4], &[1, 1, 2], "groups=0", "bad-value");
        refused(op, &[1, 1, 4], &[1, 1, 2], "groups=-1", "bad-value");
        refused(op, &[1, 1, 4], &[1, 1, 2], "strides=[0]", "bad-value");
        refused(op, &[1, 1, 4], &[1, 1, 2], "strides=[1,1]", "shape-mismatch");
        refused(op, &[1, 1, 4], &[1, 1, 2], "dilations=[0]", "bad-value");
        refused(op, &[1, 1, 4], &[1, 1, 2], "pad_type=custom pad=[1]", "shape-mismatch");
        refused(op, &[1, 1, 4], &[1, 1, 2], "pad_type=custom pad=[1,-1]", "bad-value");
        refused(op, &[1, 1, 4], &[1, 1, 2], "pad_type=full", "bad-value");
        refused(op, &[1, 1, 4], &[1, 1, 2], "pad_type=same_lower", "opset-too-old");
        refused(op, &[1, 1, 4], &[1, 1, 2], "bias=[1,2]", "shape-mismatch");
    }
    refused("conv", &[1, 1, 4], &[1, 1, 5], "", "shape-mismatch");
    refused("conv", &[1, 1, 4], &[1, 1, 3], "dilations=[2]", "shape-mismatch");
    refused("conv", &[1, 1, 0], &[1, 1, 1], "pad_type=same", "shape-mismatch");
    refused("conv", &[1, 4, 1], &[3, 2, 1], "groups=2", "shape-mismatch");
    let transposed = |rest, code| refused("conv_transpose", &[1, 1, 4], &[1, 1, 2], rest, code);
    transposed("pad_type=custom pad=[3,3]", "shape-mismatch");
    transposed("output_shape=[1,1]", "shape-mismatch");
    transposed("output_shape=[1,2,5]", "shape-mismatch");
    transposed("output_shape=[1,1,0]", "bad-value");
    transposed("output_shape=[1,1,-5]", "bad-value");
}

#[test]
fn hostile_numbers_do_not_overflow() {
    let most = i64::from(i32::MAX);
    let huge = |op: &str, rest: &str| {
        let arguments: Vec<_> = [("x", count(Fp32, &[1, 1, 2])), ("weight", count(Fp32, &[1, 1, 2]))]
            .into_iter()
            .chain(words(rest))
            .collect();
        let _ = infer(op, Ios18, &arguments, &[]);
        // Dimensions that no tensor has, and none at all.
        for dim in [Dim::Known(u64::MAX), Dim::Known(0), Dim::Unknown] {
            let ty = Type::tensor(Fp32, [dim; 3].into_iter().collect::<Shape>());
            let _ = infer(op, Ios18, &arguments, &[("x", ty.clone()), ("weight", ty)]);
        }
    };
    for op in ["conv", "conv_transpose"] {
        for pad in ["valid", "same", "same_lower", "custom"] {
            huge(
                op,
                &format!(
                    "pad_type={pad} pad=[{most},{most}] strides=[{most}] dilations=[{most}] groups={most}"
                ),
            );
            huge(op, &format!("pad_type={pad} strides=[{most}]"));
            huge(op, &format!("pad_type={pad} dilations=[{most}]"));
        }
    }
    let far = words("strides=[2147483647] dilations=[2147483647] output_shape=[1,1,3]");
    let mut arguments = vec![("x", count(Fp32, &[1, 1, 2])), ("weight", count(Fp32, &[1, 1, 2]))];
    arguments.extend(far);
    assert_eq!(tensors("conv_transpose", Ios15, &arguments).unwrap()[0].to_f64s(), [1.0, 0.0, 0.0]);
}
