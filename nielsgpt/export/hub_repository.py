"""A model's repository on the Hub: its name, its commit, its files and their hashes.

`huggingface_hub` reads HF_ENDPOINT and HF_HOME on import, so it is only imported for requests.
"""

import hashlib
import logging
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from nielsgpt.errors import DataError
from nielsgpt.export.hub_repository_errors import convert_hub_errors
from nielsgpt.system.atomic_files import file_sha256

NAME_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"


@dataclass(frozen=True)
class RemoteFile:
    """A file in the top folder, with its sha256 (if it is large) and its git blob hash."""

    name: str
    size: int
    sha256: str | None
    git_hash: str

    def is_same(self, path: Path) -> bool:
        """True if the local file has the same bytes."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        if self.sha256 is not None:
            return file_sha256(path) == self.sha256
        digest = hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
        digest.update(path.read_bytes())
        return digest.hexdigest() == self.git_hash


@dataclass(frozen=True)
class HubRepository:
    """A repository at one commit: the files and folders of its top folder."""

    name: str
    commit: str
    private: bool
    entries: tuple[RemoteFile, ...]
    folders: tuple[str, ...]


def check_name(name: str) -> None:
    """Raise DataError unless it is a valid owner/name."""
    if not re.fullmatch(f"{NAME_PART}/{NAME_PART}", name) or re.search(r"--|\.\.|\.git$", name):
        raise DataError(f"{name!r} is not a valid repository name; write owner/name")


def silence_hub() -> None:
    """Silence the library's messages, and its progress bars without a terminal."""
    from huggingface_hub.utils.tqdm import disable_progress_bars

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        disable_progress_bars()


def find_repository(name: str, revision: str | None = None) -> HubRepository | None:
    """The repository at the commit of this revision; None if it does not exist or is private.

    Raises DataError if the Hub cannot be reached or has no such revision.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
    from huggingface_hub.hf_api import RepoFile

    silence_hub()
    api = HfApi()
    with convert_hub_errors(name, Path()):
        try:
            info = api.model_info(name, revision=revision)
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            return None
        commit = str(info.sha)
        listing = list(api.list_repo_tree(name, revision=commit))
    entries = [
        RemoteFile(item.path, item.size, item.lfs.sha256 if item.lfs else None, item.blob_id)
        for item in listing
        if isinstance(item, RepoFile)
    ]
    folders = [item.path for item in listing if not isinstance(item, RepoFile)]
    return HubRepository(name, commit, bool(info.private), tuple(entries), tuple(folders))
