//! Axes that are longer than the engine's, which takes 16384 elements on an M1.

use super::*;

const M1: Target = Target { route: Route::Direct, ..Target::new(Chip::M1) };

/// Ops behind the elements of `x` along one axis, how often the rule is made, and how often a slice is to be put right that
/// begins inside the axis.
#[track_caller]
fn flat(rows: u64, row: u64, body: &str, (times, slices): (usize, usize)) {
    let x = format!("tensor<fp16, [1, 2, {rows}, {row}]> x");
    let n = rows * row;
    let body = format!(
        "tensor<fp16, [1, 2, 1, {n}]> f = reshape(x = x, shape = tensor<int32, [4]>([1, 2, 1, {n}])); {body}"
    );
    check(
        M1,
        &x,
        &body.replace("LONG", &format!("tensor<fp16, [1, 2, 1, {n}]>")),
        &[vec!["long"; times], vec!["slice"; slices]].concat(),
    );
}

fn back(x: &str, rows: u64, row: u64) -> String {
    format!(
        "tensor<fp16, [1, 2, {rows}, {row}]> y = reshape(x = {x}, shape = tensor<int32, [4]>([1, 2, {rows}, {row}]));"
    )
}

#[test]
fn elements_are_computed_in_parts() {
    flat(10, 2000, &format!("LONG e = exp(x = f); {}", back("e", 10, 2000)), (3, 0));
    // Parts that do not meet: 7 of 2500, and 2 of 8750.
    flat(7, 2500, &format!("LONG e = exp(x = f); {}", back("e", 7, 2500)), (3, 7));
    let chain = "LONG c = const()[val = fp16(0.75)]; tensor<fp16, [2, 1, 1]> s = const()[val = tensor<fp16, [2, 1, 1]>([[[2]], [[-1]]])]; \
                 LONG a = mul(x = f, y = c); LONG b = add(x = a, y = s); tensor<bool, [1, 2, 1, 20000]> g = greater(x = b, y = \
                 f); LONG h = select(cond = g, a = a, b = b); LONG i = clip(x = h, alpha = fp16(-1), beta = fp16(1)); ";
    flat(10, 2000, &format!("{chain} {}", back("i", 10, 2000)), (7, 0));
}

#[test]
fn sums_are_of_parts() {
    let axes = "axes = tensor<int32, [1]>([-1]), keep_dims = bool(false)";
    for op in ["reduce_mean", "reduce_max", "reduce_min"] {
        flat(10, 2000, &format!("tensor<fp16, [1, 2, 1]> y = {op}(x = f, {axes});"), (2, 0));
    }
    let small = "LONG s = mul(x = f, y = fp16(0.01));";
    for op in ["reduce_sum", "reduce_sum_square", "reduce_l1_norm"] {
        flat(10, 2000, &format!("{small} tensor<fp16, [1, 2, 1]> y = {op}(x = s, {axes});"), (3, 0));
    }
    // Of another axis, each place is summed by itself.
    flat(
        10,
        2000,
        &format!(
            "tensor<fp16, [1, 1, 20000]> s = reduce_sum(x = f, axes = tensor<int32, [1]>([1]), keep_dims = bool(false)); \
             tensor<fp16, [1, 1]> y = reduce_max(x = s, {axes});"
        ),
        (3, 0),
    );
    let shares = format!(
        "LONG w = mul(x = f, y = fp16(8)); LONG s = softmax(x = w, axis = int32(-1)); {}",
        back("s", 10, 2000)
    );
    flat(10, 2000, &shares, (4, 0));
    let channels = format!("LONG s = softmax(x = f, axis = int32(1)); {}", back("s", 10, 2000));
    flat(10, 2000, &channels, (3, 0));
}

#[test]
fn products_are_of_parts() {
    check(
        M1,
        "tensor<fp16, [2, 512, 7, 7]> x",
        "tensor<fp16, [2, 25088]> f = reshape(x = x, shape = tensor<int32, [2]>([2, 25088])); tensor<fp16, [3, 25088]> w = \
         const()[val = fp16(0.0078125)]; tensor<fp16, [2, 3]> y = linear(x = f, weight = w, bias = tensor<fp16, [3]>([1, -1, \
         0.5]));",
        &["long", "long", "inner"],
    );
    check(
        M1,
        "tensor<fp16, [2, 16]> x",
        "tensor<fp16, [32000, 16]> w = const()[val = fp16(0.125)]; tensor<fp16, [2, 32000]> s = linear(x = x, weight = w); \
         tensor<fp16, [2]> y = reduce_max(x = s, axes = tensor<int32, [1]>([1]), keep_dims = bool(false));",
        &["long", "long", "long"],
    );
}

