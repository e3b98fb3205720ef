"""Programs that `anemone::mil::generate` writes: PyTorch's layers, and gradients by its autograd."""

import numpy as np
import torch
import torch.nn.functional as F

from case import F16, F32, generated, rounded, t64

rng = np.random.default_rng(20)
# Each step of a program rounds to fp16: a unit is 2^-11 of a number, and a few dozen steps add up.
FEW, MANY = "rel 1e-3", "rel 2e-3"
EPSILON = 1e-5


def halves(*shape, scale=1.0):
    """Numbers that fp16 holds."""
    return (rng.standard_normal(shape) * scale).astype(F16)


def columns(x):
    """Tokens `[seq, channels]` as `[1, channels, 1, seq]`."""
    return x.transpose(0, 1)[None, :, None, :]


def rows(x):
    """`[1, channels, 1, seq]` as tokens `[seq, channels]`."""
    return x[0, :, 0, :].transpose(0, 1)


def record(name, within, note, dims, want, dtype=F16, **args):
    """Records a run: results are tensors of PyTorch, weights and inputs arrays."""
    want = {n: rounded(w.detach().numpy(), dtype) for n, w in want.items()}
    generated(name, within, note, source="torch", dims=dims, want=want, **args)


def behind(*tensors):
    """Tensors behind each other by channels."""
    return torch.cat(tensors, dim=1)


# Dense layers.

for inputs, outputs, places in [(3, 5, 4), (1, 1, 32), (17, 2, 1)]:
    dims, w, x = [inputs, outputs, places], halves(outputs, inputs), halves(1, inputs, 1, places)
    y = F.conv2d(t64(x), t64(w)[..., None, None])
    wide = {"x": x.astype(F32), "weights": w.astype(F32).ravel()}
    note = f"{inputs} to {outputs} in {places} places"
    record("conv_fp16_io", FEW, note, dims, {"y": y}, x=x, weights=w.ravel())
    record("conv_fp16", FEW, note, dims, {"y": y}, x=x, weights=w.ravel())
    record("conv", FEW, note, dims, {"y": y}, F32, **wide)
    record("matmul", FEW, note, dims, {"y": columns(F.linear(rows(t64(x)), t64(w)))}, F32, **wide)
    record("conv_dynamic_fp16", FEW, note, dims, {"y": y}, x=x, w=w[..., None, None])
    exact = {"x": rng.standard_normal((1, inputs, 1, places)).astype(F32), "weights": rng.standard_normal(w.size).astype(F32)}
    y = F.conv2d(t64(exact["x"]), t64(exact["weights"]).reshape(outputs, inputs, 1, 1))
    record("conv_fp32", "rel 1e-6", note, dims, {"y": y}, F32, **exact)
    left, right = halves(places, inputs), halves(inputs, outputs)
    packed = np.concatenate([left.T, right], axis=1)[None, :, None, :]
    y = columns(torch.matmul(t64(left), t64(right)))
    record("dynamic_matmul", FEW, note, [inputs, outputs, places], {"y": y}, x=packed)

x = halves(1, 6, 1, 5)
record("identity_fp16_io", "exact", "channels", [6, 5], {"y": t64(x)}, x=x)
record("identity", "exact", "channels, fp32", [6, 5], {"y": t64(x)}, F32, x=x.astype(F32))
for factor in [0.25, -3.0]:
    x = halves(1, 1, 1, 9)
    record("scale_fp16_io", FEW, f"times {factor}", [9], {"y": t64(x) * factor}, x=x, factor=F16(factor))

# Norms.


def norm(x, w, epsilon=EPSILON):
    """The norm of `[1, channels, 1, seq]` over its channels."""
    return columns(F.rms_norm(rows(x), [x.shape[1]], w, epsilon))


for dim, seq, scale in [(8, 5, 1.0), (33, 3, 4.0), (1, 2, 1.0), (16, 4, 1e-3)]:
    x, w, dy = halves(1, dim, 1, seq, scale=scale), halves(dim), halves(1, dim, 1, seq)
    note = f"{dim} channels of about {scale}"
    xt = t64(x).requires_grad_()
    y = norm(xt, t64(w))
    (dx,) = torch.autograd.grad(y, xt, t64(dy))
    both = np.concatenate([dy, x], axis=1)
    column = w[None, :, None, None]
    # Squares of small numbers are subnormal in fp16, and so is epsilon.
    forward, backward = (MANY, "rel 4e-3") if scale >= 1 else ("rel 1e-2", "rel 2e-2")
    record("final_rms_norm", forward, note, [dim, seq], {"y": y}, x=x, weights=w)
    record("final_rms_norm_dynamic", forward, note, [dim, seq], {"y": y}, x=x, w=column)
    if dim > 1:
        # Of one channel the gradient is what rounding leaves of a difference.
        record("rms_norm_backward", backward, note, [dim, seq], {"dx": dx}, dy_x=both, weights=w)
        record("rms_norm_backward_dynamic", backward, note, [dim, seq], {"dx": dx}, dy_x=both, w=column)
