"""Constants, control flow, classifiers and the buffers of the segmenter. Python's own `if` and `while` are the oracles."""

import numpy as np

from case import i32, program, sub

F, H, I = np.float32, np.float16, np.int32
rng = np.random.default_rng(47)

# Constants

number = program(
    "const_numbers",
    """
program(1.3)
{
    func main<ios18>(tensor<fp16, [1]> x) {
        fp16 half = const()[name = string("half"), val = fp16(0x1.8p-1)];
        tensor<fp32, [2, 2]> single = const()[name = string("single"), val = tensor<fp32, [2, 2]>([[-0x0p+0, 0x1p-149], [0x1.fffffep+127, -0x1.8p+1]])];
        tensor<int32, [2]> int = const()[name = string("int"), val = tensor<int32, [2]>([-2147483648, 2147483647])];
        tensor<bool, [3]> flags = const()[name = string("flags"), val = tensor<bool, [3]>([true, false, true])];
        tensor<int8, [2]> byte = const()[name = string("byte"), val = tensor<int8, [2]>([-128, 127])];
        tensor<uint16, [1, 2]> word = const()[name = string("word"), val = tensor<uint16, [1, 2]>([[0, 65535]])];
        tensor<int4, [3]> nibble = const()[name = string("nibble"), val = tensor<int4, [3]>([-8, 0, 7])];
        tensor<uint3, [5]> three = const()[name = string("three"), val = tensor<uint3, [5]>([0, 1, 5, 6, 7])];
        string word_of_letters = const()[name = string("word_of_letters"), val = string("let it be")];
        tensor<fp32, [0]> nothing = const()[name = string("nothing"), val = tensor<fp32, [0]>([])];
        tensor<fp16, [1]> y = add(x = x, y = half);
    } -> (half, single, int, flags, byte, word, nibble, three, word_of_letters, nothing, y);
}
""",
    "constants of many dtypes",
    ops=["const"],
)
fixed = {
    "half": H(0.75),
    "single": np.array([[-0.0, 1e-45], [np.finfo(F).max, -3]], F),
    "int": i32(-(2**31), 2**31 - 1),
    "flags": np.array([1, 0, 1], bool),
    "byte": np.array([-128, 127], np.int8),
    "word": np.array([[0, 65535]], np.uint16),
    "nibble": sub([-8, 0, 7], "int4"),
    "three": sub([0, 1, 5, 6, 7], "uint3"),
    "word_of_letters": "let it be",
    "nothing": np.zeros(0, F),
}
for x in [0, 1, -0.75, 65504, np.inf]:
    x = np.array([x], H)
    number.run(
        "exact",
        f"they are the same in each run, also beside {x[0]}",
        source="numpy",
        inputs={"x": x},
        want=fixed | {"y": x + H(0.75)},
    )

# Conditions

branch = program(
    "cond",
    """
program(1.3)
{
    func main<ios17>(bool first, bool second, tensor<fp32, [2]> x) {
        tensor<fp32, [2]> y, int32 which = cond(pred = first)
        block () {
            tensor<fp32, [2]> double = add(x = x, y = x);
            int32 number = const()[name = string("number_1"), val = int32(1)];
        } -> (double, number)
        block () {
            tensor<fp32, [2]> inner, int32 n = cond(pred = second)
            block () {
                tensor<fp32, [2]> negative = mul(x = x, y = fp32(-1));
                int32 number = const()[name = string("number_2"), val = int32(2)];
            } -> (negative, number)
            block () {
                int32 number = const()[name = string("number_3"), val = int32(3)];
            } -> (x, number);
        } -> (inner, n);
        tensor<fp32, [2]> z = add(x = y, y = fp32(1));
    } -> (y, which, z);
}
""",
    "a condition within a condition, of two results",
    ops=["cond"],
)
for first, second, x in [
    (True, True, [1, 2]),
    (True, False, [-1, 0.5]),
    (False, True, [1, -0.0]),
    (False, False, [np.nan, 3]),
    (False, True, [np.inf, 1e38]),
    (True, True, [3e38, 1e-45]),
]:
    x = np.array(x, F)
    with np.errstate(over="ignore"):
        y, which = (x + x, 1) if first else (-x, 2) if second else (x, 3)
    inputs = {"first": np.bool_(first), "second": np.bool_(second), "x": x}
    branch.run("exact", f"{first}, {second}", source="numpy", inputs=inputs, want={"y": y, "which": I(which), "z": y + F(1)})

# Loops

collatz = program(
    "while_collatz",
    """
program(1.3)
{
    func main<ios18>(int32 n) {
        int32 one, int32 steps = while_loop(loop_vars = (n, int32(0)))
        block (int32 a, int32 c) {
            bool more = not_equal(x = a, y = int32(1));
        } -> (more)
        block (int32 b, int32 d) {
            int32 rest = mod(x = b, y = int32(2));
            bool even = equal(x = rest, y = int32(0));
            int32 next = cond(pred = even)
            block () {
                int32 half = floor_div(x = b, y = int32(2));
            } -> (half)
            block () {
                int32 triple = mul(x = b, y = int32(3));
                int32 odd = add(x = triple, y = int32(1));
            } -> (odd);
            int32 count = add(x = d, y = int32(1));
        } -> (next, count);
    } -> (one, steps);
}
""",
    "the steps of Collatz to 1: a condition in the body of a loop",
    ops=["while_loop", "cond"],
)
for start in [1, 2, 6, 7, 27, 97]:
    n, steps = start, 0
    while n != 1:
        n, steps = n // 2 if n % 2 == 0 else 3 * n + 1, steps + 1
    collatz.run(
        "exact", f"from {start}: {steps} steps", source="numpy", inputs={"n": I(start)}, want={"one": I(1), "steps": I(steps)}
    )

