//! Each rule on one program: what it writes, that the engine then takes it, and that it means the same.

use super::*;
use crate::chip::{Chip, Profile};
use crate::device::compare::{Tolerance, compare};
use crate::device::{self, Engine, Options};
use crate::place::Route;
use crate::text;
use crate::types::{DType, Tensor};

mod long;
mod more;

fn strict(chip: Chip) -> Target {
    Target { profile: Profile::Strict, route: Route::Direct, ..Target::new(chip) }
}

/// Numbers between −2 and 2 that are not whole.
fn inputs(verified: &Verified) -> Vec<(Name, Tensor)> {
    let of = |(i, v): (usize, &verify::Value)| {
        let ty = v.ty.as_tensor().unwrap();
        let shape = ty.shape.known().unwrap();
        let n = shape.iter().product::<usize>();
        let values: Vec<f64> =
            (0..n).map(|k| f64::from(((k * 37 + i * 11 + 5) % 64) as u32) / 16.0 - 1.97).collect();
        let values = match ty.dtype {
            DType::Bool => values.iter().map(|v| f64::from(u8::from(*v > 0.0))).collect(),
            _ => values,
        };
        (v.name.clone(), Tensor::from_f64s(ty.dtype, &shape, &values).unwrap())
    };
    verified.main().inputs().enumerate().map(of).collect()
}

fn outputs(verified: &Verified, inputs: &[(Name, Tensor)], engine: Engine) -> Vec<Tensor> {
    let model = device::load(verified.main(), engine, &Options::default()).unwrap();
    let named: Vec<(&str, Tensor)> = inputs.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    let outputs = model.run(&named, &model.new_states().unwrap()).unwrap();
    outputs.iter().map(|(_, v)| v.as_tensor().unwrap().clone()).collect()
}

/// What each rule does to one program, on both engines.
#[track_caller]
fn check(target: Target, params: &str, body: &str, rules: &[&str]) {
    let text = format!("program(1.3) {{ func main<ios18>({params}) {{ {body} }} -> (y); }}");
    let program = text::parse(&text).unwrap_or_else(|e| panic!("{e}"));
    let before = checked(&program, &Weights::none()).unwrap_or_else(|e| panic!("{e}"));
    let done = legalise(&program, &Weights::none(), target).unwrap();
    let made: Vec<&str> = done.changes.iter().map(|c| c.rule).filter(|&r| r != "order").collect();
    let [after] = &done.programs[..] else { panic!("{} programs", done.programs.len()) };
    let printed = text::print(after);
    assert_eq!(made, rules, "{body}: {printed}\n{:?}", done.left);
    assert!(done.left.is_empty(), "{printed}\n{:?}", done.left);
    // It is what is printed of it, too.
    let again = text::parse(&printed).unwrap_or_else(|e| panic!("{e}"));
    let after = checked(&again, &Weights::none()).unwrap_or_else(|e| panic!("{e}"));
    let inputs = inputs(&before);
    assert!(!place::place(after.main(), target).hazards.iter().any(|h| h.name == codes::OUTPUT_ORDER.name));
    for engine in [Engine::Reference, Engine::Cpu] {
        let (expected, found) = (outputs(&before, &inputs, engine), outputs(&after, &inputs, engine));
        for (e, f) in expected.iter().zip(&found) {
            let c = compare(f, e, Tolerance::FP16).unwrap();
            assert!(c.passes(), "{engine:?}: {c:?}\n{printed}\n{:?}\n{:?}", e.to_f64s(), f.to_f64s());
        }
    }
}

const X: &str = "tensor<fp16, [2, 8]> x";

fn unary(target: Target, op: &str, rules: &[&str]) {
    check(target, X, &format!("tensor<fp16, [2, 8]> y = {op};"), rules);
}

#[test]
fn what_some_compilers_refuse() {
    let m4 = strict(Chip::M4);
    unary(m4, "gelu(x = x, mode = string(\"EXACT\"))", &["gelu"]);
    unary(m4, "gelu(x = x, mode = string(\"TANH_APPROXIMATION\"))", &["gelu"]);
    unary(m4, "gelu(x = x, mode = string(\"SIGMOID_APPROXIMATION\"))", &["gelu"]);
    let positive =
        "tensor<fp16, [2, 8]> a = square(x = x); tensor<fp16, [2, 8]> y = rsqrt(x = a, epsilon = fp16(0.1));";
    check(m4, X, positive, &["rsqrt"]);
    check(
        m4,
        X,
        "tensor<fp16, [2]> y = reduce_mean(x = x, axes = tensor<int32, [1]>([-1]), keep_dims = bool(false));",
        &["mean"],
    );
    check(
        m4,
        "tensor<fp16, [2, 8]> x, tensor<fp16, [2, 3]> z",
        "tensor<fp16, [2, 11]> y = concat(values = (x, z), axis = int32(1), interleave = bool(false));",
        &["concat"],
    );
    let positive = "tensor<fp16, [2, 8]> a = exp(x = x); tensor<fp16, [2, 8]> y = rsqrt(x = a);";
    check(m4, X, positive, &["rsqrt"]);
    // What one rule writes, another rewrites.
    check(
        m4,
        X,
        "tensor<fp16, [4, 24]> y = tile(x = x, reps = tensor<int32, [2]>([2, 3]));",
        &["tile", "concat", "concat"],
    );
}

