"""How the next id is drawn from logits: small pure functions, composed in `choose`.

    ban -> penalise -> temper -> keep_top_k -> keep_top_p -> keep_min_p -> draw

Each takes float32 logits on the CPU, (V,) or (B, V), and returns new ones; what must not be drawn
becomes -inf. Temperature 0 takes the likeliest id after `penalise`.
"""

import hashlib
import math
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from nielsgpt.config.settings import GenerationSettings

Ranking = tuple[tuple[int, float], ...]  # (id, natural log-probability), the likeliest first

# Beyond these, float32 would round the quotient to 0/0; the distribution no longer changes anyway.
COLDEST, HOTTEST = 1e-30, 1e30


def choose(
    logits: Tensor,
    seen: Tensor,
    sampling: GenerationSettings,
    generators: Sequence[torch.Generator],
    *,
    banned: Sequence[int] = (),
    unpenalised: Collection[int] = (),
) -> Tensor:
    """One id for each row of logits (B, V), as (B,).

    The repetition penalty falls on the ids `seen` (B, N), except `unpenalised` ones: a penalty on
    the end token would keep replies from ending. Row b draws one number from `generators[b]`, a
    greedy one none, so a row's ids do not depend on its neighbours.
    """
    logits = mask_tokens(logits, banned)
    logits = penalize(logits, seen, sampling.repetition_penalty, unpenalised)
    if sampling.temperature == 0.0:
        return logits.max(-1).indices  # the first of equals, as argmax, in half the time
    logits, ids = keep_top_k(apply_temperature(logits, sampling.temperature), sampling.top_k)
    logits = keep_top_p(logits, sampling.top_p)
    logits = keep_min_p(logits, sampling.min_p)
    uniforms = [torch.rand((), generator=g, dtype=torch.float64) for g in generators]
    drawn = draw(logits, torch.stack(uniforms))
    return drawn if ids is None else ids.gather(-1, drawn[:, None])[:, 0]


def top_logprobs(logits: Tensor, token: int, count: int) -> tuple[float, Ranking]:
    """The log-probability of an id under logits (V,), and those of the `count` likeliest ids."""
    logprobs = logits.log_softmax(-1)
    top = logprobs.topk(min(count, logits.numel()))
    pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
    return float(logprobs[token]), tuple(pairs)


def mask_tokens(logits: Tensor, ids: Sequence[int]) -> Tensor:
    """These ids are never drawn."""
    if not ids:
        return logits
    return logits.index_fill(-1, torch.tensor(ids), -torch.inf)


def penalize(logits: Tensor, seen: Tensor, penalty: float, but: Collection[int] = ()) -> Tensor:
    """Seen ids become less likely: positive logits are divided, negative ones multiplied.

    `seen` is (N,) for (V,) and (B, N) for (B, V); an id is penalised once however often it was
    seen, and never when it is one of `but` (Keskar et al. 2019, CTRL).
    """
    if penalty == 1.0:
        return logits
    found = logits.gather(-1, seen)
    spared = torch.isin(seen, torch.tensor(list(but), dtype=seen.dtype))
    weaker = torch.where(found > 0, found / penalty, found * penalty)
    return logits.scatter(-1, seen, torch.where(spared, found, weaker))


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Logits divided by the temperature; the likeliest is moved to 0, so nothing overflows."""
    within = min(max(temperature, COLDEST), HOTTEST)
    return (logits - logits.amax(-1, keepdim=True)) / within


def keep_top_k(logits: Tensor, k: int) -> tuple[Tensor, Tensor | None]:
    """Exactly the k likeliest, also among equals, and their ids in ascending order: (B, k) each.

    0 and k >= V keep all, and then there are no ids to tell. What follows works on k numbers.
    """
    if not 0 < k < logits.shape[-1]:
        return logits, None
    ids = logits.topk(k, dim=-1, sorted=False).indices.sort(dim=-1).values
    return logits.gather(-1, ids), ids


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """The smallest set of likeliest ids whose mass is at least p stays; never fewer than one.

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


def keep_min_p(logits: Tensor, share: float) -> Tensor:
    """Ids less likely than `share` of the likeliest go."""
    if share <= 0.0:
        return logits
    floor = logits.amax(-1, keepdim=True) + math.log(share)
    return logits.masked_fill(logits < floor, -torch.inf)


def draw(logits: Tensor, uniforms: Tensor) -> Tensor:
    """The id at which the cumulated probability passes a uniform number in [0, 1), row by row.

    Divided by their own end, the sums reach exactly 1 at the last id that is possible at all, so
    an impossible id is never drawn.
    """
    sums = logits.softmax(-1).cumsum(-1, dtype=torch.float64)
    sums = sums / sums[..., -1:]
    return torch.searchsorted(sums, uniforms[..., None], right=True).squeeze(-1)


def generator_for(seed: int, index: int = 0) -> torch.Generator:
    """A CPU generator for the index-th row under this seed; neighbouring pairs share nothing."""
    digest = hashlib.blake2b(f"{seed}/{index}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big"))
