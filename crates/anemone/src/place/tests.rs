//! Tests of what is placed where.

use super::*;
use crate::bundle::Weights;
use crate::{text, verify};

/// The placement of a program whose body is given, with inputs `x` and `y`.
fn placed(params: &str, body: &str, target: Target) -> Placement {
    let text = format!("program(1.3) {{ func main<ios18>({params}) {{ {body} }} -> (z); }}");
    let report =
        verify::verify(&text::parse(&text).unwrap_or_else(|e| panic!("{text}: {e}")), &Weights::none());
    let verified = report.verified.unwrap_or_else(|| panic!("{text}: {}", report.diagnostics));
    place(verified.main(), target)
}

fn direct(chip: Chip) -> Target {
    Target { route: Route::Direct, ..Target::new(chip) }
}

fn e5rt(chip: Chip) -> Target {
    Target { route: Route::E5rt, ..Target::new(chip) }
}

/// Checks of one op, the last of the body, whether the engine takes it, and the word of the code if not.
#[track_caller]
fn check(params: &str, body: &str, target: Target, refused: Option<&str>) {
    let placement = placed(params, body, target);
    let op = placement.ops.last().unwrap();
    assert_eq!(op.on_engine(), refused.is_none(), "{body} on {target:?}: {}", op.why);
    let found: Vec<_> =
        placement.diagnostics.iter().map(|d| d.code.name).filter(|n| n.starts_with("chip-")).collect();
    assert_eq!(found, refused.into_iter().collect::<Vec<_>>(), "{body}");
    assert!(refused.is_none() || op.change.is_some(), "{body}: no change is named");
}

const X: &str = "tensor<fp16, [1, 64, 32, 32]> x";

fn unary(op: &str) -> String {
    format!("tensor<fp16, [1, 64, 32, 32]> z = {op}(x = x);")
}

/// Rows X1, X7, O11: legality by family, route and profile.
#[test]
fn ops_are_on_the_engines_that_have_them() {
    check(X, &unary("sin"), e5rt(Chip::M2), Some("chip-op"));
    check(X, &unary("sin"), e5rt(Chip::M3), None);
    check(X, &unary("tan"), Target::new(Chip::M4), Some("chip-op"));
    check(X, &unary("rsqrt"), direct(Chip::M5), None);
    let strict = Target { profile: Profile::Strict, ..direct(Chip::M5) };
    let body = "tensor<fp16, [1, 64, 32, 32]> z = rsqrt(x = x, epsilon = fp16(1e-5));";
    check(X, body, strict, Some("chip-op"));
    check(X, body, direct(Chip::M5), None);
}

/// Rows O11, X15: one below and one above each limit.
#[test]
fn sizes_are_held_against_the_limits() {
    for (chip, limit) in [(Chip::M1, 16384), (Chip::M4, 65536)] {
        for (width, refused) in [(limit, None), (limit + 1, Some("chip-limit"))] {
            let x = format!("tensor<fp16, [1, 1, 1, {width}]> x");
            let body = format!("tensor<fp16, [1, 1, 1, {width}]> z = relu(x = x);");
            check(&x, &body, direct(chip), refused);
        }
    }
    let six = "tensor<fp16, [1, 1, 1, 1, 2, 2]>";
    check(&format!("{six} x"), &format!("{six} z = relu(x = x);"), direct(Chip::M5), Some("chip-limit"));
    check(
        "tensor<fp16, [?, 4]> x",
        "tensor<fp16, [?, 4]> z = relu(x = x);",
        direct(Chip::M5),
        Some("chip-form"),
    );
    check(
        "tensor<fp32, [1, 4]> x",
        "tensor<fp32, [1, 4]> z = relu(x = x);",
        direct(Chip::M5),
        Some("chip-dtype"),
    );
}

