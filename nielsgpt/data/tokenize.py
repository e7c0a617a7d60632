"""Tokenize documents, and render and tokenize conversations.

A block gives the same ids in any process.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nielsgpt.config.settings import Phase, Settings
from nielsgpt.conversation import Conversation, Document, render, split
from nielsgpt.data.cache.blocks import FIXED_PLACES, DocumentBlock
from nielsgpt.data.cache.build import guard_special_tokens, hash_to_unit
from nielsgpt.data.cache.shards import token_dtype
from nielsgpt.tokenizers import registry
from nielsgpt.tokenizers.base import Tokenizer

Encode = Callable[[list[Any]], DocumentBlock]


@dataclass(frozen=True)
class Encoder:
    """Turns items of one source into a block of tokenized samples."""

    source: str
    settings: Settings
    tokenizer: Tokenizer

    def documents(self, items: Sequence[Document]) -> DocumentBlock:
        """The ids of the texts, with end tokens as set by data.document_tokens."""
        data, texts = self.settings.data, list[str]()
        for item in items:
            where = f"source {self.source}: {item.name or 'a document'}"
            texts.append(guard_special_tokens(item.text, where, data.on_special_literal) or "")
        ids, lengths = self.tokenizer.encode_arrays(texts)
        ends = np.cumsum(lengths)
        marks = {"none": [], "end": [ends], "both": [ends - lengths, ends]}[data.document_tokens]
        if marks:
            ids = np.insert(ids, np.concatenate(marks), self.tokenizer.specials.end)
        pairs = zip(items, texts, strict=True)
        return DocumentBlock(
            documents=len(items),
            ids=ids.astype(token_dtype(self.tokenizer.vocab_size)),
            lengths=lengths + len(marks),
            text_bytes=np.array([len(text.encode()) for text in texts], dtype=np.int64),
            places=np.array([find_place(item, text, self.settings.seed) for item, text in pairs]),
        )

    def conversations(self, items: Sequence[Conversation]) -> DocumentBlock:
        """The renderings with their masks, each split between turns to fit the context."""
        cleaned = [self._guard_messages(item) for item in items]
        texts = list(dict.fromkeys(m.content for c in cleaned if c for m in c.messages))
        ids_of = dict(zip(texts, self.tokenizer.encode_batch(texts), strict=True)).__getitem__
        specials = self.tokenizer.specials
        limit = self.settings.model.context_length + 1
        rendered = list[tuple[list[int], list[bool]]]()
        sizes, places, kept = list[int](), list[float](), 0
        for item, clean in zip(items, cleaned, strict=True):
            where = find_place(item, item.text, self.settings.seed)
            for piece in filter(
                _count_replies, split(clean, ids_of, specials, limit) if clean else ()
            ):
                rendered.append(render(piece, ids_of, specials))
                sizes.append(sum(len(message.content.encode()) for message in piece.messages))
                places.append(where)
                kept += _count_replies(piece)
        reply_count, dtype = sum(map(_count_replies, items)), token_dtype(self.tokenizer.vocab_size)
        return DocumentBlock(
            documents=len(items),
            ids=np.array([token for ids, _ in rendered for token in ids], dtype=dtype),
            lengths=np.array([len(ids) for ids, _ in rendered], dtype=np.int64),
            text_bytes=np.array(sizes, dtype=np.int64),
            places=np.array(places, dtype=np.float64),
            mask=np.array([counts for _, mask in rendered for counts in mask], dtype=np.uint8),
            replies=reply_count,
            left_out=reply_count - kept,
            dropped=cleaned.count(None),
        )

    def _guard_messages(self, item: Conversation) -> Conversation | None:
        messages = []
        for number, message in enumerate(item.messages, start=1):
            where = f"source {self.source}: {item.name or 'a conversation'}, message {number}"
            text = guard_special_tokens(
                message.content,
                where,
                self.settings.data.on_special_literal_sft,
                "data.on_special_literal_sft",
            )
            if text is None:
                return None
            messages.append(replace(message, content=text))
        return replace(item, messages=tuple(messages))


def find_place(item: Document | Conversation, text: str, seed: int) -> float:
    """The item's place in [0, 1); places up to the validation share are held out.

    A dataset's own split takes precedence over the item's group, and that over its text.
    """
    if isinstance(item, Document) and item.side:
        return FIXED_PLACES[item.side]
    return hash_to_unit(seed, item.group or text)


def make_encoder(source: str, phase: Phase, settings: Settings, tokenizer: Tokenizer) -> Encode:
    """The function that tokenizes the blocks of a source in a phase."""
    encoder = Encoder(source, settings, tokenizer)
    return encoder.documents if phase == "pretrain" else encoder.conversations


def make_worker_encoder(
    source: str, phase: Phase, settings: Settings, kind: str, files: Mapping[str, bytes]
) -> Encode:
    """`make_encoder` in a worker process, which restores the tokenizer from its files."""
    return make_encoder(source, phase, settings, registry.restore(kind, files))


def count_characters(item: Document | Conversation) -> int:
    """The number of characters of the item's text."""
    if isinstance(item, Document):
        return len(item.text)
    return sum(len(message.content) for message in item.messages)


def _count_replies(item: Conversation) -> int:
    return sum(message.role == "assistant" and message.weight > 0 for message in item.messages)
