//! Each hazard in a program that has it, and its absence in one that nearly has it.

use crate::bundle::Weights;
use crate::chip::{Chip, Profile};
use crate::place::{Route, Target, place};
use crate::{text, verify};

const fn direct(chip: Chip) -> Target {
    Target { route: Route::Direct, ..Target::new(chip) }
}

/// The codes that are said of a function.
fn said(function: &str, target: Target) -> Vec<&'static str> {
    let text = format!("program(1.3) {{ func main<ios18>{function}; }}");
    let program = text::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let report = verify::verify(&program, &Weights::none());
    let verified = report.verified.unwrap_or_else(|| panic!("{}\n{text}", report.diagnostics));
    place(verified.main(), target).diagnostics.iter().map(|d| d.code.name).collect()
}

/// A hazard is found in the function, and gone when a part of it is something else.
#[track_caller]
fn check(code: &str, target: Target, function: &str, has: &str, nearly: &str) {
    let with = |part: &str| said(&function.replace('@', part), target);
    let (found, gone) = (with(has), with(nearly));
    assert!(found.contains(&code), "{code} is not found: {found:?}");
    assert!(!gone.contains(&code), "{code} is found where it nearly is: {gone:?}");
}

const X: &str = "tensor<fp16, [1, 4, 8, 32]>";

const WINDOW: &str = "strides = tensor<int32, [2]>([1, 1]), pad_type = string(\"same\"), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1)";

/// Layers one behind the other.
fn chain(layers: usize) -> String {
    let mut body = String::new();
    for i in 0..layers {
        let from = if i == 0 { "x".to_string() } else { format!("v{}", i - 1) };
        body += &format!("tensor<fp16, [1, 64]> v{i} = relu(x = {from}); ");
    }
    format!("(tensor<fp16, [1, 64]> x) {{ {body} }} -> (v{})", layers - 1)
}

/// Branches that come together.
fn fan(branches: usize) -> String {
    let names: Vec<String> = (0..branches).map(|i| format!("v{i}")).collect();
    let body: String = names.iter().map(|n| format!("tensor<fp16, [1, 64]> {n} = relu(x = x); ")).collect();
    format!(
        "(tensor<fp16, [1, 64]> x) {{ {body} tensor<fp16, [{branches}, 64]> z = concat(values = ({}), axis = int32(0), interleave = bool(false)); }} -> (z)",
        names.join(", ")
    )
}

/// Rows O11, X1: what is computed, and goes wrong.
#[test]
fn wrong_numbers_are_told_from_what_is_nearly_wrong() {
    let conv = format!(
        "({X} x, tensor<fp16, [2, 4, 1, 1]> g) {{ tensor<fp16, [2, 4, 1, 1]> w = const()[val = fp16(0.5)]; \
         tensor<fp16, [1, 2, 8, 32]> z = conv(x = x, weight = @, {WINDOW}); }} -> (z)"
    );
    check("runtime-weights", direct(Chip::M4), &conv, "g", "w");
    let twice = format!("({X} x) {{ tensor<fp16, [1, 8, 8, 32]> z = @; }} -> (z)");
    let tile = "tile(x = x, reps = tensor<int32, [4]>([1, 2, 1, 1]))";
    let concat = "concat(values = (x, x), axis = int32(1), interleave = bool(false))";
    check("tile-poisons", direct(Chip::M3), &twice, tile, concat);
    let attention = "(tensor<fp16, [1, 2, 64, 32]> q, tensor<fp16, [1, 1, 64, 64]> m) { tensor<fp16, [1, 2, 64, 32]> z = \
         scaled_dot_product_attention(query = q, key = q, value = q@); } -> (z)";
    check("mask-ignored", direct(Chip::M5), attention, ", attn_mask = m", "");
    let long = "(tensor<fp16, [1, 2, @, 32]> q) { tensor<fp16, [1, 2, @, 32]> z = \
         scaled_dot_product_attention(query = q, key = q, value = q); } -> (z)";
    check("attention-size", direct(Chip::M5), long, "512", "511");
    let slice = format!(
        "({X} x) {{ tensor<fp16, [1, 4, 8, 16]> z = slice_by_size(x = x, begin = tensor<int32, [4]>([0, 0, 0, @]), \
         size = tensor<int32, [4]>([1, 4, 8, 16])); }} -> (z)"
    );
    check("slice-saturates", direct(Chip::M2), &slice, "4", "0");
    assert!(!said(&slice.replace('@', "4"), direct(Chip::M3)).contains(&"slice-saturates"));
    // 64 products of 1, where nothing is known of what is given: 32752 is where sums end.
    let linear = "(tensor<fp16, [1, 64]> x) { tensor<fp16, [2, 64]> w = const()[val = fp16(@)]; \
         tensor<fp16, [1, 2]> z = linear(x = x, weight = w); } -> (z)";
    check("sum-overflows", direct(Chip::M4), linear, "512", "511");
    let small = "(tensor<fp16, [1, 64]> x) { tensor<fp16, [1, 64]> s = sigmoid(x = x); tensor<fp16, [2, 64]> w = const()[val = fp16(@)]; \
         tensor<fp16, [1, 2]> z = linear(x = s, weight = w); } -> (z)";
    check("product-vanishes", direct(Chip::M4), small, "0x1p-18", "0x1p-17");
    let rows = "(tensor<fp16, [8, @]> x, tensor<fp16, [@, 8]> v) { tensor<fp16, [8, @]> p = softmax(x = x, axis = int32(-1)); \
         tensor<fp16, [8, 8]> z = matmul(x = p, y = v); } -> (z)";
    check("product-vanishes", direct(Chip::M4), rows, "4096", "4095");
}

