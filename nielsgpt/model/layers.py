"""The parts of a block: linear layers, norms, rotary positions, attention and the two MLPs.

Weights stay in float32 and are cast to the dtype of the activations, so the dtype of the
embedding's output decides the precision of all products. Shapes: B batch, T time,
S past + T, C width, H heads, D head width.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class KeyValueStore(Protocol):
    """The interface of a KV cache.

    `place(T)` returns the positions of the next T tokens and the end of the keys; `extend` adds a
    layer's new keys and values and returns all of them; `advance` moves on after the last layer.
    """

    def place(self, count: int) -> tuple[slice | Tensor, int]: ...

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]: ...

    def advance(self, count: int) -> None: ...


class Linear(nn.Linear):
    """A linear layer computed in the dtype of its input."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return F.linear(x, self.weight.to(x.dtype), bias)


class LayerNorm(nn.LayerNorm):
    """Layer norm computed in float32 (Ba et al. 2016); eps 1e-5 as in GPT-2."""

    def __init__(self, width: int, bias: bool) -> None:
        super().__init__(width, eps=1e-5, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return super().forward(x.float()).to(x.dtype)


class RMSNorm(nn.RMSNorm):
    """Root-mean-square norm computed in float32 (Zhang and Sennrich 2019); eps 1e-6."""

    def __init__(self, width: int, bias: bool = False) -> None:
        super().__init__(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return super().forward(x.float()).to(x.dtype)


class Gelu(nn.Module):
    """down(gelu(up(x))) with the tanh approximation, as in GPT-2."""

    def __init__(self, width: int, inner: int, bias: bool) -> None:
        super().__init__()
        self.up = Linear(width, inner, bias)
        self.down: nn.Linear = Linear(inner, width, bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        down: Tensor = self.down(F.gelu(self.up(x), approximate="tanh"))
        return down


class SwiGlu(nn.Module):
    """down(silu(gate(x)) * up(x)) (Shazeer 2020), with gate and up fused in one product."""

    def __init__(self, width: int, inner: int, bias: bool) -> None:
        super().__init__()
        self.gate_up = Linear(width, 2 * inner, bias)
        self.down: nn.Linear = Linear(inner, width, bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        down: Tensor = self.down(F.silu(gate) * up)
        return down


def rotary_table(context_length: int, width: int, theta: float) -> Tensor:
    """Cosines and sines of position times frequency, (2, T, D/2) float32 (Su et al. 2021)."""
    frequencies = theta ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.outer(torch.arange(context_length, dtype=torch.float64), frequencies)
    return torch.stack([angles.cos(), angles.sin()]).float()


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Rotate each (first half, second half) pair of x (B, H, T, D) by the angles of its position.

    `table` (2, T, D/2) has the dtype of x.
    """
    cos, sin = table  # (T, D/2)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def causal_mask(context_length: int) -> Tensor:
    """(T, T) float32: 0 where a query may attend to a key, minus infinity for future keys.

    Adding a precomputed tensor costs half as much as comparing positions.
    """
    return torch.full((context_length, context_length), float("-inf")).triu(1)


def plain_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """softmax(q k' / sqrt(D) + mask) v; without a mask, every query attends to every key.

    q (B, H, T, D), k and v (B, H, S, D), mask (T, S) or (B, 1, T, S) -> (B, H, T, D).
    """
    scores = (q @ k.mT).float() * q.size(-1) ** -0.5  # (B, H, T, S)
    if mask is not None:
        scores = scores + mask
    weights = scores.softmax(dim=-1).to(v.dtype)
    return F.dropout(weights, dropout) @ v if dropout else weights @ v


def fused_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """`plain_attention` computed by torch's scaled_dot_product_attention."""
    if q.size(-2) == k.size(-2):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
    bias_mask = None if mask is None else mask.to(q.dtype)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias_mask, dropout_p=dropout)


ATTENTION = {"plain": plain_attention, "fused": fused_attention}
NORMS: dict[str, type[LayerNorm] | type[RMSNorm]] = {"layer": LayerNorm, "rms": RMSNorm}
MLPS: dict[str, type[Gelu] | type[SwiGlu]] = {"gelu": Gelu, "swiglu": SwiGlu}
