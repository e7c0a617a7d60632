"""The import: files are read in processes of their own, then the corpus is put together.

    books.zip  ->  data/import/read/<key>.jsonl, .json   what a file holds, read once for its bytes
               ->  data/raw/text/imported/*.txt, .md     documents, repeats taken out
                   data/raw/chat.jsonl                   conversations
                   data/import/manifest.json             what was imported, and what was written

The second half is a function of all that was ever imported, so the order of imports, and whether
one was interrupted, changes nothing.
"""

import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nielsgpt.errors import DataError
from nielsgpt.importers.compose import compose
from nielsgpt.importers.confine import Job, Limits, Outcome, run_each
from nielsgpt.importers.content import Turn
from nielsgpt.importers.dialogue import speakers
from nielsgpt.importers.gather import MOST_DEPTH, InputFile, name_input, unpack, walk
from nielsgpt.importers.manifest import Choices, Result, Row, Store
from nielsgpt.importers.readers import COLUMNED, READERS, VERSION, read_content, read_file
from nielsgpt.progress import Progress
from nielsgpt.system.atomic_files import file_sha256, fingerprint, write_json
from nielsgpt.system.folder_lock import lock
from nielsgpt.system.machine import available_bytes, core_count, free_disk_bytes

log = logging.getLogger("nielsgpt")
MOST_MEMORY = 4 * 2**30  # for the reading of one file
MOST_UNPACKED = 16 * 2**30  # bytes of all archives of one import
SHOWN_SPEAKERS = 12
Ask = Callable[[Counter[str]], str | None]


