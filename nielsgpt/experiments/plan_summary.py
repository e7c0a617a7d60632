"""A plan in words, and what its config must say."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from nielsgpt.experiments.plan import MASS, Plan, Planner
from nielsgpt.experiments.throughput import CandidateSpeed
from nielsgpt.format import align_columns, format_bytes, format_count
from nielsgpt.progress import clock
from nielsgpt.training import memory_estimate
from nielsgpt.training.loop import MOST_EPOCHS

SHOWN = 8
STATE_BYTES = 12  # a parameter in a saved state: the weight and two moments


def table(plan: Plan, planner: Planner) -> str:
    """The best options: their speed, what they will have read, and what they should end with."""
    heads = ["", "model", "parameters", "batch", "tokens/s", "steps", "tokens", "epochs"]
    rows = [[*heads, "bits per byte", f"{MASS:.0%} interval", "first wins"]]
    low, high = plan.forecast.interval(MASS)
    for n, option in enumerate(plan.options[:SHOWN]):
        chosen, epochs = option.candidate, max(planner.corpus.epochs(option.tokens).values())
        rows.append(
            [
                f"{n + 1}",
                f"{chosen.shape.n_layer} x {chosen.shape.n_embd}",
                format_count(option.params),
                f"{chosen.batch_size} x {chosen.shape.context_length}",
                f"{option.tokens_per_second:,.0f}",
                f"{option.steps:,}",
                format_count(option.tokens),
                f"{epochs:.1f}",
                f"{plan.forecast.middle[n]:.3f}",
                f"{low[n]:.3f} - {high[n]:.3f}",
                f"{plan.forecast.wins(0, n):.0%}" if n else "",
            ]
        )
    return align_columns(rows)


def describe_choice(plan: Plan, planner: Planner, sft_s: float, now: datetime) -> str:
    """The chosen one: why, what it takes, and when it will be done, SFT after it."""
    option, middle = plan.chosen, plan.forecast.middle
    settings = planner.settings_for(option, option.steps)
    phase, shape = settings.training.pretrain, option.candidate.shape
    needed = memory_estimate.estimate(shape, planner.speeds.vocab_size, phase, option.engine).bytes
    disk = STATE_BYTES * option.params * (phase.keep_checkpoints + 1)
    seconds = option.seconds + sft_s
    done = now + timedelta(seconds=seconds)
    lines = [f"chosen: {option.candidate}, micro-batches of {option.engine.micro_batch_size}"]
    if len(plan.options) > 1:
        gap, wins = middle[1] - middle[0], plan.forecast.wins(0, 1)
        other = plan.options[1].candidate
        lines.append(f"against the next ({other}): {gap:.3f} bits per byte, better with {wins:.0%}")
    epochs = planner.corpus.epochs(option.tokens)
    read = ", ".join(f"{name} {times:.1f}" for name, times in epochs.items())
    lines += [
        f"rates: {phase.learning_rate:.3g} (muon {phase.muon_learning_rate:.3g}), warm-up "
        f"{phase.warmup_steps} of {option.steps:,} steps",
        f"epochs: {read}",
        *_short_of_text(option, epochs),
        f"memory: about {format_bytes(needed)}; disk: about {format_bytes(disk)}",
        f"from {plan.pilots} pilots; started now it is done at {done:%H:%M}, in {clock(seconds)}",
    ]
    return "\n".join(lines)


def _short_of_text(option: CandidateSpeed, epochs: Mapping[str, float]) -> list[str]:
    """A line where the run ends before its time does, else for each source read very often."""
    if option.steps < option.most:
        return [
            "that is enough: read more often, the text is learnt by heart and all other text "
            f"foretold worse; there is time for {option.most:,} steps, which more text would use"
        ]
    return [
        f"{name} is too small for this time: beyond {MOST_EPOCHS} epochs the model overfits; add "
        "text, lower its share, or take less time"
        for name, times in epochs.items()
        if times > MOST_EPOCHS
    ]
