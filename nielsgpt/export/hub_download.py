"""Download of a model from the Hub: known kinds of files at one commit, verified, never executed.

Files are downloaded to a folder beside the model's, so that rerunning the command resumes an
interrupted download. Once complete, they are verified and moved into place together.
"""

import fnmatch
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from nielsgpt.data.sources.hub_errors import ABSENT, LOGIN
from nielsgpt.errors import DataError, RunError, first_line
from nielsgpt.export import hub_repository, nielsgpt_json
from nielsgpt.export.atomic_folder import create_folder
from nielsgpt.export.hf_folder import WEIGHTS
from nielsgpt.export.hub_repository import HubRepository, RemoteFile, convert_hub_errors
from nielsgpt.system import machine
from nielsgpt.system.atomic_files import read_json, write_json
from nielsgpt.system.folder_lock import lock

log = logging.getLogger("nielsgpt")
WEIGHT_FILES = ("*.safetensors", "*.gguf")
TEXT_FILES = (
    *("README.md", "LICENSE", "LICENSE.md", "LICENSE.txt", "*.Modelfile"),
    *("config.json", "generation_config.json", "*.safetensors.index.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "tokenizer.model", "chat_template.jinja", nielsgpt_json.OWN_FILE),
)
MAX_TEXT_BYTES = 64 * 2**20
ORIGIN = "origin.json"  # beside the files: the repository, its commit, each file's hash
CHECKPOINT = "best.pt"
GGUF_MAGIC = b"GGUF"


@dataclass(frozen=True)
class DownloadedModel:
    """The result of a download: commit, files, skipped files, and the checkpoint, if any."""

    folder: Path
    commit: str
    files: tuple[str, ...]
    size: int
    skipped: tuple[str, ...]
    checkpoint: Path | None
    was_complete: bool


def download(name: str, revision: str | None, out: Path, force: bool) -> DownloadedModel:
    """Download files of known kinds into `out`; a model of nielsgpt becomes a checkpoint.

    Raises DataError for an unusable name, file or folder, RunError if the disk is too small. What
    is in `out` already stays until all new files are verified.
    """
    _check_replaceable(out, name, force)
    repository = hub_repository.find_repository(name, revision)
    if repository is None:
        raise DataError(f"{name}: {ABSENT}; {LOGIN}")
    wanted, skipped = choose_files(repository)
    was_complete = _is_complete(out, repository, wanted)
    if not was_complete:
        _download_all(repository, wanted, out)
    checkpoint = out / CHECKPOINT
    names = tuple(entry.name for entry in wanted)
    size = sum(entry.size for entry in wanted)
    ours = checkpoint if checkpoint.is_file() else None
    return DownloadedModel(out, repository.commit, names, size, skipped, ours, was_complete)


def choose_files(repository: HubRepository) -> tuple[list[RemoteFile], tuple[str, ...]]:
    """The files to download, and the names of all others.

    Raises DataError for a path that leaves its folder, a folder with the name of a file, a text
    file that is too long, and a repository without weights.
    """
    for name in (*repository.folders, *(entry.name for entry in repository.entries)):
        if set(name.split("/")) & {"", ".", ".."} or "\\" in name or not name.isprintable():
            raise DataError(f"{repository.name}: has the unsafe file name {name!r}; choose another")
    for name in repository.folders:
        if _is_supported(name):
            raise DataError(f"{repository.name}: {name} is not a file; choose another")
    wanted = [entry for entry in repository.entries if _is_supported(entry.name)]
    for entry in wanted:
        if not _matches(entry.name, WEIGHT_FILES) and entry.size > MAX_TEXT_BYTES:
            raise DataError(
                f"{repository.name}: {entry.name} has {entry.size:,} bytes, too many for "
                "a text file; choose another"
            )
    if not any(_matches(entry.name, WEIGHT_FILES) for entry in wanted):
        raise DataError(
            f"{repository.name}: has no .safetensors and no .gguf file, the only supported "
            "weights; choose another"
        )
    names = {entry.name for entry in wanted}
    others = (
        *(entry.name for entry in repository.entries),
        *(f"{folder}/" for folder in repository.folders),
    )
    return wanted, tuple(sorted(set(others) - names - {".gitattributes"}))


def _is_supported(name: str) -> bool:
    return "/" not in name and _matches(name, (*WEIGHT_FILES, *TEXT_FILES))


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _check_replaceable(out: Path, name: str, force: bool) -> None:
    if out.is_symlink():
        raise DataError(f"{out} is a link; choose another --out")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    origin = read_json(out / ORIGIN) if out.is_dir() else None
    if not isinstance(origin, dict) or "repository" not in origin:
        raise DataError(f"{out} exists and was not downloaded by nielsgpt; choose another --out")
    if origin["repository"] != name and not force:
        raise DataError(
            f"{out} contains {origin['repository']}, and this is {name}; choose another --out, or "
            "replace it with --force"
        )


def _is_complete(out: Path, repository: HubRepository, wanted: list[RemoteFile]) -> bool:
    """True if `out` has this commit, every file with the Hub's hash."""
    origin = read_json(out / ORIGIN) or {}
    if (origin.get("repository"), origin.get("commit")) != (repository.name, repository.commit):
        return False
    ours = any(entry.name == nielsgpt_json.OWN_FILE for entry in wanted)
    return all(entry.is_same(out / entry.name) for entry in wanted) and (
        not ours or (out / CHECKPOINT).is_file()
    )


def _download_all(repository: HubRepository, wanted: list[RemoteFile], out: Path) -> None:
    partial = out.with_name(f".{out.name}.coming")
    with lock(partial):
        _check_room(repository, wanted, partial)
        for entry in wanted:
            _download_file(repository, entry, partial)
        try:
            with create_folder(out) as folder:
                for entry in wanted:
                    _link(partial / entry.name, folder / entry.name)
                _verify(repository, wanted, folder)
                files = {entry.name: entry.sha256 or entry.git_hash for entry in wanted}
                origin = {
                    "repository": repository.name,
                    "commit": repository.commit,
                    "files": files,
                }
                write_json(folder / ORIGIN, origin)
        except DataError:
            shutil.rmtree(partial)  # a retry would fail in the same way
            raise
        shutil.rmtree(partial)


def _link(path: Path, target: Path) -> None:
    """Hard-link or copy; the downloaded file stays until all are in place."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def _download_file(repository: HubRepository, entry: RemoteFile, partial: Path) -> None:
    """Download a file, or the missing rest of it, and check it against the Hub's hash."""
    from huggingface_hub import hf_hub_download

    path = partial / entry.name
    if path.is_symlink():
        raise DataError(f"{path} is a link; delete it and run the command again")
    if entry.is_same(path):
        return
    with convert_hub_errors(repository.name, partial):
        hf_hub_download(repository.name, entry.name, revision=repository.commit, local_dir=partial)
    if path.is_symlink() or not entry.is_same(path):
        path.unlink(missing_ok=True)
        raise DataError(
            f"{repository.name}: {entry.name} does not match the Hub's hash; run the command again"
        )


def _check_room(repository: HubRepository, wanted: list[RemoteFile], partial: Path) -> None:
    """Raise RunError if the disk is too small for the missing files and the checkpoint."""
    missing = [entry.size for entry in wanted if not (partial / entry.name).is_file()]
    ours = any(entry.name == nielsgpt_json.OWN_FILE for entry in wanted)
    checkpoint = sum(entry.size for entry in wanted if ours and entry.name == WEIGHTS)
    needed, free = sum(missing) + checkpoint, machine.free_disk_bytes(partial)
    if needed > free:
        raise RunError(
            f"{repository.name}: {needed / 2**20:,.0f} MiB are needed and {free / 2**20:,.0f} MiB "
            f"are free at {partial.parent}; free some space or name another folder with --out"
        )


def _verify(repository: HubRepository, wanted: list[RemoteFile], folder: Path) -> None:
    """Raise DataError if a file is not of its kind; write the checkpoint of a nielsgpt model."""
    for entry in wanted:
        path = folder / entry.name
        if entry.name.endswith(".safetensors"):
            _check_safetensors(repository, path)
        if entry.name.endswith(".gguf"):
            with path.open("rb") as file:
                if file.read(len(GGUF_MAGIC)) != GGUF_MAGIC:
                    raise DataError(
                        f"{repository.name}: {entry.name} is not a GGUF file; nothing was kept"
                    )
    if (folder / nielsgpt_json.OWN_FILE).is_file():
        try:
            nielsgpt_json.save_checkpoint(folder, folder / CHECKPOINT)
        except DataError as error:
            raise DataError(f"{repository.name}: {error}; nothing was kept") from None


def _check_safetensors(repository: HubRepository, path: Path) -> None:
    try:
        with safe_open(path, framework="pt") as file:
            file.keys()
    except (OSError, SafetensorError) as error:
        reason = first_line(error)[:100]
        raise DataError(
            f"{repository.name}: {path.name} is not a safetensors file ({reason}); nothing was kept"
        ) from None
