"""The caches as a table: what each split holds, and how much of it training reaches."""

from collections.abc import Sequence

from nielsgpt.data.cache.inventory import SplitSummary
from nielsgpt.report.run_figures import NONE, ago, known, magnitude, size

HEADINGS = (
    *("phase", "source", "split", "documents", "tokens", "text", "tokens/byte"),
    *("tokens in rows", "row fill", "left out", "made from", "on disk", "age"),
)


def table(holdings: Sequence[SplitSummary], now: float) -> list[list[str]]:
    """A heading and a line for each split; `now` in seconds since 1970.

    "tokens in rows" is the share of the tokens that an epoch reaches, "row fill" the share of the
    rows of conversations that is no padding, "left out" the source's replies that are in no row.
    """
    return [list(HEADINGS), *(_row(holding, now) for holding in holdings)]


def findings(holdings: Sequence[SplitSummary]) -> list[str]:
    """A line for each thing that was found in a source when it was looked at, and how often."""
    told = dict.fromkeys(
        (str(holding.meta["source"]), what, count)
        for holding in holdings
        for what, count in holding.meta.get("found", {}).items()
    )
    return [f"{source}: {what}: {count:,}" for source, what, count in told]


def _row(holding: SplitSummary, now: float) -> list[str]:
    meta = holding.meta
    is_chat = "mask" in meta
    share = known(holding.utilization, "{:.1%}".format)
    lost = f"{holding.left_out:,} of {meta.get('replies', 0):,}" if is_chat else NONE
    return [
        holding.phase,
        str(meta["source"]),
        holding.side,
        f"{meta['documents']:,}",
        magnitude(meta["tokens"]),
        size(meta["text_bytes"]),
        f"{meta['tokens'] / max(1, meta['text_bytes']):.3f}",
        NONE if is_chat else share,
        share if is_chat else NONE,
        lost,
        str(meta["inputs"]),
        size(holding.disk_bytes),
        ago(now - holding.modified_at),
    ]
