"""What the options of `pretrain`, `sft` and `pipeline` change of the settings."""

from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from cli.training import _begun_at
from nielsgpt import phases, pipeline
from nielsgpt.resume import Resume
from nielsgpt.workspace import Workspace, write_json


@pytest.fixture
def asked(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[Workspace]:
    """The workspaces that training was asked for, without any training."""
    found: list[Workspace] = []
    monkeypatch.setattr(pipeline, "caches", lambda work: None)
    monkeypatch.setattr(phases, "train", lambda work, *rest: found.append(work))
    return found


def settled(asked: list[Workspace], *words: str) -> Any:
    main(["pretrain", *words])
    return asked[-1].settings.training.pretrain


def test_hours_and_minutes_are_a_time_budget(asked: list[Workspace]) -> None:
    assert settled(asked, "--hours", "1.5").minutes == 90
    assert settled(asked, "--minutes", "3").minutes == 3
    assert settled(asked).minutes is None


def test_more_steps_count_from_where_the_phase_is(asked: list[Workspace]) -> None:
    assert settled(asked, "--more-steps", "7").max_steps == 7
    folder = asked[-1].checkpoints / "pretrain"
    write_json(folder / "latest.json", {"step": 500})
    assert settled(asked, "--more-steps", "7").max_steps == 507


def test_more_steps_are_steps_whatever_time_the_config_has(asked: list[Workspace]) -> None:
    told = settled(asked, "--more-steps", "7", "--set", "training.pretrain.minutes=5")
    assert (told.max_steps, told.minutes) == (7, None)


def test_more_steps_count_from_the_state_that_is_named_and_from_none_where_it_starts_anew(
    asked: list[Workspace], root: Path
) -> None:
    folder = root / "checkpoints/quickstart/pretrain"
    write_json(folder / "latest.json", {"step": 500})
    assert settled(asked, "--more-steps", "7", "--no-resume").max_steps == 7
    write_json(root / "x.json", {"step": 20})
    work = Workspace(root, asked[-1].settings)
    assert _begun_at(work, "pretrain", Resume(root / "x.pt")) == 20


def test_the_other_wishes_are_settings_too(asked: list[Workspace], root: Path) -> None:
    (root / "x.pt").touch()
    told = settled(asked, "--init-from", "x.pt", "--no-strict", "--auto-microbatch")
    assert (told.init_from, told.init_strict, told.micro_batch_size) == ("x.pt", False, 0)


@pytest.mark.parametrize(
    "words",
    [("--hours", "1", "--minutes", "2"), ("--minutes", "1", "--more-steps", "2"), ("--hours", "0")],
)
def test_wishes_that_exclude_each_other_are_one_line(
    words: tuple[str, ...], asked: list[Workspace], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["pretrain", *words])
    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert asked == []


def test_a_pipelines_time_is_shared_between_the_phases(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Workspace] = []

    def run(work: Workspace, *rest: object) -> None:
        found.append(work)

    monkeypatch.setattr(pipeline, "run", run)
    main(["pipeline", "--hours", "2"])
    training = found[0].settings.training
    assert (training.pretrain.minutes, training.sft.minutes) == (96, 24)
