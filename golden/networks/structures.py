"""Networks whose graph is the point: routing, scans, graphs, lookups."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from models import Model, package


class Experts(nn.Module):
    """A mixture of experts: the two best of four for each token, gathered, weighted, and added where they belong."""

    def __init__(self, dim=12, experts=4, grown=16) -> None:
        super().__init__()
        self.router = nn.Linear(dim, experts)
        self.up = nn.Parameter(torch.randn(experts, dim, grown) * 0.3)
        self.down = nn.Parameter(torch.randn(experts, grown, dim) * 0.3)

    def forward(self, x):
        weights, chosen = self.router(x).softmax(-1).topk(2, dim=-1)
        weights = weights / weights.sum(-1, keepdim=True)
        up, down = self.up[chosen], self.down[chosen]
        y = F.silu(torch.einsum("td,tkdh->tkh", x, up))
        y = torch.einsum("tkh,tkhd->tkd", y, down)
        y = (y * weights[..., None]).sum(1)
        load = torch.zeros(4, dtype=x.dtype).scatter_add(0, chosen.reshape(-1), weights.reshape(-1))
        dense = torch.zeros(x.shape[0], 4, dtype=x.dtype).scatter(1, chosen, weights)
        return x + y, load, dense


@package
def mixture_of_experts_ios17():
    return Model(
        Experts(),
        "ios17",
        ["y", "load", "gates"],
        [{"x": torch.randn(7, 12)}],
        fp16=False,
        note="mixture of experts: top-k routing, gathered weights of experts, scatter and scatter_add",
    )


@package
def mixture_of_experts_ios18():
    return Model(
        Experts(), "ios18", ["y", "load", "gates"], [{"x": torch.randn(7, 12)}], note="mixture of experts in fp16, iOS 18"
    )


class Selective(nn.Module):
    """A selective scan of the Mamba kind, unrolled, and the same decay as a cumulative sum of logarithms."""

    def __init__(self, dim=8, state=4) -> None:
        super().__init__()
        self.inner, self.conv = nn.Linear(dim, 2 * dim, bias=False), nn.Conv1d(dim, dim, 3, padding=2, groups=dim)
        self.select, self.step = nn.Linear(dim, 2 * state + 2, bias=False), nn.Linear(2, dim)
        self.rates = nn.Parameter(torch.log(torch.arange(1.0, state + 1)).repeat(dim, 1))
        self.skip, self.out, self.state = nn.Parameter(torch.rand(dim)), nn.Linear(dim, dim, bias=False), state

    def forward(self, x):
        length = x.shape[1]
        u, gate = self.inner(x).chunk(2, -1)
        u = F.silu(self.conv(u.transpose(1, 2))[..., :length].transpose(1, 2))
        low, b, c = self.select(u).split([2, self.state, self.state], -1)
        delta = F.softplus(self.step(low))
        decay = delta[..., None] * -torch.exp(self.rates)
        given = delta[..., None] * b[:, :, None] * u[..., None]
        h, steps = torch.zeros_like(given[:, 0]), []
        for t in range(length):
            h = torch.exp(decay[:, t]) * h + given[:, t]
            steps.append((h * c[:, t, None]).sum(-1))
        y = torch.stack(steps, 1) + self.skip * u
        # The same recurrence in closed form, for which the state needs no loop.
        total = torch.cumsum(decay, 1)
        closed = torch.exp(total) * torch.cumsum(given * torch.exp(-total), 1)
        return self.out(y * F.silu(gate)), (closed * c[:, :, None]).sum(-1)


@package
def selective_scan_ios16():
    return Model(
        Selective(),
        "ios16",
        ["y", "closed"],
        [{"x": torch.randn(1, 6, 8)}],
        fp16=False,
        note="selective scan of the Mamba kind: unrolled, and in closed form with cumulative sums",
    )


class Scan(nn.Module):
    """The same recurrence as a loop of the program."""

    def __init__(self, dim=6) -> None:
        super().__init__()
        self.decay, self.given = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, x):
        decay, given = torch.sigmoid(self.decay(x)), self.given(x)
        h = torch.zeros_like(x[:, 0])
        total = torch.zeros_like(h)
        for t in range(9):
            h = decay[:, t] * h + given[:, t]
            total = total + torch.abs(h)
        return h, total


@package
def scan_loop_ios18():
    return Model(
        Scan(),
        "ios18",
        ["h", "total"],
        [{"x": torch.randn(2, 9, 6)}],
        fp16=False,
        script=True,
        note="a recurrence as a loop of the program, with a slice at an index that is computed",
    )


class Messages(nn.Module):
    """A graph network: messages along edges, sums, means and maxima at the nodes."""

    def __init__(self, dim=8) -> None:
        super().__init__()
        self.message, self.update = nn.Linear(2 * dim, dim), nn.Linear(2 * dim, dim)
        self.attend = nn.Linear(2 * dim, 1)

    def forward(self, nodes, source, target):
        a, b = nodes.index_select(0, source), nodes[target]
        message = F.relu(self.message(torch.cat([a, b], -1)))
        weight = torch.exp(F.leaky_relu(self.attend(torch.cat([a, b], -1)), 0.2))
        where = target[:, None].expand(-1, nodes.shape[1])
        total = torch.zeros_like(nodes).scatter_add(0, where.long(), message * weight)
        share = torch.zeros_like(nodes[:, :1]).scatter_add(0, target[:, None].long(), weight)
        degree = torch.zeros_like(nodes[:, 0]).scatter_add(0, target.long(), torch.ones_like(weight[:, 0]))
        return torch.tanh(self.update(torch.cat([total / (share + 1e-3), nodes], -1))), degree


@package
def graph_messages_ios17():
    return Model(
        Messages(),
        "ios17",
        ["nodes_after", "degree"],
        [
            {
                "nodes": torch.randn(5, 8),
                "source": torch.tensor([0, 1, 2, 3, 4, 0, 2], dtype=torch.int32),
                "target": torch.tensor([1, 2, 3, 4, 0, 2, 0], dtype=torch.int32),
            }
        ],
        fp16=False,
        note="graph network: messages gathered along edges and added at nodes",
    )


class Codebook(nn.Module):
    """Vector quantization: the nearest entries of a book, by squared distance, and a recommender's dot product."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.book = nn.Linear(10, 6), nn.Embedding(12, 6)
        self.decode = nn.Linear(6, 10)

    def forward(self, x):
        z = self.encode(x)
        distance = (z**2).sum(-1, keepdim=True) - 2 * z @ self.book.weight.t() + (self.book.weight**2).sum(-1)
        codes = distance.argmin(-1)
        order = torch.argsort(distance, -1)
        return self.decode(self.book(codes)), codes.int(), order[:, :3].int(), F.normalize(z, dim=-1)


