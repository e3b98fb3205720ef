use crate::bundle::Weights;
use crate::chip::{Chip, Numerics};
use crate::device::{Engine, Options, load};
use crate::types::{DType, Tensor};
use crate::{text, verify};

/// Runs a program of inputs `x` and `y` on both engines, on the plan and step by step, and compares what it gives.
fn check(numerics: Numerics, inputs: &[(&str, Tensor)], body: &str, expected: &[f64]) {
    let params: Vec<String> =
        inputs.iter().map(|(name, x)| format!("{} {name}", crate::types::Type::from(x.ty()))).collect();
    let text = format!("program(1.3) {{ func main<ios18>({}) {{ {body} }} -> (z); }}", params.join(", "));
    let report = verify::verify(&text::parse(&text).unwrap(), &Weights::none());
    let verified = report.verified.unwrap_or_else(|| panic!("{}", report.diagnostics));
    for engine in Engine::ALL {
        let options = Options { numerics, threads: 2, ..Options::default() };
        let model = load(verified.main(), engine, &options).unwrap();
        let states = model.new_states().unwrap();
        let planned = model.run(inputs, &states).unwrap();
        let stepped = model.run_observed(inputs, &states, &mut |_| {}).unwrap();
        for (way, found) in [("planned", planned), ("stepped", stepped)] {
            let found = found[0].1.as_tensor().unwrap().to_f64s();
            assert_eq!(found, expected, "{way} on {engine} with {numerics}: {body}");
        }
    }
}

fn half(shape: &[usize], values: &[f64]) -> Tensor {
    Tensor::from_f64s(DType::Fp16, shape, values).unwrap()
}

const INF: f64 = f64::INFINITY;

#[test]
fn engines_compute_with_the_arithmetic_that_is_asked_for() {
    let x = [("x", half(&[3], &[2048.0, INF, -4.0]))];
    let add = "tensor<fp16, [3]> z = add(x = x, y = fp16(1));";
    check(Numerics::Ieee, &x, add, &[2048.0, INF, -3.0]);
    for chip in Chip::ALL {
        check(Numerics::Chip(chip), &x, add, &[2050.0, INF, -3.0]);
    }
}

#[test]
fn products_overflow_on_their_way() {
    let x = [("x", half(&[1, 3], &[30000.0, 30000.0, -30000.0])), ("y", half(&[3, 1], &[1.0; 3]))];
    let matmul = "tensor<fp16, [1, 1]> z = matmul(x = x, y = y);";
    check(Numerics::Ieee, &x, matmul, &[30000.0]);
    check(Numerics::Chip(Chip::M4), &x, matmul, &[INF]);
    let einsum = "tensor<fp16, [1, 3, 1, 1]> a = const()[name = string(\"a\"), \
        val = tensor<fp16, [1, 3, 1, 1]>([[[[1]], [[1]], [[1]]]])]; \
        tensor<fp16, [1, 1, 1, 1]> z = einsum(values = (v, a), equation = string(\"nchw,nwhu->nchu\"));";
    let v = [("v", half(&[1, 1, 1, 3], &[30000.0, 30000.0, -30000.0]))];
    check(Numerics::Chip(Chip::M1), &v, einsum, &[INF]);
}

#[test]
fn activations_are_not_fused_away() {
    // The product is infinite before the activation sees it, and what the activation reads is 65536.
    let x = [("x", half(&[1, 2], &[30000.0, 30000.0]))];
    let body = "tensor<fp16, [1, 1]> h = linear(x = x, weight = tensor<fp16, [1, 2]>([[1, 1]]), \
        bias = tensor<fp16, [1]>([-60000])); tensor<fp16, [1, 1]> z = relu(x = h);";
    check(Numerics::Ieee, &x, body, &[0.0]);
    let overflow = body.replace("-60000", "0");
    check(Numerics::Chip(Chip::M6), &x, &overflow, &[INF]);
    // A bias that is beyond the range of sums is infinite for good.
    check(Numerics::Chip(Chip::M6), &x, body, &[0.0]);
}

#[test]
fn slices_within_the_width_saturate_on_older_chips() {
    let x = [("x", half(&[1, 1, 1, 4], &[5000.0, 4094.0, 5000.0, -5000.0]))];
    let slice = |begin: usize, n: usize| {
        format!(
            "tensor<fp16, [1, 1, 1, {n}]> z = slice_by_index(x = x, begin = tensor<int32, [4]>([0, 0, 0, {begin}]), \
             end = tensor<int32, [4]>([1, 1, 1, 4]));"
        )
    };
    check(Numerics::Chip(Chip::M1), &x, &slice(0, 4), &[5000.0, 4094.0, 5000.0, -5000.0]);
    check(Numerics::Chip(Chip::M2), &x, &slice(1, 3), &[4094.0, INF, -INF]);
    check(Numerics::Chip(Chip::M3), &x, &slice(1, 3), &[4094.0, 5000.0, -5000.0]);
    check(Numerics::Chip(Chip::M4), &x, &slice(1, 3), &[4094.0, 5000.0, -5000.0]);
}

