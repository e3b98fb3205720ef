//! What the kernels gain, on sizes that models have: `cargo test --release -p anemone --lib gains -- --ignored --nocapture`.

use std::time::Instant;

use super::weights::codes;
use super::*;
use crate::ops::testing::{by_kernels, by_meaning, ints as whole};

/// Prints the time of the meaning and of the kernels on one thread, each the best of a few runs.
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