@package
def vector_quantizer_ios16():
    return Model(
        Codebook(),
        "ios16",
        ["y", "codes", "nearest", "unit"],
        [{"x": torch.randn(6, 10)}],
        fp16=False,
        note="vector quantization: nearest entries of a codebook by argmin and argsort",
    )


class Fields(nn.Module):
    """A radiance field or coordinate network: sines of coordinates, a transmittance along the ray."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(18, 16), nn.Linear(16, 4)
        self.register_buffer("rates", 2.0 ** torch.arange(3.0))

    def forward(self, points, gaps):
        angles = (points[..., None] * self.rates).flatten(-2)
        x = F.softplus(self.first(torch.cat([angles.sin(), angles.cos()], -1)))
        out = self.second(x)
        opacity = 1 - torch.exp(-F.relu(out[..., 3]) * gaps)
        clear = torch.cumprod(1 - opacity + 1e-6, -1)
        clear = torch.cat([torch.ones_like(clear[:, :1]), clear[:, :-1]], -1)
        weight = opacity * clear
        return (weight[..., None] * torch.sigmoid(out[..., :3])).sum(1), (weight * gaps.cumsum(-1)).sum(1)


@package
def radiance_field_ios17():
    return Model(
        Fields(),
        "ios17",
        ["colour", "depth"],
        [{"points": torch.randn(3, 8, 3), "gaps": torch.rand(3, 8)}],
        fp16=False,
        note="radiance field: sines of coordinates, cumulative product along the ray",
    )


class Exit(nn.Module):
    """An early exit: a second layer only where the first is not sure."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        x = torch.tanh(self.first(x))
        if bool(x.mean() > 0.0):
            y = self.head(x)
        else:
            y = self.head(torch.relu(self.second(x)) - x)
        return y


@package
def early_exit_cond_ios16():
    net, x = Exit(), torch.randn(1, 8)
    runs = [{"x": x}, {"x": -x}, {"x": 3 * x + 1}]
    return Model(net, "ios16", ["y"], runs, fp16=False, script=True, note="an early exit: cond, taken both ways")


