"""A small model whose random weights say something: every block and every token matters."""

from collections.abc import Callable

import pytest
import torch

from nielsgpt.model.gpt import GPT
from nielsgpt.settings import ModelSettings
from nielsgpt.tokenizers.units import ByteTokenizer

MakeModel = Callable[..., GPT]


@pytest.fixture
def make_model() -> MakeModel:
    def make(context_length: int = 64, variant: str = "gpt_qk", seed: int = 0) -> GPT:
        shape = ModelSettings(
            variant=variant,
            n_layer=2,
            n_head=2,
            n_embd=16,
            context_length=context_length,
            tied=False,
        )
        model = GPT(shape, ByteTokenizer().vocab_size)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                is_norm = "norm" in name and name.endswith("weight")
                parameter.normal_(1.0 if is_norm else 0.0, 0.5, generator=generator)
        return model

    return make


@pytest.fixture
def tokenizer() -> ByteTokenizer:
    return ByteTokenizer()