def run(paths: Sequence[Path], root: Path, choices: Choices, ask: Ask) -> Result:
    """Import the paths. `ask` is given the speakers of chats and names who becomes the assistant.

    Raises DataError where a path is not there, or nothing at all could be read.
    """
    store = Store(root)
    with lock(store.folder), scratch_folder(store.folder) as scratch:
        for leftover in store.chat.parent.glob(
            ".chat*.jsonl.tmp-*"
        ):  # of an import that was killed
            leftover.unlink()
        manifest = store.manifest()
        result = Result()
        rows = read_all(paths, store, choices, scratch, result)
        if not any(row.key for row in rows):
            raise DataError(nothing_read(rows, result))
        for row in rows:
            if row.key:  # else what was read of it before stays
                manifest["sources"][row.name] = row.key
        if choices.redact is not None:
            manifest["redact"] = choices.redact
        result.redacted = manifest["redact"]
        if choices.pause_hours is not None:
            manifest["pause"] = choices.pause_hours
        choose_assistants(manifest, store, choices, ask, result)
        compose(manifest, store, result)
        result.rows += [row for row in rows if not row.key]
        write_json(store.manifest_path, manifest)
        store.prune(manifest["sources"].values())
    return result


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """A folder for what archives hold; those that killed imports left are removed."""
    for leftover in folder.glob("unpacked-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="unpacked-") as scratch:
        yield Path(scratch)


def nothing_read(rows: Sequence[Row], result: Result) -> str:
    """Why an import read nothing at all."""
    if rows:
        of = f" of {len(rows):,} files" if len(rows) > 1 else ""
        return f"nothing could be read{of}; {rows[0].name}: {rows[0].reason}"
    found = ", ".join(f"{n:,} {suffix}" for suffix, n in result.unknown.most_common(5))
    among = f" among {found}" if found else ""
    return f"there is nothing to read{among}; docs/import.md lists what is read"


def read_all(
    paths: Sequence[Path], store: Store, choices: Choices, scratch: Path, result: Result
) -> list[Row]:
    """A row for each file that has a reader; those that were not read before are read now."""
    apart = {path.resolve() for path in (store.folder, store.texts, store.chat, store.chat_beside)}
    sources = [source for source in name_input(paths, apart) if source.path not in apart]
    rows: list[Row] = []
    limits = Limits(choices.time_s, max(2**29, min(MOST_MEMORY, available_bytes() // 3)))
    sources = unpack_archives(sources, scratch, limits, rows)
    jobs: dict[str, Job] = {}
    for source in sources:
        if source.suffix not in READERS:
            result.unknown[source.suffix or "without ending"] += 1
            continue
        row = Row(source.name)
        rows.append(row)
        try:
            column = choices.column if source.suffix in COLUMNED else ""
            row.key = fingerprint(VERSION, file_sha256(source.path), source.suffix, column)
        except OSError as error:
            row.reason = f"it cannot be read ({error.strerror})"
            continue
        if store.summary(row.key) is None and row.key not in jobs:
            target = store.content(row.key)
            arguments = (str(source.path), source.suffix, choices.column, f"{target}.part")
            jobs[row.key] = Job(read_file, arguments, row.key)
    store.content("x").parent.mkdir(parents=True, exist_ok=True)
    fleeting = read_new(jobs, store, limits, result)
    for row in rows:
        told = {} if not row.key else fleeting.get(row.key) or store.summary(row.key)
        if told and "reason" in told:
            row.key, row.reason = "", told["reason"]
    return rows


def read_new(
    jobs: dict[str, Job], store: Store, limits: Limits, result: Result
) -> dict[str, dict[str, str]]:
    """Read files and keep what each holds. Returns the reasons that may not hold a second time."""
    fleeting: dict[str, dict[str, str]] = {}
    with Progress("import:", len(jobs)) as progress:
        for number, outcome in enumerate(run_each(jobs.values(), core_count(), limits), start=1):
            _keep(outcome, store, fleeting)
            progress.show(number, "files")
    result.new = len(jobs)
    return fleeting


def _keep(outcome: Outcome, store: Store, fleeting: dict[str, dict[str, str]]) -> None:
    target = store.content(outcome.job.label)
    part = Path(f"{target}.part")
    if not outcome.reason:
        os.replace(part, target)
        write_json(target.with_suffix(".json"), outcome.result)
        return
    part.unlink(missing_ok=True)
    if outcome.lasting:
        write_json(target.with_suffix(".json"), {"reason": outcome.reason})
    else:
        fleeting[outcome.job.label] = {"reason": outcome.reason}


def unpack_archives(
    sources: Sequence[InputFile], scratch: Path, limits: Limits, rows: list[Row]
) -> list[InputFile]:
    """The files, those in ZIP archives instead of the archives; archives that fail become rows."""
    found: list[InputFile] = []
    waiting = list(sources)
    for depth in range(MOST_DEPTH + 1):
        archives = {f"{depth}-{n}": s for n, s in enumerate(waiting) if s.suffix == ".zip"}
        found += [source for source in waiting if source.suffix != ".zip"]
        waiting = []
        if depth == MOST_DEPTH:
            rows += [Row(s.name, "it is an archive too deep in others") for s in archives.values()]
            break
        room = min(MOST_UNPACKED, free_disk_bytes(scratch) // 2)
        for label, source in archives.items():
            job = Job(unpack, (str(source.path), str(scratch / label), room), label)
            outcome = next(run_each([job], 1, limits))
            if outcome.reason:
                shutil.rmtree(scratch / label, ignore_errors=True)
                rows.append(Row(source.name, outcome.reason))
                continue
            room -= outcome.result["bytes"]
            for reason, count in outcome.result["left_out"].items():
                log.warning("%s: %d left out: %s", source.name, count, reason)
            waiting += walk(scratch / label, source.name) if (scratch / label).is_dir() else ()
    return found


def choose_assistants(
    manifest: dict[str, Any], store: Store, choices: Choices, ask: Ask, result: Result
) -> None:
    """Settle who becomes the assistant in chats between people; remembered for the next import.

    Raises DataError for a name that nobody in the chats has.
    """
    people = speakers(
        [Turn(*turn) for turn in record["chat"]]
        for key in manifest["sources"].values()
        if (store.summary(key) or {}).get("chats")
        for record in read_content(store.content(key))
        if "chat" in record
    )
    known = {name.casefold() for name in people}
    for name in choices.assistants:
        if name.casefold() not in known:
            listed = ", ".join(f"{who} ({n:,})" for who, n in people.most_common(SHOWN_SPEAKERS))
            raise DataError(
                f"--as: nobody in the chats is called {name!r}; there are {listed or 'none'}"
            )
    manifest["as"] = list(choices.assistants) or manifest["as"]
    if people and known.isdisjoint(name.casefold() for name in manifest["as"]):
        chosen = ask(people)
        manifest["as"] = [chosen] if chosen else []
        if not chosen:
            result.speakers = people
