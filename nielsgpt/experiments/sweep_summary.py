"""summary.md: the configurations of a sweep, ranked by the tokens of a night's training."""

from collections.abc import Sequence
from dataclasses import dataclass

from nielsgpt.experiments.grid import Configuration
from nielsgpt.experiments.worker import ResultRow
from nielsgpt.format import markdown_table
from nielsgpt.model.variants import VARIANTS, inner_width

STAR_SHARE = 0.9  # of the best speed: from here on a configuration gets a star
NO_RESULTS = "No successful configurations."
STAR_NOTE = (
    "⭐ has at least 90 % of the highest speed; among these, the one with the most parameters may "
    "learn more from its tokens."
)
COLUMNS = (
    *("Rank", "variant", "T", "C", "L", "H", "d_ff", "precision", "ckpt", "compiled"),
    *("micro-batch", "ms/step", "tok/s", "tokens in {hours:g} h", "params", "GiB"),
)


@dataclass(frozen=True)
class RankedResult:
    """The result of a configuration: its fastest row, the largest micro-batch that ran, the
    smallest that failed, and what was skipped for lack of time."""

    configuration: Configuration
    best: ResultRow | None
    largest: int
    failure: ResultRow | None = None
    skipped: str | None = None

    def __str__(self) -> str:
        row = self.best or self.failure
        return f"{self.configuration}: {describe_speed(row)}" if row else str(self.configuration)


def describe_speed(row: ResultRow) -> str:
    """A row as text: its speed, or its failure."""
    if row["status"] != "ok":
        return f"{row['status']}, {row['reason']}"
    size = row["job"]["engine"]["micro_batch_size"]
    return f"{row['tokens_per_second']:,.0f} tokens/s with micro-batches of {size}"


def rank_results(entries: Sequence[RankedResult]) -> list[RankedResult]:
    """The entries that ran, by tokens per second, then by parameters, the best first."""
    ran = [(entry.best, entry) for entry in entries if entry.best]
    ran.sort(key=lambda pair: (-pair[0]["tokens_per_second"], -pair[0]["params"]))
    return [entry for _, entry in ran]


def format_summary(entries: Sequence[RankedResult], hours: float, batch_size: int) -> str:
    """The summary in Markdown, with the steps of `hours` at about this batch size."""
    ranking = rank_results(entries)
    parts = ["# Bench\n", *_format_table(ranking, hours)] if ranking else ["# Bench\n", NO_RESULTS]
    if ranking:
        parts += ["", *_count_steps(ranking[0], hours, batch_size)]
    failed = [entry for entry in entries if entry.best is None]
    skipped = [f"- {entry.configuration}: {entry.skipped}" for entry in entries if entry.skipped]
    for heading, lines in (
        ("Did not run", [f"- {entry}" for entry in failed]),
        ("Ended early", [f"- {_describe_failure(entry)}" for entry in ranking if entry.failure]),
        ("Skipped for lack of time", skipped),
    ):
        if lines:
            parts += ["", f"## {heading}\n", *lines]
    return "\n".join(parts) + "\n"


def _format_table(ranking: Sequence[RankedResult], hours: float) -> list[str]:
    headings = [column.format(hours=hours) for column in COLUMNS]
    rows = []
    fastest = _best(ranking[0])["tokens_per_second"]
    for rank, entry in enumerate(ranking, 1):
        star = " ⭐" if _best(entry)["tokens_per_second"] >= STAR_SHARE * fastest else ""
        rows.append([f"{rank}{star}", *_format_cells(entry, hours)])
    return [markdown_table(headings, rows), "", STAR_NOTE]


def _format_cells(entry: RankedResult, hours: float) -> list[str]:
    configuration, row = entry.configuration, _best(entry)
    execution, speed = row["job"]["engine"], row["tokens_per_second"]
    variant = VARIANTS[configuration.variant]
    sizes = (
        configuration.context_length,
        configuration.n_embd,
        configuration.n_layer,
        configuration.n_head,
        inner_width(variant, configuration.n_embd, configuration.d_ff),
    )
    memory = max(row["peak_bytes"], row.get("resident_bytes", 0))
    return [
        configuration.variant,
        *map(str, sizes),
        execution["precision"],
        "on" if configuration.activation_checkpointing else "off",
        "yes" if execution["compiled"] else "no",
        str(execution["micro_batch_size"]),
        f"{row['ms_per_step']:,.1f}",
        f"{speed:,.0f}",
        f"{3600 * hours * speed / 1e6:,.1f}M",
        f"{row['params'] / 1e6:,.2f}M",
        f"{memory / 2**30:.2f}",
    ]


def _count_steps(winner: RankedResult, hours: float, batch_size: int) -> list[str]:
    """The steps of the fastest configuration, with the calculation."""
    row, context = _best(winner), winner.configuration.context_length
    size, speed = row["job"]["engine"]["micro_batch_size"], row["tokens_per_second"]
    micro_batches = max(1, round(batch_size / size))
    steps = int(3600 * hours * speed / (size * micro_batches * context))
    return [
        f"Steps in {hours:g} h = tokens/s x {hours:g} x 3600 / (micro-batch x micro-batches per "
        f"step x T) = {speed:,.0f} x {3600 * hours:,.0f} / ({size} x {micro_batches} x {context})"
        f" = {steps:,},",
        f"with a batch of {size} x {micro_batches} = {size * micro_batches} rows. The fastest "
        "model is not always the best: `nielsgpt plan` predicts which ends with the lowest loss.",
    ]


def _describe_failure(entry: RankedResult) -> str:
    assert entry.failure is not None
    failure = entry.failure
    size = failure["job"]["engine"]["micro_batch_size"]
    return (
        f"{entry.configuration}: {failure['status']} with micro-batches of {size}"
        f" ({failure['reason']}); {entry.largest} ran"
    )


def _best(entry: RankedResult) -> ResultRow:
    assert entry.best is not None
    return entry.best
