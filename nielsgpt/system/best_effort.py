"""Work that a run can do without: reports, plots, trackers, samples, machine figures."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from nielsgpt.errors import Stopped, first_line

log = logging.getLogger("nielsgpt")


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
