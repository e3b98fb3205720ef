//! Poolings against loops over index tuples in NumPy, and the fast poolings against the meanings.

use super::*;
use crate::ops::testing::{self, arg, count, fast_agrees, random, refuse, tensors, words};

/// `x` counts from 1; what is expected comes from loops over index tuples in NumPy.
#[track_caller]
fn check(op: &str, x: &[usize], rest: &str, shape: &[usize], values: &[f64]) {
    for dtype in [Fp32, Fp16] {
        let mut arguments = vec![("x", count(dtype, x))];
        arguments.extend(words(rest));
        let y = tensors(op, Ios16, &arguments).unwrap();
        assert_eq!(y[0].shape(), shape);
        // The expected numbers are written with six digits, and fp16 has eleven bits.
        let slack = if dtype == Fp32 { 1e-6 } else { 2f64.powi(-11) };
        for (y, v) in y[0].to_f64s().into_iter().zip(values) {
            assert!(y == *v || (y - v).abs() <= slack * v.abs(), "{y} where {v} is expected");
        }
    }
}

#[test]
#[rustfmt::skip]
fn poolings() {
    check("max_pool", &[1, 1, 5], "kernel_sizes=[2] pad_type=valid", &[1, 1, 4], &[2.0, 3.0, 4.0, 5.0]);
    check("max_pool", &[1, 1, 5], "kernel_sizes=[2] pad_type=valid strides=[2]", &[1, 1, 2], &[2.0, 4.0]);
    check("max_pool", &[1, 1, 5], "kernel_sizes=[2] pad_type=valid strides=[2] ceil_mode=true", &[1, 1, 3], &[2.0, 4.0, 5.0]);
    check("max_pool", &[1, 1, 4], "kernel_sizes=[2] pad_type=valid strides=[2] ceil_mode=true", &[1, 1, 2], &[2.0, 4.0]);
    check("max_pool", &[1, 1, 3], "kernel_sizes=[1] pad_type=valid strides=[3] ceil_mode=true", &[1, 1, 2], &[1.0, f64::NEG_INFINITY]);
    check("max_pool", &[1, 1, 4], "kernel_sizes=[2] pad_type=custom strides=[3] pad=[1,1] ceil_mode=true", &[1, 1, 2], &[1.0, 4.0]);
    check("max_pool", &[1, 1, 5], "kernel_sizes=[3] pad_type=custom strides=[3] pad=[1,1] ceil_mode=true", &[1, 1, 2], &[2.0, 5.0]);
    check("max_pool", &[1, 1, 5], "kernel_sizes=[3] pad_type=same strides=[2]", &[1, 1, 3], &[2.0, 4.0, 5.0]);
    check("max_pool", &[1, 1, 6], "kernel_sizes=[3] pad_type=same strides=[2]", &[1, 1, 3], &[3.0, 5.0, 6.0]);
    check("max_pool", &[1, 1, 6], "kernel_sizes=[3] pad_type=same_lower strides=[2]", &[1, 1, 3], &[2.0, 4.0, 6.0]);
    check("max_pool", &[1, 1, 2], "kernel_sizes=[1] pad_type=custom pad=[1,2]", &[1, 1, 5], &[f64::NEG_INFINITY, 1.0, 2.0, f64::NEG_INFINITY, f64::NEG_INFINITY]);
    check("max_pool", &[2, 2, 2, 3], "kernel_sizes=[2,2] pad_type=valid", &[2, 2, 1, 2], &[5.0, 6.0, 11.0, 12.0, 17.0, 18.0, 23.0, 24.0]);
    check("max_pool", &[1, 1, 3, 3], "kernel_sizes=[3,2] pad_type=custom strides=[1,2] pad=[1,1,0,1]", &[1, 1, 3, 2], &[5.0, 6.0, 8.0, 9.0, 8.0, 9.0]);
    check("max_pool", &[1, 1, 2, 2, 4], "kernel_sizes=[2,1,2] pad_type=valid strides=[1,1,2]", &[1, 1, 1, 2, 2], &[10.0, 12.0, 14.0, 16.0]);
    check("avg_pool", &[1, 1, 4], "kernel_sizes=[2] pad_type=valid", &[1, 1, 3], &[1.5, 2.5, 3.5]);
    check("avg_pool", &[1, 1, 4], "kernel_sizes=[2] pad_type=same", &[1, 1, 4], &[1.5, 2.5, 3.5, 2.0]);
    check("avg_pool", &[1, 1, 4], "kernel_sizes=[2] pad_type=same_lower", &[1, 1, 4], &[0.5, 1.5, 2.5, 3.5]);
    check("avg_pool", &[1, 1, 4], "kernel_sizes=[2] pad_type=same exclude_padding_from_average=true", &[1, 1, 4], &[1.5, 2.5, 3.5, 4.0]);
    check("avg_pool", &[1, 1, 3], "kernel_sizes=[2] pad_type=custom strides=[2] pad=[1,2]", &[1, 1, 3], &[0.5, 2.5, 0.0]);
    check("avg_pool", &[1, 1, 3], "kernel_sizes=[2] pad_type=custom strides=[2] pad=[1,2] exclude_padding_from_average=true", &[1, 1, 3], &[1.0, 2.5, 0.0]);
    check("avg_pool", &[1, 1, 5], "kernel_sizes=[2] pad_type=valid strides=[2] ceil_mode=true", &[1, 1, 3], &[1.5, 3.5, 5.0]);
    check("avg_pool", &[1, 1, 5], "kernel_sizes=[3] pad_type=custom strides=[2] pad=[1,1] ceil_mode=true", &[1, 1, 3], &[1.0, 3.0, 3.0]);
    check("avg_pool", &[1, 1, 6], "kernel_sizes=[3] pad_type=custom strides=[2] pad=[1,1] ceil_mode=true", &[1, 1, 4], &[1.0, 3.0, 5.0, 3.0]);
    check("avg_pool", &[1, 1, 6], "kernel_sizes=[3] pad_type=custom strides=[2] pad=[1,1] ceil_mode=true exclude_padding_from_average=true", &[1, 1, 4], &[1.5, 3.0, 5.0, 6.0]);
    check("avg_pool", &[1, 1, 1], "kernel_sizes=[1] pad_type=custom strides=[3] pad=[2,2] exclude_padding_from_average=true", &[1, 1, 2], &[0.0, 0.0]);
    check("avg_pool", &[1, 2, 2, 2], "kernel_sizes=[2,2] pad_type=valid", &[1, 2, 1, 1], &[2.5, 6.5]);
    check("avg_pool", &[1, 1, 2, 3], "kernel_sizes=[2,2] pad_type=custom strides=[1,2] pad=[1,0,0,1]", &[1, 1, 2, 2], &[0.75, 0.75, 3.0, 2.25]);
    check("avg_pool", &[1, 1, 2, 3], "kernel_sizes=[2,2] pad_type=custom strides=[1,2] pad=[1,0,0,1] exclude_padding_from_average=true", &[1, 1, 2, 2], &[1.5, 3.0, 3.0, 4.5]);
    check("avg_pool", &[1, 1, 3, 3], "kernel_sizes=[2,2] pad_type=valid strides=[2,2] ceil_mode=true", &[1, 1, 2, 2], &[3.0, 4.5, 7.5, 9.0]);
    check("avg_pool", &[1, 1, 2, 2, 2], "kernel_sizes=[2,2,2] pad_type=valid", &[1, 1, 1, 1, 1], &[4.5]);
    check("avg_pool", &[1, 1, 2, 1, 2], "kernel_sizes=[1,1,2] pad_type=same", &[1, 1, 2, 1, 2], &[1.5, 1.0, 3.5, 2.0]);
    check("l2_pool", &[1, 1, 4], "kernel_sizes=[2] pad_type=valid", &[1, 1, 3], &[2.236068, 3.605551, 5.0]);
    check("l2_pool", &[1, 1, 2, 2], "kernel_sizes=[2,2] pad_type=valid", &[1, 1, 1, 1], &[5.477226]);
    check("l2_pool", &[1, 1, 2, 2], "kernel_sizes=[2,2] pad_type=same strides=[2,1]", &[1, 1, 1, 2], &[5.477226, 4.472136]);
    check("l2_pool", &[1, 1, 3], "kernel_sizes=[2] pad_type=valid strides=[2] ceil_mode=true", &[1, 1, 2], &[2.236068, 3.0]);
}

