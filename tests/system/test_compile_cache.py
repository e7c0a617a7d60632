"""What a killed compiler has left in torch's cache, and what stays there."""

import threading
import time
from pathlib import Path

import pytest
from torch.utils._filelock import FileLock

from nielsgpt.system import compile_cache

BYTES = b"\x7fELF and more"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the cache with one whole build, `good`."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    found = tmp_path / "ab"
    found.mkdir()
    for ending in (".main.cpp", ".main.so"):
        (found / f"good{ending}").write_bytes(BYTES)
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


WHOLE = ["good.main.cpp", "good.main.so"]


def test_a_build_that_was_cut_off_goes_and_its_source_stays(folder: Path) -> None:
    (folder / "bad.main_CxxBuild").mkdir()
    for ending in (".main.cpp", ".main.o", ".main.so"):
        (folder / f"bad{ending}").write_bytes(BYTES)
    compile_cache._sweep.__wrapped__()
    assert names(folder) == ["bad.main.cpp", *WHOLE]


@pytest.mark.parametrize("left", [b"", bytes(8192)])
@pytest.mark.parametrize("ending", [".main.so", ".py"])
def test_a_file_that_never_reached_the_disk_goes(folder: Path, left: bytes, ending: str) -> None:
    (folder / f"bad{ending}").write_bytes(left)
    (folder / "some.lock").write_bytes(b"")
    compile_cache._sweep.__wrapped__()
    assert names(folder) == [*WHOLE, "some.lock"]


def test_a_build_that_goes_on_is_waited_for(folder: Path, tmp_path: Path) -> None:
    build = folder / "slow.main_CxxBuild"
    build.mkdir()
    (tmp_path / "locks").mkdir()
    with FileLock(str(tmp_path / "locks" / "slow.lock")):
        sweeping = threading.Thread(target=compile_cache._sweep.__wrapped__)
        sweeping.start()
        time.sleep(0.2)
        (folder / "slow.main.so").write_bytes(BYTES)
        build.rmdir()
    sweeping.join(10)
    assert names(folder) == [*WHOLE, "slow.main.so"]


def test_a_cache_that_is_not_there_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "none"))
    compile_cache._sweep.__wrapped__()
