"""Errors of the Hugging Face Hub as one line each: a table by the class of the error.

The classes are given by name, because importing their libraries is slow.
"""

import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nielsgpt.errors import DataError, NielsError, first_line
from nielsgpt.system.atomic_files import explain_unwritable

RETRY = "check the network and run the command again"


@dataclass(frozen=True)
class HubFault:
    """A class of errors, what is wrong, and what to do.

    `statuses`: only with one of these HTTP statuses. `transient`: a retry may succeed.
    """

    error: str
    problem: str
    remedy: str
    transient: bool = False
    statuses: tuple[int, ...] = ()

    def matches(self, error: BaseException) -> bool:
        """True if the error, or a class that it derives from, is of this row."""
        names = {kind.__name__ for kind in type(error).__mro__}
        return self.error in names and (not self.statuses or find_status(error) in self.statuses)


LOGIN = "set HF_TOKEN to your token, or log in with 'hf auth login'"
ABSENT = "does not exist on the Hub or is private"
GATED = HubFault(
    "GatedRepoError",
    "requires that you accept its terms",
    "accept them on its page on the Hub and log in with 'hf auth login'",
)
NO_REVISION = "has no such revision"
DISABLED = "is disabled by the Hub"
UNREACHABLE = tuple(
    HubFault(error, "the Hub cannot be reached ({error})", RETRY, transient=True)
    for error in ("RequestError", "LocalEntryNotFoundError", "ConnectionError", "TimeoutError")
)
# Of datasets and of models alike, after what only one of them has.
NETWORK = (
    HubFault("HfHubHTTPError", "the Hub failed ({error})", RETRY, transient=True),
    *UNREACHABLE,
)
DAMAGED = HubFault("OSError", "was damaged during the download ({error})", RETRY, transient=True)
# Of datasets. The first that matches counts.
FAULTS = (
    HubFault(
        "OfflineModeIsEnabled",
        "HF_HUB_OFFLINE is set and the newest commit is not known",
        "set data.{source}.revision, or unset it and run the command again",
        transient=True,
    ),
    GATED,
    HubFault(
        "RevisionNotFoundError",
        NO_REVISION,
        "take the newest with --set data.{source}.revision=null",
    ),
    HubFault(
        "RepositoryNotFoundError",
        ABSENT,
        "check data.{source}.dataset, or log in with 'hf auth login'",
    ),
    HubFault("DisabledRepoError", DISABLED, "leave it out of the mix"),
    HubFault(
        "HFValidationError",
        "is not a valid dataset name",
        "write owner/name in data.{source}.dataset",
    ),
    HubFault("DamagedDownload", DAMAGED.problem, RETRY, transient=True),
    *NETWORK,
    HubFault(
        "SplitsVerificationError",
        "does not have the size on its card ({error})",
        "choose another data.{source}.revision",
    ),
    *(
        HubFault(
            error,
            "has a file that cannot be read ({error})",
            "choose another data.{source}.revision",
        )
        for error in ("ArrowException", "ArrowInvalid")
    ),
    DAMAGED,
    HubFault("ValueError", "{error}", "check data.{source}.config and data.{source}.revision"),
)
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS)
CLIENT_ERRORS = range(400, 500)
TRANSIENT_CLIENT_ERRORS = (408, 429)


class DamagedDownload(Exception):
    """Bytes with another hash than the Hub's."""


def explain(error: BaseException, label: str, source: str) -> NielsError:
    """The error of a dataset in one line: its label, what is wrong, what to do."""
    if full := explain_full_disk(error, Path.home() / ".cache"):
        return full
    cause, fault = find_fault(error, FAULTS) or (error, None)
    if fault is None:
        return DataError(f"{label}: {type(error).__name__}: {to_phrase(error)}; {RETRY}")
    values = {"error": to_phrase(cause), "source": source}
    return DataError(f"{label}: {fault.problem.format(**values)}; {fault.remedy.format(**values)}")


def is_transient(error: BaseException | None) -> bool:
    """True if the same attempt may succeed a little later."""
    if error is None or explain_full_disk(error, Path()):
        return False
    match = find_fault(error, FAULTS)
    if match is None:
        return False
    cause, fault = match
    status = find_status(cause)
    return fault.transient and (status not in CLIENT_ERRORS or status in TRANSIENT_CLIENT_ERRORS)


def find_fault(
    error: BaseException, faults: Sequence[HubFault]
) -> tuple[BaseException, HubFault] | None:
    """The first row that matches the error or one of its causes, with that cause."""
    for fault in faults:
        for cause in list_causes(error):
            if fault.matches(cause):
                return cause, fault
    return None


def find_status(error: BaseException) -> int:
    """The HTTP status of an error, or 0."""
    status: int = getattr(getattr(error, "response", None), "status_code", 0)
    return status


def explain_full_disk(error: BaseException, folder: Path) -> NielsError | None:
    """The error for a disk that is full or read-only, or None if that is not the cause.

    `folder`: where the files go, if the error does not say.
    """
    for cause in list_causes(error):
        if isinstance(cause, OSError) and cause.errno in UNWRITABLE:
            return explain_unwritable(Path(cause.filename or folder), cause)
    return None


def to_phrase(error: BaseException) -> str:
    """The first line of an error's text, as a part of a sentence."""
    return " ".join(first_line(error).split()).rstrip(".")


def list_causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, its cause, the cause of that, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
