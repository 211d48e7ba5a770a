"""GPT-2 in PyTorch as people write it: the reference that Stowage's speed, memory and losses are compared with.

Fused AdamW, scaled_dot_product_attention, gradients set to None. Parameters carry the names of Stowage's own
(trainer/model/gpt2.h), so that weights can be carried over by name.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, width, heads, bias):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width, eps=1e-5, bias=bias)
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm(x)).split(width, dim=2)
        q, k, v = (t.view(batch, length, self.heads, -1).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return x + self.out(y.transpose(1, 2).reshape(batch, length, width))


class FeedForward(nn.Module):
    def __init__(self, width, hidden, bias):
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-5, bias=bias)
        self.up = nn.Linear(width, hidden, bias=bias)
        self.down = nn.Linear(hidden, width, bias=bias)

    def forward(self, x):
        return x + self.down(F.gelu(self.up(self.norm(x)), approximate="tanh"))


class Gpt2(nn.Module):
    """tokens [B, T] int64 -> logits [B, T, V]; with targets [B, T]: the mean cross-entropy in nats."""

    def __init__(self, layers, width, heads, context, vocabulary, hidden=None, bias=True, tie=True):
        super().__init__()
        hidden = hidden or 4 * width
        self.embedding = nn.ModuleDict({
            "token": nn.Embedding(vocabulary, width),
            "position": nn.Embedding(context, width),
        })
        self.layer = nn.ModuleList(
            nn.ModuleDict({"attn": Attention(width, heads, bias), "ffn": FeedForward(width, hidden, bias)})
            for _ in range(layers))
        self.head = nn.ModuleDict({"norm": nn.LayerNorm(width, eps=1e-5, bias=bias)})
        if not tie:
            self.head["weight"] = nn.Linear(width, vocabulary, bias=False)
        self.tie = tie
        self.initialise(layers)

    def initialise(self, layers):
        for name, parameter in self.named_parameters():
            if name.endswith(".bias"):
                nn.init.zeros_(parameter)
            elif parameter.dim() == 2:
                residual = name.endswith((".out.weight", ".down.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers) if residual else 0.02)

    def forward(self, tokens, targets=None):
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.embedding["token"](tokens) + self.embedding["position"](positions)
        for layer in self.layer:
            x = layer["ffn"](layer["attn"](x))
        x = self.head["norm"](x)
        weight = self.embedding["token"].weight if self.tie else self.head["weight"].weight
        logits = F.linear(x, weight)
        if targets is None:
            return logits
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))

    def load_stowage(self, tensors):
        """Takes weights by Stowage's names (a dict of tensors, as a checkpoint's safetensors hold them)."""
        tensors = dict(tensors)
        if not self.tie:
            tensors["head.weight.weight"] = tensors.pop("head.weight")
        self.load_state_dict(tensors)


def make_optimizer(model, lr, betas, eps, weight_decay):
    """Fused AdamW; decay on matrices only."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=eps, fused=True)


def learning_rate(step, steps, peak, warmup_steps, final):
    """Linear warm-up, then cosine, for step 1 .. steps."""
    if step <= warmup_steps:
        return peak * step / warmup_steps
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return final + 0.5 * (peak - final) * (1 + math.cos(math.pi * progress))


def train_step(model, optimizer, micro_batches, grad_clip, bf16=False):
    """One update; micro_batches: a list of (tokens, targets). Returns the mean loss."""
    loss_sum = 0.0
    for tokens, targets in micro_batches:
        # Backward stays outside, as PyTorch's documentation has it: it follows the dtypes of forward.
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = model(tokens, targets) / len(micro_batches)
        loss.backward()
        loss_sum += loss.item()
    if grad_clip > 0:
        torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss_sum