#[test]
fn what_no_chip_computes_is_computed_as_ever() {
    let x = [("x", Tensor::from_f64s(DType::Fp32, &[2], &[2048.5, 0.1]).unwrap())];
    let ieee = f64::from(0.1f32 + 1.0);
    check(Numerics::Chip(Chip::M4), &x, "tensor<fp32, [2]> z = add(x = x, y = fp32(1));", &[2049.5, ieee]);
}

#[test]
fn unknown_arithmetic_is_stored_as_chips_store() {
    let x = [("x", half(&[1, 2], &[2048.0, 1.0])), ("y", half(&[1, 2], &[INF, 0.0]))];
    let sum =
        "tensor<fp16, [1]> z = reduce_sum(x = x, axes = tensor<int32, [1]>([1]), keep_dims = bool(false));";
    check(Numerics::Ieee, &x, sum, &[2048.0]);
    check(Numerics::Chip(Chip::M4), &x, sum, &[2050.0]);
    // Infinity is read as a number.
    let y = "tensor<fp16, [1, 2]> z = softmax(x = y, axis = int32(-1));";
    check(Numerics::Chip(Chip::M4), &x, y, &[1.0, 0.0]);
}

#[test]
fn functions_of_one_number_take_their_parameters() {
    let x = [("x", half(&[3], &[-2.0, 0.0, INF]))];
    check(Numerics::Chip(Chip::M4), &x, "tensor<fp16, [3]> z = tanh(x = x);", &[-0.9638671875, 0.0, 1.0]);
    let clip = "tensor<fp16, [3]> z = clip(x = x, alpha = fp16(-1), beta = fp16(6));";
    check(Numerics::Chip(Chip::M4), &x, clip, &[-1.0, 0.0, 6.0]);
    let inverse = "tensor<fp16, [3]> z = inverse(x = x, epsilon = fp16(0));";
    check(Numerics::Chip(Chip::M4), &x, inverse, &[-0.5, INF, 0.0]);
    let divided = "tensor<fp16, [3]> z = real_div(x = fp16(1), y = x);";
    check(Numerics::Chip(Chip::M4), &x, divided, &[-0.5, INF, 0.0]);
}

#[test]
fn attention_stores_halves_in_between() {
    let [q, k, v] =
        [[1.0, 1.0, 1.0, 1.0], [8.0, 8.0, 8.0, 8.0], [1.0, 2.0, 3.0, 4.0]].map(|x| half(&[1, 2, 2], &x));
    let body = "tensor<fp16, [1, 2, 2]> z = scaled_dot_product_attention(query = q, key = k, value = v);";
    let inputs = [("q", q), ("k", k), ("v", v)];
    check(Numerics::Chip(Chip::M4), &inputs, body, &[2.0, 3.0, 2.0, 3.0]);
}

#[test]
fn convolutions_on_new_chips_share_sums() {
    // 1 + 2⁻¹⁰ and its neighbours: the sum of two of them is rounded to a half before it is multiplied.
    let near = 1.0 + 2f64.powi(-10);
    let x = [("x", half(&[1, 1, 3, 4], &[1.0, near, 1.0, near, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]))];
    let body = "tensor<fp16, [1, 1, 1, 2]> z = conv(x = x, weight = tensor<fp16, [1, 1, 3, 3]>([[[[0.5, 0.25, 0.125], \
        [0, 0, 0], [0, 0, 0]]]]));";
    let exact = [0.5 + 0.25 * near + 0.125, 0.5 * near + 0.25 + 0.125 * near];
    check(Numerics::Chip(Chip::M4), &x, body, &exact.map(|x| (x * 2048.0).round() / 2048.0));
    let model = |chip| {
        let args = [
            ("x", x[0].1.clone().into()),
            ("weight", half(&[1, 1, 3, 3], &[0.5, 0.25, 0.125, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).into()),
        ];
        let conv = crate::ops::find("conv").unwrap();
        super::evaluate(conv, crate::mil::Opset::Ios18, &args, chip, 1).unwrap()[0]
            .as_tensor()
            .unwrap()
            .to_f64s()
    };
    assert_eq!(model(Chip::M5), model(Chip::M6));
    assert_ne!(model(Chip::M4), model(Chip::M5));
}
