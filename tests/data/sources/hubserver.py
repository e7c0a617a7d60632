"""A Hugging Face Hub on 127.0.0.1 that the real clients read from, with faults on demand.

    with Hub(tmp_path) as hub:
        commit = hub.commit("owner/name", {"data/train-0.parquet": parquet_bytes})
        hub.fail("train-0", status=503, times=2)
        subprocess.run(..., env={**os.environ, **hub.environment()})
        assert ("GET", "/api/datasets/owner/name") in hub.requests

Its clients read HF_ENDPOINT and the like when they are imported, so they run in a child process.
Repositories lie in memory, every commit of them; what a client stores lies below the given folder.
"""

import contextlib
import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

SMALL = (".md", ".json", ".yaml", ".txt", ".gitattributes")  # kept in git; the rest is large
Files = dict[str, bytes]


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose path the pattern is found in.

    `status` answers with that and no body; `cut` breaks the connection after so many bytes of
    the body; `spoil` changes a byte of it; `short` says, truthfully, that it has fewer bytes.
    """

    pattern: re.Pattern[str]
    times: int
    status: int = 0
    cut: int = -1
    spoil: bool = False
    short: int = 0


class Hub:
    """The server, from `with` on; `endpoint` is its address, `requests` what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[tuple[str, str]] = []
        self.repositories: dict[str, dict[str, Files]] = {}  # datasets/owner/name: commit: files
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def environment(self, offline: bool = False) -> dict[str, str]:
        """What to set for a client of this Hub; it stores below the folder of this Hub alone."""
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(self.folder / "huggingface"),
            "HF_HUB_OFFLINE": "1" if offline else "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "USE_TORCH": "0",  # else datasets loads it for each stream
            "NIELSGPT_CACHE": str(self.folder / "machine"),
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def commit(self, name: str, files: Files, sha: str = "", kind: str = "datasets") -> str:
        """Make these the files of the repository; returns the commit, its newest from now on."""
        content = hashlib.sha1(b"".join(k.encode() + v for k, v in sorted(files.items())))
        sha = sha or content.hexdigest()
        commits = self.repositories.setdefault(f"{kind}/{name}", {})
        commits.pop(sha, None)
        commits[sha] = files
        return sha

    def fail(self, pattern: str, times: int = 1, **fault: Any) -> None:
        """Let the next requests that the pattern is found in go wrong, as Fault says."""
        self._faults.append(Fault(re.compile(pattern), times, **fault))

    def heal(self) -> None:
        """No faults from now on."""
        self._faults.clear()

    def asked(self, pattern: str) -> int:
        """How many requests so far had this pattern in their path."""
        return sum(bool(re.search(pattern, path)) for _, path in self.requests)

    def fault(self, method: str, path: str) -> Fault | None:
        """Note a request; returns what is to go wrong with it."""
        with self._lock:
            self.requests.append((method, path))
            for fault in self._faults:
                in_body = fault.status == 0
                if fault.times and fault.pattern.search(path) and (method == "GET" or not in_body):
                    fault.times -= 1
                    return fault
        return None


