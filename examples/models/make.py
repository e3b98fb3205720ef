#!/usr/bin/env python3
"""Trains the model of the examples and writes it as MIL text with a weight file, and a picture to try it on.

    pip install numpy==2.2.6 scikit-learn==1.9.1
    python3 make.py
    cargo anemone convert digits.mil digits.mlpackage
    cargo anemone convert digits.mil digits.mlmodelc

The model tells handwritten digits of 8 by 8 pixels apart: a convolution, a pooling and a linear layer, 1,370 numbers
in all. The pictures are those that come with scikit-learn (the test set of the UCI "optical recognition of handwritten
digits"), whose pixels are 0 to 16. The files are committed: nobody needs to run this to use them.
"""

import struct

import numpy as np
from sklearn.datasets import load_digits

FILTERS, CLASSES, HELD_OUT = 8, 10, 360


def windows(images):
    """The 3 by 3 neighbourhood of every pixel, zeros outside: [n, 8, 8, 9]."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    return np.stack([padded[:, i : i + 8, j : j + 8] for i in range(3) for j in range(3)], axis=-1)


def forward(p, images):
    """The scores of each class, and what the backward pass needs of the way there."""
    seen = windows(images)
    active = np.maximum(seen @ p["kernels"].T + p["kernel_bias"], 0)  # [n, 8, 8, filters]
    blocks = active.reshape(-1, 4, 2, 4, 2, FILTERS).transpose(0, 5, 1, 3, 2, 4).reshape(-1, FILTERS, 4, 4, 4)
    flat = blocks.max(-1).reshape(len(images), -1)
    return flat @ p["weight"].T + p["bias"], (seen, active, blocks, flat)


def gradients(p, images, labels):
    """The slope of the mean cross entropy."""
    scores, (seen, active, blocks, flat) = forward(p, images)
    chance = np.exp(scores - scores.max(1, keepdims=True))
    chance /= chance.sum(1, keepdims=True)
    d_scores = (chance - np.eye(CLASSES)[labels]) / len(images)
    d_pooled = (d_scores @ p["weight"]).reshape(-1, FILTERS, 4, 4)
    first = np.eye(4)[blocks.argmax(-1)]  # the gradient of a maximum goes to the element that is the maximum
    d_blocks = first * d_pooled[..., None]
    d_active = d_blocks.reshape(-1, FILTERS, 4, 4, 2, 2).transpose(0, 2, 4, 3, 5, 1).reshape(active.shape)
    d_active = d_active * (active > 0)
    return {
        "kernels": np.einsum("nijf,nijk->fk", d_active, seen),
        "kernel_bias": d_active.sum((0, 1, 2)),
        "weight": d_scores.T @ flat,
        "bias": d_scores.sum(0),
    }


def train(images, labels, rng):
    """Adam, in double precision."""
    p = {
        "kernels": rng.normal(0, 0.3, (FILTERS, 9)),
        "kernel_bias": np.zeros(FILTERS),
        "weight": rng.normal(0, 0.1, (CLASSES, FILTERS * 16)),
        "bias": np.zeros(CLASSES),
    }
    m = {k: np.zeros_like(v) for k, v in p.items()}
    v = {k: np.zeros_like(w) for k, w in p.items()}
    step = 0
    for _ in range(60):
        order = rng.permutation(len(images))
        for batch in np.array_split(order, len(images) // 32):
            step += 1
            for k, g in gradients(p, images[batch], labels[batch]).items():
                g = g + 1e-4 * p[k]
                m[k] = 0.9 * m[k] + 0.1 * g
                v[k] = 0.999 * v[k] + 0.001 * g * g
                p[k] -= 3e-3 * (m[k] / (1 - 0.9**step)) / (np.sqrt(v[k] / (1 - 0.999**step)) + 1e-8)
    return p


def weight_file(tensors):
    """A weight file of fp16 tensors, and the offset of each record."""
    out = struct.pack("<II", len(tensors), 2) + bytes(56)
    offsets = []
    for t in tensors:
        data = t.astype("<f2").tobytes()
        out += bytes(-len(out) % 64)
        offsets.append(len(out))
        out += struct.pack("<IIQQ", 0xDEADBEEF, 1, len(data), len(out) + 64) + bytes(40) + data
    return out, offsets


def program(offsets):
    """The text, laid out as Apple's compiler prints it."""

    def const(ty, name, value):
        return f'            {ty} {name} = const()[name = string("{name}"), val = {ty}({value})];'

    def weight(ty, name, offset):
        path = 'string("@model_path/weights/weight.bin")'
        return const(ty, name, f"BLOBFILE(path = {path}, offset = uint64({offset}))")

    def op(ty, name, call):
        return f'            {ty} {name} = {call}[name = string("{name}")];'

    kernels, kernel_bias, weights, bias = offsets
    lines = [
        const("fp16", "sixteenth", "0x1p-4"),
        op("tensor<fp16, [1, 1, 8, 8]>", "scaled", "mul(x = image, y = sixteenth)"),
        weight("tensor<fp16, [8, 1, 3, 3]>", "kernels", kernels),
        weight("tensor<fp16, [8]>", "kernel_bias", kernel_bias),
        const("tensor<int32, [2]>", "ones", "[1, 1]"),
        const("tensor<int32, [4]>", "border", "[1, 1, 1, 1]"),
        const("int32", "one", "1"),
        const("string", "custom", '"custom"'),
        op(
            "tensor<fp16, [1, 8, 8, 8]>",
            "edges",
            "conv(bias = kernel_bias, dilations = ones, groups = one, pad = border, pad_type = custom, "
            "strides = ones, weight = kernels, x = scaled)",
        ),
        op("tensor<fp16, [1, 8, 8, 8]>", "active", "relu(x = edges)"),
        const("tensor<int32, [2]>", "twos", "[2, 2]"),
        const("tensor<int32, [4]>", "no_border", "[0, 0, 0, 0]"),
        const("string", "valid", '"valid"'),
        const("bool", "no", "false"),
        op(
            "tensor<fp16, [1, 8, 4, 4]>",
            "pooled",
            "max_pool(ceil_mode = no, kernel_sizes = twos, pad = no_border, pad_type = valid, strides = twos, "
            "x = active)",
        ),
        const("tensor<int32, [2]>", "row", "[1, 128]"),
        op("tensor<fp16, [1, 128]>", "flat", "reshape(shape = row, x = pooled)"),
        weight("tensor<fp16, [10, 128]>", "weights", weights),
        weight("tensor<fp16, [10]>", "bias", bias),
        op("tensor<fp16, [1, 10]>", "scores", "linear(bias = bias, weight = weights, x = flat)"),
        const("int32", "last", "-1"),
        op("tensor<fp16, [1, 10]>", "probabilities", "softmax(axis = last, x = scores)"),
    ]
    head = "program(1.3)\n[buildInfo = dict<string, string>({})]\n{\n"
    signature = "    func main<ios18>(tensor<fp16, [1, 1, 8, 8]> image) {\n"
    return head + signature + "\n".join(lines) + "\n        } -> (probabilities);\n}"


