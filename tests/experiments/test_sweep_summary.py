"""The summary of a sweep, word for word."""

from typing import Any

from nielsgpt.experiments import sweep_summary
from nielsgpt.experiments.grid import Configuration
from nielsgpt.experiments.sweep_summary import RankedResult

FIRST = Configuration(context_length=256, n_layer=6, n_head=4, n_embd=256)
SECOND = FIRST.model_copy(update={"n_layer": 8})
THIRD = FIRST.model_copy(update={"n_embd": 512, "activation_checkpointing": True})
FOURTH = FIRST.model_copy(update={"n_layer": 99})

GOLDEN = """# Bench

| Rank | variant | T | C | L | H | d_ff | precision | ckpt | compiled | micro-batch | ms/step | tok/s | tokens in 8 h | params | GiB |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| 1 ⭐ | gpt_qk | 256 | 256 | 8 | 4 | 704 | bf16 | off | no | 6 | 125.0 | 10,000 | 288.0M | 6.00M | 0.50 |
| 2 ⭐ | gpt_qk | 256 | 256 | 6 | 4 | 704 | bf16 | off | no | 6 | 125.0 | 10,000 | 288.0M | 5.00M | 0.50 |
| 3 | gpt_qk | 256 | 512 | 6 | 4 | 1408 | bf16 | on | yes | 6 | 125.0 | 8,999 | 259.2M | 9.00M | 0.50 |

⭐ has at least 90 % of the highest speed; among these, the one with the most parameters may learn more from its tokens.

Steps in 8 h = tokens/s x 8 x 3600 / (micro-batch x micro-batches per step x T) = 10,000 x 28,800 / (6 x 3 x 256) = 62,500,
with a batch of 6 x 3 = 18 rows. The fastest model is not always the best: `nielsgpt plan` predicts which ends with the lowest loss.

## Did not run

- gpt_qk 99 x 256, 4 heads, T 256, auto: oom, more than 3.00 GiB

## Ended early

- gpt_qk 6 x 256, 4 heads, T 256, auto: timeout with micro-batches of 8 (more than 20 s for its steps); 6 ran

## Skipped for lack of time

- gpt_qk 6 x 512, 4 heads, T 256, auto, checkpointing: micro-batches above 6 were not tried
"""  # noqa: E501


def row(speed: float, params: int, compiled: bool = False) -> dict[str, Any]:
    return {
        "status": "ok",
        "tokens_per_second": speed,
        "ms_per_step": 125.0,
        "params": params,
        "peak_bytes": 2**29,
        "resident_bytes": 2**28,
        "job": {
            "engine": {"micro_batch_size": 6, "precision": "bf16", "compiled": compiled},
        },
    }


def failed(status: str, reason: str, size: int) -> dict[str, Any]:
    return {
        "status": status,
        "reason": reason,
        "job": {"engine": {"micro_batch_size": size}},
    }


def test_the_summary_is_this_text() -> None:
    slow = failed("timeout", "more than 20 s for its steps", 8)
    entries = [
        RankedResult(
            THIRD, row(8999.0, 9_000_000, True), 6, None, "micro-batches above 6 were not tried"
        ),
        RankedResult(FIRST, row(10_000.0, 5_000_000), 6, slow),
        RankedResult(FOURTH, None, 0, failed("oom", "more than 3.00 GiB", 1)),
        RankedResult(SECOND, row(10_000.0, 6_000_000), 6),
    ]
    assert sweep_summary.format_summary(entries, 8.0, 16) == GOLDEN


def test_a_sweep_without_a_success_has_no_table() -> None:
    entries = [RankedResult(FIRST, None, 0, failed("error", "no", 1))]
    assert "No successful configurations." in sweep_summary.format_summary(entries, 8.0, 16)
    assert "error, no" in sweep_summary.format_summary(entries, 8.0, 16)


def test_exactly_nine_tenths_of_the_best_has_a_star() -> None:
    entries = [RankedResult(FIRST, row(1000.0, 5), 6), RankedResult(SECOND, row(900.0, 6), 6)]
    assert "| 2 ⭐ |" in sweep_summary.format_summary(entries, 8.0, 16)