#[test]
fn empty_batches() {
    check("max_pool", &[0, 2, 4], "kernel_sizes=[2] pad_type=valid", &[0, 2, 3], &[]);
    check("avg_pool", &[2, 0, 4, 4], "kernel_sizes=[2,2] pad_type=same", &[2, 0, 4, 4], &[]);
}

#[test]
fn a_nan_stays_one() {
    let x = arg(Fp32, &[1, 1, 3], &[1.0, f64::NAN, 2.0]);
    let mut arguments = vec![("x", x)];
    arguments.extend(words("kernel_sizes=[3] pad_type=valid"));
    for op in ["max_pool", "avg_pool", "l2_pool"] {
        assert!(tensors(op, Ios15, &arguments).unwrap()[0].to_f64s()[0].is_nan());
    }
}

#[test]
fn the_fast_poolings_agree() {
    for dtype in [Fp32, Fp16] {
        for op in ["max_pool", "avg_pool", "l2_pool"] {
            for (seed, (x, rest, has)) in [
                (&[2, 3, 40][..], "kernel_sizes=[3] strides=[2] pad_type=same", true),
                (&[2, 3, 14, 15], "kernel_sizes=[2,2] strides=[2,2] pad_type=valid", true),
                (&[2, 3, 14, 15], "kernel_sizes=[3,2] strides=[2,1] pad_type=custom pad=[1,2,0,1]", true),
                (&[2, 3, 14, 15], "kernel_sizes=[3,2] strides=[2,3] pad_type=same_lower", true),
                (&[2, 3, 14, 15], "kernel_sizes=[3,3] strides=[2,2] pad_type=valid ceil_mode=true", true),
                (&[1, 1, 1, 3], "kernel_sizes=[1,1] strides=[1,3] pad_type=valid ceil_mode=true", true),
                (&[2, 3, 20, 20], "kernel_sizes=[20,20] pad_type=valid", true),
                (&[2, 3, 20, 20], "kernel_sizes=[19,19] pad_type=valid", false),
                (&[2, 0, 20, 20], "kernel_sizes=[2,2] pad_type=valid", true),
                (&[1, 2, 4, 5, 6], "kernel_sizes=[2,3,2] pad_type=same", true),
            ]
            .into_iter()
            .enumerate()
            {
                if x.len() == 5 && op == "l2_pool" {
                    continue;
                }
                let mut all = vec![("x", random(dtype, x, seed as u64))];
                all.extend(words(rest));
                assert_eq!(fast_agrees(op, Ios16, &all), has, "{rest}");
                if op == "avg_pool" {
                    all.extend(words("exclude_padding_from_average=true"));
                    assert_eq!(fast_agrees(op, Ios16, &all), has, "{rest}");
                }
            }
        }
    }
}

