"""Where a phase's weights start: seeded, a file's, or pretraining's best."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nielsgpt.checkpoint import checkpoint_file
from nielsgpt.config.settings import Settings
from nielsgpt.errors import CheckpointError
from nielsgpt.pipeline import pipeline, train_phase
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers import registry
from nielsgpt.training import assemble
from nielsgpt.training.run import weights_identity

Tiny = Callable[..., Settings]


@pytest.fixture
def first(tiny: Tiny, root: Path) -> Workspace:
    """A pretrained model."""
    workspace = Workspace(root, tiny())
    pipeline.caches(workspace)
    train_phase.train(workspace, "pretrain")
    return workspace


def begun(
    tiny: Tiny, first: Workspace, model: dict[str, object] | None = None, **over: object
) -> Workspace:
    """Another model's workspace, to start from the first one's weights."""
    start = str(first.checkpoints / "pretrain" / "latest.pt")
    numbers = {"pretrain": {"init_from": start, **over}}
    return Workspace(first.root, tiny(name="second", model=model or {}, training=numbers))


def test_starting_weights_without_a_file_beside_them_are_known_by_their_own_numbers(
    tmp_path: Path,
) -> None:
    weights = {"w": torch.arange(4.0)}
    path = tmp_path / "copied.pt"
    checkpoint_file.save(path, {"step": 1, "weights": weights})
    path.with_suffix(".json").unlink()
    assert weights_identity(path) == checkpoint_file.weights_sha256(weights)


def test_a_warm_start_begins_with_the_files_weights(tiny: Tiny, first: Workspace) -> None:
    work = begun(tiny, first)
    pipeline.caches(work)
    tokenizer = registry.load(work.tokenizer)
    shape = checkpoint_file.load(first.checkpoints / "pretrain" / "latest.pt")["facts"]["shape"]
    model = assemble.model_at_start(work, "pretrain", tokenizer, shape)
    expected = checkpoint_file.load(first.checkpoints / "pretrain" / "latest.pt")["weights"]
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())


def test_the_same_command_goes_on_with_a_warm_start_and_begins_no_second_one(
    tiny: Tiny, first: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nielsgpt")
    pipeline.caches(begun(tiny, first))
    train_phase.train(begun(tiny, first, max_steps=3), "pretrain")
    train_phase.train(begun(tiny, first), "pretrain")
    assert "changed since" not in caplog.text
    latest = first.root / "checkpoints" / "second" / "pretrain" / "latest.pt"
    assert checkpoint_file.load(latest)["step"] == 6
    before = latest.read_bytes()
    train_phase.train(Workspace(first.root, tiny(name="second")), "pretrain")
    assert (
        "pretrain: finished and kept at step 6, changed since: the starting weights" in caplog.text
    )
    assert latest.read_bytes() == before


def test_weights_of_another_shape_are_refused_or_taken_where_they_fit(
    tiny: Tiny, first: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nielsgpt")
    deeper = begun(tiny, first, model={"n_layer": 3})
    pipeline.caches(deeper)
    with pytest.raises(CheckpointError, match="n_layer: checkpoint 2, settings 3"):
        train_phase.train(deeper, "pretrain")
    train_phase.train(begun(tiny, first, model={"n_layer": 3}, init_strict=False), "pretrain")
    assert "not: blocks.2.attention.k_norm.weight, blocks.2.attention.out.weight" in caplog.text


def test_a_file_that_is_not_there_is_named(tiny: Tiny, root: Path) -> None:
    workspace = Workspace(root, tiny(training={"pretrain": {"init_from": "none.pt"}}))
    pipeline.caches(workspace)
    with pytest.raises(CheckpointError, match=r"no starting weights .*none.pt; name a .pt with"):
        train_phase.train(workspace, "pretrain")
