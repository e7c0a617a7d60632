"""Making, saving and opening tokenizers by kind."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nielsgpt.errors import TokenizerError
from nielsgpt.settings import TokenizerSettings
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.tokenizers.pieces import MODEL_FILE, SentencePieceTokenizer, train
from nielsgpt.tokenizers.units import ByteTokenizer
from nielsgpt.workspace import read_json, write_json, writing

META_FILE = "meta.json"


def make(settings: TokenizerSettings, texts: Iterable[str]) -> Tokenizer:
    """A tokenizer as the settings ask, trained on the texts where its kind is trained."""
    if settings.kind == "byte":
        return ByteTokenizer()
    return train(texts, settings.vocab_size, settings.algorithm)


def restore(kind: str, files: Mapping[str, bytes]) -> Tokenizer:
    """The tokenizer of this kind from its files."""
    if kind == "byte":
        return ByteTokenizer()
    if kind == "sentencepiece" and MODEL_FILE in files:
        return SentencePieceTokenizer(files[MODEL_FILE])
    raise TokenizerError(f"a tokenizer of kind {kind!r} with files {sorted(files)} is not known")


def save(tokenizer: Tokenizer, folder: Path, made_from: Mapping[str, Any]) -> None:
    """Write the tokenizer's files and, last, its meta, which says what it was made from."""
    for name, content in tokenizer.files().items():
        with writing(folder / name) as file:
            file.write(content)
    meta = {
        "kind": tokenizer.kind,
        "vocab_size": tokenizer.vocab_size,
        "specials": asdict(tokenizer.specials),
        "fingerprint": tokenizer.fingerprint,
        "files": sorted(tokenizer.files()),
        **made_from,
    }
    write_json(folder / META_FILE, meta)


def read_meta(folder: Path) -> dict[str, Any] | None:
    """What the folder's meta says, or None where no tokenizer was finished."""
    meta = read_json(folder / META_FILE)
    if meta is not None and not isinstance(meta, dict):
        raise TokenizerError(f"{folder / META_FILE} is damaged; run 'nielsgpt tokenizer' again")
    return meta


def load(folder: Path) -> Tokenizer:
    """The tokenizer of a folder. Raises TokenizerError when it is missing or not what it was."""
    meta = read_meta(folder)
    if meta is None:
        raise TokenizerError(f"no tokenizer in {folder}; make one with 'nielsgpt tokenizer'")
    try:
        files = {name: (folder / name).read_bytes() for name in meta["files"]}
        tokenizer = restore(meta["kind"], files)
        intact = tokenizer.fingerprint == meta["fingerprint"]
    except (OSError, KeyError, TypeError) as error:
        raise TokenizerError(
            f"the tokenizer in {folder} is damaged ({error!r}); delete it"
        ) from None
    if not intact:
        raise TokenizerError(
            f"the tokenizer in {folder} is not the one its meta.json names "
            f"({tokenizer.fingerprint}, expected {meta['fingerprint']}); "
            "delete the folder and run 'nielsgpt tokenizer'"
        )
    return tokenizer
