//! Planes whose channels lie last: layers give the same bits.

use super::{check, function, literal, loaded};
use crate::types::{DType, Tensor};

/// Numbers whose sums are rounded, so that they tell in which order they were added.
fn numbers(shape: &[usize]) -> Tensor {
    let number = |i: usize| ((i * 7919 + 31) % 1013) as f64 / 97.0 - 5.0;
    let numbers: Vec<f64> = (0..shape.iter().product()).map(number).collect();
    Tensor::from_f64s(DType::Fp16, shape, &numbers).unwrap()
}

/// A convolution of planes, of `kernel` x `kernel` taps.
fn conv(
    name: &str,
    x: &str,
    [inputs, outputs, groups]: [usize; 3],
    [kernel, stride]: [usize; 2],
    [batch, height, width]: [usize; 3],
) -> String {
    let number = |i: usize| (((i * 31 + 7) % 41) as f64 / 256.0 - 0.08).to_string();
    let weight = literal("fp16", &[outputs, inputs / groups, kernel, kernel], number);
    let bias = literal("fp16", &[outputs], |i| ((i % 7) as f64 / 8.0).to_string());
    let pad = [kernel / 2; 4];
    format!(
        "tensor<fp16, [{batch}, {outputs}, {height}, {width}]> {name} = conv(x = {x}, weight = {weight}, bias = {bias},
             strides = tensor<int32, [2]>([{stride}, {stride}]), pad_type = string(\"custom\"),
             pad = tensor<int32, [4]>({pad:?}), dilations = tensor<int32, [2]>([1, 1]), groups = int32({groups}));\n"
    )
}

/// The steps of a plan that gives the bits of the engine that goes step by step, and whether planes lie with their channels last.
fn steps(shape: &[usize], body: &str, results: &str) -> Vec<(String, bool)> {
    let text = function(&format!("tensor<fp16, {shape:?}> x"), body, results);
    check(&text, &[("x", numbers(shape))]);
    let model = loaded(&text);
    let plan = model.plan().unwrap();
    assert_eq!(
        plan.to_string().matches(", channels last").count(),
        plan.steps().filter(|step| step.channels_last).count()
    );
    plan.steps().map(|step| (step.name.to_string(), step.channels_last)).collect()
}

/// An inverted residual: it grows, is convolved in depth, shrinks, and is added to what it was made of.
fn residual(name: &str, x: &str, channels: usize, sizes: [usize; 3], kernel: usize) -> String {
    let [batch, height, width] = sizes;
    let wide = 6 * channels;
    let ty = |channels: usize| format!("tensor<fp16, [{batch}, {channels}, {height}, {width}]>");
    let (grown, own) = (ty(wide), ty(channels));
    let mut body = conv(&format!("{name}g"), x, [channels, wide, 1], [1, 1], sizes);
    body += &format!("{grown} {name}h = clip(x = {name}g, alpha = fp16(0), beta = fp16(6));\n");
    body += &conv(&format!("{name}d"), &format!("{name}h"), [wide, wide, wide], [kernel, 1], sizes);
    body += &format!("{grown} {name}r = relu(x = {name}d);\n");
    body += &conv(&format!("{name}s"), &format!("{name}r"), [wide, channels, 1], [1, 1], sizes);
    body + &format!("{own} {name} = add(x = {name}s, y = {x});\n")
}

#[test]
fn layers_of_small_planes_lie_with_their_channels_last() {
    for sizes in [[1, 7, 7], [2, 9, 5]] {
        let [batch, height, width] = sizes;
        for kernel in [3, 5] {
            let body = residual("a", "x", 40, sizes, kernel) + &residual("b", "a", 40, sizes, kernel);
            // What is given is read as it is, and what is given back is written as it should be.
            let found = steps(&[batch, 40, height, width], &body, "b");
            let names = ["ah", "ar", "a", "bh", "br", "b"];
            assert_eq!(found, names.map(|name| (name.to_string(), true)), "{sizes:?} {kernel}");
        }
    }
    // Of larger planes those whose channels fill vectors. The first layer finds what is given as it lies, and turns it by itself.
    for (channels, last) in [(16, true), (24, false)] {
        let sizes = [1, 28, 28];
        let body = conv("e", "x", [channels, channels, 1], [1, 1], sizes)
            + &residual("a", "e", channels, sizes, 3)
            + &residual("b", "a", channels, sizes, 5);
        let found = steps(&[1, channels, 28, 28], &body, "b");
        let names = ["e", "ah", "ar", "a", "bh", "br", "b"];
        assert_eq!(found, names.map(|name| (name.to_string(), last)), "{channels}");
    }
    // Larger ones, a single place, and too little to gain.
    for (channels, sizes) in [(16, [1, 33, 33]), (64, [1, 1, 1]), (1, [1, 7, 7])] {
        let [batch, height, width] = sizes;
        let found = steps(&[batch, channels, height, width], &residual("a", "x", channels, sizes, 3), "a");
        assert!(found.iter().all(|(_, last)| !last), "{found:?}");
    }
}

