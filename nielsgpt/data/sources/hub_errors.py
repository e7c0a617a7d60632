"""Errors of the Hub as one-line messages: a table keyed by exception class.

The classes are given by name, because importing their libraries is slow.
"""

import errno
from collections.abc import Iterator
from pathlib import Path

from nielsgpt.errors import DataError, NielsError, first_line
from nielsgpt.system.workspace import explain_unwritable

RETRY = "check the network and run the command again"
# Exception class, whether it is transient, the problem, the remedy. The first match counts.
FAULTS: tuple[tuple[str, bool, str, str], ...] = (
    (
        "OfflineModeIsEnabled",
        True,
        "HF_HUB_OFFLINE is set and the newest commit is not known",
        "set data.{source}.revision, or unset it and run the command again",
    ),
    (
        "GatedRepoError",
        False,
        "wants its terms accepted",
        "accept them on its page on the Hub and log in with 'hf auth login'",
    ),
    (
        "RevisionNotFoundError",
        False,
        "has no such revision",
        "take the newest with --set data.{source}.revision=null",
    ),
    (
        "RepositoryNotFoundError",
        False,
        "is not on the Hub, or not for everyone",
        "see data.{source}.dataset, or log in with 'hf auth login'",
    ),
    ("DisabledRepoError", False, "is closed by the Hub", "leave it out of the mix"),
    (
        "HFValidationError",
        False,
        "is not a dataset name",
        "write owner/name in data.{source}.dataset",
    ),
    ("DamagedDownload", True, "came damaged ({error})", RETRY),
    ("HfHubHTTPError", True, "the Hub failed ({error})", RETRY),
    ("RequestError", True, "the Hub cannot be reached ({error})", RETRY),
    ("LocalEntryNotFoundError", True, "the Hub cannot be reached ({error})", RETRY),
    ("ConnectionError", True, "the Hub cannot be reached ({error})", RETRY),
    ("TimeoutError", True, "the Hub cannot be reached ({error})", RETRY),
    (
        "SplitsVerificationError",
        False,
        "has not the size that its card names ({error})",
        "choose another data.{source}.revision",
    ),
    (
        "ArrowException",
        False,
        "holds a file that cannot be read ({error})",
        "choose another data.{source}.revision",
    ),
    (
        "ArrowInvalid",
        False,
        "holds a file that cannot be read ({error})",
        "choose another data.{source}.revision",
    ),
    ("OSError", True, "came damaged ({error})", RETRY),
    ("ValueError", False, "{error}", "see data.{source}.config and data.{source}.revision"),
)
DISK_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS)
CLIENT_ERRORS = range(400, 500)
TRANSIENT_STATUSES = (408, 429)


class DamagedDownload(Exception):
    """A file whose sha256 differs from the Hub's."""


def explain(error: BaseException, label: str, source: str) -> NielsError:
    """The error as one line: label, problem and remedy."""
    if line := find_disk_error(error, Path.home() / ".cache"):
        return line
    cause, (_, _, wrong, todo) = _find_fault(error)
    words = {"error": one_line(cause), "source": source}
    return DataError(f"{label}: {wrong.format(**words)}; {todo.format(**words)}")


def is_passing(error: BaseException | None) -> bool:
    """Whether a retry may succeed."""
    if error is None or find_disk_error(error, Path()):
        return False
    cause, (_, passing, _, _) = _find_fault(error)
    status = getattr(getattr(cause, "response", None), "status_code", 0)
    return passing and (status not in CLIENT_ERRORS or status in TRANSIENT_STATUSES)


def find_disk_error(error: BaseException, folder: Path) -> NielsError | None:
    """The message for a full or unwritable disk if that is the cause, else None.

    `folder` is named if the error has no file name.
    """
    for link in walk_causes(error):
        if isinstance(link, OSError) and link.errno in DISK_ERRNOS:
            return explain_unwritable(Path(link.filename or folder), link)
    return None


def one_line(error: BaseException) -> str:
    """The first line of an error message, without a final period."""
    return " ".join(first_line(error).split()).rstrip(".")


def walk_causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, its cause, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _find_fault(error: BaseException) -> tuple[BaseException, tuple[str, bool, str, str]]:
    """The first table row that matches an error of the chain, and that error."""
    for row in FAULTS:
        for link in walk_causes(error):
            if row[0] in {kind.__name__ for kind in type(link).__mro__}:
                return link, row
    return error, ("", False, f"{type(error).__name__}: {{error}}", RETRY)