/// Rows O11, X1: what surrounds a program, and what it is as a whole.
#[test]
fn programs_and_surfaces_are_told_from_what_is_nearly_wrong() {
    let order = format!("({X} x) {{ {X} a = relu(x = x); {X} b = tanh(x = x); }} -> (@)");
    check("output-order", direct(Chip::M4), &order, "b, a", "a, b");
    let rows = "(tensor<fp16, [1, 4, 8, @]> x) { tensor<fp16, [1, 4, 8, @]> z = relu(x = x); } -> (z)";
    check("unpadded-rows", direct(Chip::M4), rows, "31", "32");
    let sizes = format!("({X} x, tensor<fp16, [1, @, 8, 32]> y) {{ {X} z = add(x = x, y = y); }} -> (z)");
    let strict = Target { profile: Profile::Strict, ..direct(Chip::M4) };
    check("surface-mismatch", strict, &sizes, "1", "4");
    let whole = "(tensor<fp16, [1, 64]> x, tensor<@, [1, 64]> i) { tensor<fp16, [1, 64]> a = relu(x = x); tensor<@, [1, 64]> j = add(x = i, y = i); \
         tensor<fp16, [1, 64]> f = cast(x = j, dtype = string(\"fp16\")); tensor<fp16, [1, 64]> z = mul(x = a, y = f); } -> (z)";
    check("int32-island", Target::new(Chip::M4), whole, "int32", "fp16");
    let split = "(tensor<fp16, [1, 4, 8, 4]> x) { tensor<fp16, [1, 4, 8, 2]> s, tensor<fp16, [1, 4, 8, 2]> t = split(x = x, num_splits = int32(2), axis = int32(3)); \
         tensor<fp16, [1, 4, 8, 2]> z = add(x = s, y = @); } -> (z)";
    check("dead-output", direct(Chip::M5), split, "s", "t");
    check("graph-depth", direct(Chip::M4), "@", &chain(513), &chain(512));
    check("graph-depth", strict, "@", &chain(61), &chain(60));
    let heavy = "(tensor<fp16, [1, 1000]> x) { tensor<fp16, [@, 1000]> w = const()[val = tensor<fp16, [@, 1000]>(BLOBFILE(path = \
         string(\"@model_path/weights/weight.bin\"), offset = uint64(64)))]; tensor<fp16, [1, @]> z = linear(x = x, weight = w); } -> (z)";
    let of = |rows: &str| heavy.replace("[@", &format!("[{rows}")).replace(" @]", &format!(" {rows}]"));
    // 250 MB of weights are 131072000 of 2 bytes.
    check("weight-bytes", strict, "@", &of("131073"), &of("131072"));
    check("compile-budget", direct(Chip::M6), "@", &chain(257), &chain(256));
    check("compile-budget", direct(Chip::M4), "@", &fan(12), &fan(11));
    let kernel = format!(
        "({X} x) {{ tensor<fp16, [2, 4, @, @]> w = const()[val = fp16(0.5)]; tensor<fp16, [1, 2, 8, 32]> z = conv(x = x, weight = w, {WINDOW}); }} -> (z)"
    );
    check("compile-budget", direct(Chip::M4), &kernel, "16", "15");
}