/// Rows N17, V8: Core ML keeps a small program on the CPU, and gives a large one to the engine.
#[test]
fn core_ml_weighs_the_launch_against_the_work() {
    let conv = |n: usize| {
        let ty = format!("tensor<fp16, [1, {n}, 64, 64]>");
        let body = format!(
            "tensor<fp16, [{n}, {n}, 1, 1]> w = const()[val = fp16(0.5)];
             {ty} z = conv(x = x, weight = w, strides = tensor<int32, [2]>([1, 1]), pad_type = string(\"valid\"),
                pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1));"
        );
        placed(&format!("{ty} x"), &body, Target::new(Chip::M4))
    };
    assert_eq!(conv(16).ops[0].at, Where::Cpu);
    let large = conv(512);
    assert_eq!((large.ops[0].at, large.segments.len()), (Where::Ane, 1));
    assert!((large.overhead_ms() - LAUNCH_MS - OUTPUT_MS).abs() < 1e-9);
}

/// Row X19: what nobody tried on a chip is no fact of it, however likely it is.
#[test]
fn what_nobody_tried_is_unknown() {
    let compiles = |op: &str, chip| row(op).on(direct(chip)).facts.compiles;
    assert_eq!((compiles("gelu", Chip::M5), compiles("gelu", Chip::M4)), (Some(true), None));
    assert_eq!((compiles("tan", Chip::M5), compiles("tan", Chip::M1)), (Some(false), None));
    // A size that the compiler's own table refuses is known; one that was seen refused on a later chip is not.
    let x = |width: usize| format!("tensor<fp16, [1, 1, 1, {width}]> x");
    let wide = |chip, width: usize| {
        let body = format!("tensor<fp16, [1, 1, 1, {width}]> z = relu(x = x);");
        placed(&x(width), &body, direct(chip)).ops[0].facts.compiles
    };
    assert_eq!((wide(Chip::M4, 65537), wide(Chip::M5, 65537)), (Some(false), None));
    // What compiles and fails when it runs, as one report says, is not known either.
    let strict = Target { profile: Profile::Strict, ..direct(Chip::M5) };
    let rows = "tensor<fp16, [1, 257]> z = softmax(x = x, axis = int32(-1));";
    let softmax = &placed("tensor<fp16, [1, 257]> x", rows, strict).ops[0];
    assert_eq!((softmax.phase, softmax.facts.compiles, softmax.facts.runs), (Some(Phase::Run), None, None));
}

/// Rows C20, X7, X15: what only the strict profile refuses, and takes in another form.
#[test]
fn reports_are_believed_by_the_strict_profile() {
    let strict = Target { profile: Profile::Strict, ..direct(Chip::M5) };
    let both = |params: &str, right: &str, wrong: &str| {
        check(params, right, strict, None);
        check(params, wrong, strict, Some("chip-form"));
        check(params, wrong, direct(Chip::M5), None);
    };
    let softmax =
        |axis: i32| format!("tensor<fp16, [1, 64, 3, 32]> z = softmax(x = x, axis = int32({axis}));");
    both("tensor<fp16, [1, 64, 3, 32]> x", &softmax(-1), &softmax(2));
    let conv = |bias: &str| {
        format!(
            "tensor<fp16, [2, 64, 1, 1]> w = const()[val = fp16(0.5)]; tensor<fp16, [2]> b = const()[val = tensor<fp16, [2]>([1, 2])];
             tensor<fp16, [1, 2, 32, 32]> z = conv(x = x, weight = w, {bias} strides = tensor<int32, [2]>([1, 1]), pad_type = string(\"valid\"),
                pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1));"
        )
    };
    both(X, &conv(""), &conv("bias = b,"));
    let slice = |op: &str, end: &str| {
        format!(
            "tensor<fp16, [1, 32, 32, 32]> z = {op}(x = x, begin = tensor<int32, [4]>([0, 0, 0, 0]), {end} = tensor<int32, [4]>([1, 32, 32, 32]));"
        )
    };
    both(X, &slice("slice_by_size", "size"), &slice("slice_by_index", "end"));
    let scaled = |by: &str| {
        format!(
            "tensor<fp16, [1, 1, 32, 32]> s = reduce_max(x = x, axes = tensor<int32, [1]>([1]), keep_dims = bool(true)); tensor<fp16, [1, 1, 32, 32]> z = mul(x = fp16({by}), y = s);"
        )
    };
    both(X, &scaled("2"), &scaled("0"));
}
