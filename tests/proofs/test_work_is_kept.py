"""Truths of change: whatever changes beside a model, at whatever state, its training is kept."""

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from cli.main import nielsgpt
from nielsgpt.config import load
from nielsgpt.config.settings import PHASES, Phase
from nielsgpt.data.cache.build import hash_to_unit
from nielsgpt.errors import CheckpointError, DataError, TokenizerError
from nielsgpt.pipeline import pipeline, train_phase, train_tokenizer
from nielsgpt.system.atomic_files import read_json, write_json
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers import registry
from nielsgpt.training import staleness
from nielsgpt.training.run import describe_run
from tests.conftest import TINY

OVER: dict[str, Any] = {
    "tokenizer": {"kind": "bpe", "vocab_size": 300},
    "data": {
        "mix_pretrain": {"text": 0.6, "primer": 0.4},
        "mix_sft": {"chat": 1.0},
        "text": {"path": "text", "split_by": "file"},
        "chat": {"path": "chat.jsonl"},
        "primer": {"characters": 12_000, "dialogues": 50},
        "val_fraction": 0.2,
        "workers": 1,
    },
    "model": {"n_layer": 1, "context_length": 64},
}
STATES = ("begun", "pretrained", "finished")


def workspace(**over: Any) -> Workspace:
    return Workspace(Path(), load.validate(load.merge(load.merge(TINY, OVER), over), "test"))


def note(number: int) -> str:
    return f"Note {number}. The lamp of the keeper burns at {number} o'clock. " * 8


def chat(number: int) -> str:
    talk = [{"role": "user", "content": f"hi {number}"}, {"role": "assistant", "content": "yes"}]
    return json.dumps(talk) + "\n"


def steps(phase: Phase, count: int) -> dict[str, Any]:
    return {"training": {phase: {"max_steps": count}}}


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each state that a model can be in: each continues from the one before."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("states")
    home = folder / "nothing"
    (home / "text").mkdir(parents=True)
    for number in range(24):
        (home / "text" / f"{number:02}.txt").write_text(note(number))
    (home / "chat.jsonl").write_text("".join(map(chat, range(60))))
    made = {"nothing": home}
    for state, over in zip(STATES, (steps("pretrain", 4), {}, {}), strict=True):
        made[state] = shutil.copytree(home, folder / state)
        home = made[state]
        work = workspace(**over)
        with contextlib.chdir(home):
            if state == "finished":
                pipeline.run(work)
            else:
                pipeline.caches(work)
                train_phase.train(work, "pretrain")
    return made


@pytest.fixture
def at(states: dict[str, Path], root: Path) -> Callable[[str], Path]:
    """A copy of the folder of a state, as the current folder."""

    def copy(state: str) -> Path:
        shutil.copytree(states[state], root, dirs_exist_ok=True)
        return root

    return copy


def typed(root: Path, *words: str) -> Result:
    """A command with the config of these tests."""
    (root / "cfg.json").write_text(json.dumps(load.merge(TINY, OVER)))
    return CliRunner().invoke(nielsgpt, [*words, "-c", "cfg.json"])


def models(root: Path) -> dict[str, str]:
    """The content of every named state of the model, by the sha256 beside it."""
    found = (root / "checkpoints").glob("tiny/**/[bl]*.json")
    return {str(p.relative_to(root / "checkpoints")): read_json(p)["sha256"] for p in found}


def dated(root: Path) -> list[str]:
    """What was set aside."""
    return sorted(path.name for path in root.rglob("*-20[0-9][0-9]*") if path.parent.name != "runs")


def add_text(root: Path) -> None:
    (root / "text" / "99.txt").write_text(note(99))


def edit_text(root: Path) -> None:
    for path in (root / "text").iterdir():
        path.write_text(path.read_text() + "It is not lit by day.")


def remove_text(root: Path) -> None:
    for number in range(6):
        (root / "text" / f"{number:02}.txt").unlink()


def add_chats(root: Path) -> None:
    with (root / "chat.jsonl").open("a") as file:
        file.writelines(map(chat, range(60, 70)))


