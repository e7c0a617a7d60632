"""Sampling the next id from logits: small pure functions, composed in `sample`.

    mask_tokens -> penalize_repeats -> apply_temperature -> top-k -> top-p -> min-p -> draw

Each takes float32 logits on the CPU, (V,) or (B, V), and returns new ones; an excluded id gets
-inf. Temperature 0 takes the argmax after the repetition penalty.
"""

import hashlib
import math
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from nielsgpt.config.settings import GenerationSettings

TopLogprobs = tuple[tuple[int, float], ...]  # (id, natural log-probability), best first

# Beyond these, float32 would round the quotient to 0/0; the distribution no longer changes anyway.
MIN_TEMPERATURE = 1e-30
MAX_TEMPERATURE = 1e30


def sample(
    logits: Tensor,
    seen: Tensor,
    sampling: GenerationSettings,
    generators: Sequence[torch.Generator],
    *,
    banned: Sequence[int] = (),
    unpenalized: Collection[int] = (),
) -> Tensor:
    """One id for each row of logits (B, V), as (B,).

    The repetition penalty applies to the ids `seen` (B, N) except `unpenalized` ones: penalizing
    the end token would keep replies from ending. Row b draws one number from `generators[b]`, or
    none when greedy, so a row's ids do not depend on its neighbors.
    """
    logits = mask_tokens(logits, banned)
    logits = penalize_repeats(logits, seen, sampling.repetition_penalty, unpenalized)
    if sampling.temperature == 0.0:
        return logits.max(-1).indices  # the first of equals, like argmax, in half the time
    logits, ids = keep_top_k(apply_temperature(logits, sampling.temperature), sampling.top_k)
    logits = keep_top_p(logits, sampling.top_p)
    logits = keep_min_p(logits, sampling.min_p)
    uniforms = [torch.rand((), generator=g, dtype=torch.float64) for g in generators]
    index = draw(logits, torch.stack(uniforms))
    return index if ids is None else ids.gather(-1, index[:, None])[:, 0]


def compute_top_logprobs(logits: Tensor, token: int, count: int) -> tuple[float, TopLogprobs]:
    """The log-probability of an id under logits (V,), and the `count` top ones."""
    logprobs = logits.log_softmax(-1)
    top = logprobs.topk(min(count, logits.numel()))
    pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
    return float(logprobs[token]), tuple(pairs)


def mask_tokens(logits: Tensor, ids: Sequence[int]) -> Tensor:
    """Set the logits of these ids to -inf."""
    if not ids:
        return logits
    return logits.index_fill(-1, torch.tensor(ids), -torch.inf)


def penalize_repeats(
    logits: Tensor, seen: Tensor, penalty: float, exempt: Collection[int] = ()
) -> Tensor:
    """Make seen ids less likely: divide positive logits, multiply negative ones.

    `seen` is (N,) for (V,) and (B, N) for (B, V). An id is penalized once, however often it was
    seen, and never if it is in `exempt` (Keskar et al. 2019, CTRL).
    """
    if penalty == 1.0:
        return logits
    before = logits.gather(-1, seen)
    is_exempt = torch.isin(seen, torch.tensor(list(exempt), dtype=seen.dtype))
    penalized = torch.where(before > 0, before / penalty, before * penalty)
    return logits.scatter(-1, seen, torch.where(is_exempt, before, penalized))


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Divide logits by the temperature, with the largest shifted to 0 so that nothing overflows."""
    clamped = min(max(temperature, MIN_TEMPERATURE), MAX_TEMPERATURE)
    return (logits - logits.amax(-1, keepdim=True)) / clamped


def keep_top_k(logits: Tensor, k: int) -> tuple[Tensor, Tensor | None]:
    """Keep exactly the k largest logits, even among ties, and their ids in order: (B, k) each.

    0 and k >= V keep all and return None for the ids. Later steps then work on k numbers only.
    """
    if not 0 < k < logits.shape[-1]:
        return logits, None
    ids = logits.topk(k, dim=-1, sorted=False).indices.sort(dim=-1).values
    return logits.gather(-1, ids), ids


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the smallest set of top ids whose probability mass is at least p, at least one.

    With probabilities 0.5, 0.3, 0.2 and p = 0.6 the first two stay: an id stays when the mass
    before it is below p (Holtzman et al. 2019).
    """
    if p >= 1.0:
        return logits
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    mass = ranked.softmax(-1, dtype=torch.float64)
    before = mass.cumsum(-1) - mass
    beyond = before >= p
    return logits.masked_fill(beyond.scatter(-1, order, beyond), -torch.inf)


def keep_min_p(logits: Tensor, min_p: float) -> Tensor:
    """Drop ids less likely than `min_p` times the most likely one (Nguyen et al. 2024)."""
    if min_p <= 0.0:
        return logits
    floor = logits.amax(-1, keepdim=True) + math.log(min_p)
    return logits.masked_fill(logits < floor, -torch.inf)


def draw(logits: Tensor, uniforms: Tensor) -> Tensor:
    """The id at which the cumulative probability passes a uniform number in [0, 1), row by row.

    Dividing by the last sum makes it exactly 1 at the last possible id, so an id of probability 0
    is never drawn.
    """
    sums = logits.softmax(-1).cumsum(-1, dtype=torch.float64)
    sums = sums / sums[..., -1:]
    return torch.searchsorted(sums, uniforms[..., None], right=True).squeeze(-1)


def make_generator(seed: int, index: int = 0) -> torch.Generator:
    """A CPU generator for the index-th row of this seed, independent of every other pair."""
    digest = hashlib.blake2b(f"{seed}/{index}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big"))
