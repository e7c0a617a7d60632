"""Datasets of the Hugging Face Hub at a fixed commit, downloaded and verified, or streamed.

`datasets` takes a second to import and reads HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE at import, so
it is imported when a dataset is opened.
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
from nielsgpt.system.atomic_files import file_sha256

log = logging.getLogger("nielsgpt")
COMMIT = re.compile(r"[0-9a-f]{40}")
LARGE = re.compile(r"[0-9a-f]{64}")
RETRY_WAITS = (1.0, 5.0, 25.0)  # seconds before each further attempt
BUDGETS = {"train_tokens", "val_tokens"}
SPLITS = ("validation", "train")
Row = Mapping[str, Any]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Dataset:
    """The dataset of a source at one commit."""

    source: str
    settings: HubSettings
    revision: str

    @property
    def label(self) -> str:
        """The name of the dataset in error messages."""
        parts = (self.settings.dataset, self.settings.config)
        named = " ".join(part for part in parts if part)
        return f"source {self.source}: {named} at {self.revision[:12]}"

    @property
    def inputs(self) -> dict[str, Any]:
        """All that determines the rows and their order."""
        return {**self.settings.model_dump(exclude=BUDGETS), "revision": self.revision}


def resolve_dataset(source: str, settings: HubSettings) -> Dataset:
    """The dataset at the revision of the settings, by default the newest.

    A full commit hash needs no network. A branch or tag is looked up on the Hub, and remembered
    for when the Hub is unreachable. Raises DataError if neither works.
    """
    revision = settings.revision or "main"
    if COMMIT.fullmatch(revision):
        return Dataset(source, settings, revision)
    return Dataset(source, settings, resolve_commit(source, settings.dataset, revision))


@functools.cache
def resolve_commit(source: str, name: str, revision: str) -> str:
    """The commit of a branch or tag, looked up once per process."""
    remembered = machine.recall("hub", f"{name}@{revision}")
    named = Dataset(source, HubSettings(dataset=name), revision)
    try:
        result = _retry(named, lambda: _request_commit(named), () if remembered else RETRY_WAITS)
    except DataError as error:
        if remembered is None or not is_transient(error.__cause__):
            raise
        log.info(
            "%s: the Hub is unreachable; using commit %s as last time", named.label, remembered[:12]
        )
        return str(remembered)
    if result != remembered:
        machine.remember("hub", f"{name}@{revision}", result)
    return result


def find_known(source: str, settings: HubSettings) -> Dataset | None:
    """The dataset if its commit is known without network, else None."""
    revision = settings.revision or "main"
    if not COMMIT.fullmatch(revision):
        revision = machine.recall("hub", f"{settings.dataset}@{revision}") or ""
    return Dataset(source, settings, revision) if revision else None


def open_splits(dataset: Dataset, seed: int) -> dict[str, Iterator[Row]]:
    """The rows of the validation split, if any, and of train, in an order that the seed fixes.

    Downloads are verified by checksum and then read without network. Streams resume after a broken
    connection. Raises DataError, also during iteration.
    """
    opened = _open_dataset(dataset)
    available = [split for split in SPLITS if split in opened]
    if "train" not in available:
        raise DataError(
            f"{dataset.label}: has no split called train, only {', '.join(opened)}; "
            f"set data.{dataset.source}.config, or data.{dataset.source}.dataset to another"
        )
    return {split: _rows(dataset, opened[split], split, seed) for split in available}


def is_downloaded(dataset: Dataset) -> bool:
    """Whether the complete dataset is in the Hugging Face cache."""
    return not dataset.settings.streaming and _open_prepared(dataset) is not None


def _request_commit(dataset: Dataset) -> str:
    """Ask the Hub for the commit of the dataset's revision."""
    from huggingface_hub import HfApi

    settings = dataset.settings
    revision = None if dataset.revision == "main" else dataset.revision
    return str(HfApi().dataset_info(settings.dataset, revision=revision).sha)


