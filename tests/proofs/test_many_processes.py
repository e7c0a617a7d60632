"""Truths of training together: the number of processes changes no bit, or next to nothing."""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nielsgpt.checkpoint import checkpoint_file
from nielsgpt.config.load import merge, validate
from nielsgpt.config.settings import Settings
from nielsgpt.data.cache.loader import Batch
from nielsgpt.distributed.group import ProcessGroup
from nielsgpt.distributed.init import join_process_group
from nielsgpt.errors import SettingsError, Stopped
from nielsgpt.pipeline import pipeline, train_phase
from nielsgpt.system import device
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers import registry
from nielsgpt.training import autotune
from nielsgpt.training.assemble import assemble_trainer as assembled
from nielsgpt.training.assemble import model_at_start
from nielsgpt.training.autotune import TuningKey
from nielsgpt.training.trainer import Trainer
from tests.conftest import TINY

Task = Callable[..., Any]
CONTEXT = multiprocessing.get_context("forkserver")
BATCH = {"batch_size": 8, "micro_batch_size": 1, "max_steps": 4}


def settings(**over: Any) -> Settings:
    base = merge(TINY, {"training": {"pretrain": BATCH, "sft": BATCH}})
    return validate(merge(base, over), "test")


def member(
    task: Task, place: dict[str, str], folder: Path, over: dict[str, Any], rank: int
) -> None:
    """One process: joins, works, and leaves what it found, or how it failed, in a file."""
    os.environ.update(place, RANK=str(rank), LOCAL_RANK=str(rank))
    torch.set_num_threads(1)
    made = settings(**over)
    try:
        with join_process_group(made.device) as team:
            found = task(team, Workspace(folder, made))
    except Stopped as stop:
        found = stop.exit_code
    except SettingsError as error:
        found = str(error)
    torch.save(found, folder / f"found-{place['ATTEMPT']}-{rank}.pt")


def together(size: int, task: Task, folder: Path, **over: Any) -> list[Any]:
    """What each of `size` processes found; none of them is left at the end."""
    number = len(list(folder.glob("meeting-*")))
    meeting = folder / f"meeting-{number}"
    meeting.touch()
    place = {
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "NIELSGPT_MEETING": f"{meeting.as_uri()}.file",
        "GLOO_SOCKET_IFNAME": "lo",
        "ATTEMPT": str(number),
    }
    members = [
        CONTEXT.Process(target=member, args=(task, place, folder, over, rank))
        for rank in range(size)
    ]
    try:
        for process in members:
            process.start()
        for process in members:
            process.join(60)
        assert [process.exitcode for process in members] == [0] * size
    finally:
        for process in members:
            process.kill()
            process.join()
    return [torch.load(folder / f"found-{number}-{rank}.pt") for rank in range(size)]


@pytest.fixture(scope="module", autouse=True)
def _server() -> Iterator[None]:
    """Forks of a process that has loaded torch already start at once."""
    heavy = ("nielsgpt.distributed.fsdp", "torch._dynamo", "torch._inductor.config")
    CONTEXT.set_forkserver_preload([__name__, *heavy])
    yield
    multiprocessing.forkserver._forkserver._stop()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny caches."""
    folder = tmp_path_factory.mktemp("cached")
    pipeline.caches(Workspace(folder, settings()))
    return folder


@pytest.fixture
def place(cached: Path, tmp_path: Path) -> Path:
    """An empty folder with the same caches."""
    (tmp_path / "data").symlink_to(cached / "data")
    return tmp_path


def built(group: ProcessGroup, workspace: Workspace) -> Trainer:
    tokenizer = registry.load(workspace.tokenizer)
    numbers = workspace.settings.training.pretrain
    asked = TuningKey(
        group.device_settings(workspace.settings.device),
        workspace.settings.model,
        tokenizer.vocab_size,
        numbers,
    )
    execution = group.execution(lambda: autotune.choose_execution(asked), numbers)
    model = model_at_start(workspace, "pretrain", tokenizer, {}, group.is_rank_zero)
    return assembled(workspace, "pretrain", tokenizer, model, execution, group)


def steps(group: ProcessGroup, workspace: Workspace) -> dict[str, Any]:
    """Losses, an evaluation and the weights after the phase's steps."""
    made = built(group, workspace)
    losses = [made.train_step()["train_loss"] for _ in range(made.phase.max_steps)]
    made.evaluate()
    return {"losses": losses, "evaluated": made.metric("loss"), "weights": made.state()["weights"]}