class Surgery(nn.Module):
    """Parts of tensors read, written, flipped, and unfolded."""

    def forward(self, x, at):
        y = x.clone()
        y[:, 1:6:2] = x[:, :3] * 2
        y[:, -1] = 0.5
        y = y.index_put((torch.tensor([1, 0, 1]), at.long()), x[0, :3] + 1)
        y[y > 1.5] = 1.5
        columns = F.unfold(x[:, None], (3, 2), padding=1, stride=2)
        flipped = torch.flip(x, (1, 2))
        mixed = torch.where(x > 0, x, flipped).masked_fill(x.abs() < 0.2, -3.0)
        parts = torch.stack(torch.split(x, [2, 2, 4], 1)[0].unbind(2), 0)
        return y, columns, mixed, parts, torch.tril(x, 1) - torch.triu(x, -1), x.repeat_interleave(2, 1)


@package
def tensor_surgery_ios17():
    return Model(
        Surgery(),
        "ios17",
        ["written", "columns", "mixed", "parts", "triangle", "twice"],
        [{"x": torch.randn(2, 8, 6), "at": torch.tensor([5, 0, 3], dtype=torch.int32)}],
        fp16=False,
        note="assignment to slices and to gathered rows, unfold, flip, masks, triangles",
    )


@package
def tensor_surgery_ios18():
    return Model(
        Surgery(),
        "ios18",
        ["written", "columns", "mixed", "parts", "triangle", "twice"],
        [{"x": torch.randn(2, 8, 6), "at": torch.tensor([5, 0, 3], dtype=torch.int32)}],
        fp16=False,
        note="the same with slice_update of iOS 18",
    )


class Sets(nn.Module):
    """Results whose number depends on the values."""

    def forward(self, x, labels):
        places = torch.nonzero(x > 0.3)
        kept = x[x.sum(1) > 0]
        distinct = torch.unique(labels)
        values, order = torch.sort(x, dim=1, descending=True)
        low, where = torch.topk(x, 2, dim=0, largest=False)
        counts = F.one_hot(labels.long(), 6).sum(0)
        return places.int(), kept, distinct.int(), values, order.int(), low, where.int(), counts.int(), (x > 0.5).any(1), x.cumsum(0)


@package
def dynamic_sets_ios16():
    return Model(
        Sets(),
        "ios16",
        ["places", "kept", "distinct", "values", "order", "low", "where", "counts", "some", "sums"],
        [
            {"x": torch.randn(5, 4), "labels": torch.tensor([3, 1, 3, 5, 1, 0], dtype=torch.int32)},
            {"x": torch.randn(5, 4), "labels": torch.tensor([2, 2, 2, 2, 2, 2], dtype=torch.int32)},
        ],
        fp16=False,
        note="results of as many rows as the values say: non_zero, masks, unique; sort and topk",
    )


class Statistics(nn.Module):
    """Reductions and small algebra as losses and metrics use them."""

    def forward(self, x, y):
        centred = x - x.mean(0, keepdim=True)
        covariance = torch.einsum("ni,nj->ij", centred, centred) / (x.shape[0] - 1)
        return (
            covariance,
            x.var(1),
            x.std((0, 1), unbiased=False),
            (x[:, None] - y[None]).norm(dim=-1),
            torch.logsumexp(x, 1),
            F.cosine_similarity(x, y, dim=1),
            torch.cross(x[:, :3], y[:, :3], dim=1),
            (x - y).norm(p=1, dim=1),
            torch.remainder(x, 0.7) + torch.remainder(y, -0.7) + torch.floor_divide(x, 0.3),
            torch.clamp(x, min=-0.5) * torch.sign(y) + torch.round(x * 4) + torch.ceil(y * 3),
            torch.einsum("abc,dcb->ad", x.reshape(2, 2, -1), y.reshape(2, 2, -1).transpose(1, 2)),
        )


@package
def statistics_ios17():
    names = "covariance variance spread distance lse cosine cross manhattan modulo rounding einsum"
    return Model(
        Statistics(),
        "ios17",
        names.split(),
        [{"x": torch.randn(4, 5), "y": torch.randn(4, 5)}],
        fp16=False,
        note="reductions, einsum, distances, and rounding of every kind",
    )
