"""A model fetched from the Hub: known kinds of files at one commit, checked, and never run.

What is fetched lies in a folder beside the model's until all of it is there, so that the same
command goes on where one was broken off. Then it is checked and takes its place as a whole.
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
from nielsgpt.export.atomic_folder import new_folder
from nielsgpt.export.hf_folder import WEIGHTS
from nielsgpt.export.hub_repository import HubRepository, RemoteFile
from nielsgpt.export.hub_repository_errors import convert_hub_errors
from nielsgpt.system import machine
from nielsgpt.system.workspace import lock, read_json, write_json

log = logging.getLogger("nielsgpt")
WEIGHT_FILES = ("*.safetensors", "*.gguf")
TEXT_FILES = (
    *("README.md", "LICENSE", "LICENSE.md", "LICENSE.txt", "*.Modelfile"),
    *("config.json", "generation_config.json", "*.safetensors.index.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "tokenizer.model", "chat_template.jinja", nielsgpt_json.OWN_FILE),
)
LONGEST_TEXT = 64 * 2**20  # bytes
ORIGIN = "origin.json"  # beside the files: the repository, its commit, each file's hash
CHECKPOINT = "best.pt"
GGUF = b"GGUF"


@dataclass(frozen=True)
class FetchedModel:
    """What a download did: the commit, the files, what was left there, and our checkpoint of it."""

    folder: Path
    commit: str
    files: tuple[str, ...]
    size: int
    left: tuple[str, ...]
    checkpoint: Path | None
    was_here: bool


def fetch(name: str, revision: str | None, out: Path, force: bool) -> FetchedModel:
    """Fetch the repository's files of known kinds into `out`; a model of ours becomes a checkpoint.

    Raises DataError for a name, a file or a place that cannot be used, RunError where there is no
    room. What is in `out` already stays until everything new is checked.
    """
    _check_place(out, name, force)
    found = hub_repository.find(name, revision)
    if found is None:
        raise DataError(f"{name}: {ABSENT}; {LOGIN}")
    wanted, left = choose_files(found)
    was_here = _is_here(out, found, wanted)
    if not was_here:
        _fetch(found, wanted, out)
    checkpoint = out / CHECKPOINT
    names = tuple(entry.name for entry in wanted)
    size = sum(entry.size for entry in wanted)
    ours = checkpoint if checkpoint.is_file() else None
    return FetchedModel(out, found.commit, names, size, left, ours, was_here)


def choose_files(found: HubRepository) -> tuple[list[RemoteFile], tuple[str, ...]]:
    """The files to fetch, and the names of what stays there.

    Raises DataError for a name that leaves its folder, a folder or link in the place of a file,
    a text of unlikely length, and a repository without weights.
    """
    for name in (*found.folders, *(entry.name for entry in found.entries)):
        if set(name.split("/")) & {"", ".", ".."} or "\\" in name or not name.isprintable():
            raise DataError(
                f"{found.name}: holds {name!r}, a name that leads elsewhere; choose another"
            )
    for name in found.folders:
        if _is_known(name):
            raise DataError(f"{found.name}: {name} is no file there; choose another")
    wanted = [entry for entry in found.entries if _is_known(entry.name)]
    for entry in wanted:
        if not _is(entry.name, WEIGHT_FILES) and entry.size > LONGEST_TEXT:
            raise DataError(
                f"{found.name}: {entry.name} has {entry.size:,} bytes, too many for what it is; "
                "choose another"
            )
    if not any(_is(entry.name, WEIGHT_FILES) for entry in wanted):
        raise DataError(
            f"{found.name}: holds no .safetensors and no .gguf, the only weights that are fetched; "
            "choose another"
        )
    names = {entry.name for entry in wanted}
    others = (*(e.name for e in found.entries), *(f"{folder}/" for folder in found.folders))
    return wanted, tuple(sorted(set(others) - names - {".gitattributes"}))


def _is_known(name: str) -> bool:
    return "/" not in name and _is(name, (*WEIGHT_FILES, *TEXT_FILES))


def _is(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _check_place(out: Path, name: str, force: bool) -> None:
    if out.is_symlink():
        raise DataError(f"{out} is a link; choose another --out")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    origin = read_json(out / ORIGIN) if out.is_dir() else None
    if not isinstance(origin, dict) or "repository" not in origin:
        raise DataError(f"{out} is there and was not fetched by nielsgpt; choose another --out")
    if origin["repository"] != name and not force:
        raise DataError(
            f"{out} holds {origin['repository']}, and this is {name}; choose another --out, or "
            "replace it with --force"
        )


def _is_here(out: Path, found: HubRepository, wanted: list[RemoteFile]) -> bool:
    """Whether just this commit lies there, every file with the bytes that the Hub names."""
    origin = read_json(out / ORIGIN) or {}
    if (origin.get("repository"), origin.get("commit")) != (found.name, found.commit):
        return False
    ours = any(entry.name == nielsgpt_json.OWN_FILE for entry in wanted)
    return all(entry.is_same(out / entry.name) for entry in wanted) and (
        not ours or (out / CHECKPOINT).is_file()
    )


def _fetch(found: HubRepository, wanted: list[RemoteFile], out: Path) -> None:
    coming = out.with_name(f".{out.name}.coming")
    with lock(coming):
        _check_room(found, wanted, coming)
        for entry in wanted:
            _fetch_one(found, entry, coming)
        try:
            with new_folder(out) as folder:
                for entry in wanted:
                    _share(coming / entry.name, folder / entry.name)
                _check(found, wanted, folder)
                files = {entry.name: entry.sha256 or entry.git for entry in wanted}
                origin = {"repository": found.name, "commit": found.commit, "files": files}
                write_json(folder / ORIGIN, origin)
        except DataError:
            shutil.rmtree(coming)  # it will not be another the next time
            raise
        shutil.rmtree(coming)


def _share(path: Path, target: Path) -> None:
    """Let `target` name the same file; what is fetched stays until the whole is in its place."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def _fetch_one(found: HubRepository, entry: RemoteFile, coming: Path) -> None:
    """Fetch a file, or what is missing of it, and hold it against the hash that the Hub names."""
    from huggingface_hub import hf_hub_download

    path = coming / entry.name
    if path.is_symlink():
        raise DataError(f"{path} is a link; delete it and run the command again")
    if entry.is_same(path):
        return
    with convert_hub_errors(found.name, coming):
        hf_hub_download(found.name, entry.name, revision=found.commit, local_dir=coming)
    if path.is_symlink() or not entry.is_same(path):
        path.unlink(missing_ok=True)
        raise DataError(
            f"{found.name}: {entry.name} came with other bytes than the Hub names; run the command "
            "again"
        )


