"""What becomes of each document and conversation: guarded, tokenized, for SFT rendered.

The same block gives the same ids in whichever process it is encoded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nielsgpt.config.settings import Phase, Settings
from nielsgpt.conversation import Conversation, Document, render, split
from nielsgpt.data.cache.blocks import ALWAYS, DocumentBlock
from nielsgpt.data.cache.build import guard, side
from nielsgpt.data.cache.shards import token_dtype
from nielsgpt.tokenizers import registry
from nielsgpt.tokenizers.base import Tokenizer

Encode = Callable[[list[Any]], DocumentBlock]


@dataclass(frozen=True)
class Encoder:
    """Turns the items of one source into a block; `settings` are the whole tree."""

    source: str
    settings: Settings
    codec: Tokenizer

    def documents(self, items: Sequence[Document]) -> DocumentBlock:
        """Ids of the texts, with end tokens as data.document_tokens says."""
        data, texts = self.settings.data, list[str]()
        for item in items:
            where = f"source {self.source}: {item.name or 'a document'}"
            texts.append(guard(item.text, where, data.on_special_literal) or "")
        ids, lengths = self.codec.encode_arrays(texts)
        ends = np.cumsum(lengths)
        marks = {"none": [], "end": [ends], "both": [ends - lengths, ends]}[data.document_tokens]
        if marks:
            ids = np.insert(ids, np.concatenate(marks), self.codec.specials.end)
        pairs = zip(items, texts, strict=True)
        return DocumentBlock(
            documents=len(items),
            ids=ids.astype(token_dtype(self.codec.vocab_size)),
            lengths=lengths + len(marks),
            text_bytes=np.array([len(text.encode()) for text in texts], dtype=np.int64),
            places=np.array([locate(item, text, self.settings.seed) for item, text in pairs]),
        )

    def conversations(self, items: Sequence[Conversation]) -> DocumentBlock:
        """Renderings with their masks, each cut between turns into what the context holds."""
        cleaned = [self._guarded(item) for item in items]
        texts = list(dict.fromkeys(m.content for c in cleaned if c for m in c.messages))
        ids_of = dict(zip(texts, self.codec.encode_batch(texts), strict=True)).__getitem__
        specials = self.codec.specials
        limit = self.settings.model.context_length + 1
        rendered = list[tuple[list[int], list[bool]]]()
        sizes, places, kept = list[int](), list[float](), 0
        for item, clean in zip(items, cleaned, strict=True):
            where = locate(item, item.text, self.settings.seed)
            for piece in filter(_replies, split(clean, ids_of, specials, limit) if clean else ()):
                rendered.append(render(piece, ids_of, specials))
                sizes.append(sum(len(message.content.encode()) for message in piece.messages))
                places.append(where)
                kept += _replies(piece)
        given, dtype = sum(map(_replies, items)), token_dtype(self.codec.vocab_size)
        return DocumentBlock(
            documents=len(items),
            ids=np.array([token for ids, _ in rendered for token in ids], dtype=dtype),
            lengths=np.array([len(ids) for ids, _ in rendered], dtype=np.int64),
            text_bytes=np.array(sizes, dtype=np.int64),
            places=np.array(places, dtype=np.float64),
            mask=np.array([counts for _, mask in rendered for counts in mask], dtype=np.uint8),
            replies=given,
            left_out=given - kept,
            dropped=cleaned.count(None),
        )

    def _guarded(self, item: Conversation) -> Conversation | None:
        messages = []
        for number, message in enumerate(item.messages, start=1):
            where = f"source {self.source}: {item.name or 'a conversation'}, message {number}"
            text = guard(message.content, where, self.settings.data.on_special_literal_sft)
            if text is None:
                return None
            messages.append(replace(message, content=text))
        return replace(item, messages=tuple(messages))


def locate(item: Document | Conversation, text: str, seed: int) -> float:
    """Where the item lies in [0, 1): what lies below a source's share of validation is held out.

    A dataset's own split and the item's group come before the hash of the text.
    """
    if isinstance(item, Document) and item.side:
        return ALWAYS[item.side]
    return side(seed, item.group or text)


def encode(source: str, phase: Phase, settings: Settings, tokenizer: Tokenizer) -> Encode:
    """The work on the blocks of one source in one phase."""
    encoder = Encoder(source, settings, tokenizer)
    return encoder.documents if phase == "pretrain" else encoder.conversations


def encode_in_worker(
    source: str, phase: Phase, settings: Settings, kind: str, files: Mapping[str, bytes]
) -> Encode:
    """The same in another process, which restores the tokenizer from its files."""
    return encode(source, phase, settings, registry.restore(kind, files))


def characters(item: Document | Conversation) -> int:
    """The length of its text."""
    if isinstance(item, Document):
        return len(item.text)
    return sum(len(message.content) for message in item.messages)


def _replies(item: Conversation) -> int:
    return sum(message.role == "assistant" and message.weight > 0 for message in item.messages)
