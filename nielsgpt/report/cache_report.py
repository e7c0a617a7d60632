"""The caches as a table, and as a data card.

The card tells what a model's caches are made from, and leaves room for what only their owner knows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from nielsgpt.data.cache.inventory import SplitSummary
from nielsgpt.format import format_bytes, format_count, markdown_table
from nielsgpt.report.run_figures import NONE, flatten, format_age, format_known

INVENTED = "invented by nielsgpt from its own facts; MIT, as nielsgpt"
NOTHING = "No repeats, near-duplicates, blank replies or odd characters in files of the owner's."
UNSAID = "the owner's to say"
OPEN = (
    (
        "What is in it",
        "languages, kinds of text, who wrote it and when; what was left out on purpose",
    ),
    (
        "Whose it is",
        "the licence of each source, and what it asks for: naming it, sharing alike, no trade",
    ),
    (
        "Who may be in it",
        "people's names, letters, health; whether they were asked. A model can repeat any line",
    ),
    ("What it is not for", "what a model of it will not know, or will get wrong"),
)
HEADINGS = (
    *("phase", "source", "split", "documents", "tokens", "text", "tokens/byte"),
    *("tokens in rows", "row fill", "left out", "made from", "on disk", "age"),
)


def format_card(
    name: str,
    holdings: Sequence[SplitSummary],
    shares: Mapping[tuple[str, str], float],
    origins: Mapping[str, str],
    settings: Mapping[str, Any],
) -> str:
    """Markdown. `shares` by phase and source, `origins` by source, `settings`: those that
    decide the caches and are no defaults, as plain values."""
    parts = [
        f"# The data of {name}",
        "What stands in tables was counted when the caches were built; the rest is for the owner "
        "to write before anyone else is given the data, or a model of it.",
        markdown_table(
            ("phase", "source", "share", "split", "documents", "tokens", "text", "revision"),
            [_row(holding, shares) for holding in holdings],
        ),
        "## Where it comes from\n\n" + _sources(holdings, origins),
        "## How it was cut\n\n" + _cut(holdings),
        "## What was found in it\n\n"
        + ("\n".join(f"- {f}" for f in findings(holdings)) or NOTHING),
        *(f"## {heading}\n\n_{UNSAID}: {ask}._" for heading, ask in OPEN),
        "## The same again\n\n" + markdown_table(("setting", "value"), _settings(settings)),
        "`nielsgpt caches` with these settings, and defaults else, makes the same bytes; "
        "`nielsgpt caches verify` reads every checksum.",
    ]
    return "\n\n".join(parts) + "\n"


def _row(holding: SplitSummary, shares: Mapping[tuple[str, str], float]) -> list[str]:
    meta, source = holding.meta, holding.meta["source"]
    return [
        holding.phase,
        source,
        f"{shares.get((holding.phase, source), 0.0):.0%}",
        holding.side,
        f"{meta['documents']:,}",
        f"{meta['tokens']:,}",
        format_bytes(meta["text_bytes"]),
        str(meta.get("revision", "")),
    ]


def _sources(holdings: Sequence[SplitSummary], origins: Mapping[str, str]) -> str:
    names = dict.fromkeys(holding.meta["source"] for holding in holdings)
    rows = [
        [source, origins.get(source, ""), INVENTED if source == "primer" else f"_{UNSAID}_"]
        for source in names
    ]
    return markdown_table(("source", "from", "licence"), rows)


def _settings(settings: Mapping[str, Any]) -> list[list[str]]:
    return [[f"`{name}`", f"`{value}`"] for name, value in flatten(settings)]


def _cut(holdings: Sequence[SplitSummary]) -> str:
    rules = dict.fromkeys(
        f"- {h.meta['source']}, {h.phase}: to validation where {h.meta['split_rule']}; "
        f"seed {h.meta['seed']}, tokenizer `{h.meta['tokenizer']}`, made from `{h.meta['inputs']}`"
        for h in holdings
    )
    return "\n".join(rules)


def table(splits: Sequence[SplitSummary], now: float) -> list[list[str]]:
    """A heading and a row for each split; `now` in seconds since 1970.

    "tokens in rows" is the share of the tokens that one epoch covers, "row fill" the share of
    conversation rows that is not padding, "left out" the source's replies that are in no row.
    """
    return [list(HEADINGS), *(_split_row(split, now) for split in splits)]


def findings(splits: Sequence[SplitSummary]) -> list[str]:
    """A line for each thing that was found in a source when it was looked at, and how often."""
    found = dict.fromkeys(
        (split.meta["source"], what, count)
        for split in splits
        for what, count in split.meta.get("found", {}).items()
    )
    return [f"{source}: {what}: {count:,}" for source, what, count in found]


def _split_row(split: SplitSummary, now: float) -> list[str]:
    meta = split.meta
    is_chat = "mask" in meta
    share = format_known(split.utilization, "{:.1%}".format)
    left_out = f"{split.left_out:,} of {meta.get('replies', 0):,}" if is_chat else NONE
    return [
        split.phase,
        meta["source"],
        split.side,
        f"{meta['documents']:,}",
        format_count(meta["tokens"]),
        format_bytes(meta["text_bytes"]),
        f"{meta['tokens'] / max(1, meta['text_bytes']):.3f}",
        NONE if is_chat else share,
        share if is_chat else NONE,
        left_out,
        meta["inputs"],
        format_bytes(split.disk_bytes),
        format_age(now - split.modified_at),
    ]