def _retry(
    dataset: Dataset, attempt: Callable[[], Result], waits: tuple[float, ...] = RETRY_WAITS
) -> Result:
    """The result of the attempt, retried after transient failures.

    Raises a one-line DataError, with the last failure as its cause.
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

    if not sys.stderr.isatty():  # huggingface_hub checks this itself
        datasets.disable_progress_bars()
    if not dataset.settings.streaming and (prepared := _open_prepared(dataset)) is not None:
        return prepared
    if datasets.config.HF_HUB_OFFLINE:
        what = "is streamed" if dataset.settings.streaming else "is not in the Hugging Face cache"
        raise DataError(
            f"{dataset.label}: {what} and HF_HUB_OFFLINE is set; unset it and run "
            "'nielsgpt caches' once"
        )
    return _retry(dataset, lambda: _fetch_files(dataset))


def _open_prepared(dataset: Dataset) -> Mapping[str, Any] | None:
    """Open the dataset from the Hugging Face cache at this exact commit; None if not cached."""
    from datasets.packaged_modules.cache.cache import Cache

    config = dataset.settings.config or "default"
    builder = Cache(
        repo_id=dataset.settings.dataset,
        dataset_name=dataset.settings.dataset.split("/")[-1],
        config_name=config,
        hash=dataset.revision,
    )
    if not Path(builder.cache_dir).is_dir():
        return None
    result: Mapping[str, Any] = builder.as_dataset()
    return result


def _fetch_files(dataset: Dataset) -> Mapping[str, Any]:
    """Download the dataset's splits from the Hub, or open them as streams."""
    from datasets import load_dataset_builder

    _request_commit(
        dataset
    )  # raises clear errors; the loader hides them and takes any commit on disk
    settings = dataset.settings
    builder = load_dataset_builder(settings.dataset, settings.config, revision=dataset.revision)
    if builder.hash != dataset.revision:
        raise ConnectionError(f"only commit {builder.hash[:12]} is on disk")
    if not settings.streaming:
        _download(dataset, builder.config.data_files)
        builder.download_and_prepare()
    result: Mapping[str, Any] = (
        builder.as_streaming_dataset() if settings.streaming else builder.as_dataset()
    )
    return result


def _download(dataset: Dataset, files: Mapping[str, list[str]]) -> None:
    """Download the files into the Hugging Face cache and verify their sha256.

    Raises DamagedDownload after deleting a file that differs.
    """
    from huggingface_hub import hf_hub_download

    for url in itertools.chain.from_iterable(files.values()):
        name = url.split(f"@{dataset.revision}/", 1)[1]
        path = hf_hub_download(
            dataset.settings.dataset, name, repo_type="dataset", revision=dataset.revision
        )
        stored = Path(path).resolve()
        if LARGE.fullmatch(stored.name) and file_sha256(stored) != stored.name:
            stored.unlink()
            raise DamagedDownload(f"{name} differs from the sha256 on the Hub")


def _rows(dataset: Dataset, opened: Any, split: str, seed: int) -> Iterator[Row]:
    """The rows of a split; after a transient failure, reopens it and continues."""
    yielded, waits = 0, iter(RETRY_WAITS)
    while True:
        try:
            for row in itertools.islice(_iterate_rows(dataset, opened, seed), yielded, None):
                yield row
                yielded, waits = yielded + 1, iter(RETRY_WAITS)
            return
        except Exception as error:
            _wait_or_raise(dataset, error, next(waits, None))
        opened = _open_dataset(dataset)[split]


def _iterate_rows(dataset: Dataset, opened: Any, seed: int) -> Iterator[Row]:
    """Iterate over a split from its start, shuffled if the settings say so."""
    buffer = dataset.settings.shuffle_buffer
    if not buffer:
        return iter(opened)
    stream = opened if dataset.settings.streaming else opened.to_iterable_dataset()
    return iter(stream.shuffle(seed=seed, buffer_size=buffer))
