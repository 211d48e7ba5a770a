"""The other models in PyTorch, as its users write them: Llama, a perceptron, a residual CNN, LSTM and GRU.

Parameters carry Stowage's names (trainer/model/*.h), so that weights are carried over by name; load_state_dict makes a
missing or misshapen one an error. A model of tokens maps tokens and targets to the mean cross-entropy, a model of samples
inputs and targets to the mean loss.
"""

import torch
import torch.nn.functional as F
from torch import nn


class RmsNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


def rotate(x, theta):
    """x [B, heads, T, d], turned as transformers' Llama does."""
    half = x.shape[-1] // 2
    frequencies = 1.0 / theta ** (torch.arange(0, half, dtype=torch.float32) * 2 / x.shape[-1])
    angles = torch.outer(torch.arange(x.shape[2], dtype=torch.float32), frequencies)
    cos, sin = torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin()
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


class LlamaAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.kv_heads, self.theta = c["heads"], c["kv_heads"], float(c["rope_theta"])
        self.size = c["width"] // self.heads
        self.norm = RmsNorm(c["width"], float(c["norm_eps"]))
        self.qkv = nn.Linear(c["width"], (self.heads + 2 * self.kv_heads) * self.size, bias=False)
        self.out = nn.Linear(c["width"], c["width"], bias=False)

    def forward(self, x):
        batch, length, width = x.shape
        parts = self.qkv(self.norm(x)).split([h * self.size for h in (self.heads, self.kv_heads, self.kv_heads)], dim=2)
        q, k, v = (p.view(batch, length, -1, self.size).transpose(1, 2) for p in parts)
        y = F.scaled_dot_product_attention(rotate(q, self.theta), rotate(k, self.theta), v, is_causal=True,
                                           enable_gqa=True)
        return x + self.out(y.transpose(1, 2).reshape(batch, length, width))


class LlamaFeedForward(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm = RmsNorm(c["width"], float(c["norm_eps"]))
        self.gate_up = nn.Linear(c["width"], 2 * c["ffn"], bias=False)
        self.down = nn.Linear(c["ffn"], c["width"], bias=False)

    def forward(self, x):
        gate, up = self.gate_up(self.norm(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class LanguageModel(nn.Module):
    """Embedding, `body`, a norm or none, and a head that is tied or free."""

    def __init__(self, c, norm):
        super().__init__()
        self.embedding = nn.ModuleDict({"token": nn.Embedding(c["vocabulary"], c["width"])})
        self.head = nn.ModuleDict({"norm": norm} if norm is not None else {})
        self.tie = c["tie"]
        if not self.tie:
            self.head.register_parameter("weight", nn.Parameter(torch.randn(c["vocabulary"], c["width"]) * 0.02))

    def forward(self, tokens, targets):
        x = self.body(self.embedding["token"](tokens))
        if "norm" in self.head:
            x = self.head["norm"](x)
        logits = F.linear(x, self.embedding["token"].weight if self.tie else self.head.weight)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))


class Llama(LanguageModel):
    def __init__(self, c):
        super().__init__(c, RmsNorm(c["width"], float(c["norm_eps"])))
        self.layer = nn.ModuleList(nn.ModuleDict({"attn": LlamaAttention(c), "ffn": LlamaFeedForward(c)})
                                   for _ in range(c["layers"]))

    def body(self, x):
        for layer in self.layer:
            x = layer["ffn"](layer["attn"](x))
        return x


class Recurrent(nn.Module):
    """One layer under Stowage's names: nn.LSTM's and nn.GRU's end in _l0."""

    def __init__(self, c, width_in):
        super().__init__()
        cell = {"lstm": nn.LSTM, "gru": nn.GRU}[c["cell"]]
        self.net = cell(width_in, c["width"], bias=c["bias"], batch_first=True)

    def forward(self, x):
        return self.net(x)[0]


class RnnText(LanguageModel):
    def __init__(self, c):
        super().__init__(c, None)
        self.layer = nn.ModuleList(Recurrent(c, c["width"]) for _ in range(c["layers"]))

    def body(self, x):
        for layer in self.layer:
            x = layer(x)
        return x


class SampleModel(nn.Module):
    def __init__(self, c, width_in, bias=True):
        super().__init__()
        self.head = nn.Linear(width_in, c["outputs"], bias=bias)
        self.loss = {"cross_entropy": F.cross_entropy, "mse": F.mse_loss}[c["loss"]]

    def forward(self, inputs, targets):
        return self.loss(self.head(self.body(inputs)), targets)


class RnnSamples(SampleModel):
    def __init__(self, c):
        super().__init__(c, c["width"], c["bias"])
        self.layer = nn.ModuleList(Recurrent(c, c["width"] if i else c["input"][1]) for i in range(c["layers"]))

    def body(self, x):
        for layer in self.layer:
            x = layer(x)
        return x[:, -1]


class Mlp(SampleModel):
    def __init__(self, c):
        super().__init__(c, c["width"], c["bias"])
        inputs = torch.Size(c["input"]).numel()
        self.layer = nn.ModuleList(nn.Linear(c["width"] if i else inputs, c["width"], bias=c["bias"])
                                   for i in range(c["layers"]))

    def body(self, x):
        x = x.flatten(1)
        for layer in self.layer:
            x = F.relu(layer(x))
        return x


def group_norm(channels):
    return nn.GroupNorm(next(g for g in (8, 4, 2, 1) if channels % g == 0), channels)


class Block(nn.Module):
    def __init__(self, channels_in, channels, down):
        super().__init__()
        stride = 2 if down else 1
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.norm1 = group_norm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = group_norm(channels)
        if down:
            self.down = nn.Conv2d(channels_in, channels, 1, stride, bias=False)
            self.down_norm = group_norm(channels)

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + (self.down_norm(self.down(x)) if hasattr(self, "down") else x))


class Cnn(SampleModel):
    def __init__(self, c):
        stages = min(3, c["layers"])
        super().__init__(c, c["width"] * 2 ** (stages - 1))
        self.stem = nn.ModuleDict({"conv": nn.Conv2d(c["input"][0], c["width"], 3, 1, 1, bias=False),
                                   "norm": group_norm(c["width"])})
        blocks, channels = [], c["width"]
        for stage in range(stages):
            for block in range(c["layers"] // stages + (stage < c["layers"] % stages)):
                down = stage > 0 and block == 0
                blocks.append(Block(channels, channels * (2 if down else 1), down))
                channels *= 2 if down else 1
        self.layer = nn.ModuleList(blocks)

    def body(self, x):
        x = F.relu(self.stem["norm"](self.stem["conv"](x)))
        for block in self.layer:
            x = block(x)
        return x.mean((2, 3))


def build(c):
    """The model of a resolved config's `model` section, with PyTorch's own starting values."""
    if c["kind"] == "rnn":
        return RnnText(c) if c["input"] == "auto" else RnnSamples(c)
    return {"llama": Llama, "mlp": Mlp, "cnn": Cnn}[c["kind"]](c)


def make(c, weights):
    """build(c) with these weights (a dict by Stowage's names)."""
    model = build(c)
    if c["kind"] == "rnn":
        weights = {(name if not name.startswith("layer.") else
                    name.replace(".weight_", ".net.weight_").replace(".bias_", ".net.bias_") + "_l0"): tensor
                   for name, tensor in weights.items()}
    model.load_state_dict(weights)
    return model
