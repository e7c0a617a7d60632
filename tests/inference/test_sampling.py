import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nielsgpt.config.settings import GenerationSettings
from nielsgpt.inference.sampling import (
    apply_temperature,
    compute_top_logprobs,
    draw,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    make_generator,
    mask_tokens,
    penalize_repeats,
    sample,
)

NOTHING_SEEN = torch.empty(1, 0, dtype=torch.int64)
floats = st.floats(-50.0, 50.0, width=32)


def kept(logits: torch.Tensor) -> list[int]:
    return torch.nonzero(logits > -torch.inf).flatten().tolist()


def logits_of(*probabilities: float) -> torch.Tensor:
    return torch.tensor(probabilities).log()


def settings(**values: float) -> GenerationSettings:
    return GenerationSettings(**{"temperature": 1.0, "top_k": 0, **values})


def sample_many(logits: torch.Tensor, count: int = 2000, **values: float) -> list[int]:
    generator = make_generator(0)
    return [
        int(sample(logits[None], NOTHING_SEEN, settings(**values), [generator]))
        for _ in range(count)
    ]


def test_a_banned_id_is_never_drawn_even_when_it_is_the_likeliest() -> None:
    logits = torch.tensor([[1.0, 9.0, 2.0]])
    assert kept(mask_tokens(logits, [1])[0]) == [0, 2]
    greedy = settings(temperature=0.0)
    assert sample(logits, NOTHING_SEEN, greedy, [], banned=[1]).tolist() == [2]


def test_the_penalty_makes_positive_and_negative_logits_less_likely() -> None:
    logits = torch.tensor([2.0, -2.0, 0.0, 1.0])
    assert penalize_repeats(logits, torch.tensor([0, 1, 2]), 2.0).tolist() == [
        1.0,
        -4.0,
        0.0,
        1.0,
    ]


def test_the_penalty_falls_once_on_an_id_seen_twice() -> None:
    assert penalize_repeats(torch.tensor([8.0, 1.0]), torch.tensor([0, 0, 0]), 2.0).tolist() == [
        4.0,
        1.0,
    ]


def test_the_penalty_spares_the_end_token() -> None:
    logits = torch.tensor([4.0, 4.0])
    assert penalize_repeats(logits, torch.tensor([0, 1]), 2.0, exempt={1}).tolist() == [
        2.0,
        4.0,
    ]


def test_each_row_of_a_batch_has_its_own_penalties() -> None:
    logits = torch.tensor([[4.0, 4.0], [4.0, 4.0]])
    assert penalize_repeats(logits, torch.tensor([[0], [1]]), 2.0).tolist() == [
        [2.0, 4.0],
        [4.0, 2.0],
    ]


def test_temperature_zero_takes_the_likeliest_and_needs_no_generator() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0], [5.0, 3.0, 1.0]])
    seen = torch.empty(2, 0, dtype=torch.int64)
    assert sample(logits, seen, settings(temperature=0.0), []).tolist() == [1, 0]


@pytest.mark.parametrize("temperature", [5e-324, 1e-20, 1e-3, 1.0, 1e3, 1e38, 1e308])
def test_every_temperature_gives_a_distribution_that_keeps_bans(temperature: float) -> None:
    logits = torch.tensor([80.0, -torch.inf, 79.0])
    probabilities = apply_temperature(logits, temperature).softmax(-1)
    assert probabilities.sum() == pytest.approx(1.0)
    assert probabilities[1] == 0.0
    assert probabilities[0] >= probabilities[2]


def test_temperature_divides_log_odds() -> None:
    colder = apply_temperature(logits_of(0.6, 0.4), 0.5).softmax(-1)
    assert colder.tolist() == pytest.approx([0.36 / 0.52, 0.16 / 0.52])


def test_top_k_keeps_exactly_k_among_equals() -> None:
    logits, ids = keep_top_k(torch.zeros(10), 3)
    assert logits.tolist() == [0.0] * 3
    assert ids is not None
    assert len(set(ids.tolist())) == 3


def test_top_k_returns_the_largest_logits_with_their_ids_in_ascending_order() -> None:
    logits, ids = keep_top_k(torch.tensor([[1.0, 6.0, 1.0, 5.0], [9.0, 0.0, 0.0, 8.0]]), 2)
    assert logits.tolist() == [[6.0, 5.0], [9.0, 8.0]]
    assert ids is not None
    assert ids.tolist() == [[1, 3], [0, 3]]


@pytest.mark.parametrize("k", [0, 4, 5, 10**9])
def test_top_k_of_zero_or_beyond_the_vocabulary_keeps_all(k: int) -> None:
    logits, ids = keep_top_k(torch.arange(4.0), k)
    assert logits.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert ids is None


