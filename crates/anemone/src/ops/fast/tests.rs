//! Every fast way against its meaning, on shapes of all kinds.

mod gains;
mod images;
mod moves;
mod weights;

use crate::mil::Opset;
use crate::ops::row::*;
use crate::ops::testing::{fast_agrees, random, run};
use crate::types::State;

/// Numbers between -`size` and `size`.
fn spread(dtype: DType, shape: &[usize], size: f64, seed: u64) -> Datum {
    let x = random(Fp32, shape, seed);
    let values: Vec<f64> =
        x.as_tensor().map(Tensor::to_f64s).unwrap_or_default().iter().map(|v| v * size).collect();
    Tensor::from_f64s(dtype, shape, &values).expect("the test states a small shape").into()
}

#[track_caller]
fn agree(op: &str, opset: Opset, arguments: &[(&str, Datum)]) {
    assert!(fast_agrees(op, opset, arguments), "`{op}` has no fast way for this");
}

const FLOATS: [DType; 2] = [Fp16, Fp32];

fn int(value: i64) -> Datum {
    Tensor::scalar(Int32, value as f64).into()
}

fn ints(values: &[i64]) -> Datum {
    Tensor::from_i64s(Int32, &[values.len()], values).expect("a vector").into()
}

fn bool(value: bool) -> Datum {
    Tensor::scalar(DType::Bool, f64::from(u8::from(value))).into()
}

fn word(value: &str) -> Datum {
    Tensor::string(value).into()
}

/// Shapes of few and of many elements, with and without remainders of vectors.
const SHAPES: [&[usize]; 6] = [&[], &[1], &[0, 3], &[7], &[3, 5, 11], &[2, 40, 70]];

#[test]
fn elementwise_ops_of_x() {
    let scalars = ["alpha", "beta", "epsilon"];
    let mut seen = 0;
    for op in crate::ops::all() {
        let Some(edition) = op.edition(Ios15) else { continue };
        let names: Vec<&str> = edition.params.iter().map(|p| p.name).collect();
        let elementwise = matches!(op.scalar, Scalar::Unary(_))
            || names.len() > 1 && names[0] == "x" && names[1..].iter().all(|n| scalars.contains(n));
        let per_channel = ["prelu", "softplus_parametric"].contains(&op.name);
        if !elementwise || per_channel || op.name == "clamped_relu" || op.name.ends_with("_norm") {
            continue;
        }
        seen += 1;
        for dtype in FLOATS {
            for (seed, shape) in SHAPES.iter().enumerate() {
                let mut args = vec![("x", spread(dtype, shape, 4.0, seed as u64 + 1))];
                for name in &names[1..] {
                    let value = if *name == "alpha" { 0.25 } else { 1.5 };
                    args.push((name, Tensor::scalar(dtype, value).into()));
                }
                agree(op.name, Ios15, &args);
            }
        }
    }
    assert_eq!(seen, 37, "the table has gained or lost such an op");
}

#[test]
fn gelu_in_all_modes() {
    for dtype in FLOATS {
        let x = spread(dtype, &[50, 60], 9.0, 3);
        for mode in ["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"] {
            agree("gelu", Ios15, &[("x", x.clone()), ("mode", word(mode))]);
        }
    }
}

#[test]
fn ops_of_x_and_y() {
    let shapes: [(&[usize], &[usize]); 7] = [
        (&[], &[]),
        (&[3, 4], &[3, 4]),
        (&[2, 30, 40], &[]),
        (&[1, 1], &[2, 30, 40]),
        (&[2, 30, 40], &[40]),
        (&[2, 30, 1], &[1, 30, 40]),
        (&[0, 4], &[1, 4]),
    ];
    let names = ["add", "maximum", "minimum", "mul", "real_div", "sub"];
    let comparisons = ["equal", "greater", "greater_equal", "less", "less_equal", "not_equal"];
    for dtype in FLOATS {
        for (a, b) in shapes {
            let args = [("x", spread(dtype, a, 3.0, 1)), ("y", spread(dtype, b, 3.0, 2))];
            for op in names.into_iter().chain(comparisons) {
                agree(op, Ios15, &args);
            }
            let positive = Tensor::from_f64s(dtype, &[1], &[1.25]).expect("one number");
            agree("pow", Ios15, &[("x", positive.into()), args[1].clone()]);
        }
        for y in [2.0, 3.0, 0.5] {
            let x = spread(dtype, &[3, 100], 3.0, 7);
            agree("pow", Ios15, &[("x", x), ("y", Tensor::scalar(dtype, y).into())]);
        }
    }
}

