"""Parts of a cache that cannot be put together."""

from pathlib import Path

import pytest

from nielsgpt.data.cache.distributed_build import BuildPart, PartWriter, join_parts
from nielsgpt.errors import DataError
from tests.data.cache.conftest import RECIPE, walk


def make(folder: Path, part: BuildPart, documents: int) -> None:
    """One part of a text of so many documents."""
    writer = PartWriter(part.folder(folder, RECIPE.source), RECIPE, part)
    for number, block in enumerate(walk(0, documents)):
        if part.contains(number):
            writer.add(block)
        writer.count_read(block.documents)
    writer.finish(ended=True)


def test_parts_of_texts_that_end_elsewhere_are_not_put_together(tmp_path: Path) -> None:
    make(tmp_path, BuildPart(1, 2), documents=40)
    make(tmp_path, BuildPart(2, 2), documents=60)
    line = (
        "the parts of source s were cut from different text: it ends after 4 and 6 blocks; "
        "delete them, and build each again from the same copy with 'nielsgpt caches --part 1/2' "
        "and so on"
    )
    with pytest.raises(DataError, match=f"^{line}$"):
        join_parts(tmp_path, RECIPE, 2, walk)
