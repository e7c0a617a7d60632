"""A plan in words, and what its config must say."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from nielsgpt.planning.candidates import settled
from nielsgpt.planning.plan import MASS, Plan, Planner
from nielsgpt.progress import clock
from nielsgpt.report import figures
from nielsgpt.tables import aligned
from nielsgpt.training import memory
from nielsgpt.training.loop import OFTEN

SHOWN = 8
STATE_BYTES = 12  # a parameter in a saved state: the weight and two moments


def table(plan: Plan, planner: Planner) -> str:
    """The best options: their speed, what they will have read, and what they should end with."""
    heads = ["", "model", "parameters", "batch", "tokens/s", "steps", "tokens", "epochs"]
    rows = [[*heads, "bits per byte", f"{MASS:.0%} interval", "first wins"]]
    low, high = plan.forecast.interval(MASS)
    for n, option in enumerate(plan.options[:SHOWN]):
        chosen, epochs = option.candidate, max(planner.epochs(option.tokens).values())
        rows.append(
            [
                f"{n + 1}",
                f"{chosen.shape.n_layer} x {chosen.shape.n_embd}",
                figures.magnitude(option.params),
                f"{chosen.batch_size} x {chosen.shape.context_length}",
                f"{option.tokens_per_second:,.0f}",
                f"{option.steps:,}",
                figures.magnitude(option.tokens),
                f"{epochs:.1f}",
                f"{plan.forecast.middle[n]:.3f}",
                f"{low[n]:.3f} - {high[n]:.3f}",
                f"{plan.forecast.wins(0, n):.0%}" if n else "",
            ]
        )
    return aligned(rows)


def choice(plan: Plan, planner: Planner, seconds: float, now: datetime) -> str:
    """The chosen one: why, what it takes, and when it will be done."""
    option, middle = plan.chosen, plan.forecast.middle
    settings = settled(planner.settings, option.candidate, option.engine, option.steps)
    phase, shape = settings.training.pretrain, option.candidate.shape
    needed = memory.forecast(shape, planner.speeds.vocab_size, phase, option.engine).bytes
    disk = STATE_BYTES * option.params * (phase.keep_checkpoints + 1)
    done = now + timedelta(seconds=seconds)
    lines = [f"chosen: {option.candidate}, micro-batches of {option.engine.micro_batch_size}"]
    if len(plan.options) > 1:
        gap, wins = middle[1] - middle[0], plan.forecast.wins(0, 1)
        other = plan.options[1].candidate
        lines.append(f"against the next ({other}): {gap:.3f} bits per byte, better with {wins:.0%}")
    epochs = planner.epochs(option.tokens)
    read = ", ".join(f"{name} {times:.1f}" for name, times in epochs.items())
    lines += [
        f"rates: {phase.learning_rate:.3g} (muon {phase.muon_learning_rate:.3g}), warm-up "
        f"{phase.warmup_steps} of {option.steps:,} steps",
        f"epochs: {read}",
        *_repeats(epochs),
        f"memory: about {figures.size(needed)}; disk: about {figures.size(disk)}",
        f"from {plan.pilots} pilots; started now it is done at {done:%H:%M}, in {clock(seconds)}",
    ]
    return "\n".join(lines)


def _repeats(epochs: Mapping[str, float]) -> list[str]:
    """A line for each source that will be learnt by heart: its best state comes before the end."""
    return [
        f"{name} is too little for so much time: more than {OFTEN} epochs teach little, it is "
        "learnt by heart, and no pilot saw that; add text, lower its share, or take less time"
        for name, times in epochs.items()
        if times > OFTEN
    ]
