//! What no op takes: arguments that are each right by themselves, and wrong for this op or beside each other.

use super::{Rule, part, whole};

const RELU: &str = "{T} r = relu(x = a);";
const STATE: &str = ", state<{T}> st";
const READ: &str = "{T} r = read_state(input = st);";
const UPDATE: &str = "write_state(data = a, input = st); {T} r = read_state(input = st);";
const COND: &str = "{T} r = cond(pred = p) block () { {T} u = relu(x = a); } -> (u) block () { {T} v = tanh(x = a); } -> (v);";
const STACK: &str = "tensor<fp16, [1, 2, {C}, {H}, {W}]> r = stack(values = (a, a), axis = int32(1));";
const CONV: &str = "tensor<fp16, [2, {C}, 3, 3]> w = const()[val = fp16(0.5)]; tensor<fp16, [2]> q = const()[val = fp16(0.5)]; tensor<fp16, [1, 2, {H}, {W}]> r = conv(x = a, weight = w, bias = q, strides = tensor<int32, [2]>([1, 1]), pad_type = string(\"custom\"), pad = tensor<int32, [4]>([1, 1, 1, 1]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1));";
const DEEP: &str = "tensor<fp16, [{C}, 1, 1, 1]> w = const()[val = fp16(0.5)]; {T} r = conv(x = a, weight = w, strides = tensor<int32, [2]>([1, 1]), pad_type = string(\"valid\"), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32({C}));";
const BACK: &str = "tensor<fp16, [{C}, 2, 2, 2]> w = const()[val = fp16(0.5)]; tensor<fp16, [1, 2, {H2}, {W2}]> r = conv_transpose(x = a, weight = w, strides = tensor<int32, [2]>([2, 2]), pad_type = string(\"valid\"), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1));";
const POOL: &str = "{T} r = avg_pool(x = a, kernel_sizes = tensor<int32, [2]>([1, 1]), strides = tensor<int32, [2]>([1, 1]), pad_type = string(\"valid\"), pad = tensor<int32, [4]>([0, 0, 0, 0]), ceil_mode = bool(false), exclude_padding_from_average = bool(false));";
const BATCH: &str = "tensor<fp16, [{C}]> m = const()[val = fp16(0.5)]; {T} r = batch_norm(x = a, mean = m, variance = m, gamma = m, beta = m, epsilon = fp16(0x1p-10));";
const INSTANCE: &str = "tensor<fp16, [{C}]> m = const()[val = fp16(0.5)]; {T} r = instance_norm(x = a, gamma = m, beta = m, epsilon = fp16(0x1p-10));";
const LAYER: &str = "tensor<fp16, [{W}]> m = const()[val = fp16(0.5)]; {T} r = layer_norm(x = a, axes = tensor<int32, [1]>([3]), gamma = m, beta = m, epsilon = fp16(0x1p-10));";
const MATMUL: &str = "tensor<fp16, [1, {C}, {H}, {H}]> r = matmul(x = a, y = a, transpose_x = bool(false), transpose_y = bool(true));";
const LINEAR: &str = "tensor<fp16, [3, {W}]> w = const()[val = fp16(0.5)]; tensor<fp16, [3]> q = const()[val = fp16(0.5)]; tensor<fp16, [1, {C}, {H}, 3]> r = linear(x = a, weight = w, bias = q);";
const EINSUM: &str =
    "tensor<fp16, [1, {C}, {H}, 2]> r = einsum(values = (a, o), equation = string(\"nchw,nwhu->nchu\"));";
const RESHAPE: &str =
    "tensor<fp16, [{C}, {H}, {W}]> r = reshape(x = a, shape = tensor<int32, [3]>([{C}, {H}, -1]));";
const TRANSPOSE: &str =
    "tensor<fp16, [1, {C}, {W}, {H}]> r = transpose(x = a, perm = tensor<int32, [4]>([0, 1, 3, 2]));";
