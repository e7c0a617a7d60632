"""The errors a person can meet: one line each, naming the thing, the value and the next command."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger("nielsgpt")


class NielsError(Exception):
    """Something the user can put right: leaves the command line with `exit_code`, untraced."""

    exit_code = 2


class SettingsError(NielsError):
    """A setting that is unknown, of the wrong type, or at odds with another."""


class DataError(NielsError):
    """A source, a document, a conversation or a cached shard that cannot be used."""


class TokenizerError(NielsError):
    """A tokenizer that is missing, broken, impossible to train, or not the one expected."""


class CheckpointError(NielsError):
    """A checkpoint that is missing, damaged, or does not fit the settings."""


class EngineError(NielsError):
    """A way of computing that this machine gets wrong."""


class BusyError(NielsError):
    """Another process is already writing this artifact."""


class RunError(NielsError):
    """A run that failed for a reason outside the user's input: disk full, a non-finite loss."""

    exit_code = 1


def first_line(error: BaseException) -> str:
    """The first line of what an error says, else the name of its class."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class Stopped(NielsError):
    """A run ended by a signal after saving: exit code 128 + the signal's number."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


@contextmanager
def best_effort(what: str) -> Iterator[None]:
    """Let the block fail with one warning that names `what`; only a stop comes through.

    The traceback is logged for --debug.
    """
    try:
        yield
    except Stopped:
        raise
    except Exception as error:
        log.warning("%s failed (%s); continuing without it", what, first_line(error)[:200])
        log.debug("%s", what, exc_info=True)