def _check_room(found: HubRepository, wanted: list[RemoteFile], coming: Path) -> None:
    """Raise RunError where the disk has no room for what is still to come and for a checkpoint."""
    missing = [entry.size for entry in wanted if not (coming / entry.name).is_file()]
    ours = any(entry.name == nielsgpt_json.OWN_FILE for entry in wanted)
    again = sum(entry.size for entry in wanted if ours and entry.name == WEIGHTS)
    needed, free = sum(missing) + again, machine.free_disk_bytes(coming)
    if needed > free:
        raise RunError(
            f"{found.name}: {needed / 2**20:,.0f} MiB are needed and {free / 2**20:,.0f} MiB are "
            f"free at {coming.parent}; free some space or name another place with --out"
        )


def _check(found: HubRepository, wanted: list[RemoteFile], folder: Path) -> None:
    """Raise DataError where a file is not what its name says; write the checkpoint of our own."""
    for entry in wanted:
        path = folder / entry.name
        if entry.name.endswith(".safetensors"):
            _check_safetensors(found, path)
        if entry.name.endswith(".gguf"):
            with path.open("rb") as file:
                if file.read(len(GGUF)) != GGUF:
                    raise DataError(f"{found.name}: {entry.name} is no GGUF file; nothing was kept")
    if (folder / nielsgpt_json.OWN_FILE).is_file():
        try:
            nielsgpt_json.save(folder, folder / CHECKPOINT)
        except DataError as error:
            raise DataError(f"{found.name}: {error}; nothing was kept") from None


def _check_safetensors(found: HubRepository, path: Path) -> None:
    try:
        with safe_open(path, framework="pt") as file:
            file.keys()
    except (OSError, SafetensorError) as error:
        reason = first_line(error)[:100]
        raise DataError(
            f"{found.name}: {path.name} is no safetensors file ({reason}); nothing was kept"
        ) from None
