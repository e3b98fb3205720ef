"""Writes values.tsv: single ops on random values, with the results that coremltools 9.0 folds them to.

Each line holds the op, its opset, its arguments as `name=dtype|shape|values`, and the result as `=dtype|shape|values`.
Run it beside the file: `python3 values.py > values.tsv`.
"""
import warnings

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Builder as mb, Function, types

warnings.filterwarnings("ignore")
rng = np.random.default_rng(5)
I15, I17, I18 = ct.target.iOS15, ct.target.iOS17, ct.target.iOS18
F, H = np.float32, np.float16
SHAPES = [(3,), (2, 3), (1, 2, 2), (2, 1, 2, 2)]
NAMES = {"float16": "fp16", "float32": "fp32"}


def written(value, dtype=None):
    if isinstance(value, str):
        return "string||" + value
    value = np.asarray(value)
    dtype = dtype or NAMES.get(str(value.dtype), str(value.dtype))
    if dtype == "fp32":
        value = value.astype(F)
    shape = ",".join(map(str, value.shape))
    return f"{dtype}|{shape}|" + ",".join(str(x) if value.dtype.kind == "f" else str(int(x)) for x in value.ravel())


def case(op, opset, **args):
    with Function({}, opset_version=opset):
        y = getattr(mb, op)(**args)
        value = y.val if y.val is not None else y.op.materialized_val_inference()
    cells = [op, opset.name.lower()] + [f"{k}={written(v)}" for k, v in args.items()]
    print("\t".join(cells + ["=" + written(value, types.builtin_to_string(y.dtype))]))


def floats(shape, dtype=F, low=-4, high=4):
    return rng.uniform(low, high, shape).astype(dtype)


def ints(shape, low=-9, high=9):
    return rng.integers(low, high, shape).astype(np.int32)


def bools(shape):
    return rng.integers(0, 2, shape).astype(bool)


print("# Single ops on random values, with the results of coremltools 9.0. Written by values.py.")

for op in """abs acos asin atan atanh ceil cos cosh erf exp exp2 floor round sign sin sinh sqrt square tan tanh relu relu6
        sigmoid softplus softsign gelu inverse log rsqrt""".split():
    low, high = {"acos": (-1, 1), "asin": (-1, 1), "atanh": (-1, 1), "sqrt": (0, 9), "log": (0, 9), "rsqrt": (0, 9)}.get(
        op, (-4, 4)
    )
    case(op, I15, x=floats((8,), F, low, high))
    case(op, I17, x=floats((3, 1), H, low, high))
for op in ["abs", "sign", "square", "exp2"]:
    case(op, I15, x=ints((5,)))
for op in ["log", "inverse", "rsqrt"]:
    case(op, I15, x=floats((4,), F, 0.5, 3), epsilon=F(0.25))
    case(op, I17, x=floats((4,), H, 0.5, 3), epsilon=F(0.25))

for op in """add sub mul real_div floor_div mod pow maximum minimum equal not_equal less less_equal greater
        greater_equal""".split():
    low = 0.1 if op == "pow" else -4
    for a, b in [((3,), (2, 3)), ((2, 1, 2), (3, 1)), ((1,), (2, 2)), ((4,), (4,))]:
        y = ints(b, 1, 5)
        case(op, I15, x=floats(a, F, low), y=floats(b))
        case(op, I15, x=ints(a), y=y if op == "pow" else y * rng.choice([-1, 1], b).astype(np.int32))
for op in ["logical_and", "logical_or", "logical_xor"]:
    case(op, I15, x=bools((2, 3)), y=bools((3,)))
case("logical_not", I15, x=bools((4,)))
case("select", I15, cond=bools((2, 3)), a=floats((2, 3)), b=floats((2, 3)))
case("clip", I15, x=floats((9,)), alpha=F(-1), beta=F(2))
case("threshold", I15, x=floats((9,)), alpha=F(-1))
case("threshold", I15, x=ints((9,)), alpha=np.int32(-1))
for dtype in ["int32", "fp16", "fp32", "bool"]:
    for x in [floats((6,), F, -40, 40), floats((6,), H, -40, 40), ints((6,)), bools((6,))]:
        case("cast", I15, x=x, dtype=dtype)
for dtype in ["int8", "uint8", "int16", "uint16"]:
    for x in [floats((6,), F, 0, 100), ints((6,), -300, 300)]:
        case("cast", I17, x=x, dtype=dtype)

