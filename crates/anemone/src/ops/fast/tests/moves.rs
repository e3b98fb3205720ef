//! Moving, finding, updating and ordering elements.

use super::*;
use crate::ops::testing::ints as whole;

const DTYPES: [DType; 4] = [Fp16, Fp32, Int32, DType::Bool];

fn of_ints(shape: &[usize], values: &[i64]) -> Datum {
    whole(Int32, shape, values)
}

#[test]
fn joined() {
    for dtype in DTYPES {
        let values: Vec<_> = (1..4).map(|seed| ("values", spread(dtype, &[3, 1, 5], 9.0, seed))).collect();
        for axis in -4..4 {
            agree("stack", Ios15, &[&values[..], &[("axis", int(axis))]].concat());
        }
        for axis in -3..3 {
            let turns = [("axis", int(axis)), ("interleave", bool(true))];
            agree("concat", Ios15, &[&values[..], &turns].concat());
        }
        let scalars: Vec<_> = (1..4).map(|seed| ("values", spread(dtype, &[], 9.0, seed))).collect();
        agree("concat", Ios15, &[&scalars[..], &[("axis", int(0))]].concat());
        agree("stack", Ios15, &[&scalars[..], &[("axis", int(0))]].concat());
    }
}

#[test]
fn reversed() {
    for dtype in DTYPES {
        let x = ("x", spread(dtype, &[4, 5, 3, 7], 9.0, 1));
        agree("reverse", Ios15, std::slice::from_ref(&x));
        for axes in [&[-1][..], &[0], &[1, 2], &[0, 3], &[1, 1]] {
            agree("reverse", Ios15, &[x.clone(), ("axes", ints(axes))]);
        }
        let part = [
            ("begin", ints(&[3, 0, 2, 6])),
            ("end", ints(&[0, 5, 0, 0])),
            ("stride", ints(&[-1, 2, -1, -3])),
        ];
        agree("slice_by_index", Ios15, &[std::slice::from_ref(&x), &part[..]].concat());
        for (seq, batch, lengths) in
            [(1, 0, &[5, 0, 2, 1][..]), (0, 1, &[4, 1, 0, 3, 2]), (3, 1, &[7, 6, 0, 1, 3])]
        {
            let args =
                [x.clone(), ("lengths", ints(lengths)), ("seq_axis", int(seq)), ("batch_axis", int(batch))];
            agree("reverse_sequence", Ios15, &args);
        }
        for (lower, upper) in [(-1, 0), (0, -1), (1, 2), (0, 0), (9, 9)] {
            agree("band_part", Ios15, &[x.clone(), ("lower", int(lower)), ("upper", int(upper))]);
        }
    }
    let empty = [("x", spread(Fp32, &[0, 4], 1.0, 1))];
    agree("reverse", Ios15, &empty);
}

#[test]
fn blocks() {
    for dtype in FLOATS {
        for crops in [[0, 0, 0, 0], [1, 0, 2, 1], [4, 4, 0, 0]] {
            let x = ("x", spread(dtype, &[12, 3, 4, 5], 9.0, 1));
            agree(
                "batch_to_space",
                Ios15,
                &[x, ("block_shape", ints(&[2, 3])), ("crops", of_ints(&[2, 2], &crops))],
            );
        }
        for pads in [[0, 0, 0, 0], [1, 1, 2, 1]] {
            let x = ("x", spread(dtype, &[2, 3, 4, 6], 9.0, 1));
            agree(
                "space_to_batch",
                Ios15,
                &[x, ("block_shape", ints(&[2, 3])), ("paddings", of_ints(&[2, 2], &pads))],
            );
        }
    }
}

#[test]
fn created() {
    for dtype in DTYPES {
        for value in [0.0, 3.0] {
            let value = ("value", Datum::from(Tensor::scalar(dtype, value)));
            agree("fill", Ios15, &[("shape", ints(&[3, 0, 5])), value.clone()]);
            agree("fill", Ios15, &[("shape", ints(&[3, 7, 5])), value.clone()]);
            agree("fill_like", Ios16, &[("ref_tensor", spread(Fp16, &[4, 5], 1.0, 1)), value]);
        }
        for axis in -3..3 {
            let on = ("on_value", Datum::from(Tensor::scalar(dtype, 1.0)));
            let off = ("off_value", Datum::from(Tensor::scalar(dtype, 0.0)));
            let marks = ("indices", of_ints(&[2, 4], &[0, 3, 5, -1, 2, 7, 4, 4]));
            agree("one_hot", Ios15, &[marks, ("one_hot_vector_size", int(6)), ("axis", int(axis)), on, off]);
        }
    }
    agree("fill", Ios15, &[("shape", ints(&[2]))]);
    for dtype in [Fp32, Int32] {
        let number = |v| Datum::from(Tensor::scalar(dtype, v));
        for (start, end, step) in [(0.0, 100.0, 3.0), (5.0, -7.0, -2.0), (1.0, 1.0, 1.0)] {
            agree(
                "range_1d",
                Ios15,
                &[("start", number(start)), ("end", number(end)), ("step", number(step))],
            );
        }
    }
}

