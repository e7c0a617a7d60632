"""Files appear whole or not at all, and one process at a time holds a folder."""

import errno
import os
import resource
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nielsgpt.config.settings import Settings
from nielsgpt.errors import BusyError, DataError, RunError
from nielsgpt.system.atomic_files import fingerprint, read_json, write_atomically, write_json
from nielsgpt.system.folder_lock import lock
from nielsgpt.system.workspace import Workspace


def test_a_file_that_is_not_finished_is_never_seen(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    with pytest.raises(ZeroDivisionError), write_atomically(path) as file:
        file.write(b"half")
        assert not path.exists()
        raise ZeroDivisionError
    assert list(path.parent.iterdir()) == []


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with write_atomically(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_a_full_disk_names_the_place_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = """
import resource, signal, sys
from pathlib import Path
from nielsgpt.system.atomic_files import write_atomically
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with write_atomically(Path(sys.argv[1])) as file:
        file.write(b"x" * 5000)
except Exception as error:
    print(type(error).__name__, error)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith(f"RunError no space left to write {path}")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000
    assert RunError.exit_code == 1


def test_a_folder_that_is_a_file_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    with (
        pytest.raises(DataError, match=r"cannot be written .* NIELSGPT_ROOT"),
        write_atomically(tmp_path / "taken" / "file"),
    ):
        pass


def test_a_second_process_is_refused_and_the_lock_dies_with_the_first(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom nielsgpt.system.folder_lock import lock\n"
        "with lock(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(BusyError, match=f"in use by process {holder.pid}"), lock(tmp_path):
        pass
    holder.kill()
    holder.communicate()
    with lock(tmp_path):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"


def test_taking_the_lock_sweeps_what_killed_processes_left(tmp_path: Path) -> None:
    left = tmp_path / "sft" / ".step_0000001.pt.tmp-99"
    left.parent.mkdir()
    left.write_bytes(b"half")
    with lock(tmp_path):
        assert not left.exists()


def test_json_is_written_canonically_and_a_broken_one_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": "\u00e9"})
    assert (tmp_path / "a.json").read_text("utf-8") == '{\n  "a": "\u00e9",\n  "b": 1\n}\n'
    assert read_json(tmp_path / "none.json") is None
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match=r"a\.json is damaged"):
        read_json(tmp_path / "a.json")


def test_equal_parts_have_equal_fingerprints() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert len(fingerprint("x")) == 16


def test_every_artifact_lies_under_its_models_name(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, Settings(name="fog"))
    assert workspace.tokenizer == tmp_path / "data" / "tokenizers" / "fog"
    assert workspace.cache == tmp_path / "data" / "cache" / "fog"
    assert workspace.checkpoints == tmp_path / "checkpoints" / "fog"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_where_the_file_system_has_no_locks_a_file_that_names_the_holder_stands_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def without_locks(*_: object) -> None:
        raise OSError(number, "no locks")

    monkeypatch.setattr("fcntl.flock", without_locks)
    with lock(tmp_path):
        busy = rf"process {os.getpid()} on .*\.lock-holder if it has"
        with pytest.raises(BusyError, match=busy), lock(tmp_path):
            pass
    (tmp_path / ".lock-holder").write_text(f"{socket.gethostname()} {2**22 + 1}\n")
    with lock(tmp_path):  # that process is gone
        pass
    assert not (tmp_path / ".lock-holder").exists()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EBADF])
def test_a_file_system_that_cannot_sync_a_folder_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    plain = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, "not for folders")
        plain(handle)

    monkeypatch.setattr("os.fsync", fsync)
    write_json(tmp_path / "a.json", {"a": 1})
    assert read_json(tmp_path / "a.json") == {"a": 1}