def alone(folder: Path, **over: Any) -> dict[str, Any]:
    made = settings(**over)
    return steps(ProcessGroup(made.device.parallel), Workspace(folder, made))


@pytest.mark.parametrize(
    ("optimizer", "size"),
    [
        ("adamw", 2),
        pytest.param("adamw", 4, marks=pytest.mark.slow),
        pytest.param("muon", 2, marks=pytest.mark.slow),
    ],
)
def test_exact_weights_do_not_depend_on_the_number_of_processes(
    optimizer: str, size: int, place: Path
) -> None:
    """With dropout, whose masks belong to the rows; and the loss's figures are the same too."""
    over = {"model": {"dropout": 0.1}, "training": {"pretrain": {"optimizer": optimizer}}}
    expected = alone(place, **over)
    for found in together(size, steps, place, **over):
        assert found["losses"] == expected["losses"]
        assert found["evaluated"] == expected["evaluated"]
        for name, tensor in expected["weights"].items():
            assert torch.equal(found["weights"][name], tensor), name


def test_every_micro_batch_drops_other_places(place: Path) -> None:
    made = built(ProcessGroup("exact"), Workspace(place, settings(model={"dropout": 0.5})))
    batch = made.batches.batch(0)
    same = Batch(*(np.repeat(part[:1], 8, axis=0) for part in (batch.inputs, batch.targets)))
    made.batches.batch = lambda step, drawn: same  # type: ignore[method-assign]
    forward_backward, losses = made.forward_backward, []

    def noting(*arguments: Any) -> torch.Tensor:
        losses.append(forward_backward(*arguments))
        return losses[-1]

    made.forward_backward = noting  # type: ignore[assignment]
    with torch.no_grad():
        made.model.head_weight.normal_()  # a fresh model's loss is the same whatever is dropped
    made.train_step()
    assert len({float(loss) for loss in losses}) == 8


@pytest.mark.parametrize(
    ("parallel", "size"), [("ddp", 3), pytest.param("fsdp", 2, marks=pytest.mark.slow)]
)
def test_the_fast_ways_are_equal_to_rounding(parallel: str, size: int, place: Path) -> None:
    expected = alone(place)
    numbers = {"ema_decay": 0.9, "cautious_weight_decay": True} if parallel == "fsdp" else {}
    if numbers:
        expected = alone(place, training={"pretrain": numbers})
    over = {"device": {"parallel": parallel}, "training": {"pretrain": numbers}}
    for found in together(size, steps, place, **over):
        assert found["losses"] == pytest.approx(expected["losses"], abs=1e-5)
        assert found["evaluated"] == pytest.approx(expected["evaluated"], abs=1e-5)
        for name, tensor in expected["weights"].items():
            torch.testing.assert_close(found["weights"][name], tensor, atol=1e-4, rtol=0)


def phase(group: ProcessGroup, workspace: Workspace) -> None:
    train_phase.train(workspace, "pretrain", group=group)


def hashed(folder: Path) -> str:
    state = checkpoint_file.load(folder / "checkpoints/tiny/pretrain/latest.pt")
    return checkpoint_file.weights_sha256(state["weights"])


def first_steps(count: int) -> dict[str, Any]:
    """So many steps of a run that has a constant rate, so that its length decides nothing else."""
    return {"training": {"pretrain": {"max_steps": count, "schedule": "constant"}}}


