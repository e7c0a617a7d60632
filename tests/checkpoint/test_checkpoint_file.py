"""Checkpoints are whole, vouched for, and safe to open."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nielsgpt.checkpoint import checkpoint_file, load_model
from nielsgpt.config.settings import ModelSettings, Settings
from nielsgpt.errors import CheckpointError
from nielsgpt.tokenizers.base import Tokenizer

STATE = {"step": 3, "weights": {"a": torch.arange(50.0)}}


def write(folder: Path, value: float = 0.0, name: str = "x.pt") -> Path:
    facts = {"step": 3, "best": value}
    weights = {"a": torch.arange(50.0) + value}
    checkpoint_file.save(folder / name, {"step": 3, "weights": weights, "facts": facts})
    return folder / name


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    state = checkpoint_file.load(write(tmp_path, 2.0))
    assert state["step"] == 3
    assert torch.equal(state["weights"]["a"], torch.arange(50.0) + 2)
    assert checkpoint_file.read_entry(tmp_path / "x.pt")["best"] == 2.0


def test_the_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    assert write(tmp_path, name="a.pt").read_bytes() == write(tmp_path, name="b.pt").read_bytes()


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_one_flipped_bit_is_found(at: float, tmp_path: Path) -> None:
    path = write(tmp_path)
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged"):
        checkpoint_file.load(path)


@pytest.mark.parametrize(
    "content", [b"", b"GGUF\x03\x00\x00\x00", b"<html>not found</html>", b"version https://git-lfs"]
)
def test_a_foreign_file_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.pt is not a checkpoint that can be read"):
        checkpoint_file.load(path)


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("exploded",)


def test_a_pickle_bomb_does_not_go_off(root: Path) -> None:
    torch.save({"format": 1, "weights": Bomb()}, root / "x.pt")
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        checkpoint_file.load(root / "x.pt")
    assert not (root / "exploded").exists()


def test_another_projects_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"model": {}}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="not a nielsgpt checkpoint"):
        checkpoint_file.load(tmp_path / "x.pt")


def test_killed_between_the_two_renames_the_old_state_still_verifies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, 1.0)

    def killed(self: Path, target: Path) -> Path:
        if target == path:
            raise KeyboardInterrupt
        return plain(self, target)

    plain = Path.replace
    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, 2.0)
    monkeypatch.undo()
    assert torch.equal(checkpoint_file.load(path)["weights"]["a"], torch.arange(50.0) + 1)
    assert checkpoint_file.read_entry(path)["best"] == 1.0
    write(tmp_path, 3.0)
    assert checkpoint_file.read_entry(path)["best"] == 3.0


def test_two_names_of_one_state_take_its_room_once(tmp_path: Path) -> None:
    path = write(tmp_path)
    checkpoint_file.share(path, tmp_path / "up" / "best.pt", checkpoint_file.read_entry(path))
    assert os.path.samefile(path, tmp_path / "up" / "best.pt")
    assert checkpoint_file.load(tmp_path / "up" / "best.pt")["step"] == 3


def test_pruning_keeps_the_newest(tmp_path: Path) -> None:
    for step in (1, 20, 300):
        write(tmp_path, name=checkpoint_file.step_name(step))
    checkpoint_file.prune(tmp_path, 2, tmp_path / checkpoint_file.step_name(300))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        f"step_0000{step}.{kind}" for step in ("020", "300") for kind in ("json", "pt")
    ]


def test_the_newest_state_that_verifies_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (1, 2, 3):
        write(tmp_path, float(step), checkpoint_file.step_name(step))
    (tmp_path / checkpoint_file.step_name(2)).write_bytes(b"torn")
    (tmp_path / checkpoint_file.step_name(3)).with_suffix(".json").write_bytes(b"")
    found = checkpoint_file.load_newest(tmp_path)
    assert found is not None
    assert found[1].name == checkpoint_file.step_name(1)
    assert "step_0000002.pt is damaged" in caplog.text
    assert "step_0000003.json is damaged" in caplog.text


def test_equal_weights_have_equal_hashes_and_others_not() -> None:
    weights = {"a": torch.ones(3), "b": torch.zeros(2)}
    same = {"b": torch.zeros(2), "a": torch.ones(3)}
    assert checkpoint_file.weights_sha256(weights) == checkpoint_file.weights_sha256(same)
    for other in (
        {"a": torch.ones(3), "c": torch.zeros(2)},
        {"a": torch.ones(3), "b": torch.zeros(1, 2)},
        {"a": torch.ones(3), "b": torch.zeros(2, dtype=torch.float16)},
    ):
        assert checkpoint_file.weights_sha256(weights) != checkpoint_file.weights_sha256(other)


def test_a_checkpoint_holds_its_model_and_its_tokenizer(
    tiny: Callable[..., Settings], tokenizer: Tokenizer
) -> None:
    from nielsgpt.model.gpt import GPT

    settings = tiny(model={"attention": "plain"})
    torch.manual_seed(1)
    model = GPT(settings.model, tokenizer.vocab_size)
    state = {
        "weights": model.state_dict(),
        "settings": settings.model_dump(mode="json"),
        "tokenizer": load_model.pack_tokenizer(tokenizer),
    }
    again, codec = load_model.restore_model(state)
    assert codec.fingerprint == tokenizer.fingerprint
    ids = torch.tensor([tokenizer.encode("the lamp")])
    assert torch.equal(again(ids), model.eval()(ids))


def test_states_are_in_the_order_of_their_steps_however_many_digits_these_have(
    tmp_path: Path,
) -> None:
    steps = [9_999_500, 10_000_000, 10_000_500]
    for step in steps:
        (tmp_path / checkpoint_file.step_name(step)).touch()
    order = [path.name for path in checkpoint_file.newest_first(tmp_path)]
    assert order == [checkpoint_file.step_name(step) for step in reversed(steps)]
    checkpoint_file.prune(tmp_path, 2, tmp_path / checkpoint_file.step_name(steps[2]))
    assert [path.name for path in checkpoint_file.newest_first(tmp_path)] == order[:2]


def test_a_strangers_context_takes_no_memory_before_it_is_known_to_fit() -> None:
    shape = ModelSettings(n_layer=1, n_head=1, n_embd=8, context_length=9_000_000, tied=True)
    with pytest.raises(ValueError, match=r"^its context takes [\d,]+ MiB, and [\d,]+ are free$"):
        load_model._check_shapes({"a": torch.zeros(1)}, shape, 300)
