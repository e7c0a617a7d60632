"""Blocks of made-up documents, and what a build leaves in its folder."""

from collections.abc import Generator
from pathlib import Path

import numpy as np

from nielsgpt.data.cache.blocks import DocumentBlock
from nielsgpt.data.cache.build import Recipe, hash_to_unit

RECIPE = Recipe("s", "inputs", "tok", 300, 1, 0.2, 2**20)


Blocks = Generator[DocumentBlock, None, None]


def block(documents: list[tuple[str, list[int]]], mask: bool = False) -> DocumentBlock:
    lengths = np.array([len(ids) for _, ids in documents])
    ids = np.array([token for _, ids in documents for token in ids], dtype="<u4")
    return DocumentBlock(
        documents=len(documents),
        ids=ids,
        lengths=lengths,
        text_bytes=lengths,
        places=np.array([hash_to_unit(1, text) for text, _ in documents]),
        mask=np.ones(len(ids), dtype=np.uint8) if mask else None,
        replies=2 * len(documents) * mask,
        left_out=len(documents) * mask,
    )


def documents(start: int, end: int) -> list[tuple[str, list[int]]]:
    return [(f"text {n}", [n % 256] * (3 + n % 5)) for n in range(start, end)]


def walk(skip: int = 0, count: int = 200, mask: bool = False, at_once: int = 10) -> Blocks:
    for start in range(skip, count, at_once):
        yield block(documents(start, min(start + at_once, count)), mask)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
