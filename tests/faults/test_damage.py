"""One changed bit, a missing end: found in words that name the file, or without consequence."""

import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nielsgpt.checkpoint import checkpoint_file, load_model
from nielsgpt.config.settings import TokenizerSettings
from nielsgpt.data.cache import inventory
from nielsgpt.data.cache.distributed_build import BuildPart, PartReader
from nielsgpt.data.cache.shards import Split
from nielsgpt.data.catalog import find_sources
from nielsgpt.errors import NielsError
from nielsgpt.experiments.results_store import ResultsStore
from nielsgpt.export import hf_folder, nielsgpt_json
from nielsgpt.export.trained import open_trained
from nielsgpt.pipeline import build_caches, exam, pipeline
from nielsgpt.pipeline.train_phase import train
from nielsgpt.report import run_reader
from nielsgpt.system import machine
from nielsgpt.system.atomic_files import seal
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers import registry
from tests.conftest import CORPUS

FLIPS, CUTS = 40, 6
NEARLY = re.compile(r".?eal|s.?al|se.?l|sea.?")
Read = Callable[[Workspace], Any]


def spoilt(content: bytes, seed: int, flips: int = FLIPS) -> Iterator[tuple[str, bytes]]:
    """The content with one bit turned, with its end missing, with its end doubled, and none."""
    draw = random.Random(seed)
    for _ in range(flips):
        at, bit = draw.randrange(len(content)), draw.randrange(8)
        changed = bytearray(content)
        changed[at] ^= 1 << bit
        yield f"bit {bit} of byte {at}", bytes(changed)
    for _ in range(CUTS):
        kept = draw.randrange(1, len(content))
        yield f"cut after {kept} bytes", content[:kept]
    yield "longer", content + content[-9:]
    yield "empty", b""


def told(value: Any) -> Any:
    """Without a checksum whose own name was changed: what it was of is as it was."""
    if not isinstance(value, dict):
        return value
    return {key: held for key, held in value.items() if not NEARLY.fullmatch(key)}


def opened(workspace: Workspace, name: str = "best.pt") -> Any:
    state = checkpoint_file.load(workspace.checkpoints / name)
    model, codec = load_model.restore_model(state)
    weights = checkpoint_file.weights_sha256(dict(model.state_dict()))
    return weights, codec.fingerprint, state["settings"], state["facts"], state["step"]


def facts(workspace: Workspace) -> Any:
    return told(checkpoint_file.read_entry(workspace.checkpoints / "best.pt")), opened(workspace)


def split(phase: str) -> Read:
    def read(workspace: Workspace) -> Any:
        tokenizer = registry.load(workspace.tokenizer)
        held = Split(workspace.splits(phase), "primer_train", tokenizer.fingerprint)  # type: ignore[arg-type]
        extra = [x.tolist() for x in (held.mask, held.starts) if x is not None]
        return held.read(0, held.tokens).tolist(), extra, told(held.meta)

    return read


def codec(workspace: Workspace) -> Any:
    made = registry.load(workspace.tokenizer)
    known = told(registry.read_meta(workspace.tokenizer))
    return made.fingerprint, made.encode("the keeper lights the lamp"), known


def part(workspace: Workspace) -> Any:
    source = find_sources(workspace.settings, "sft", workspace.root)["primer"]
    recipe = build_caches.recipe(workspace, "sft", source, registry.load(workspace.tokenizer))
    reader = PartReader(workspace.cache / "parts/sft/primer/1-of-2", recipe, BuildPart(1, 2))
    blocks = [reader.block(number) for number in range(len(reader.rows))]
    return [(b.ids.tolist(), b.lengths.tolist(), b.mask.tolist()) for b in blocks], told(
        reader.meta
    )


def exported(workspace: Workspace) -> Any:
    state = nielsgpt_json.read_checkpoint(workspace.root / "out")
    del state["weights"], state["tokenizer"]
    return state


def run_folder(workspace: Workspace) -> Path:
    return min(workspace.runs.iterdir())


KINDS: dict[str, tuple[str, Read]] = {
    "a checkpoint": ("checkpoints/tiny/best.pt", opened),
    "a checkpoint without its .json": ("checkpoints/tiny/lone.pt", lambda w: opened(w, "lone.pt")),
    "what vouches for a checkpoint": ("checkpoints/tiny/best.json", facts),
    "ids": ("data/cache/tiny/streams/primer_train.bin", split("pretrain")),
    "a loss mask": ("data/cache/tiny/sft/primer_train.mask.bin", split("sft")),
    "where examples start": ("data/cache/tiny/sft/primer_train.idx.npy", split("sft")),
    "a cache's meta": ("data/cache/tiny/sft/primer_train.meta.json", split("sft")),
    "a part's blocks": ("data/cache/tiny/parts/sft/primer/1-of-2/ids.bin", part),
    "a part's meta": ("data/cache/tiny/parts/sft/primer/1-of-2/meta.json", part),
    "a tokenizer": ("data/tokenizers/tiny/tokenizer.json", codec),
    "a tokenizer's meta": ("data/tokenizers/tiny/meta.json", codec),
    "the exam's marks": (
        "checkpoints/tiny/exam.json",
        lambda work: told(exam.run_exam(work)),
    ),
    "an export's weights": ("out/model.safetensors", exported),
    "an export's nielsgpt.json": ("out/nielsgpt.json", exported),
}


