"""What the options of `pretrain`, `sft` and `pipeline` change of the settings."""

from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from cli.options import resettled, settle
from cli.pipeline import shared, timed
from cli.training import phase_overrides
from nielsgpt.config.settings import PhaseSettings
from nielsgpt.system.atomic_files import write_json
from nielsgpt.training.run import AUTOMATIC, Resume

NOTHING: dict[str, Any] = {
    **dict.fromkeys(("hours", "minutes", "more_steps", "tokens", "init_from")),
    **dict.fromkeys(("auto_microbatch", "no_strict"), False),
}
FOLDER = Path("checkpoints/quickstart/pretrain")


def asked(resume: Resume = AUTOMATIC, settings: tuple[str, ...] = (), **over: Any) -> PhaseSettings:
    """Pretraining's settings under these options."""
    workspace = settle(None, settings)
    tree = phase_overrides(workspace, "pretrain", resume, **{**NOTHING, **over})
    return resettled(workspace, {"training": {"pretrain": tree}}).settings.training.pretrain


def test_hours_and_minutes_are_a_time_budget(root: Path) -> None:
    assert asked(hours=1.5).minutes == 90
    assert asked(minutes=3.0).minutes == 3
    assert asked().minutes is None


def test_more_steps_count_from_where_the_phase_is(root: Path) -> None:
    assert asked(more_steps=7).max_steps == 7
    write_json(FOLDER / "latest.json", {"step": 500})
    assert asked(more_steps=7).max_steps == 507


def test_tokens_are_the_steps_that_read_them(root: Path) -> None:
    size = ("training.pretrain.batch_size=4", "model.context_length=100")
    assert asked(settings=size, tokens=4000).max_steps == 10
    assert asked(settings=size, tokens=4001).max_steps == 11
    timed = (*size, "training.pretrain.minutes=5")
    assert asked(settings=timed, tokens=1).minutes is None


def test_more_steps_are_steps_whatever_time_the_config_has(root: Path) -> None:
    told = asked(settings=("training.pretrain.minutes=5",), more_steps=7)
    assert (told.max_steps, told.minutes) == (7, None)


def test_more_steps_count_from_the_state_that_is_named_and_from_none_where_it_starts_anew(
    root: Path,
) -> None:
    write_json(FOLDER / "latest.json", {"step": 500})
    write_json(root / "x.json", {"step": 20})
    assert asked(Resume(root / "x.pt"), more_steps=7).max_steps == 27
    assert asked(Resume(fresh=True), more_steps=7).max_steps == 7


def test_the_other_wishes_are_settings_too(root: Path) -> None:
    told = asked(init_from="x.pt", no_strict=True, auto_microbatch=True)
    assert (told.init_from, told.init_strict, told.micro_batch_size) == ("x.pt", False, 0)


@pytest.mark.parametrize(
    "words",
    [("--hours", "1", "--minutes", "2"), ("--minutes", "1", "--more-steps", "2"), ("--hours", "0")],
)
def test_wishes_that_exclude_each_other_are_one_line_and_nothing_is_made(
    words: tuple[str, ...], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["pretrain", *words])
    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert list(root.iterdir()) == []


def test_a_pipelines_time_is_shared_between_the_phases(root: Path) -> None:
    workspace = settle(None)
    training = resettled(workspace, shared(workspace, 120.0)).settings.training
    assert (training.pretrain.minutes, training.sft.minutes) == (96, 24)


def test_a_phase_without_a_share_of_the_time_keeps_its_steps(root: Path) -> None:
    workspace = settle(None)
    training = resettled(workspace, timed(96.0, 0.0)).settings.training
    assert training.pretrain.minutes == 96
    assert training.sft == workspace.settings.training.sft
