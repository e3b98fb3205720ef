//! What the model says of small programs.

use super::*;
use crate::bundle::Weights;
use crate::{text, verify};

fn cost(params: &str, body: &str, machine: &str) -> Cost {
    let text = format!("program(1.3) {{ func main<ios18>({params}) {{ {body} }} -> (y); }}");
    let program = text::parse(&text).unwrap();
    let report = verify::verify(&program, &Weights::none());
    let verified = report.verified.unwrap_or_else(|| panic!("{}", report.diagnostics));
    Cost::of(verified.main(), Rates::find(machine).unwrap(), Boundary::Surfaces)
}

fn weight(shape: &str) -> String {
    format!(
        "tensor<fp16, {shape}> w = const()[val = tensor<fp16, {shape}>(BLOBFILE(path = \
         string(\"@model_path/weights/weight.bin\"), offset = uint64(64)))];"
    )
}

#[track_caller]
fn check(params: &str, body: &str, machine: &str, bounds: &[Bound]) {
    let cost = cost(params, body, machine);
    let found: Vec<Bound> = cost.steps.iter().map(|s| s.bound).collect();
    assert_eq!((found.as_slice(), cost.unknown), (bounds, 0), "{body}");
}

/// Rows O6, V7: the longest of what a step needs; what the engine's memory does not hold is read again.
#[test]
fn what_a_step_waits_for() {
    use Bound::{Activations, Compute, Nothing, Rereading, Weights};
    let product = |rows: u32, inner: u32, columns: u32| {
        let w = weight(&format!("[{inner}, {columns}]"));
        (
            format!("tensor<fp16, [{rows}, {inner}]> x"),
            format!("{w} tensor<fp16, [{rows}, {columns}]> y = matmul(x = x, y = w);"),
        )
    };
    let (x, y) = product(1024, 512, 512);
    check(&x, &y, "m4", &[Compute]);
    let (x, y) = product(1, 4096, 4096);
    check(&x, &y, "m4", &[Weights]);
    let (x, y) = product(4096, 4096, 4096);
    check(&x, &y, "m4", &[Rereading]);
    // What follows a product is done as it is stored, unless somebody else reads the product too.
    let w = weight("[64, 64]");
    let x = "tensor<fp16, [256, 64]> x";
    let tail = |last: &str| {
        format!(
            "{w} tensor<fp16, [256, 64]> a = matmul(x = x, y = w); tensor<fp16, [256, 64]> b = relu(x = a); {last}"
        )
    };
    let alone = tail("tensor<fp16, [256, 64]> y = tanh(x = b);");
    check(x, &alone, "m4", &[Compute, Nothing, Nothing]);
    let shared = tail("tensor<fp16, [256, 64]> y = add(x = a, y = b);");
    check(x, &shared, "m4", &[Compute, Activations, Activations]);
    check(
        x,
        "tensor<fp16, [64, 256]> y = reshape(x = x, shape = tensor<int32, [2]>([64, 256]));",
        "m4",
        &[Nothing],
    );
}

/// Row X9: int8 weights are stored smaller, which earlier chips undo.
#[test]
fn weights_are_loaded_as_they_are_stored() {
    // Of eight bits: the M1 makes fp16 of them, later chips read them as they are.
    let body = "tensor<int8, [2048, 2048]> q = const()[val = tensor<int8, [2048, 2048]>(BLOBFILE(path = \
         string(\"@model_path/weights/weight.bin\"), offset = uint64(64)))]; \
         tensor<fp16, [1, 1]> one = const()[val = tensor<fp16, [1, 1]>([[0.5]])]; \
         tensor<fp16, [2048, 2048]> w = constexpr_blockwise_shift_scale(data = q, scale = one); \
         tensor<fp16, [1, 2048]> y = matmul(x = x, y = w);";
    let stored = |machine| cost("tensor<fp16, [1, 2048]> x", body, machine).steps.last().unwrap().weights;
    assert_eq!((stored("m1") >> 20, stored("m3") >> 20), (8, 4));
}

#[test]
fn more_work_never_takes_less_time() {
    for rates in &crate::chip::RATES {
        let times = [64, 256, 1024, 4096].map(|n| {
            let w = weight(&format!("[{n}, {n}, 1, 1]"));
            let conv = format!(
                "{w} tensor<fp16, [1, {n}, 1, 64]> y = conv(x = x, weight = w, pad_type = string(\"valid\"), \
                 groups = int32(1), strides = tensor<int32, [2]>([1, 1]), dilations = tensor<int32, [2]>([1, 1]), \
                 pad = tensor<int32, [4]>([0, 0, 0, 0]));"
            );
            cost(&format!("tensor<fp16, [1, {n}, 1, 64]> x"), &conv, rates.name).seconds()
        });
        assert!(times.is_sorted(), "{}: {times:?}", rates.name);
    }
}

/// Row V7: rows are filled up to 64 bytes, so that a tensor whose elements are rows takes as long to move as one 32 times as large.
#[test]
fn short_rows_are_filled_up() {
    let reshape = |to: &str| {
        let shape = format!("tensor<int32, [{}]>([{to}])", to.split(',').count());
        let body = format!("tensor<fp16, [{to}]> y = reshape(x = x, shape = {shape});");
        cost("tensor<fp16, [256, 1024]> x", &body, "m5").engine
    };
    assert_eq!(reshape("1, 256, 16, 64"), 0.0, "rows of 64 numbers need nothing");
    let (halves, ones) = (reshape("256, 64, 16"), reshape("256, 1024, 1, 1"));
    assert!(halves > 0.0 && ones > 5.0 * halves, "{halves} {ones}");
    let relu = |shape: &str| {
        cost(
            &format!("tensor<fp16, [{shape}]> x"),
            &format!("tensor<fp16, [{shape}]> y = relu(x = x);"),
            "m5",
        )
        .engine
    };
    let ratio = relu("65536, 1") / relu("65536, 32");
    assert!((ratio - 1.0).abs() < 1e-9, "{ratio}");
}
