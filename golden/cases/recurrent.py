"""Recurrent networks: rnn, gru, lstm.

PyTorch's modules compute what they can, with the gates in the order of Core ML. What they have not (other activations,
peepholes, the clipped cell, a GRU that resets before it multiplies) is computed in float64 by the formulas of Core ML's
documentation. Two things it leaves open are as coremltools' tests have them: the results of `reverse` stand in the order in
which they are computed, and without `reset_after` the reset gate acts on the state before it is multiplied.
"""

import numpy as np
import scipy.special
import torch

from case import F16, F32, case, rounded, t64, uniform, wide

rng = np.random.default_rng(14)
ACTIVATIONS = {
    "tanh": np.tanh,
    "scaled_tanh": np.tanh,
    "sigmoid": scipy.special.expit,
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "relu": lambda x: np.maximum(x, 0),
    "linear": lambda x: x,
}
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
# The rows of PyTorch's gates (r z n; i f g o) in the order of Core ML's (r o z; i f o z).
ORDER = {"rnn": [0], "gru": [0, 2, 1], "lstm": [0, 1, 3, 2]}


def in_torch(op, weight):
    """The rows of a weight or bias, from Core ML's order to PyTorch's; both permutations are their own inverses."""
    if weight is None:
        return None
    return torch.cat([t64(weight).chunk(GATES[op])[g] for g in ORDER[op]])


def module(op, args, back, activation="tanh"):
    """A module of PyTorch with these weights, for one or both directions."""
    h, i = args["weight_hh"].shape[1], args["weight_ih"].shape[1]
    more = dict(nonlinearity=activation) if op == "rnn" else {}
    make = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[op]
    net = make(i, h, bidirectional=back, dtype=torch.float64, **more)
    for end in ["", "_back"] if back else [""]:
        suffix = "_l0" + ("_reverse" if end else "")
        ih, hh, bias = (in_torch(op, args.get(name + end)) for name in ["weight_ih", "weight_hh", "bias"])
        # PyTorch multiplies first and resets then: its state bias is Core ML's bias, and its input bias `input_bias`.
        other = in_torch(op, args.get("input_bias"))
        none = torch.zeros(GATES[op] * h, dtype=torch.float64)
        values = dict(weight_ih=ih, weight_hh=hh, bias_hh=none if bias is None else bias, bias_ih=none if other is None else other)
        for name, value in values.items():
            getattr(net, name + suffix).data = value
    return net


def by_module(op, args):
    """The sequence and the last states, by PyTorch."""
    direction, h = args.get("direction") or "forward", args["weight_hh"].shape[1]
    both = direction == "bidirectional"
    x = t64(args["x"])
    x = x.flip(0) if direction == "reverse" else x
    ways = lambda s: torch.stack(t64(s).split(h, 1))
    state = ways(args["initial_h"])
    state = (state, ways(args["initial_c"])) if op == "lstm" else state
    with torch.no_grad():
        y, last = module(op, args, both, args.get("activation") or "tanh")(x, state)
    last = last if op == "lstm" else (last,)
    return y.numpy(), [torch.cat(list(s), 1).numpy() for s in last]


