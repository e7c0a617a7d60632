"""Documents of the Hub's text datasets: a row each, or for WikiText the lines of an article."""

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


def documents(dataset: Dataset, seed: int) -> Iterator[Document]:
    """The documents of train and validation, those of a validation split of its own marked so.

    Where both have a token budget the two come in turn, as their budgets are to each other: so the
    walk can end when both are full. Raises DataError where a row has no text.
    """
    rows = hf_hub.splits(dataset, seed)
    own = len(rows) > 1
    found = {split: _of_split(dataset, split, rows[split], own) for split in rows}
    if not own:
        yield from found["train"]
        return
    wanted = dataset.wanted
    every = wanted.train_tokens // wanted.val_tokens if wanted.val_tokens else 0
    yield from in_turn(found["validation"], found["train"], max(1, every) if every else 0)


def in_turn(few: Iterator[Document], many: Iterator[Document], every: int) -> Iterator[Document]:
    """One of `few`, then `every` of `many`, and so on, then what is left; 0: all of `few` first."""
    while every:
        turn = [*itertools.islice(few, 1), *itertools.islice(many, every)]
        yield from turn
        if len(turn) <= every:
            break
    yield from few
    yield from many


def articles(rows: Iterator[Row], where: str, side: Side) -> Iterator[Document]:
    """The lines of WikiText joined to articles: a line ` = Title = ` after a blank one opens one.

    Blank lines are left out, everything else is as it was.
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


def texts(rows: Iterator[Row], where: str, side: Side) -> Iterator[Document]:
    """Each row's text: of its columns text, content and document the first that is a string."""
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
    "wikitext": articles,
    "fineweb_edu": texts,
    "gutenberg": texts,
    "tinystories": texts,
}


def _of_split(dataset: Dataset, split: str, rows: Iterator[Row], own: bool) -> Iterator[Document]:
    side = SIDES[split] if own else None
    return SHAPES[dataset.source](rows, f"{dataset.label}, {split}", side)
