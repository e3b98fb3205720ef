"""Matrix products: linear, matmul, einsum."""

import numpy as np
import torch
import torch.nn.functional as F

from case import F16, F32, I32, case, folded, i32, program, rounded, t64, uniform, whole, wide

rng = np.random.default_rng(9)
np.seterr(all="ignore")


def linear(opset, note, x, weight, bias=None, within="ulp 1"):
    if x.dtype == I32:
        want = torch.tensor(x) @ torch.tensor(weight).T + (0 if bias is None else torch.tensor(bias))
        want = want.numpy()
    else:
        want = rounded(F.linear(t64(x), t64(weight), None if bias is None else t64(bias)).numpy(), x)
    case("linear", opset, want, within, note, source="torch", x=x, weight=weight, bias=bias)


linear("ios15", "rank 2", uniform(rng, (3, 4)), uniform(rng, (5, 4)), uniform(rng, 5))
linear("ios15", "a vector, no bias", uniform(rng, 4), uniform(rng, (3, 4)))
linear("ios16", "rank 3, fp16", uniform(rng, (2, 3, 5), F16), uniform(rng, (4, 5), F16), uniform(rng, 4, F16))
linear("ios15", "int32", whole(rng, (2, 3)), whole(rng, (4, 3)), whole(rng, 4))
linear("ios15", "int32 that wraps around", i32(65536, 2**31 - 1).reshape(1, 2), i32(65536, 2, 1, 1).reshape(2, 2))
linear("ios17", "fp16 with weights in fp32", uniform(rng, (2, 3), F16), uniform(rng, (4, 3)), uniform(rng, 4))
linear("ios17", "fp32 with weights in fp16", uniform(rng, (2, 3)), uniform(rng, (4, 3), F16), uniform(rng, 4, F16))
linear("ios17", "int32", whole(rng, (2, 3)), whole(rng, (4, 3)), whole(rng, 4))
linear("ios15", "nothing", np.zeros((0, 3), F32), uniform(rng, (2, 3)), uniform(rng, 2))
linear("ios15", "no inputs: the bias", np.zeros((2, 0), F32), np.zeros((3, 0), F32), uniform(rng, 3))
linear("ios15", "one number", uniform(rng, (1, 1)), uniform(rng, (1, 1)), uniform(rng, 1))
linear("ios16", "sums beyond fp16 on the way", F16([[60000, 60000, -60000]]), F16([[1, 1, 1], [1, 1, 0]]))
linear("ios18", "infinity and not-a-number", F32([[1, np.inf], [np.nan, 1]]), F32([[1, 0], [0, 1], [1, 1]]))
linear("ios15", "many numbers", uniform(rng, (3, 200), F32, -1, 1), uniform(rng, (4, 200), F32, -1, 1), uniform(rng, 4))
for opset, dtype in [("ios15", F32), ("ios17", F16)]:
    args = dict(x=uniform(rng, (2, 3), dtype), weight=uniform(rng, (4, 3), dtype), bias=uniform(rng, 4, dtype))
    folded("linear", opset, "rank 2", **args)


def matmul(opset, note, x, y, transpose_x=None, transpose_y=None, within="ulp 1"):
    a = np.swapaxes(x, -1, -2) if transpose_x else x
    b = np.swapaxes(y, -1, -2) if transpose_y else y
    if x.dtype == I32:
        want, source = np.matmul(a, b), "numpy"
    else:
        want, source = rounded(torch.matmul(t64(a), t64(b)).numpy(), x), "torch"
    case("matmul", opset, want, within, note, source=source, x=x, y=y, transpose_x=transpose_x, transpose_y=transpose_y)


