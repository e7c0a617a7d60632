"""Pilots on real caches: the same run every time, cooled, with a name of what decides it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nielsgpt.config.settings import Settings
from nielsgpt.experiments import candidates, pilot
from nielsgpt.experiments.candidates import Candidate
from nielsgpt.experiments.pilot import Pilot
from nielsgpt.pipeline import pipeline
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.system.workspace import Workspace
from nielsgpt.training.trainer import Trainer

ENGINE = ExecutionConfig("cpu", "fp32", "plain", False, 1, 2)


def made(settings: Settings, root: Path, steps: int = 4, batch: int = 4) -> Pilot:
    one = Candidate(settings.model, batch)
    settings = candidates.resolve_settings(settings, one, ENGINE, steps)
    return Pilot(root=str(root), settings=settings, engine=ENGINE, data="the caches")


def test_a_pilot_ends_with_the_same_bits_per_byte_every_time(
    tiny: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = tiny()
    pipeline.caches(Workspace(tmp_path, settings))
    said: list[int] = []
    job = Pilot.model_validate_json(made(settings, tmp_path).model_dump_json())
    once, again = (pilot.train_pilot(job, lambda: said.append(1)) for _ in range(2))
    assert once["bits_per_byte"] == again["bits_per_byte"]
    assert 1.0 < once["bits_per_byte"] < 9.0
    assert once["tokens"] == 4 * 4 * settings.model.context_length
    assert said == [1, 1]
    longer = pilot.train_pilot(made(settings, tmp_path, steps=12), lambda: None)
    assert longer["bits_per_byte"] < once["bits_per_byte"]


def test_a_pilot_counts_its_best_evaluation_as_a_run_keeps_its_best_state(
    tiny: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny(training={"pretrain": {"eval_every": 2}})
    pipeline.caches(Workspace(tmp_path, settings))
    bits = iter([3.0, 2.0, 4.0])
    monkeypatch.setattr(
        Trainer,
        "metric",
        lambda self, figure, _=None: next(bits) if figure == "bits_per_byte" else 1.0,
    )
    row = pilot.train_pilot(made(settings, tmp_path, steps=5), lambda: None)
    assert row["bits_per_byte"] == 2.0
    assert row["tokens"] == 5 * 4 * settings.model.context_length


def test_a_pilots_name_is_of_what_decides_its_loss_alone(
    tiny: Callable[..., Settings], tmp_path: Path
) -> None:
    first = made(tiny(), tmp_path)
    same = [
        made(tiny(), tmp_path / "elsewhere"),
        made(tiny(name="another"), tmp_path),
        made(tiny(training={"pretrain": {"checkpoint_every": 5}}), tmp_path),
    ]
    other = [
        made(tiny(), tmp_path, steps=5),
        made(tiny(), tmp_path, batch=2),
        made(tiny(seed=7), tmp_path),
        made(tiny(training={"pretrain": {"eval_every": 5}}), tmp_path),
        made(tiny(model={"n_layer": 3}), tmp_path),
        first.model_copy(update={"data": "other caches"}),
    ]
    assert {one.key for one in same} == {first.key}
    assert len({one.key for one in [first, *other]}) == 1 + len(other)


@pytest.mark.slow
def test_the_command_plans_on_real_caches_and_its_config_trains(
    root: Path, tiny: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    from cli.main import main

    (root / "tiny.json").write_text(json.dumps(tiny().model_dump(mode="json")), encoding="utf-8")
    words = ["plan", "-c", "tiny.json", "--minutes", "0.5", "--pilot-minutes", "0.02"]
    main([*words, "--batches", "2,4", "--name", "night"])
    said = capsys.readouterr().out
    assert "chosen: " in said
    assert said.splitlines()[-1] == "nielsgpt pipeline --config plans/night.json"
    tree = json.loads((root / "plans/night.json").read_text("utf-8"))
    assert (tree["name"], tree["extends"]) == ("night", "../tiny.json")
    main(["pretrain", "-c", "plans/night.json", "--minutes", "0.05"])
    assert (root / "checkpoints/night/pretrain/best.pt").exists()
    done = capsys.readouterr()
    assert "tokenizer: training" not in done.err