#[test]
fn ops_that_no_engine_has() {
    let m4 = Target { route: Route::Direct, ..Target::new(Chip::M4) };
    for (op, rule) in [("tan", "tan"), ("sinh", "sinh"), ("cosh", "cosh")] {
        unary(m4, &format!("{op}(x = x)"), &[rule]);
    }
    for (op, rule) in [("asin", "arc"), ("acos", "arc"), ("atanh", "atanh")] {
        let body = format!(
            "tensor<fp16, [2, 8]> a = mul(x = x, y = fp16(0.45)); tensor<fp16, [2, 8]> y = {op}(x = a);"
        );
        check(m4, X, &body, &[rule]);
    }
    check(
        m4,
        "tensor<fp16, [2, 8]> x, tensor<fp16, [2, 8]> z",
        "tensor<fp16, [2, 8]> y = mod(x = x, y = z);",
        &["mod"],
    );
    for op in ["logical_and", "logical_or", "logical_xor"] {
        let body = format!(
            "tensor<bool, [2, 8]> a = greater(x = x, y = fp16(0)); tensor<bool, [2, 8]> b = less(x = x, y = fp16(1)); \
             tensor<bool, [2, 8]> c = {op}(x = a, y = b); tensor<fp16, [2, 8]> y = select(cond = c, a = x, b = fp16(0));"
        );
        check(m4, X, &body, &["logical"]);
    }
    check(
        m4,
        X,
        "tensor<fp16, [2]> y = reduce_prod(x = x, axes = tensor<int32, [1]>([1]), keep_dims = bool(false));",
        &["prod"],
    );
    unary(m4, "band_part(x = x, lower = int32(0), upper = int32(2))", &["band"]);
    for axis in [0, 1] {
        for flags in
            ["exclusive = bool(false), reverse = bool(false)", "exclusive = bool(true), reverse = bool(true)"]
        {
            unary(m4, &format!("cumsum(x = x, axis = int32({axis}), {flags})"), &["cumsum"]);
        }
    }
    check(
        m4,
        X,
        "tensor<fp16, [2, 3, 4]> y = sliding_windows(x = x, axis = int32(1), size = int32(4), stride = int32(2));",
        &["windows"],
    );
}

#[test]
fn what_earlier_chips_lack() {
    let m1 = Target { route: Route::Direct, ..Target::new(Chip::M1) };
    unary(m1, "sin(x = x)", &["wave"]);
    unary(m1, "cos(x = x)", &["wave"]);
    unary(m1, "tan(x = x)", &["tan", "wave", "wave"]);
    check(
        m1,
        X,
        "tensor<fp16, [2, 4]> y = slice_by_size(x = x, begin = tensor<int32, [2]>([0, 3]), size = tensor<int32, \
         [2]>([2, 4]));",
        &["slice"],
    );
}

#[test]
fn forms_and_dtypes() {
    let m4 = Target { route: Route::Direct, ..Target::new(Chip::M4) };
    check(
        Target::new(Chip::M4),
        "tensor<fp32, [2, 8]> x",
        "tensor<fp32, [2, 8]> y = mul(x = x, y = fp32(0.5));",
        &["fp32"],
    );
    check(
        m4,
        "tensor<fp16, [1, 2, 12, 12]> x",
        "tensor<fp16, [1, 2, 2, 2]> y = max_pool(x = x, kernel_sizes = tensor<int32, [2]>([10, 10]), strides = \
         tensor<int32, [2]>([2, 2]), pad_type = string(\"valid\"), pad = tensor<int32, [4]>([0, 0, 0, 0]), ceil_mode = \
         bool(false));",
        &["max-pool"],
    );
    let q = "tensor<fp16, [1, 2, 4, 8]>";
    check(
        m4,
        &format!("{q} q, {q} k, {q} v, tensor<fp16, [1, 1, 4, 4]> m"),
        &format!("{q} y = scaled_dot_product_attention(query = q, key = k, value = v, attn_mask = m);"),
        &["attention"],
    );
    check(
        m4,
        "tensor<fp16, [1, 4, 1, 8]> x, tensor<fp16, [2, 4, 1, 1]> w",
        "tensor<fp16, [1, 2, 1, 8]> y = conv(x = x, weight = w, strides = tensor<int32, [2]>([1, 1]), pad_type = \
         string(\"valid\"), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = \
         int32(1));",
        &["runtime-weight"],
    );
}

