"""What a mix may be read: what the readings are worth, and how many are enough."""

import pytest

from nielsgpt.experiments.data_budget import LEAST, DataBudget
from nielsgpt.experiments.scaling_law import unique

ALICE = DataBudget({"text": 56_646}, {"text": 1.0})
MIX = DataBudget({"web": 10_000_000, "notes": 50_000}, {"web": 0.95, "notes": 0.05})


@pytest.mark.parametrize(
    ("params", "least", "most"),
    [(172_608, 15, 18), (984_704, 8, 10), (5_083_136, 5, 7), (10**12, LEAST, LEAST)],
)
def test_enough_is_near_where_the_loss_on_other_text_turned(
    params: int, least: float, most: float
) -> None:
    readings = ALICE.enough(10**9, params) / 56_646
    assert least - 0.01 <= readings <= most


def test_what_there_is_time_for_is_enough_where_it_is_less() -> None:
    assert ALICE.enough(300_000, 984_704) == 300_000
    assert ALICE.enough(1, 10**12) == 1
    assert DataBudget({"text": 10**9}, {"text": 1.0}).enough(10**8, 10**12) == 10**8


def test_of_more_text_more_is_read_and_by_a_larger_model_less() -> None:
    readings = [
        DataBudget({"text": n}, {"text": 1.0}).enough(10**10, 10**6) / n
        for n in (10**4, 10**5, 10**6)
    ]
    assert readings == sorted(set(readings))
    assert ALICE.enough(10**9, 10**5) > ALICE.enough(10**9, 10**6)


def test_text_has_a_use_for_two_parameters_a_token_at_most() -> None:
    assert ALICE.useful(10**12) == pytest.approx(2 * 56_646, rel=1e-6)
    assert ALICE.useful(2 * 56_646) == pytest.approx(56_646)
    assert DataBudget({"text": 10**12}, {"text": 1.0}).useful(10**6) == pytest.approx(
        10**6, rel=1e-5
    )
    assert MIX.total == 10_050_000


def test_a_small_source_does_not_end_a_run_on_a_mix_that_is_not_used_up() -> None:
    tokens = 8_000_000
    assert MIX.epochs(tokens) == {"web": 0.76, "notes": 8.0}
    assert MIX.enough(20 * tokens, 10**6) == 20 * tokens
    assert MIX.different(tokens) == 0.95 * tokens + 50_000
    assert MIX.worth(tokens) == pytest.approx(0.95 * tokens + unique(400_000, 50_000))
    used_up = MIX.enough(10**10, 10**7)
    assert used_up < 10**10
    assert LEAST < used_up / MIX.different(used_up) < 15
