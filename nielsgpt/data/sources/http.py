"""How nielsgpt asks a server: again when it is busy, and never when told to stay offline."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from nielsgpt.errors import DataError

PIECE_BYTES = 2**14
BUSY = (429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server and how often to ask it again."""

    tries: int = 5
    backoff_s: float = 1.0
    longest_s: float = 120.0
    timeout_s: float = 30.0
    sleep: Callable[[float], None] = time.sleep

    def pause(self, failures: int) -> None:
        """Wait before the next try: twice as long after each failure."""
        self.sleep(min(self.backoff_s * 2 ** (failures - 1), self.longest_s))


class HTTPRefusal(Exception):
    """Why an answer is of no use, however often one asks."""


def address(url: str, instead: str) -> SplitResult:
    """The parts of an address. Raises DataError with `instead` if it is none of the web."""
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https"):
            return parts
    raise DataError(f"{url} is no http or https address; {instead}")


def may_ask(url: str, instead: str) -> None:
    """Raises DataError with `instead` as remedy where the address may not be asked for.

    HF_HUB_OFFLINE=1 holds for everything, as it does for datasets.
    """
    address(url, instead)
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise DataError(f"{url} may not be asked for, with HF_HUB_OFFLINE set; {instead}")


def session(patience: Patience) -> requests.Session:
    """A session that asks a busy server again, after its Retry-After or ever longer pauses."""

    class Patient(Retry):
        def sleep(self, response: BaseHTTPResponse | None = None) -> None:
            told = None
            if response is not None:
                with suppress(InvalidHeader):
                    told = self.get_retry_after(response)
            patience.sleep(min(told or self.get_backoff_time(), patience.longest_s))

    class Timed(HTTPAdapter):
        def send(self, *words: Any, **options: Any) -> requests.Response:
            return super().send(*words, **{**options, "timeout": patience.timeout_s})

    retries = Patient(
        total=patience.tries - 1,
        status_forcelist=BUSY,
        backoff_factor=patience.backoff_s,
        raise_on_status=False,
    )
    made = requests.Session()
    made.headers["User-Agent"] = "nielsgpt (trains a small language model)"
    for scheme in ("http://", "https://"):
        made.mount(scheme, Timed(max_retries=retries))
    return made


def fetch(url: str, patience: Patience, limit_bytes: int, instead: str) -> bytes:
    """A small answer, whole. Raises DataError with the address, the reason and `instead`."""
    may_ask(url, instead)
    try:
        with session(patience) as asking, asking.get(url, stream=True) as answer:
            answer.raise_for_status()
            found = bytearray()
            for piece in answer.iter_content(PIECE_BYTES):
                found += piece
                if len(found) > limit_bytes:
                    raise HTTPRefusal(f"more than {limit_bytes:,} bytes")
            return bytes(found)
    except (HTTPRefusal, requests.RequestException) as error:
        raise DataError(f"{url} cannot be read ({reason(error)}); {instead}") from None


def reason(error: Exception) -> str:
    """Why it failed, in a few words."""
    answer = getattr(error, "response", None)
    if isinstance(error, requests.HTTPError) and answer is not None:
        return f"{answer.status_code} {answer.reason}"
    inner: Any = error.args[0] if error.args else error
    told = str(getattr(inner, "reason", inner))
    # urllib3 puts the connection itself before what befell it.
    return " ".join(told.rsplit("): ", 1)[-1].rsplit(">: ", 1)[-1].split()) or type(error).__name__
