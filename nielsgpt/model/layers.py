"""The parts of a block: linear maps, norms, rotary positions, attention and the two MLPs.

Weights are kept in float32 and cast to the dtype of what flows through, so the precision of the
products is chosen from outside by the dtype of the embedding's output. Shapes: B batch, T time,
S past + T, C width, H heads, D head width.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class KeyValueStore(Protocol):
    """What attention needs of a cache of past keys and values."""

    def place(self, count: int) -> tuple[slice | Tensor, int]: ...

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]: ...

    def advance(self, count: int) -> None: ...


class Linear(nn.Linear):
    """A linear map computed in the dtype of its input."""

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
    """down(gelu(up(x))), tanh form, as in GPT-2."""

    def __init__(self, width: int, inner: int, bias: bool) -> None:
        super().__init__()
        self.up = Linear(width, inner, bias)
        self.down: nn.Linear = Linear(inner, width, bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        down: Tensor = self.down(F.gelu(self.up(x), approximate="tanh"))
        return down


class SwiGlu(nn.Module):
    """down(silu(gate(x)) * up(x)) (Shazeer 2020), gate and up in one product."""

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
    """Cosines and sines of position x frequency, (2, T, D/2) float32 (Su et al. 2021)."""
    frequencies = theta ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.outer(torch.arange(context_length, dtype=torch.float64), frequencies)
    return torch.stack([angles.cos(), angles.sin()]).float()


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn each (first half, second half) pair of x (B, H, T, D) by its position's angles.

    The table (2, T, D/2) has the dtype of x.
    """
    cos, sin = table  # (T, D/2)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def causal_mask(context_length: int) -> Tensor:
    """(T, T) float32: 0 where a query sees a key, minus infinity where the key is in its future.

    A sum with a tensor that is there costs half of what comparing positions costs.
    """
    return torch.full((context_length, context_length), float("-inf")).triu(1)


def plain_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """softmax(q k' / sqrt(D) + mask) v; without a mask every key is seen.

    q (B, H, T, D), k and v (B, H, S, D), mask (T, S) or (B, 1, T, S) -> (B, H, T, D).
    """
    scores = (q @ k.mT).float() * q.size(-1) ** -0.5  # (B, H, T, S)
    if mask is not None:
        scores = scores + mask
    weights = scores.softmax(dim=-1).to(v.dtype)
    return F.dropout(weights, dropout) @ v if dropout else weights @ v


def fused_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """The same through torch's scaled_dot_product_attention."""
    if q.size(-2) == k.size(-2):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
    own = None if mask is None else mask.to(q.dtype)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=own, dropout_p=dropout)


ATTENTION = {"plain": plain_attention, "fused": fused_attention}
NORMS: dict[str, type[LayerNorm] | type[RMSNorm]] = {"layer": LayerNorm, "rms": RMSNorm}
MLPS: dict[str, type[Gelu] | type[SwiGlu]] = {"gelu": Gelu, "swiglu": SwiGlu}
