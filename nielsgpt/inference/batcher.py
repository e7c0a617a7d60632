"""A running batch that rows join and leave: each is asked its own, and none waits for another.

    step 1   [a: prompt]                 a's prompt is read whole, and its first id drawn
    step 2   [a: 1 id] [b: prompt]       b joins; a goes on
    step 3   [a: 1 id] [b: 1 id]         one product for both
    step 4   [b: 1 id]                   a has ended; its keys stay until their place is needed

A row that has left is remembered by the ids that its keys and values belong to: a prompt that
begins with them, such as the next turn of the same chat, is read from where they end.
"""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

import torch
from torch import Tensor

from nielsgpt.config.settings import GenerationSettings
from nielsgpt.errors import RunError
from nielsgpt.inference.eval_mode import eval_mode
from nielsgpt.inference.kvcache import KVCache
from nielsgpt.inference.sampling import Ranking, choose, top_logprobs
from nielsgpt.model.gpt import GPT

FinishReason = Literal["stop", "length"]
Ids = tuple[int, ...]
MOST_TOGETHER = 16  # prompts that are read in one product


@dataclass(frozen=True)
class GenerationRequest:
    """What one row is asked. Stop strings are matters of text: see reply.py.

    `logprobs`: of how many of the likeliest ids, besides the drawn one, the log-probability is
    wanted; None: of none.
    """

    prompt_ids: Ids
    sampling: GenerationSettings
    generator: torch.Generator
    stop_ids: Ids = ()
    banned_ids: Ids = ()
    logprobs: int | None = None


@dataclass(frozen=True)
class SampledToken:
    """One step of one row: an id, or None where an end id came; `finish` when it was the last.

    Log-probabilities are natural and the model's own: before bans, penalties, temperature and cuts.
    """

    row: int
    token: int | None
    finish: FinishReason | None
    logprob: float | None = None
    top: Ranking = ()


@dataclass
class _Row:
    """A row that speaks: all its ids, and those of them whose keys are in the cache."""

    number: int
    asked: GenerationRequest
    manner: tuple[object, ...]
    ids: list[int]
    held: list[int] = field(default_factory=list)
    drawn: int = 0


@dataclass
class _Memory:
    """A place that nobody speaks in: the ids whose keys are there, and since which step."""

    held: list[int]
    left: int = 0