#[test]
fn select_and_cast() {
    let cond = Tensor::from_bools(&[4, 1, 3], &[true, false, true, false].repeat(3)).expect("bools");
    for dtype in [Fp16, Fp32, Int32, DType::Bool] {
        let (a, b) = (spread(dtype, &[4, 50, 3], 9.0, 1), spread(dtype, &[1], 9.0, 2));
        agree("select", Ios15, &[("cond", cond.clone().into()), ("a", a), ("b", b)]);
        for to in ["fp16", "fp32", "int32", "bool"] {
            agree("cast", Ios15, &[("x", spread(dtype, &[30, 40], 99_999.0, 3)), ("dtype", word(to))]);
        }
    }
}

#[test]
fn casts_between_all_dtypes() {
    let dtypes = [Fp16, Fp32, Int8, UInt8, Int16, UInt16, Int32, DType::Bool];
    for from in dtypes {
        for size in [1.5, 300.0, 99_999.0] {
            let mut values = spread(from, &[30, 41], size, 3);
            if from.is_float() {
                let edges = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.5];
                values = Tensor::from_f64s(from, &[5], &edges).expect("five numbers").into();
            }
            for to in dtypes {
                agree("cast", Ios17, &[("x", values.clone()), ("dtype", word(to.name()))]);
            }
        }
    }
}

#[test]
fn ops_of_whole_numbers_and_bools() {
    let binary = ["add", "maximum", "minimum", "mul", "real_div", "sub", "floor_div", "mod", "pow"];
    let comparisons = ["equal", "greater", "greater_equal", "less", "less_equal", "not_equal"];
    let edges = [i64::from(i32::MIN), i32::MAX.into(), -1, 0, 1, 2, 7, -7, 31, 32, 1000];
    let column = Tensor::from_i64s(Int32, &[11, 1], &edges).expect("a column");
    let row = Tensor::from_i64s(Int32, &[11], &edges).expect("a row");
    for (x, y) in [(&column, &row), (&row, &column), (&row, &row)] {
        let args = [("x", x.clone().into()), ("y", y.clone().into())];
        for op in binary.into_iter().chain(comparisons) {
            agree(op, Ios15, &args);
        }
    }
    for op in ["abs", "exp2", "sign", "square"] {
        agree(op, Ios15, &[("x", column.clone().into())]);
    }
    agree("threshold", Ios15, &[("x", column.into()), ("alpha", int(-1))]);
    for dtype in FLOATS {
        let args = [("x", spread(dtype, &[40, 1], 9.0, 1)), ("y", spread(dtype, &[50], 3.0, 2))];
        agree("floor_div", Ios15, &args);
        agree("mod", Ios15, &args);
    }
    let bools = |shape: &[usize], seed| {
        let numbers = random(Fp32, shape, seed);
        let bools: Vec<bool> =
            numbers.as_tensor().map(Tensor::to_f64s).unwrap_or_default().iter().map(|&v| v > 0.0).collect();
        Datum::from(Tensor::from_bools(shape, &bools).expect("bools"))
    };
    for (a, b) in [(&[3, 4][..], &[3, 4][..]), (&[7, 1, 5], &[6, 1]), (&[], &[5000]), (&[0], &[1])] {
        let args = [("x", bools(a, 1)), ("y", bools(b, 2))];
        for op in ["logical_and", "logical_or", "logical_xor"] {
            agree(op, Ios15, &args);
        }
        agree("logical_not", Ios15, &args[..1]);
    }
}

