"""States: variables that outlive a run. Each run goes on from what the one before left."""

import numpy as np

from case import program

F, H, I = np.float32, np.float16, np.int32
rng = np.random.default_rng(43)

cache = program(
    "state_cache",
    """
program(1.3)
{
    func main<ios18>(state<tensor<fp16, [4, 2]>> cache, tensor<fp16, [1, 2]> row) {
        tensor<fp16, [4, 2]> old = read_state(input = cache);
        tensor<fp16, [3, 2]> rest = slice_by_index(begin = tensor<int32, [2]>([1, 0]), end = tensor<int32, [2]>([4, 2]), x = old);
        tensor<fp16, [4, 2]> new = concat(axis = int32(0), interleave = bool(false), values = (rest, row));
        write_state(data = new, input = cache);
        tensor<fp16, [4, 2]> now = read_state(input = cache);
    } -> (old, now);
}
""",
    "a cache that moves along by a row",
    ops=["read_state", "write_state"],
)
held = np.zeros((4, 2), H)
for turn in range(6):
    row = rng.uniform(-4, 4, (1, 2)).astype(H)
    moved = np.roll(held, -1, 0)
    moved[-1] = row
    note = "a state begins as zeros" if turn == 0 else f"after {turn} runs"
    cache.run("exact", note, source="numpy", inputs={"row": row}, want={"old": held, "now": moved})
    held = moved

total = program(
    "state_total",
    """
program(1.3)
{
    func main<ios18>(state<tensor<fp32, [3]>> total, tensor<fp32, [3]> x) {
        tensor<fp32, [3]> before = read_state(input = total);
        tensor<fp32, [3]> sum = add(x = before, y = x);
        tensor<fp32, [3]> after = coreml_update_state(state = total, value = sum);
        tensor<fp32, [3]> doubled = mul(x = after, y = fp32(2));
    } -> (before, after, doubled);
}
""",
    "a running sum",
    ops=["read_state", "coreml_update_state"],
)
held = np.zeros(3, F)
for x, note in [
    ([1, 2, 3], "a state begins as zeros"),
    ([0.5, -2, 0], "on top of the first run"),
    ([1e30, -1e30, 1e-45], "large and subnormal numbers"),
    ([np.inf, 0, 0], "inf stays"),
    ([-np.inf, np.nan, 1], "inf - inf is NaN"),
    ([1, 1, 1], "and stays NaN"),
]:
    x = np.array(x, F)
    with np.errstate(invalid="ignore"):
        after = held + x
    total.run("exact", note, source="numpy", inputs={"x": x}, want={"before": held, "after": after, "doubled": after * F(2)})
    held = after

two = program(
    "state_two",
    """
program(1.3)
{
    func main<ios18>(state<tensor<fp16, [2]>> a, state<tensor<fp32, [1, 2]>> b, tensor<fp16, [2]> x, tensor<fp32, [1, 2]> y) {
        tensor<fp16, [2]> once = coreml_update_state(state = a, value = x);
        tensor<fp16, [2]> twice = add(x = once, y = once);
        tensor<fp16, [2]> now = coreml_update_state(state = a, value = twice);
        tensor<fp32, [1, 2]> before = read_state(input = b);
        write_state(data = y, input = b);
        tensor<fp16, [2]> a_now = read_state(input = a);
        tensor<fp32, [1, 2]> b_now = read_state(input = b);
    } -> (once, now, before, a_now, b_now);
}
""",
    "two states, one of which is written twice in a run",
    ops=["read_state", "write_state", "coreml_update_state"],
)
held = np.zeros((1, 2), F)
for turn in range(5):
    x, y = rng.uniform(-4, 4, 2).astype(H), rng.uniform(-4, 4, (1, 2)).astype(F)
    want = {"once": x, "now": x * H(2), "before": held, "a_now": x * H(2), "b_now": y}
    two.run("exact", f"run {turn + 1}: a read gives what was written last", source="numpy", inputs={"x": x, "y": y}, want=want)
    held = y