@dataclass(frozen=True)
class Change:
    """A change of files or settings, and how the rows begin by which the table says it."""

    said: tuple[str, ...] = ()
    files: Callable[[Path], None] = lambda root: None
    over: dict[str, Any] = field(default_factory=dict)

    def said_at(self, state: str) -> list[str]:
        """The rows at a state: of SFT only once it was trained."""
        return [row for row in self.said if state == "finished" or not row.startswith("sft")]


TEXT = ("pretrain: source text  ",)
CHANGES = {
    "nothing": Change(),
    "text added": Change(TEXT, add_text),
    "text edited": Change(TEXT, edit_text),
    "text removed": Change(TEXT, remove_text),
    "conversations": Change(("sft: source chat  ",), add_chats),
    "shares": Change(
        ("pretrain: mix: checkpoint {",),
        over={"data": {"mix_pretrain": {"text": 0.5, "primer": 0.5}}},
    ),
    "a source": Change(
        ("sft: primer joined the mix  ", "sft: mix: checkpoint {'chat': 1.0}, settings"),
        over={"data": {"mix_sft": {"chat": 0.5, "primer": 0.5}}},
    ),
    "rates": Change(
        (
            "pretrain: learning_rate: checkpoint 0.003, settings 0.001  ",
            "sft: learning_rate: checkpoint 0.003, settings 0.001  ",
        ),
        over={"training": {phase: {"learning_rate": 0.001} for phase in PHASES}},
    ),
    "vocabulary": Change(
        ("tokenizer: vocab_size: checkpoint 300, settings 280  ",),
        over={"tokenizer": {"vocab_size": 280}},
    ),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_what_was_trained_stays_and_the_change_is_said(
    change: str, state: str, at: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nielsgpt")
    root, changed = at(state), CHANGES[change]
    before, runs = models(root), {path.name for path in (root / "runs").iterdir()}
    tokenizer = registry.load(workspace().tokenizer).fingerprint
    changed.files(root)
    work = workspace(**changed.over, exam={"items_per_section": 1, "replies": 2})
    pipeline.run(work)
    assert registry.load(work.tokenizer).fingerprint == tokenizer
    assert dated(root) == []
    for phase, facts in staleness.begun(work).items():
        assert facts.step == 6
        assert (facts.run_id in runs) == (phase == "pretrain" or state == "finished")
    kept = {"begun": "", "pretrained": "pretrain/", "finished": ""}[state]
    if state != "begun":
        after = models(root)
        assert {n: h for n, h in before.items() if kept in n}.items() <= after.items()
    tables = [line for line in caplog.messages if line.startswith("trained models are kept")]
    rows = [row for table in tables for row in table.splitlines()[2:]]
    assert [
        row.startswith(said) for row, said in zip(rows, changed.said_at(state), strict=True)
    ] == [True] * len(rows)


@pytest.mark.parametrize("state", STATES)
def test_another_context_is_refused_with_nothing_lost(
    state: str, at: Callable[[str], Path]
) -> None:
    root = at(state)
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.name != ".lock"}
    with pytest.raises(CheckpointError, match="context_length: checkpoint 64, settings 48"):
        pipeline.run(workspace(model={"context_length": 48}))
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.name != ".lock"} == before


@pytest.mark.parametrize("state", STATES)
def test_another_name_is_another_model_and_leaves_the_first_alone(
    state: str, at: Callable[[str], Path]
) -> None:
    root = at(state)
    before = models(root)
    pipeline.run(workspace(name="other"))
    assert models(root) == before
    assert (root / "checkpoints/other/sft/best.pt").is_file()