#[test]
fn what_is_written_is_divided_again_and_named_anew() {
    let m4 = Target { route: Route::Direct, ..Target::new(Chip::M4) };
    check(
        m4,
        "tensor<fp16, [1, 1, 40, 40]> x",
        "tensor<fp16, [1, 1, 11, 11]> y = max_pool(x = x, kernel_sizes = tensor<int32, [2]>([30, 30]), strides = \
         tensor<int32, [2]>([1, 1]), pad_type = string(\"valid\"), pad = tensor<int32, [4]>([0, 0, 0, 0]), ceil_mode = \
         bool(false));",
        &["max-pool"; 4],
    );
    // A name that is there already is not taken.
    check(
        m4,
        "tensor<fp16, [2, 8]> x, tensor<fp16, [2, 8]> y_t0",
        "tensor<fp16, [2, 8]> y = mod(x = x, y = y_t0);",
        &["mod"],
    );
    check(
        m4,
        "tensor<fp16, [1, 2, 2, 2, 8]> x",
        "tensor<fp16, [1, 2, 2, 2, 3]> y = linear(x = x, weight = tensor<fp16, [3, 8]>([[0.5, -1, 2, 0.25, 1, 0, 3, -0.5], [1, \
         1, 1, 1, 1, 1, 1, 1], [0, 0.5, 0, -0.5, 0, 0.5, 0, 2]]), bias = tensor<fp16, [3]>([1, -1, 0.5]));",
        &["linear"],
    );
}

#[test]
fn products_of_small_numbers_are_made_larger() {
    let m4 = Target { route: Route::Direct, ..Target::new(Chip::M4) };
    check(
        m4,
        "tensor<fp16, [1, 1, 2, 4096]> x, tensor<fp16, [1, 1, 4096, 8]> v",
        "tensor<fp16, [1, 1, 2, 4096]> p = softmax(x = x, axis = int32(-1)); tensor<fp16, [1, 1, 2, 8]> y = matmul(x = p, \
         y = v, transpose_x = bool(false), transpose_y = bool(false));",
        &["probabilities"],
    );
    check(
        m4,
        "tensor<fp16, [1, 1, 2, 40000]> x, tensor<fp16, [1, 1, 40000, 2]> z",
        "tensor<fp16, [1, 1, 2, 2]> y = matmul(x = x, y = z, transpose_x = bool(false), transpose_y = bool(false));",
        &["inner"],
    );
}

#[test]
fn kernels_are_divided() {
    let m4 = Target { route: Route::Direct, ..Target::new(Chip::M4) };
    for pads in ["same", "same_lower"] {
        let pool = format!(
            "tensor<fp16, [1, 2, 6, 14]> y = max_pool(x = x, kernel_sizes = tensor<int32, [2]>([3, 12]), strides = tensor<int32, \
             [2]>([1, 2]), pad_type = string(\"{pads}\"), pad = tensor<int32, [4]>([0, 0, 0, 0]), ceil_mode = bool(false));"
        );
        check(m4, "tensor<fp16, [1, 2, 6, 28]> x", &pool, &["max-pool"]);
    }
    let conv = |x: &str, y: &str, kernel: &str, more: &str, rules: &[&str]| {
        let body = format!(
            "tensor<fp16, {kernel}> w = const()[val = fp16(0.03125)]; tensor<fp16, {y}> y = conv(x = x, weight = w, {more}, groups = int32(1));"
        );
        check(m4, &format!("tensor<fp16, {x}> x"), &body, rules);
    };
    let plain = "strides = tensor<int32, [2]>([1, 1]), dilations = tensor<int32, [2]>([1, 1])";
    let same = format!("pad_type = string(\"same\"), pad = tensor<int32, [4]>([0, 0, 0, 0]), {plain}");
    conv("[1, 4, 5, 32]", "[1, 2, 5, 32]", "[2, 4, 1, 20]", &same, &["kernel"]);
    let lower = same.replace("same", "same_lower");
    conv("[1, 4, 5, 32]", "[1, 2, 5, 32]", "[2, 4, 1, 20]", &lower, &["kernel"]);
    let odd = "pad_type = string(\"custom\"), pad = tensor<int32, [4]>([0, 1, 3, 2]), strides = tensor<int32, [2]>([1, 2]), \
               dilations = tensor<int32, [2]>([1, 2]), bias = tensor<fp16, [2]>([1, -2])";
    conv("[1, 4, 5, 60]", "[1, 2, 6, 14]", "[2, 4, 1, 20]", odd, &["kernel"]);
    check(
        m4,
        "tensor<fp16, [1, 2, 33, 20]> x",
        "tensor<fp16, [1, 2, 33, 20]> a = square(x = x); tensor<fp16, [1, 2, 2, 9]> y = avg_pool(x = a, kernel_sizes = tensor<int32, [2]>([32, 3]), strides = tensor<int32, \
         [2]>([1, 2]), pad_type = string(\"valid\"), pad = tensor<int32, [4]>([0, 0, 0, 0]), ceil_mode = bool(false), \
         exclude_padding_from_average = bool(false));",
        &["average", "kernel"],
    );
    check(
        m4,
        "tensor<fp16, [2, 4, 1, 8]> x, tensor<fp16, [2, 4, 1, 1]> w",
        "tensor<fp16, [2, 2, 1, 8]> y = conv(x = x, weight = w, strides = tensor<int32, [2]>([1, 1]), pad_type = \
         string(\"valid\"), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = \
         int32(1));",
        &["batch", "runtime-weight", "runtime-weight"],
    );
}

