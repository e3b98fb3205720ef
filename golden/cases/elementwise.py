"""Elementwise ops: of one tensor, of two with broadcasting, comparisons, choices and conversions."""

import numpy as np
import scipy.special

from case import EDGES, F16, F32, I32, case, folded, i32, rounded, truth, uniform, whole, wide

rng = np.random.default_rng(5)
np.seterr(all="ignore")

# name: the function on float64, how near the reference must be, the range of the arguments, whether it takes int32.
UNARY = {
    "abs": (np.abs, "exact", (-4, 4), True),
    "acos": (np.arccos, "ulp 1", (-1, 1), False),
    "asin": (np.arcsin, "ulp 1", (-1, 1), False),
    "atan": (np.arctan, "ulp 1", (-4, 4), False),
    "atanh": (np.arctanh, "ulp 1", (-1, 1), False),
    "ceil": (np.ceil, "exact", (-4, 4), False),
    "cos": (np.cos, "ulp 1", (-4, 4), False),
    "cosh": (np.cosh, "ulp 1", (-4, 4), False),
    "erf": (scipy.special.erf, "ulp 1", (-4, 4), False),
    "exp": (np.exp, "ulp 1", (-20, 20), False),
    "exp2": (np.exp2, "ulp 1", (-20, 20), True),
    "floor": (np.floor, "exact", (-4, 4), False),
    "round": (np.round, "exact", (-4, 4), False),
    "sign": (np.sign, "exact", (-4, 4), True),
    "sin": (np.sin, "ulp 1", (-4, 4), False),
    "sinh": (np.sinh, "ulp 1", (-4, 4), False),
    "sqrt": (np.sqrt, "exact", (0, 9), False),
    "square": (np.square, "exact", (-4, 4), True),
    "tan": (np.tan, "ulp 1", (-4, 4), False),
    "tanh": (np.tanh, "ulp 1", (-4, 4), False),
}


def of_x(op, opset, f, within, note, x, source="numpy", **args):
    case(op, opset, rounded(f(wide(x)), x), within, note, source=source, x=x, **args)


for op, (f, within, (low, high), ints) in UNARY.items():
    source = "scipy" if op == "erf" else "numpy"
    of_x(op, "ios15", f, within, "fp32, more than a vector register", uniform(rng, (5, 1, 9), F32, low, high), source)
    of_x(op, "ios16", f, within, "fp16, more than a vector register", uniform(rng, (3, 15), F16, low, high), source)
    of_x(op, "ios15", f, within, "near zero", uniform(rng, 8, F32, -1e-4, 1e-4 if low < 0 else 1), source)
    of_x(op, "ios15", f, within, "edges in fp32", EDGES[F32], source)
    of_x(op, "ios18", f, within, "edges in fp16", EDGES[F16], source)
    of_x(op, "ios15", f, within, "a scalar", F32(0.25), source)
    of_x(op, "ios15", f, within, "nothing", np.zeros((0, 3), F32), source)
    folded(op, "ios15", "fp32", x=uniform(rng, (8,), F32, low, high))
    folded(op, "ios17", "fp16", x=uniform(rng, (3, 1), F16, low, high))
    if ints:
        folded(op, "ios15", "int32", x=whole(rng, 5))
for op, f in [("abs", np.abs), ("sign", np.sign), ("square", np.square)]:
    x = i32(-(2**31) + 1, -65536, -46341, -1, 0, 1, 46341, 65537, 2**31 - 1)
    case(op, "ios15", f(x), "exact", "int32 that wraps around", source="numpy", x=x)
x = i32(0, 1, 5, 30)
case("exp2", "ios15", np.exp2(x).astype(I32), "exact", "int32", source="numpy", x=x)
ties = np.array([-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 2.4999998, 8388609, 0.49999997], F32)
for op in ["round", "ceil", "floor"]:
    of_x(op, "ios15", UNARY[op][0], "exact", "ties, and numbers beside them", ties)

