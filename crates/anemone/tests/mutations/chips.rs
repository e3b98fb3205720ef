//! What a chip refuses, and what it takes and gets wrong.

use anemone::Chip;
use anemone::chip::Profile;
use anemone::place::{Route, Target};

use super::{Rule, part, whole};

const fn direct(chip: Chip) -> Target {
    Target { route: Route::Direct, ..Target::new(chip) }
}

const M1: Target = direct(Chip::M1);
const M4: Target = direct(Chip::M4);
const M5: Target = direct(Chip::M5);
const STRICT: Target = Target { profile: Profile::Strict, ..M4 };

const RELU: &str = "{T} r = relu(x = a);";
const WIDE: &str = ", tensor<fp16, [1, 1, 1, 16384]> l";
const DEEP: &str = ", tensor<fp16, [1, 1, 1, 65536]> l";
const BEGIN: &str = ", tensor<int32, [4]> i";

macro_rules! conv {
    ($kernel:literal) => {
        concat!(
            "tensor<fp16, [2, {C}, ", $kernel, "]> w = const()[val = fp16(0.5)]; tensor<fp16, [1, 2, {H}, {W}]> r = conv(x = a, weight = w, ",
            "pad_type = string(\"same\"), strides = tensor<int32, [2]>([1, 1]), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1));"
        )
    };
}

macro_rules! pool {
    ($op:literal, $window:literal) => {
        concat!(
            "{T} r = ",
            $op,
            "(x = a, kernel_sizes = tensor<int32, [2]>([",
            $window,
            "]), pad_type = string(\"same\"), strides = tensor<int32, [2]>([1, 1]));"
        )
    };
}

const CONV: &str = conv!("3, 3");
const MAX: &str = pool!("max_pool", "3, 3");
const AVG: &str = pool!("avg_pool", "3, 3");
const TILE: &str = "tensor<fp16, [1, {C2}, {H}, {W}]> r = concat(values = (a, a), axis = int32(1), interleave = bool(false));";
const BIAS: &str = "tensor<fp16, [2, {C}, 1, 1]> w = const()[val = fp16(0.5)]; tensor<fp16, [2]> b = const()[val = tensor<fp16, [2]>([0.5, 1])]; tensor<fp16, [1, 2, {H}, {W}]> s = conv(x = a, weight = w, pad_type = string(\"valid\"), strides = tensor<int32, [2]>([1, 1]), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1)); tensor<fp16, [1, 2, 1, 1]> c = reshape(x = b, shape = tensor<int32, [4]>([1, 2, 1, 1])); tensor<fp16, [1, 2, {H}, {W}]> r = add(x = s, y = c);";
const ATTENTION: &str = "{T} r = scaled_dot_product_attention(query = a, key = a, value = a);";