for scale, epsilon in [(1.0, 1e-5), (20000.0, 1e-5), (1e-3, 1e-6), (1.0, 0.5), (0.0, 1e-5), (3.0, 0.0)]:
    x, w = np.clip(halves(1, 12, 1, 4, scale=scale), -65504, 65504), halves(12)
    y = norm(t64(x), t64(w), epsilon)
    record("rms_norm", MANY, f"numbers of about {scale}, epsilon {epsilon}", [12, 4], {"y": y}, x=x, weights=w,
           epsilon=F32(epsilon))

# Feed-forward layers.


def ffn(x, w1, w2, w3):
    h1, h3 = F.linear(rows(x), w1), F.linear(rows(x), w3)
    h1.retain_grad(), h3.retain_grad()
    return columns(F.linear(F.silu(h1) * h3, w2)), h1, h3


def ffn_relu2(x, w1, w2):
    h1 = F.linear(rows(x), w1)
    h1.retain_grad()
    return columns(F.linear(F.relu(h1).square(), w2)), h1


for dim, hidden, seq in [(6, 10, 4), (5, 3, 7), (1, 1, 1)]:
    dims = [dim, hidden, seq]
    x, dy, n = halves(1, dim, 1, seq), halves(1, dim, 1, seq), halves(dim)
    w1, w3, w2 = halves(hidden, dim, scale=0.5), halves(hidden, dim, scale=0.5), halves(dim, hidden, scale=0.5)
    three = {"w1": w1.ravel(), "w2": w2.ravel(), "w3": w3.ravel()}
    two = {"w1": w1.ravel(), "w2": w2.ravel()}
    note = f"{dim} and {hidden} channels"

    xt = t64(x).requires_grad_()
    y, h1, h3 = ffn(xt, t64(w1), t64(w2), t64(w3))
    y.backward(t64(dy))
    record("ffn_forward", MANY, note, dims, {"y": y}, x=x, **three)
    # The gradient is given h1 and h3 as the forward program rounds them.
    given = behind(t64(dy), columns(h1), columns(h3)).detach().numpy().astype(F16)
    out = behind(xt.grad, columns(h1.grad), columns(h3.grad))
    record("ffn_backward", MANY, note, dims, {"out": out}, x=given, **three)
    normed = norm(t64(x), t64(n)).requires_grad_()
    y, h1, h3 = ffn(normed, t64(w1), t64(w2), t64(w3))
    record("ffn_forward_rms", MANY, note, dims, {"y": y}, x=x, norm=n, **three)
    record("ffn_forward_taps", MANY, note, dims, {"out": behind(y, columns(h1), columns(h3))}, x=x, norm=n, **three)

    xt = t64(x).requires_grad_()
    y, h1 = ffn_relu2(xt, t64(w1), t64(w2))
    y.backward(t64(dy))
    record("ffn_forward_relu2", MANY, note, dims, {"y": y}, x=x, **two)
    given = behind(t64(dy), columns(h1)).detach().numpy().astype(F16)
    out = behind(xt.grad, columns(h1.grad))
    record("ffn_backward_relu2", MANY, note, dims, {"out": out}, x=given, **two)
    normed = norm(t64(x), t64(n)).requires_grad_()
    y, h1 = ffn_relu2(normed, t64(w1), t64(w2))
    record("ffn_forward_rms_relu2", MANY, note, dims, {"y": y}, x=x, norm=n, **two)
    record("ffn_forward_taps_relu2", MANY, note, dims, {"out": behind(y, columns(h1))}, x=x, norm=n, **two)

# Attention.

for head_dim, heads, seq in [(4, 2, 5), (1, 1, 1), (8, 3, 16)]:
    q, k, v = (halves(1, heads, seq, head_dim) for _ in range(3))
    y = F.scaled_dot_product_attention(t64(q), t64(k), t64(v))
    record("sdpa", MANY, f"{heads} heads of {head_dim}", [head_dim, heads, seq], {"y": y}, q=q, k=k, v=v)

