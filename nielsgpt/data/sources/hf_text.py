"""Documents of the Hub's text datasets: one per row, or per article for WikiText."""

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Literal

from nielsgpt.conversation import Document
from nielsgpt.data.sources import hf_hub
from nielsgpt.data.sources.hf_hub import Dataset, Row
from nielsgpt.errors import DataError

COLUMNS = ("text", "content", "document")
HEADING = re.compile(r" = (?!= )\S.* = \n?")
SIDES: dict[str, Literal["train", "val"]] = {"train": "train", "validation": "val"}
Side = Literal["train", "val"] | None


def read_documents(dataset: Dataset, seed: int) -> Iterator[Document]:
    """The documents of train and validation; those of the dataset's own splits have a `side`.

    If both have a token budget, they are interleaved in the ratio of the budgets, so that a build
    can stop when both are met. Raises DataError if a row has no text column.
    """
    rows = hf_hub.open_splits(dataset, seed)
    own = len(rows) > 1
    found = {split: _read_split(dataset, split, rows[split], own) for split in rows}
    if not own:
        yield from found["train"]
        return
    wanted = dataset.settings
    every = wanted.train_tokens // wanted.val_tokens if wanted.val_tokens else 0
    yield from interleave(found["validation"], found["train"], max(1, every) if every else 0)


def interleave(few: Iterator[Document], many: Iterator[Document], every: int) -> Iterator[Document]:
    """One of `few`, then `every` of `many`, and so on, then the rest; 0: all of `few` first."""
    while every:
        turn = [*itertools.islice(few, 1), *itertools.islice(many, every)]
        yield from turn
        if len(turn) <= every:
            break
    yield from few
    yield from many


def join_articles(rows: Iterator[Row], where: str, side: Side) -> Iterator[Document]:
    """Join WikiText lines to articles; a line ` = Title = ` after a blank line begins a new one.

    Blank lines are dropped, everything else is kept.
    """
    lines: list[str] = []
    begun, blank = 1, True
    for number, row in enumerate(rows, start=1):
        line = row["text"]
        if blank and HEADING.fullmatch(line) and lines:
            yield Document("".join(lines), f"{where}, the article at row {begun}", side)
            lines, begun = [], number
        blank = not line.strip()
        if not blank:
            lines.append(line if line.endswith("\n") else f"{line}\n")
    if lines:
        yield Document("".join(lines), f"{where}, the article at row {begun}", side)


def read_texts(rows: Iterator[Row], where: str, side: Side) -> Iterator[Document]:
    """The text of each row: the first string among the columns text, content and document."""
    for number, row in enumerate(rows, start=1):
        text = next((row[key] for key in COLUMNS if isinstance(row.get(key), str)), None)
        if text is None and not set(COLUMNS) & set(row):
            raise DataError(
                f"{where} has no column {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}; "
                f"its columns are {', '.join(row)}"
            )
        if text and text.strip():
            yield Document(text, f"{where}, row {number}", side)


SHAPES: dict[str, Callable[[Iterator[Row], str, Side], Iterator[Document]]] = {
    "wikitext": join_articles,
    "fineweb_edu": read_texts,
    "gutenberg": read_texts,
    "tinystories": read_texts,
}


def _read_split(dataset: Dataset, split: str, rows: Iterator[Row], own: bool) -> Iterator[Document]:
    side = SIDES[split] if own else None
    return SHAPES[dataset.source](rows, f"{dataset.label}, {split}", side)
