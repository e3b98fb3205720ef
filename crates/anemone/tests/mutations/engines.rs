//! What an engine refuses of ops that it has: each limit and form, by the route on which it shows.

use anemone::Chip;
use anemone::place::{Route, Target};

use super::{Rule, part, whole};

const fn direct(chip: Chip) -> Target {
    Target { route: Route::Direct, ..Target::new(chip) }
}

const fn e5rt(chip: Chip) -> Target {
    Target { route: Route::E5rt, ..Target::new(chip) }
}

const RELU: &str = "{T} r = relu(x = a);";
const LINE: &str = ", tensor<fp16, [1, 4, 64]> l";
const CUBE: &str = ", tensor<fp16, [1, 4, 32, 8, 8]> l";
const LONG: &str = ", tensor<fp16, [1, 20000]> l, tensor<fp16, [1, 2000]> s";
const DEEP: &str = ", tensor<fp16, [1, 65537, 1, 1]> l, tensor<fp16, [1, 65536, 1, 1]> s";
const BATCH: &str = ", tensor<fp16, [65537, 1, 1, 1]> l, tensor<fp16, [65536, 1, 1, 1]> s";
const OPEN: &str = ", tensor<fp16, [1, ?]> l, tensor<fp16, [1, 8]> s";
const NONE: &str = ", tensor<fp16, [0, 8]> l, tensor<fp16, [1, 8]> s";

const CONV1: &str = "tensor<fp16, [2, 4, 3]> w = const()[val = fp16(0.5)]; tensor<fp16, [1, 2, 64]> r = conv(x = l, weight = w, pad_type = string(\"same\"), strides = tensor<int32, [1]>([1]), pad = tensor<int32, [2]>([0, 0]), dilations = tensor<int32, [1]>([1]), groups = int32(1));";
const CONV3: &str = "tensor<fp16, [2, 4, 3, 3, 3]> w = const()[val = fp16(0.5)]; tensor<fp16, [1, 2, 32, 8, 8]> r = conv(x = l, weight = w, pad_type = string(\"same\"), strides = tensor<int32, [3]>([1, 1, 1]), pad = tensor<int32, [6]>([0, 0, 0, 0, 0, 0]), dilations = tensor<int32, [3]>([1, 1, 1]), groups = int32(1));";
const CONV: &str = "tensor<fp16, [{C}, 1, 3, 3]> w = const()[val = fp16(0.5)]; {T} r = conv(x = a, weight = w, pad_type = string(\"same\"), strides = tensor<int32, [2]>([1, 1]), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32({C}));";
const BACK: &str = "tensor<fp16, [{C}, 2, 2, 2]> w = const()[val = fp16(0.5)]; tensor<fp16, [1, 2, {H2}, {W2}]> r = conv_transpose(x = a, weight = w, pad_type = string(\"same\"), strides = tensor<int32, [2]>([2, 2]), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1));";
const POOL: &str = "{T} r = max_pool(x = a, kernel_sizes = tensor<int32, [2]>([3, 3]), pad_type = string(\"same\"), strides = tensor<int32, [2]>([1, 1]));";
const MATMUL: &str = "tensor<fp16, [1, {C}, {H}, {H}]> r = matmul(x = a, y = a, transpose_x = bool(false), transpose_y = bool(true));";
const CONCAT: &str = "tensor<fp16, [1, {C2}, {H}, {W}]> r = concat(values = (a, a), axis = int32(1), interleave = bool(false));";
const SWAP: &str =
    "tensor<fp16, [1, {C}, {W}, {H}]> r = transpose(x = a, perm = tensor<int32, [4]>([0, 1, 3, 2]));";
const PAD: &str = "tensor<fp16, [1, {C}, {H}, {W2}]> r = pad(x = a, pad = tensor<int32, [2]>([0, {W}]), mode = string(\"constant\"), constant_val = fp16(0));";
const SIZE: &str = "tensor<fp16, [1, {C}, {H}, 8]> r = slice_by_size(x = a, begin = tensor<int32, [4]>([0, 0, 0, 0]), size = tensor<int32, [4]>([1, {C}, {H}, 8]));";

