"""A plan as text: the table of its options, and what the chosen one takes."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from nielsgpt.experiments.plan import INTERVAL, Plan, Planner
from nielsgpt.experiments.throughput import PlanOption
from nielsgpt.format import align_columns, format_bytes, format_count
from nielsgpt.progress import clock
from nielsgpt.training import memory_estimate
from nielsgpt.training.loop import MOST_EPOCHS

MAX_ROWS = 8
STATE_BYTES = 12  # of a parameter in a checkpoint: the weight and two moments


def format_table(plan: Plan, planner: Planner) -> str:
    """The best options: their speed, steps and epochs, and the loss they should end with."""
    headings = ["", "model", "parameters", "batch", "tokens/s", "steps", "tokens", "epochs"]
    rows = [[*headings, "bits per byte", f"{INTERVAL:.0%} interval", "first wins"]]
    low, high = plan.forecast.interval(INTERVAL)
    for n, option in enumerate(plan.options[:MAX_ROWS]):
        candidate, shape = option.candidate, option.candidate.shape
        epochs = max(planner.data_budget.count_epochs(option.tokens).values())
        rows.append(
            [
                f"{n + 1}",
                f"{shape.n_layer} x {shape.n_embd}",
                format_count(option.params),
                f"{candidate.batch_size} x {shape.context_length}",
                f"{option.tokens_per_second:,.0f}",
                f"{option.steps:,}",
                format_count(option.tokens),
                f"{epochs:.1f}",
                f"{plan.forecast.median[n]:.3f}",
                f"{low[n]:.3f} - {high[n]:.3f}",
                f"{plan.forecast.wins(0, n):.0%}" if n else "",
            ]
        )
    return align_columns(rows)


def describe_choice(plan: Plan, planner: Planner, sft_s: float, now: datetime) -> str:
    """The chosen option: its lead, its resources, and when it will be done, SFT included."""
    option, median = plan.chosen, plan.forecast.median
    settings = planner.settings_for(option, option.steps)
    phase, shape, execution = settings.training.pretrain, option.candidate.shape, option.execution
    vocab_size = planner.throughput.vocab_size
    memory = memory_estimate.estimate(shape, vocab_size, phase, execution).bytes
    disk = STATE_BYTES * option.params * (phase.keep_checkpoints + 1)
    seconds = option.seconds + sft_s
    done_at = now + timedelta(seconds=seconds)
    lines = [f"chosen: {option.candidate}, micro-batches of {execution.micro_batch_size}"]
    if len(plan.options) > 1:
        lead, wins = median[1] - median[0], plan.forecast.wins(0, 1)
        second = plan.options[1].candidate
        lines.append(
            f"against the second ({second}): {lead:.3f} bits per byte, better with {wins:.0%} "
            "probability"
        )
    epochs = planner.data_budget.count_epochs(option.tokens)
    epochs_text = ", ".join(f"{name} {count:.1f}" for name, count in epochs.items())
    lines += [
        f"learning rate: {phase.learning_rate:.3g} (muon {phase.muon_learning_rate:.3g}), warm-up "
        f"{phase.warmup_steps} of {option.steps:,} steps",
        f"epochs: {epochs_text}",
        *_warn_of_little_text(option, epochs),
        f"memory: about {format_bytes(memory)}; disk: about {format_bytes(disk)}",
        f"from {plan.pilots} pilots; started now it is done at {done_at:%H:%M}, "
        f"in {clock(seconds)}",
    ]
    return "\n".join(lines)


def _warn_of_little_text(option: PlanOption, epochs: Mapping[str, float]) -> list[str]:
    """A line if the run ends before its time, else one for each source with too many epochs."""
    if option.steps < option.max_steps:
        return [
            "the run ends early: with more epochs the model would overfit; there is time for "
            f"{option.max_steps:,} steps, which more text would use"
        ]
    return [
        f"{name} is too small for this time: beyond {MOST_EPOCHS} epochs the model overfits; add "
        "text, lower its share, or take less time"
        for name, count in epochs.items()
        if count > MOST_EPOCHS
    ]
