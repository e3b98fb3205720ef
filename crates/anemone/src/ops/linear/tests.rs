//! Products against NumPy, and the fast products against the meanings.

use super::*;
use crate::ops::testing::{arg, count, fast_agrees, infers, random, refuse, tensors, words};

/// Both operands count from 1; what is expected is what `numpy.matmul` and `numpy.einsum` give.
#[track_caller]
fn check(op: &str, x: &[usize], y: &[usize], rest: &str, shape: &[usize], values: &[i32]) {
    for (opset, dtype) in [(Ios15, Fp32), (Ios17, Fp16), (Ios18, Int32)] {
        let names = match op {
            "linear" => ["x", "weight"],
            "matmul" => ["x", "y"],
            _ if dtype == Int32 => continue,
            _ => ["values"; 2],
        };
        let mut arguments = vec![(names[0], count(dtype, x)), (names[1], count(dtype, y))];
        arguments.extend(words(rest));
        let z = tensors(op, opset, &arguments).unwrap();
        assert_eq!(z[0].dtype(), dtype);
        assert_eq!(z[0].shape(), shape);
        assert_eq!(z[0].to_f64s(), values.iter().map(|&v| v.into()).collect::<Vec<f64>>());
    }
}

#[test]
#[rustfmt::skip]
fn products() {
    check("linear", &[2], &[3, 2], "", &[3], &[5, 11, 17]);
    check("linear", &[2, 3], &[2, 3], "", &[2, 2], &[14, 32, 32, 77]);
    check("linear", &[2, 1, 2], &[1, 2], "", &[2, 1, 1], &[5, 11]);
    check("linear", &[1, 1, 1, 1, 2], &[2, 2], "", &[1, 1, 1, 1, 2], &[5, 11]);
    check("linear", &[2, 0], &[3, 0], "", &[2, 3], &[0; 6]);
    check("linear", &[0, 2], &[3, 2], "", &[0, 3], &[]);
    check("matmul", &[3], &[3], "", &[], &[14]);
    check("matmul", &[2], &[2, 3], "", &[3], &[9, 12, 15]);
    check("matmul", &[2], &[2, 2, 1], "", &[2, 1], &[5, 11]);
    check("matmul", &[2, 3], &[3], "", &[2], &[14, 32]);
    check("matmul", &[2, 2, 1], &[1], "", &[2, 2], &[1, 2, 3, 4]);
    check("matmul", &[2, 3], &[3, 2], "", &[2, 2], &[22, 28, 49, 64]);
    check("matmul", &[3, 2], &[3, 2], "transpose_x=true", &[2, 2], &[35, 44, 44, 56]);
    check("matmul", &[2, 3], &[2, 3], "transpose_y=true", &[2, 2], &[14, 32, 32, 77]);
    check("matmul", &[2, 1], &[1, 2], "transpose_x=true transpose_y=true", &[1, 1], &[5]);
    check("matmul", &[2, 1, 2], &[2, 1], "", &[2, 1, 1], &[5, 11]);
    check("matmul", &[2, 1, 1, 2], &[2, 2, 1], "", &[2, 2, 1, 1], &[5, 11, 11, 25]);
    check("matmul", &[2, 0], &[0, 2], "", &[2, 2], &[0; 4]);
    check("matmul", &[0, 2, 3], &[3, 1], "", &[0, 2, 1], &[]);
    check("einsum", &[1, 2, 1, 2], &[1, 2, 1, 3], "equation=nchw,nwhu->nchu", &[1, 2, 1, 3], &[9, 12, 15, 19, 26, 33]);
    check("einsum", &[1, 1, 2, 2], &[1, 2, 2, 1], "equation=bchq,bqhk->bchk", &[1, 1, 2, 1], &[7, 22]);
    check("einsum", &[2, 1, 1, 1], &[1, 1, 2, 2], "equation=nchw,nwhu->nchu", &[2, 1, 2, 2], &[1, 2, 3, 4, 2, 4, 6, 8]);
    check("einsum", &[1, 2, 2], &[2, 2, 1], "equation=chw,whr->chr", &[1, 2, 1], &[7, 22]);
    check("einsum", &[2, 2, 1], &[1, 1, 2], "equation=abc,cbd->abd", &[2, 2, 2], &[1, 2, 2, 4, 3, 6, 4, 8]);
    check("einsum", &[2, 2, 0], &[0, 1, 1], "equation=chw,whr->chr", &[2, 2, 1], &[0; 4]);
}

