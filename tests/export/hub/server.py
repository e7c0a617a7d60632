"""The Hub of the sources' tests that can be written to: models, tokens, private and public.

What it is sent goes through `lfs` (large files by sha256) and one commit; `received` counts bytes.
"""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from tests.data.sources.hubserver import REPOSITORY, Files, Hub, _Handler

RIGHT = "hf_right"
READER = "hf_reader"  # a token that may not write


class WritableHub(Hub):
    """The server; `private` holds the names of the models that only a token sees."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.private: set[str] = set()
        self.lfs: dict[str, bytes] = {}
        self.commits: list[list[str]] = []
        self.received = 0
        self._server.RequestHandlerClass = type("Handler", (_Writable,), {"hub": self})

    def files(self, name: str) -> Files:
        """The files of a model's newest commit."""
        return list(self.repositories[f"models/{name}"].values())[-1]

    def model(self, name: str, files: Files) -> str:
        """Make these the files of a model; returns its commit."""
        return self.commit(name, files, kind="models")


class _Writable(_Handler):
    hub: WritableHub

    def token(self) -> str:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def opened(self, repository: str, revision: str) -> tuple[str, Files] | None:
        hidden = repository.split("/", 1)[1] in self.hub.private
        if hidden and self.token() not in (RIGHT, READER):
            self.refuse("RepoNotFound")
            return None
        return super().opened(repository, revision)

    def tell(self, value: Any) -> None:
        if isinstance(value, dict) and "private" in value:
            value["private"] = value["id"] in self.hub.private
        super().tell(value)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.fault = self.hub.fault(self.command, self.path)
        if self.fault is not None and self.fault.status:
            return self.answer(self.fault.status, b"{}")
        if not self.path.startswith("/lfs/") and self.token() != RIGHT:
            return self.answer(403 if self.token() == READER else 401, b"{}")
        self.hub.received += len(body)
        for pattern, route in WRITES:
            if found := re.fullmatch(pattern, self.path):
                return route(self, body, **found.groupdict())
        return self.refuse("EntryNotFound")

    do_PUT = do_POST

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}"
        self.hub.model(name, {".gitattributes": b"* text\n"})
        if asked.get("private") or asked.get("visibility") == "private":
            self.hub.private.add(name)
        self.tell({"url": f"{self.hub.endpoint}/{name}"})

    def card(self, body: bytes) -> None:
        self.tell({"errors": [], "warnings": []})

    def modes(self, body: bytes, repository: str, revision: str) -> None:
        kinds = {True: "regular", False: "lfs"}
        asked = json.loads(body)["files"]
        small = (".md", ".json", ".Modelfile")
        self.tell(
            {
                "files": [
                    {
                        "path": one["path"],
                        "uploadMode": kinds[one["path"].endswith(small)],
                        "shouldIgnore": False,
                        "oid": None,
                    }
                    for one in asked
                ]
            }
        )

    def batch(self, body: bytes) -> None:
        def actions(one: dict[str, Any]) -> dict[str, Any]:
            if one["oid"] in self.hub.lfs:
                return {}
            return {"actions": {"upload": {"href": f"{self.hub.endpoint}/lfs/{one['oid']}"}}}

        asked = json.loads(body)["objects"]
        self.tell({"transfer": "basic", "objects": [{**one, **actions(one)} for one in asked]})

    def large(self, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.lfs[oid] = body
        self.tell({})

    def change(self, body: bytes, repository: str, revision: str) -> None:
        files = dict(list(self.hub.repositories[repository].values())[-1])
        told = [json.loads(line) for line in body.splitlines() if line.strip()]
        changes = [one["value"] for one in told if one["key"] != "header"]
        for one in changes:
            inline = "content" in one
            files[one["path"]] = (
                base64.b64decode(one["content"]) if inline else self.hub.lfs[one["oid"]]
            )
        self.hub.commits.append(sorted(one["path"] for one in changes))
        name = repository.split("/", 1)[1]
        sha = self.hub.model(name, files)
        url = f"{self.hub.endpoint}/{name}/commit/{sha}"
        self.tell({"success": True, "commitOid": sha, "commitUrl": url, "hookOutput": ""})


WRITES: list[tuple[str, Any]] = [
    (r"/api/repos/create", _Writable.create),
    (r"/api/validate-yaml", _Writable.card),
    (REPOSITORY + r"/preupload/(?P<revision>[^/?]+).*", _Writable.modes),
    (REPOSITORY + r"/commit/(?P<revision>[^/?]+).*", _Writable.change),
    (r"/[^/]+/[^/]+\.git/info/lfs/objects/batch", _Writable.batch),
    (r"/lfs/(?P<oid>[0-9a-f]{64})", _Writable.large),
]