def test_cuts_after_top_k_mean_the_same_as_on_the_whole_vocabulary() -> None:
    rows = torch.randn(200, 40, generator=make_generator(2))
    rest = {"top_p": 0.8, "min_p": 0.05, "temperature": 1.7}
    nothing = torch.empty(200, 0, dtype=torch.int64)
    generators = [make_generator(3, index) for index in range(200)]
    some = sample(rows, nothing, settings(top_k=7, **rest), generators)
    lowest = rows.topk(7).values[:, -1:]
    generators = [make_generator(3, index) for index in range(200)]
    cut = rows.masked_fill(rows < lowest, -torch.inf)
    assert torch.equal(some, sample(cut, nothing, settings(**rest), generators))
    assert len(some.unique()) > 20


def test_the_likeliest_are_returned_with_their_natural_log_probabilities() -> None:
    own, top = compute_top_logprobs(logits_of(0.2, 0.5, 0.3) + 7.0, 0, 2)
    assert own == pytest.approx(math.log(0.2))
    assert [token for token, _ in top] == [1, 2]
    assert [logprob for _, logprob in top] == pytest.approx([math.log(0.5), math.log(0.3)])
    assert len(compute_top_logprobs(torch.zeros(3), 0, 9)[1]) == 3


def test_top_p_keeps_the_id_that_crosses_the_mass() -> None:
    logits = logits_of(0.2, 0.5, 0.3)
    assert kept(keep_top_p(logits, 0.6)) == [1, 2]
    assert kept(keep_top_p(logits, 0.4)) == [1]
    assert kept(keep_top_p(logits, 0.9)) == [0, 1, 2]


@pytest.mark.parametrize("p", [1e-9, 0.5, 0.999999])
def test_top_p_of_a_peaked_distribution_keeps_its_peak(p: float) -> None:
    assert kept(keep_top_p(torch.tensor([0.0, 100.0, 0.0]), p)) == [1]


@given(st.lists(floats, min_size=1, max_size=30), st.floats(0.01, 0.99))
def test_the_nucleus_is_the_smallest_set_with_its_mass(values: list[float], p: float) -> None:
    logits = torch.tensor(values)
    mass = logits.double().softmax(-1)
    nucleus = kept(keep_top_p(logits, p))
    inside = mass[nucleus]
    assert inside.sum() >= p - 1e-9
    assert inside.sum() - inside.min() < p + 1e-9
    assert all(mass[i] <= inside.min() + 1e-12 for i in range(len(values)) if i not in nucleus)


def test_min_p_drops_what_is_below_a_share_of_the_likeliest() -> None:
    assert kept(keep_min_p(logits_of(0.6, 0.31, 0.09), 0.5)) == [0, 1]
    assert kept(keep_min_p(logits_of(0.6, 0.31, 0.09), 0.0)) == [0, 1, 2]


def test_filters_work_row_by_row_as_on_single_rows() -> None:
    rows = torch.randn(5, 40, generator=make_generator(1))
    filters = (
        lambda x: keep_top_k(x, 7)[0],
        lambda x: keep_top_p(x, 0.7),
        lambda x: keep_min_p(x, 0.2),
        lambda x: apply_temperature(x, 0.8),
    )
    for change in filters:
        assert torch.equal(change(rows), torch.stack([change(row) for row in rows]))


def test_draw_takes_the_id_under_the_uniform_number() -> None:
    logits = logits_of(0.25, 0.0, 0.5, 0.25)
    uniforms = torch.tensor([0.0, 0.2, 0.26, 0.74, 0.76, 1 - 2**-53], dtype=torch.float64)
    assert draw(logits.expand(6, 4), uniforms).tolist() == [0, 0, 2, 2, 3, 3]


def test_impossible_ids_at_both_ends_are_never_drawn() -> None:
    logits = torch.tensor([-torch.inf, 1.0, 0.3, -torch.inf]).expand(2, 4)
    uniforms = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    assert draw(logits, uniforms).tolist() == [1, 2]


def test_draws_have_the_frequencies_of_the_distribution() -> None:
    counts = torch.bincount(torch.tensor(sample_many(logits_of(0.5, 0.3, 0.2))), minlength=3) / 2000
    assert counts.tolist() == pytest.approx([0.5, 0.3, 0.2], abs=4 * math.sqrt(0.25 / 2000))


def test_filters_bound_what_is_drawn() -> None:
    logits = logits_of(0.4, 0.3, 0.2, 0.1)
    assert set(sample_many(logits, 300, top_k=3)) == {0, 1, 2}
    assert set(sample_many(logits, 300, top_p=0.6)) == {0, 1}
    assert set(sample_many(logits, 300, min_p=0.45)) == {0, 1, 2}
    assert set(sample_many(logits, 300)) == {0, 1, 2, 3}


def test_the_same_seed_draws_the_same_and_its_neighbors_do_not() -> None:
    def numbers(seed: int, index: int = 0) -> list[float]:
        return torch.rand(4, generator=make_generator(seed, index)).tolist()

    assert numbers(7) == numbers(7)
    different = [(7, 0), (7, 1), (8, 0), (7 + 2**32, 0), (2**64 + 7, 0), (71, 0), (7, 10)]
    assert len({tuple(numbers(*pair)) for pair in different}) == len(different)