# Ops with a small number in front of a pole.
EPSILON = {
    "inverse": (lambda x, e: 1 / (x + e), 1e-4),
    "log": (lambda x, e: np.log(x + e), 1e-45),
    "rsqrt": (lambda x, e: 1 / np.sqrt(x + e), 1e-12),
}
for op, (f, default) in EPSILON.items():
    low = 0.5 if op == "inverse" else 0
    for dtype, opset in [(F32, "ios15"), (F16, "ios16")]:
        name = "fp32" if dtype is F32 else "fp16"
        e = wide(dtype(default))
        for note, x in [("", uniform(rng, 9, dtype, low, 9)), (", edges", EDGES[dtype])]:
            note = f"{name}{note}, the default of epsilon in that dtype"
            case(op, opset, rounded(f(wide(x), e), x), "ulp 1", note, source="numpy", x=x)
        x = uniform(rng, (2, 4), dtype, 0, 2)
        e = dtype(0.3)
        case(op, opset, rounded(f(wide(x), wide(e)), x), "ulp 1", f"{name}, epsilon", source="numpy", x=x, epsilon=e)
    for dtype, other in [(F32, F16), (F16, F32)]:
        x, e = uniform(rng, 6, dtype, 0.5, 2), other(0.3)
        want = rounded(f(wide(x), wide(e)), x)
        case(op, "ios17", want, "ulp 1", "epsilon of another dtype", source="numpy", x=x, epsilon=e)
    case(op, "ios17", np.zeros((2, 0), F32), "exact", "nothing", source="numpy", x=np.zeros((2, 0), F32))
    folded(op, "ios15", "fp32", x=uniform(rng, 8, F32, 0, 9))
    folded(op, "ios17", "fp16", x=uniform(rng, (3, 1), F16, 0.5, 9))
    folded(op, "ios15", "fp32, epsilon", x=uniform(rng, 4, F32, 0.5, 3), epsilon=F32(0.25))
    folded(op, "ios17", "fp16, epsilon", x=uniform(rng, 4, F16, 0.5, 3), epsilon=F16(0.25))

# name: the function on float64, how near the reference must be.
BINARY = {
    "add": (np.add, "exact"),
    "sub": (np.subtract, "exact"),
    "mul": (np.multiply, "exact"),
    "real_div": (np.divide, "ulp 1"),
    "floor_div": (np.floor_divide, "exact"),
    "mod": (np.mod, "ulp 1"),
    "pow": (np.power, "ulp 1"),
    "maximum": (np.maximum, "ulp 0"),
    "minimum": (np.minimum, "ulp 0"),
}
COMPARE = {
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
}
SHAPES = [
    ("the same shape", (5, 9), (5, 9)),
    ("the same shape, one row", (1, 37), (1, 37)),
    ("a long row for each row", (2, 19), (19,)),
    ("broadcast both ways", (2, 1, 3), (4, 1)),
    ("a scalar", (5,), ()),
    ("a row to rank 5", (1, 2, 1, 1, 3), (3,)),
    ("nothing", (0, 3), (1, 3)),
    ("two scalars", (), ()),
]


def of_xy(op, opset, f, within, note, x, y):
    want = f(wide(x), wide(y))
    want = want if op in COMPARE else rounded(want, x)
    case(op, opset, want, within, note, source="numpy", x=x, y=y)


for op, (f, within) in [*BINARY.items(), *((op, (f, "exact")) for op, f in COMPARE.items())]:
    low = 0.1 if op == "pow" else -4
    for number, (note, a, b) in enumerate(SHAPES):
        dtype, opset = [(F32, "ios15"), (F16, "ios16")][number % 2]
        of_xy(op, opset, f, within, f"{note}, {'fp32' if dtype is F32 else 'fp16'}", uniform(rng, a, dtype, low), uniform(rng, b, dtype))
        x, y = whole(rng, a, -9, 10), whole(rng, b, 1, 6)
        if op not in ["real_div", "pow"]:
            y = y * rng.choice([-1, 1], b).astype(I32)
        if op != "real_div":
            case(op, "ios15", f(x, y), "exact", f"{note}, int32", source="numpy", x=x, y=y)
    for dtype, opset in [(F32, "ios15"), (F16, "ios18")]:
        # A number like 1.5 ** 3.4e38 is far outside of any dtype, whichever way it is computed.
        x = EDGES[dtype]
        of_xy(op, opset, f, within, "edges against edges", x.reshape(-1, 1), x)
for op in COMPARE:
    x, y = uniform(rng, (3, 4), F16, -2, 2).round(), uniform(rng, (1, 4), F16, -2, 2).round()
    of_xy(op, "ios17", COMPARE[op], "exact", "many equal", x, y)
    big = i32(16777216, 16777217, 2**31 - 1, -(2**31))
    case(op, "ios15", COMPARE[op](big.reshape(-1, 1), big), "exact", "int32 beyond fp32", source="numpy", x=big.reshape(-1, 1), y=big)
for op, f in [("add", np.add), ("sub", np.subtract), ("mul", np.multiply)]:
    x, y = i32(2**31 - 1, -(2**31), 65536, 46341, 123456789), i32(1, -1, 65536, 46341, 987654321)
    case(op, "ios15", f(x, y), "exact", "int32 that wraps around", source="numpy", x=x, y=y)