@pytest.mark.parametrize(
    ("change", "stage"),
    [
        ("text added", "pretrain"),
        ("conversations", "sft"),
        ("rates", "pretrain"),
        ("vocabulary", "tokenizer"),
        ("text edited", "all"),
    ],
)
def test_the_way_that_is_named_does_it_and_then_nothing_is_left_to_say(
    change: str, stage: str, at: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    root, changed = at("finished"), CHANGES[change]
    tokenizer = registry.load(workspace().tokenizer).fingerprint
    changed.files(root)
    work = workspace(**changed.over)
    pipeline.rebuild(work, [stage])
    kept = {name.partition("-20")[0] for name in dated(root)}
    trained = {path.name for path in (root / "checkpoints/tiny").iterdir()}
    pipeline.run(work)
    assert "changed since" not in caplog.text
    assert not {"pretrain", "sft"} & set(staleness.REBUILDS[stage]) & trained
    assert {"pretrain", "sft"} & set(staleness.REBUILDS[stage]) <= kept
    again = registry.load(work.tokenizer).fingerprint
    assert (again == tokenizer) == (stage in ("pretrain", "sft"))


def test_a_rebuild_that_cannot_be_done_sets_nothing_aside(at: Callable[[str], Path]) -> None:
    root = at("finished")
    shutil.rmtree(root / "text")
    with pytest.raises(DataError, match="text is not there"):
        pipeline.rebuild(workspace(), ["pretrain"])
    with pytest.raises(CheckpointError, match="context_length"):
        pipeline.rebuild(workspace(model={"context_length": 48}), ["sft"])
    refused = typed(root, "pipeline", "--rebuild", "all", "--nproc", "4")
    assert "cannot share 2 micro-batches" in str(refused.exception)
    assert dated(root) == []


def test_a_finished_model_needs_no_text_and_a_begun_one_says_that_it_is_gone(
    at: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    root = at("finished")
    before = models(root)
    shutil.rmtree(root / "text")
    pipeline.run(workspace())
    assert "pretrain: finished, and its caches stay as they are: " in caplog.text
    assert models(root) == before
    with pytest.raises(DataError, match="text is not there"):
        pipeline.run(workspace(**steps("pretrain", 9)))
    assert models(root) == before


def test_the_tokenizer_of_a_model_is_never_replaced_and_comes_back_when_it_was_lost(
    at: Callable[[str], Path],
) -> None:
    root = at("begun")
    work = workspace()
    tokenizer = registry.load(work.tokenizer).fingerprint
    train_tokenizer.check_unused(work)
    edit_text(root)
    with pytest.raises(TokenizerError, match=r"the model tiny was .* 'nielsgpt pipeline --rebuild"):
        train_tokenizer.check_unused(work)
    shutil.rmtree(work.tokenizer)
    assert train_tokenizer.train(work).fingerprint == tokenizer
    assert registry.load(work.tokenizer).fingerprint == tokenizer


def test_a_finished_model_is_taught_other_conversations_under_another_name_without_text(
    at: Callable[[str], Path],
) -> None:
    root = at("finished")
    before = models(root)
    shutil.rmtree(root / "text")
    shutil.rmtree(root / "data" / "cache")
    add_chats(root)
    start = {"training": {"sft": {"init_from": "checkpoints/tiny/best.pt"}}}
    work = workspace(name="other", **start)
    codec = pipeline.caches(work, phases=["sft"])
    train_phase.train(work, "sft")
    assert codec.fingerprint == registry.load(workspace().tokenizer).fingerprint
    taught = read_json(root / "checkpoints/other/best.json")
    first = read_json(root / "checkpoints/tiny/best.json")
    assert taught["origin"]["start"] == first["weights_sha256"] != taught["weights_sha256"]
    assert models(root) == before


def test_a_phase_that_was_begun_needs_its_starting_weights_no_more(
    at: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    root = at("finished")
    start = {"sft": {"init_from": "checkpoints/tiny/best.pt", "max_steps": 4}}
    work = workspace(name="other", training=start)
    pipeline.caches(work, phases=["sft"])
    train_phase.train(work, "sft")
    shutil.rmtree(root / "checkpoints" / "tiny")
    train_phase.train(workspace(name="other"), "sft")
    assert read_json(root / "checkpoints/other/latest.json")["step"] == 6
    assert "the starting weights" not in caplog.text


def test_on_changed_text_the_best_is_sought_among_losses_on_that_text(
    at: Callable[[str], Path],
) -> None:
    root = at("begun")
    for number in range(24):  # text that the tokenizer spells in single bytes, and nobody knows
        strange = "".join(chr(0x4E00 + 40 * number + n) for n in range(200))
        (root / "text" / f"{number:02}.txt").write_text(strange)
    work = workspace()
    before = staleness.begun(work)["pretrain"].best
    pipeline.caches(work)
    train_phase.train(work, "pretrain")
    best = read_json(work.checkpoints / "pretrain" / "best.json")
    assert (best["step"], best["best"] > before) == (6, True)


def test_text_that_falls_to_validation_alone_is_a_change_too(at: Callable[[str], Path]) -> None:
    root, work = at("pretrained"), workspace()
    share = work.settings.data.val_fraction
    held_out = next(
        n for n in range(100, 200) if hash_to_unit(work.settings.seed, note(n)) <= share
    )
    (root / "text" / "held_out.txt").write_text(note(held_out))
    codec = pipeline.caches(work)
    before, now = (
        staleness.begun(work)["pretrain"],
        describe_run(work, "pretrain", codec),
    )
    assert before.origin == now.origin
    assert staleness.changes(before, now) == ("source text",)
    before = replace(before, validation={})  # as earlier versions wrote it
    assert staleness.changes(before, now) == ()


def test_what_training_again_takes_is_what_the_runs_recorded(
    at: Callable[[str], Path],
) -> None:
    root = at("finished")
    work = workspace()
    seconds = {"pretrain": 1200.0, "sft": 300.0}
    for phase, facts in staleness.begun(work).items():
        path = root / "runs" / facts.run_id / "run_meta.json"
        write_json(path, {**read_json(path), "seconds": seconds[phase]})
    assert staleness.minutes_again(work, ["pretrain", "sft"]) == 25
    assert staleness.minutes_again(work, ["sft", "exam"]) == 5
    assert staleness.minutes_again(workspace(**steps("sft", 12)), ["sft"]) == 10
    timed = workspace(training={"pretrain": {"minutes": 480}})
    assert staleness.minutes_again(timed, ["pretrain"]) == 480
    stale = [staleness.Stale("sft", ("source chat",))]
    assert staleness.table(work, stale).splitlines() == [
        "changed           touches    training again  done by",
        "sft: source chat  sft, exam  5 min           --rebuild sft",
    ]
    shutil.rmtree(root / "runs")
    assert staleness.minutes_again(work, ["sft"]) is None
    assert "unknown" in staleness.table(work, stale)


def test_the_commands_keep_it_too_and_name_ways_that_work(at: Callable[[str], Path]) -> None:
    root = at("finished")
    before = models(root)
    add_chats(root)
    for words in (["pretrain"], ["sft"], ["caches"], ["pipeline"]):
        assert typed(root, *words).exception is None, words
    refused = typed(root, "tokenizer", "--vocab-size", "280")
    assert isinstance(refused.exception, TokenizerError)
    assert models(root) == before
    assert dated(root) == []
    assert typed(root, "pipeline", "--rebuild", "sft").exit_code == 0
    assert [name.partition("-20")[0] for name in dated(root)] == ["exam", "sft"]
    after = models(root)
    assert after["tiny/sft/best.json"] == after["tiny/best.json"] != before["tiny/best.json"]
    assert after["tiny/pretrain/best.json"] == before["tiny/pretrain/best.json"]


def test_teaching_a_model_takes_its_shape_and_refuses_a_name_with_another_tokenizer(
    at: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nielsgpt")
    root = at("finished")
    start = ("sft", "--init-from", "checkpoints/tiny/best.pt", "--set")
    over = ("--set", "data.text.path=nowhere", "--set", "model.n_layer=2")
    assert typed(root, *start, "name=other", *over).exception is None
    assert read_json(root / "checkpoints/other/best.json")["shape"]["n_layer"] == 1
    assert "has the shape of checkpoints/tiny/best.pt (n_layer: checkpoint 1" in caplog.text
    bytes_ = workspace(name="bytes", tokenizer={"kind": "byte"})
    pipeline.caches(bytes_, phases=["pretrain"])
    train_phase.train(bytes_, "pretrain")
    refused = typed(root, *start, "name=bytes", "--no-resume")
    assert isinstance(refused.exception, CheckpointError)
    assert "choose another name with --set name=NAME" in str(refused.exception)
    assert dated(root) == []


def test_where_nothing_was_begun_everything_is_made_from_what_is_there(
    at: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    root = at("nothing")
    pipeline.caches(workspace())
    edit_text(root)
    pipeline.run(workspace(tokenizer={"vocab_size": 280}))
    assert "changed since" not in caplog.text
    assert registry.load(workspace().tokenizer).vocab_size == 280
    assert dated(root) == []
