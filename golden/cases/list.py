"""Lists, as TensorFlow's loops collect them: Python's lists and NumPy's stacks are the oracles."""

import numpy as np

from case import i32, program

F, H, I = np.float32, np.float16, np.int32
rng = np.random.default_rng(53)

pair = program(
    "list_pair",
    """
program(1.3)
{
    func main<ios15>(tensor<fp32, [2]> a, tensor<fp32, [2]> b, int32 at, tensor<int32, [3]> all) {
        list<tensor<fp32, [2]>, ?> empty = make_list(dtype = string("fp32"), dynamic_length = bool(false), elem_shape = (int32(2)), init_length = int32(3));
        list<tensor<fp32, [2]>, ?> first = list_write(index = int32(0), ls = empty, value = a);
        list<tensor<fp32, [2]>, ?> both = list_write(index = at, ls = first, value = b);
        int32 length = list_length(ls = both);
        tensor<fp32, [2]> read = list_read(index = at, ls = both);
        tensor<fp32, [3, 2]> gathered = list_gather(indices = all, ls = both);
    } -> (length, read, gathered);
}
""",
    "a list of three vectors, two of which are written",
    ops=["make_list", "list_write", "list_length", "list_read", "list_gather"],
)
for at, all in [(1, [0, 1, 1]), (2, [2, 0, 2]), (1, [1, 1, 0]), (0, [0, 0, 0]), (2, [0, 2, 0]), (1, [1, 0, 1])]:
    a, b = rng.uniform(-4, 4, (2, 2)).astype(F)
    items = [a, None, None]
    items[at] = b
    pair.run(
        "exact",
        f"the second at {at}, gathered by {all}",
        source="numpy",
        inputs={"a": a, "b": b, "at": I(at), "all": i32(*all)},
        want={"length": I(3), "read": b, "gathered": np.stack([items[i] for i in all])},
    )

scattered = program(
    "list_scatter",
    """
program(1.3)
{
    func main<ios15>(tensor<int32, [2]> at, tensor<fp16, [2, 1, 2]> rows, tensor<int32, [2]> from) {
        list<tensor<fp16, [1, 2]>, ?> empty = make_list(dtype = string("fp16"), dynamic_length = bool(true), elem_shape = (int32(1), int32(2)), init_length = int32(1));
        list<tensor<fp16, [1, 2]>, ?> full = list_scatter(indices = at, ls = empty, value = rows);
        int32 length = list_length(ls = full);
        tensor<fp16, [2, 1, 2]> gathered = list_gather(indices = from, ls = full);
        tensor<fp16, [1, 2]> last = list_read(index = int32(0), ls = full);
    } -> (length, gathered, last);
}
""",
    "rows of a tensor as items of a list that grows",
    ops=["make_list", "list_scatter", "list_length", "list_gather", "list_read"],
)
for at in [[0, 1], [1, 0], [0, 0], [2, 0], [0, 9]]:
    rows = rng.uniform(-4, 4, (2, 1, 2)).astype(H)
    items = dict(zip(at, rows))
    scattered.run(
        "exact",
        f"to {at}",
        source="numpy",
        inputs={"at": i32(*at), "rows": rows, "from": i32(*at)},
        want={"length": I(max(at) + 1), "gathered": np.stack([items[i] for i in at]), "last": items[0]},
    )

grown = program(
    "list_loop",
    """
program(1.3)
{
    func main<ios16>(int32 n, tensor<fp32, [2]> x) {
        list<tensor<fp32, [2]>, ?> empty = make_list(dtype = string("fp32"), dynamic_length = bool(true), elem_shape = (int32(2)), init_length = int32(1));
        int32 turns, tensor<fp32, [2]> last, list<tensor<fp32, [2]>, ?> all = while_loop(loop_vars = (int32(0), x, empty))
        block (int32 i, tensor<fp32, [2]> y, list<tensor<fp32, [2]>, ?> ls) {
            bool more = less(x = i, y = n);
        } -> (more)
        block (int32 i, tensor<fp32, [2]> y, list<tensor<fp32, [2]>, ?> ls) {
            list<tensor<fp32, [2]>, ?> longer = list_write(index = i, ls = ls, value = y);
            tensor<fp32, [2]> half = mul(x = y, y = fp32(0.5));
            int32 next = add(x = i, y = int32(1));
        } -> (next, half, longer);
        int32 length = list_length(ls = all);
        int32 end = sub(x = length, y = int32(1));
        tensor<fp32, [2]> newest = list_read(index = end, ls = all);
        tensor<int32, [?]> places = range_1d(end = length, start = int32(0), step = int32(1));
        tensor<fp32, [?, 2]> stacked = list_gather(indices = places, ls = all);
    } -> (length, last, newest, stacked);
}
""",
    "a list that a loop fills",
    ops=["make_list", "list_write", "list_length", "list_read", "list_gather", "while_loop"],
)
for n in [1, 2, 3, 5, 40]:
    x = rng.uniform(-4, 4, 2).astype(F)
    items = [x * F(0.5) ** i for i in range(n)]
    grown.run(
        "exact",
        f"{n} turns",
        source="numpy",
        inputs={"n": I(n), "x": x},
        want={"length": I(n), "last": x * F(0.5) ** n, "newest": items[-1], "stacked": np.stack(items)},
    )