for op in ["maximum", "minimum"]:
    x, y = i32(2**31 - 1, -(2**31), 16777217), i32(-(2**31), 0, 16777216)
    case(op, "ios15", BINARY[op][0](x, y), "exact", "int32 beyond fp32", source="numpy", x=x, y=y)
for op in ["floor_div", "mod"]:
    x, y = np.array([1, 0.3, -0.3, 6, -6, 5, -5], F32), np.array([0.1, 0.1, 0.1, 2, 2, -3, 3], F32)
    of_xy(op, "ios15", BINARY[op][0], BINARY[op][1], "quotients beside whole numbers, both signs", x, y)
x, y = i32(-3, 2, 0, 7, 10), i32(3, 30, 0, 0, 9)
case("pow", "ios15", np.power(x, y), "exact", "int32", source="numpy", x=x, y=y)
for op in [*BINARY, *COMPARE]:
    low = 0.1 if op == "pow" else -4
    for a, b in [((3,), (2, 3)), ((2, 1, 2), (3, 1)), ((1,), (2, 2)), ((4,), (4,))]:
        y = whole(rng, b, 1, 5)
        folded(op, "ios15", "broadcast", x=uniform(rng, a, F32, low), y=uniform(rng, b))
        y = y if op == "pow" else y * rng.choice([-1, 1], b).astype(I32)
        folded(op, "ios15", "broadcast int32", x=whole(rng, a), y=y)

for op, f in [("logical_and", np.logical_and), ("logical_or", np.logical_or), ("logical_xor", np.logical_xor)]:
    table = np.array([[False], [True]]), np.array([False, True])
    case(op, "ios15", f(*table), "exact", "the table of truth", source="numpy", x=table[0], y=table[1])
    for note, a, b in SHAPES:
        x, y = truth(rng, a), truth(rng, b)
        case(op, "ios17", f(x, y), "exact", note, source="numpy", x=x, y=y)
    folded(op, "ios15", "broadcast", x=truth(rng, (2, 3)), y=truth(rng, (3,)))
for note, x in [
    ("both", np.array([True, False])),
    ("rank 3", truth(rng, (2, 1, 3))),
    ("a scalar", np.bool_(True)),
    ("nothing", np.zeros((0, 2), bool)),
]:
    case("logical_not", "ios15", np.logical_not(x), "exact", note, source="numpy", x=x)
folded("logical_not", "ios15", "a vector", x=truth(rng, (4,)))

for opset, note, c, a, b in [
    ("ios15", "one shape, fp32", (2, 3), uniform(rng, (2, 3)), uniform(rng, (2, 3))),
    ("ios16", "one shape, fp16, not-a-number kept", (16,), EDGES[F16], EDGES[F16][::-1].copy()),
    ("ios15", "one shape, fp32, not-a-number kept", (16,), EDGES[F32], EDGES[F32][::-1].copy()),
    ("ios15", "int32", (2, 2), whole(rng, (2, 2)), whole(rng, (2, 2))),
    ("ios17", "bool", (5,), truth(rng, 5), truth(rng, 5)),
    ("ios15", "nothing", (0, 2), np.zeros((0, 2), F32), np.zeros((0, 2), F32)),
    ("ios15", "scalars", (), F32(1.5), F32(-2)),
    ("ios15", "a scalar against a matrix", (2, 3), F32(-1), uniform(rng, (2, 3))),
    ("ios15", "all are broadcast", (2, 1), uniform(rng, (1, 3)), F32(0.5)),
    ("ios17", "cond is broadcast", (1, 3), uniform(rng, (4, 3), F16), uniform(rng, (4, 3), F16)),
]:
    cond = truth(rng, c)
    case("select", opset, np.where(cond, a, b), "exact", note, source="numpy", cond=cond, a=a, b=b)
folded("select", "ios15", "one shape", cond=truth(rng, (2, 3)), a=uniform(rng, (2, 3)), b=uniform(rng, (2, 3)))

