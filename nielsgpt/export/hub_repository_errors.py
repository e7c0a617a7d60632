"""What can go wrong with a model's repository, told in one line: a table by class and status.

The classes are named, not imported: they belong to a library that is slow to load.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nielsgpt.data.sources.hub_errors import RETRY, find_disk_error, one_line, walk_causes
from nielsgpt.errors import DataError, NielsError

LOGIN = "set HF_TOKEN to a token of yours, or log in with 'hf auth login'"
ABSENT = "is not on the Hub, or not for everyone"
ANY = (0,)
# The class, the statuses (0: any), what is wrong, and what to do. The first that fits.
FAULTS: tuple[tuple[str, tuple[int, ...], str, str], ...] = (
    ("OfflineModeIsEnabled", ANY, "HF_HUB_OFFLINE is set", "unset it and run the command again"),
    ("HFValidationError", ANY, "is no name of a repository", "write owner/name"),
    (
        "GatedRepoError",
        ANY,
        "wants its terms accepted",
        "accept them on its page on the Hub and log in with 'hf auth login'",
    ),
    ("RevisionNotFoundError", ANY, "has no such revision", "name another one with --revision"),
    ("DisabledRepoError", ANY, "is closed by the Hub", "name another repository"),
    ("RepositoryNotFoundError", ANY, ABSENT, LOGIN),
    ("HfHubHTTPError", (401,), "the Hub refuses the token", LOGIN),
    (
        "HfHubHTTPError",
        (403,),
        "the token may not do this",
        "take one that may write, and a name below your own user or organisation",
    ),
    ("HfHubHTTPError", (409, 412), "somebody else changed it meanwhile", "run the command again"),
    ("HfHubHTTPError", (429,), "the Hub asks to wait", "run the command again in a while"),
    ("HfHubHTTPError", ANY, "the Hub failed ({error})", RETRY),
    ("RequestError", ANY, "the Hub cannot be reached ({error})", RETRY),
    ("LocalEntryNotFoundError", ANY, "the Hub cannot be reached ({error})", RETRY),
    ("ConnectionError", ANY, "the Hub cannot be reached ({error})", RETRY),
    ("TimeoutError", ANY, "the Hub cannot be reached ({error})", RETRY),
    ("OSError", ANY, "came damaged ({error})", RETRY),
    ("ValueError", ANY, "{error}", "see its name and --revision"),
)


@contextmanager
def hub_errors_explained(repository: str, folder: Path) -> Iterator[None]:
    """Turn what the library raises into one line of ours; `folder`: where its files are written."""
    try:
        yield
    except NielsError:
        raise
    except Exception as error:
        if (line := explain(error, repository, folder)) is None:
            raise
        raise line from error


def explain(error: BaseException, repository: str, folder: Path) -> NielsError | None:
    """The error in one line: the repository, what is wrong, what to do; None for one unheard of."""
    if line := find_disk_error(error, folder):
        return line
    for name, statuses, wrong, todo in FAULTS:
        for link in walk_causes(error):
            status = getattr(getattr(link, "response", None), "status_code", 0)
            known = name in {kind.__name__ for kind in type(link).__mro__}
            if known and (statuses == ANY or status in statuses):
                return DataError(f"{repository}: {wrong.format(error=one_line(link))}; {todo}")
    return None