pub(super) const RULES: &[Rule] = &[
    // kernels and windows
    part("chip-limit", CONV1, "[2, 4, 3]> w", "[2, 4, 16]> w").with(LINE).on(direct(Chip::M4)),
    part("chip-limit", CONV1, "[2, 4, 3]> w", "[2, 4, 14]> w").with(LINE).on(direct(Chip::M2)),
    part("chip-limit", CONV3, "[2, 4, 3, 3, 3]> w", "[2, 4, 17, 3, 3]> w").with(CUBE).on(direct(Chip::M5)),
    part("chip-limit", CONV3, "[2, 4, 3, 3, 3]> w", "[2, 4, 3, 3, 16]> w").with(CUBE).on(direct(Chip::M6)),
    part("chip-limit", CONV, "[{C}, 1, 3, 3]> w", "[{C}, 1, 32, 3]> w").on(direct(Chip::M4)),
    part("chip-limit", CONV, "[{C}, 1, 3, 3]> w", "[{C}, 1, 30, 3]> w").on(direct(Chip::M1)),
    part("chip-limit", CONV, "[{C}, 1, 3, 3]> w", "[{C}, 1, 14, 14]> w").on(direct(Chip::M3)),
    part("chip-limit", BACK, "[{C}, 2, 2, 2]> w", "[{C}, 2, 2, 17]> w").on(direct(Chip::M4)),
    part("chip-limit", BACK, "[{C}, 2, 2, 2]> w", "[{C}, 2, 16, 2]> w").on(direct(Chip::M1)),
    part("chip-limit", POOL, "([3, 3])", "([9, 9])").on(direct(Chip::M6)),
    part("chip-limit", POOL, "([3, 3])", "([3, 8])").on(direct(Chip::M1)),
    part("chip-limit", POOL, "([3, 3])", "([30, 3])").on(direct(Chip::M1)),
    // extents
    whole("chip-limit", "tensor<fp16, [1, 2000]> r = relu(x = s);", "tensor<fp16, [1, 20000]> r = relu(x = l);").with(LONG).on(direct(Chip::M3)),
    whole("chip-limit", "tensor<fp16, [1, 65536, 1, 1]> r = relu(x = s);", "tensor<fp16, [1, 65537, 1, 1]> r = relu(x = l);").with(DEEP).on(direct(Chip::M6)),
    whole("chip-limit", "tensor<fp16, [65536, 1, 1, 1]> r = relu(x = s);", "tensor<fp16, [65537, 1, 1, 1]> r = relu(x = l);").with(BATCH).on(direct(Chip::M1)),
    whole("chip-limit", "tensor<fp16, [1, 1, 1, {W}]> r = reshape(x = l, shape = tensor<int32, [4]>([1, 1, 1, {W}]));", "tensor<fp16, [1, 1, 1, 1, 1, {W}]> r = reshape(x = l, shape = tensor<int32, [6]>([1, 1, 1, 1, 1, {W}]));").with(", tensor<fp16, [1, {W}]> l").on(direct(Chip::M2)),
    whole("chip-limit", MATMUL, "tensor<fp16, [1, 1, 2, 4, 4]> r = matmul(x = k, y = k, transpose_x = bool(false), transpose_y = bool(true));").with(", tensor<fp16, [1, 1, 2, 4, 8]> k").on(direct(Chip::M1)),
    whole("chip-limit", MATMUL, "tensor<fp16, [1, 2, 2]> r = matmul(x = k, y = n, transpose_x = bool(false), transpose_y = bool(false));").with(", tensor<fp16, [1, 2, 16385]> k, tensor<fp16, [1, 16385, 2]> n").on(direct(Chip::M1)),
    whole("chip-limit", RELU, "tensor<int32, [1, 1]> r = reduce_argmax(x = l, axis = int32(1), keep_dims = bool(true), output_dtype = string(\"int32\"));").with(", tensor<fp16, [1, 2049]> l").on(e5rt(Chip::M5)),
    // what is known only when the program runs
    whole("chip-form", "tensor<fp16, [1, 8]> r = relu(x = s);", "tensor<fp16, [1, ?]> r = relu(x = l);").with(OPEN).on(direct(Chip::M4)),
    whole("chip-form", "tensor<fp16, [1, 8]> r = relu(x = s);", "tensor<fp16, [0, 8]> r = relu(x = l);").with(NONE).on(direct(Chip::M1)),
    part("chip-form", PAD, "pad = tensor<int32, [2]>([0, {W}])", "pad = q").with(", tensor<int32, [2]> q").on(direct(Chip::M4)),
    part("chip-form", SIZE, "begin = tensor<int32, [4]>([0, 0, 0, 0])", "begin = q").with(", tensor<int32, [4]> q").on(direct(Chip::M5)),
    // ops
    whole("chip-op", RELU, "tensor<fp16, [1, {C}, 1, {W}]> s = reduce_sum(x = a, axes = tensor<int32, [1]>([2]), keep_dims = bool(true)); {T} r = scatter_along_axis(data = a, indices = i, updates = a, axis = int32(1), mode = string(\"update\"), validate_indices = bool(false));").with(", tensor<int32, [1, {C}, {H}, {W}]> i").on(e5rt(Chip::M5)),
    whole("chip-op", RELU, "tensor<fp16, [1, {C}, {H}, 2]> r, tensor<int32, [1, {C}, {H}, 2]> s = topk(x = a, k = int32(2), axis = int32(3), ascending = bool(false), sort = bool(true), return_indices = bool(true));").on(direct(Chip::M1)),
    whole("chip-op", RELU, "tensor<fp16, [1, {C}, {H}, {W}]> r = gather_along_axis(x = a, indices = i, axis = int32(1), validate_indices = bool(false));").with(", tensor<int32, [1, {C}, {H}, {W}]> i").on(direct(Chip::M5)),
    whole("chip-op", RELU, "tensor<bool, [1, {C}, {H}, {W}]> p = greater(x = a, y = fp16(0)); tensor<bool, [1, {C}, {H}, {W}]> n = logical_not(x = p); {T} r = select(cond = n, a = a, b = fp16(0));").on(direct(Chip::M4)),
    whole("chip-op", CONCAT, "tensor<int32, [4]> s = shape(x = a); tensor<fp16, [1, {C2}, {H}, {W}]> r = concat(values = (a, a), axis = int32(1), interleave = bool(false));").on(e5rt(Chip::M2)),
    whole("chip-op", RELU, "{T} r = cond(pred = q) block () { {T} u = relu(x = a); } -> (u) block () { {T} v = tanh(x = a); } -> (v);").with(", bool q").on(direct(Chip::M5)),
    whole("chip-op", RELU, "{T} r = sinh(x = a);").on(e5rt(Chip::M5)),
    // dtypes
    whole("chip-dtype", RELU, "tensor<fp32, [1, {C}, {H}, {W}]> r = tanh(x = f);").with(", tensor<fp32, [1, {C}, {H}, {W}]> f").on(direct(Chip::M1)),
    whole("chip-dtype", CONCAT, "tensor<int32, [2]> r = concat(values = (i, i), axis = int32(0), interleave = bool(false));").with(", tensor<int32, [1]> i").on(direct(Chip::M4)),
    whole("chip-dtype", SWAP, "tensor<int8, [1, {C}, {W}, {H}]> r = transpose(x = i, perm = tensor<int32, [4]>([0, 1, 3, 2]));").with(", tensor<int8, [1, {C}, {H}, {W}]> i").on(direct(Chip::M5)),
    whole("chip-dtype", RELU, "tensor<uint8, [1, {C}, {H}, {W}]> r = reverse(x = i, axes = tensor<int32, [1]>([1]));").with(", tensor<uint8, [1, {C}, {H}, {W}]> i").on(direct(Chip::M4)),
    whole("chip-dtype", RELU, "tensor<fp32, [1, {C}, {H}, {H}]> r = matmul(x = f, y = f, transpose_x = bool(false), transpose_y = bool(true));").with(", tensor<fp32, [1, {C}, {H}, {W}]> f").on(e5rt(Chip::M2)),
];