for kv_heads, q_heads in [(2, 6), (1, 4), (3, 3)]:
    x = halves(1, kv_heads, 3, 4)
    y = t64(x).repeat_interleave(q_heads // kv_heads, dim=1)
    record("gqa_expand", "exact", f"{kv_heads} heads to {q_heads}", [kv_heads, q_heads, 4, 3], {"y": y}, x=x)


def cut(x, heads):
    """`[1, dim, 1, seq]` as `[1, heads, seq, dim / heads]`."""
    _, dim, _, seq = x.shape
    return x.reshape(1, heads, dim // heads, seq).transpose(2, 3)


def join(x):
    """`[1, heads, seq, size]` as `[1, dim, 1, seq]`."""
    _, heads, seq, size = x.shape
    return x.transpose(2, 3).reshape(1, heads * size, 1, seq)


for dim, heads, seq in [(8, 2, 5), (6, 1, 3), (4, 4, 1)]:
    dims, note = [dim, heads, seq], f"{heads} heads of {dim // heads}, {seq} tokens"
    x, dy, n = halves(1, dim, 1, seq), halves(1, dim, 1, seq), halves(dim)
    wq, wk, wv, wo = (halves(dim, dim, scale=0.5) for _ in range(4))
    qkv_weights = {"norm": n, "wq": wq.ravel(), "wk": wk.ravel(), "wv": wv.ravel()}

    normed = norm(t64(x), t64(n)).requires_grad_()
    q, k, v = (columns(F.linear(rows(normed), t64(w))) for w in (wq, wk, wv))
    record("qkv_forward_rms", MANY, note, [dim, seq], {"out": behind(q, k, v)}, x=x, **qkv_weights)
    gradients = [halves(1, dim, 1, seq) for _ in range(3)]
    (dn,) = torch.autograd.grad([q, k, v], normed, [t64(d) for d in gradients], retain_graph=True)
    record("qkv_backward", MANY, note, [dim, seq], {"dn": dn}, x=np.concatenate(gradients, axis=1), wq=wq.ravel(),
           wk=wk.ravel(), wv=wv.ravel())

    def block(x, q, k, v):
        """PyTorch's causal attention, and what follows."""
        attention = join(F.scaled_dot_product_attention(*(cut(t, heads) for t in (q, k, v)), is_causal=True))
        return x + columns(F.linear(rows(attention), t64(wo))), attention

    y, attention = block(t64(x), q, k, v)
    record("sdpa_forward", MANY, note, dims, {"y": y}, x=x, wo=wo.ravel(), **qkv_weights)
    record("sdpa_forward_taps", MANY, note, dims, {"out": behind(y, q, k, v, attention)}, x=x, wo=wo.ravel(), **qkv_weights)

    # What follows is given queries, keys and values of fp16.
    q, k, v = (halves(1, dim, 1, seq) for _ in range(3))
    y, attention = block(t64(x), t64(q), t64(k), t64(v))
    record("sdpa_apply_forward", MANY, note, dims, {"out": behind(y, attention)}, x=x, qkv=np.concatenate([q, k, v], axis=1),
           wo=wo.ravel())
    qt, kt, vt = (t64(t).requires_grad_() for t in (q, k, v))
    y, _ = block(t64(x), qt, kt, vt)
    dq, dk, dv = torch.autograd.grad(y, (qt, kt, vt), t64(dy))
    # Once more step by step, for the gradient by the probabilities.
    scores = cut(t64(q), heads) @ cut(t64(k), heads).transpose(2, 3) / (dim // heads) ** 0.5
    hidden = torch.triu(torch.full((seq, seq), -torch.inf, dtype=torch.float64), 1)
    p = torch.softmax(scores + hidden, -1).requires_grad_()
    stepwise = t64(x) + columns(F.linear(rows(join(p @ cut(t64(v), heads))), t64(wo)))
    assert torch.allclose(stepwise, y)
    (dp,) = torch.autograd.grad(stepwise, p, t64(dy))
    flat = [t.reshape(1, heads * seq, 1, seq) for t in (p, dp)]
    record("sdpa_backward_1", MANY, note, dims, {"out": behind(dv, *flat)}, x=np.concatenate([q, k, v, dy], axis=1),
           wo=wo.ravel())
    given = [t.detach().numpy().astype(F16) for t in flat]
    # The gradient of one token by its scores is nothing but what rounding leaves.
    if seq > 1:
        record("sdpa_backward_2", "rel 4e-3", note, dims, {"out": behind(dq, dk)}, x=np.concatenate([*given, q, k], axis=1))

# At the vocabulary.

for dim, vocab, seq in [(6, 20, 4), (3, 1, 2)]:
    embed, x, dl = halves(vocab, dim), halves(1, dim, 1, seq), halves(1, vocab, 1, seq)
    xt = t64(x).requires_grad_()
    y = columns(F.linear(rows(xt), t64(embed)))
    (dx,) = torch.autograd.grad(y, xt, t64(dl))
    record("classifier_forward", FEW, f"{vocab} words", [dim, vocab, seq], {"y": y}, x=x, embed=embed.ravel())
    record("classifier_backward", FEW, f"{vocab} words", [dim, vocab, seq], {"dx": dx}, dl=dl, embed=embed.ravel())
for vocab, seq, scale in [(20, 3, 1.0), (300, 2, 10.0)]:
    x = halves(1, vocab, 1, seq, scale=scale)
    record("softmax_vocab", FEW, f"{vocab} words, logits of about {scale}", [vocab, seq], {"y": torch.softmax(t64(x), 1)}, x=x)
