"""Every kind of tokenizer, trained small on one corpus."""

import functools
from typing import Any

from nielsgpt.config.settings import TokenizerSettings
from nielsgpt.tokenizers import registry
from nielsgpt.tokenizers.base import Tokenizer

CORPUS = [
    "<|eot|> the lamp | <0xE2> sys usr asst eot",
    "a\u2581b \U0001f389 12\n\n\tend",
    "  the keeper's lamp, \u00e9t\u00e9 and na\u00efve",
] * 20
# Name: kind, number of ids, model of SentencePiece.
SIZES: dict[str, tuple[Any, int, Any]] = {
    "byte": ("byte", 260, "bpe"),
    "char": ("char", 300, "bpe"),
    "word": ("word", 280, "bpe"),
    "bpe": ("bpe", 300, "bpe"),
    "pieces bpe": ("sentencepiece", 300, "bpe"),
    "pieces unigram": ("sentencepiece", 290, "unigram"),
}
TRAINED = [name for name in SIZES if name != "byte"]


def settings_for(name: str) -> TokenizerSettings:
    """The settings of one of SIZES."""
    kind, size, algorithm = SIZES[name]
    return TokenizerSettings(kind=kind, vocab_size=size, algorithm=algorithm)


@functools.cache
def train_small(name: str) -> Tokenizer:
    """One of SIZES, trained."""
    return registry.train(settings_for(name), CORPUS)