const INDEX: &str = "tensor<fp16, [1, {C}, {H}, 8]> r = slice_by_index(x = a, begin = tensor<int32, [4]>([0, 0, 0, 0]), end = tensor<int32, [4]>([1, {C}, {H}, 16]), stride = tensor<int32, [4]>([1, 1, 1, 2]), begin_mask = tensor<bool, [4]>([false, false, false, false]), end_mask = tensor<bool, [4]>([false, false, false, false]), squeeze_mask = tensor<bool, [4]>([false, false, false, false]));";
const SIZE: &str = "tensor<fp16, [1, {C}, {H}, 8]> r = slice_by_size(x = a, begin = tensor<int32, [4]>([0, 0, 0, 4]), size = tensor<int32, [4]>([1, {C}, {H}, 8]));";
const GATHER: &str = "tensor<fp16, [1, 2, {H}, {W}]> r = gather(x = a, indices = tensor<int32, [2]>([0, 1]), axis = int32(1), batch_dims = int32(0), validate_indices = bool(false));";
const ALONG: &str = "tensor<fp16, [1, 1, 1, 2]> r = gather_along_axis(x = l, indices = tensor<int32, [1, 1, 1, 2]>([[[[0, 1]]]]), axis = int32(3), validate_indices = bool(false));";
const TOPK: &str = "tensor<fp16, [1, {C}, {H}, 2]> r, tensor<int32, [1, {C}, {H}, 2]> s = topk(x = a, k = int32(2), axis = int32(3), ascending = bool(false), sort = bool(true), return_indices = bool(true));";
const PAD: &str = "tensor<fp16, [1, {C}, {H}, {W2}]> r = pad(x = a, pad = tensor<int32, [2]>([0, {W}]), mode = string(\"constant\"), constant_val = fp16(0));";
const TILE: &str =
    "tensor<fp16, [1, {C2}, {H}, {W}]> r = tile(x = a, reps = tensor<int32, [4]>([1, 2, 1, 1]));";
const CAST: &str = "tensor<fp32, [1, {C}, {H}, {W}]> r = cast(x = a, dtype = string(\"fp32\"));";
const SELECT: &str = "{T} r = select(cond = p, a = a, b = a);";
const CLIP: &str = "{T} r = clip(x = a, alpha = fp16(-1), beta = fp16(1));";
const SHUFFLE: &str = "tensor<fp16, [1, 1, 8, 8]> r = pixel_shuffle(x = l, upscale_factor = int32(2));";
const SPACE: &str = "tensor<fp16, [1, 16, 2, 2]> r = space_to_depth(x = l, block_size = int32(2));";
const SUM: &str = "tensor<fp16, [1, {C}, {H}, 1]> r = reduce_sum(x = a, axes = tensor<int32, [1]>([3]), keep_dims = bool(true));";
const UPSAMPLE: &str = "tensor<fp16, [1, {C}, {H2}, {W2}]> r = upsample_nearest_neighbor(x = a, scale_factor_height = int32(2), scale_factor_width = int32(2));";
const QUANTIZE: &str = "tensor<int8, [1, {C}, {H}, {W}]> r = quantize(input = a, scale = fp16(0.5), output_dtype = string(\"int8\"));";
const DEQUANTIZE: &str =
    "tensor<fp16, [1, {C}, {H}, {W}]> r = dequantize(input = i, scale = fp16(0.5), zero_point = int8(0));";
const ATTENTION: &str = "{T} r = scaled_dot_product_attention(query = a, key = a, value = a, attn_mask = m);";
const MASK: &str = ", tensor<fp16, [1, 1, {H}, {H}]> m";
const LUT: &str = "tensor<fp16, [2, 4]> w = constexpr_lut_to_dense(indices = tensor<uint1, [2, 4]>([[0, 1, 0, 1], [1, 0, 1, 0]]), lut = tensor<fp16, [1, 1, 2, 1]>([[[[1], [2]]]])); tensor<fp16, [1, 1, 1, 2]> r = linear(x = l, weight = w);";
const SHIFT: &str = "tensor<fp16, [2, 4]> w = constexpr_blockwise_shift_scale(data = tensor<int8, [2, 4]>([[0, 1, 0, 1], [1, 0, 1, 0]]), scale = tensor<fp16, [2, 1]>([[1], [2]])); tensor<fp16, [1, 1, 1, 2]> r = linear(x = l, weight = w);";
const EINS: &str = ", tensor<fp16, [1, {W}, {H}, 2]> o";
const FOUR: &str = ", tensor<fp16, [1, 1, 1, 4]> l";
const BLOCK: &str = ", tensor<fp16, [1, 4, 4, 4]> l";
const BOOLS: &str = ", tensor<bool, [1, {C}, {H}, {W}]> p";
const BOOL: &str = ", bool p";
const INTS: &str = ", tensor<int32, [1, {C}, {H}, {W}]> i";
const BYTES: &str = ", tensor<int8, [1, {C}, {H}, {W}]> i";

