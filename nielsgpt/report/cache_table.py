"""The caches as a table: the contents of each split, and how much of it training uses."""

from collections.abc import Sequence

from nielsgpt.data.cache.inventory import SplitSummary
from nielsgpt.format import format_bytes, format_count
from nielsgpt.report.run_figures import NONE, format_age, format_known

HEADINGS = (
    *("phase", "source", "split", "documents", "tokens", "text", "tokens/byte"),
    *("tokens in rows", "row fill", "left out", "made from", "on disk", "age"),
)


def table(splits: Sequence[SplitSummary], now: float) -> list[list[str]]:
    """A heading and a row for each split; `now` in seconds since 1970.

    "tokens in rows" is the share of the tokens that one epoch covers, "row fill" the share of
    conversation rows that is not padding, "left out" the source's replies that are in no row.
    """
    return [list(HEADINGS), *(_row(split, now) for split in splits)]


def findings(splits: Sequence[SplitSummary]) -> list[str]:
    """A line for each thing that was found in a source when it was looked at, and how often."""
    found = dict.fromkeys(
        (str(split.meta["source"]), what, count)
        for split in splits
        for what, count in split.meta.get("found", {}).items()
    )
    return [f"{source}: {what}: {count:,}" for source, what, count in found]


def _row(split: SplitSummary, now: float) -> list[str]:
    meta = split.meta
    is_chat = "mask" in meta
    share = format_known(split.utilization, "{:.1%}".format)
    left_out = f"{split.left_out:,} of {meta.get('replies', 0):,}" if is_chat else NONE
    return [
        split.phase,
        str(meta["source"]),
        split.side,
        f"{meta['documents']:,}",
        format_count(meta["tokens"]),
        format_bytes(meta["text_bytes"]),
        f"{meta['tokens'] / max(1, meta['text_bytes']):.3f}",
        NONE if is_chat else share,
        share if is_chat else NONE,
        left_out,
        str(meta["inputs"]),
        format_bytes(split.disk_bytes),
        format_age(now - split.modified_at),
    ]
