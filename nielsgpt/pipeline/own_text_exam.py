"""The exam of a person's own text: choosing the true continuation, and repeating text verbatim.

A passage and its continuation are adjacent tokens of one document:

    [end] | passage: half a context, at most 128 tokens | continuation: at most 32 tokens |

Four continuations of a validation passage are compared by likelihood, as in HellaSwag (Zellers et
al. 2019): the true one and those of three other passages, so guessing scores 25 %. A passage is
repeated verbatim if greedy decoding writes its whole continuation (Carlini et al. 2023). Training
passages that are repeated and validation passages that are not were memorized.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from nielsgpt.checkpoint.exam_report import SectionScore, Verbatim
from nielsgpt.data.cache.shards import SPLITS, Split
from nielsgpt.data.cache.shuffle import mix_seed, shuffle_index
from nielsgpt.data.primer.exam_items import wilson
from nielsgpt.errors import DataError
from nielsgpt.inference.generate import score_endings
from nielsgpt.model.gpt import GPT
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.training.assemble import split_identity

log = logging.getLogger("nielsgpt")
PASSAGES = 100
MOST_SPANS, SPAN_TOKENS = 16, 2**16  # of a large split, this much is read
LONGEST_PASSAGE = 128
LONGEST_CONTINUATION = 32
CHOICES = 4
Passages = NDArray[np.int64]


class Figures(TypedDict):
    """A section for each source, and its passages that are repeated word for word."""

    sections: list[SectionScore]
    verbatim: list[Verbatim]


def identify_caches(workspace: Workspace) -> dict[str, list[str]]:
    """The identities of both cached splits of each document source; the primer is not one."""
    folder = workspace.splits("pretrain")
    identities = {}
    for name in sorted({*workspace.settings.mix("pretrain")} - {"primer"}):
        try:
            identities[name] = [split_identity(folder, f"{name}_{split}") for split in SPLITS]
        except DataError as error:
            identities[name] = [str(error)]
    return identities


def examine_sources(
    workspace: Workspace, model: GPT, tokenizer: Tokenizer, origin: Mapping[str, Any]
) -> Figures:
    """The `sections` and `verbatim` figures of every document source that can be examined.

    `origin` has the identities of the training splits that the model was pretrained on. A source
    whose cache is another or has too little text is left out, with one line in the log.
    """
    figures: Figures = {"sections": [], "verbatim": []}
    left_out: dict[str, list[str]] = {}
    for source, (train, *_) in identify_caches(workspace).items():
        if origin.get(source) != train:
            left_out.setdefault("the cache it was pretrained on is not here", []).append(source)
            continue
        try:
            passages = [_open(workspace, source, split, model, tokenizer) for split in SPLITS]
        except DataError as error:
            left_out.setdefault(str(error), []).append(source)
            continue
        offered = offer_continuations(passages[1], count_continuation(model))
        if not len(offered):
            reason = f"its validation text has fewer than {CHOICES} passages"
            left_out.setdefault(reason, []).append(source)
            continue
        section, verbatim = _examine(source, model, passages[0], offered)
        figures["sections"].append(section)
        figures["verbatim"].append(verbatim)
    for reason, sources in left_out.items():
        log.info("exam: no passages of %s: %s", ", ".join(sources), reason)
    return figures


def draw_passages(split: Split, length: int, end_id: int, seed: int) -> Passages:
    """At most 100 windows of `length` tokens, each after an end token: (N, 1 + length).

    Every document is cut into windows from its first token; a remainder is left out. The windows
    drawn depend on the seed and the split alone.
    """
    windows = [np.empty((0, length), dtype=np.int64)]
    for span in _read_spans(split):
        for document in np.split(span, np.flatnonzero(span == end_id)):
            ids = document[document != end_id]
            if count := len(ids) // length:
                windows.append(ids[: count * length].reshape(count, length))
    every = np.concatenate(windows)
    chosen = [
        shuffle_index(index, len(every), mix_seed(seed))
        for index in range(min(PASSAGES, len(every)))
    ]
    return np.insert(every[chosen], 0, end_id, axis=1)


def _read_spans(split: Split) -> Iterator[Passages]:
    """The whole split, in spans, or evenly spread spans of a large one."""
    count = -(-split.tokens // SPAN_TOKENS)
    for number in np.linspace(0, count - 1, min(count, MOST_SPANS)).astype(np.int64).tolist():
        start = number * SPAN_TOKENS
        yield split.read(start, min(SPAN_TOKENS, split.tokens - start))


def offer_continuations(passages: Passages, tokens: int) -> Passages:
    """(N, 4, T): each passage with its true continuation, which is first, and with three others.

    The others are the next ones, in the order drawn, that differ from it and from one another. A
    passage without three of them is left out.
    """
    offered = []
    for number, passage in enumerate(passages):
        different = {passage[-tokens:].tobytes(): passage}
        for other in (*passages[number + 1 :], *passages[:number]):
            ending = other[-tokens:]
            row = np.concatenate([passage[:-tokens], ending])
            different.setdefault(ending.tobytes(), row)
            if len(different) == CHOICES:
                offered.append(np.stack([*different.values()]))
                break
    return np.array(offered, dtype=np.int64).reshape(-1, CHOICES, passages.shape[1])


def count_continuation(model: GPT) -> int:
    """The number of tokens in a continuation."""
    return min(LONGEST_CONTINUATION, model.context_length - _count_passage(model))


def _count_passage(model: GPT) -> int:
    return min(LONGEST_PASSAGE, model.context_length // 2)


def _open(
    workspace: Workspace, source: str, split: str, model: GPT, tokenizer: Tokenizer
) -> Passages:
    opened = Split(workspace.splits("pretrain"), f"{source}_{split}", tokenizer.fingerprint)
    length = _count_passage(model) + count_continuation(model)
    return draw_passages(opened, length, tokenizer.specials.end, workspace.settings.seed)


def _examine(
    source: str, model: GPT, train: Passages, offered: Passages
) -> tuple[SectionScore, Verbatim]:
    """The section of a source, and how many passages of each split are continued verbatim.

    A choice is right where the true continuation alone is the most likely one.
    """
    tokens, total = count_continuation(model), len(offered)
    scores, greedy = score_endings(model, offered.reshape(total * CHOICES, -1), tokens)
    scores, greedy = scores.reshape(total, CHOICES), greedy.reshape(total, CHOICES)
    right = int((scores[:, 0] > scores[:, 1:].max(axis=1)).sum())
    section: SectionScore = {
        "section": f"continues {source}",
        "right": right,
        "total": total,
        "interval": [*wilson(right, total)],
        "chance": 1 / CHOICES,
    }
    repeated = score_endings(model, train, tokens)[1]
    return section, {
        "source": source,
        "tokens": tokens,
        "train": [int(repeated.sum()), len(train)],
        "val": [int(greedy[:, 0].sum()), total],
    }
