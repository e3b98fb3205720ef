"""Speech and sound."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from models import Model, package
from networks.vision import settled


class Conformer(nn.Module):
    """A Conformer block: half a feed-forward, attention with relative positions, a gated convolution, the other half."""

    def __init__(self, dim=16, heads=2, length=9) -> None:
        super().__init__()
        self.heads = heads

        def feed_forward():
            return nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.SiLU(), nn.Linear(2 * dim, dim))

        self.before, self.after = feed_forward(), feed_forward()
        self.norm, self.qkv, self.out = nn.LayerNorm(dim), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.places = nn.Linear(dim, dim, bias=False)
        self.content, self.position = nn.Parameter(torch.randn(heads, dim // heads)), nn.Parameter(torch.randn(heads, dim // heads))
        at = torch.arange(length - 1, -length, -1.0)[:, None] * torch.exp(-math.log(1e4) * torch.arange(0, dim, 2) / dim)
        self.register_buffer("table", torch.stack([at.sin(), at.cos()], -1).flatten(1))
        self.norm2, self.gate = nn.LayerNorm(dim), nn.Conv1d(dim, 2 * dim, 1)
        self.depth, self.norm3 = nn.Conv1d(dim, dim, 5, padding=2, groups=dim), nn.BatchNorm1d(dim)
        self.point, self.last = nn.Conv1d(dim, dim, 1), nn.LayerNorm(dim)

    def attention(self, x):
        count, length, dim = x.shape
        q, k, v = self.qkv(x).view(count, length, 3, self.heads, dim // self.heads).unbind(2)
        place = self.places(self.table).view(1, 2 * length - 1, self.heads, dim // self.heads)
        content = torch.matmul((q + self.content).transpose(1, 2), k.permute(0, 2, 3, 1))
        relative = torch.matmul((q + self.position).transpose(1, 2), place.permute(0, 2, 3, 1))
        # The shift of Transformer-XL: a column of zeros, and the rows read on one further.
        relative = F.pad(relative, (1, 0)).view(count, self.heads, 2 * length, length)[:, :, 1:]
        relative = relative.reshape(count, self.heads, length, 2 * length - 1)[..., :length]
        scores = (content + relative) / math.sqrt(dim // self.heads)
        y = torch.matmul(scores.softmax(-1), v.transpose(1, 2))
        return self.out(y.transpose(1, 2).reshape(count, length, dim))

    def forward(self, x):
        x = x + 0.5 * self.before(x)
        x = x + self.attention(self.norm(x))
        y = F.glu(self.gate(self.norm2(x).transpose(1, 2)), 1)
        y = self.point(F.silu(self.norm3(self.depth(y))))
        x = x + y.transpose(1, 2)
        return self.last(x + 0.5 * self.after(x))


@package
def conformer_block_ios16():
    return Model(
        settled(Conformer()),
        "ios16",
        ["y"],
        [{"x": torch.randn(1, 9, 16)}],
        note="Conformer block: relative attention with its shift, gated depthwise convolution",
    )


class Joint(nn.Module):
    """One step of an RNN transducer: the prediction network from its last token and state, and the joint network."""

    def __init__(self, tokens=20, dim=12) -> None:
        super().__init__()
        self.embed, self.lstm = nn.Embedding(tokens, dim), nn.LSTM(dim, dim, num_layers=2, batch_first=True)
        self.heard, self.said = nn.Linear(16, dim), nn.Linear(dim, dim)
        self.head = nn.Linear(dim, tokens + 1)

    def forward(self, encoded, token, h, c):
        said, (h, c) = self.lstm(self.embed(token), (h, c))
        joined = torch.tanh(self.heard(encoded)[:, :, None] + self.said(said)[:, None])
        return self.head(joined).log_softmax(-1), h, c


@package
def rnnt_joint_ios18():
    state = torch.randn(2, 1, 12) * 0.5
    return Model(
        Joint(),
        "ios18",
        ["logits", "h_after", "c_after"],
        [{"encoded": torch.randn(1, 4, 16), "token": torch.tensor([[3]], dtype=torch.int32), "h": state, "c": state.flip(-1)}],
        note="RNN transducer: prediction LSTM of two layers with its state in and out, joint network",
    )


class Wave(nn.Module):
    """WaveNet: causal dilated convolutions, gated, with skips; and the residual of a temporal network."""

    def __init__(self, dim=10) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, dim, 1)
        self.gates = nn.ModuleList(nn.Conv1d(dim, 2 * dim, 2, dilation=2**i) for i in range(4))
        self.skips = nn.ModuleList(nn.Conv1d(dim, dim, 1) for _ in range(4))
        self.head = nn.Conv1d(dim, 16, 1)

    def forward(self, wave):
        x, total = self.first(wave), 0.0
        for i, (gate, skip) in enumerate(zip(self.gates, self.skips)):
            a, b = gate(F.pad(x, (2**i, 0))).chunk(2, 1)
            y = skip(torch.tanh(a) * torch.sigmoid(b))
            total, x = total + y, x + y
        return self.head(F.relu(total)).log_softmax(1)


@package
def wavenet_ios16():
    return Model(Wave(), "ios16", ["logits"], [{"wave": torch.randn(1, 1, 40)}], note="causal dilated convolutions, gated")


class Spectrum(nn.Module):
    """A log-mel front end: the short-time Fourier transform as a convolution."""

    def __init__(self, window=32, hop=12, bands=8) -> None:
        super().__init__()
        self.hop = hop
        angles = 2 * math.pi * np.outer(np.arange(window // 2 + 1), np.arange(window)) / window
        shape = np.hanning(window + 1)[:-1]
        waves = np.concatenate([np.cos(angles) * shape, -np.sin(angles) * shape])
        self.register_buffer("waves", torch.tensor(waves, dtype=torch.float32)[:, None])
        self.register_buffer("bands", torch.rand(bands, window // 2 + 1))

    def forward(self, wave):
        padded = F.pad(wave[:, None], (16, 16), mode="reflect")
        real, imaginary = F.conv1d(padded, self.waves, stride=self.hop).chunk(2, 1)
        mel = torch.matmul(self.bands, real**2 + imaginary**2)
        log = torch.log10(mel.clamp(min=1e-6))
        log = torch.maximum(log, log.amax((1, 2), keepdim=True) - 4.0)
        return (log + 2.0) / 4.0, torch.atan2(imaginary, real.abs() + 0.5)


@package
def log_mel_ios17():
    return Model(
        Spectrum(),
        "ios17",
        ["mel", "phase"],
        [{"wave": torch.randn(1, 96)}],
        fp16=False,
        note="spectral front end: transform as a convolution, mel bands, logarithm with a floor below the maximum",
    )


class Fourier(nn.Module):
    """torch.stft and torch.fft, which coremltools lowers to products with sines."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(16))

    def forward(self, wave):
        bins = torch.stft(wave, 16, 8, 16, self.window, center=False, return_complex=True)
        line = torch.fft.rfft(wave)
        return bins.real, bins.imag, line.abs()