#[test]
fn gathered() {
    for dtype in [Fp16, Fp32, Int32] {
        let x = ("x", spread(dtype, &[4, 5, 3, 7], 9.0, 1));
        for (axis, n) in [(0, 4), (1, 5), (2, 3), (-1, 7)] {
            let mut shape = [4, 5, 3, 7];
            shape[if axis < 0 { 3 } else { axis as usize }] = 2;
            let count: usize = shape.iter().product();
            let indices: Vec<i64> = (0..count as i64).map(|i| (i * 5 + 1) % (2 * n) - n).collect();
            let args = [x.clone(), ("indices", of_ints(&shape, &indices)), ("axis", int(axis))];
            agree("gather_along_axis", Ios15, &args);
        }
        let batched = [("indices", of_ints(&[4, 2, 3], &(0..24).map(|i| i % 3).collect::<Vec<_>>()))];
        for axis in [1, 2, 3] {
            let rest = [("axis", int(axis)), ("batch_dims", int(1))];
            agree("gather", Ios16, &[&[x.clone()][..], &batched, &rest].concat());
        }
        for depth in [1, 2, 3, 4] {
            let indices: Vec<i64> = (0..6 * depth as i64).map(|i| i % 3 - i % 2).collect();
            agree("gather_nd", Ios15, &[x.clone(), ("indices", of_ints(&[2, 3, depth], &indices))]);
        }
        let indices = of_ints(&[4, 2, 2], &[0, 1, 4, 2, -1, 0, 1, 1, 2, 2, 3, 0, 0, 0, 1, 2]);
        agree("gather_nd", Ios16, &[x.clone(), ("indices", indices), ("batch_dims", int(1))]);
    }
}

#[test]
fn scattered() {
    for dtype in [Fp16, Fp32, Int32] {
        let data = ("data", spread(dtype, &[4, 5, 6], 9.0, 1));
        for mode in ["update", "add", "sub", "mul", "div", "max", "min"] {
            let mode = ("mode", word(mode));
            for axis in 0..3 {
                let mut shape = [4, 5, 6];
                shape[axis] = 3;
                let args = [
                    data.clone(),
                    ("indices", ints(&[2, 0, -1])),
                    ("updates", spread(dtype, &shape, 9.0, 2)),
                    ("axis", int(axis as i64)),
                    mode.clone(),
                ];
                agree("scatter", Ios15, &args);
            }
            let indices: Vec<i64> = (0..4 * 5 * 2).map(|i| (i % 2) * 3 + i / 2 % 3).collect();
            let args = [
                data.clone(),
                ("indices", of_ints(&[4, 5, 2], &indices)),
                ("updates", spread(dtype, &[4, 5, 2], 9.0, 2)),
                ("axis", int(2)),
                mode.clone(),
            ];
            agree("scatter_along_axis", Ios15, &args);
            let args = [
                data.clone(),
                ("indices", of_ints(&[3, 2], &[0, 1, 3, 4, -1, 0])),
                ("updates", spread(dtype, &[3, 6], 9.0, 2)),
                mode.clone(),
            ];
            agree("scatter_nd", Ios15, &args);
        }
        let twice = [data, ("indices", ints(&[1, 1])), ("updates", spread(dtype, &[2, 5, 6], 9.0, 2))];
        for mode in ["update", "add", "sub", "mul", "div", "max", "min"] {
            agree("scatter", Ios15, &[&twice[..], &[("mode", word(mode))]].concat());
        }
    }
}

#[test]
fn ordered() {
    for dtype in [Fp16, Fp32, Int32] {
        let x = ("x", spread(dtype, &[3, 41, 5], 9.0, 1));
        for axis in -3..3 {
            for ascending in [false, true] {
                let rest = [("axis", int(axis)), ("ascending", bool(ascending))];
                agree("argsort", Ios15, &[&[x.clone()][..], &rest].concat());
                for k in [0, 1, 3] {
                    agree("topk", Ios15, &[&[x.clone(), ("k", int(k))][..], &rest].concat());
                }
            }
        }
        agree("topk", Ios17, &[x.clone(), ("k", int(4)), ("output_indices_dtype", word("uint16"))]);
        agree("topk", Ios17, &[x.clone(), ("k", int(4)), ("return_indices", bool(false))]);
    }
}