#[test]
fn softmax_and_reductions() {
    let reductions = ["l1_norm", "l2_norm", "max", "mean", "min", "sum", "sum_square"];
    for dtype in FLOATS {
        let x = spread(dtype, &[3, 1, 20, 33], 5.0, 1);
        for axis in -4..4 {
            let args = [("x", x.clone()), ("axis", int(axis))];
            agree("softmax", Ios15, &args);
            agree("reduce_argmax", Ios15, &args);
            agree("reduce_argmin", Ios17, &args);
        }
        for axes in [&[-1][..], &[0], &[2], &[1, 2, 3], &[2, 3], &[0, 2], &[1], &[]] {
            for name in reductions {
                let args = [("x", x.clone()), ("axes", ints(axes)), ("keep_dims", bool(axes.len() == 1))];
                agree(&format!("reduce_{name}"), Ios15, &args);
            }
        }
    }
    let whole = spread(Int32, &[3, 5, 20, 11], 90_000.0, 1);
    for dtype in [Fp16, Fp32, Int32] {
        let x = if dtype == Int32 { whole.clone() } else { spread(dtype, &[3, 5, 20, 11], 2.0, 1) };
        for axes in [&[0, 3][..], &[0, 2], &[1, 3], &[-1], &[0, 1, 3], &[1, 2]] {
            let float = if dtype == Int32 { &[][..] } else { &["l2_norm", "log_sum_exp", "log_sum"] };
            for name in ["l1_norm", "max", "mean", "min", "prod", "sum", "sum_square"].iter().chain(float) {
                agree(&format!("reduce_{name}"), Ios15, &[("x", x.clone()), ("axes", ints(axes))]);
            }
        }
        for axis in [0, 1, 2, 3, -1] {
            for (exclusive, reverse) in [(false, false), (true, false), (false, true), (true, true)] {
                let rest = [("axis", int(axis)), ("exclusive", bool(exclusive)), ("reverse", bool(reverse))];
                agree("cumsum", Ios15, &[&[("x", x.clone())], &rest[..]].concat());
            }
        }
        if dtype != Int32 {
            let edges = [f64::INFINITY, 1.0, f64::NEG_INFINITY, f64::NEG_INFINITY, f64::NAN, 2.0];
            let edges = Tensor::from_f64s(dtype, &[3, 2], &edges).expect("six numbers");
            for axis in [0, 1] {
                agree("reduce_log_sum_exp", Ios15, &[("x", edges.clone().into()), ("axes", ints(&[axis]))]);
            }
            agree("reduce_argmax", Ios17, &[("x", x), ("axis", int(2)), ("output_dtype", word("uint16"))]);
        }
    }
}

#[test]
fn activations_by_channel() {
    for dtype in FLOATS {
        let x = ("x", spread(dtype, &[2, 6, 9, 11], 5.0, 1));
        let (alpha, beta) = (spread(dtype, &[6], 2.0, 2), spread(dtype, &[6], 2.0, 3));
        agree("prelu", Ios15, &[x.clone(), ("alpha", alpha.clone())]);
        agree("softplus_parametric", Ios15, &[x.clone(), ("alpha", alpha), ("beta", beta)]);
        let scalar = |value| Datum::from(Tensor::scalar(dtype, value));
        agree("clamped_relu", Ios15, &[x.clone(), ("alpha", scalar(0.25)), ("beta", scalar(1.5))]);
        agree("l2_norm", Ios15, &[x.clone(), ("epsilon", scalar(1e-3))]);
        for (size, beta) in [(5, 0.75), (2, 0.6)] {
            let rest =
                [("size", int(size)), ("alpha", scalar(0.5)), ("beta", scalar(beta)), ("k", scalar(1.5))];
            agree("local_response_norm", Ios15, &[std::slice::from_ref(&x), &rest[..]].concat());
        }
    }
}

#[test]
fn random_numbers() {
    for dtype in FLOATS {
        let scalar = |value| Datum::from(Tensor::scalar(dtype, value));
        let shape = [("shape", ints(&[3, 5000])), ("seed", int(7))];
        agree("random_bernoulli", Ios15, &[&shape[..], &[("prob", scalar(0.25))]].concat());
        agree(
            "random_uniform",
            Ios15,
            &[&shape[..], &[("low", scalar(-1.0)), ("high", scalar(3.0))]].concat(),
        );
        agree(
            "random_normal",
            Ios15,
            &[&shape[..], &[("mean", scalar(-1.0)), ("stddev", scalar(3.0))]].concat(),
        );
    }
}

/// Ops whose meaning is as fast as it gets, for the reasons that [`Fast::Meaning`] gives: a new op is not of them by
/// accident.
#[test]
fn few_ops_go_by_their_meaning() {
    let mut found: Vec<&str> = crate::ops::all()
        .filter(|op| matches!(op.fast, Fast::Meaning) && op.has_meaning())
        .map(|op| op.name)
        .collect();
    found.sort_unstable();
    let expected = [
        "classify",
        "cond",
        "const",
        "list_gather",
        "list_length",
        "list_read",
        "list_scatter",
        "list_write",
        "make_list",
        "non_zero",
        "tensor_buffer_to_tensor",
        "tensor_to_tensor_buffer",
        "while_loop",
    ];
    assert_eq!(found, expected);
}