@pytest.mark.slow
def test_saved_by_two_resumed_by_one_and_by_two_again_an_exact_run_is_the_run_of_one(
    place: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    straight = tmp_path_factory.mktemp("straight")
    (straight / "data").symlink_to(place / "data")
    train_phase.train(Workspace(straight, settings(**first_steps(5))), "pretrain")
    together(2, phase, place, **first_steps(2))
    train_phase.train(Workspace(place, settings(**first_steps(3))), "pretrain")
    together(2, phase, place, **first_steps(5))
    assert hashed(place) == hashed(straight)
    assert len(list((place / "runs").iterdir())) == 1, "one run, and one that notes it"


@pytest.mark.slow
def test_a_run_in_parts_is_saved_whole_and_goes_on_in_another_number(
    place: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    straight = tmp_path_factory.mktemp("straight")
    (straight / "data").symlink_to(place / "data")
    train_phase.train(Workspace(straight, settings(**first_steps(6))), "pretrain")
    together(2, phase, place, **merge(first_steps(2), {"device": {"parallel": "fsdp"}}))
    together(3, phase, place, **merge(first_steps(4), {"device": {"parallel": "ddp"}}))
    together(2, phase, place, **merge(first_steps(6), {"device": {"parallel": "fsdp"}}))
    folder = "checkpoints/tiny/pretrain/latest.pt"
    found, expected = (checkpoint_file.load(root / folder) for root in (place, straight))
    assert set(found["optimizer"][0]["state"]) == set(expected["optimizer"][0]["state"])
    for name, tensor in expected["weights"].items():
        torch.testing.assert_close(found["weights"][name], tensor, atol=1e-4, rtol=0)


def asked_in_the_third_step(group: ProcessGroup, workspace: Workspace) -> None:
    plain = Trainer.train_step

    def step(self: Trainer) -> dict[str, Any]:
        row = plain(self)
        if self.step == 3 and group.rank == 1:
            signal.raise_signal(signal.SIGTERM)
        return row

    Trainer.train_step = step  # type: ignore[method-assign]
    train_phase.train(workspace, "pretrain", group=group)


def test_one_that_is_asked_to_stop_stops_all_at_the_same_saved_step(place: Path) -> None:
    assert together(2, asked_in_the_third_step, place) == [143, 143]
    state = checkpoint_file.load(place / "checkpoints/tiny/pretrain/latest.pt")
    assert state["step"] == 3


def memory_runs_out(group: ProcessGroup, workspace: Workspace) -> tuple[int, list[float]]:
    made = built(group, workspace)
    forward_backward, failures = made.forward_backward, iter([group.rank == 1])

    def scarce(*arguments: Any) -> torch.Tensor:
        if next(failures, False):
            raise torch.OutOfMemoryError("out of memory")
        return forward_backward(*arguments)

    made.forward_backward = scarce  # type: ignore[assignment]
    losses = [made.train_step()["train_loss"] for _ in range(2)]
    return made.micro_batch_size, losses


@pytest.mark.slow
def test_where_memory_runs_out_for_one_all_go_on_with_less(place: Path) -> None:
    numbers = {"training": {"pretrain": {"micro_batch_size": 2, "max_steps": 2}}}
    expected = alone(place, **numbers)
    for size, losses in together(2, memory_runs_out, place, **numbers):
        assert size == 1
        assert losses == pytest.approx(expected["losses"], abs=1e-6)


def disagreeing(group: ProcessGroup, workspace: Workspace) -> None:
    group.check_agreement({"the tokenizer": f"number {group.rank}", "the data": "same"})


def test_other_data_on_one_machine_is_named_on_all_before_anything_starts(place: Path) -> None:
    for said in together(2, disagreeing, place):
        assert "the tokenizer is number 1 in process 1 on " in said
        assert "number 0 in process 0 on " in said
        assert said.endswith("; give every machine the same settings, data and version")


def nested(group: ProcessGroup, workspace: Workspace) -> Any:
    return group.broadcast_object(lambda: {"a": [torch.arange(3), 1.5, None], "b": ("x", True)})


def test_what_the_leader_shares_arrives_whole(place: Path) -> None:
    for found in together(2, nested, place):
        assert json.dumps(found, default=torch.Tensor.tolist) == (
            '{"a": [[0, 1, 2], 1.5, null], "b": ["x", true]}'
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parallel", "sizes"), [("exact", (2, 4)), ("ddp", (2, 3, 4)), ("fsdp", (2, 4))]
)
def test_fifty_steps_have_the_same_losses(
    parallel: str, sizes: tuple[int, ...], place: Path
) -> None:
    # At ten times this rate the noise of the last bit grows to 1e-3 within fifty steps.
    rates = {"learning_rate": 3e-4, "min_learning_rate": 3e-5}
    numbers = {"training": {"pretrain": {"max_steps": 50, "batch_size": 16, **rates}}}
    expected = alone(place, **numbers)["losses"]
    bound = 0.0 if parallel == "exact" else 1e-4
    for size in sizes:
        found = together(size, steps, place, **merge(numbers, {"device": {"parallel": parallel}}))
        assert max(abs(a - b) for a, b in zip(found[0]["losses"], expected, strict=True)) <= bound


def test_a_process_has_its_share_of_the_cores(place: Path) -> None:
    found = together(2, threads, place, device={"threads": 0})
    assert found == [max(1, device.machine.core_count() // 2)] * 2


def threads(group: ProcessGroup, workspace: Workspace) -> int:
    return group.device_settings(workspace.settings.device).threads
