"""The decoder: token ids to logits, the same block for every variant.

Initialization: embeddings and linear layers N(0, 0.02); the two layers that write to the residual
stream at zero, so that an untrained block is the identity; norms at one, biases at zero.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
        self.layer = layer
        self.n_head = shape.n_head
        self.dropout = shape.dropout
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
    """A decoder-only transformer of one variant.

    `compute_dtype` is the dtype of everything between the embedding and the logits; weights stay
    float32. `checkpointing` recomputes each block in the backward pass. `step`, if set, is the
    compiled decoding step for a single row (inference/compiled_decode.py).
    """

    table: Tensor | None
    mask: Tensor

    def __init__(self, shape: ModelSettings, vocab_size: int) -> None:
        super().__init__()
        variant = VARIANTS[shape.variant]
        self.shape = shape
        self.vocab_size = vocab_size
        self.context_length = shape.context_length
        self.n_layer = shape.n_layer
        self.n_head = shape.n_head
        self.head_width = shape.n_embd // shape.n_head
        self.compute_dtype = torch.float32
        self.checkpointing = False
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
        self.apply(_initialize_weights)
        for block in blocks:
            nn.init.zeros_(block.attention.out.weight)
            nn.init.zeros_(block.mlp.down.weight)

    def set_attention(self, form: Literal["plain", "fused"]) -> None:
        """Choose the attention implementation; both compute the same function."""
        for module in self.modules():
            if isinstance(module, Attention):
                module.attend = ATTENTION[form]

    @property
    def head_weight(self) -> Tensor:
        """(V, C): the matrix that projects hidden states to logits; the embedding if tied."""
        return (self.embedding if self.unembedding is None else self.unembedding).weight

    def trunk(self, ids: Tensor, cache: KeyValueStore | None = None) -> Tensor:
        """(B, T) ids -> (B, T, C) hidden states; positions continue after those in the cache."""
        T = ids.size(1)
        positions, end = (slice(0, T), T) if cache is None else cache.place(T)
        assert end <= self.context_length, f"{end} tokens in a context of {self.context_length}"
        x = self.embedding(ids).to(self.compute_dtype)
        if self.positions is not None:
            x = x + self.positions.weight[positions].reshape(-1, T, x.size(2)).to(x.dtype)
        if self.shape.dropout:
            x = F.dropout(x, self.shape.dropout, self.training)
        # (2, T, D/2), (T, S) if all rows share positions, else (2, B, 1, T, D/2), (B, 1, T, S)
        table = None if self.table is None else self.table[:, positions].to(x.dtype)
        sees_all = T == 1 and isinstance(positions, slice)
        mask = None if sees_all else self.mask[positions, :end]
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
    """The number of parameters, counting tied weights once."""
    return sum(parameter.numel() for parameter in model.parameters())


def flops_per_token(model: GPT) -> int:
    """Floating-point operations per training token, forward and backward.

    6 per weight of a matrix product, and 12 L C T / 2 for the two products of causal attention at
    full context (Kaplan et al. 2020, appendix B; half of the keys are masked).
    """
    matrices = sum(p.numel() for p in model.blocks.parameters() if p.dim() == 2)
    attention = model.n_layer * model.shape.n_embd * model.context_length
    return 6 * (matrices + model.head_weight.numel()) + 6 * attention


def head_shares(shape: ModelSettings, vocab_size: int) -> dict[str, float]:
    """The head's share of a model's parameters and of its FLOPs per training token.

    `parameters`: V C / total, counting tied weights once; `flops`: 6 V C / `flops_per_token`;
    `of_parameters`: the total number of parameters.
    """
    with torch.device("meta"):
        model = GPT(shape, vocab_size)
    head, total = model.head_weight.numel(), parameter_count(model)
    return {
        "parameters": head / total,
        "flops": 6 * head / flops_per_token(model),
        "of_parameters": total,
    }


@contextmanager
def eval_mode(model: torch.nn.Module) -> Iterator[None]:
    """Put the model in evaluation mode, and afterwards back in the mode it had."""
    if not model.training:
        yield
        return
    model.eval()
    try:
        yield
    finally:
        model.train()


def _initialize_weights(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
