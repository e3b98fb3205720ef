//! Steps that bands of rows go through, with the bits of each by itself.

use super::*;

/// Numbers that are not whole, and none of which is 0.
fn numbers(shape: &[usize], seed: usize) -> Tensor {
    let n = shape.iter().product::<usize>();
    let number = |i: usize| ((i + seed) * 2_654_435_761 % 1009) as f64 / 503.0 - 1.0;
    Tensor::from_f64s(DType::Fp16, shape, &(0..n).map(number).collect::<Vec<_>>()).unwrap()
}

fn ty(shape: &[usize]) -> String {
    format!("tensor<fp16, {shape:?}>")
}

/// Compares with the engine that goes step by step, and gives what is shown of each step.
#[track_caller]
fn steps(inputs: &[(&str, &[usize])], body: &str, results: &str) -> Vec<String> {
    let params: Vec<String> = inputs.iter().map(|(name, shape)| format!("{} {name}", ty(shape))).collect();
    let text = function(&params.join(", "), body, results);
    let given: Vec<(&str, Tensor)> =
        inputs.iter().enumerate().map(|(i, (name, shape))| (*name, numbers(shape, 7 * i))).collect();
    check(&text, &given);
    let shown = loaded(&text).plan().unwrap().to_string();
    let steps = shown.lines().filter(|l| l.contains(" of input") || l.contains(" of slot"));
    steps.map(ToString::to_string).collect()
}

const LAST: &str = "axes = tensor<int32, [1]>([-1]), keep_dims = bool(true)";

#[test]
fn norms_of_primitives_are_one_step() {
    let (rows, row, one) = ([1, 960, 512], "tensor<fp16, [1, 960, 512]>", "tensor<fp16, [1, 960, 1]>");
    let root = format!(
        "{row} s = mul(x = x, y = x); {one} m = reduce_mean(x = s, {LAST}); {one} e = add(x = m, y = fp16(0.00001)); \
         {one} r = rsqrt(x = e); {row} n = mul(x = x, y = r); tensor<fp16, [512]> g = const()[val = fp16(1.25)]; \
         {row} y = mul(x = n, y = g);"
    );
    let shown = steps(&[("x", &rows)], &root, "y");
    assert_eq!(shown, ["y: mul, reduce_mean, add, rsqrt, mul, mul of input 0 to output 0, in 8 bands"]);
    let layer = format!(
        "{one} a = reduce_mean(x = x, {LAST}); {row} d = sub(x = x, y = a); {row} s = square(x = d); \
         {one} v = reduce_mean(x = s, {LAST}); {one} e = add(x = v, y = fp16(0.00001)); {one} r = sqrt(x = e); \
         {row} n = real_div(x = d, y = r); tensor<fp16, [512]> g = const()[val = fp16(1.25)]; {row} h = mul(x = n, y = g); \
         tensor<fp16, [1, 1, 512]> b = const()[val = fp16(0.5)]; {row} y = add(x = h, y = b);"
    );
    let shown = steps(&[("x", &rows)], &layer, "y");
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(shown[0].starts_with(
        "y: reduce_mean, sub, square, reduce_mean, add, sqrt, real_div, mul, add of input 0 to"
    ));
    // What is read elsewhere ends a band; another may begin there.
    let shown = steps(&[("x", &rows)], &layer, "y, d");
    assert_eq!(shown.len(), 2, "{shown:?}");
    // Few numbers stay in the cache by themselves.
    let shown = steps(&[("x", &[1, 24, 512])], &root.replace("960", "24"), "y");
    assert!(shown.len() > 1 && !shown[0].contains("bands"), "{shown:?}");
}

