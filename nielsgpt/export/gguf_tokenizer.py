"""Tokenizers in GGUF: llama.cpp's models "llama" (SentencePiece) and "gpt2" (byte-level BPE)."""

import gguf
from gguf import TokenType

from nielsgpt.conversation import Specials
from nielsgpt.errors import TokenizerError
from nielsgpt.export.token_table import TokenEntry, TokenKind, TokenTable, build_token_table
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.tokenizers.sentence_piece import SPACE

TYPES: dict[TokenKind, TokenType] = {
    "normal": TokenType.NORMAL,
    "unknown": TokenType.UNKNOWN,
    "control": TokenType.CONTROL,
    "byte": TokenType.BYTE,
}
UNREACHABLE = "<U+2581>"  # llama.cpp reads this character of a text as a space


def build_supported_table(tokenizer: Tokenizer) -> TokenTable:
    """The vocabulary of a tokenizer for which llama.cpp gives the same ids, else TokenizerError."""
    if tokenizer.kind == "word":
        raise _list_unsupported("kind word")
    table = build_token_table(tokenizer)
    if table.format == "unigram":
        raise _list_unsupported("algorithm unigram")
    return table


def add_tokenizer(writer: gguf.GGUFWriter, table: TokenTable, specials: Specials) -> None:
    """Write the vocabulary and the special tokens; no token is added before or after a text."""
    if table.format == "pieces":
        writer.add_tokenizer_model("llama")
        writer.add_token_list([_mark_spaces(entry) for entry in table.entries])
        writer.add_token_scores([entry.score for entry in table.entries])
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list([entry.text for entry in table.entries])
        # llama.cpp refuses a file without merges; no text has two bytes FF, so this never applies.
        never = (table.entries[0xFF].text, table.entries[0xFF].text)
        writer.add_token_merges([" ".join(pair) for pair in table.merges or (never,)])
    writer.add_token_types([TYPES[entry.kind] for entry in table.entries])
    writer.add_bos_token_id(specials.end)
    writer.add_eos_token_id(specials.end)
    writer.add_eot_token_id(specials.end)
    writer.add_pad_token_id(specials.end)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def _mark_spaces(entry: TokenEntry) -> str:
    if entry.kind != "normal":
        return entry.text
    return UNREACHABLE if entry.text == SPACE else entry.text.replace(" ", SPACE)


def _list_unsupported(feature: str) -> TokenizerError:
    return TokenizerError(
        f"llama.cpp does not support a tokenizer of {feature}; use --to hf, or train "
        "one of kind sentencepiece with algorithm bpe, or of kind bpe, char or byte"
    )
