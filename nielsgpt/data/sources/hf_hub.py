"""A dataset of the Hugging Face Hub at one commit: named, fetched whole and checked, or streamed.

`datasets` takes a second to import and reads HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE as it does,
so it is imported where a dataset is opened.
"""

import functools
import itertools
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from nielsgpt.config.source_settings import HubSettings
from nielsgpt.data.sources.hub_errors import DamagedDownload, explain, is_transient
from nielsgpt.errors import DataError
from nielsgpt.system import machine
from nielsgpt.system.workspace import file_sha256

log = logging.getLogger("nielsgpt")
COMMIT = re.compile(r"[0-9a-f]{40}")
LARGE = re.compile(r"[0-9a-f]{64}")
WAITS = (1.0, 5.0, 25.0)  # seconds before each further attempt
BUDGETS = {"train_tokens", "val_tokens"}
SPLITS = ("validation", "train")
Row = Mapping[str, Any]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Dataset:
    """A source's dataset at one commit."""

    source: str
    wanted: HubSettings
    revision: str

    @property
    def label(self) -> str:
        """How error messages name it."""
        parts = (self.wanted.dataset, self.wanted.config)
        named = " ".join(part for part in parts if part)
        return f"source {self.source}: {named} at {self.revision[:12]}"

    @property
    def inputs(self) -> dict[str, Any]:
        """What decides its rows and their order."""
        return {**self.wanted.model_dump(exclude=BUDGETS), "revision": self.revision}


def find(source: str, wanted: HubSettings) -> Dataset:
    """The dataset at the commit that the settings name, or at the newest one.

    A full commit is taken as it is, without network; a name, or none, is asked of the Hub, and
    remembered for when it cannot be asked. Raises DataError where neither works.
    """
    revision = wanted.revision or "main"
    if COMMIT.fullmatch(revision):
        return Dataset(source, wanted, revision)
    return Dataset(source, wanted, commit(source, wanted.dataset, revision))


@functools.cache
def commit(source: str, name: str, revision: str) -> str:
    """The commit that a name stands for: one for the whole of this process."""
    known = machine.recall("hub", f"{name}@{revision}")
    named = Dataset(source, HubSettings(dataset=name), revision)
    try:
        found = _retry(named, lambda: _request(named), () if known else WAITS)
    except DataError as error:
        if known is None or not is_transient(error.__cause__):
            raise
        log.info("%s: the Hub cannot be asked; taking %s as the last time", named.label, known[:12])
        return str(known)
    if found != known:
        machine.remember("hub", f"{name}@{revision}", found)
    return found


def known(source: str, wanted: HubSettings) -> Dataset | None:
    """The dataset as far as it is known without network."""
    revision = wanted.revision or "main"
    if not COMMIT.fullmatch(revision):
        revision = machine.recall("hub", f"{wanted.dataset}@{revision}") or ""
    return Dataset(source, wanted, revision) if revision else None


def splits(dataset: Dataset, seed: int) -> dict[str, Iterator[Row]]:
    """The rows of validation, where the dataset has it, and of train, in one order for one seed.

    What is fetched whole is checked against its checksums and then read without network. What is
    streamed goes on where a connection broke. Raises DataError, then and while it is walked.
    """
    opened = _open_dataset(dataset)
    there = [split for split in SPLITS if split in opened]
    if "train" not in there:
        raise DataError(
            f"{dataset.label}: has no split called train, only {', '.join(opened)}; "
            f"set data.{dataset.source}.config, or data.{dataset.source}.dataset to another"
        )
    return {split: _rows(dataset, opened[split], split, seed) for split in there}


def is_here(dataset: Dataset) -> bool:
    """Whether the dataset lies in the Hugging Face cache, whole."""
    return not dataset.wanted.streaming and _prepare(dataset) is not None


def _request(dataset: Dataset) -> str:
    """The commit that the Hub has for the dataset's revision."""
    from huggingface_hub import HfApi

    wanted = dataset.wanted
    revision = None if dataset.revision == "main" else dataset.revision
    return str(HfApi().dataset_info(wanted.dataset, revision=revision).sha)


def _retry(
    dataset: Dataset, attempt: Callable[[], Result], waits: tuple[float, ...] = WAITS
) -> Result:
    """What the attempt returns, tried again where what failed may pass.

    Raises DataError in one line, the last failure its cause.
    """
    for wait in (*waits, None):
        try:
            return attempt()
        except Exception as error:
            _wait_or_raise(dataset, error, wait)
    raise AssertionError


