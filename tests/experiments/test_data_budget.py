"""Data budgets: what repeated tokens are worth, and after how many epochs a model overfits."""

import pytest

from nielsgpt.experiments.data_budget import MIN_EPOCHS, DataBudget
from nielsgpt.experiments.scaling_law import discount_repeats

ALICE = DataBudget({"text": 56_646}, {"text": 1.0})
MIX = DataBudget({"web": 10_000_000, "notes": 50_000}, {"web": 0.95, "notes": 0.05})


@pytest.mark.parametrize(
    ("params", "low", "high"),
    [(172_608, 15, 18), (984_704, 8, 10), (5_083_136, 5, 7), (10**12, MIN_EPOCHS, MIN_EPOCHS)],
)
def test_the_limit_is_near_where_the_validation_loss_turned(
    params: int, low: float, high: float
) -> None:
    epochs = ALICE.limit_tokens(10**9, params) / 56_646
    assert low - 0.01 <= epochs <= high


def test_the_limit_is_never_above_the_tokens_there_is_time_for() -> None:
    assert ALICE.limit_tokens(300_000, 984_704) == 300_000
    assert ALICE.limit_tokens(1, 10**12) == 1
    assert DataBudget({"text": 10**9}, {"text": 1.0}).limit_tokens(10**8, 10**12) == 10**8


def test_the_limit_in_epochs_rises_with_the_text_and_falls_with_the_model() -> None:
    epochs = [
        DataBudget({"text": n}, {"text": 1.0}).limit_tokens(10**10, 10**6) / n
        for n in (10**4, 10**5, 10**6)
    ]
    assert epochs == sorted(set(epochs))
    assert ALICE.limit_tokens(10**9, 10**5) > ALICE.limit_tokens(10**9, 10**6)


def test_text_can_make_use_of_two_parameters_per_token_at_most() -> None:
    assert ALICE.discount_params(10**12) == pytest.approx(2 * 56_646, rel=1e-6)
    assert ALICE.discount_params(2 * 56_646) == pytest.approx(56_646)
    assert DataBudget({"text": 10**12}, {"text": 1.0}).discount_params(10**6) == pytest.approx(
        10**6, rel=1e-5
    )
    assert MIX.total == 10_050_000


def test_a_small_source_does_not_end_a_run_on_a_mix_that_is_not_used_up() -> None:
    tokens = 8_000_000
    assert MIX.count_epochs(tokens) == {"web": 0.76, "notes": 8.0}
    assert MIX.limit_tokens(20 * tokens, 10**6) == 20 * tokens
    assert MIX.count_unique(tokens) == 0.95 * tokens + 50_000
    assert MIX.discount_repeats(tokens) == pytest.approx(
        0.95 * tokens + discount_repeats(400_000, 50_000)
    )
    used_up = MIX.limit_tokens(10**10, 10**7)
    assert used_up < 10**10
    assert MIN_EPOCHS < used_up / MIX.count_unique(used_up) < 15
