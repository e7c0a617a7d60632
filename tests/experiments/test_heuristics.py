"""Recommendations: the documented table, and how memory limits it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from nielsgpt.config.settings import ModelSettings, Settings
from nielsgpt.errors import SettingsError
from nielsgpt.experiments.heuristics import GIB, MEMORY_SHARE, MachineMemory, recommend
from nielsgpt.pipeline import pipeline
from nielsgpt.system.workspace import Workspace
from nielsgpt.training import memory_estimate
from tests.experiments.conftest import EXECUTION

Tiny = Callable[..., Settings]


def machine(device: str = "cpu", gib: float = 64.0) -> MachineMemory:
    def choose_execution(shape: ModelSettings, rows: int) -> Any:
        return replace(EXECUTION, device=device, micro_batch_size=rows)

    return MachineMemory(device, gib * GIB, choose_execution)


def recommend_for(
    tiny: Tiny, tokens: int, where: MachineMemory, priority: Any = "quality"
) -> Settings:
    return recommend(tiny(), tokens, 260, where, priority)[0]


@pytest.mark.parametrize(
    ("tokens", "where", "size"),
    [
        (999_999, machine(), (4, 4, 256, 0.2, 0.1)),
        (1_000_000, machine(), (6, 6, 384, 0.15, 0.08)),
        (5_000_000, machine(), (8, 8, 512, 0.1, 0.05)),
        (1_000_000, machine("cuda", 20), (8, 8, 512, 0.1, 0.05)),
        (1_000_000, machine("cuda", 19), (6, 6, 384, 0.15, 0.08)),
        (999_999, machine("cuda", 80), (4, 4, 256, 0.2, 0.1)),
    ],
)
def test_the_size_follows_the_table(
    tiny: Tiny, tokens: int, where: MachineMemory, size: tuple[float, ...]
) -> None:
    recommended = recommend_for(tiny, tokens, where)
    model, phase = recommended.model, recommended.training.pretrain
    shape = (model.n_layer, model.n_head, model.n_embd, model.dropout, phase.weight_decay)
    assert shape == size


@pytest.mark.parametrize(
    ("where", "tokens", "context", "batch"),
    [
        (machine(), 2_000_000, 512, 8),
        (machine(), 200_000, 256, 16),
        (machine("mps", 8), 2_000_000, 512, 24),
        (machine("mps", 16), 2_000_000, 512, 32),
        (machine("cuda", 6), 2_000_000, 512, 16),
        (machine("cuda", 24), 2_000_000, 512, 48),
        (machine("cuda:1", 80), 2_000_000, 512, 64),
    ],
)
def test_tokens_per_step_follow_the_device_and_its_memory(
    tiny: Tiny, where: MachineMemory, tokens: int, context: int, batch: int
) -> None:
    recommended = recommend_for(tiny, tokens, where)
    assert (recommended.model.context_length, recommended.training.pretrain.batch_size) == (
        context,
        batch,
    )


def test_steps_are_ten_epochs_of_the_corpus_and_at_least_a_thousand(tiny: Tiny) -> None:
    assert recommend_for(tiny, 4_096_001, machine()).training.pretrain.max_steps == 10_001
    assert recommend_for(tiny, 1000, machine()).training.pretrain.max_steps == 1000


def test_speed_and_quality_are_two_variants(tiny: Tiny) -> None:
    recommended = {
        name: recommend_for(tiny, 10**6, machine(), name).model.variant for name in _PRIORITIES
    }
    assert recommended == {"speed": "gpt_fast", "quality": "gpt_plus"}


_PRIORITIES = ("speed", "quality")


@pytest.mark.parametrize("gib", [1.0, 2.0, 4.0, 16.0])
def test_what_is_recommended_fits_into_the_memory(tiny: Tiny, gib: float) -> None:
    where = machine("cpu", gib)
    recommended, needed = recommend(tiny(), 10**7, 260, where, "quality")
    phase = recommended.training.pretrain
    estimate = memory_estimate.estimate(
        recommended.model, 260, phase, where.choose_execution(recommended.model, 8)
    )
    assert needed == estimate.bytes <= MEMORY_SHARE * gib * GIB
    assert phase.batch_size % phase.micro_batch_size == 0


def test_no_memory_for_any_size_is_one_line(tiny: Tiny) -> None:
    with pytest.raises(SettingsError, match=r"not even the smallest size fits in 0\.1 GiB"):
        recommend(tiny(), 10**7, 260, machine("cpu", 0.1), "quality")


def test_the_command_prints_the_corpus_the_config_and_both_commands(
    root: Path, tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "tiny.json").write_text(json.dumps(tiny().model_dump(mode="json")), encoding="utf-8")
    with pytest.raises(SystemExit) as left:
        main(["recommend", "-c", "tiny.json"])
    output = capsys.readouterr().err
    assert (left.value.code, len(output.splitlines())) == (2, 1)
    assert "no caches in data/cache/tiny; make them with 'nielsgpt caches -c tiny.json'" in output
    pipeline.caches(Workspace(root, tiny()))
    main(["recommend", "-c", "tiny.json", "--priority", "speed", "--device-mem-gb", "8"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["source", "train", "tokens", "validation", "tokens"]
    assert lines[-2] == "nielsgpt pretrain --config plans/tiny-speed.json"
    latest = "checkpoints/tiny-speed/pretrain/latest.pt"
    assert lines[-1] == f"{lines[-2]} --resume {latest}"
    tree = json.loads((root / "plans/tiny-speed.json").read_text("utf-8"))
    assert tree["model"]["variant"] == "gpt_fast"
    assert tree["training"]["pretrain"]["max_steps"] == 1000
    main(["config", "-c", "plans/tiny-speed.json"])
