"""Continuous batching: rows join and leave a running batch, and none waits for another.

    step 1   [a: prompt]                 prefill a's prompt and sample its first id
    step 2   [a: 1 id] [b: prompt]       b joins while a continues
    step 3   [a: 1 id] [b: 1 id]         one forward pass for both
    step 4   [b: 1 id]                   a has ended; its keys stay until their slot is needed

The cache keeps the keys and values of a row that has left, together with their ids: a prompt that
starts with the same ids, such as the next turn of a chat, is only prefilled from where they differ.
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
from nielsgpt.inference.kvcache import KVCache
from nielsgpt.inference.sampling import TopLogprobs, compute_top_logprobs, sample
from nielsgpt.model.gpt import GPT, eval_mode

FinishReason = Literal["stop", "length"]
Ids = tuple[int, ...]
MAX_PREFILL_ROWS = 16  # prompts in one forward pass


@dataclass(frozen=True)
class GenerationRequest:
    """One row to generate. Stop strings are a matter of text: see generate.stream_reply.

    `logprobs`: report the log-probability of each sampled id and of this many top ids; None for
    neither.
    """

    prompt_ids: Ids
    sampling: GenerationSettings
    generator: torch.Generator
    stop_ids: Ids = ()
    banned_ids: Ids = ()
    logprobs: int | None = None


@dataclass(frozen=True)
class SampledToken:
    """One step of one row: an id, None for an end id; `finish` is set on the last step.

    Log-probabilities are natural and the model's own: before bans, penalties, temperature and cuts.
    """

    row: int
    token: int | None
    finish: FinishReason | None
    logprob: float | None = None
    top: TopLogprobs = ()


@dataclass
class _Row:
    """A running row: all its ids, and those whose keys are in the cache."""

    number: int
    request: GenerationRequest
    sampling_key: tuple[object, ...]
    ids: list[int]
    cached_ids: list[int] = field(default_factory=list)
    n_sampled: int = 0


@dataclass
class _IdleSlot:
    """A cache slot without a row: the ids whose keys it still has, and the step it became idle."""

    cached_ids: list[int]
    idle_since: int = 0


class Batcher:
    """At most `rows` rows that generate together from one model. Owned by a single thread."""

    def __init__(self, model: GPT, rows: int) -> None:
        self._model = model
        self._max_rows = rows
        self._compiled_step = model.step if rows == 1 else None
        self._cache = KVCache(model.context_length, rows)
        self._running: list[_Row] = []  # in cache slots 0, 1, ...
        self._idle: list[_IdleSlot] = []  # in the slots after the running rows
        self._waiting: list[_Row] = []
        self._numbers = itertools.count(1)
        self._steps = 0

    @property
    def free_rows(self) -> int:
        """The number of rows that can still join."""
        return self._max_rows - len(self._running) - len(self._waiting)

    def join(self, request: GenerationRequest) -> int:
        """Start a row at the next step; returns its number."""
        assert self.free_rows > 0, "the batch is full"
        assert request.prompt_ids, "a prompt needs at least one id"
        number = next(self._numbers)
        row = _Row(number, request, _sampling_key(request), list(request.prompt_ids))
        self._waiting.append(row)
        return number

    def leave(self, number: int) -> None:
        """Remove a row; does nothing if it has already ended."""
        self._waiting = [row for row in self._waiting if row.number != number]
        for row in self._running:
            if row.number == number:
                self._retire(row)
                return

    @torch.inference_mode()
    def step(self) -> list[SampledToken]:
        """Sample one id for every row; new rows are prefilled first."""
        self._steps += 1
        with eval_mode(self._model):
            logits = self._compute_logits()
        if not logits.sum().isfinite():  # a single nan or inf makes the sum non-finite
            raise RunError(
                "the model's logits are not finite, so its weights are damaged; "
                "name another checkpoint with --ckpt"
            )
        tokens = self._sample(logits)
        for token in tokens:
            if token.finish:
                self.leave(token.row)
        return tokens

    def _compute_logits(self) -> Tensor:
        """Float32 logits (B, V) after the newest id of every row, in slot order.

        By the window rule of generate.py, a full row restarts with its newest half.
        """
        context = self._model.context_length
        for row in [row for row in self._running if len(row.cached_ids) == context]:
            row.cached_ids = []
            self._retire(row)
            self._waiting.append(row)
        logits = [self._forward(0, [row.ids[-1:] for row in self._running])]
        slot = len(self._running)
        new_rows, self._waiting = self._waiting, []
        unread = [self._admit(row) for row in new_rows]
        for _, group in groupby(zip(new_rows, unread, strict=True), _prefill_shape):
            prompts = [ids for _, ids in group]
            for index in range(0, len(prompts), MAX_PREFILL_ROWS):
                batch = prompts[index : index + MAX_PREFILL_ROWS]
                logits.append(self._forward(slot, batch))
                slot += len(batch)
        return torch.cat(logits)

    def _forward(self, slot: int, ids: list[list[int]]) -> Tensor:
        """Run the model on these ids, one list a slot from `slot` on; the last logits (B, V)."""
        if not ids:
            return torch.empty(0, self._model.vocab_size)
        x = torch.tensor(ids).to(self._model.embedding.weight.device)
        if self._compiled_step and x.numel() == 1 and self._cache.lengths[0]:
            logits = self._compiled_step(x, *self._cache.next_position())
        else:
            hidden = self._model.trunk(x, self._cache.span(slot, slot + len(ids)))
            logits = self._model.head(hidden[:, -1])
        for row, new_ids in zip(self._running[slot:], ids, strict=False):
            row.cached_ids += new_ids
        return logits.cpu()

    def _admit(self, row: _Row) -> list[int]:
        """Start a row in the idle slot that shares most with it; returns the ids to prefill."""
        context = self._model.context_length
        window = row.ids[-(context // 2 if row.n_sampled else context) :]
        best = max(
            self._idle, key=lambda idle: _common_prefix(idle.cached_ids, window), default=None
        )
        if best is None or 2 * _common_prefix(best.cached_ids, window) < len(best.cached_ids):
            best = min(self._idle, key=lambda idle: idle.idle_since, default=None)
            if len(self._running) + len(self._idle) < self._max_rows:
                best = _IdleSlot([])
                self._idle.append(best)
        assert best is not None
        slot, index = len(self._running), self._idle.index(best)
        self._cache.swap(slot, slot + index)
        self._idle[index] = self._idle[0]
        del self._idle[0]
        self._running.append(row)
        kept = min(_common_prefix(best.cached_ids, window), len(window) - 1)
        row.cached_ids = window[:kept]
        self._cache.lengths[slot] = kept
        return window[kept:]

    def _retire(self, row: _Row) -> None:
        """Stop running a row; its slot becomes idle and keeps its keys."""
        slot, last = self._running.index(row), len(self._running) - 1
        self._cache.swap(slot, last)
        self._running[slot] = self._running[last]
        del self._running[last]
        self._idle.insert(0, _IdleSlot(row.cached_ids, self._steps))

    def _sample(self, logits: Tensor) -> list[SampledToken]:
        """One id for each row from logits (B, V); rows with equal sampling are sampled together."""
        groups = defaultdict(list)
        for slot, row in enumerate(self._running):
            groups[row.sampling_key].append(slot)
        tokens = []
        for slots in groups.values():
            rows = [self._running[slot] for slot in slots]
            request = rows[0].request
            group_logits = logits[slots] if len(groups) > 1 else logits
            ids = sample(
                group_logits,
                _penalized_ids(rows, request.sampling),
                request.sampling,
                [row.request.generator for row in rows],
                banned=request.banned_ids,
                unpenalized=request.stop_ids,
            )
            for row, row_logits, token in zip(rows, group_logits, ids.tolist(), strict=True):
                tokens.append(_append(row, row_logits, token))
        return tokens


def _append(row: _Row, logits: Tensor, token: int) -> SampledToken:
    """Append the sampled id to its row, and decide whether the row ends."""
    request = row.request
    row.ids.append(token)
    row.n_sampled += 1
    finish: FinishReason | None = None
    if token in request.stop_ids:
        finish = "stop"
    elif row.n_sampled == request.sampling.max_new_tokens:
        finish = "length"
    logprob: float | None = None
    top: TopLogprobs = ()
    if request.logprobs is not None:
        logprob, top = compute_top_logprobs(logits, token, request.logprobs)
    return SampledToken(row.number, None if finish == "stop" else token, finish, logprob, top)


def _sampling_key(request: GenerationRequest) -> tuple[object, ...]:
    """Equal for rows that can be sampled in one call."""
    values = request.sampling.model_dump(exclude={"seed", "max_new_tokens", "stop_strings"})
    return (*values.values(), request.stop_ids, request.banned_ids)


def _prefill_shape(row_and_unread: tuple[_Row, list[int]]) -> tuple[int, int]:
    """Cached and unread lengths: rows with equal ones are prefilled together."""
    row, unread = row_and_unread
    return len(row.cached_ids), len(unread)


def _common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """The length of the common prefix."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def _penalized_ids(rows: list[_Row], sampling: GenerationSettings) -> Tensor:
    """The ids (B, N) that the repetition penalty sees: the newest `repetition_window`, or all.

    A shorter row repeats its last id: the penalty counts an id once, however often it occurs.
    """
    if sampling.repetition_penalty == 1.0:
        return torch.empty(len(rows), 0, dtype=torch.int64)
    ids = [row.ids[-sampling.repetition_window :] for row in rows]
    longest = max(map(len, ids))
    return torch.tensor([row_ids + row_ids[-1:] * (longest - len(row_ids)) for row_ids in ids])