/// Rows O10, X2, X3: what only some reports saw fail, and what was seen on one chip.
#[test]
fn reports_are_told_from_what_is_nearly_reported() {
    let strict = Target { profile: Profile::Strict, ..direct(Chip::M4) };
    let e5rt = Target { route: Route::E5rt, ..direct(Chip::M5) };
    let join = "(tensor<fp16, [1, 4, 8, 64]> x) { tensor<fp16, [1, 4, 8, 32]> a = slice_by_size(x = x, begin = tensor<int32, [4]>([0, 0, 0, 0]), size = tensor<int32, [4]>([1, 4, 8, 32])); \
         tensor<fp16, [1, 4, 8, 32]> h, tensor<fp16, [1, 4, 8, 32]> l = split(x = x, num_splits = int32(2), axis = int32(3)); tensor<fp16, [1, 4, 8, 32]> b = relu(x = h); \
         tensor<fp16, [1, 4, 8, 64]> z = concat(values = (a, @), axis = int32(3), interleave = bool(false)); } -> (z)";
    check("joined-slices", direct(Chip::M2), join, "l", "b");
    assert!(!said(&join.replace('@', "l"), direct(Chip::M1)).contains(&"joined-slices"));
    let square = "(tensor<fp16, [1, 4, 8, @]> x) { tensor<fp16, [1, 4, 8, @]> z = square(x = x); } -> (z)";
    check("square-width", direct(Chip::M4), square, "193", "192");
    let quantized = format!(
        "({X} x) {{ tensor<int8, [1, 4, 8, 32]> q = quantize(input = x, scale = fp16(0.1), output_dtype = string(\"int8\")); \
         {X} d = dequantize(input = q, scale = fp16(0.1)); {X} z = @(x = x, y = d); }} -> (z)"
    );
    check("scale-folded", direct(Chip::M4), &quantized, "mul", "add");
    let mask = format!(
        "({X} x) {{ tensor<fp16, [1, 1, 1, 1]> m = const()[val = tensor<fp16, [1, 1, 1, 1]>([[[[@]]]])]; {X} z = add(x = x, y = m); }} -> (z)"
    );
    check("infinite-constant", Target::new(Chip::M4), &mask, "-inf", "-30000");
    let batch = "(tensor<fp16, [2, 4, 8, 64]> x, tensor<fp16, [@, 4, 8, 64]> y) { tensor<fp16, [2, 4, 8, 64]> r = relu(x = x); tensor<fp16, [2, 4, 8, 64]> z = mul(x = r, y = y); } -> (z)";
    check("batch-broadcast", strict, batch, "1", "2");
    let narrow = "(tensor<fp16, [1, 64, 16, @]> x) { tensor<fp16, [1, 64, 16, @]> z = relu(x = x); } -> (z)";
    check("small-surface", strict, narrow, "63", "64");
    let small = "(tensor<fp16, [1, @, 1, 64]> x) { tensor<fp16, [1, @, 1, 64]> z = relu(x = x); } -> (z)";
    check("small-surface", strict, small, "383", "384");
    assert!(!said(&small.replace('@', "1"), direct(Chip::M4)).contains(&"small-surface"));
    let dtype = "(tensor<@, [1, 4, 8, 64]> x) { tensor<fp16, [1, 4, 8, 64]> z = cast(x = x, dtype = string(\"fp16\")); } -> (z)";
    check("interface-dtype", e5rt, dtype, "fp32", "fp16");
    let params =
        |n: usize| (0..n).map(|i| format!("tensor<fp16, [1, 64]> p{i}")).collect::<Vec<_>>().join(", ");
    let names = |n: usize| (0..n).map(|i| format!("p{i}")).collect::<Vec<_>>().join(", ");
    let many = |n: usize| {
        let call = format!("concat(values = ({}), axis = int32(0), interleave = bool(false))", names(n));
        format!("({}) {{ tensor<fp16, [{n}, 64]> z = {call}; }} -> (z)", params(n))
    };
    check("surface-count", direct(Chip::M4), "@", &many(128), &many(127));
    let tensors = |n: usize| {
        let add = |i: usize| {
            let from = if i == 0 { "x".to_string() } else { format!("v{}", i - 1) };
            format!(
                "tensor<fp16, [12]> w{i} = const()[val = fp16(1)]; tensor<fp16, [1, 12]> v{i} = add(x = {from}, y = w{i}); "
            )
        };
        format!("(tensor<fp16, [1, 12]> x) {{ {} }} -> (v{})", (0..n).map(add).collect::<String>(), n - 1)
    };
    check("weight-tensors", strict, "@", &tensors(17), &tensors(16));
    assert!(!said(&tensors(17), direct(Chip::M4)).contains(&"weight-tensors"));
}