def main():
    rng = np.random.default_rng(3)
    digits = load_digits()
    order = rng.permutation(len(digits.images))
    images, labels = digits.images[order], digits.target[order]
    learn, test = slice(HELD_OUT, None), slice(0, HELD_OUT)
    p = train(images[learn] / 16, labels[learn], rng)
    p = {k: v.astype(np.float16) for k, v in p.items()}  # what is written is what is measured

    exact = {k: v.astype(np.float64) for k, v in p.items()}
    scores, _ = forward(exact, images[test] / 16)
    right = (scores.argmax(1) == labels[test]).sum()
    print(f"{right} of {HELD_OUT} pictures that were not learnt are told right")

    tensors = [p["kernels"].reshape(FILTERS, 1, 3, 3), p["kernel_bias"], p["weight"], p["bias"]]
    data, offsets = weight_file(tensors)
    with open("weights/weight.bin", "wb") as f:
        f.write(data)
    with open("digits.mil", "w") as f:
        f.write(program(offsets))

    three = next(i for i in range(HELD_OUT) if labels[i] == 3 and scores[i].argmax() == 3)
    chance = np.exp(scores[three] - scores[three].max())
    np.save("three.npy", images[three].astype(np.float16).reshape(1, 1, 8, 8))
    np.save("probabilities.npy", (chance / chance.sum()).astype(np.float32).reshape(1, 10))


if __name__ == "__main__":
    main()