#[test]
fn norms_over_channels_are_convolutions() {
    let m1 = Target { route: Route::Direct, ..Target::new(Chip::M1) };
    for (size, more) in [(3, ""), (4, ", alpha = fp16(0.5), beta = fp16(0.5), k = fp16(2)")] {
        let body = format!(
            "tensor<fp16, [1, 16, 4, 4]> y = local_response_norm(x = x, size = int32({size}){more});"
        );
        check(m1, "tensor<fp16, [1, 16, 4, 4]> x", &body, &["neighbours"]);
    }
}

#[test]
fn weights_are_made_smaller() {
    let m4 = Target { route: Route::Direct, ..Target::new(Chip::M4) };
    let x = "tensor<fp16, [2, 32]> x";
    for bias in ["", ", bias = tensor<fp16, [3]>([1000, -2000, 0])"] {
        let body = format!(
            "tensor<fp16, [3, 32]> w = const()[val = fp16(2048)]; tensor<fp16, [2, 3]> y = linear(x = x, weight = w{bias});"
        );
        check(m4, x, &body, &["overflow"]);
    }
    check(
        m4,
        "tensor<fp16, [1, 32, 1, 4]> x",
        "tensor<fp16, [2, 32, 1, 1]> w = const()[val = fp16(2048)]; tensor<fp16, [1, 2, 1, 4]> y = conv(x = x, weight = w, \
         bias = tensor<fp16, [2]>([1000, -2000]), strides = tensor<int32, [2]>([1, 1]), pad_type = string(\"valid\"), pad = \
         tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1));",
        &["overflow"],
    );
}

#[test]
fn moves_are_written_with_others() {
    let m4 = Target { route: Route::Direct, ..Target::new(Chip::M4) };
    check(
        m4,
        "tensor<fp16, [2, 50, 3, 4]> x",
        "tensor<fp16, [2, 2, 15, 20]> y = pixel_shuffle(x = x, upscale_factor = int32(5));",
        &["shuffle"],
    );
    check(
        m4,
        "tensor<fp16, [2, 2, 15, 20]> x",
        "tensor<fp16, [2, 50, 3, 4]> y = pixel_unshuffle(x = x, downscale_factor = uint32(5));",
        &["shuffle"],
    );
    check(
        m4,
        "tensor<fp16, [1, 4, 6]> x",
        "tensor<fp16, [1, 4, 2]> a, tensor<fp16, [1, 4, 2]> b, tensor<fp16, [1, 4, 2]> c = split(x = x, num_splits = \
         int32(3), axis = int32(2)); tensor<fp16, [1, 4, 2]> y = sub(x = c, y = b);",
        &["parts"],
    );
}

#[test]
fn what_is_taken_is_left_alone() {
    let m4 = Target { route: Route::Direct, ..Target::new(Chip::M4) };
    unary(m4, "relu(x = x)", &[]);
    unary(m4, "gelu(x = x, mode = string(\"EXACT\"))", &[]);
}

/// Not the op is refused, but the number of dimensions, whatever stands for it.
#[test]
fn what_would_gain_nothing_is_left() {
    let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 1, 1, 1, 2, 4]> x) { tensor<fp16, [1, 1, 1, 1, 2, 4]> y = \
                sin(x = x); } -> (y); }";
    let m1 = Target { route: Route::Direct, ..Target::new(Chip::M1) };
    let program = text::parse(text).unwrap();
    let done = legalise(&program, &Weights::none(), m1).unwrap();
    assert!(done.changes.is_empty() && done.programs == [program], "{:?}", done.changes);
    assert_eq!(done.left.len(), 1);
}

#[test]
fn each_rule_has_a_name_of_its_own() {
    let mut names: Vec<&str> = RULES.iter().map(|r| r.name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|w| w[0] != w[1]));
    assert!(RULES.iter().flat_map(|r| r.ops).all(|op| crate::ops::find(op).is_some()));
}