for op in ["elu", "leaky_relu", "thresholded_relu"]:
    case(op, I15, x=floats((8,)), alpha=F(0.25))
    case(op, I17, x=floats((3,), H), alpha=H(0.25))
for op in ["clamped_relu", "linear_activation", "scaled_tanh", "sigmoid_hard"]:
    case(op, I15, x=floats((8,)), alpha=F(0.25), beta=F(0.75))
    case(op, I17, x=floats((3,), H), alpha=H(0.25), beta=H(0.75))
for mode in ["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"]:
    case("gelu", I15, x=floats((8,)), mode=mode)
case("prelu", I15, x=floats((2, 3, 2, 1)), alpha=floats((3,)))
case("prelu", I15, x=floats((2, 3, 2)), alpha=np.full(3, 0.25, F))
case("softplus_parametric", I15, x=floats((2, 3, 1, 2)), alpha=floats((3,)), beta=floats((3,)))
for shape in SHAPES:
    for axis in range(-len(shape), len(shape)):
        case("softmax", I15, x=floats(shape), axis=np.int32(axis))

for op in """reduce_l1_norm reduce_l2_norm reduce_log_sum reduce_log_sum_exp reduce_max reduce_mean reduce_min
        reduce_prod reduce_sum reduce_sum_square""".split():
    low = 0.5 if op == "reduce_log_sum" else -4
    for shape in SHAPES:
        for keep_dims in [True, False]:
            rank = len(shape)
            axes = rng.permutation(rank)[: rng.integers(1, rank + 1)]
            axes = np.array([a - rank * rng.integers(0, 2) for a in axes], np.int32)
            case(op, I15, x=floats(shape, F, low), axes=axes, keep_dims=keep_dims)
            case(op, I15, x=ints(shape, 1 if "log" in op else -9), axes=axes, keep_dims=keep_dims)
    case(op, I15, x=floats((2, 3), F, 0.5))
for op in ["reduce_argmax", "reduce_argmin"]:
    for shape in SHAPES:
        for keep_dims in [True, False]:
            axis = np.int32(rng.integers(-len(shape), len(shape)))
            case(op, I15, x=floats(shape), axis=axis, keep_dims=keep_dims)
            case(op, I17, x=ints(shape, 0, 3), axis=axis, keep_dims=keep_dims, output_dtype="int32")
for shape in SHAPES:
    for reverse in [True, False]:
        case("cumsum", I15, x=floats(shape), axis=np.int32(rng.integers(0, len(shape))), reverse=reverse)
        case("cumsum", I15, x=ints(shape), axis=np.int32(-1), reverse=reverse)

for shape in [(1, 2, 3), (2, 2, 1, 2), (2, 1, 1, 3, 2)]:
    case("l2_norm", I15, x=floats(shape))
    case("l2_norm", I15, x=floats(shape), epsilon=F(0.5))
for shape in SHAPES:
    for _ in range(2):
        axes = np.sort(rng.permutation(len(shape))[: rng.integers(1, len(shape) + 1)]).astype(np.int32)
        over = tuple(shape[axis] for axis in axes)
        case("layer_norm", I15, x=floats(shape), axes=axes, gamma=floats(over), beta=floats(over), epsilon=F(0.01))
        case("layer_norm", I15, x=floats(shape), axes=axes)

qkv = lambda: dict(query=floats((2, 2, 4)), key=floats((2, 3, 4)), value=floats((2, 3, 2)))
case("scaled_dot_product_attention", I18, **qkv())
for shape in [(3,), (2, 3), (1, 2, 3), (2, 1, 3)]:
    case("scaled_dot_product_attention", I18, **qkv(), attn_mask=floats(shape))
    case("scaled_dot_product_attention", I18, **qkv(), attn_mask=rng.integers(0, 3, shape) > 0)

for dtype, zero in [("int8", np.int8(-7)), ("uint8", np.uint8(9))]:
    x, y = floats((3, 4), F, -40, 40), rng.integers(0, 127, (3, 4)).astype(dtype)
    case("quantize", I17, input=x, scale=F(0.25), zero_point=zero, output_dtype=dtype)
    case("quantize", I17, input=x, scale=floats((3,), F, 0.1, 1), axis=np.int32(-2), output_dtype=dtype)
    case("dequantize", I17, input=y, scale=F(0.25), zero_point=zero)
    case("dequantize", I17, input=y, scale=floats((4,), H, 0.1, 1), axis=np.int32(1), zero_point=np.full(4, 3, y.dtype))
