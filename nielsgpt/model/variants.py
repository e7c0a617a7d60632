"""The five variants as rows of a table; each row is a well-known model family."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Variant:
    """The architecture of one family, and the name of the architecture it exports as."""

    position: Literal["learned", "rotary"]
    norm: Literal["layer", "rms"]
    mlp: Literal["gelu", "swiglu"]
    bias: bool
    qk_norm: bool
    exports_as: str


VARIANTS = {
    "gpt": Variant("learned", "layer", "gelu", True, False, "GPT-2"),
    "gpt_fast": Variant("learned", "layer", "gelu", False, False, "GPT-2, zero biases"),
    "gpt_rope": Variant("rotary", "layer", "gelu", True, False, "GPT-NeoX, sequential residual"),
    "gpt_plus": Variant("rotary", "rms", "swiglu", False, False, "Llama"),
    "gpt_qk": Variant("rotary", "rms", "swiglu", False, True, "Qwen3"),
}


def inner_width(variant: Variant, n_embd: int, d_ff: int | None) -> int:
    """The hidden width of the MLP: `d_ff`, else 4C (GELU) or 8C/3 rounded up to 64 (SwiGLU)."""
    if d_ff is not None:
        return d_ff
    return 4 * n_embd if variant.mlp == "gelu" else -(-8 * n_embd // (3 * 64)) * 64
