"""The parts of a team: sums in a fixed order, rows and batches shared without loss, words."""

import re

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nielsgpt.config.settings import DeviceSettings
from nielsgpt.data.cache.loader import IGNORED, Batch
from nielsgpt.distributed.ddp import DDPGroup, explain_lost_peer
from nielsgpt.distributed.exact import ExactGroup
from nielsgpt.distributed.fsdp import FSDPGroup
from nielsgpt.distributed.group import ProcessGroup
from nielsgpt.distributed.tree_sum import TreeSum, odd_part, sum_pairwise
from nielsgpt.errors import RunError, SettingsError
from nielsgpt.system import launcher


def gradients(count: int) -> list[Tensor]:
    """Numbers whose sum depends on its order."""
    generator = torch.Generator().manual_seed(count)
    return [torch.randn(50, generator=generator) * 10.0 ** (i % 7) for i in range(count)]


def balanced(parts: list[Tensor]) -> Tensor:
    """The sum by halves; an odd number of parts in order."""
    if len(parts) % 2:
        total = parts[0].clone()
        for part in parts[1:]:
            total += part
        return total
    half = len(parts) // 2
    return balanced(parts[:half]) + balanced(parts[half:])


def by_rank(parts: list[Tensor]) -> Tensor:
    """What one rank's Tree makes of gradients that autograd adds up in `.grad`."""
    parameter = nn.Parameter(torch.zeros(50))
    tree = TreeSum([parameter], len(parts))
    for part in parts:
        if parameter.grad is None:
            parameter.grad = part.clone()
        else:
            parameter.grad += part
        tree.add()
    assert parameter.grad is not None
    return parameter.grad


@pytest.mark.parametrize("count", range(1, 33))
def test_the_sum_of_gradients_is_the_same_tree_for_every_number_of_ranks(count: int) -> None:
    parts = gradients(count)
    size = 1
    while count % size == 0:
        share = count // size
        ranks = [by_rank(parts[r * share : (r + 1) * share]) for r in range(size)]
        assert torch.equal(sum_pairwise(ranks), balanced(parts)), size
        size *= 2
    assert size == 2 * count // odd_part(count)


def test_these_sums_do_depend_on_their_order() -> None:
    parts = gradients(8)
    in_order = parts[0].clone()
    for part in parts[1:]:
        in_order += part
    assert not torch.equal(in_order, balanced(parts))


def test_a_parameter_without_gradient_stays_without_one() -> None:
    used, unused = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
    tree = TreeSum([used, unused], 8)
    for _ in range(8):
        used.grad = torch.ones(2) if used.grad is None else used.grad + 1
        tree.add()
    assert used.grad is not None
    assert used.grad.tolist() == [8.0, 8.0]
    assert unused.grad is None


def crew(kind: type[DDPGroup], rank: int, size: int) -> DDPGroup:
    return kind("exact", rank, size, rank, size)


@pytest.mark.parametrize("kind", [DDPGroup, ExactGroup, FSDPGroup])
@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_every_row_of_a_batch_is_computed_once(kind: type[DDPGroup], size: int) -> None:
    rows = [row for rank in range(size) for row in crew(kind, rank, size).rank_rows(24)]
    assert sorted(rows) == list(range(24))


def test_uneven_rows_are_computed_once_too() -> None:
    rows = [crew(DDPGroup, rank, 3).rank_rows(8) for rank in range(3)]
    assert [len(own) for own in rows] == [3, 3, 2]
    assert sorted(row for own in rows for row in own) == list(range(8))


@pytest.mark.parametrize("kind", [DDPGroup, ExactGroup, FSDPGroup])
@pytest.mark.parametrize("count", [1, 5, 6, 7])
def test_every_batch_of_an_evaluation_counts_once(kind: type[DDPGroup], count: int) -> None:
    batches = [Batch(np.full((1, 2), n), np.full((1, 2), n)) for n in range(count)]
    found, turns = [], set()
    for rank in range(3):
        member = crew(kind, rank, 3)
        if isinstance(member, FSDPGroup):
            member._apart = lambda: None
        dealt = list(member.shard_batches(batches))
        turns.add(len(dealt))
        found += [int(b.targets[0, 0]) for b in dealt if b.targets[0, 0] != IGNORED]
    assert sorted(found) == list(range(count))
    assert len(turns) == 1 or kind is not FSDPGroup, "who computes less often hangs the others"


