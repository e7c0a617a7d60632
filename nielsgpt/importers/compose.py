"""The corpus of all that was imported: repeats taken out, documents and conversations written."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from nielsgpt.importers import private
from nielsgpt.importers.content import Turn, merge_counts
from nielsgpt.importers.dialogue import conversations
from nielsgpt.importers.manifest import Result, Row, Store
from nielsgpt.importers.readers import read_content
from nielsgpt.importers.repeats import Corpus, language
from nielsgpt.progress import Progress
from nielsgpt.system.atomic_files import file_sha256, fingerprint, write_atomically, write_text

MOST_DOCUMENTS = 1000  # of one file that become files of their own; more are put together
REPEATED = "documents or parts that repeat others"
LONGEST_NAME, LONGEST_BYTES = 60, 180


def compose(manifest: dict[str, Any], store: Store, result: Result) -> None:
    """Write the corpus of the manifest's sources, and remove what no longer belongs to it."""
    composer = Composer(manifest, store, result)
    names = sorted(manifest["sources"])
    with (
        Progress("import, duplicates:", len(names)) as progress,
        write_atomically(composer.chat) as chat,
    ):
        for number, name in enumerate(names, start=1):
            result.rows.append(composer.add(name, chat))
            progress.show(number, "files")
    composer.finish()
    manifest["outputs"] = composer.outputs


class Composer:
    """A corpus that grows by one source at a time."""

    def __init__(self, manifest: dict[str, Any], store: Store, result: Result) -> None:
        self.manifest = manifest
        self.store = store
        self.result = result
        self.before: dict[str, str] = manifest["outputs"]
        self.outputs: dict[str, str] = {}
        self.corpus = Corpus()
        self.seen_chats: set[str] = set()
        self.repeated_chats = 0
        self.chat = store.chat if self._is_ours(store.chat) else store.chat_beside

    def add(self, name: str, chat: IO[bytes]) -> Row:
        """Add what a source holds; returns what became of it."""
        row = Row(name, key=self.manifest["sources"][name])
        summary = self.store.summary(row.key)
        if summary is None or not self.store.content(row.key).exists():
            return Row(name, "its content was removed; import it again")
        row.documents, row.chats = summary["documents"], summary["chats"]
        row.read, row.private = summary["characters"], summary["private"]
        merge_counts(row.left_out, summary["left_out"])
        redact = private.redact if self.manifest["redact"] and row.private else str
        texts = []
        for record in read_content(self.store.content(row.key)):
            if "chat" in record:
                self._add_chat(record, row, redact, chat)
                continue
            text = self.corpus.without_repeats(record["text"])
            if len(text) < len(record["text"]):
                row.left_out[REPEATED] = row.left_out.get(REPEATED, 0) + 1
            if text:
                texts.append(redact(text))
                row.languages[language(text)] += len(texts[-1])
        row.kept += sum(map(len, texts))
        self.result.lengths += map(len, texts)
        self._write_texts(texts, row)
        return row

    def _add_chat(
        self, record: dict[str, Any], row: Row, redact: Callable[[str], str], file: IO[bytes]
    ) -> None:
        chat = [Turn(*turn) for turn in record["chat"]]
        for messages in conversations(chat, self.manifest["as"], self.manifest["pause"]):
            line = [asdict(message) | {"content": redact(message.content)} for message in messages]
            key = fingerprint(line)
            if key in self.seen_chats:
                self.repeated_chats += 1
                continue
            self.seen_chats.add(key)
            length = sum(len(message["content"]) for message in line)
            row.conversations += 1
            row.kept += length
            row.languages[language(messages[-1].content)] += length
            file.write(json.dumps({"messages": line}, ensure_ascii=False).encode() + b"\n")

    def _write_texts(self, texts: Sequence[str], row: Row) -> None:
        """A file for each document; of very many, several documents a file."""
        at_once = -(-len(texts) // MOST_DOCUMENTS)
        suffix = ".md" if row.name.lower().endswith((".md", ".markdown")) else ".txt"
        stem = _file_name(row.name)
        for number, start in enumerate(range(0, len(texts), max(1, at_once)), start=1):
            part = f"/{number:05}" if len(texts) > 1 else ""
            text = "\n\n".join(texts[start : start + at_once])
            self._write(self.store.texts / f"{stem}{part}{suffix}", text + "\n")

    def _write(self, path: Path, text: str) -> None:
        place = self._place(path)
        if not self._is_ours(path):
            self.result.edited.append(place)
            return
        if not path.exists() or path.read_bytes() != text.encode():
            write_text(path, text)
        self.outputs[place] = file_sha256(path)

    def finish(self) -> None:
        """Remove what an earlier import wrote and this one did not; what was edited stays."""
        if self.seen_chats:
            self.outputs[self._place(self.chat)] = file_sha256(self.chat)
            self.result.chat_path = self.chat
        else:
            self.chat.unlink()
        for place in self.before.keys() - self.outputs.keys():
            path = self.store.root / place
            if path.exists() and self._is_ours(path):
                path.unlink()
        for folder in sorted(self.store.texts.glob("*/"), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        repeats = self.corpus.documents, self.corpus.paragraphs, self.repeated_chats
        self.result.repeats = dict(
            zip(("documents", "paragraphs", "conversations"), repeats, strict=True)
        )

    def _place(self, path: Path) -> str:
        return path.relative_to(self.store.root).as_posix()

    def _is_ours(self, path: Path) -> bool:
        """Whether nothing is there, or what an import wrote and nobody changed since."""
        return not path.exists() or self.before.get(self._place(path)) == file_sha256(path)


def _file_name(name: str) -> str:
    """A source's name as that of a file: readable, and like no other source's."""
    stem = name.rpartition("/")[2].rpartition(".")[0]
    plain = (
        re.sub(r"[^\w.-]+", "-", stem)
        .strip("-.")[:LONGEST_NAME]
        .encode()[:180]
        .decode("utf-8", "ignore")
    )
    return f"{plain or 'text'}-{fingerprint(name)[:6]}"