#[test]
fn refusals() {
    let refused = |op: &str, x: &[usize], rest: &str, code: &str| {
        let mut arguments = vec![("x", count(Fp32, x))];
        arguments.extend(words(rest));
        refuse(op, Ios15, &arguments, code);
    };
    for op in ["avg_pool", "max_pool", "l2_pool"] {
        refused(op, &[1, 4], "kernel_sizes=[2] pad_type=valid", "wrong-rank");
        refused(op, &[1, 1, 4], "kernel_sizes=[2,2] pad_type=valid", "shape-mismatch");
        refused(op, &[1, 1, 4], "kernel_sizes=[0] pad_type=valid", "bad-value");
        refused(op, &[1, 1, 4], "kernel_sizes=[5] pad_type=valid", "shape-mismatch");
        refused(op, &[1, 1, 4], "kernel_sizes=[2] strides=[0] pad_type=valid", "bad-value");
        refused(op, &[1, 1, 4], "kernel_sizes=[2] pad_type=full", "bad-value");
        refused(op, &[1, 1, 4], "kernel_sizes=[2] pad_type=same_lower", "opset-too-old");
        refused(op, &[1, 1, 4], "kernel_sizes=[2] pad_type=custom pad=[-1,0]", "bad-value");
        refused(op, &[1, 1, 4], "kernel_sizes=[2] pad_type=custom pad=[0,1] ceil_mode=true", "bad-value");
        refused(op, &[1, 1, 4], "kernel_sizes=[2] pad_type=same ceil_mode=true", "bad-value");
        refused(op, &[1, 1, 4], "pad_type=same", "missing-parameter");
    }
    refused("max_pool", &[1, 1, 2, 2, 2], "kernel_sizes=[1,1,1] pad_type=valid ceil_mode=true", "bad-value");
    refused("l2_pool", &[1, 1, 2, 2, 2], "kernel_sizes=[1,1,1] pad_type=valid", "wrong-rank");
}

#[test]
fn hostile_numbers_neither_overflow_nor_take_forever() {
    let most = i32::MAX;
    let mut arguments = vec![("x", count(Fp32, &[1, 1, 2]))];
    let line = format!("kernel_sizes=[{most}] strides=[{most}] pad=[{most},{most}] pad_type=custom");
    arguments.extend(words(&line));
    assert_eq!(tensors("max_pool", Ios15, &arguments).unwrap()[0].to_f64s(), [f64::NEG_INFINITY, 2.0]);
    for dim in [Dim::Known(u64::MAX), Dim::Known(0), Dim::Unknown] {
        let ty = Type::tensor(Fp32, [dim; 3].into_iter().collect::<Shape>());
        assert!(testing::infer("avg_pool", Ios15, &arguments, &[("x", ty)]).is_ok());
    }
}
