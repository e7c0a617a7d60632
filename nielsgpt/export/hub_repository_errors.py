"""Errors of a model's repository on the Hub, in one line each; the table extends the datasets'."""

from collections.abc import Iterator
from contextlib import contextmanager
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
