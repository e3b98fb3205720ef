//! What the kernels gain, on sizes that models have: `cargo test --release -p anemone --lib gains -- --ignored --nocapture`.

use std::time::Instant;

use super::weights::codes;
use super::*;
use crate::ops::testing::{by_kernels, by_meaning, ints as whole};

/// Prints the time of the meaning and of the kernels on one thread, each the best of a few runs.
#[allow(clippy::print_stdout)] // It is run by hand, to read what it prints.
fn gain(what: &str, op: &str, opset: Opset, arguments: &[(&str, Datum)]) {
    let best = |run: &dyn Fn() -> Vec<Datum>| {
        let once = || {
            let start = Instant::now();
            std::hint::black_box(run());
            start.elapsed()
        };
        (0..5).map(|_| once()).min().expect("it has run").as_secs_f64() * 1e3
    };
    let slow = best(&|| by_meaning(op, opset, arguments));
    let fast = best(&|| by_kernels(op, opset, arguments));
    println!("{op:38} {what:34} {slow:9.3} ms {fast:9.3} ms {:7.1} times", slow / fast);
}

#[test]
#[ignore = "it measures"]
fn weights() {
    let shape = [2048, 2048];
    let dims = whole(UInt32, &[2], &[2048, 2048]);
    let packed = |bits: usize| codes(UInt8, &[2048 * 2048 * bits / 8]);
    for (bits, what) in [(4, "4 bits to fp16, 2048 x 2048"), (6, "6 bits to fp16, 2048 x 2048")] {
        let lut = spread(Fp16, &[1 << bits], 1.0, 1);
        let args = [("indices", packed(bits)), ("lut", lut), ("shape", dims.clone())];
        gain(what, "constexpr_lut_to_dense", Ios16, &args);
    }
    let args = [("indices", codes(UInt4, &shape)), ("lut", spread(Fp16, &[128, 1, 16, 1], 1.0, 1))];
    gain("a table for 16 rows", "constexpr_lut_to_dense", Ios18, &args);
    let args = [("data", codes(Int4, &shape)), ("scale", spread(Fp16, &[2048, 64], 1.0, 1))];
    gain("int4, blocks of 32", "constexpr_blockwise_shift_scale", Ios18, &args);
    let args = [("data", codes(Int8, &shape)), ("scale", spread(Fp16, &[2048, 1], 1.0, 1))];
    gain("int8, a scale for each row", "constexpr_blockwise_shift_scale", Ios18, &args);
    let args = [
        ("quantized_data", codes(Int8, &shape)),
        ("zero_point", codes(Int8, &[2048])),
        ("scale", spread(Fp16, &[2048], 1.0, 1)),
        ("axis", int(0)),
    ];
    gain("int8, a scale for each row", "constexpr_affine_dequantize", Ios16, &args);
    let (mask, count) = super::weights::mask(&shape);
    let args = [("nonzero_data", spread(Fp16, &[count], 1.0, 1)), ("mask", mask)];
    gain("fp16, 3 of 7", "constexpr_sparse_to_dense", Ios18, &args);
}

#[test]
#[ignore = "it measures"]
fn moves() {
    let ids: Vec<i64> = (0..256 * 1024).map(|i| i * 7 % 1024).collect();
    let ids = Datum::from(Tensor::from_i64s(Int32, &[256, 1024], &ids).expect("indices"));
    let grid = ("x", spread(Fp16, &[256, 1024], 9.0, 1));
    gain("fp16, 256 x 1024", "gather_along_axis", Ios15, &[grid.clone(), ("indices", ids), ("axis", int(1))]);
    let rows = ints(&(0..512).map(|i| i * 3 % 1024).collect::<Vec<_>>());
    let data = [("data", spread(Fp16, &[1024, 512], 9.0, 1)), ("indices", rows)];
    let updates = [("updates", spread(Fp16, &[512, 512], 9.0, 2)), ("mode", word("update"))];
    gain("fp16, 512 of 1024 rows of 512", "scatter", Ios15, &[data, updates].concat());
    let parts: Vec<_> = (0..4).map(|i| ("values", spread(Fp16, &[64, 4096], 1.0, i))).collect();
    gain("fp16, 4 of 64 x 4096", "stack", Ios15, &[&parts[..], &[("axis", int(1))]].concat());
    gain("fp16, 256 x 1024, last axis", "reverse", Ios15, &[grid.clone(), ("axes", ints(&[-1]))]);
    let logits = ("x", spread(Fp16, &[1, 50_000], 9.0, 3));
    gain("40 of 50000, fp16", "topk", Ios15, &[logits.clone(), ("k", int(40))]);
    gain("50000, fp16", "argsort", Ios15, &[logits]);
    let whole = spread(Int32, &[512, 1024], 1e6, 4);
    gain("int32, 512 x 1024", "add", Ios15, &[("x", whole.clone()), ("y", whole)]);
    let bools = spread(DType::Bool, &[1, 1, 1024, 1024], 1.0, 5);
    gain("1024 x 1024", "logical_and", Ios15, &[("x", bools.clone()), ("y", bools)]);
}

#[test]
#[ignore = "it measures"]
fn images() {
    let x = ("x", spread(Fp16, &[1, 64, 64, 64], 1.0, 1));
    let twice = [("scale_factor_height", int(2)), ("scale_factor_width", int(2))];
    gain(
        "fp16, 64 x 64 x 64 doubled",
        "upsample_bilinear",
        Ios15,
        &[std::slice::from_ref(&x), &twice[..]].concat(),
    );
    let rest = [
        ("coordinates", spread(Fp32, &[1, 64, 64, 2], 1.0, 2)),
        ("sampling_mode", word("bilinear")),
        ("padding_mode", word("constant")),
        ("padding_value", Datum::from(Tensor::scalar(Fp16, 0.0))),
        ("coordinates_mode", word("normalized_minus_one_to_one")),
        ("align_corners", bool(true)),
    ];
    gain("fp16, 64 x 64 x 64", "resample", Ios15, &[std::slice::from_ref(&x), &rest[..]].concat());
    let bytes = [("scale", Datum::from(Tensor::scalar(Fp16, 0.02))), ("output_dtype", word("int8"))];
    gain("fp16, 64 x 64 x 64", "quantize", Ios17, &[&[("input", x.1.clone())], &bytes[..]].concat());
    let codes = ("input", codes(Int8, &[1, 64, 64, 64]));
    gain("to fp16, 64 x 64 x 64", "dequantize", Ios17, &[&[codes], &bytes[..1]].concat());
    gain("fp16, 64 x 64 x 64, apart", "reduce_mean", Ios15, &[x.clone(), ("axes", ints(&[1, 3]))]);
    gain("fp16, 64 x 64 x 64", "prelu", Ios15, &[x, ("alpha", spread(Fp16, &[64], 1.0, 3))]);
}