#[test]
fn a_bias_is_added_and_may_be_of_another_dtype() {
    let call = |opset, dtype, bias| {
        let weight = count(dtype, &[2, 2]);
        tensors("linear", opset, &[("x", count(Fp16, &[2])), ("weight", weight), ("bias", bias)]).unwrap()
    };
    assert_eq!(call(Ios15, Fp16, arg(Fp16, &[2], &[0.5, -1.0]))[0].to_f64s(), [5.5, 10.0]);
    let y = call(Ios17, Fp32, arg(Fp32, &[2], &[0.5, -1.0]));
    assert_eq!((y[0].dtype(), y[0].to_f64s()), (Fp16, vec![5.5, 10.0]));
}

#[test]
fn whole_numbers_wrap_around() {
    let x = arg(Int32, &[1], &[65536.0]);
    let y = arg(Int32, &[1, 1], &[65537.0]);
    assert_eq!(
        tensors("matmul", Ios15, &[("x", x.clone()), ("y", y.clone())]).unwrap()[0].to_i64s(),
        [65536]
    );
    assert_eq!(tensors("linear", Ios15, &[("x", x), ("weight", y)]).unwrap()[0].to_i64s(), [65536]);
}

#[test]
fn sums_are_rounded_once() {
    let x = arg(Fp16, &[3], &[2048.0, 1.0, 1.0]);
    let y = arg(Fp16, &[3], &[1.0; 3]);
    assert_eq!(tensors("matmul", Ios15, &[("x", x), ("y", y)]).unwrap()[0].to_f64s(), [2050.0]);
}

#[test]
fn of_two_dtypes_the_one_that_is_not_constant_wins() {
    let (x, y) = (count(Fp16, &[1, 2]), count(Fp32, &[2, 1]));
    let (x_type, y_type) = (x.ty(), y.ty());
    let both = [("x", x), ("y", y)];
    let unknown = [("x", x_type), ("y", y_type)];
    infers("matmul", Ios17, &both, &unknown[..1], "tensor<fp16, [1, 1]>");
    infers("matmul", Ios17, &both, &unknown[1..], "tensor<fp32, [1, 1]>");
    infers("matmul", Ios17, &both, &unknown, "dtype-mismatch");
}

/// The dtypes of two operands that differ, and are the same.
const PAIRS: [(DType, DType); 4] = [(Fp32, Fp32), (Fp16, Fp16), (Fp16, Fp32), (Fp32, Fp16)];

#[test]
fn the_fast_products_agree() {
    for (dtype, other) in PAIRS {
        for (seed, (x, y, rest)) in [
            (&[33, 65][..], &[65, 17][..], ""),
            (&[65, 33], &[65, 17], "transpose_x=true"),
            (&[33, 65], &[17, 65], "transpose_y=true"),
            (&[65, 3], &[70, 65], "transpose_x=true transpose_y=true"),
            (&[300], &[300], ""),
            (&[300], &[2, 300, 5], ""),
            (&[3, 1, 300], &[300], ""),
            (&[3, 4, 5, 70], &[70, 6], ""),
            (&[3, 4, 5, 70], &[1, 1, 70, 6], ""),
            (&[3, 1, 5, 70], &[4, 70, 6], ""),
            (&[1, 4, 5, 70], &[3, 4, 6, 70], "transpose_y=true"),
            (&[1, 1, 1], &[2, 1, 1], ""),
        ]
        .into_iter()
        .enumerate()
        {
            let seed = seed as u64;
            let mut all = vec![("x", random(dtype, x, seed)), ("y", random(other, y, seed + 50))];
            all.extend(words(rest));
            assert!(fast_agrees("matmul", Ios17, &all));
        }
        for (seed, (x, outputs, biased)) in
            [(&[70][..], 33, true), (&[5, 70], 33, false), (&[2, 40, 130], 90, true)].into_iter().enumerate()
        {
            let (seed, inputs) = (seed as u64, x[x.len() - 1]);
            let weight = random(other, &[outputs, inputs], seed + 50);
            let mut all = vec![("x", random(dtype, x, seed)), ("weight", weight)];
            if biased {
                all.push(("bias", random(other, &[outputs], seed + 80)));
            }
            assert!(fast_agrees("linear", Ios17, &all));
        }
    }
    for dtype in [Fp32, Fp16] {
        for (x, y) in
            [([2, 33, 1, 40], [2, 40, 1, 21]), ([2, 3, 5, 40], [2, 40, 5, 6]), ([1, 3, 5, 40], [2, 40, 1, 6])]
        {
            let mut all = vec![("values", random(dtype, &x, 1)), ("values", random(dtype, &y, 2))];
            all.extend(words("equation=nchw,nwhu->nchu"));
            assert!(fast_agrees("einsum", Ios15, &all));
        }
        let all = [
            ("values", random(dtype, &[3, 2, 8], 1)),
            ("values", random(dtype, &[8, 1, 5], 2)),
            words("equation=chw,whr->chr").remove(0),
        ];
        assert!(fast_agrees("einsum", Ios15, &all));
    }
}

