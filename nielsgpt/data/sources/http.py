"""HTTP requests: retried while a server is busy, refused if HF_HUB_OFFLINE is set."""

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

CHUNK_BYTES = 2**14
BUSY_STATUSES = (429, 500, 502, 503, 504)


@dataclass(frozen=True)
class RetryPolicy:
    """How often to retry a request, and how long to wait."""

    tries: int = 5
    backoff_s: float = 1.0
    longest_s: float = 120.0
    timeout_s: float = 30.0
    sleep: Callable[[float], None] = time.sleep

    def pause(self, failures: int) -> None:
        """Wait before the next attempt: exponential backoff."""
        self.sleep(min(self.backoff_s * 2 ** (failures - 1), self.longest_s))


class UnusableResponse(Exception):
    """A response that no retry can improve."""


def parse_url(url: str, remedy: str) -> SplitResult:
    """Parse an http or https URL. Raises DataError with `remedy` for anything else."""
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https"):
            return parts
    raise DataError(f"{url} is not an http or https address; {remedy}")


def check_allowed(url: str, remedy: str) -> None:
    """Raises DataError with `remedy` if the URL must not be requested.

    HF_HUB_OFFLINE=1 applies to every server, as it does to datasets.
    """
    parse_url(url, remedy)
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise DataError(f"{url} cannot be downloaded while HF_HUB_OFFLINE is set; {remedy}")


def open_session(policy: RetryPolicy) -> requests.Session:
    """A session that retries busy servers, after their Retry-After or exponential backoff."""

    class Patient(Retry):
        def sleep(self, response: BaseHTTPResponse | None = None) -> None:
            text = None
            if response is not None:
                with suppress(InvalidHeader):
                    text = self.get_retry_after(response)
            policy.sleep(min(text or self.get_backoff_time(), policy.longest_s))

    class Timed(HTTPAdapter):
        def send(self, *words: Any, **options: Any) -> requests.Response:
            return super().send(*words, **{**options, "timeout": policy.timeout_s})

    retries = Patient(
        total=policy.tries - 1,
        status_forcelist=BUSY_STATUSES,
        backoff_factor=policy.backoff_s,
        raise_on_status=False,
    )
    session = requests.Session()
    session.headers["User-Agent"] = "nielsgpt (trains a small language model)"
    for scheme in ("http://", "https://"):
        session.mount(scheme, Timed(max_retries=retries))
    return session


def fetch(url: str, policy: RetryPolicy, limit_bytes: int, remedy: str) -> bytes:
    """A small response body. Raises DataError with the URL, the reason and `remedy`."""
    check_allowed(url, remedy)
    try:
        with open_session(policy) as http, http.get(url, stream=True) as response:
            response.raise_for_status()
            found = bytearray()
            for piece in response.iter_content(CHUNK_BYTES):
                found += piece
                if len(found) > limit_bytes:
                    raise UnusableResponse(f"more than {limit_bytes:,} bytes")
            return bytes(found)
    except (UnusableResponse, requests.RequestException) as error:
        raise DataError(f"{url} cannot be read ({describe_error(error)}); {remedy}") from None


def describe_error(error: Exception) -> str:
    """The reason of a failure in a few words."""
    response = getattr(error, "response", None)
    if isinstance(error, requests.HTTPError) and response is not None:
        return f"{response.status_code} {response.reason}"
    inner: Any = error.args[0] if error.args else error
    text = str(getattr(inner, "reason", inner))
    # urllib3 prefixes the reason with the connection object.
    return " ".join(text.rsplit("): ", 1)[-1].rsplit(">: ", 1)[-1].split()) or type(error).__name__
