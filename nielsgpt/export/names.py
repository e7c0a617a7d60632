"""One table a family: what each of our tensors is called there, and how its numbers lie.

A row is a module: its `weight` and, where the family has one, its `bias`. `{}` is the block.
Several names share our fused matrix in equal parts of its rows. GGUF's names are llama.cpp's.
"""

from dataclasses import dataclass
from typing import Literal

Layout = Literal["ours", "turned", "by head", "interleaved"]


@dataclass(frozen=True)
class Row:
    """Our module, its names in Transformers and in GGUF, and the layout of its numbers there.

    turned: the matrix transposed, as GPT-2's Conv1D keeps it. by head: the rows of each head's
    query, key and value together. interleaved: the rows of a head's two halves in turn, for a
    rotation of neighbours in place of our halves. `biased`: has a bias where the family has.
    """

    ours: str
    hf: tuple[str, ...]
    gguf: tuple[str, ...]
    hf_layout: Layout = "ours"
    gguf_layouts: tuple[Layout, ...] = ("ours",)
    biased: bool = True


@dataclass(frozen=True)
class Family:
    """A family's class, its names in Transformers and GGUF, and its table.

    `gguf_head`: llama.cpp wants the head even where it is the embedding.
    """

    architecture: str
    model_type: str
    gguf: str
    bias: bool
    rows: tuple[Row, ...]
    gguf_head: bool = False


def _qkv(before: str, after: str) -> tuple[str, ...]:
    return tuple(f"{before}{part}{after}" for part in "qkv")


GPT2 = Family(
    "GPT2LMHeadModel",
    "gpt2",
    "gpt2",
    True,
    (
        Row("embedding", ("transformer.wte",), ("token_embd",), biased=False),
        Row("positions", ("transformer.wpe",), ("position_embd",), biased=False),
        Row("blocks.{}.attention_norm", ("transformer.h.{}.ln_1",), ("blk.{}.attn_norm",)),
        Row(
            "blocks.{}.attention.qkv",
            ("transformer.h.{}.attn.c_attn",),
            ("blk.{}.attn_qkv",),
            "turned",
        ),
        Row(
            "blocks.{}.attention.out",
            ("transformer.h.{}.attn.c_proj",),
            ("blk.{}.attn_output",),
            "turned",
        ),
        Row("blocks.{}.mlp_norm", ("transformer.h.{}.ln_2",), ("blk.{}.ffn_norm",)),
        Row("blocks.{}.mlp.up", ("transformer.h.{}.mlp.c_fc",), ("blk.{}.ffn_up",), "turned"),
        Row("blocks.{}.mlp.down", ("transformer.h.{}.mlp.c_proj",), ("blk.{}.ffn_down",), "turned"),
        Row("norm", ("transformer.ln_f",), ("output_norm",)),
        Row("unembedding", ("lm_head",), ("output",), biased=False),
    ),
)
_NEOX = "gpt_neox.layers.{}."
GPT_NEOX = Family(
    "GPTNeoXForCausalLM",
    "gpt_neox",
    "gptneox",
    True,
    (
        Row("embedding", ("gpt_neox.embed_in",), ("token_embd",), biased=False),
        Row("blocks.{}.attention_norm", (_NEOX + "input_layernorm",), ("blk.{}.attn_norm",)),
        Row(
            "blocks.{}.attention.qkv",
            (_NEOX + "attention.query_key_value",),
            ("blk.{}.attn_qkv",),
            "by head",
        ),
        Row("blocks.{}.attention.out", (_NEOX + "attention.dense",), ("blk.{}.attn_output",)),
        Row("blocks.{}.mlp_norm", (_NEOX + "post_attention_layernorm",), ("blk.{}.ffn_norm",)),
        Row("blocks.{}.mlp.up", (_NEOX + "mlp.dense_h_to_4h",), ("blk.{}.ffn_up",)),
        Row("blocks.{}.mlp.down", (_NEOX + "mlp.dense_4h_to_h",), ("blk.{}.ffn_down",)),
        Row("norm", ("gpt_neox.final_layer_norm",), ("output_norm",)),
        Row("unembedding", ("embed_out",), ("output",), biased=False),
    ),
    gguf_head=True,
)
_LLAMA = "model.layers.{}."
_LLAMA_REST = (
    Row("embedding", ("model.embed_tokens",), ("token_embd",)),
    Row("blocks.{}.attention_norm", (_LLAMA + "input_layernorm",), ("blk.{}.attn_norm",)),
    Row("blocks.{}.attention.out", (_LLAMA + "self_attn.o_proj",), ("blk.{}.attn_output",)),
    Row("blocks.{}.mlp_norm", (_LLAMA + "post_attention_layernorm",), ("blk.{}.ffn_norm",)),
    Row(
        "blocks.{}.mlp.gate_up",
        (_LLAMA + "mlp.gate_proj", _LLAMA + "mlp.up_proj"),
        ("blk.{}.ffn_gate", "blk.{}.ffn_up"),
    ),
    Row("blocks.{}.mlp.down", (_LLAMA + "mlp.down_proj",), ("blk.{}.ffn_down",)),
    Row("norm", ("model.norm",), ("output_norm",)),
    Row("unembedding", ("lm_head",), ("output",)),
)
LLAMA = Family(
    "LlamaForCausalLM",
    "llama",
    "llama",
    False,
    (
        Row(
            "blocks.{}.attention.qkv",
            _qkv(_LLAMA + "self_attn.", "_proj"),
            _qkv("blk.{}.attn_", ""),
            gguf_layouts=("interleaved", "interleaved", "ours"),
        ),
        *_LLAMA_REST,
    ),
)
QWEN3 = Family(
    "Qwen3ForCausalLM",
    "qwen3",
    "qwen3",
    False,
    (
        Row(
            "blocks.{}.attention.qkv",
            _qkv(_LLAMA + "self_attn.", "_proj"),
            _qkv("blk.{}.attn_", ""),
        ),
        Row("blocks.{}.attention.q_norm", (_LLAMA + "self_attn.q_norm",), ("blk.{}.attn_q_norm",)),
        Row("blocks.{}.attention.k_norm", (_LLAMA + "self_attn.k_norm",), ("blk.{}.attn_k_norm",)),
        *_LLAMA_REST,
    ),
)
FAMILIES = {
    "gpt": GPT2,
    "gpt_fast": GPT2,
    "gpt_rope": GPT_NEOX,
    "gpt_plus": LLAMA,
    "gpt_qk": QWEN3,
}