#[test]
fn windows_read_what_is_beside_their_part() {
    let window = "strides = tensor<int32, [2]>([1, 3]), pad_type = string(\"same\"), pad = tensor<int32, [4]>([0, 0, 0, 0])";
    let conv = format!(
        "tensor<fp16, [4, 2, 1, 5]> w = const()[val = fp16(0.25)]; tensor<fp16, [1, 4, 1, 6667]> y = conv(x = f, weight = w, \
         bias = tensor<fp16, [4]>([1, 2, 3, 4]), {window}, dilations = tensor<int32, [2]>([1, 2]), groups = int32(1));"
    );
    flat(10, 2000, &conv, (2, 1));
    let pool = format!(
        "tensor<fp16, [1, 2, 1, 6667]> y = max_pool(x = f, kernel_sizes = tensor<int32, [2]>([1, 4]), {window}, ceil_mode = \
         bool(false));"
    );
    flat(10, 2000, &pool, (2, 1));
    let pool = format!(
        "tensor<fp16, [1, 2, 1, 6667]> y = avg_pool(x = f, kernel_sizes = tensor<int32, [2]>([1, 4]), {window}, ceil_mode = \
         bool(false), exclude_padding_from_average = bool(true));"
    );
    flat(10, 2000, &pool, (2, 1));
    let pad = format!(
        "tensor<fp16, [1, 2, 1, 20010]> p = pad(x = f, pad = tensor<int32, [8]>([0, 0, 0, 0, 0, 0, 3, 7]), mode = \
         string(\"constant\"), constant_val = fp16(0)); tensor<fp16, [1, 2, 1, 20000]> s = slice_by_size(x = p, begin = \
         tensor<int32, [4]>([0, 0, 0, 5]), size = tensor<int32, [4]>([1, 2, 1, 20000])); {}",
        back("s", 10, 2000)
    );
    flat(10, 2000, &pad, (4, 2));
}

#[test]
fn moves_are_of_parts() {
    let turned = "tensor<fp16, [1, 20000, 1, 2]> t = transpose(x = f, perm = tensor<int32, [4]>([0, 3, 2, 1])); \
                  tensor<fp16, [1, 1, 1, 2]> y = reduce_max(x = t, axes = tensor<int32, [1]>([1]), keep_dims = bool(true));";
    flat(10, 2000, turned, (2, 0));
    let both = "tensor<fp16, [1, 4, 1, 20000]> c = concat(values = (f, f), axis = int32(1), interleave = bool(false)); \
                tensor<fp16, [1, 4]> y = reduce_max(x = c, axes = tensor<int32, [2]>([2, 3]), keep_dims = bool(false));";
    flat(10, 2000, both, (3, 0));
    let halves = "tensor<fp16, [1, 2, 1, 10000]> a, tensor<fp16, [1, 2, 1, 10000]> b = split(x = f, num_splits = int32(2), \
                  axis = int32(3)); tensor<fp16, [1, 2, 1, 10000]> y = sub(x = a, y = b);";
    check(
        M1,
        "tensor<fp16, [1, 2, 10, 2000]> x",
        &format!(
            "tensor<fp16, [1, 2, 1, 20000]> f = reshape(x = x, shape = tensor<int32, [4]>([1, 2, 1, 20000])); {halves}"
        ),
        &["long", "parts"],
    );
    // Rows that are too long each.
    check(
        M1,
        "tensor<fp16, [2, 4, 10000]> x",
        "tensor<fp16, [2, 40000]> f = reshape(x = x, shape = tensor<int32, [2]>([2, 40000])); tensor<fp16, [2, 40000]> e = \
         exp(x = f); tensor<fp16, [2, 4, 10000]> y = reshape(x = e, shape = tensor<int32, [3]>([2, 4, 10000]));",
        &["long"; 3],
    );
}

#[test]
fn what_goes_along_other_axes_is_done_on_parts() {
    let two = "tensor<fp16, [2]>([0.5, 2])";
    for call in [
        format!("prelu(x = f, alpha = {two})"),
        format!("softplus_parametric(x = f, alpha = {two}, beta = {two})"),
        format!(
            "batch_norm(x = f, mean = {two}, variance = {two}, gamma = {two}, beta = {two}, epsilon = fp16(0.01))"
        ),
        "layer_norm(x = f, axes = tensor<int32, [1]>([1]), epsilon = fp16(0.01))".to_string(),
        "reverse(x = f, axes = tensor<int32, [1]>([1]))".to_string(),
    ] {
        let direct = format!("LONG s = {call}; {}", back("s", 10, 2000));
        flat(10, 2000, &direct, (3, 0));
    }
    let stacked = "tensor<fp16, [1, 2, 2, 1, 20000]> s = stack(values = (f, f), axis = int32(2)); tensor<fp16, [1, 2, 2, 1]> y = \
                   reduce_max(x = s, axes = tensor<int32, [1]>([-1]), keep_dims = bool(false));";
    flat(10, 2000, stacked, (3, 0));
}

/// What a program takes and gives keeps its shape.
#[test]
fn what_is_long_at_the_ends_is_left() {
    let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 4, 1, 20000]> x) {
        tensor<fp16, [1, 4, 1, 20000]> e = exp(x = x);
        tensor<fp16, [1, 4, 1, 20000]> y = relu(x = e); } -> (y); }";
    let program = text::parse(text).unwrap();
    let done = legalise(&program, &Weights::none(), M1).unwrap();
    let left: Vec<&str> = done.left.iter().map(|(_, op)| op.op).collect();
    assert_eq!(left, ["slice_by_size", "slice_by_size", "concat"], "{}", text::print(&done.programs[0]));
}
