"""Pieces of work that write files: what lies there before, itself, and what a reader finds."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nielsgpt.checkpoint import checkpoint_file
from nielsgpt.checkpoint.contents import RunMetadata
from nielsgpt.config import load
from nielsgpt.config.settings import ModelSettings, Settings
from nielsgpt.data.cache.distributed_build import BuildPart
from nielsgpt.data.cache.shards import Split
from nielsgpt.experiments.results_store import ResultsStore
from nielsgpt.experiments.worker import JobLimits
from nielsgpt.export import hf_folder
from nielsgpt.model.gpt import GPT
from nielsgpt.pipeline import build_caches, train_tokenizer
from nielsgpt.system.atomic_files import read_json
from nielsgpt.system.folder_lock import lock
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers import registry
from nielsgpt.tokenizers.byte import ByteTokenizer
from nielsgpt.training import run_log
from nielsgpt.training.checkpoint_manager import CheckpointManager
from tests.conftest import TINY
from tests.export.made import trained
from tests.training.test_checkpoint_manager import trainer

CODEC = ByteTokenizer()
NOTHING = "nothing"
LIMITS = JobLimits(timeout_s=1.0, memory_bytes=1)
PRIMER = {"characters": 12_000, "dialogues": 60}


@dataclass(frozen=True)
class Job:
    """`also` is what may be found beside the old and the new; `same` that every byte is; `named`
    what must be there once the work is done."""

    before: Callable[[Path], object]
    work: Callable[[Path], object]
    found: Callable[[Path], Any]
    also: tuple[Any, ...] = ()
    same: bool = True
    named: Callable[[Path], Any] = lambda folder: None


def nothing(folder: Path) -> None:
    """There is nothing yet."""


def small(**over: Any) -> Settings:
    """Settings of little text."""
    data = {"shard_bytes": 8192, "workers": 1, "primer": PRIMER}
    return load.validate(load.merge(TINY, {"data": data, **over}), "test")


def saving(*before: int) -> Job:
    """Saving the state of step 4 where those of some steps are saved already."""
    return Job(
        lambda folder: [_save(folder, step) for step in before],
        lambda folder: _save(folder, 4),
        _newest,
        same=False,
        named=_names,
    )


def _names(folder: Path) -> dict[str, int]:
    return {
        str(p.relative_to(folder)): checkpoint_file.load(p)["step"] for p in folder.rglob("*t.pt")
    }


def _save(folder: Path, step: int) -> None:
    with lock(folder):
        kept = CheckpointManager(
            folder / "pretrain", RunMetadata("pretrain", "tiny"), {"settings": {}}, keep=2
        )
        kept.save(trainer(step, value=float(step)), improved=True)
        kept.finish()


def _newest(folder: Path) -> Any:
    """The step that a run would go on from; every other name must open, or not be there."""
    for name in ("latest.pt", "best.pt", "pretrain/latest.pt", "pretrain/best.pt"):
        if (folder / name).exists():
            state = checkpoint_file.load(folder / name)
            assert checkpoint_file.read_entry(folder / name)["step"] == state["step"]
            assert set(state["weights"]["w"].tolist()) == {float(state["step"])}
    newest = checkpoint_file.load_newest(folder / "pretrain")
    return newest[0]["step"] if newest else NOTHING


class PartsOf:
    """Equal to whatever holds nothing but what one of these holds under the same name."""

    def __init__(self, *wholes: dict[str, Any]) -> None:
        self.wholes = wholes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and all(
            any(whole.get(name) == held for whole in self.wholes) for name, held in other.items()
        )


def caching_of(parts: int, spare: Path, over: bool = False) -> Job:
    """Building the caches, or parts of them and joining these, `over` others where it says so;
    `spare` is a place to try."""
    settings = small()

    def make(settings: Settings) -> Callable[[Path], None]:
        def work(folder: Path) -> None:
            place = Workspace(folder, settings)
            for number in range(1, 1 + parts):
                build_caches.build_all(place, CODEC, part=BuildPart(number, parts))
            build_caches.build_all(place, CODEC, join=parts)

        return work

    def found(folder: Path) -> Any:
        held = {}
        for phase in ("pretrain", "sft"):
            for side in ("train", "val"):
                place = Workspace(folder, settings).splits(phase)  # type: ignore[arg-type]
                if (place / f"primer_{side}.meta.json").exists():
                    split = Split(place, f"primer_{side}", CODEC.fingerprint)
                    held[f"{phase} {side}"] = split.read(0, split.tokens).tolist()
        return held

    work = make(settings)
    other = small(seed=settings.seed + 1)
    wholes = []
    for number, made in enumerate((work, make(other))):
        made(spare / str(number))
        wholes.append(found(spare / str(number)))
    return Job(make(other) if over else nothing, work, found, also=(PartsOf(*wholes),))


def training_a_tokenizer(before: str | None) -> Job:
    """Training one where there is one of another kind or size, or none."""

    def make(kind: str, size: int) -> Callable[[Path], object]:
        settings = small(tokenizer={"kind": kind, "vocab_size": size})
        return lambda folder: train_tokenizer.train(Workspace(folder, settings))

    def found(folder: Path) -> Any:
        if registry.read_meta(folder / "data/tokenizers/tiny") is None:
            return NOTHING
        tokenizer = registry.load(folder / "data/tokenizers/tiny")
        return tokenizer.kind, tokenizer.vocab_size, tokenizer.encode("the keeper lights the lamp")

    return Job(make(before, 320) if before else nothing, make("bpe", 300), found, also=(NOTHING,))


def exporting() -> Job:
    """An export in float32 where there is one in bfloat16."""
    shape = ModelSettings(variant="gpt_plus", n_layer=1, n_head=2, n_embd=16, context_length=16)
    torch.manual_seed(1)
    model = GPT(shape, CODEC.vocab_size)
    made = trained(model, CODEC)

    def write(dtype: str) -> Callable[[Path], None]:
        return lambda folder: hf_folder.write(made, folder / "out", dtype, force=False)

    def found(folder: Path) -> Any:
        if not (folder / "out").exists():
            return NOTHING
        dtype = json.loads((folder / "out/config.json").read_text())["dtype"]
        hf_folder.verify_tensors(folder / "out", model, hf_folder.DTYPES[dtype])
        return dtype, len(list((folder / "out").iterdir()))

    return Job(write("bfloat16"), write("float32"), found, also=(NOTHING,))


def noting() -> Job:
    """A run's facts, over those of a session before."""

    def note(step: int) -> Callable[[Path], None]:
        return lambda folder: run_log.write_meta(folder / "run", {"step": step}, {"seed": 1})

    return Job(note(1), note(2), lambda folder: read_json(folder / "run" / run_log.META))


class _Measured:
    def __init__(self, key: str) -> None:
        self.key = key

    def to_dict(self) -> dict[str, Any]:
        return {"model": self.key}


def measuring() -> Job:
    """A second line in a ledger."""

    def measure(*keys: str) -> Callable[[Path], None]:
        def work(folder: Path) -> None:
            results = ResultsStore(
                folder / "results.jsonl", lambda *_: {"status": "ok", "speed": 7}
            )
            for key in keys:
                results.measure(_Measured(key), LIMITS)  # type: ignore[arg-type]

        return work

    def found(folder: Path) -> Any:
        return sorted(ResultsStore(folder / "results.jsonl", lambda *_: {}).rows)

    return Job(measure("a"), measure("a", "b"), found, same=False)