class Batcher:
    """At most `rows` rows that draw together from one model. One thread owns it."""

    def __init__(self, model: GPT, rows: int) -> None:
        self._model, self._most = model, rows
        self._alone = model.step if rows == 1 else None
        self._cache = KVCache(model.context_length, rows)
        self._running: list[_Row] = []  # by place in the cache,
        self._idle: list[_Memory] = []  # and in the places behind them those that are remembered
        self._waiting: list[_Row] = []
        self._numbers = itertools.count(1)
        self._steps = 0

    @property
    def free(self) -> int:
        """How many more rows may join."""
        return self._most - len(self._running) - len(self._waiting)

    def join(self, request: GenerationRequest) -> int:
        """Let a row begin with the next step; returns its number."""
        assert self.free > 0, "the batch is full"
        assert request.prompt_ids, "a prompt needs at least one id"
        number = next(self._numbers)
        self._waiting.append(_Row(number, request, _manner(request), list(request.prompt_ids)))
        return number

    def leave(self, number: int) -> None:
        """Let a row go; nothing happens when it has ended already."""
        self._waiting = [row for row in self._waiting if row.number != number]
        for row in self._running:
            if row.number == number:
                self._retire(row)
                return

    @torch.inference_mode()
    def step(self) -> list[SampledToken]:
        """One more id for every row; new rows read their prompts first."""
        self._steps += 1
        with eval_mode(self._model):
            logits = self._read()
        if not logits.sum().isfinite():  # one number that is not makes the sum so
            raise RunError(
                "the model's logits are not finite, so its weights are damaged; "
                "name another checkpoint with --ckpt"
            )
        done = self._draw(logits)
        for drawn in done:
            if drawn.finish:
                self.leave(drawn.row)
        return done

    def _read(self) -> Tensor:
        """Float32 logits (B, V) after the newest id of every row, in the order of their places.

        By the window rule of generate.py a full row begins anew with its newest half.
        """
        context = self._model.context_length
        for row in [row for row in self._running if len(row.held) == context]:
            row.held = []
            self._retire(row)
            self._waiting.append(row)
        logits = [self._forward(0, [row.ids[-1:] for row in self._running])]
        start, begun, self._waiting = len(self._running), self._waiting, []
        unread = [self._place(row) for row in begun]
        for _, alike in groupby(zip(begun, unread, strict=True), _shape):
            texts = [ids for _, ids in alike]
            for index in range(0, len(texts), MOST_TOGETHER):
                some = texts[index : index + MOST_TOGETHER]
                logits.append(self._forward(start, some))
                start += len(some)
        return torch.cat(logits)

    def _forward(self, start: int, ids: list[list[int]]) -> Tensor:
        """Read these ids in the rows from a place on; logits (B, V) after the last ones."""
        if not ids:
            return torch.empty(0, self._model.vocab_size)
        new = torch.tensor(ids).to(self._model.embedding.weight.device)
        if self._alone and new.numel() == 1 and self._cache.lengths[0]:
            logits = self._alone(new, *self._cache.alone())
        else:
            hidden = self._model.trunk(new, self._cache.span(start, start + len(ids)))
            logits = self._model.head(hidden[:, -1])
        for row, read in zip(self._running[start:], ids, strict=False):
            row.held += read
        return logits.cpu()

    def _place(self, row: _Row) -> list[int]:
        """Let a row run, in a place that holds what it begins with, if there is one; returns what
        it has yet to read."""
        context = self._model.context_length
        window = row.ids[-(context // 2 if row.drawn else context) :]
        best = max(self._idle, key=lambda idle: _shared(idle.held, window), default=None)
        if best is None or 2 * _shared(best.held, window) < len(best.held):
            best = min(self._idle, key=lambda idle: idle.left, default=None)
            if len(self._running) + len(self._idle) < self._most:
                best = _Memory([])
                self._idle.append(best)
        assert best is not None
        place, index = len(self._running), self._idle.index(best)
        self._cache.swap(place, place + index)
        self._idle[index] = self._idle[0]
        del self._idle[0]
        self._running.append(row)
        kept = min(_shared(best.held, window), len(window) - 1)
        row.held = window[:kept]
        self._cache.lengths[place] = kept
        return window[kept:]

    def _retire(self, row: _Row) -> None:
        """Take a row out of the running ones; what it holds is remembered."""
        place, last = self._running.index(row), len(self._running) - 1
        self._cache.swap(place, last)
        self._running[place] = self._running[last]
        del self._running[last]
        self._idle.insert(0, _Memory(row.held, self._steps))

    def _draw(self, logits: Tensor) -> list[SampledToken]:
        """One id for each row, from logits (B, V): those that are asked alike together."""
        groups = defaultdict(list)
        for place, row in enumerate(self._running):
            groups[row.manner].append(place)
        done = []
        for places in groups.values():
            rows = [self._running[place] for place in places]
            first = rows[0].asked
            some = logits[places] if len(groups) > 1 else logits
            drawn = choose(
                some,
                _seen(rows, first.sampling),
                first.sampling,
                [row.asked.generator for row in rows],
                banned=first.banned_ids,
                unpenalised=first.stop_ids,
            )
            for row, own, token in zip(rows, some, drawn.tolist(), strict=True):
                done.append(_taken(row, own, token))
        return done


def _taken(row: _Row, logits: Tensor, token: int) -> SampledToken:
    """The step of a row that drew this id."""
    asked = row.asked
    row.ids.append(token)
    row.drawn += 1
    finish: FinishReason | None = None
    if token in asked.stop_ids:
        finish = "stop"
    elif row.drawn == asked.sampling.max_new_tokens:
        finish = "length"
    logprob: float | None = None
    top: Ranking = ()
    if asked.logprobs is not None:
        logprob, top = top_logprobs(logits, token, asked.logprobs)
    return SampledToken(row.number, None if finish == "stop" else token, finish, logprob, top)


def _manner(asked: GenerationRequest) -> tuple[object, ...]:
    """What the rows that are drawn for together have in common."""
    how = asked.sampling.model_dump(exclude={"seed", "max_new_tokens", "stop_strings"})
    return (*how.values(), asked.stop_ids, asked.banned_ids)


def _shape(begun: tuple[_Row, list[int]]) -> tuple[int, int]:
    """How many ids a new row holds and reads: rows that agree are read together."""
    row, unread = begun
    return len(row.held), len(unread)


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many first ids are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def _seen(rows: list[_Row], sampling: GenerationSettings) -> Tensor:
    """The ids (B, N) that the repetition penalty falls on: the newest `repetition_window`, or all.

    A shorter row repeats its last id, for the penalty falls once on an id however often it is seen.
    """
    if sampling.repetition_penalty == 1.0:
        return torch.empty(len(rows), 0, dtype=torch.int64)
    ids = [row.ids[-sampling.repetition_window :] for row in rows]
    longest = max(map(len, ids))
    return torch.tensor([own + own[-1:] * (longest - len(own)) for own in ids])
