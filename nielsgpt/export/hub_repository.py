"""A model's repository on the Hub: its name, its commit, its files and their hashes; its errors in
one line each, a table that extends that of datasets.

`huggingface_hub` reads HF_ENDPOINT and HF_HOME on import, so it is only imported for requests.
"""

import hashlib
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nielsgpt.data.sources.hub_errors import (
    ABSENT,
    DAMAGED,
    DISABLED,
    GATED,
    LOGIN,
    NETWORK,
    NO_REVISION,
    HubFault,
    explain_full_disk,
    find_fault,
    to_phrase,
)
from nielsgpt.errors import DataError, NielsError
from nielsgpt.system.atomic_files import file_sha256

NAME_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
# The first that matches counts.
MODEL_FAULTS = (
    HubFault("OfflineModeIsEnabled", "HF_HUB_OFFLINE is set", "unset it and run the command again"),
    HubFault("HFValidationError", "is not a valid repository name", "write owner/name"),
    GATED,
    HubFault("RevisionNotFoundError", NO_REVISION, "name another one with --revision"),
    HubFault("DisabledRepoError", DISABLED, "name another repository"),
    HubFault("RepositoryNotFoundError", ABSENT, LOGIN),
    HubFault("HfHubHTTPError", "the Hub refuses the token", LOGIN, statuses=(401,)),
    HubFault(
        "HfHubHTTPError",
        "the token lacks the permission",
        "use one with write access, and a name under your own user or organization",
        statuses=(403,),
    ),
    HubFault(
        "HfHubHTTPError",
        "somebody else changed it meanwhile",
        "run the command again",
        statuses=(409, 412),
    ),
    HubFault(
        "HfHubHTTPError", "the Hub limits requests", "run the command again later", statuses=(429,)
    ),
    *NETWORK,
    DAMAGED,
    HubFault("ValueError", "{error}", "check its name and --revision"),
)


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


@contextmanager
def convert_hub_errors(repository: str, folder: Path) -> Iterator[None]:
    """Turn the library's errors into our one-line errors; `folder`: where its files are written."""
    try:
        yield
    except NielsError:
        raise
    except Exception as error:
        if (explained := _explain(error, repository, folder)) is None:
            raise
        raise explained from error


def _explain(error: BaseException, repository: str, folder: Path) -> NielsError | None:
    """The error in one line: the repository, what is wrong, what to do; None if it is unknown."""
    if full := explain_full_disk(error, folder):
        return full
    if (match := find_fault(error, MODEL_FAULTS)) is None:
        return None
    cause, fault = match
    return DataError(
        f"{repository}: {fault.problem.format(error=to_phrase(cause))}; {fault.remedy}"
    )