@pytest.mark.parametrize(
    ("kind", "size", "batch", "said"),
    [
        (ExactGroup, 3, 24, "cannot share 6 micro-batches of 4 rows among 3 processes"),
        (ExactGroup, 8, 24, "cannot share 6 micro-batches of 4 rows among 8 processes"),
        (ExactGroup, 2, 6, "cannot share 1 micro-batches of 4 rows"),
        (DDPGroup, 9, 8, "batch_size 8 is less than one row for each of 9 processes"),
        (FSDPGroup, 3, 8, "needs a batch_size that 3 processes divide, not 8"),
    ],
)
def test_what_cannot_be_shared_is_refused_in_one_line(
    kind: type[DDPGroup], size: int, batch: int, said: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)) as caught:
        crew(kind, 0, size).check_batch(batch, 4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "size"), [(ExactGroup, 2), (DDPGroup, 3), (FSDPGroup, 4)])
def test_what_can_be_shared_is_taken(kind: type[DDPGroup], size: int) -> None:
    crew(kind, 0, size).check_batch(24, 4)


@pytest.mark.parametrize(("size", "taken"), [(1, 16), (2, 8), (4, 4), (8, 2)])
def test_a_measured_micro_batch_becomes_one_that_can_be_shared(size: int, taken: int) -> None:
    member = crew(ExactGroup, 0, size)
    assert member.largest_micro_batch(16, 16) == taken
    member.check_batch(16, taken)


def test_muon_is_refused_where_matrices_are_in_parts() -> None:
    with pytest.raises(SettingsError, match="muon needs whole matrices"):
        crew(FSDPGroup, 0, 2).setup_model(nn.Linear(2, 2), "muon")


def test_a_macs_gpu_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    line = "several processes cannot share a Mac's GPU; use one, or --device cpu"
    with pytest.raises(SettingsError, match=f"^{line}$"):
        crew(DDPGroup, 0, 2).device_settings(DeviceSettings(device="mps"))


def test_more_processes_than_gpus_is_an_error_with_how_many_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    line = "3 processes need as many GPUs and this machine has 2; use --nproc 2"
    with pytest.raises(SettingsError, match=f"^{line}$"):
        crew(DDPGroup, 0, 3).device_settings(DeviceSettings(device="cuda"))
    assert crew(DDPGroup, 0, 2).device_settings(DeviceSettings(device="cuda")).device == "cuda"


def test_what_torch_says_of_a_peer_that_is_gone_becomes_one_line() -> None:
    line = (
        "another process of this run has ended (Connection closed by peer [127.0.0.1]:40000); "
        "see its last line"
    )
    with pytest.raises(RunError, match=f"^{re.escape(line)}$"), explain_lost_peer():
        raise RuntimeError("Connection closed by peer [127.0.0.1]:40000\nException raised from")
    with pytest.raises(torch.OutOfMemoryError), explain_lost_peer():
        raise torch.OutOfMemoryError("out of memory")


def test_one_alone_asks_nobody() -> None:
    alone = ProcessGroup("exact")
    assert alone.is_rank_zero
    assert alone.is_single
    assert alone.all_reduce_max(3) == alone.broadcast(3) == alone.broadcast_object(lambda: 3) == 3
    assert alone.all_reduce_sum([1.5, 2.0]) == [1.5, 2.0]
    assert list(alone.rank_rows(4)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("pretrain --no-resume --nproc 2", "pretrain --nproc 2"),
        ("pretrain --resume a.pt -c b.json", "pretrain -c b.json"),
        ("pretrain --resume=a.pt", "pretrain"),
        ("sft -c b.json", "sft -c b.json"),
    ],
)
def test_a_second_attempt_goes_on_from_its_own_checkpoints(words: str, left: str) -> None:
    assert launcher.is_resuming(words.split()) == left.split()


def test_something_to_put_right_is_not_tried_again() -> None:
    assert launcher.run(["config", "--set", "modle.n_layer=3"], 2, lambda: None) == 2


def test_good_ends_are_ends() -> None:
    assert launcher.run(["--help"], 2, lambda: None) == 0


def test_three_attempts_without_a_new_checkpoint_are_the_last(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that finds no cache folder to write fails in an unforeseen way each time."""
    monkeypatch.setattr(launcher, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setenv("PYTHONHOME", "/nonexistent")  # no interpreter starts
    with pytest.raises(RunError, match=r"process 0 of 1 ended with code 1.*; 3 attempts in a row"):
        launcher.run(["config"], 1, lambda: None)
    assert caplog.text.count("restarting from the newest checkpoint in") == 2


def test_an_attempt_that_made_a_checkpoint_does_not_count_as_one_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(launcher, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setenv("PYTHONHOME", "/nonexistent")  # no interpreter starts
    newest = iter([0, 1, 1, 1, 1, 1, 1, 1])  # asked before and after each attempt
    with pytest.raises(RunError, match="3 attempts in a row made no new checkpoint"):
        launcher.run(["config"], 1, lambda: next(newest))
    assert caplog.text.count("restarting from the newest checkpoint in") == 3