@dataclass(frozen=True)
class Entry:
    """A file as the Hub describes it: a large one is named by the sha256 of its bytes."""

    path: str
    data: bytes

    @property
    def etag(self) -> str:
        if self.large:
            return hashlib.sha256(self.data).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()

    @property
    def large(self) -> bool:
        return not self.path.endswith(SMALL)

    def describe(self) -> dict[str, Any]:
        size = len(self.data)
        told = {"type": "file", "path": self.path, "size": size, "oid": self.etag}
        large = {"lfs": {"oid": self.etag, "size": size, "pointerSize": 134}}
        return {**told, **large} if self.large else told


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.fault = self.hub.fault(self.command, self.path)
        if self.fault is not None and self.fault.status:
            return self.answer(self.fault.status, b"{}")
        for pattern, route in ROUTES:
            if found := re.fullmatch(pattern, url.path):
                words = {key: unquote(value or "") for key, value in found.groupdict().items()}
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    route(self, parse_qs(url.query), **words)
                return None
        return self.refuse("EntryNotFound")

    do_HEAD = do_GET

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Send a body, or what the fault leaves of it."""
        cut = -1
        if self.fault is not None and self.command == "GET":
            cut = self.fault.cut
            body = body[: len(body) - self.fault.short]
            if self.fault.spoil:
                body = body[:-20] + bytes([body[-20] ^ 1]) + body[-19:]
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut < 0 else body[:cut])
        if cut >= 0:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def tell(self, value: Any) -> None:
        self.answer(200, json.dumps(value).encode(), Content_Type="application/json")

    def refuse(self, code: str) -> None:
        self.answer(404, b"{}", X_Error_Code=code, X_Error_Message=code)

    def opened(self, repository: str, revision: str) -> tuple[str, Files] | None:
        """The commit and its files; a missing one is answered with why."""
        commits = self.hub.repositories.get(repository, {})
        sha = revision if revision not in ("", "main") else next(reversed(commits), "")
        if sha in commits:
            return sha, commits[sha]
        self.refuse("RevisionNotFound" if commits else "RepoNotFound")
        return None

    def info(self, query: dict[str, list[str]], repository: str, revision: str = "") -> None:
        if found := self.opened(repository, revision):
            names = [{"rfilename": name} for name in found[1]]
            name = repository.split("/", 1)[1]
            about = {"id": name, "sha": found[0], "private": False, "tags": [], "siblings": names}
            self.tell({**about, "downloads": 0, "likes": 0, "disabled": False, "gated": False})

    def tree(self, query: dict[str, list[str]], repository: str, revision: str, under: str) -> None:
        if found := self.opened(repository, revision):
            deep = query.get("recursive", [""])[0].lower() in ("true", "1")
            listed = list(_listed(found[1], under.strip("/"), deep))
            self.tell(listed) if listed else self.refuse("EntryNotFound")

    def file(self, query: dict[str, list[str]], repository: str, revision: str, path: str) -> None:
        repository = repository if repository.startswith("datasets/") else f"models/{repository}"
        found = self.opened(repository, revision)
        if found is None:
            return None
        if path not in found[1]:
            return self.refuse("EntryNotFound")
        entry = Entry(path, found[1][path])
        size, (first, last) = len(entry.data), (0, len(entry.data) - 1)
        headers = {"ETag": f'"{entry.etag}"', "X_Repo_Commit": found[0], "Accept_Ranges": "bytes"}
        if entry.large:
            headers |= {"X_Linked_Etag": headers["ETag"], "X_Linked_Size": str(size)}
        status = 200
        if part := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            status, first, last = 206, int(part[1]), min(int(part[2] or last), last)
            headers["Content_Range"] = f"bytes {first}-{last}/{size}"
        if self.command == "HEAD":
            headers["Content_Length"] = str(last + 1 - first)
        return self.answer(status, entry.data[first : last + 1], **headers)


def _listed(files: Files, under: str, deep: bool) -> Iterator[dict[str, Any]]:
    folders = set()
    for path, data in sorted(files.items()):
        inside = path.removeprefix(f"{under}/") if under else path
        if under and inside == path:
            continue
        above = inside.split("/")[:-1]
        folders |= {"/".join(above[: n + 1]) for n in range(len(above) if deep else bool(above))}
        if deep or not above:
            yield Entry(path, data).describe()
    for folder in sorted(folders):
        full = f"{under}/{folder}" if under else folder
        oid = hashlib.sha1(full.encode()).hexdigest()
        yield {"type": "directory", "path": full, "size": 0, "oid": oid}


REPOSITORY = r"/api/(?P<repository>\w+/[^/]+/[^/]+)"
ROUTES: list[tuple[str, Any]] = [
    (REPOSITORY, _Handler.info),
    (REPOSITORY + r"/revision/(?P<revision>[^/]+)", _Handler.info),
    (REPOSITORY + r"/tree/(?P<revision>[^/]+)(?P<under>/.*)?", _Handler.tree),
    (r"/(?P<repository>.+?)/resolve/(?P<revision>[^/]+)/(?P<path>.+)", _Handler.file),
]