#[test]
fn normalisations() {
    for dtype in FLOATS {
        let x = spread(dtype, &[2, 6, 9, 11], 5.0, 1);
        let channels = |seed| spread(dtype, &[6], 2.0, seed);
        let variance = Tensor::from_f64s(dtype, &[6], &[0.5, 1.0, 2.0, 3.0, 0.1, 9.0]).expect("a vector");
        let epsilon = ("epsilon", Datum::from(Tensor::scalar(dtype, 1e-3)));
        let affine = [("gamma", channels(2)), ("beta", channels(3))];
        for parts in [&[][..], &affine[..1], &affine] {
            let stats = [("x", x.clone()), ("mean", channels(4)), ("variance", variance.clone().into())];
            agree("batch_norm", Ios15, &[&stats[..], parts].concat());
            agree("instance_norm", Ios15, &[&[("x", x.clone()), epsilon.clone()][..], parts].concat());
        }
        for axes in [&[-1i64][..], &[1], &[2, 3], &[1, 2, 3], &[0], &[0, 2], &[1, 3]] {
            let shape: Vec<usize> = axes.iter().map(|&a| [2, 6, 9, 11][a.rem_euclid(4) as usize]).collect();
            let (gamma, beta) = (spread(dtype, &shape, 2.0, 5), spread(dtype, &shape, 2.0, 6));
            let args = [("x", x.clone()), ("axes", ints(axes)), ("gamma", gamma), ("beta", beta)];
            agree("layer_norm", Ios15, &args);
            agree("layer_norm", Ios15, &args[..2]);
        }
    }
}

#[test]
fn attention() {
    for dtype in FLOATS {
        for (queries, keys) in [(1, 40), (70, 33), (5, 5)] {
            let of = |n, e, seed| spread(dtype, &[2, 3, n, e], 2.0, seed);
            let args = [("query", of(queries, 16, 1)), ("key", of(keys, 16, 2)), ("value", of(keys, 24, 3))];
            agree("scaled_dot_product_attention", Ios18, &args);
            let mask = spread(dtype, &[3, queries, keys], 3.0, 4);
            agree("scaled_dot_product_attention", Ios18, &[&args[..], &[("attn_mask", mask)]].concat());
            let mask: Vec<bool> = (0..queries * keys).map(|i| i % 3 != 1 || i % keys == 0).collect();
            let mask = Tensor::from_bools(&[queries, keys], &mask).expect("bools").into();
            agree("scaled_dot_product_attention", Ios18, &[&args[..], &[("attn_mask", mask)]].concat());
        }
    }
}

#[test]
fn moves() {
    for dtype in [Fp16, Fp32, Int32, DType::Bool] {
        let x = ("x", spread(dtype, &[4, 8, 6, 10], 9.0, 1));
        for perm in [[0, 1, 2, 3], [0, 2, 3, 1], [3, 2, 1, 0], [1, 0, 3, 2]] {
            agree("transpose", Ios15, &[x.clone(), ("perm", ints(&perm))]);
        }
        for (begin, end, stride) in
            [([0, 0, 0, 0], [4, 8, 6, 10], [1; 4]), ([1, 2, 0, 3], [3, -1, 6, 9], [1, 2, 1, 3])]
        {
            let part = [("begin", ints(&begin)), ("end", ints(&end)), ("stride", ints(&stride))];
            agree("slice_by_index", Ios15, &[std::slice::from_ref(&x), &part[..]].concat());
        }
        agree(
            "slice_by_size",
            Ios15,
            &[x.clone(), ("begin", ints(&[0, 3, 0, 1])), ("size", ints(&[4, 2, -1, 5]))],
        );
        agree("split", Ios15, &[x.clone(), ("num_splits", int(2)), ("axis", int(1))]);
        agree("split", Ios15, &[x.clone(), ("split_sizes", ints(&[1, 0, 9])), ("axis", int(-1))]);
        agree("tile", Ios15, &[x.clone(), ("reps", ints(&[1, 2, 1, 3]))]);
        let y = ("values", spread(dtype, &[4, 3, 6, 10], 9.0, 2));
        agree("concat", Ios15, &[("values", x.1.clone()), y, ("axis", int(1)), ("interleave", bool(false))]);
        if dtype == DType::Bool {
            continue;
        }
        for axis in 0..4 {
            let indices = Tensor::from_i64s(Int32, &[2, 2], &[3, -1, 0, 0]).expect("indices");
            agree("gather", Ios15, &[x.clone(), ("indices", indices.into()), ("axis", int(axis))]);
        }
        let update = ("update", spread(dtype, &[4, 2, 6, 4], 9.0, 3));
        let part = [("begin", ints(&[0, 3, 0, 1])), ("end", ints(&[4, 5, 6, 5]))];
        agree("slice_update", Ios18, &[&[x, update], &part[..]].concat());
    }
}

