"""The decoder: token ids to logits, the same block for every variant.

Initialisation: embeddings and linear maps N(0, 0.02); the two maps that write into the residual
stream start at zero, so an untrained block changes nothing; norms at one, biases at zero.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nielsgpt.config.settings import ModelSettings
from nielsgpt.model.layers import (
    ATTENTION,
    MLPS,
    NORMS,
    KeyValueStore,
    Linear,
    RMSNorm,
    causal_mask,
    rotary_table,
    rotate,
)
from nielsgpt.model.variants import VARIANTS, Variant, inner_width


class Attention(nn.Module):
    """Multi-head causal self-attention."""

    def __init__(self, shape: ModelSettings, variant: Variant, layer: int) -> None:
        super().__init__()
        self.layer, self.n_head, self.dropout = layer, shape.n_head, shape.dropout
        width = shape.n_embd // shape.n_head
        self.qkv = Linear(shape.n_embd, 3 * shape.n_embd, variant.bias)
        self.out = Linear(shape.n_embd, shape.n_embd, variant.bias)
        self.q_norm = RMSNorm(width) if variant.qk_norm else None
        self.k_norm = RMSNorm(width) if variant.qk_norm else None
        self.attend = ATTENTION["plain" if shape.attention == "plain" else "fused"]

    def forward(
        self, x: Tensor, table: Tensor | None, mask: Tensor | None, cache: KeyValueStore | None
    ) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        B, T, C = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.n_head, -1).permute(2, 0, 3, 1, 4)  # (B, H, T, D)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        if table is not None:
            q, k = rotate(q, table), rotate(k, table)
        if cache is not None:
            k, v = cache.extend(self.layer, k, v)  # (B, H, S, D)
        y = self.attend(q, k, v, mask, self.dropout if self.training else 0.0)
        mixed: Tensor = self.out(y.transpose(1, 2).reshape(B, T, C))
        return mixed


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); dropout once on each branch."""

    def __init__(self, shape: ModelSettings, variant: Variant, layer: int) -> None:
        super().__init__()
        norm, width = NORMS[variant.norm], shape.n_embd
        self.attention_norm = norm(width, bias=variant.bias)
        self.attention = Attention(shape, variant, layer)
        self.mlp_norm = norm(width, bias=variant.bias)
        inner = inner_width(variant, width, shape.d_ff)
        self.mlp = MLPS[variant.mlp](width, inner, variant.bias)
        self.dropout = shape.dropout

    def forward(
        self, x: Tensor, table: Tensor | None, mask: Tensor | None, cache: KeyValueStore | None
    ) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        x = x + self._drop(self.attention(self.attention_norm(x), table, mask, cache))
        return x + self._drop(self.mlp(self.mlp_norm(x)))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


class GPT(nn.Module):
    """A decoder of one variant.

    `compute_dtype` is the dtype of everything between the embedding and the logits; weights stay
    float32. `checkpointing` recomputes each block in the backward pass. `step`, where somebody has
    set it, is the next step of a row that talks alone (inference/compiled_decode.py).
    """

    table: Tensor | None
    mask: Tensor

    def __init__(self, shape: ModelSettings, vocab_size: int) -> None:
        super().__init__()
        variant = VARIANTS[shape.variant]
        self.shape, self.vocab_size, self.context_length = shape, vocab_size, shape.context_length
        self.n_layer, self.n_head = shape.n_layer, shape.n_head
        self.head_width = shape.n_embd // shape.n_head
        self.compute_dtype, self.checkpointing = torch.float32, False
        self.step: Callable[..., Tensor] | None = None
        self.embedding = nn.Embedding(vocab_size, shape.n_embd)
        learned = variant.position == "learned"
        self.positions = nn.Embedding(shape.context_length, shape.n_embd) if learned else None
        blocks = [Block(shape, variant, layer) for layer in range(shape.n_layer)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = NORMS[variant.norm](shape.n_embd, bias=variant.bias)
        self.unembedding = None if shape.tied else Linear(shape.n_embd, vocab_size, bias=False)
        table = rotary_table(shape.context_length, self.head_width, shape.rope_theta)
        self.register_buffer("table", None if learned else table, persistent=False)
        self.register_buffer("mask", causal_mask(shape.context_length), persistent=False)
        self.apply(_initialise)
        for block in blocks:
            nn.init.zeros_(block.attention.out.weight)
            nn.init.zeros_(block.mlp.down.weight)

    def set_attention(self, form: Literal["plain", "fused"]) -> None:
        """Choose the form of attention; both mean the same."""
        for module in self.modules():
            if isinstance(module, Attention):
                module.attend = ATTENTION[form]

    @property
    def head_weight(self) -> Tensor:
        """The (V, C) matrix of the logits."""
        return (self.embedding if self.unembedding is None else self.unembedding).weight

    def trunk(self, ids: Tensor, cache: KeyValueStore | None = None) -> Tensor:
        """(B, T) ids -> (B, T, C) hidden states; positions go on from what the cache holds."""
        T = ids.size(1)
        place, end = (slice(0, T), T) if cache is None else cache.place(T)
        assert end <= self.context_length, f"{end} tokens in a context of {self.context_length}"
        x = self.embedding(ids).to(self.compute_dtype)
        if self.positions is not None:
            x = x + self.positions.weight[place].reshape(-1, T, x.size(2)).to(x.dtype)
        if self.shape.dropout:
            x = F.dropout(x, self.shape.dropout, self.training)
        # (2, T, D/2) and (T, S) where all rows stand alike, else (2, B, 1, T, D/2) and (B, 1, T, S)
        table = None if self.table is None else self.table[:, place].to(x.dtype)
        sees_all = T == 1 and isinstance(place, slice)
        mask = None if sees_all else self.mask[place, :end]
        for block in self.blocks:
            if self.checkpointing and self.training:
                x = checkpoint(block, x, table, mask, cache, use_reentrant=False)
            else:
                x = block(x, table, mask, cache)
        if cache is not None:
            cache.advance(ids.size(1))
        hidden: Tensor = self.norm(x)
        return hidden

    def head(self, hidden: Tensor) -> Tensor:
        """(B, T, C) hidden states -> (B, T, V) float32 logits."""
        if self.unembedding is not None:
            logits: Tensor = self.unembedding(hidden)
            return logits.float()
        return F.linear(hidden, self.embedding.weight.to(hidden.dtype)).float()

    def forward(self, ids: Tensor, cache: KeyValueStore | None = None) -> Tensor:
        """(B, T) ids -> (B, T, V) float32 logits."""
        return self.head(self.trunk(ids, cache))


def parameter_count(model: GPT) -> int:
    """The number of trained numbers, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def flops_per_token(model: GPT) -> int:
    """Floating-point operations of one training token, forward and backward.

    6 per weight of a matrix product, and 12 L C T / 2 for causal attention's two products at full
    context (Kaplan et al. 2020, appendix B; the halving counts only the keys that are seen).
    """
    matrices = sum(p.numel() for p in model.blocks.parameters() if p.dim() == 2)
    attention = model.n_layer * model.shape.n_embd * model.context_length
    return 6 * (matrices + model.head_weight.numel()) + 6 * attention


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
