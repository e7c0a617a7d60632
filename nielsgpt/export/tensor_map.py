"""Tensor names and layouts of each family, one table a family.

A row is a module with its `weight` and, if the family has one, its `bias`. `{}` is the number of
the block. Several names split our fused matrix into equal parts of its rows. GGUF names are those
of llama.cpp.
"""

from dataclasses import dataclass
from typing import Literal

Layout = Literal["ours", "transposed", "by head", "interleaved"]


@dataclass(frozen=True)
class TensorRow:
    """Our module, its names in Transformers and in GGUF, and the layout of its tensors there.

    transposed: as in GPT-2's Conv1D. by head: the rows of query, key and value of each head
    together. interleaved: the rows of a head's two halves alternate, for rotary embeddings of
    neighboring pairs instead of halves. `biased`: has a bias if the family has biases.
    """

    ours: str
    hf: tuple[str, ...]
    gguf: tuple[str, ...]
    hf_layout: Layout = "ours"
    gguf_layouts: tuple[Layout, ...] = ("ours",)
    biased: bool = True


@dataclass(frozen=True)
class Family:
    """The class of a family in Transformers, its names there and in GGUF, and its table.

    `gguf_head`: llama.cpp needs the head even if it is tied to the embedding.
    """

    architecture: str
    model_type: str
    gguf: str
    bias: bool
    rows: tuple[TensorRow, ...]
    gguf_head: bool = False


def _qkv(before: str, after: str) -> tuple[str, ...]:
    return tuple(f"{before}{part}{after}" for part in "qkv")


GPT2 = Family(
    "GPT2LMHeadModel",
    "gpt2",
    "gpt2",
    True,
    (
        TensorRow("embedding", ("transformer.wte",), ("token_embd",), biased=False),
        TensorRow("positions", ("transformer.wpe",), ("position_embd",), biased=False),
        TensorRow("blocks.{}.attention_norm", ("transformer.h.{}.ln_1",), ("blk.{}.attn_norm",)),
        TensorRow(
            "blocks.{}.attention.qkv",
            ("transformer.h.{}.attn.c_attn",),
            ("blk.{}.attn_qkv",),
            "transposed",
        ),
        TensorRow(
            "blocks.{}.attention.out",
            ("transformer.h.{}.attn.c_proj",),
            ("blk.{}.attn_output",),
            "transposed",
        ),
        TensorRow("blocks.{}.mlp_norm", ("transformer.h.{}.ln_2",), ("blk.{}.ffn_norm",)),
        TensorRow(
            "blocks.{}.mlp.up", ("transformer.h.{}.mlp.c_fc",), ("blk.{}.ffn_up",), "transposed"
        ),
        TensorRow(
            "blocks.{}.mlp.down",
            ("transformer.h.{}.mlp.c_proj",),
            ("blk.{}.ffn_down",),
            "transposed",
        ),
        TensorRow("norm", ("transformer.ln_f",), ("output_norm",)),
        TensorRow("unembedding", ("lm_head",), ("output",), biased=False),
    ),
)
_NEOX = "gpt_neox.layers.{}."
GPT_NEOX = Family(
    "GPTNeoXForCausalLM",
    "gpt_neox",
    "gptneox",
    True,
    (
        TensorRow("embedding", ("gpt_neox.embed_in",), ("token_embd",), biased=False),
        TensorRow("blocks.{}.attention_norm", (_NEOX + "input_layernorm",), ("blk.{}.attn_norm",)),
        TensorRow(
            "blocks.{}.attention.qkv",
            (_NEOX + "attention.query_key_value",),
            ("blk.{}.attn_qkv",),
            "by head",
        ),
        TensorRow("blocks.{}.attention.out", (_NEOX + "attention.dense",), ("blk.{}.attn_output",)),
        TensorRow(
            "blocks.{}.mlp_norm", (_NEOX + "post_attention_layernorm",), ("blk.{}.ffn_norm",)
        ),
        TensorRow("blocks.{}.mlp.up", (_NEOX + "mlp.dense_h_to_4h",), ("blk.{}.ffn_up",)),
        TensorRow("blocks.{}.mlp.down", (_NEOX + "mlp.dense_4h_to_h",), ("blk.{}.ffn_down",)),
        TensorRow("norm", ("gpt_neox.final_layer_norm",), ("output_norm",)),
        TensorRow("unembedding", ("embed_out",), ("output",), biased=False),
    ),
    gguf_head=True,
)
_LLAMA = "model.layers.{}."
_LLAMA_COMMON_ROWS = (
    TensorRow("embedding", ("model.embed_tokens",), ("token_embd",)),
    TensorRow("blocks.{}.attention_norm", (_LLAMA + "input_layernorm",), ("blk.{}.attn_norm",)),
    TensorRow("blocks.{}.attention.out", (_LLAMA + "self_attn.o_proj",), ("blk.{}.attn_output",)),
    TensorRow("blocks.{}.mlp_norm", (_LLAMA + "post_attention_layernorm",), ("blk.{}.ffn_norm",)),
    TensorRow(
        "blocks.{}.mlp.gate_up",
        (_LLAMA + "mlp.gate_proj", _LLAMA + "mlp.up_proj"),
        ("blk.{}.ffn_gate", "blk.{}.ffn_up"),
    ),
    TensorRow("blocks.{}.mlp.down", (_LLAMA + "mlp.down_proj",), ("blk.{}.ffn_down",)),
    TensorRow("norm", ("model.norm",), ("output_norm",)),
    TensorRow("unembedding", ("lm_head",), ("output",)),
)
LLAMA = Family(
    "LlamaForCausalLM",
    "llama",
    "llama",
    False,
    (
        TensorRow(
            "blocks.{}.attention.qkv",
            _qkv(_LLAMA + "self_attn.", "_proj"),
            _qkv("blk.{}.attn_", ""),
            gguf_layouts=("interleaved", "interleaved", "ours"),
        ),
        *_LLAMA_COMMON_ROWS,
    ),
)
QWEN3 = Family(
    "Qwen3ForCausalLM",
    "qwen3",
    "qwen3",
    False,
    (
        TensorRow(
            "blocks.{}.attention.qkv",
            _qkv(_LLAMA + "self_attn.", "_proj"),
            _qkv("blk.{}.attn_", ""),
        ),
        TensorRow(
            "blocks.{}.attention.q_norm", (_LLAMA + "self_attn.q_norm",), ("blk.{}.attn_q_norm",)
        ),
        TensorRow(
            "blocks.{}.attention.k_norm", (_LLAMA + "self_attn.k_norm",), ("blk.{}.attn_k_norm",)
        ),
        *_LLAMA_COMMON_ROWS,
    ),
)
FAMILIES = {
    "gpt": GPT2,
    "gpt_fast": GPT2,
    "gpt_rope": GPT_NEOX,
    "gpt_plus": LLAMA,
    "gpt_qk": QWEN3,
}
