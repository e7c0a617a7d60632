"""What can go wrong with the Hub, told in one line: a table by the class of the error.

The classes are named, not imported: they belong to libraries that are slow to load.
"""

import errno
from collections.abc import Iterator
from pathlib import Path

from nielsgpt.errors import DataError, NielsError, first_line
from nielsgpt.system.workspace import explain_unwritable

AGAIN = "see that the network works and run the command again"
# The class, whether it may pass by itself, what is wrong, and what to do. The first that fits.
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
        "is no name of a dataset",
        "write owner/name in data.{source}.dataset",
    ),
    ("DamagedDownload", True, "came damaged ({error})", AGAIN),
    ("HfHubHTTPError", True, "the Hub failed ({error})", AGAIN),
    ("RequestError", True, "the Hub cannot be reached ({error})", AGAIN),
    ("LocalEntryNotFoundError", True, "the Hub cannot be reached ({error})", AGAIN),
    ("ConnectionError", True, "the Hub cannot be reached ({error})", AGAIN),
    ("TimeoutError", True, "the Hub cannot be reached ({error})", AGAIN),
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
    ("OSError", True, "came damaged ({error})", AGAIN),
    ("ValueError", False, "{error}", "see data.{source}.config and data.{source}.revision"),
)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS)
LASTING = range(400, 500)
PASSING = (408, 429)


class DamagedDownload(Exception):
    """Bytes that are not those that the Hub names."""


def explain(error: BaseException, label: str, source: str) -> NielsError:
    """The error in one line: the label, what is wrong, what to do."""
    if line := no_room(error, Path.home() / ".cache"):
        return line
    cause, (_, _, wrong, todo) = _fault(error)
    words = {"error": plain(cause), "source": source}
    return DataError(f"{label}: {wrong.format(**words)}; {todo.format(**words)}")


def is_passing(error: BaseException | None) -> bool:
    """Whether the same attempt may succeed a little later."""
    if error is None or no_room(error, Path()):
        return False
    cause, (_, passing, _, _) = _fault(error)
    status = getattr(getattr(cause, "response", None), "status_code", 0)
    return passing and (status not in LASTING or status in PASSING)


def no_room(error: BaseException, folder: Path) -> NielsError | None:
    """The line for a disk that is full or may not be written, where that is what happened;
    `folder`: where the files go, should the error not say."""
    for link in chain(error):
        if isinstance(link, OSError) and link.errno in FULL:
            return explain_unwritable(Path(link.filename or folder), link)
    return None


def plain(error: BaseException) -> str:
    """The first line of what an error says, as a part of a sentence."""
    return " ".join(first_line(error).split()).rstrip(".")


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what caused it, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _fault(error: BaseException) -> tuple[BaseException, tuple[str, bool, str, str]]:
    """The error of the chain that says most, and its row."""
    for row in FAULTS:
        for link in chain(error):
            if row[0] in {kind.__name__ for kind in type(link).__mro__}:
                return link, row
    return error, ("", False, f"{type(error).__name__}: {{error}}", AGAIN)
