# pyright: standard
"""A Llama decoder in plain PyTorch, with the parameter names of transformers' LlamaForCausalLM.

Used to train from scratch: it holds no cache and no options, so that torch.compile sees one small graph. What it
learns is read by transformers without conversion (test_scratch compares the two). Shapes: B rows, T tokens,
D hidden size, H heads, V vocabulary. The residual stream is bfloat16, parameters and logits are float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

ROTARY_BASE = 10_000.0
NORM_EPSILON = 1e-5


Places: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Cosines and sines of the positions (T x head size), and the causal mask (T x T, 0 or minus infinity)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a decoder; `feed_forward` is the width inside the gated MLP."""

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    feed_forward: int
    context: int


class Norm(nn.Module):
    """Root mean square norm, computed in float32."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden))

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x.float(), (x.shape[-1],), self.weight, NORM_EPSILON).to(x.dtype)


class Attention(nn.Module):
    """Causal self-attention with rotary positions (the half-split form of Llama)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.q_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.k_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.v_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.o_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)

    def forward(self, x: Tensor, places: Places) -> Tensor:
        rows, length, hidden = x.shape
        cos, sin, mask = places

        def split(z: Tensor) -> Tensor:
            return z.view(rows, length, self.heads, hidden // self.heads).transpose(1, 2)

        def rotated(z: Tensor) -> Tensor:
            one, two = z.chunk(2, dim=-1)
            return z * cos + torch.cat((-two, one), dim=-1) * sin

        q, k, v = split(self.q_proj(x)), split(self.k_proj(x)), split(self.v_proj(x))
        scores_BHTT = (rotated(q) @ rotated(k).transpose(-2, -1)).float() * (
            hidden // self.heads
        ) ** -0.5
        mixed = (scores_BHTT + mask).softmax(dim=-1).to(v.dtype) @ v
        return self.o_proj(mixed.transpose(1, 2).reshape(rows, length, hidden))


class FeedForward(nn.Module):
    """Gated MLP with SiLU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.down_proj = nn.Linear(shape.feed_forward, shape.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """One pre-norm block."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = Norm(shape.hidden)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = Norm(shape.hidden)
        self.mlp = FeedForward(shape)

    def forward(self, x: Tensor, places: Places) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), places)
        return x + self.mlp(self.post_attention_layernorm(x))


class Backbone(nn.Module):
    """Embedding, layers and final norm: everything under `model.` in a Llama checkpoint."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.hidden)


class Decoder(nn.Module):
    """A causal language model with tied embeddings; called on a batch, it returns the weighted loss sum."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape, *, generator: torch.Generator) -> None:
        super().__init__()
        self.model = Backbone(shape)
        half = torch.arange(0, shape.hidden // shape.heads, 2).float() / (
            shape.hidden // shape.heads
        )
        angles = torch.arange(shape.context).float()[:, None] / ROTARY_BASE**half
        angles = torch.cat((angles, angles), dim=-1)
        self.register_buffer("cos", angles.cos().bfloat16(), persistent=False)
        self.register_buffer("sin", angles.sin().bfloat16(), persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                last = name.endswith(("o_proj.weight", "down_proj.weight"))
                deviation = 0.02 / (2 * shape.layers) ** 0.5 if last else 0.02
                nn.init.normal_(parameter, std=deviation, generator=generator)

    def logits(self, tokens_BT: Tensor) -> Tensor:
        """Float32 logits, B x T x V."""
        length = tokens_BT.shape[1]
        x = self.model.embed_tokens(tokens_BT).bfloat16()
        cos, sin = self.cos[:length], self.sin[:length]
        later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        mask = torch.zeros(length, length, device=x.device).masked_fill(later, float("-inf"))
        places = (cos, sin, mask)
        for layer in self.model.layers:
            x = layer(x, places)
        return functional.linear(
            self.model.norm(x), self.model.embed_tokens.weight.to(x.dtype)
        ).float()

    def forward(self, tokens_BT: Tensor, targets_BT: Tensor, weights_BT: Tensor) -> Tensor:
        """Sum over the batch of weight times cross-entropy in nats; the caller divides by the sum of weights."""
        logits_BTV = self.logits(tokens_BT)
        losses = functional.cross_entropy(
            logits_BTV.flatten(0, 1), targets_BT.flatten(), reduction="none"
        )
        return (losses * weights_BT.flatten()).sum()
