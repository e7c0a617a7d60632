"""Models with different tokenizers compare: bits per byte divide by the bytes of the text."""

import math

import numpy as np
import pytest
import torch

from nielsgpt.config.settings import ModelSettings
from nielsgpt.data.cache.loader import IGNORED, Batch
from nielsgpt.model.gpt import GPT
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.training.evaluate import evaluate
from tests.tokenizers.conftest import SIZES, train_small

TEXT = "the keeper lit the lamp \u2581 na\u00efve \U0001f389\n\n and 12 boats <|eot|>"


def batch_of(tokenizer: Tokenizer) -> Batch:
    """The text after an end token, in one row; what is unsaid is padding."""
    ids = [tokenizer.specials.end, *tokenizer.encode(TEXT)]
    targets = np.array([[*ids[1:], IGNORED]])
    return Batch(np.array([ids]), targets)


@pytest.mark.parametrize("name", SIZES)
def test_the_denominator_is_the_text_in_bytes_under_every_tokenizer(name: str) -> None:
    tokenizer = train_small(name)
    shape = ModelSettings(n_layer=1, n_head=2, n_embd=16, context_length=128)
    torch.manual_seed(1)
    model = GPT(shape, tokenizer.vocab_size).eval()
    batch, lengths = batch_of(tokenizer), torch.from_numpy(tokenizer.byte_lengths)
    found = evaluate(model, [batch], lengths, "cpu")
    assert found.text_bytes == len(TEXT.encode())
    with torch.no_grad():
        logits = model(torch.from_numpy(batch.inputs))[0, :-1].double()
    wanted = torch.from_numpy(batch.targets)[0, :-1]
    nats = -torch.log_softmax(logits, -1)[torch.arange(len(wanted)), wanted].sum()
    per_byte = float(nats) / math.log(2) / len(TEXT.encode())
    assert found.bits_per_byte == pytest.approx(per_byte, rel=1e-5)


def test_a_model_that_knows_nothing_pays_for_each_token_it_needs() -> None:
    """Even odds over V ids cost log2 V bits a token, whatever the tokenizer."""
    for name in SIZES:
        tokenizer = train_small(name)
        shape = ModelSettings(n_layer=1, n_head=2, n_embd=16, context_length=128)
        model = GPT(shape, tokenizer.vocab_size)
        torch.nn.init.zeros_(model.embedding.weight)
        lengths = torch.from_numpy(tokenizer.byte_lengths)
        found = evaluate(model, [batch_of(tokenizer)], lengths, "cpu")
        bits = math.log2(tokenizer.vocab_size) * len(tokenizer.encode(TEXT)) / len(TEXT.encode())
        assert found.bits_per_byte == pytest.approx(bits, rel=1e-6)