pub(super) const RULES: &[Rule] = &[
    // states
    part("wrong-kind", READ, "input = st", "input = a").with(STATE),
    part("wrong-kind", RELU, "x = a);", "x = st);").with(STATE),
    part("wrong-kind", UPDATE, "data = a, input = st", "data = a, input = a").with(STATE),
    part("wrong-kind", UPDATE, "data = a, input = st", "data = st, input = st").with(STATE),
    part("declared-type", READ, "{T} r", "tensor<fp32, [1, {C}, {H}, {W}]> r").with(STATE),
    part("shape-mismatch", UPDATE, "data = a", "data = o").with(", state<{T}> st, tensor<fp16, [1, {C}, {H}, 7]> o"),
    part("dtype-mismatch", UPDATE, "data = a", "data = o").with(", state<{T}> st, tensor<fp32, [1, {C}, {H}, {W}]> o"),
    part("missing-parameter", UPDATE, "data = a, input = st", "data = a").with(STATE),
    // blocks
    part("wrong-dtype", COND, "pred = p", "pred = a").with(BOOL),
    part("block-count", COND, " block () { {T} v = tanh(x = a); } -> (v);", ";").with(BOOL),
    part("block-type", COND, "-> (u)", "-> (u, u)").with(BOOL),
    part("block-type", COND, "{T} u = relu(x = a);", "tensor<fp16, [1, 1, {H}, {W}]> u = reduce_sum(x = a, axes = tensor<int32, [1]>([1]), keep_dims = bool(true));").with(BOOL),
    part("use-before-definition", COND, "v = tanh(x = a)", "v = tanh(x = u)").with(BOOL),
    part("duplicate-name", COND, "{T} u = relu(x = a); } -> (u)", "{T} a = relu(x = a); } -> (a)").with(BOOL),
    // joins and splits
    part("declared-type", STACK, "values = (a, a)", "values = a"),
    part("index-out-of-range", STACK, "int32(1)", "int32(6)"),
    part("declared-type", STACK, "(a, a)", "(a, a, a)"),
    part("dtype-mismatch", STACK, "(a, a)", "(a, i)").with(INTS),
    // convolutions
    part("shape-mismatch", CONV, "tensor<fp16, [2]> q", "tensor<fp16, [5]> q"),
    part("shape-mismatch", CONV, "strides = tensor<int32, [2]>([1, 1])", "strides = tensor<int32, [3]>([1, 1, 1])"),
    part("shape-mismatch", CONV, "dilations = tensor<int32, [2]>([1, 1])", "dilations = tensor<int32, [1]>([1])"),
    part("shape-mismatch", CONV, "pad = tensor<int32, [4]>([1, 1, 1, 1])", "pad = tensor<int32, [2]>([1, 1])"),
    part("bad-value", CONV, "([1, 1, 1, 1])", "([1, -1, 1, 1])"),
    part("bad-value", CONV, "dilations = tensor<int32, [2]>([1, 1])", "dilations = tensor<int32, [2]>([1, 0])"),
    part("shape-mismatch", CONV, "dilations = tensor<int32, [2]>([1, 1])", "dilations = tensor<int32, [2]>([1, 999])"),
    part("declared-type", CONV, "strides = tensor<int32, [2]>([1, 1])", "strides = tensor<int32, [2]>([2, 2])"),
    part("shape-mismatch", CONV, "groups = int32(1)", "groups = int32(2)"),
    part("wrong-dtype", CONV, "groups = int32(1)", "groups = fp16(1)"),
    part("wrong-dtype", CONV, "pad_type = string(\"custom\")", "pad_type = int32(1)"),
    part("shape-mismatch", DEEP, "groups = int32({C})", "groups = int32(5)"),
    part("shape-mismatch", DEEP, "[{C}, 1, 1, 1]> w", "[{C}, 2, 1, 1]> w"),
    part("shape-mismatch", BACK, "[{C}, 2, 2, 2]> w", "[1, 2, 2, 2]> w"),
    part("declared-type", BACK, "strides = tensor<int32, [2]>([2, 2])", "strides = tensor<int32, [2]>([1, 2])"),
    part("bad-value", BACK, "\"valid\"", "\"same_lower\""),
    // windows
    part("shape-mismatch", POOL, "kernel_sizes = tensor<int32, [2]>([1, 1])", "kernel_sizes = tensor<int32, [3]>([1, 1, 1])"),
    part("shape-mismatch", POOL, "kernel_sizes = tensor<int32, [2]>([1, 1])", "kernel_sizes = tensor<int32, [2]>([999, 1])"),
    part("bad-value", POOL, "kernel_sizes = tensor<int32, [2]>([1, 1])", "kernel_sizes = tensor<int32, [2]>([0, 1])"),
    part("wrong-dtype", POOL, "ceil_mode = bool(false)", "ceil_mode = int32(0)"),
    // norms
    part("shape-mismatch", BATCH, "tensor<fp16, [{C}]> m", "tensor<fp16, [3]> m"),
    part("missing-parameter", BATCH, "mean = m, ", ""),
    part("wrong-dtype", BATCH, "epsilon = fp16(0x1p-10)", "epsilon = int32(1)"),
    part("shape-mismatch", INSTANCE, "tensor<fp16, [{C}]> m", "tensor<fp16, [3]> m"),
    part("shape-mismatch", LAYER, "tensor<fp16, [{W}]> m", "tensor<fp16, [7]> m"),
    part("bad-value", LAYER, "axes = tensor<int32, [1]>([3])", "axes = tensor<int32, [2]>([3, 3])"),
    // products
    part("wrong-dtype", MATMUL, "transpose_x = bool(false)", "transpose_x = int32(0)"),
    part("shape-mismatch", MATMUL, "transpose_y = bool(true)", "transpose_y = bool(false)"),
    part("shape-mismatch", LINEAR, "tensor<fp16, [3]> q", "tensor<fp16, [4]> q"),
    part("wrong-rank", LINEAR, "tensor<fp16, [3, {W}]> w", "tensor<fp16, [3, {W}, 1]> w"),
    part("not-constant", LINEAR, "weight = w", "weight = o").with(", tensor<fp16, [3, {W}]> o"),
    part("bad-value", EINSUM, "nchw,nwhu->nchu", "nchw;nwhu->nchu").with(EINS),
    part("bad-value", EINSUM, "nchw,nwhu->nchu", "nchw,nwhu->nchz").with(EINS),
    part("bad-value", EINSUM, "nchw,nwhu->nchu", "").with(EINS),
    // shapes
    part("bad-value", RESHAPE, "([{C}, {H}, -1])", "([{C}, -1, -1])"),
    part("bad-value", RESHAPE, "([{C}, {H}, -1])", "([{C}, {H}, -5])"),
    part("wrong-dtype", RESHAPE, "tensor<int32, [3]>([{C}, {H}, -1])", "tensor<fp16, [3]>([{C}, {H}, -1])"),
    part("shape-mismatch", TRANSPOSE, "tensor<int32, [4]>([0, 1, 3, 2])", "tensor<int32, [3]>([0, 2, 1])"),
    part("index-out-of-range", TRANSPOSE, "([0, 1, 3, 2])", "([0, 1, 3, 4])"),
    // slices
    part("bad-value", INDEX, "([1, 1, 1, 2])", "([1, 1, 1, 0])"),
    part("shape-mismatch", INDEX, "begin = tensor<int32, [4]>([0, 0, 0, 0])", "begin = tensor<int32, [3]>([0, 0, 0])"),
    part("declared-type", INDEX, "squeeze_mask = tensor<bool, [4]>([false, false, false, false])", "squeeze_mask = tensor<bool, [4]>([true, false, false, false])"),
    part("wrong-dtype", INDEX, "begin_mask = tensor<bool, [4]>([false, false, false, false])", "begin_mask = tensor<int32, [4]>([0, 0, 0, 0])"),
    part("index-out-of-range", SIZE, "([0, 0, 0, 4])", "([0, 0, 0, {W}])"),
    part("index-out-of-range", SIZE, "size = tensor<int32, [4]>([1, {C}, {H}, 8])", "size = tensor<int32, [4]>([1, {C}, {H}, 999])"),
    part("bad-value", SIZE, "size = tensor<int32, [4]>([1, {C}, {H}, 8])", "size = tensor<int32, [4]>([1, {C}, {H}, -2])"),
    // gathers
    part("wrong-dtype", GATHER, "indices = tensor<int32, [2]>([0, 1])", "indices = tensor<fp16, [2]>([0, 1])"),
    part("index-out-of-range", GATHER, "([0, 1])", "([0, 99])"),
    part("bad-value", GATHER, "batch_dims = int32(0)", "batch_dims = int32(3)"),
    part("index-out-of-range", ALONG, "axis = int32(3)", "axis = int32(4)").with(FOUR),
    part("wrong-rank", ALONG, "tensor<int32, [1, 1, 1, 2]>([[[[0, 1]]]])", "tensor<int32, [2]>([0, 1])").with(FOUR),
    part("bad-value", TOPK, "k = int32(2)", "k = int32(-2)"),
    part("index-out-of-range", TOPK, "axis = int32(3)", "axis = int32(5)"),
    // the rest
    part("bad-value", PAD, "tensor<int32, [2]>([0, {W}])", "tensor<int32, [3]>([0, {W}, 0])"),
    part("bad-value", PAD, "([0, {W}])", "([0, -{W2}])"),
    part("bad-value", PAD, "\"constant\"", "\"reflect\""),
    part("wrong-dtype", PAD, "constant_val = fp16(0)", "constant_val = bool(false)"),
    part("shape-mismatch", TILE, "tensor<int32, [4]>([1, 2, 1, 1])", "tensor<int32, [3]>([2, 1, 1])"),
    part("bad-value", TILE, "([1, 2, 1, 1])", "([1, 0, 1, 1])"),
    part("bad-value", CAST, "string(\"fp32\")", "string(\"string\")"),
    part("missing-parameter", CAST, ", dtype = string(\"fp32\")", ""),
    part("shape-mismatch", SELECT, "a = a", "a = o").with(", tensor<bool, [1, {C}, {H}, {W}]> p, tensor<fp16, [1, {C}, {H}, 7]> o"),
    part("missing-parameter", SELECT, ", b = a", "").with(BOOLS),
    part("wrong-dtype", CLIP, "alpha = fp16(-1)", "alpha = int32(-1)"),
    part("wrong-rank", CLIP, "alpha = fp16(-1)", "alpha = tensor<fp16, [2]>([-1, -1])"),
    part("bad-value", SHUFFLE, "upscale_factor = int32(2)", "upscale_factor = int32(0)").with(BLOCK),
    part("shape-mismatch", SPACE, "block_size = int32(2)", "block_size = int32(3)").with(BLOCK),
    part("wrong-dtype", SUM, "keep_dims = bool(true)", "keep_dims = int32(1)"),
    part("bad-value", SUM, "tensor<int32, [1]>([3])", "tensor<int32, [2]>([3, 3])"),
    part("bad-value", UPSAMPLE, "scale_factor_height = int32(2)", "scale_factor_height = int32(0)"),
    part("bad-value", QUANTIZE, "output_dtype = string(\"int8\")", "output_dtype = string(\"int16\")"),
    part("declared-type", QUANTIZE, "output_dtype = string(\"int8\")", "output_dtype = string(\"uint8\")"),
    part("dtype-mismatch", DEQUANTIZE, "zero_point = int8(0)", "zero_point = uint8(0)").with(BYTES),
    part("wrong-dtype", DEQUANTIZE, "input = i", "input = a").with(BYTES),
    part("shape-mismatch", ATTENTION, "attn_mask = m", "attn_mask = o").with(", tensor<fp16, [1, 1, {H}, {H}]> m, tensor<fp16, [1, 1, 3, 3]> o"),
    part("shape-mismatch", ATTENTION, "key = a", "key = o").with(", tensor<fp16, [1, 1, {H}, {H}]> m, tensor<fp16, [1, {C}, {H}, 7]> o"),
    part("missing-parameter", ATTENTION, "value = a, ", "").with(MASK),
    part("shape-mismatch", LUT, "tensor<fp16, [1, 1, 2, 1]>([[[[1], [2]]]])", "tensor<fp16, [1, 1, 3, 1]>([[[[1], [2], [3]]]])").with(FOUR),
    part("shape-mismatch", SHIFT, "tensor<fp16, [2, 1]>([[1], [2]])", "tensor<fp16, [3, 1]>([[1], [2], [3]])").with(FOUR),
    // the function
    part("duplicate-output", RELU, "-> (a, r)", "-> (r, r)"),
    whole("unknown-op", RELU, "{T} r = silu_mul(x = a);"),
    whole("opset-too-old", RELU, "{T} r = scaled_dot_product_attention<ios17>(query = a, key = a, value = a);"),
    part("unknown-type", RELU, "{T} r", "tensor<float16, [1, {C}, {H}, {W}]> r"),
    part("bad-dimension", RELU, "{T} r", "tensor<fp16, [1, {C}, {H}, -{W}]> r"),
    part("tensor-too-large", RELU, "{T} r", "tensor<fp16, [1, 99999999999, {H}, {W}]> r"),
    part("positional-argument", RELU, "(x = a);", "(a);"),
    part("untyped-value", CLIP, "alpha = fp16(-1)", "alpha = -1"),
];