def _wait_or_raise(dataset: Dataset, error: Exception, wait: float | None) -> None:
    if isinstance(error, DataError):
        raise error
    line = explain(error, dataset.label, dataset.source)
    if wait is None or not is_transient(error):
        raise line from error
    log.info("%s; trying again in %g s", str(line).partition(";")[0], wait)
    time.sleep(wait)


def _open_dataset(dataset: Dataset) -> Mapping[str, Any]:
    """The dataset's splits: from the cache, else from the Hub."""
    import datasets

    if not sys.stderr.isatty():  # those of huggingface_hub look themselves
        datasets.disable_progress_bars()
    if not dataset.wanted.streaming and (prepared := _prepare(dataset)) is not None:
        return prepared
    if datasets.config.HF_HUB_OFFLINE:
        what = "is streamed" if dataset.wanted.streaming else "is not in the Hugging Face cache"
        raise DataError(
            f"{dataset.label}: {what} and HF_HUB_OFFLINE is set; unset it and run "
            "'nielsgpt caches' once"
        )
    return _retry(dataset, lambda: _fetch_files(dataset))


def _prepare(dataset: Dataset) -> Mapping[str, Any] | None:
    """The dataset from the Hugging Face cache, at just this commit; None where it is not there."""
    from datasets.packaged_modules.cache.cache import Cache

    config = dataset.wanted.config or "default"
    builder = Cache(
        repo_id=dataset.wanted.dataset,
        dataset_name=dataset.wanted.dataset.split("/")[-1],
        config_name=config,
        hash=dataset.revision,
    )
    if not Path(builder.cache_dir).is_dir():
        return None
    found: Mapping[str, Any] = builder.as_dataset()
    return found


def _fetch_files(dataset: Dataset) -> Mapping[str, Any]:
    """The dataset's splits, fetched from the Hub or opened as streams of it."""
    from datasets import load_dataset_builder

    _request(dataset)  # says what is wrong; the loader hides it, and takes any commit on disk
    wanted = dataset.wanted
    builder = load_dataset_builder(wanted.dataset, wanted.config, revision=dataset.revision)
    if builder.hash != dataset.revision:
        raise ConnectionError(f"only commit {builder.hash[:12]} is on disk")
    if not wanted.streaming:
        _download(dataset, builder.config.data_files)
        builder.download_and_prepare()
    found: Mapping[str, Any] = (
        builder.as_streaming_dataset() if wanted.streaming else builder.as_dataset()
    )
    return found


def _download(dataset: Dataset, files: Mapping[str, list[str]]) -> None:
    """Fetch the files into the Hugging Face cache, each checked against the sha256 it is named by.

    Raises Damaged, and forgets the file, where its bytes are others.
    """
    from huggingface_hub import hf_hub_download

    for url in itertools.chain.from_iterable(files.values()):
        name = url.split(f"@{dataset.revision}/", 1)[1]
        path = hf_hub_download(
            dataset.wanted.dataset, name, repo_type="dataset", revision=dataset.revision
        )
        stored = Path(path).resolve()
        if LARGE.fullmatch(stored.name) and file_sha256(stored) != stored.name:
            stored.unlink()
            raise DamagedDownload(f"{name} has another sha256 than the Hub names")


def _rows(dataset: Dataset, opened: Any, split: str, seed: int) -> Iterator[Row]:
    """The split's rows; after a failure that may pass it is opened again and goes on."""
    given, waits = 0, iter(WAITS)
    while True:
        try:
            for row in itertools.islice(_sort_files(dataset, opened, seed), given, None):
                yield row
                given, waits = given + 1, iter(WAITS)
            return
        except Exception as error:
            _wait_or_raise(dataset, error, next(waits, None))
        opened = _open_dataset(dataset)[split]


def _sort_files(dataset: Dataset, opened: Any, seed: int) -> Iterator[Row]:
    """The split from its start, shuffled where the settings say so."""
    buffer = dataset.wanted.shuffle_buffer
    if not buffer:
        return iter(opened)
    stream = opened if dataset.wanted.streaming else opened.to_iterable_dataset()
    return iter(stream.shuffle(seed=seed, buffer_size=buffer))