def steps(op, args, end, h, c):
    """The states of one direction step by step, by the formulas of the documentation."""
    get = lambda name: None if args.get(name + end) is None else wide(args[name + end])
    w, u, n, bias, peep = get("weight_ih"), get("weight_hh"), h.shape[1], get("bias"), get("peephole")
    bias = np.zeros(len(w)) if bias is None else bias
    if args.get("input_bias") is not None:
        bias = bias + wide(args["input_bias"])
    peep = np.zeros(3 * n) if peep is None else peep
    act = ACTIVATIONS[args.get("activation") or "tanh"]
    gate = ACTIVATIONS[args.get("recurrent_activation") or "sigmoid"]
    cell = ACTIVATIONS[args.get("cell_activation") or "tanh"]
    part = lambda v, k: v[..., k * n : (k + 1) * n]
    for x in wide(args["x"]) if not (end or args.get("direction") == "reverse") else wide(args["x"])[::-1]:
        if op == "rnn":
            h = act(x @ w.T + h @ u.T + bias)
        elif op == "gru":
            i, s = x @ w.T + bias, h @ u.T
            r, z = gate(part(i, 0) + part(s, 0)), gate(part(i, 2) + part(s, 2))
            o = act(part(i, 1) + (r * h) @ u[n : 2 * n].T)
            h = (1 - z) * o + z * h
        else:
            a = x @ w.T + h @ u.T + bias
            i, f = gate(part(a, 0) + c * part(peep, 0)), gate(part(a, 1) + c * part(peep, 1))
            c = f * c + i * cell(part(a, 3))
            if args.get("clip") is not None:
                c = np.clip(c, -float(args["clip"]), float(args["clip"]))
            h = gate(part(a, 2) + c * part(peep, 2)) * act(c)
        yield h, c


def by_formula(op, args):
    n, rows = args["weight_hh"].shape[1], len(args["x"])
    ways = []
    for w, end in enumerate(["", "_back"] if args.get("direction") == "bidirectional" else [""]):
        own = slice(w * n, (w + 1) * n)
        c = wide(args["initial_c"])[:, own] if op == "lstm" else None
        found = list(steps(op, args, end, wide(args["initial_h"])[:, own], c))
        y = np.stack([h for h, _ in found])
        ways.append((y[::-1] if w else y, *found[-1]))
    y, h, c = ([way[k] for way in ways] for k in range(3))
    last = [np.concatenate(h, 1)] + ([np.concatenate(c, 1)] if op == "lstm" else [])
    return np.concatenate(y, 2), last


def network(op, opset, note, size=(3, 2, 3, 2), dtype=F32, bias=True, formula=False, peephole=False, input_bias=False, **args):
    """`size` is the length of the sequence, the batch, the inputs, and the hidden size."""
    s, b, i, h = size
    g, both = GATES[op], args.get("direction") == "bidirectional"
    some = lambda *shape: uniform(rng, shape, dtype, -1, 1)
    given = dict(x=some(s, b, i), initial_h=some(b, h * (1 + both)))
    if op == "lstm":
        given["initial_c"] = some(b, h * (1 + both))
    for end in ["", "_back"] if both else [""]:
        given["weight_ih" + end], given["weight_hh" + end] = some(g * h, i), some(g * h, h)
        if bias:
            given["bias" + end] = some(g * h)
        if peephole:
            given["peephole" + end] = some(3 * h)
    if input_bias:
        given["input_bias"] = some(g * h)
    given.update(args)
    y, last = (by_formula if formula else by_module)(op, given)
    # Without a sequence there is the last step alone; of two directions each has its own last step.
    y = y if args.get("output_sequence") else last[0][None]
    want = [rounded(v, dtype) for v in [y, *last]]
    case(op, opset, want, "ulp 1", note, source="numpy" if formula else "torch", **given)


for op in ["rnn", "lstm"]:
    network(op, "ios15", "the last step")
    network(op, "ios15", "all steps", output_sequence=True)
    network(op, "ios15", "no bias, output_sequence stated", bias=False, output_sequence=False)
    network(op, "ios15", "reverse, all steps in the order in which they are computed", direction="reverse", output_sequence=True)
    network(op, "ios16", "reverse, the last step", direction="reverse")
    network(op, "ios15", "one step, one of a batch", (1, 1, 4, 3), output_sequence=True)
    network(op, "ios17", "fp16", dtype=F16, output_sequence=True)
    network(op, "ios18", "fp16, more numbers", (4, 3, 6, 5), dtype=F16, direction="forward")
    network(op, "ios15", "no batch", (2, 0, 3, 2), formula=True, output_sequence=True)
    network(op, "ios17", "fp32, reverse", direction="reverse", output_sequence=True)