#[test]
fn softmax_of_primitives_and_chains_with_constants() {
    let (row, one) = ("tensor<fp16, [3, 480, 400]>", "tensor<fp16, [3, 480, 1]>");
    let body = format!(
        "{one} m = reduce_max(x = x, {LAST}); {row} d = sub(x = x, y = m); {row} e = exp(x = d); \
         {one} s = reduce_sum(x = e, {LAST}); {row} y = real_div(x = e, y = s);"
    );
    let shown = steps(&[("x", &[3, 480, 400])], &body, "y");
    assert_eq!(shown.len(), 1, "{shown:?}");
    // Constants of one number, of a row, of a column, and of all.
    let body = format!(
        "tensor<fp16, [400]> c = const()[val = fp16(0.75)]; tensor<fp16, [480, 1]> r = const()[val = fp16(-0.5)]; \
         {row} w = const()[val = fp16(3)]; {row} a = mul(x = x, y = fp16(2)); {row} b = add(x = a, y = c); \
         {row} d = mul(x = b, y = r); {row} e = clip(x = d, alpha = fp16(-1), beta = fp16(1)); {row} f = sub(x = w, y = e); \
         {row} g = mul(x = z, y = f); {row} y = sigmoid(x = g);"
    );
    let shown = steps(&[("x", &[3, 480, 400]), ("z", &[480, 400])], &body, "y");
    assert_eq!(shown.len(), 1, "{shown:?}");
    // Sums along an axis that is not kept.
    let body = format!(
        "{row} a = square(x = x); tensor<fp16, [3, 480]> s = reduce_sum(x = a, axes = tensor<int32, [1]>([2]), keep_dims = \
         bool(false)); tensor<fp16, [3, 480]> y = sqrt(x = s);"
    );
    let shown = steps(&[("x", &[3, 480, 400])], &body, "y");
    assert_eq!(shown.len(), 1, "{shown:?}");
}

#[test]
fn attention_of_primitives_is_one_step() {
    let heads = [1, 8, 160, 64];
    let (head, scores) = ("tensor<fp16, [1, 8, 160, 64]>", "tensor<fp16, [1, 8, 160, 160]>");
    let attention = |keys: &str, values: &str, mask: &str| {
        format!(
            "{scores} s = matmul(x = q, y = {keys}, transpose_x = bool(false), transpose_y = bool(true)); \
             {scores} t = mul(x = s, y = fp16(0.125)); {scores} u = add(x = t, y = {mask}); \
             {scores} w = softmax(x = u, axis = int32(-1)); \
             {head} y = matmul(x = w, y = {values}, transpose_x = bool(false), transpose_y = bool(false));"
        )
    };
    let all: [(&str, &[usize]); 4] = [("q", &heads), ("k", &heads), ("v", &heads), ("m", &[1, 1, 160, 160])];
    let shown = steps(&all, &attention("k", "v", "m"), "y");
    assert_eq!(
        shown,
        [
            "y: matmul, mul, add, softmax, matmul of input 0, input 1, input 3, input 2 to output 0, in 8 bands"
        ]
    );
    let constant =
        format!("tensor<fp16, [160, 160]> c = const()[val = fp16(-2)]; {}", attention("k", "v", "c"));
    assert_eq!(steps(&all[..3], &constant, "y").len(), 1);
    // Heads that are taken apart by strides, and put together behind.
    let tokens = "tensor<fp16, [1, 160, 8, 64]>";
    let apart = |x: &str, to: &str| {
        format!(
            "{tokens} {x}a = reshape(x = {x}x, shape = tensor<int32, [4]>([1, 160, 8, 64])); \
             {head} {to} = transpose(x = {x}a, perm = tensor<int32, [4]>([0, 2, 1, 3]));"
        )
    };
    let body = format!(
        "{} {} {} {} {tokens} j = transpose(x = y, perm = tensor<int32, [4]>([0, 2, 1, 3]));",
        apart("q", "q"),
        apart("k", "k"),
        apart("v", "v"),
        attention("k", "v", "m")
    );
    let rows: &[usize] = &[1, 160, 512];
    let shown = steps(&[("qx", rows), ("kx", rows), ("vx", rows), ("m", &[1, 1, 160, 160])], &body, "j");
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(shown[0].contains("input 0 by transpose") && shown[0].contains("bands"), "{shown:?}");
}

