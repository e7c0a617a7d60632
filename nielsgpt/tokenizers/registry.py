"""Train, save and load tokenizers by kind."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict

from nielsgpt import __version__
from nielsgpt.config.settings import TokenizerSettings
from nielsgpt.errors import TokenizerError
from nielsgpt.system.atomic_files import read_json, remove_meta, write_atomically, write_sealed
from nielsgpt.tokenizers import bpe, char, sentence_piece, word
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.tokenizers.byte import ByteTokenizer

META_FILE = "meta.json"
FILES = (sentence_piece.MODEL_FILE, bpe.MODEL_FILE, char.VOCAB_FILE, word.VOCAB_FILE)


@dataclass(frozen=True)
class Kind:
    """How to train a kind of tokenizer on texts, and how to restore it from its files."""

    train: Callable[[TokenizerSettings, Iterable[str]], Tokenizer]
    restore: Callable[[Mapping[str, bytes]], Tokenizer]


class Provenance(TypedDict, total=False):
    """The text and the settings that a tokenizer was trained on, as files of any version know them.

    `made_from` is their fingerprint, `kept_for` the one of those that it stays for all the same.
    """

    made_from: str | None
    kept_for: str
    settings: dict[str, object]
    trained_on: dict[str, dict[str, int]]


class TokenizerMeta(Provenance, total=False):
    """meta.json of a tokenizer."""

    kind: str
    vocab_size: int
    specials: dict[str, int]
    fingerprint: str
    files: list[str]
    library: str
    library_version: str


KINDS = {
    "byte": Kind(lambda settings, texts: ByteTokenizer(), lambda files: ByteTokenizer()),
    "char": Kind(lambda settings, texts: char.train(texts, settings.vocab_size), char.restore),
    "word": Kind(lambda settings, texts: word.train(texts, settings.vocab_size), word.restore),
    "bpe": Kind(lambda settings, texts: bpe.train(texts, settings.vocab_size), bpe.restore),
    "sentencepiece": Kind(
        lambda settings, texts: sentence_piece.train(
            texts, settings.vocab_size, settings.algorithm
        ),
        sentence_piece.restore,
    ),
}


def train(settings: TokenizerSettings, texts: Iterable[str]) -> Tokenizer:
    """Train the tokenizer of the settings on the texts; the byte kind needs no training."""
    return KINDS[settings.kind].train(settings, texts)


def restore(kind: str, files: Mapping[str, bytes]) -> Tokenizer:
    """Restore a tokenizer of this kind from its files. Raises TokenizerError for unknown kinds."""
    try:
        return KINDS[kind].restore(files)
    except KeyError:  # an unknown kind, or one whose file is missing
        raise TokenizerError(
            f"a tokenizer of kind {kind!r} with files {sorted(files)} is not supported"
        ) from None


def save(tokenizer: Tokenizer, folder: Path, provenance: Provenance) -> None:
    """Write the tokenizer's files, then its meta file, which also records `provenance`.

    First removes the previous tokenizer, starting with its meta, so that no meta ever names the
    files of another tokenizer.
    """
    remove_meta(folder / META_FILE)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    for name, content in tokenizer.files().items():
        with write_atomically(folder / name) as file:
            file.write(content)
    is_ours = tokenizer.library == "nielsgpt"
    meta: TokenizerMeta = {
        "kind": tokenizer.kind,
        "vocab_size": tokenizer.vocab_size,
        "specials": asdict(tokenizer.specials),
        "fingerprint": tokenizer.fingerprint,
        "files": sorted(tokenizer.files()),
        "library": tokenizer.library,
        "library_version": __version__ if is_ours else version(tokenizer.library),
        **provenance,
    }
    write_sealed(folder / META_FILE, meta)


def read_meta(folder: Path) -> TokenizerMeta | None:
    """The folder's meta, or None if there is no finished tokenizer."""
    meta: TokenizerMeta | None = read_json(folder / META_FILE)
    if meta is not None and not isinstance(meta, dict):
        raise TokenizerError(
            f"{folder / META_FILE} is damaged; delete it and run 'nielsgpt tokenizer'"
        )
    return meta


def load(folder: Path) -> Tokenizer:
    """Load the tokenizer of a folder. Raises TokenizerError if it is missing or changed."""
    meta = read_meta(folder)
    if meta is None:
        raise TokenizerError(f"no tokenizer in {folder}; make one with 'nielsgpt tokenizer'")
    try:
        files = {name: (folder / name).read_bytes() for name in meta["files"]}
        tokenizer = restore(meta["kind"], files)
        intact = tokenizer.fingerprint == meta["fingerprint"]
    except (OSError, KeyError, TypeError, ValueError, TokenizerError) as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0][:100]
        raise TokenizerError(
            f"the tokenizer in {folder} is damaged ({why}); delete the folder and run "
            "'nielsgpt tokenizer'"
        ) from None
    if not intact:
        raise TokenizerError(
            f"the tokenizer in {folder} is not the one its meta.json names "
            f"({tokenizer.fingerprint}, expected {meta['fingerprint']}); "
            "delete the folder and run 'nielsgpt tokenizer'"
        )
    return tokenizer
