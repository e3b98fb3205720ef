//! What no chip takes: text, names, types, arguments.

use super::{Rule, part, whole};

const RELU: &str = "{T} r = relu(x = a);";
const ADD: &str = "{T} r = add(x = a, y = a);";
const SOFTMAX: &str = "{T} r = softmax(x = a, axis = int32(1));";
const CONCAT: &str = "tensor<fp16, [1, {C2}, {H}, {W}]> r = concat(values = (a, a), axis = int32(1), interleave = bool(false));";
const TRANSPOSE: &str =
    "tensor<fp16, [1, {C}, {W}, {H}]> r = transpose(x = a, perm = tensor<int32, [4]>([0, 1, 3, 2]));";
const RESHAPE: &str =
    "tensor<fp16, [{C}, {H}, {W}]> r = reshape(x = a, shape = tensor<int32, [3]>([{C}, {H}, {W}]));";
const SUM: &str = "tensor<fp16, [1, {C}, {H}, 1]> r = reduce_sum(x = a, axes = tensor<int32, [1]>([3]), keep_dims = bool(true));";
const GELU: &str = "{T} r = gelu(x = a, mode = string(\"EXACT\"));";
const CONV: &str = "tensor<fp16, [2, {C}, 1, 1]> w = const()[val = fp16(0.5)]; tensor<fp16, [1, 2, {H}, {W}]> r = conv(x = a, weight = w, strides = tensor<int32, [2]>([1, 1]), pad_type = string(\"valid\"), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1));";
const POOL: &str = "{T} r = max_pool(x = a, kernel_sizes = tensor<int32, [2]>([1, 1]), strides = tensor<int32, [2]>([1, 1]), pad_type = string(\"valid\"), pad = tensor<int32, [4]>([0, 0, 0, 0]), ceil_mode = bool(false));";
const MATMUL: &str = "tensor<fp16, [1, {C}, {H}, {H}]> r = matmul(x = a, y = a, transpose_x = bool(false), transpose_y = bool(true));";
const LINEAR: &str = "tensor<fp16, [3, {W}]> w = const()[val = fp16(0.5)]; tensor<fp16, [1, {C}, {H}, 3]> r = linear(x = a, weight = w);";
const SPLIT: &str = "tensor<fp16, [1, {C}, {H}, 16]> b = slice_by_size(x = a, begin = tensor<int32, [4]>([0, 0, 0, 0]), size = tensor<int32, [4]>([1, {C}, {H}, 16])); tensor<fp16, [1, {C}, {H}, 8]> r, tensor<fp16, [1, {C}, {H}, 8]> s = split(x = b, num_splits = int32(2), axis = int32(3));";
const SLICE: &str = "tensor<fp16, [1, {C}, {H}, 8]> r = slice_by_size(x = a, begin = tensor<int32, [4]>([0, 0, 0, 4]), size = tensor<int32, [4]>([1, {C}, {H}, 8]));";
const TILE: &str =
    "tensor<fp16, [1, {C2}, {H}, {W}]> r = tile(x = a, reps = tensor<int32, [4]>([1, 2, 1, 1]));";
const PAD: &str = "{T} r = pad(x = a, pad = tensor<int32, [4]>([0, 0, 0, 0]), mode = string(\"constant\"), constant_val = fp16(0));";
const CAST: &str = "tensor<fp32, [1, {C}, {H}, {W}]> r = cast(x = a, dtype = string(\"fp32\"));";
const GATHER: &str = "tensor<fp16, [1, 2, {H}, {W}]> r = gather(x = a, indices = tensor<int32, [2]>([0, 1]), axis = int32(1), batch_dims = int32(0), validate_indices = bool(false));";
const SQUEEZE: &str = "tensor<fp16, [{C}, {H}, {W}]> r = squeeze(x = a, axes = tensor<int32, [1]>([0]));";
const EXPAND: &str =
    "tensor<fp16, [1, 1, {C}, {H}, {W}]> r = expand_dims(x = a, axes = tensor<int32, [1]>([0]));";