network("rnn", "ios15", "relu", activation="relu", output_sequence=True)
network("rnn", "ios15", "relu, reverse", activation="relu", direction="reverse")
for activation in ["linear", "sigmoid", "scaled_tanh"]:
    network("rnn", "ios17", activation + ", fp16", dtype=F16, formula=True, activation=activation)
    network("rnn", "ios15", activation, formula=True, activation=activation, output_sequence=True)

for note, more in [("both directions", {}), ("both directions, all steps by their inputs", dict(output_sequence=True))]:
    network("lstm", "ios15", note, direction="bidirectional", **more)
    network("lstm", "ios17", note + ", fp16", dtype=F16, direction="bidirectional", **more)
network("lstm", "ios15", "both directions, no bias", direction="bidirectional", bias=False, output_sequence=True)
network("lstm", "ios15", "peepholes", formula=True, peephole=True, output_sequence=True)
network("lstm", "ios17", "peepholes, both directions, fp16", dtype=F16, formula=True, peephole=True, direction="bidirectional",
        output_sequence=True)
network("lstm", "ios15", "peepholes, both directions", formula=True, peephole=True, direction="bidirectional")
network("lstm", "ios17", "peepholes and a clipped cell", formula=True, peephole=True, clip=F32(0.5), output_sequence=True)
network("lstm", "ios15", "the cell is clipped", (4, 2, 3, 3), formula=True, clip=F32(0.25), output_sequence=True)
network("lstm", "ios17", "the cell is clipped, fp16, reverse", dtype=F16, formula=True, clip=F16(0.2), direction="reverse")
for k, activation in enumerate(["hard_sigmoid", "linear", "relu", "scaled_tanh", "sigmoid", "tanh"]):
    which = ["recurrent_activation", "cell_activation", "activation"]
    network("lstm", "ios15", f"{activation} as {which[k % 3]}", formula=True, output_sequence=True, **{which[k % 3]: activation})
network("lstm", "ios18", "three activations", formula=True, direction="bidirectional", recurrent_activation="hard_sigmoid",
        cell_activation="relu", activation="linear")

network("gru", "ios15", "the last step", formula=True)
network("gru", "ios15", "all steps", formula=True, output_sequence=True)
network("gru", "ios15", "no bias", formula=True, bias=False, output_sequence=True)
network("gru", "ios15", "reverse, all steps in the order in which they are computed", formula=True, direction="reverse",
        output_sequence=True)
network("gru", "ios16", "reverse, the last step", formula=True, direction="reverse", output_sequence=False)
network("gru", "ios17", "fp16", formula=True, dtype=F16, output_sequence=True)
network("gru", "ios17", "fp32, other activations, reverse", formula=True, direction="reverse", recurrent_activation="tanh",
        activation="sigmoid", output_sequence=True)
network("gru", "ios18", "other activations, fp16", dtype=F16, formula=True, recurrent_activation="hard_sigmoid", activation="linear")
network("gru", "ios15", "one step, one of a batch", (1, 1, 4, 3), formula=True)
network("gru", "ios15", "hard_sigmoid and relu", formula=True, recurrent_activation="hard_sigmoid", activation="relu", output_sequence=True)
network("gru", "ios18", "reset_after is false", formula=True, reset_after=False, output_sequence=True)
network("gru", "ios18", "an input bias, reset_after by default", formula=True, input_bias=True, output_sequence=True)
network("gru", "ios18", "reset_after: PyTorch's own", reset_after=True, output_sequence=True)
network("gru", "ios18", "reset_after and an input bias", reset_after=True, input_bias=True, output_sequence=True)
network("gru", "ios18", "reset_after, input bias only", reset_after=True, bias=False, input_bias=True)
network("gru", "ios18", "reset_after, reverse, fp16", dtype=F16, reset_after=True, input_bias=True, direction="reverse",
        output_sequence=True)
network("gru", "ios18", "reset_after, more numbers, fp16", (4, 3, 6, 5), dtype=F16, reset_after=True, input_bias=True)
