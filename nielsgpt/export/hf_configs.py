"""config.json and generation_config.json for each family of Transformers."""

from collections.abc import Callable
from typing import Any

from nielsgpt.config.settings import GenerationSettings
from nielsgpt.conversation import Specials
from nielsgpt.export.tensors import find_family
from nielsgpt.model.gpt import GPT
from nielsgpt.model.variants import VARIANTS, inner_width

Config = dict[str, Any]


def build_config(model: GPT, specials: Specials, dtype: str) -> Config:
    """The content of config.json, with the fields of the model's family."""
    family = find_family(model)
    return {
        "architectures": [family.architecture],
        "model_type": family.model_type,
        "vocab_size": model.vocab_size,
        "bos_token_id": None,
        "eos_token_id": specials.end,
        "pad_token_id": specials.end,
        "tie_word_embeddings": model.unembedding is None,
        "dtype": dtype,
        "torch_dtype": dtype,  # the name before version 5
        **SHAPES[family.model_type](model),
    }


def build_generation_config(generation: GenerationSettings, specials: Specials) -> Config:
    """The content of generation_config.json: end token, suppressed tokens, sampling, length.

    The format lacks stop strings and the window of the repetition penalty.
    """
    sampling = {
        "temperature": generation.temperature,
        "top_k": generation.top_k,
        "top_p": generation.top_p,
        "min_p": generation.min_p or None,
    }
    return {
        "bos_token_id": None,
        "eos_token_id": specials.end,
        "pad_token_id": specials.end,
        "suppress_tokens": list(specials.roles),
        "max_new_tokens": generation.max_new_tokens,
        "repetition_penalty": generation.repetition_penalty,
        "do_sample": generation.temperature > 0.0,
        **(sampling if generation.temperature > 0.0 else {}),
    }


def find_inner_width(model: GPT) -> int:
    """The inner width of the MLP."""
    return inner_width(VARIANTS[model.shape.variant], model.shape.n_embd, model.shape.d_ff)


def find_norm_eps(model: GPT) -> float:
    """The epsilon of every norm."""
    return float(model.norm.eps or 0.0)


def _gpt2(model: GPT) -> Config:
    dropout = model.shape.dropout
    return {
        "n_positions": model.context_length,
        "n_embd": model.shape.n_embd,
        "n_layer": model.n_layer,
        "n_head": model.n_head,
        "n_inner": find_inner_width(model),
        "activation_function": "gelu_new",
        "layer_norm_epsilon": find_norm_eps(model),
        **{f"{part}_pdrop": dropout for part in ("embd", "attn", "resid")},
    }


def _rotary(model: GPT) -> Config:
    theta = model.shape.rope_theta
    return {
        "hidden_size": model.shape.n_embd,
        "num_hidden_layers": model.n_layer,
        "num_attention_heads": model.n_head,
        "intermediate_size": find_inner_width(model),
        "max_position_embeddings": model.context_length,
        "rope_theta": theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": theta},
        "attention_dropout": model.shape.dropout,
    }


def _gpt_neox(model: GPT) -> Config:
    rotary = _rotary(model)
    return {
        **rotary,
        "rope_parameters": {**rotary["rope_parameters"], "partial_rotary_factor": 1.0},
        "rotary_pct": 1.0,
        "rotary_emb_base": model.shape.rope_theta,
        "hidden_act": "gelu_new",
        "hidden_dropout": model.shape.dropout,
        "layer_norm_eps": find_norm_eps(model),
        "use_parallel_residual": False,
        "attention_bias": True,
    }


def _llama(model: GPT) -> Config:
    return {
        **_rotary(model),
        "num_key_value_heads": model.n_head,
        "head_dim": model.head_width,
        "hidden_act": "silu",
        "rms_norm_eps": find_norm_eps(model),
        "attention_bias": False,
        "mlp_bias": False,
    }


def _qwen3(model: GPT) -> Config:
    return {**_llama(model), "use_sliding_window": False, "sliding_window": None}


SHAPES: dict[str, Callable[[GPT], Config]] = {
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "llama": _llama,
    "qwen3": _qwen3,
}