@package
def fourier_ios16():
    return Model(
        Fourier(),
        "ios16",
        ["real", "imaginary", "magnitude"],
        [{"wave": torch.randn(1, 48)}],
        fp16=False,
        note="torch.stft and torch.fft.rfft as coremltools lowers its complex ops",
    )


class Vocoder(nn.Module):
    """A vocoder: transposed convolutions, blocks of dilated ones, snake activations."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(8, 12, 7, padding=3)
        self.up1, self.up2 = nn.ConvTranspose1d(12, 8, 8, 4, 2), nn.ConvTranspose1d(8, 6, 5, 2, 2, output_padding=1)
        self.block = nn.ModuleList(nn.Conv1d(8, 8, 3, padding=d, dilation=d) for d in (1, 3))
        self.rate = nn.Parameter(torch.rand(1, 6, 1) + 0.5)
        self.last = nn.Conv1d(6, 1, 7)

    def forward(self, mel):
        x = self.up1(F.leaky_relu(self.first(mel), 0.1))
        for conv in self.block:
            x = x + conv(F.leaky_relu(x, 0.1))
        x = self.up2(x)
        x = x + torch.sin(self.rate * x) ** 2 / self.rate
        return torch.tanh(self.last(F.pad(x, (3, 3), mode="reflect")))


@package
def vocoder_ios16():
    return Model(Vocoder(), "ios16", ["wave"], [{"mel": torch.randn(1, 8, 6)}], note="vocoder of transposed 1-D convolutions")


class Denoiser(nn.Module):
    """Masks from two recurrent layers."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.back = nn.GRU(10, 12, batch_first=True), nn.GRU(12, 8, batch_first=True, bidirectional=True)
        self.rnn, self.mask = nn.RNN(16, 10, nonlinearity="relu", batch_first=True), nn.Linear(10, 10)

    def forward(self, frames, h):
        x, h = self.gru(frames, h)
        x, _ = self.back(x)
        x, _ = self.rnn(x)
        return torch.sigmoid(self.mask(x)) * frames, h


@package
def denoiser_gru_ios17():
    return Model(
        Denoiser(),
        "ios17",
        ["clean", "h_after"],
        [{"frames": torch.randn(1, 6, 10), "h": torch.randn(1, 1, 12) * 0.5}],
        note="GRU with its state in and out, a bidirectional GRU, a plain recurrent layer with relu",
    )
