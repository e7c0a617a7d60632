"""summary.md: the configurations of a sweep, ranked by the tokens of a night."""

from collections.abc import Sequence
from dataclasses import dataclass

from nielsgpt.experiments.grid import Configuration
from nielsgpt.experiments.job import Row
from nielsgpt.format import markdown_table
from nielsgpt.model.variants import VARIANTS, inner_width

NEAR = 0.9  # of the best speed: what gets a star
NONE = "No successful configurations."
STARRED = (
    "⭐ is within 90 % of the fastest; of those, the one with the most parameters may learn more "
    "from its tokens."
)
COLUMNS = (
    *("Rank", "variant", "T", "C", "L", "H", "d_ff", "precision", "ckpt", "compiled"),
    *("micro-batch", "ms/step", "tok/s", "tokens in {hours:g} h", "params", "GiB"),
)


@dataclass(frozen=True)
class RankedResult:
    """What a sweep found out of a configuration: its fastest row, the largest micro-batch that ran,
    the first that did not, and what was left out for time."""

    configuration: Configuration
    best: Row | None
    largest: int
    failure: Row | None = None
    cut: str | None = None

    def __str__(self) -> str:
        row = self.best or self.failure
        return f"{self.configuration}: {speed(row)}" if row else str(self.configuration)


def speed(row: Row) -> str:
    """A row in words: its speed, or why it has none."""
    if row["status"] != "ok":
        return f"{row['status']}, {row['reason']}"
    size = row["job"]["engine"]["micro_batch_size"]
    return f"{row['tokens_per_second']:,.0f} tokens/s with micro-batches of {size}"


def rank_results(entries: Sequence[RankedResult]) -> list[RankedResult]:
    """The entries that ran, by tokens a second, then by parameters; the best first."""
    ran = [(entry.best, entry) for entry in entries if entry.best]
    ran.sort(key=lambda pair: (-pair[0]["tokens_per_second"], -pair[0]["params"]))
    return [entry for _, entry in ran]


def text(entries: Sequence[RankedResult], hours: float, wanted: int) -> str:
    """The summary in Markdown; `wanted` is the batch that the steps are counted for."""
    order = rank_results(entries)
    parts = ["# Bench\n", *_table(order, hours)] if order else ["# Bench\n", NONE]
    if order:
        parts += ["", *_advice(order[0], hours, wanted)]
    failed = [entry for entry in entries if entry.best is None]
    notes = [f"- {entry.configuration}: {entry.cut}" for entry in entries if entry.cut]
    for heading, lines in (
        ("Did not run", [f"- {entry}" for entry in failed]),
        ("Ended early", [f"- {_ending(entry)}" for entry in order if entry.failure]),
        ("Left out for time", notes),
    ):
        if lines:
            parts += ["", f"## {heading}\n", *lines]
    return "\n".join(parts) + "\n"


def _table(order: Sequence[RankedResult], hours: float) -> list[str]:
    heads = [column.format(hours=hours) for column in COLUMNS]
    rows = []
    fastest = _best(order[0])["tokens_per_second"]
    for rank, entry in enumerate(order, 1):
        star = " ⭐" if _best(entry)["tokens_per_second"] >= NEAR * fastest else ""
        rows.append([f"{rank}{star}", *_cells(entry, hours)])
    return [markdown_table(heads, rows), "", STARRED]


def _cells(entry: RankedResult, hours: float) -> list[str]:
    chosen, row = entry.configuration, _best(entry)
    engine, rate = row["job"]["engine"], row["tokens_per_second"]
    inner = inner_width(VARIANTS[chosen.variant], chosen.n_embd, chosen.d_ff)
    memory = max(row["peak_bytes"], row.get("resident_bytes", 0))
    return [
        chosen.variant,
        *map(str, (chosen.context_length, chosen.n_embd, chosen.n_layer, chosen.n_head, inner)),
        engine["precision"],
        "on" if chosen.activation_checkpointing else "off",
        "yes" if engine["compiled"] else "no",
        str(engine["micro_batch_size"]),
        f"{row['ms_per_step']:,.1f}",
        f"{rate:,.0f}",
        f"{3600 * hours * rate / 1e6:,.1f}M",
        f"{row['params'] / 1e6:,.2f}M",
        f"{memory / 2**30:.2f}",
    ]


def _advice(winner: RankedResult, hours: float, wanted: int) -> list[str]:
    """How many steps the fastest one makes, with its own numbers."""
    row, context = _best(winner), winner.configuration.context_length
    size, rate = row["job"]["engine"]["micro_batch_size"], row["tokens_per_second"]
    times = max(1, round(wanted / size))
    steps = int(3600 * hours * rate / (size * times * context))
    return [
        f"Steps in {hours:g} h = tokens/s x {hours:g} x 3600 / (micro-batch x micro-batches a step"
        f" x T) = {rate:,.0f} x {3600 * hours:,.0f} / ({size} x {times} x {context}) = {steps:,},",
        f"with a batch of {size} x {times} = {size * times} rows. Fast is not yet good:"
        " `nielsgpt plan` says which one ends best.",
    ]


def _ending(entry: RankedResult) -> str:
    assert entry.failure is not None
    failed = entry.failure
    size = failed["job"]["engine"]["micro_batch_size"]
    return (
        f"{entry.configuration}: {failed['status']} with micro-batches of {size}"
        f" ({failed['reason']}); {entry.largest} ran"
    )


def _best(entry: RankedResult) -> Row:
    assert entry.best is not None
    return entry.best
