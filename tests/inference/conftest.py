"""A small model whose random weights say something: every block and every token matters."""

from collections.abc import Callable

import pytest

from nielsgpt.config.settings import ModelSettings
from nielsgpt.model.gpt import GPT
from nielsgpt.tokenizers.byte import ByteTokenizer
from tests.lively import lively

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
        return lively(GPT(shape, ByteTokenizer().vocab_size), seed=seed)

    return make


@pytest.fixture
def tokenizer() -> ByteTokenizer:
    return ByteTokenizer()