#[test]
fn long_rows_have_more_room() {
    let (head, scores) = ("tensor<fp16, [1, 2, 384, 16]>", "tensor<fp16, [1, 2, 384, 1200]>");
    let body = format!(
        "{scores} s = matmul(x = q, y = k, transpose_x = bool(false), transpose_y = bool(true)); \
         {scores} w = softmax(x = s, axis = int32(-1)); \
         {head} y = matmul(x = w, y = k, transpose_x = bool(false), transpose_y = bool(false));"
    );
    // Rows of a product are not divided finely: six bands would be too few, and eight of less than 128 rows too small.
    let shown = steps(&[("q", &[1, 2, 384, 16]), ("k", &[1, 2, 1200, 16])], &body, "y");
    assert_eq!(shown.len(), 3, "{shown:?}");
    let (body, more) = (body.replace("2, 384", "3, 384"), [1, 3, 384, 16]);
    let shown = steps(&[("q", &more), ("k", &[1, 3, 1200, 16])], &body, "y");
    assert!(shown.len() == 1 && shown[0].contains("9 bands"), "{shown:?}");
}

/// A matrix that all bands meet, and that is read by strides.
#[test]
fn views_that_are_not_divided_stay_views() {
    let (rows, scores) = ("tensor<fp16, [8, 160, 48]>", "tensor<fp16, [8, 160, 320]>");
    let body = format!(
        "tensor<fp16, [48, 320]> t = transpose(x = k, perm = tensor<int32, [2]>([1, 0])); \
         {rows} h = mul(x = q, y = fp16(0.5)); \
         {scores} s = matmul(x = h, y = t, transpose_x = bool(false), transpose_y = bool(false)); \
         {scores} w = softmax(x = s, axis = int32(-1)); {scores} y = mul(x = w, y = fp16(2));"
    );
    let shown = steps(&[("q", &[8, 160, 48]), ("k", &[320, 48])], &body, "y");
    assert!(shown.len() == 1 && shown[0].contains("by transpose") && shown[0].contains("bands"), "{shown:?}");
}

/// Chains of any ops, of which some values are read again later, or given.
#[test]
fn any_chain_has_the_bits_of_its_steps() {
    let mut state = 1u64;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % n
    };
    let mut banded = 0;
    for _ in 0..16 {
        let [a, b, c] = [[2, 3, 8][below(3)], [64, 90, 160][below(3)], [200, 333, 512][below(3)]];
        let (row, one) = (ty(&[a, b, c]), ty(&[a, b, 1]));
        let mut body = format!("{row} v0 = abs(x = x); ");
        let count = 4 + below(8);
        for i in 1..=count {
            let (v, before) = (format!("v{i}"), format!("v{}", i - 1));
            let earlier = format!("v{}", below(i));
            let constant = |shape: &[usize]| format!("{} c{i} = const()[val = fp16(0.75)]; ", ty(shape));
            body += &match below(9) {
                0 => format!("{row} {v} = mul(x = {before}, y = fp16(0.5)); "),
                1 => format!("{}{row} {v} = add(x = c{i}, y = {before}); ", constant(&[c])),
                2 => format!("{}{row} {v} = mul(x = {before}, y = c{i}); ", constant(&[b, 1])),
                3 => format!("{}{row} {v} = sub(x = {before}, y = c{i}); ", constant(&[a, 1, 1])),
                4 => format!("{row} {v} = sub(x = {before}, y = {earlier}); "),
                5 => format!("{row} {v} = softmax(x = {before}, axis = int32(-1)); "),
                6 => format!(
                    "{one} m{i} = reduce_max(x = {before}, {LAST}); {row} {v} = sub(x = {earlier}, y = m{i}); "
                ),
                7 => format!("{row} {v} = add(x = z, y = {before}); "),
                _ => format!(
                    "{} s{i} = matmul(x = {before}, y = k, transpose_x = bool(false), transpose_y = bool(true)); \
                     {row} {v} = matmul(x = s{i}, y = k, transpose_x = bool(false), transpose_y = bool(false)); ",
                    ty(&[a, b, 24])
                ),
            };
        }
        let results =
            if below(2) == 0 { format!("v{count}") } else { format!("v{count}, v{}", below(count)) };
        let shown = steps(&[("x", &[a, b, c]), ("z", &[b, c]), ("k", &[a, 24, c])], &body, &results);
        banded += shown.iter().filter(|step| step.contains("bands")).count();
    }
    assert!(banded > 5, "{banded}");
}