for opset, note, dtype, x, alpha, beta in [
    ("ios15", "fp32", F32, uniform(rng, (2, 4)), -1, 2),
    ("ios16", "fp16", F16, uniform(rng, (2, 4), F16), -1, 2),
    ("ios17", "edges in fp32", F32, EDGES[F32], -0.75, 1.25),
    ("ios18", "edges in fp16", F16, EDGES[F16], -0.1, 100),
    ("ios15", "no lower bound", F32, uniform(rng, 5), -np.inf, 0.5),
    ("ios17", "no upper bound", F16, uniform(rng, 5, F16), 0.5, np.inf),
    ("ios15", "equal bounds, which iOS 17 refuses", F32, uniform(rng, 5), 1, 1),
    ("ios15", "nothing", F32, np.zeros((0,), F32), -1, 1),
    ("ios15", "a scalar", F32, F32(9), -1, 1),
]:
    alpha, beta = dtype(alpha), dtype(beta)
    case("clip", opset, np.clip(x, alpha, beta), "exact", note, source="numpy", x=x, alpha=alpha, beta=beta)
folded("clip", "ios15", "fp32", x=uniform(rng, 9), alpha=F32(-1), beta=F32(2))

for opset, note, x, alpha in [
    ("ios15", "fp32", uniform(rng, (3, 3)), F32(-1)),
    ("ios16", "fp16", uniform(rng, (3, 3), F16), F16(0.5)),
    ("ios15", "edges in fp32", EDGES[F32], F32(-2.5)),
    ("ios17", "edges in fp16", EDGES[F16], F16(0.5)),
    ("ios15", "int32", whole(rng, 7), I32(2)),
    ("ios15", "int32 beyond fp32", i32(16777217, -16777217, 2**31 - 1), I32(16777216)),
    ("ios15", "nothing", np.zeros((1, 0), F32), F32(0)),
]:
    case("threshold", opset, np.maximum(x, alpha), "exact", note, source="numpy", x=x, alpha=alpha)
folded("threshold", "ios15", "fp32", x=uniform(rng, 9), alpha=F32(-1))
folded("threshold", "ios15", "int32", x=whole(rng, 9), alpha=I32(-1))

DTYPES = {"fp16": F16, "fp32": F32, "int32": I32, "bool": np.bool_}
SMALL = {"int8": np.int8, "uint8": np.uint8, "int16": np.int16, "uint16": np.uint16}


def cast(opset, note, x, dtype):
    want = x.astype({**DTYPES, **SMALL}[dtype])
    case("cast", opset, want, "exact", note, source="numpy", x=x, dtype=dtype)


inside = np.array([0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 2.9999, -3.9999, 100, 127], F32)
for dtype in DTYPES:
    cast("ios15", "fp32, cut toward zero", inside, dtype)
    cast("ios15", "fp16, cut toward zero", inside.astype(F16), dtype)
    cast("ios15", "bool", np.array([[True], [False]]), dtype)
    cast("ios16", "int32", i32(0, 1, -1, 7, 2049, 2051, -4099), dtype)
    cast("ios15", "nothing", np.zeros((0, 4), F32), dtype)
    cast("ios15", "a scalar", np.asarray(I32(3)), dtype)
for dtype in SMALL:
    x = np.abs(inside) if dtype.startswith("u") else inside
    cast("ios17", "fp32, cut toward zero", x, dtype)
    cast("ios17", "fp16, cut toward zero", x.astype(F16), dtype)
    cast("ios17", "int32 that wraps around", i32(0, 255, 256, -1, -129, 65535, 65536, 70000, -40000), dtype)
    cast("ios17", "bool", np.array([True, False]), dtype)
for name, dtype in SMALL.items():
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    for to in [*DTYPES, *SMALL]:
        cast("ios18", f"the ends of {name}", np.array([low, 0, 1, high], dtype), to)
cast("ios15", "fp32 to fp16: overflow, ties, subnormal numbers", np.array(
    [65519, 65520, -65520, 1e9, 2049, 2051, 1.00048828125, 6e-8, 2.9e-8, 3e-8, -1e-9, 6.1e-5, np.inf, -np.inf, np.nan], F32), "fp16")
cast("ios15", "fp16 to fp32: edges", EDGES[F16], "fp32")
cast("ios15", "edges to bool", EDGES[F32], "bool")
cast("ios15", "int32 to fp16: overflow and ties", i32(65519, 65520, -65520, 2**31 - 1, 2049, 2051), "fp16")
cast("ios15", "int32 to fp32: ties", i32(16777217, 16777219, -16777217, 2**31 - 1, -(2**31)), "fp32")
for dtype in DTYPES:
    for x in [uniform(rng, 6, F32, -40, 40), uniform(rng, 6, F16, -40, 40), whole(rng, 6), truth(rng, 6)]:
        folded("cast", "ios15", f"to {dtype}", x=x, dtype=dtype)
for dtype in SMALL:
    for x in [uniform(rng, 6, F32, 0, 100), whole(rng, 6, -300, 300)]:
        folded("cast", "ios17", f"to {dtype}", x=x, dtype=dtype)
