"""A growing file: what is kept, what is cut off, and the checksum of the whole."""

import hashlib
from pathlib import Path

import pytest

from nielsgpt.data.cache.append_file import AppendFile, part_path
from nielsgpt.errors import DataError
from nielsgpt.system.folder_lock import lock


def grown(path: Path, *pieces: bytes, length: int = 0) -> dict[str, object]:
    file = AppendFile(path, length)
    for piece in pieces:
        file.write(piece)
    return file.close()


def test_what_came_after_the_length_is_cut_off_and_the_checksum_is_of_the_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a"
    grown(path, b"kept", b"lost for good")
    entry = grown(path, b" new", length=4)
    assert part_path(path).read_bytes() == b"kept new"
    assert entry == {"bytes": 8, "sha256": hashlib.sha256(b"kept new").hexdigest()}


def test_the_first_bytes_can_be_written_last(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "a")
    file.write(b"....rest")
    file.write_start(b"head")
    assert file.close()["sha256"] == hashlib.sha256(b"headrest").hexdigest()
    assert part_path(tmp_path / "a").read_bytes() == b"headrest"


def test_a_file_that_became_shorter_cannot_go_on(tmp_path: Path) -> None:
    grown(tmp_path / "a", b"abc")
    with pytest.raises(DataError, match="is shorter than when it was built"):
        AppendFile(tmp_path / "a", 4)


def test_the_sweep_of_the_lock_leaves_it_alone(tmp_path: Path) -> None:
    grown(tmp_path / "a", b"abc")
    with lock(tmp_path):
        assert part_path(tmp_path / "a").exists()
