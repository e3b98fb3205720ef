"""Language."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from models import Model, package


class Tagger(nn.Module):
    """A tagger: embedding, a bidirectional LSTM, tags."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(30, 12)
        self.lstm = nn.LSTM(12, 10, batch_first=True, bidirectional=True)
        self.tags = nn.Linear(20, 6)

    def forward(self, tokens):
        scores = self.tags(self.lstm(self.embed(tokens))[0])
        return scores.log_softmax(-1), scores.argmax(-1).int()


def tokens(*shape, most=30):
    return torch.randint(0, most, shape, dtype=torch.int32)


@package
def bilstm_tagger_ios17():
    return Model(
        Tagger(), "ios17", ["scores", "tags"], [{"tokens": tokens(1, 9)}, {"tokens": tokens(1, 9)}], note="BiLSTM tagger"
    )


class Block(nn.Module):
    """A block of a transformer of the plain kind."""

    def __init__(self, dim, heads, activation) -> None:
        super().__init__()
        self.heads, self.activation = heads, activation
        self.before, self.after = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.q, self.k, self.v, self.out = (nn.Linear(dim, dim) for _ in range(4))
        self.grow, self.shrink = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)

    def split(self, x):
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def forward(self, x, mask):
        z = self.before(x)
        y = F.scaled_dot_product_attention(self.split(self.q(z)), self.split(self.k(z)), self.split(self.v(z)), attn_mask=mask)
        x = x + self.out(y.transpose(1, 2).reshape(x.shape))
        return x + self.shrink(self.activation(self.grow(self.after(x))))


class ClipText(nn.Module):
    """The text tower of CLIP: a causal mask, the features at the end token, projected and of length one."""

    def __init__(self, dim=16, length=8) -> None:
        super().__init__()
        self.embed, self.places = nn.Embedding(40, dim), nn.Parameter(torch.randn(length, dim) * 0.2)
        self.block = Block(dim, 2, lambda x: x * torch.sigmoid(1.702 * x))
        self.norm, self.project = nn.LayerNorm(dim), nn.Parameter(torch.randn(dim, 12) * 0.3)
        self.register_buffer("mask", torch.full((length, length), float("-inf")).triu(1))

    def forward(self, tokens):
        x = self.norm(self.block(self.embed(tokens) + self.places, self.mask))
        x = x[torch.arange(x.shape[0]), tokens.argmax(-1)] @ self.project
        return x / x.norm(dim=-1, keepdim=True)


@package
def clip_text_ios17():
    text = tokens(2, 8, most=39)
    text[0, 5], text[1, 7] = 39, 39
    return Model(ClipText(), "ios17", ["features"], [{"tokens": text}], note="CLIP text tower: mask of infinities, end token")