const TOPK: &str = "tensor<fp16, [1, {C}, {H}, 2]> r, tensor<int32, [1, {C}, {H}, 2]> s = topk(x = a, k = int32(2), axis = int32(3), ascending = bool(false), sort = bool(true), return_indices = bool(true));";
const NORM: &str = "{T} r = layer_norm(x = a, axes = tensor<int32, [1]>([3]), epsilon = fp16(0x1p-10));";
const CLIP: &str = "{T} r = clip(x = a, alpha = fp16(-1), beta = fp16(1));";
const TWO: &str = "{T} q = tanh(x = a);\n        {T} r = relu(x = a);";
const NAMED: &str = "{T} r = relu(x = a)[name = string(\"r\")];";
const SHUFFLE: &str = "tensor<fp16, [1, 4, {H}, {W}]> b = slice_by_size(x = a, begin = tensor<int32, [4]>([0, 0, 0, 0]), size = tensor<int32, [4]>([1, 4, {H}, {W}])); tensor<fp16, [1, 1, {H2}, {W2}]> r = pixel_shuffle(x = b, upscale_factor = int32(2));";
const SELECT: &str = "{T} r = select(cond = p, a = a, b = a);";

const INTS: &str = ", tensor<int32, [1, {C}, {H}, {W}]> i";
const BOOLS: &str = ", tensor<bool, [1, {C}, {H}, {W}]> p";
const OTHER: &str = ", tensor<fp16, [1, {C}, {H}, 7]> b";
const SCALAR: &str = ", fp16 s";

