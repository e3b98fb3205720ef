"""Scaled dot product attention."""

import numpy as np
import torch
import torch.nn.functional as F

from case import F16, F32, case, folded, rounded, t64, truth, uniform

rng = np.random.default_rng(13)


def attention(note, query, key, value, dtype=F32, mask=None):
    q, k, v = (uniform(rng, shape, dtype, -2, 2) for shape in (query, key, value))
    m = mask if mask is None else torch.tensor(mask) if mask.dtype == bool else t64(mask)
    want = F.scaled_dot_product_attention(t64(q), t64(k), t64(v), attn_mask=m).numpy()
    case("scaled_dot_product_attention", "ios18", rounded(want, q), "ulp 1", note, source="torch", query=q, key=k, value=v,
         attn_mask=mask)


def some(shape):
    """A mask that leaves each query a key."""
    mask = truth(rng, shape)
    mask[..., 0] = True
    return mask


attention("rank 3", (2, 3, 4), (2, 5, 4), (2, 5, 3))
attention("rank 4, fp16", (1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3, 4), F16)
attention("rank 5", (1, 2, 1, 2, 3), (1, 2, 1, 4, 3), (1, 2, 1, 4, 2))
attention("one query and one key", (1, 1, 4), (1, 1, 4), (1, 1, 2))
attention("one number each", (2, 3, 1), (2, 2, 1), (2, 2, 1), F16)
attention("a mask of bools", (2, 3, 4), (2, 5, 4), (2, 5, 3), mask=some((3, 5)))
attention("a mask of bools for each head, fp16", (1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3, 2), F16, some((1, 2, 3, 3)))
attention("a mask that is added", (2, 3, 4), (2, 5, 4), (2, 5, 3), mask=uniform(rng, (2, 3, 5)))
attention("a mask that is added, one row for all, fp16", (2, 3, 4), (2, 5, 4), (2, 5, 3), F16, uniform(rng, (1, 5), F16))
causal = np.triu(np.full((4, 4), -np.inf, F16), 1)
attention("a causal mask of infinities", (1, 2, 4, 3), (1, 2, 4, 3), (1, 2, 4, 3), F16, causal)
attention("a vector for all queries", (1, 3, 4), (1, 5, 4), (1, 5, 3), mask=some(5))
attention("no queries", (1, 0, 4), (1, 3, 4), (1, 3, 2))
attention("many keys, fp16", (1, 4, 16), (1, 64, 16), (1, 64, 8), F16)
large = dict(query=F16([[[200, -200]]]), key=F16([[[200, 100], [-200, 200]]]), value=F16([[[1, 2], [3, 4]]]))
want = F.scaled_dot_product_attention(*(t64(v) for v in large.values())).numpy()
case("scaled_dot_product_attention", "ios18", rounded(want, F16), "ulp 1", "scores near the end of fp16", source="torch", **large)

shapes = dict(query=(2, 2, 4), key=(2, 3, 4), value=(2, 3, 2))
folded("scaled_dot_product_attention", "ios18", "no mask", **{n: uniform(rng, s) for n, s in shapes.items()})
for shape in [(3,), (2, 3), (1, 2, 3), (2, 1, 3)]:
    for mask in [uniform(rng, shape), rng.integers(0, 3, shape) > 0]:
        mask[..., 0] = True if mask.dtype == bool else mask[..., 0]
        folded("scaled_dot_product_attention", "ios18", "a mask", **{n: uniform(rng, s) for n, s in shapes.items()}, attn_mask=mask)