pub(super) const RULES: &[Rule] = &[
    // ops
    part("chip-op", RELU, "r = relu", "r = tan").on(M4),
    part("chip-op", RELU, "r = relu", "r = acos").on(M5),
    part("chip-op", RELU, "r = relu", "r = sinh").on(M1),
    part("chip-op", RELU, "r = relu", "r = sin").on(M1),
    part("chip-op", RELU, "r = relu", "r = cos").on(direct(Chip::M2)),
    whole("chip-op", RELU, "{T} r = mod(x = a, y = a);").on(M4),
    whole("chip-op", RELU, "{T} r = cumsum(x = a, axis = int32(1), exclusive = bool(false), reverse = bool(false));").on(M4),
    whole("chip-op", RELU, "tensor<int32, [1, 1, {H}, {W}]> r = reduce_argmax(x = a, axis = int32(1), keep_dims = bool(true), output_dtype = string(\"int32\"));").on(M5),
    whole("chip-op", RELU, "tensor<fp16, [1, 1, {H}, {W}]> r = reduce_prod(x = a, axes = tensor<int32, [1]>([1]), keep_dims = bool(true));").on(M5),
    whole("chip-op", RELU, "{T} r = band_part(x = a, lower = int32(-1), upper = int32(0));").on(M4),
    whole("chip-op", RELU, "tensor<int32, [1, {C}, {H}, {W}]> r = argsort(x = a, axis = int32(3), ascending = bool(false));").on(M5),
    whole("chip-op", RELU, "{T} r = random_normal(shape = tensor<int32, [4]>([1, {C}, {H}, {W}]), mean = fp16(0), stddev = fp16(1), seed = int32(7));").on(M4),
    whole("chip-op", RELU, "{T} r = scatter(data = a, indices = tensor<int32, [1]>([0]), updates = a, axis = int32(0), mode = string(\"update\"), validate_indices = bool(false));").on(M4),
    whole("chip-op", RELU, "tensor<fp16, [1, 4, 2, 31]> r = sliding_windows(x = l, axis = int32(2), size = int32(31), stride = int32(1));").on(direct(Chip::M6)).with(", tensor<fp16, [1, 4, 32]> l"),
    // dtypes
    whole("chip-dtype", RELU, "tensor<fp32, [1, {C}, {H}, {W}]> r = relu(x = f);").with(", tensor<fp32, [1, {C}, {H}, {W}]> f").on(M4),
    whole("chip-dtype", RELU, "tensor<int32, [1, {C}, {H}, {W}]> r = add(x = i, y = i);").with(", tensor<int32, [1, {C}, {H}, {W}]> i").on(M4),
    whole("chip-dtype", RELU, "tensor<int32, [1, {C}, {H}, {W}]> r = maximum(x = i, y = i);").with(", tensor<int32, [1, {C}, {H}, {W}]> i").on(M1),
    // limits
    whole("chip-limit", "tensor<fp16, [1, 1, 1, 16384]> r = relu(x = l);", "tensor<fp16, [1, 1, 1, 16385]> r = pad(x = l, pad = tensor<int32, [4]>([0, 0, 0, 1]), mode = string(\"constant\"), constant_val = fp16(0));").with(WIDE).on(M1),
    whole("chip-limit", "tensor<fp16, [1, 1, 1, 65536]> r = relu(x = l);", "tensor<fp16, [1, 1, 1, 65537]> r = pad(x = l, pad = tensor<int32, [4]>([0, 0, 0, 1]), mode = string(\"constant\"), constant_val = fp16(0));").with(DEEP).on(M4),
    whole("chip-limit", "tensor<fp16, [1, {C}, {H}, {W}]> r = relu(x = a);", "tensor<fp16, [1, 1, {C}, 1, {H}, {W}]> r = expand_dims(x = a, axes = tensor<int32, [2]>([0, 3]));").on(M5),
    whole("chip-limit", CONV, conv!("1, 16")).on(M4),
    whole("chip-limit", CONV, conv!("1, 14")).on(M1),
    whole("chip-limit", CONV, conv!("32, 1")).on(direct(Chip::M6)),
    whole("chip-limit", CONV, conv!("17, 17")).on(M4),
    whole("chip-limit", MAX, pool!("max_pool", "3, 9")).on(M4),
    whole("chip-limit", MAX, pool!("max_pool", "32, 3")).on(M5),
    whole("chip-limit", AVG, pool!("avg_pool", "30, 3")).on(M1),
    whole("chip-limit", AVG, pool!("avg_pool", "3, 32")).on(M5),
    whole("chip-limit", "tensor<fp16, [1, 8, 8]> r = matmul(x = l, y = m, transpose_x = bool(false), transpose_y = bool(true));", "tensor<fp16, [1, 8, 8]> r = matmul(x = k, y = n, transpose_x = bool(false), transpose_y = bool(true));").with(", tensor<fp16, [1, 8, 32768]> l, tensor<fp16, [1, 8, 32768]> m, tensor<fp16, [1, 8, 40000]> k, tensor<fp16, [1, 8, 40000]> n").on(M4),
    whole("chip-limit", "tensor<fp16, [1, 8, 4, 4]> r = local_response_norm(x = l, size = int32(3));", "tensor<fp16, [1, 16, 4, 4]> r = local_response_norm(x = m, size = int32(3));").with(", tensor<fp16, [1, 8, 4, 4]> l, tensor<fp16, [1, 16, 4, 4]> m").on(M1),
    // forms
    whole("chip-form", TILE, "tensor<fp16, [1, {C}, {H}, {W}]> s = relu(x = a); tensor<fp16, [7, {C}, {H}, {W}]> r = tile(x = a, reps = tensor<int32, [4]>([7, 1, 1, 1]));").on(M4),
    part("chip-form", "{T} r = pad(x = a, pad = tensor<int32, [4]>([0, 0, 0, 0]), mode = string(\"constant\"), constant_val = fp16(0));", "fp16(0)", "fp16(1)").on(M4),
    whole("chip-form", RELU, "tensor<fp16, [1, {C}, {H}, 2]> r = slice_by_size(x = a, begin = i, size = tensor<int32, [4]>([1, {C}, {H}, 2]));").with(BEGIN).on(M4),
    whole("chip-form", RELU, "tensor<fp16, [1, 1, 40, 40]> r = pixel_shuffle(x = l, upscale_factor = int32(5));").with(", tensor<fp16, [1, 25, 8, 8]> l").on(M5),
    whole("chip-form", RELU, "tensor<fp16, [3, 4]> w = const()[val = fp16(1)]; tensor<fp16, [1, 2, 1, {H}, 3]> r = linear(x = l, weight = w);").with(", tensor<fp16, [1, 2, 1, {H}, 4]> l").on(M4),
    whole("chip-form", RELU, "tensor<fp16, [2, 2, 8, 32]> r = conv(x = l, weight = g, pad_type = string(\"valid\"), strides = tensor<int32, [2]>([1, 1]), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1));").with(", tensor<fp16, [2, 4, 8, 32]> l, tensor<fp16, [2, 4, 1, 1]> g").on(M1),
    // what single reports say is refused
    part("chip-form", BIAS, "weight = w,", "weight = w, bias = b,").on(STRICT),
    part("chip-form", "tensor<fp16, [1, {C}, {H}, 64]> r = softmax(x = l, axis = int32(3));", "[1, {C}, {H}, 64]> r = softmax(x = l", "[1, {C}, {H}, 63]> r = softmax(x = m").with(", tensor<fp16, [1, {C}, {H}, 64]> l, tensor<fp16, [1, {C}, {H}, 63]> m").on(STRICT),
    part("chip-form", "tensor<fp16, [1, 1, {H}, {W}]> r = slice_by_index(x = a, begin = tensor<int32, [4]>([0, 1, 0, 0]), end = tensor<int32, [4]>([1, 2, {H}, {W}]));", "slice_by_index(x = a", "slice_by_index(x = x").on(STRICT),
    part("chip-form", "tensor<fp16, [1, {C}, {H}, 1]> s = reduce_sum(x = a, axes = tensor<int32, [1]>([3]), keep_dims = bool(true)); tensor<fp16, [1, {C}, {H}, 1]> r = mul(x = s, y = fp16(1));", "y = fp16(1)", "y = fp16(0)").on(STRICT),
    whole("chip-form", CONV, "tensor<fp16, [2, 4, 1, 1, 1]> w = const()[val = fp16(0.5)]; tensor<fp16, [1, 2, 2, 8, 8]> r = conv(x = l, weight = w, pad_type = string(\"valid\"), strides = tensor<int32, [3]>([1, 1, 1]), pad = tensor<int32, [6]>([0, 0, 0, 0, 0, 0]), dilations = tensor<int32, [3]>([1, 1, 1]), groups = int32(1));").with(", tensor<fp16, [1, 4, 2, 8, 8]> l").on(STRICT),
    whole("chip-limit", "tensor<fp16, [16384, 4, 1, 1]> w = const()[val = fp16(0.5)]; tensor<fp16, [1, 16384, 1, 1]> r = conv(x = l, weight = w, pad_type = string(\"valid\"), strides = tensor<int32, [2]>([1, 1]), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1));", "tensor<fp16, [16385, 4, 1, 1]> w = const()[val = fp16(0.5)]; tensor<fp16, [1, 16385, 1, 1]> r = conv(x = l, weight = w, pad_type = string(\"valid\"), strides = tensor<int32, [2]>([1, 1]), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1));").with(", tensor<fp16, [1, 4, 1, 1]> l").on(STRICT),
    // what is taken, and goes wrong
    whole("tile-poisons", TILE, "tensor<fp16, [1, {C2}, {H}, {W}]> r = tile(x = a, reps = tensor<int32, [4]>([1, 2, 1, 1]));").on(M4),
    whole("mask-ignored", ATTENTION, "{T} r = scaled_dot_product_attention(query = a, key = a, value = a, attn_mask = m);").with(", tensor<fp16, [1, 1, {H}, {H}]> m").on(M5),
    whole("attention-size", "tensor<fp16, [1, 2, 64, 32]> r = scaled_dot_product_attention(query = q, key = q, value = q);", "tensor<fp16, [1, 2, 512, 32]> r = scaled_dot_product_attention(query = s, key = s, value = s);").with(", tensor<fp16, [1, 2, 64, 32]> q, tensor<fp16, [1, 2, 512, 32]> s").on(M5),
    whole("runtime-weights", CONV, "tensor<fp16, [1, 2, {H}, {W}]> r = conv(x = a, weight = g, pad_type = string(\"valid\"), strides = tensor<int32, [2]>([1, 1]), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1));").with(", tensor<fp16, [2, {C}, 1, 1]> g").on(M4),
    part("slice-saturates", "tensor<fp16, [1, {C}, {H}, 8]> r = slice_by_size(x = a, begin = tensor<int32, [4]>([0, 0, 0, 0]), size = tensor<int32, [4]>([1, {C}, {H}, 8]));", "([0, 0, 0, 0])", "([0, 0, 0, 4])").on(direct(Chip::M2)),
    part("sum-overflows", "tensor<fp16, [3, {W}]> w = const()[val = fp16(0.5)]; tensor<fp16, [1, {C}, {H}, 3]> r = linear(x = a, weight = w);", "fp16(0.5)", "fp16(4096)").on(M4),
    part("square-width", "tensor<fp16, [1, {C}, {H}, 64]> s = square(x = l); tensor<fp16, [1, {C}, {H}, 96]> r = mul(x = m, y = m);", "mul(x = m, y = m)", "square(x = m)").with(", tensor<fp16, [1, {C}, {H}, 64]> l, tensor<fp16, [1, {C}, {H}, 96]> m").on(M5),
    part("scale-folded", "tensor<int8, [1, {C}, {H}, {W}]> q = quantize(input = a, scale = fp16(0.125), output_dtype = string(\"int8\")); {T} d = dequantize(input = q, scale = fp16(0.125)); {T} r = add(x = a, y = d);", "r = add(", "r = mul(").on(M4),
    part("infinite-constant", "tensor<fp16, [1, 1, 1, 1]> m = const()[val = tensor<fp16, [1, 1, 1, 1]>([[[[-30000]]]])]; {T} r = add(x = a, y = m);", "[-30000]", "[-inf]").on(M4),
    part("batch-broadcast", "tensor<fp16, [2, {C}, {H}, {W}]> r = mul(x = l, y = l);", "y = l", "y = a").with(", tensor<fp16, [2, {C}, {H}, {W}]> l").on(STRICT),
    part("joined-slices", "tensor<fp16, [1, {C}, {H}, 8]> s = slice_by_size(x = a, begin = tensor<int32, [4]>([0, 0, 0, 0]), size = tensor<int32, [4]>([1, {C}, {H}, 8])); tensor<fp16, [1, {C2}, {H}, 8]> r = concat(values = (s, l), axis = int32(1), interleave = bool(false));", "(s, l)", "(s, s)").with(", tensor<fp16, [1, {C}, {H}, 8]> l").on(direct(Chip::M2)),
    part("dead-output", "tensor<fp16, [1, {C}, {H}, 2]> s, tensor<fp16, [1, {C}, {H}, 2]> t = split(x = l, num_splits = int32(2), axis = int32(3)); tensor<fp16, [1, {C}, {H}, 2]> r = add(x = s, y = t);", "y = t", "y = s").with(", tensor<fp16, [1, {C}, {H}, 4]> l").on(M5),
];
