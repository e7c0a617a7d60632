"""tokenizer.json, with the same ids in Transformers, and tokenizer_config.json."""

from typing import Any

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from nielsgpt.conversation import SPECIAL_TEXTS
from nielsgpt.export.chat_template import END, OPENING, SPLIT_OPENING, build_jinja_template
from nielsgpt.export.token_table import TokenTable

# A unigram model matches pieces of any kind in a text; splitting the text prevents that.
SPECIAL_PIECES = r"<(?=0x[0-9A-F]{2}>|unk>|\|(?:sys|usr|asst|eot)\|>)"
UNREACHABLE_SCORE = -1e6  # of pieces that text never becomes


def build_tokenizer_json(table: TokenTable) -> str:
    """The content of tokenizer.json."""
    builders = {"pieces": _build_pieces, "unigram": _build_unigram, "bytes": _build_bytes}
    tokenizer = builders[table.format](table)
    tokenizer.normalizer = normalizers.Replace(SPLIT_OPENING, OPENING)
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL_TEXTS])
    text: str = tokenizer.to_str(pretty=False)
    return text


def build_tokenizer_config(context_length: int) -> dict[str, Any]:
    """The content of tokenizer_config.json."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": END,
        "additional_special_tokens": [text for text in SPECIAL_TEXTS if text != END],
        "model_max_length": context_length,
        "clean_up_tokenization_spaces": False,
        "chat_template": build_jinja_template(for_transformers=True),
    }


def _build_pieces(table: TokenTable) -> tokenizers.Tokenizer:
    merges = list(table.merges)
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=table.ids, merges=merges, byte_fallback=True))
    tokenizer.decoder = _build_decoder()
    return tokenizer


def _build_unigram(table: TokenTable) -> tokenizers.Tokenizer:
    pieces = [
        (entry.text, entry.score if entry.kind == "normal" else UNREACHABLE_SCORE)
        for entry in table.entries
    ]
    tokenizer = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(SPECIAL_PIECES), "merged_with_previous")
    tokenizer.decoder = _build_decoder()
    return tokenizer


def _build_bytes(table: TokenTable) -> tokenizers.Tokenizer:
    merges = list(table.merges)
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=table.ids, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=bool(merges)
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _build_decoder() -> decoders.Decoder:
    return decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