pub(super) const RULES: &[Rule] = &[
    // the text
    part("unexpected-token", RELU, "x = a);", "x a);"),
    part("unexpected-character", RELU, "r = relu", "r = §relu"),
    part("unknown-type", RELU, "{T} r", "tensor<fp17, [1, {C}, {H}, {W}]> r"),
    part("bad-dimension", RELU, "{T} r", "tensor<fp16, [1, -3, {H}, {W}]> r"),
    part("positional-argument", RELU, "(x = a);", "(a);"),
    part("untyped-value", SOFTMAX, "int32(1)", "1"),
    part("value-type", SOFTMAX, "int32(1)", "int32(\"one\")"),
    part("value-range", SOFTMAX, "int32(1)", "int32(99999999999)"),
    part("value-shape", TRANSPOSE, "([0, 1, 3, 2])", "([0, 1, 3])"),
    part("bad-number", CLIP, "fp16(1)", "fp16(0x1z)"),
    part("bad-escape", NAMED, "\"r\"", "\"\\q\""),
    part("duplicate-argument", RELU, "(x = a);", "(x = a, x = a);"),
    part("duplicate-attribute", NAMED, "[name", "[name = string(\"s\"), name"),
    part("bad-version", RELU, "program(1.3)", "program(9.9)"),
    part("unknown-opset", RELU, "<ios18>", "<ios99>"),
    // names
    part("undefined-name", RELU, "(x = a);", "(x = nowhere);"),
    part("undefined-name", RELU, "-> (a, r)", "-> (a, nowhere)"),
    part("use-before-definition", RELU, "(x = a);", "(x = r);"),
    part("duplicate-name", TWO, "q = tanh", "a = tanh"),
    part("duplicate-name", TWO, "q = tanh", "x = tanh"),
    part("no-output", RELU, "-> (a, r)", "-> ()"),
    // ops and parameters
    part("unknown-op", RELU, "r = relu", "r = rellu"),
    part("unknown-op", CONV, "= conv(", "= convolution("),
    part("unknown-parameter", RELU, "(x = a);", "(x = a, slope = fp16(1));"),
    part("missing-parameter", ADD, "x = a, y = a", "x = a"),
    part("missing-parameter", CONCAT, "axis = int32(1), ", ""),
    part("missing-parameter", SLICE, "begin = tensor<int32, [4]>([0, 0, 0, 4]), ", ""),
    part("not-constant", CLIP, "alpha = fp16(-1)", "alpha = s").with(SCALAR),
    part("wrong-kind", RELU, "(x = a);", "(x = (a, a));"),
    part("const-without-value", CONV, "[val = fp16(0.5)]", ""),
    part("result-count", RELU, "{T} r =", "{T} r, {T} s ="),
    // dtypes
    part("wrong-dtype", RELU, "r = relu(x = a)", "r = relu(x = i)").with(INTS),
    part("wrong-dtype", NORM, "(x = a, axes", "(x = i, axes").with(INTS),
    part("wrong-dtype", SELECT, "cond = p", "cond = a").with(BOOLS),
    part("dtype-mismatch", ADD, "y = a", "y = i").with(INTS),
    part("dtype-mismatch", SELECT, "b = a", "b = i")
        .with(", tensor<bool, [1, {C}, {H}, {W}]> p, tensor<int32, [1, {C}, {H}, {W}]> i"),
    part("bad-value", CAST, "string(\"fp32\")", "string(\"fp17\")"),
    // declared types
    part("declared-type", RELU, "{T} r", "tensor<fp16, [1, {C}, {H}, 7]> r"),
    part("declared-type", ADD, "{T} r", "tensor<fp32, [1, {C}, {H}, {W}]> r"),
    part("declared-type", SUM, "[1, {C}, {H}, 1]> r", "[1, {C}, {H}]> r"),
    part(
        "declared-type",
        TRANSPOSE,
        "tensor<fp16, [1, {C}, {W}, {H}]> r",
        "tensor<fp16, [1, {C}, {H}, 1]> r",
    ),
    part("declared-type", CONCAT, "tensor<fp16, [1, {C2}, {H}, {W}]> r", "{T} r"),
    // shapes
    part("shape-mismatch", ADD, "y = a", "y = b").with(OTHER),
    part("shape-mismatch", CONCAT, "(a, a)", "(a, b)").with(OTHER),
    part("shape-mismatch", MATMUL, "y = a", "y = b").with(OTHER),
    part("shape-mismatch", LINEAR, "[3, {W}]> w", "[3, 7]> w"),
    part("shape-mismatch", CONV, "[2, {C}, 1, 1]> w", "[2, 3, 1, 1]> w"),
    part("shape-mismatch", RESHAPE, "([{C}, {H}, {W}])", "([{C}, {H}, 7])"),
    part("wrong-rank", CONV, "[2, {C}, 1, 1]> w", "[2, {C}]> w"),
    // values
    part("index-out-of-range", SOFTMAX, "int32(1)", "int32(9)"),
    part("index-out-of-range", CONCAT, "int32(1)", "int32(-5)"),
    part("index-out-of-range", SUM, "([3])", "([4])"),
    part("index-out-of-range", NORM, "([3])", "([-5])"),
    part("index-out-of-range", GATHER, "axis = int32(1)", "axis = int32(4)"),
    part("index-out-of-range", EXPAND, "([0])", "([7])"),
    part("bad-value", GELU, "\"EXACT\"", "\"ALMOST\""),
    part("bad-value", CONV, "strides = tensor<int32, [2]>([1, 1])", "strides = tensor<int32, [2]>([0, 1])"),
    part("bad-value", CONV, "\"valid\"", "\"some\""),
    part("bad-value", CONV, "groups = int32(1)", "groups = int32(0)"),
    part("bad-value", POOL, "strides = tensor<int32, [2]>([1, 1])", "strides = tensor<int32, [2]>([1, -1])"),
    part("bad-value", PAD, "\"constant\"", "\"mirror\""),
    part("bad-value", TRANSPOSE, "([0, 1, 3, 2])", "([0, 1, 3, 3])"),
    part("shape-mismatch", SPLIT, "num_splits = int32(2)", "num_splits = int32(5)"),
    part("declared-type", SQUEEZE, "([0])", "([1])"),
    part("bad-value", TOPK, "k = int32(2)", "k = int32(100000)"),
    part("shape-mismatch", SHUFFLE, "upscale_factor = int32(2)", "upscale_factor = int32(7)"),
    part("bad-value", TILE, "([1, 2, 1, 1])", "([1, -2, 1, 1])"),
    whole(
        "shape-mismatch",
        SLICE,
        "tensor<fp16, [1, {C}, {H}, 8]> r = slice_by_size(x = a, begin = tensor<int32, [3]>([0, 0, 4]), size = tensor<int32, [4]>([1, {C}, {H}, 8]));",
    ),
];