@pytest.fixture
def everything(copy: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The copy with a part, an export and a checkpoint that nothing vouches for."""
    monkeypatch.setattr(checkpoint_file, "_digests", {})
    build_caches.build_all(copy, registry.load(copy.tokenizer), part=BuildPart(1, 2))
    made = open_trained(copy)
    hf_folder.write(made, copy.root / "out", "float32", force=False)
    nielsgpt_json.write(made, copy.root / "out")
    shutil.copy(copy.checkpoints / "best.pt", copy.checkpoints / "lone.pt")
    return copy


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_file_is_named_or_reads_as_it_was(
    kind: str, everything: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, read = KINDS[kind]
    path, whole = everything.root / name, read(everything)
    content, found = path.read_bytes(), 0
    for fault, changed in spoilt(content, seed=len(kind)):
        path.write_bytes(changed)
        monkeypatch.setattr(checkpoint_file, "_digests", {})
        try:
            assert read(everything) == whole, fault
        except NielsError as error:
            said, found = str(error), found + 1
            assert "\n" not in said, fault
            assert path.name in said or str(path.parent) in said, f"{fault}: {said}"
    path.write_bytes(content)
    assert found > FLIPS // 2


def test_a_measurement_that_was_changed_is_measured_again(tmp_path: Path) -> None:
    rows = [
        {"key": str(n), "job": {"n": n}, "status": "ok", "limits": {}, "tokens_per_s": 1000 + n}
        for n in range(3)
    ]
    content = "".join(json.dumps(seal(row)) + "\n" for row in rows).encode()
    known = {row["key"]: row for row in rows}
    for fault, changed in spoilt(content, 1, 200):
        (tmp_path / "results.jsonl").write_bytes(changed)
        read = ResultsStore(tmp_path / "results.jsonl", lambda *_: {}).rows
        assert all(told(row) == known.get(key) for key, row in read.items()), fault
        assert len(read) >= 1 or fault[:3] != "bit"


def test_what_was_measured_of_the_machine_and_changed_is_measured_again(
    no_memory: None, tmp_path: Path
) -> None:
    machine.remember("engines", "shape", {"micro_batch": 16, "threads": 2})
    path = tmp_path / "machine/engines.json"
    for fault, changed in spoilt(path.read_bytes(), 2, 200):
        path.write_bytes(changed)
        found = machine.recall("engines", "shape")
        assert found in (None, {"micro_batch": 16, "threads": 2}), fault


@pytest.mark.parametrize(
    ("kind", "size"), [("char", 270), ("word", 270), ("bpe", 300), ("sentencepiece", 300)]
)
def test_a_changed_tokenizer_of_any_kind_is_named(kind: str, size: int, tmp_path: Path) -> None:
    asked = TokenizerSettings.model_validate({"kind": kind, "vocab_size": size})
    made = registry.train(asked, CORPUS)
    registry.save(made, tmp_path, {})
    (name,) = made.files()
    for fault, changed in spoilt(made.files()[name], 5, 60):
        (tmp_path / name).write_bytes(changed)
        try:
            assert registry.load(tmp_path).files() == made.files(), fault
        except NielsError as error:
            assert str(tmp_path) in str(error), fault
            assert "\n" not in str(error), fault


@pytest.mark.parametrize("name", ["run_meta.json", "metrics.csv", "events.jsonl"])
def test_a_runs_notes_that_were_changed_never_stop_its_report(name: str, copy: Workspace) -> None:
    path = run_folder(copy) / name
    path.touch()
    content = path.read_bytes() or b"{}\n"
    whole = dict(run_reader.read(run_folder(copy)).meta)
    for fault, changed in spoilt(content, 3, 15):
        path.write_bytes(changed)
        # What a seal guards is read as it was, or not at all.
        assert told(dict(run_reader.read(run_folder(copy)).meta)) in (whole, {}), fault


@pytest.mark.parametrize("suffix", [".pt", ".json"])
def test_training_goes_on_from_the_state_before_a_changed_one_to_the_same_weights(
    suffix: str, copy: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    straight = opened(copy, "pretrain/latest.pt")[0]
    newest = checkpoint_file.newest_first(copy.checkpoints / "pretrain")[0].with_suffix(suffix)
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 4
    newest.unlink()  # latest.pt is the same file
    newest.write_bytes(content)
    train(copy, "pretrain")
    assert f"{newest} is damaged" in caplog.text
    assert opened(copy, "pretrain/latest.pt")[0] == straight


def test_every_changed_cache_is_named_by_verify_and_made_again_by_its_remedy(
    copy: Workspace,
) -> None:
    folder = copy.splits("sft")
    files = sorted(path for path in folder.glob("primer_*"))
    before = {path.name: path.read_bytes() for path in files}
    for path in files:
        path.write_bytes(before[path.name][:-3] + bytes([before[path.name][-3] ^ 1, 0, 0]))
        assert any(path.name in line for line in inventory.find_faults(folder)), path.name
        path.write_bytes(before[path.name])
    shutil.rmtree(folder)
    pipeline.caches(copy)
    assert {path.name: path.read_bytes() for path in files} == before