#[test]
fn others_read_and_write_planes_as_they_know_them() {
    let sizes = [1, 7, 7];
    let ty = |channels: usize| format!("tensor<fp16, [1, {channels}, 7, 7]>");
    // A softmax, a reshape, a pooling, and a choice by what is no float read what lies with channels last, and what they give is read.
    let body = format!(
        "{} {} {wide} o = softmax(x = a, axis = int32(1));
         tensor<fp16, [40, 49]> f = reshape(x = a, shape = tensor<int32, [2]>([40, 49]));
         tensor<fp16, [40, 49]> e = exp(x = f);
         {wide} p = avg_pool(x = b, kernel_sizes = tensor<int32, [2]>([3, 3]), strides = tensor<int32, [2]>([1, 1]),
             pad_type = string(\"same\"), pad = tensor<int32, [4]>([0, 0, 0, 0]), exclude_padding_from_average = bool(false),
             ceil_mode = bool(false));
         tensor<bool, [1, 40, 7, 7]> t = greater(x = b, y = fp16(0.5));
         {wide} u = select(cond = t, a = b, b = a);
         {wide} q = add(x = p, y = u);
         {}",
        residual("a", "x", 40, sizes, 3),
        residual("b", "a", 40, sizes, 5),
        residual("c", "q", 40, sizes, 5),
        wide = ty(40)
    );
    let found = steps(&[1, 40, 7, 7], &body, "o, e, c, b");
    let last: Vec<&str> = found.iter().filter(|(_, last)| *last).map(|(name, _)| &**name).collect();
    assert!(last.len() >= 11 && ["p", "u", "q", "c"].iter().all(|name| last.contains(name)), "{found:?}");
}

#[test]
fn windows_of_a_single_channel_are_computed_elsewhere() {
    let sizes = [1, 7, 7];
    let body = residual("a", "x", 40, sizes, 5)
        + &conv("c", "a", [40, 1, 1], [1, 1], sizes)
        + &conv("d", "c", [1, 1, 1], [3, 1], sizes)
        + &conv("e", "d", [1, 40, 1], [1, 1], sizes)
        + &residual("b", "e", 40, sizes, 5);
    let found = steps(&[1, 40, 7, 7], &body, "b");
    let last = |name: &str| found.iter().any(|(step, last)| step == name && *last);
    assert!(["ar", "a", "c", "e", "br", "b"].into_iter().all(last), "{found:?}");
}

#[test]
fn channels_are_scaled_where_they_lie() {
    let (shape, sizes) = ([1, 48, 7, 7], [1, 7, 7]);
    let body = format!(
        "{} tensor<fp16, [1, 288, 1, 1]> m = reduce_mean(x = ar, axes = tensor<int32, [2]>([-1, 2]), keep_dims = bool(true));
         tensor<fp16, [1, 288, 1, 1]> s = sigmoid(x = m);
         tensor<fp16, [1, 288, 7, 7]> z = mul(x = s, y = ar);
         {} tensor<fp16, [1, 288]> y = reduce_mean(x = bh, axes = tensor<int32, [2]>([2, 3]), keep_dims = bool(false));",
        residual("a", "x", 48, sizes, 3),
        conv("b", "z", [288, 288, 1], [1, 1], sizes) + "tensor<fp16, [1, 288, 7, 7]> bh = relu(x = b);\n"
    );
    let text = function(&format!("tensor<fp16, {shape:?}> x"), &body, "y");
    let (model, x) = (loaded(&text), numbers(&shape));
    let plan = model.plan().unwrap();
    let of = |name: &str| plan.steps().find(|step| &**step.name == name).map(|step| step.channels_last);
    // A single place lies the same either way.
    assert_eq!(
        ["m", "z", "bh", "y", "s"].map(of),
        [Some(true), Some(true), Some(true), Some(true), Some(false)],
        "{plan}"
    );
    // Means are summed in another order.
    let states = model.new_states().unwrap();
    let exact = model.run_observed(&[("x", x.clone())], &states, &mut |_| {}).unwrap();
    let given = model.run(&[("x", x)], &states).unwrap();
    let [exact, given] = [exact, given].map(|results| results[0].1.as_tensor().unwrap().to_f64s());
    assert!(exact.iter().any(|v| *v > 0.1));
    for (exact, given) in exact.iter().zip(&given) {
        assert!((exact - given).abs() <= 1e-3 * exact.abs() + 1e-3, "{exact} {given}");
    }
}