#[test]
fn moves_of_images() {
    for dtype in FLOATS {
        let x = ("x", spread(dtype, &[2, 12, 4, 6], 9.0, 1));
        agree("pad", Ios15, &[x.clone(), ("pad", ints(&[1, 0, 2, 3]))]);
        let seven = ("constant_val", Datum::from(Tensor::scalar(dtype, 7.0)));
        agree("pad", Ios15, &[x.clone(), ("pad", ints(&[0, 1, 0, 0, 0, 0, 2, 2])), seven]);
        for mode in ["reflect", "replicate"] {
            agree("pad", Ios15, &[x.clone(), ("pad", ints(&[1, 3])), ("mode", word(mode))]);
            agree("pad", Ios15, &[x.clone(), ("pad", ints(&[3, 1, 0, 5])), ("mode", word(mode))]);
        }
        agree("crop", Ios15, &[x.clone(), ("crop_height", ints(&[1, 1])), ("crop_width", ints(&[0, 2]))]);
        agree("pixel_shuffle", Ios15, &[x.clone(), ("upscale_factor", int(2))]);
        agree("depth_to_space", Ios15, &[x.clone(), ("block_size", int(2))]);
        agree("space_to_depth", Ios15, &[x.clone(), ("block_size", int(2))]);
        agree("sliding_windows", Ios15, &[x.clone(), ("axis", int(3)), ("size", int(3)), ("stride", int(2))]);
        let factors = [("scale_factor_height", int(2)), ("scale_factor_width", int(3))];
        agree("upsample_nearest_neighbor", Ios15, &[&[x][..], &factors].concat());
    }
}

#[test]
fn ops_that_only_rename_share_the_elements() {
    let x = spread(Fp16, &[1, 4, 6], 9.0, 1);
    let state = State::new(Tensor::zeros(Fp16, &[1, 4, 6]).expect("a small state"));
    let held = |param| (param, Datum::State(state.clone()));
    let dims = [1, 4, 6].map(|d| ("elem_shape", int(d)));
    let item = [&[("init_length", int(1)), ("dtype", word("fp16"))][..], &dims].concat();
    let list = run("make_list", Ios15, &item).expect("a list").remove(0);
    let list = run("list_write", Ios15, &[("ls", list), ("index", int(0)), ("value", x.clone())]);
    let list = list.expect("a list").remove(0);
    for (op, args) in [
        ("identity", vec![("x", x.clone())]),
        ("reshape", vec![("x", x.clone()), ("shape", ints(&[-1, 3]))]),
        ("expand_dims", vec![("x", x.clone()), ("axes", ints(&[0, -1]))]),
        ("squeeze", vec![("x", x.clone())]),
        ("flatten2d", vec![("x", x.clone())]),
        ("coreml_update_state", vec![held("state"), ("value", x.clone())]),
        ("read_state", vec![held("input")]),
        ("list_read", vec![("ls", list), ("index", int(0))]),
    ] {
        assert!(
            matches!(
                crate::ops::find(op).map(|o| o.fast),
                Some(Fast::Alias | Fast::State(_) | Fast::Meaning)
            ),
            "`{op}`"
        );
        let opset = if op.ends_with("state") {
            Ios18
        } else if op == "flatten2d" {
            Ios15
        } else {
            Ios16
        };
        let found = run(op, opset, &args).unwrap_or_else(|fault| panic!("`{op}`: {fault}")).remove(0);
        let start = |d: &Datum| d.as_tensor().map(|t| t.bytes().as_ptr());
        assert_eq!(start(&found), start(&x), "`{op}` copies");
    }
}