powers = program(
    "while_matrix",
    """
program(1.3)
{
    func main<ios16>(int32 n, tensor<fp32, [2, 2]> m) {
        tensor<fp32, [2, 2]> unit = const()[name = string("unit"), val = tensor<fp32, [2, 2]>([[1, 0], [0, 1]])];
        int32 left, tensor<fp32, [2, 2]> power = while_loop(loop_vars = (n, unit))
        block (int32 i, tensor<fp32, [2, 2]> p) {
            bool more = greater(x = i, y = int32(0));
        } -> (more)
        block (int32 i, tensor<fp32, [2, 2]> p) {
            int32 next = sub(x = i, y = int32(1));
            tensor<fp32, [2, 2]> product = matmul(transpose_x = bool(false), transpose_y = bool(false), x = p, y = m);
        } -> (next, product);
    } -> (left, power);
}
""",
    "the power of a matrix, which the body sees from outside",
    ops=["while_loop"],
)
for n, m in [
    (0, [[1, 1], [1, 0]]),
    (1, [[1, 1], [1, 0]]),
    (20, [[1, 1], [1, 0]]),
    (7, [[2, -1], [0, 3]]),
    (-3, [[5, 5], [5, 5]]),
]:
    m = np.array(m, F)
    want = np.linalg.matrix_power(m.astype(np.int64), max(n, 0)).astype(F)
    powers.run("exact", f"{n} turns", source="numpy", inputs={"n": I(n), "m": m}, want={"left": I(min(n, 0)), "power": want})

# Classifiers: the most probable class, and of equals the first

PROGRAM = """
program(1.3)
{
    func main<ios15>(tensor<fp32, [%s]> p) {
        %s, dict<%s, fp64> each = classify(classes = list<%s, %d>([%s]), probabilities = p);
    } -> (label, each);
}
"""
words = program(
    "classify_words",
    PROGRAM % ("1, 3", "string label", "string", "string", 3, '"cat", "dog", "sea eel"'),
    "a classifier of words",
    ops=["classify"],
)
labels = np.array(["cat", "dog", "sea eel"])
for p, note in [
    ([0.2, 0.5, 0.3], "one is the most probable"),
    ([0.1, 0.2, 0.7], "the last"),
    ([0.4, 0.4, 0.2], "of two equals the first"),
    ([0, 0, 0], "nothing is probable"),
    ([-1, -3, -0.5], "numbers that are no probabilities"),
    ([1e-45, 0, 0], "a subnormal number"),
]:
    p = np.array([p], F)
    words.run(
        "exact",
        note,
        source="numpy",
        inputs={"p": p},
        want={"label": str(labels[p[0].argmax()]), "each": p[0].astype(np.float64), "each.keys": labels},
    )
numbers = program(
    "classify_numbers",
    PROGRAM % ("2, 2", "int64 label", "int64", "int64", 4, "7, -1, 9000000000, 0"),
    "a classifier of numbers",
    ops=["classify"],
)
labels = np.array([7, -1, 9000000000, 0], np.int64)
for p in [[[1, 2], [3, 4]], [[0.5, 0.25], [0.75, 0]], [[0, 0], [0, 0]]]:
    p = np.array(p, F)
    numbers.run(
        "exact",
        "classes of a matrix, row by row",
        source="numpy",
        inputs={"p": p},
        want={"label": labels[p.argmax()], "each": p.ravel().astype(np.float64), "each.keys": labels},
    )

# Buffers

buffers = program(
    "buffers",
    """
program(1.3)
{
    func main<ios18>(tensor_buffer<fp16, shape=[2, 1, 3], strides=[64, 64, 1], interleave_factors=[1, 1, 1]> x) {
        tensor<fp16, [2, 1, 3]> t = tensor_buffer_to_tensor<ios17>(input = x);
        tensor<fp16, [2, 1, 3]> u = add(x = t, y = t);
        tensor_buffer<fp16, shape=[2, 1, 3], strides=[32, 32, 1], interleave_factors=[1, 1, 1]> y = tensor_to_tensor_buffer<ios17>(input = u, interleave_factors = tensor<uint8, [3]>([1, 1, 1]), strides = tensor<int64, [3]>([32, 32, 1]));
    } -> (t, y);
}
""",
    "tensors in and out of strided buffers, whose strides do not change the values",
    ops=["tensor_buffer_to_tensor", "tensor_to_tensor_buffer"],
)
for x in [rng.uniform(-4, 4, (2, 1, 3)).astype(H) for _ in range(4)] + [
    np.array([np.nan, np.inf, -0.0, 6e-8, 40000, -1], H).reshape(2, 1, 3)
]:
    with np.errstate(over="ignore"):
        buffers.run("exact", "values stay as they are", source="numpy", inputs={"x": x}, want={"t": x, "y": x + x})