class Cached(nn.Module):
    """A block of GPT-2 that decodes a token at a time: keys and values of the past are states."""

    def __init__(self, dim=16, heads=2, length=8) -> None:
        super().__init__()
        self.heads, self.length = heads, length
        self.embed, self.places = nn.Embedding(24, dim), nn.Embedding(length, dim)
        self.before, self.after, self.last = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.grow, self.shrink = nn.Linear(dim, 3 * dim), nn.Linear(3 * dim, dim)
        self.register_buffer("keys", torch.zeros(1, heads, length, dim // heads))
        self.register_buffer("values", torch.zeros(1, heads, length, dim // heads))

    def forward(self, token, position):
        x = self.embed(token) + self.places(position)
        q, k, v = (t.view(1, 1, self.heads, -1).transpose(1, 2) for t in self.qkv(self.before(x)).chunk(3, -1))
        at = position[0]
        self.keys[:, :, at : at + 1] = k
        self.values[:, :, at : at + 1] = v
        past = torch.arange(self.length, dtype=torch.int32) <= position
        scores = torch.matmul(q, self.keys.transpose(-1, -2)) / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(~past, -1e4)
        y = torch.matmul(scores.softmax(-1), self.values)
        x = x + self.out(y.transpose(1, 2).reshape(1, 1, -1))
        x = x + self.shrink(F.gelu(self.grow(self.after(x)), approximate="tanh"))
        return F.linear(self.last(x), self.embed.weight)


@package
def gpt2_kv_cache_ios18():
    def step(token, at):
        return {"token": torch.tensor([[token]], dtype=torch.int32), "position": torch.tensor([at], dtype=torch.int32)}

    return Model(
        Cached(),
        "ios18",
        ["logits"],
        [step(3, 0), step(17, 1), step(9, 2), step(23, 3)],
        states=["keys", "values"],
        io16=True,
        note="GPT-2 block, a token a run: keys and values in states, tied embedding, GELU by tanh",
    )


class RootMeanSquare(nn.Module):
    def __init__(self, dim) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.rand(dim) + 0.5)

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.gain


class Grouped(nn.Module):
    """A block of the Llama kind: rotary positions, fewer keys than queries, root-mean-square norms, a gated layer."""

    def __init__(self, dim=24, heads=6, shared=2, length=7) -> None:
        super().__init__()
        self.heads, self.shared, self.width = heads, shared, dim // heads
        self.before, self.after = RootMeanSquare(dim), RootMeanSquare(dim)
        self.q, self.out = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.kv = nn.Linear(dim, 2 * shared * self.width, bias=False)
        self.gate, self.up = nn.Linear(dim, 40, bias=False), nn.Linear(dim, 40, bias=False)
        self.down = nn.Linear(40, dim, bias=False)
        rates = 1e4 ** (-torch.arange(0, self.width, 2) / self.width)
        angles = torch.outer(torch.arange(float(length)), rates).repeat(1, 2)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def turn(self, x):
        a, b = x.chunk(2, -1)
        return x * self.cos + torch.cat([-b, a], -1) * self.sin

    def forward(self, x):
        count, length, dim = x.shape
        z = self.before(x)
        q = self.turn(self.q(z).view(count, length, self.heads, self.width).transpose(1, 2))
        k, v = self.kv(z).view(count, length, 2, self.shared, self.width).permute(2, 0, 3, 1, 4)
        k, v = (t.repeat_interleave(self.heads // self.shared, 1) for t in (self.turn(k), v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(count, length, dim))
        z = self.after(x)
        return x + self.down(F.silu(self.gate(z)) * self.up(z))


@package
def llama_block_ios18():
    return Model(
        Grouped(),
        "ios18",
        ["y"],
        [{"x": torch.randn(1, 7, 24)}],
        note="Llama block: rotary positions, grouped queries, root-mean-square norms, gated feed-forward",
    )


class Greedy(nn.Module):
    """Greedy decoding in the program: attention over the source, as many tokens as are asked for."""

    def __init__(self, dim=12) -> None:
        super().__init__()
        self.embed = nn.Embedding(16, dim)
        self.q, self.k, self.v, self.mix = (nn.Linear(dim, dim) for _ in range(4))
        self.head = nn.Linear(dim, 16)

    def forward(self, source, limit):
        k, v = self.k(source), self.v(source)
        token = torch.zeros([1, 1], dtype=torch.int32)
        hidden = source.mean(1, keepdim=True)
        i = torch.zeros([1], dtype=torch.int32)
        while bool(i < limit):
            hidden = torch.tanh(self.mix(hidden) + self.embed(token))
            scores = torch.matmul(self.q(hidden), k.transpose(1, 2)) * 0.3
            hidden = hidden + torch.matmul(torch.softmax(scores, -1), v)
            token = self.head(hidden).argmax(-1).to(torch.int32)
            i = i + 1
        return hidden, self.head(hidden)


@package
def decoder_while_loop_ios17():
    return Model(
        Greedy(),
        "ios17",
        ["hidden", "logits"],
        [{"source": torch.randn(1, 5, 12), "limit": torch.tensor([n], dtype=torch.int32)} for n in (6, 1)],
        fp16=False,
        script=True,
        note="greedy decoder in a while loop: the token of a step goes into the next",
    )


class Buckets(nn.Module):
    """Attention of T5: a bias by bucket of distance, a mask of lengths, cross attention."""

    def __init__(self, dim=16, heads=2, length=6) -> None:
        super().__init__()
        self.heads = heads
        self.bias = nn.Embedding(8, heads)
        self.q, self.k, self.v, self.out = (nn.Linear(dim, dim, bias=False) for _ in range(4))
        distance = torch.arange(length)[None] - torch.arange(length)[:, None]
        near = distance.abs()
        far = 2 + (torch.log(near.clamp(min=1) / 2) / math.log(4) * 2).long().clamp(max=1)
        self.register_buffer("buckets", torch.where(near < 2, near, far) + 4 * (distance > 0))

    def forward(self, x, source, lengths):
        def split(t):
            return t.view(t.shape[0], t.shape[1], self.heads, -1).transpose(1, 2)

        q, k, v = split(self.q(x)), split(self.k(source)), split(self.v(source))
        scores = q @ k.transpose(-1, -2) + self.bias(self.buckets).permute(2, 0, 1)[None]
        valid = torch.arange(source.shape[1], dtype=torch.int32)[None] < lengths[:, None]
        scores = torch.where(valid[:, None, None], scores, torch.tensor(-1e4, dtype=scores.dtype))
        y = (scores.softmax(-1) @ v).transpose(1, 2).reshape(x.shape)
        pooled = (self.out(y) * valid[..., None].to(y.dtype)).sum(1) / lengths[:, None].to(y.dtype)
        return self.out(y), pooled


@package
def t5_attention_ios15():
    return Model(
        Buckets(),
        "ios15",
        ["y", "pooled"],
        [
            {
                "x": torch.randn(2, 6, 16),
                "source": torch.randn(2, 6, 16),
                "lengths": torch.tensor([6, 4], dtype=torch.int32),
            }
        ],
        note="T5 attention: bias by bucket of distance, mask from lengths, masked mean",
    )