#[test]
fn sums_of_nothing_are_fast() {
    for (x, y) in [([2, 0], [0, 2]), ([0, 2], [2, 2])] {
        assert!(
            fast_agrees("matmul", Ios15, &[("x", count(Fp32, &x)), ("y", count(Fp32, &y))]),
            "{x:?} {y:?}"
        );
    }
}

#[test]
fn products_of_whole_numbers_are_prepared() {
    for (transpose_x, transpose_y, x, y) in [
        (false, false, &[2, 3, 4][..], &[4, 5][..]),
        (true, false, &[2, 4, 3], &[2, 4, 5]),
        (false, true, &[3, 4], &[2, 5, 4]),
        (true, true, &[4, 3], &[5, 4]),
        (false, false, &[4], &[4]),
    ] {
        let flag = |on: bool| Datum::from(Tensor::scalar(DType::Bool, f64::from(on)));
        let flags = [("transpose_x", flag(transpose_x)), ("transpose_y", flag(transpose_y))];
        for [a, b] in [[Int32, Int32], [Int32, Fp16], [Fp32, Int32]] {
            let args = [&[("x", count(a, x)), ("y", count(b, y))], &flags[..]].concat();
            assert!(fast_agrees("matmul", Ios17, &args), "{a} {b} {x:?} {y:?}");
        }
    }
    for [a, b] in [[Int32, Int32], [Int32, Fp16], [Fp16, Int32]] {
        let args = [("x", count(a, &[2, 3, 4])), ("weight", count(b, &[5, 4])), ("bias", count(b, &[5]))];
        assert!(fast_agrees("linear", Ios17, &args), "{a} {b}");
        assert!(fast_agrees("linear", Ios17, &args[..2]), "{a} {b}");
    }
}

#[test]
fn refusals() {
    let refused = |op: &str, x: &[usize], y: &[usize], rest: &str, code: &str| {
        let names = match op {
            "linear" => ["x", "weight"],
            "matmul" => ["x", "y"],
            _ => ["values"; 2],
        };
        let mut arguments = vec![(names[0], count(Fp32, x)), (names[1], count(Fp32, y))];
        arguments.extend(words(rest));
        refuse(op, Ios15, &arguments, code);
    };
    refused("linear", &[], &[2, 2], "", "wrong-rank");
    refused("linear", &[2], &[2], "", "wrong-rank");
    refused("linear", &[3], &[2, 2], "", "shape-mismatch");
    refused("linear", &[2], &[2, 2], "bias=[1,2,3]", "shape-mismatch");
    refused("linear", &[2], &[2, 2], "bias=1", "shape-mismatch");
    refused("matmul", &[], &[1], "", "wrong-rank");
    refused("matmul", &[1], &[], "", "wrong-rank");
    refused("matmul", &[2], &[3], "", "shape-mismatch");
    refused("matmul", &[2, 3], &[2, 3], "", "shape-mismatch");
    refused("matmul", &[2, 1, 1], &[3, 1, 1], "", "shape-mismatch");
    refused("matmul", &[2], &[2], "transpose_x=true", "bad-value");
    refused("matmul", &[2], &[2], "transpose_y=true", "bad-value");
    refused("einsum", &[1, 1, 1], &[1, 1, 1], "equation=ij,jk->ik", "bad-value");
    refused("einsum", &[1, 1, 1], &[1, 1, 1], "equation=chw,whc->chc", "bad-value");
    refused("einsum", &[1, 1], &[1, 1], "equation=chw,whr->chr", "wrong-rank");
    refused("einsum", &[1, 1, 2], &[1, 1, 1], "equation=chw,whr->chr", "shape-mismatch");
    refused("einsum", &[1, 2, 1], &[1, 3, 1], "equation=chw,whr->chr", "shape-mismatch");
    refused("einsum", &[2, 1, 1, 1], &[3, 1, 1, 1], "equation=nchw,nwhu->nchu", "shape-mismatch");
    let three = [("values", count(Fp32, &[1])), ("values", count(Fp32, &[1])), ("values", count(Fp32, &[1]))];
    refuse("einsum", Ios15, &three, "shape-mismatch");
    let mixed = [("values", count(Fp32, &[1])), ("values", count(Fp16, &[1]))];
    refuse("einsum", Ios15, &mixed, "dtype-mismatch");
}
