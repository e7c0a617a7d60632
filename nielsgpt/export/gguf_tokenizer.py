"""A tokenizer as llama.cpp keeps one: its kinds "llama" (SentencePiece) and "gpt2" (bytes)."""

import gguf
from gguf import TokenType

from nielsgpt.conversation import Specials
from nielsgpt.errors import TokenizerError
from nielsgpt.export.token_table import Sort, TokenEntry, TokenTable, vocabulary
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.tokenizers.sentence_piece import SPACE

TYPES: dict[Sort, TokenType] = {
    "normal": TokenType.NORMAL,
    "unknown": TokenType.UNKNOWN,
    "control": TokenType.CONTROL,
    "byte": TokenType.BYTE,
}
UNREACHED = "<U+2581>"  # llama.cpp takes this character of a text for a space


def spell_tokens(tokenizer: Tokenizer) -> TokenTable:
    """The vocabulary, where llama.cpp would give the same ids. Raises TokenizerError elsewhere."""
    if tokenizer.kind == "word":
        raise _list_unsupported("kind word")
    words = vocabulary(tokenizer)
    if words.form == "unigram":
        raise _list_unsupported("algorithm unigram")
    return words


def add(writer: gguf.GGUFWriter, words: TokenTable, specials: Specials) -> None:
    """Write the vocabulary and the special tokens; nothing is put before or after a text."""
    if words.form == "pieces":
        writer.add_tokenizer_model("llama")
        writer.add_token_list([_with_marks(entry) for entry in words.entries])
        writer.add_token_scores([entry.score for entry in words.entries])
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list([entry.spelling for entry in words.entries])
        # A file without merges is refused; no text holds two bytes FF, so this one never happens.
        never = (words.entries[0xFF].spelling, words.entries[0xFF].spelling)
        writer.add_token_merges([" ".join(pair) for pair in words.merges or (never,)])
    writer.add_token_types([TYPES[entry.sort] for entry in words.entries])
    writer.add_bos_token_id(specials.end)
    writer.add_eos_token_id(specials.end)
    writer.add_eot_token_id(specials.end)
    writer.add_pad_token_id(specials.end)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def _with_marks(entry: TokenEntry) -> str:
    if entry.sort != "normal":
        return entry.spelling
    return UNREACHED if entry.spelling == SPACE else entry.spelling.replace(" ", SPACE)


def _list_unsupported(what: str) -> TokenizerError:
    return TokenizerError(
        f"llama.cpp has nothing that gives the ids of a tokenizer of {what}; use --to hf, or train "
        "one of kind sentencepiece with algorithm bpe, or of kind bpe, char or byte"
    )
