"""A scenario's text from the network, or an errorless word about why it could not be had."""

import hashlib
import http.client
import logging
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

from nielsgpt.micro.documents import place
from nielsgpt.micro.errors import MicroError, MicroRunError
from nielsgpt.micro.files import write_text
from nielsgpt.micro.names import invented
from nielsgpt.micro.scenarios import Scenario

log = logging.getLogger("nielsgpt")
TIMEOUT_S = 20.0
PAUSES_S = (1.0, 3.0)
LIMIT_BYTES = 64 * 2**20
OFFLINE = ("1", "ON", "YES", "TRUE")  # values of HF_HUB_OFFLINE, as datasets reads it


def download(
    root: Path, scenario: Scenario, invent: bool = False, pauses_s: tuple[float, ...] = PAUSES_S
) -> str:
    """Put the scenario's text, fetched or invented, in its place; what was done, in a line.

    Raises MicroRunError when the network does not answer, after as many retries as there are
    pauses, and MicroError for a text that has no address or cannot be invented.
    """
    path = place(root, scenario)
    if invent and not scenario.data.invented:
        raise MicroError(f"only names can be generated, not the text of scenario {scenario.name}")
    if path.exists():
        return f"{path} is there already; delete it first to make it again"
    if invent:
        names = invented()
        text, what = "\n".join(names) + "\n", f"{len(names):,} invented names"
    else:
        content = _content(path, scenario, pauses_s)
        text, checksum = content.decode("utf-8-sig"), hashlib.sha256(content).hexdigest()
        what = f"{len(text):,} characters, sha256 {checksum}"
    write_text(path, text)
    return f"wrote {path}: {what}"


def _content(path: Path, scenario: Scenario, pauses_s: tuple[float, ...]) -> bytes:
    url, name = scenario.data.download_url, scenario.name
    if url is None:
        raise MicroError(f"scenario {name} has no data.download_url; put your text at {path}")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in OFFLINE:
        raise MicroError(
            f"{url} cannot be downloaded while HF_HUB_OFFLINE is set; put a text at {path}"
        )
    try:
        content = fetch(url, pauses_s)
        content.decode("utf-8-sig")
    except (OSError, http.client.HTTPException, ValueError) as error:
        instead = f"put the text at {path} yourself"
        if scenario.data.invented:
            instead = f"invent some: nielsgpt micro download {name} --invent"
        raise MicroRunError(f"{url} cannot be fetched ({reason(error)}); {instead}") from None
    return content


def fetch(url: str, pauses_s: tuple[float, ...] = PAUSES_S, timeout_s: float = TIMEOUT_S) -> bytes:
    """The bytes behind an address. Raises OSError, HTTPException or ValueError.

    What may pass by itself, a silent or failing server, is tried again after each pause.
    """
    for pause_s in (*pauses_s, None):
        try:
            with urllib.request.urlopen(url, timeout=timeout_s) as answer:
                content: bytes = answer.read(LIMIT_BYTES + 1)
            if len(content) > LIMIT_BYTES:
                raise ValueError(f"more than {LIMIT_BYTES // 2**20} MiB")
            if answer.length:  # A connection that broke off: a limited read does not say so.
                raise http.client.IncompleteRead(content, answer.length)
            if content.lstrip()[:1] == b"<":
                raise ValueError("a web page came instead of a text")
            return content
        except (OSError, http.client.HTTPException) as error:
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            if refused or pause_s is None:
                raise
            log.info("%s: %s; trying again in %g s", url, reason(error), pause_s)
            time.sleep(pause_s)
    raise AssertionError("unreachable")


def reason(error: Exception) -> str:
    """Why it failed, in a few words."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    told = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(str(told).split())
