"""A model's repository on the Hub: its name, its newest commit, its files and their hashes.

`huggingface_hub` reads HF_ENDPOINT and HF_HOME as it is imported, so it is imported where the Hub
is asked.
"""

import hashlib
import logging
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from nielsgpt.errors import DataError
from nielsgpt.export.hub_repository_errors import convert_hub_errors
from nielsgpt.system.workspace import file_sha256

PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"


@dataclass(frozen=True)
class RemoteFile:
    """A file of the top folder: a large one is named by its sha256, a small one as git does."""

    name: str
    size: int
    sha256: str | None
    git: str

    def is_same(self, path: Path) -> bool:
        """Whether the file on this disk has just these bytes."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        if self.sha256 is not None:
            return file_sha256(path) == self.sha256
        digest = hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
        digest.update(path.read_bytes())
        return digest.hexdigest() == self.git


@dataclass(frozen=True)
class HubRepository:
    """A repository at one commit: its files, and what else lies in its top folder."""

    name: str
    commit: str
    private: bool
    entries: tuple[RemoteFile, ...]
    folders: tuple[str, ...]


def check_name(name: str) -> None:
    """Raise DataError unless it is owner/name as the Hub allows it."""
    if not re.fullmatch(f"{PART}/{PART}", name) or re.search(r"--|\.\.|\.git$", name):
        raise DataError(f"{name!r} is not a name of a repository; write owner/name")


def quiet_hub() -> None:
    """Keep the library from words of its own, and from progress bars where nobody watches."""
    from huggingface_hub.utils.tqdm import disable_progress_bars

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        disable_progress_bars()


def find(name: str, revision: str | None = None) -> HubRepository | None:
    """The repository at the commit of this revision; None where the Hub shows none.

    Raises DataError where the Hub cannot be asked, or has no such revision.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
    from huggingface_hub.hf_api import RepoFile

    quiet_hub()
    api = HfApi()
    with convert_hub_errors(name, Path()):
        try:
            info = api.model_info(name, revision=revision)
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            return None
        commit = str(info.sha)
        listed = list(api.list_repo_tree(name, revision=commit))
    entries = [
        RemoteFile(one.path, one.size, one.lfs.sha256 if one.lfs else None, one.blob_id)
        for one in listed
        if isinstance(one, RepoFile)
    ]
    folders = [one.path for one in listed if not isinstance(one, RepoFile)]
    return HubRepository(name, commit, bool(info.private), tuple(entries), tuple(folders))
