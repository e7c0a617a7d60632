"""The tokenizer.json that gives the same ids, and the tokenizer_config.json beside it."""

from typing import Any

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from nielsgpt.conversation import SPECIAL_TEXTS
from nielsgpt.export.chat_template import END, OPENING, PARTED, jinja
from nielsgpt.export.token_table import TokenTable

# A unigram takes a piece of any sort for text that spells it; cut in two, that text spells none.
SPELLED = r"<(?=0x[0-9A-F]{2}>|unk>|\|(?:sys|usr|asst|eot)\|>)"
NEVER = -1e6  # the score of what text never becomes


def tokenizer_json(vocabulary: TokenTable) -> str:
    """The content of tokenizer.json."""
    made = {"pieces": _pieces, "unigram": _unigram, "bytes": _bytes}[vocabulary.form](vocabulary)
    made.normalizer = normalizers.Replace(PARTED, OPENING)
    made.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL_TEXTS])
    text: str = made.to_str(pretty=False)
    return text


def tokenizer_config(context_length: int) -> dict[str, Any]:
    """The content of tokenizer_config.json."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": END,
        "additional_special_tokens": [text for text in SPECIAL_TEXTS if text != END],
        "model_max_length": context_length,
        "clean_up_tokenization_spaces": False,
        "chat_template": jinja(parts=True),
    }


def _pieces(vocabulary: TokenTable) -> tokenizers.Tokenizer:
    merges = list(vocabulary.merges)
    made = tokenizers.Tokenizer(models.BPE(vocab=vocabulary.ids, merges=merges, byte_fallback=True))
    made.decoder = _from_bytes()
    return made


def _unigram(vocabulary: TokenTable) -> tokenizers.Tokenizer:
    pieces = [
        (entry.spelling, entry.score if entry.sort == "normal" else NEVER)
        for entry in vocabulary.entries
    ]
    made = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(SPELLED), "merged_with_previous")
    made.decoder = _from_bytes()
    return made


def _bytes(vocabulary: TokenTable) -> tokenizers.Tokenizer:
    merges = list(vocabulary.merges)
    made = tokenizers.Tokenizer(models.BPE(vocab=vocabulary.ids, merges=merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=bool(merges))
    made.decoder = decoders.ByteLevel()
    return made


def _from_bytes() -> decoders.Decoder:
    return decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