matmul("ios15", "matrices", uniform(rng, (2, 3)), uniform(rng, (3, 4)))
matmul("ios15", "x transposed", uniform(rng, (3, 2)), uniform(rng, (3, 4)), True)
matmul("ios16", "y transposed, fp16", uniform(rng, (2, 5), F16), uniform(rng, (4, 5), F16), False, True)
matmul("ios17", "both transposed", uniform(rng, (3, 2)), uniform(rng, (4, 3)), True, True)
matmul("ios15", "batches", uniform(rng, (2, 2, 3)), uniform(rng, (2, 3, 2)))
matmul("ios15", "batches that are broadcast, transposed", uniform(rng, (2, 1, 3, 2)), uniform(rng, (4, 2, 3)), True, True)
matmul("ios18", "a matrix for a batch, fp16", uniform(rng, (3, 2, 4), F16), uniform(rng, (4, 2), F16))
matmul("ios15", "a batch for a matrix", uniform(rng, (2, 4)), uniform(rng, (3, 4, 2)))
matmul("ios15", "a vector before a matrix", uniform(rng, 3), uniform(rng, (3, 4)))
matmul("ios15", "a vector before a batch, y transposed", uniform(rng, 3), uniform(rng, (2, 4, 3)), None, True)
matmul("ios15", "int32", whole(rng, (2, 3)), whole(rng, (3, 2)))
matmul("ios17", "int32, x transposed", whole(rng, (3, 2)), whole(rng, (3, 2)), True)
matmul("ios15", "int32 that wraps around", i32(65536, 2**31 - 1).reshape(1, 2), i32(65536, 2).reshape(2, 1))
matmul("ios15", "int32 beyond fp32", i32(16777217, 1).reshape(1, 2), i32(1, 2).reshape(2, 1))
matmul("ios15", "nothing", np.zeros((0, 3), F32), uniform(rng, (3, 2)))
matmul("ios15", "nothing to sum", np.zeros((2, 0), F32), np.zeros((0, 3), F32))
matmul("ios15", "one number", uniform(rng, (1, 1)), uniform(rng, (1, 1)))
matmul("ios16", "sums beyond fp16 on the way", F16([[60000, 60000, -60000]]), F16([[1, 1], [1, 1], [1, 0]]))
matmul("ios18", "infinity and not-a-number", F32([[1, np.inf], [np.nan, 1]]), F32([[1, 0], [0, 1]]))
matmul("ios15", "many numbers", uniform(rng, (3, 150), F32, -1, 1), uniform(rng, (150, 5), F32, -1, 1))
for opset, dtype in [("ios15", F32), ("ios17", F16)]:
    folded("matmul", opset, "x transposed", x=uniform(rng, (3, 2), dtype), y=uniform(rng, (3, 2), dtype), transpose_x=True)
    folded("matmul", opset, "broadcast", x=uniform(rng, (2, 1, 2, 3), dtype), y=uniform(rng, (2, 3, 2), dtype))

# One of the two is constant and of another dtype, which is allowed as of iOS 17: the result has the dtype of the other.
for name, other, dtype, left in [("x", F32, F16, False), ("y", F16, F32, True)]:
    weight, text = uniform(rng, (2, 2), other), "fp32" if other is F32 else "fp16"
    rows = ", ".join("[" + ", ".join(str(v) for v in row) + "]" for row in weight)
    x_type = "fp16" if dtype is F16 else "fp32"
    given = "x = w, y = x" if left else "x = x, y = w"
    p = program(f"matmul_constant_{'x' if left else 'y'}", f"""
program(1.3)
{{
    func main<ios17>(tensor<{x_type}, [2, 2]> x) {{
            tensor<{text}, [2, 2]> w = const()[name = string("w"), val = tensor<{text}, [2, 2]>([{rows}])];
            tensor<{x_type}, [2, 2]> z = matmul({given}, transpose_x = bool(false), transpose_y = bool(false));
        }} -> (z);
}}
""", f"a constant matrix in {text} and another in {x_type}", ops=["matmul"])
    for note in ["one", "another"]:
        x = uniform(rng, (2, 2), dtype)
        want = wide(weight) @ wide(x) if left else wide(x) @ wide(weight)
        p.run("ulp 1", note, source="numpy", inputs=dict(x=x), want=dict(z=rounded(want, x)))

for opset, note, dtype, a, b, equation in [
    ("ios15", "rank 4", F32, (2, 3, 2, 4), (2, 4, 2, 5), "nchw,nwhu->nchu"),
    ("ios16", "rank 4, fp16", F16, (1, 2, 3, 4), (1, 4, 3, 2), "nchw,nwhu->nchu"),
    ("ios15", "rank 3", F32, (3, 2, 4), (4, 2, 5), "chw,whr->chr"),
    ("ios18", "rank 3, fp16", F16, (2, 3, 2), (2, 3, 4), "chw,whr->chr"),
    ("ios15", "other letters", F32, (2, 2, 3, 2), (2, 2, 3, 2), "abcd,adce->abce"),
    ("ios15", "other letters, rank 3", F32, (2, 3, 2), (2, 3, 1), "bnd,dnh->bnh"),
    ("ios17", "one of each", F32, (1, 1, 1, 1), (1, 1, 1, 1), "nchw,nwhu->nchu"),
    ("ios15", "nothing", F32, (0, 3, 2, 4), (0, 4, 2, 5), "nchw,nwhu->nchu"),
    ("ios15", "nothing to sum", F32, (1, 2, 2, 0), (1, 0, 2, 3), "nchw,nwhu->nchu"),
]:
    x, y = uniform(rng, a, dtype), uniform(rng, b, dtype)
    want = rounded(torch.einsum(equation, t64(x), t64(y)).numpy(), x)
    case("einsum", opset, want, "ulp 1", note, source="torch", values=(x, y), equation=equation)
for equation, a, b in [("nchw,nwhu->nchu", (2, 2, 3, 2), (2, 2, 3, 4)), ("chw,whr->chr", (2, 3, 2), (2, 3, 4))]:
    folded("einsum", "ios15", equation, values=(uniform(rng, a), uniform(rng, b)), equation=equation)
