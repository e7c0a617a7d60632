"""Checkpoints, tokenizers and caches that are missing, damaged, foreign or hostile."""

import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.bad.running import Mistake

BEST = "checkpoints/tiny/best.pt"
LATEST = "checkpoints/tiny/pretrain/latest.pt"
META = "data/tokenizers/tiny/meta.json"
STREAM = "data/cache/tiny/streams/primer_train"
Damage = Callable[[Path], None]


class Bomb:
    """What would make a file, were it unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("exploded",)


def filled(name: str, content: bytes) -> Damage:
    """Another content for a file, and no .json that would know better."""

    def damage(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).write_bytes(content)
        if name == BEST:
            (folder / name).with_suffix(".json").unlink()

    return damage


def flipped(name: str) -> Damage:
    """One bit of a file."""

    def damage(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).unlink()
        (folder / name).write_bytes(content)

    return damage


def halved(folder: Path) -> None:
    """The first half of a checkpoint."""
    content = (folder / BEST).read_bytes()
    filled(BEST, content[: len(content) // 2])(folder)


def stated(change: Callable[[dict[str, Any]], Any], name: str = BEST) -> Damage:
    """A checkpoint whose state was changed, or replaced by what `change` returns."""

    def damage(folder: Path) -> None:
        state = torch.load(folder / name, weights_only=True)
        replaced = change(state)
        (folder / name).unlink()
        (folder / name).with_suffix(".json").unlink()
        torch.save(state if replaced is None else replaced, folder / name)

    return damage


def without(part: str, name: str = BEST) -> Damage:
    """A checkpoint that lacks a part."""
    return stated(lambda state: {key: state[key] for key in state if key != part}, name)


def told(change: Callable[[dict[str, Any]], Any]) -> Damage:
    """A tokenizer whose meta was changed."""

    def damage(folder: Path) -> None:
        meta = json.loads((folder / META).read_text("utf-8"))
        change(meta)
        meta.pop("seal", None)
        (folder / META).write_text(json.dumps(meta), "utf-8")

    return damage


def torched(value: object) -> bytes:
    """What torch.save makes of a value."""
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def _weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Damage:
    def changed(state: dict[str, Any]) -> None:
        change(state["weights"])

    return stated(changed)


UNREADABLE = ("checkpoints/tiny/best.pt is not a checkpoint that can be read",)
FOREIGN = ("checkpoints/tiny/best.pt is not a nielsgpt checkpoint of format 1",)
APART = ("checkpoints/tiny/best.pt contains an inconsistent model",)
NO_CODE = (*UNREADABLE, "code is never run")

CHECKPOINTS: dict[str, tuple[Damage, tuple[str, ...]]] = {
    "empty": (filled(BEST, b""), UNREADABLE),
    "text": (filled(BEST, b"<html>not found</html>"), UNREADABLE),
    "the beginning of an archive": (filled(BEST, b"PK\x03\x04 and no more"), UNREADABLE),
    "GGUF": (filled(BEST, b"GGUF\x03\x00\x00\x00"), UNREADABLE),
    "cut off": (halved, UNREADABLE),
    "a pickle with code": (filled(BEST, pickle.dumps(Bomb())), NO_CODE),
    "code in torch's own format": (filled(BEST, torched({"format": 1, "w": Bomb()})), NO_CODE),
    "one flipped bit": (flipped(BEST), ("best.pt is damaged", "sha256")),
    "of another program": (filled(BEST, torched({"model": {}})), FOREIGN),
    "a list": (stated(lambda state: [1, 2]), FOREIGN),
    "of another format": (stated(lambda state: state.update(format=99)), FOREIGN),
    "no weights": (without("weights"), ("best.pt has no weights",)),
    "no tokenizer": (without("tokenizer"), ("best.pt has no tokenizer",)),
    "no settings": (without("settings"), ("best.pt has no settings",)),
    "no facts": (without("facts"), ("best.pt has no facts",)),
    "weights of no kind": (stated(lambda s: s.update(weights=3)), ("has no weights",)),
    "a block too many": (
        stated(lambda state: state["settings"]["model"].update(n_layer=3)),
        (*APART, "blocks.2"),
    ),
    "a million million blocks": (
        stated(lambda state: state["settings"]["model"].update(n_layer=10**12)),
        (*APART, "1000000000000 blocks"),
    ),
    "a width beyond all memory": (
        stated(lambda state: state["settings"]["model"].update(n_embd=2**20)),
        (*APART, "1048576"),
    ),
    "a shape that is none": (
        stated(lambda state: state["settings"]["model"].update(n_layer="x")),
        (*APART, "n_layer"),
    ),
    "a weight too many": (_weights(lambda w: w.update(foo=torch.zeros(1))), (*APART, "foo")),
    "a weight of another kind": (
        _weights(lambda w: w.update({k: v.to(torch.complex64) for k, v in w.items()})),
        (*APART, "complex64"),
    ),
    "an unknown tokenizer": (
        stated(lambda state: state["tokenizer"].update(kind="nope")),
        (*APART, "'nope'"),
    ),
    "a name that leads elsewhere": (
        stated(lambda state: state["facts"].update(name="../../out")),
        (*APART, "name"),
    ),
}

META_SAYS = "data/tokenizers/tiny"
TOKENIZERS: dict[str, tuple[Damage, tuple[str, ...]]] = {
    "cut off": (filled(META, b"{"), (META, "damaged")),
    "empty": (filled(META, b""), (META, "damaged")),
    "a list": (filled(META, b"[]"), (META, "damaged")),
    "a wrong fingerprint": (
        told(lambda meta: meta.update(fingerprint="0" * 16)),
        (META_SAYS, "not the one its meta.json names"),
    ),
    "an unknown kind": (
        told(lambda meta: meta.update(kind="nope")),
        ("'nope'", "is not supported"),
    ),
    "no kind": (told(lambda meta: meta.pop("kind")), (META_SAYS, "damaged")),
    "no fingerprint": (told(lambda meta: meta.pop("fingerprint")), (META_SAYS, "damaged")),
    "a file that is missing": (
        told(lambda meta: meta.update(files=["tokenizer.model"])),
        (META_SAYS, "damaged"),
    ),
    "gone": (lambda folder: (folder / META).unlink(), (f"no tokenizer in {META_SAYS}",)),
}

MISTAKES = {
    f"checkpoint: {name}": Mistake("chat --once -c tiny.json", says, damage=damage, typed=b"hi")
    for name, (damage, says) in CHECKPOINTS.items()
}
MISTAKES |= {
    f"tokenizer: {name}": Mistake("tokenizer encode x -c tiny.json", says, damage=damage)
    for name, (damage, says) in TOKENIZERS.items()
}
NAMED = CHECKPOINTS["a name that leads elsewhere"]
OPENS = {
    "export": "export -c tiny.json --to gguf",
    "exam": "exam -c tiny.json --set seed=9",
    "sample": f"sample -c tiny.json --ckpt {BEST}",
    "serve": "serve -c tiny.json --port 0",
    "hub": "hub upload a/b -c tiny.json --dry-run",
}
MISTAKES |= {
    f"checkpoint: {command} of a name that leads elsewhere": Mistake(
        words, NAMED[1], damage=NAMED[0]
    )
    for command, words in OPENS.items()
}
MISTAKES |= {
    "checkpoint: its facts have gone": Mistake(
        f"checkpoint show {BEST}", ("best.pt has no facts",), damage=without("facts")
    ),
    "checkpoint: its weights have gone": Mistake(
        f"checkpoint hash {BEST}", ("best.pt has no weights",), damage=without("weights")
    ),
    "checkpoint: a config": Mistake("chat --once --ckpt tiny.json", ("tiny.json is not a check",)),
    "checkpoint: a folder": Mistake("checkpoint show .", ("no checkpoint .",)),
    "checkpoint: weights that are no numbers": Mistake(
        "chat --once -c tiny.json",
        ("logits are not finite", "--ckpt"),
        code=1,
        typed=b"hi",
        damage=_weights(
            lambda w: w.update({name: torch.full_like(v, torch.nan) for name, v in w.items()})
        ),
    ),
    "checkpoint: exported weights that are no numbers": Mistake(
        "export -c tiny.json",
        ("not finite", "name another checkpoint"),
        stays=("models",),
        damage=_weights(
            lambda w: w.update({name: torch.full_like(v, torch.nan) for name, v in w.items()})
        ),
    ),
    "checkpoint: resumed with another shape": Mistake(
        "pretrain -c tiny.json --set model.n_layer=1",
        ("does not fit these settings", "n_layer: checkpoint 2, settings 1"),
        damage=lambda folder: None,
    ),
    "checkpoint: resumed with another optimizer": Mistake(
        "pretrain -c tiny.json --set training.pretrain.optimizer=adamw",
        ("holds the state of optimizer muon", "ask for adamw"),
        damage=lambda folder: None,
    ),
    "checkpoint: of the other phase": Mistake(
        "pretrain -c tiny.json --resume checkpoints/tiny/sft/latest.pt",
        ("is of phase sft", "nielsgpt sft --resume"),
        damage=lambda folder: None,
    ),
    "checkpoint: starting weights of another shape": Mistake(
        f"pretrain -c tiny.json --set name=other --set model.n_layer=1 --init-from {BEST}",
        ("does not fit these settings", "n_layer"),
        stays=("data", "checkpoints/other"),
        damage=lambda folder: None,
    ),
    "checkpoint: of an earlier version, resumed": Mistake(
        f"pretrain -c tiny.json --resume {LATEST}",
        ("was saved by an earlier nielsgpt", "--no-resume"),
        damage=without("guard", LATEST),
    ),
    "checkpoint: resumed without its facts": Mistake(
        f"pretrain -c tiny.json --resume {LATEST}",
        ("latest.pt has no facts",),
        damage=without("facts", LATEST),
    ),
    "checkpoint: SFT from damaged weights": Mistake(
        "sft -c tiny.json --more-steps 1",
        ("pretrain/best.pt is damaged", "nielsgpt pretrain --no-resume"),
        damage=flipped("checkpoints/tiny/pretrain/best.pt"),
    ),
    "tokenizer: a foreign id": Mistake(
        "tokenizer decode 99999 -c tiny.json",
        ("the id 99999 is not in the vocabulary of 260",),
        damage=lambda folder: None,
    ),
    "tokenizer: a negative id": Mistake(
        "tokenizer decode -c tiny.json -- -5", ("the id -5",), damage=lambda folder: None
    ),
    "cache: one flipped bit": Mistake(
        "pretrain -c tiny.json --more-steps 2",
        ("primer_train.bin is damaged", "nielsgpt caches"),
        damage=flipped(f"{STREAM}.bin"),
    ),
    "cache: shown while a file is short": Mistake(
        "caches show -c tiny.json",
        ("primer_train.bin has 1 bytes but its meta says",),
        damage=filled(f"{STREAM}.bin", b"x"),
    ),
    "cache: verified with one flipped bit": Mistake(
        "caches verify -c tiny.json",
        ("primer_train.bin is damaged",),
        code=1,
        damage=flipped(f"{STREAM}.bin"),
    ),
    "cache: of another tokenizer": Mistake(
        "recommend -c tiny.json --set name=other", ("no caches in data/cache/other",)
    ),
}
