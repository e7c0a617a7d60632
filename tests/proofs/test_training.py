"""Truths of training: hardware does not change mathematics, and a stop does not change a run."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nielsgpt.checkpoint import checkpoint_file
from nielsgpt.config.settings import GenerationSettings, PhaseSettings, Settings
from nielsgpt.conversation import Conversation, Message, prompt, render
from nielsgpt.data.cache.loader import Batch, Mixture, PackedRows
from nielsgpt.data.cache.shards import Split
from nielsgpt.data.cache.split_writer import SplitWriter
from nielsgpt.errors import CheckpointError, Stopped
from nielsgpt.inference.generate import generate_all
from nielsgpt.model.gpt import GPT
from nielsgpt.pipeline import pipeline, train_phase
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers.byte import ByteTokenizer
from nielsgpt.training.run import Resume
from nielsgpt.training.trainer import Trainer

Tiny = Callable[..., Settings]
CODEC = ByteTokenizer()


def one_conversation(folder: Path) -> PackedRows:
    talk = Conversation(
        (Message("user", "Who are you?"), Message("assistant", "Niels. I keep it."))
    )
    ids, mask = render(talk, CODEC.encode, CODEC.specials)
    writer = SplitWriter(folder, "c", CODEC.vocab_size, 2**20, masked=True)
    for _ in range(8):
        writer.add(ids, [len(ids)], len(ids), mask)
    writer.finish({"tokenizer": CODEC.fingerprint})
    return PackedRows(Split(folder, "c", CODEC.fingerprint), 48, 0, CODEC.specials.end)


def trainer(settings: Settings, rows: PackedRows, **over: Any) -> Trainer:
    numbers = settings.training.sft.model_dump() | over
    phase = PhaseSettings.model_validate(numbers)
    execution = ExecutionConfig("cpu", "fp32", "plain", False, 1)
    torch.manual_seed(settings.seed)
    model = GPT(settings.model, CODEC.vocab_size)
    return Trainer(
        model,
        phase,
        execution,
        Mixture({"c": rows}, {"c": 1.0}, phase.batch_size, settings.seed),
        {"c": rows},
        {"c": 1.0},
        torch.from_numpy(CODEC.byte_lengths),
        settings.seed,
    )


def test_the_gradient_of_a_step_is_that_of_the_mean_over_its_supervised_tokens(
    tiny: Tiny, tmp_path: Path
) -> None:
    one = trainer(tiny(), one_conversation(tmp_path), grad_clip=0.0)
    batch = one.batches.batch(0)
    targets = torch.from_numpy(batch.targets)
    assert 0 < (targets >= 0).sum() < targets.numel() / 2
    logits, _ = one.model(torch.from_numpy(batch.inputs)), one.model.zero_grad()
    mean = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    found = torch.autograd.grad(mean, list(one.model.parameters()))
    norm = torch.stack([g.norm() for g in found]).norm()
    row = one.train_step()
    assert row["train_loss"] == pytest.approx(mean.item(), rel=1e-4)
    assert row["grad_norm"] == pytest.approx(norm.item(), rel=1e-4)


def weights(made: Trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in made.model.parameters()])


@pytest.mark.parametrize("recompute", [False, True])
def test_the_micro_batch_size_does_not_change_a_step(
    recompute: bool, tiny: Tiny, tmp_path: Path
) -> None:
    rows = one_conversation(tmp_path)
    results = []
    for size in (8, 4, 1):
        made = trainer(
            tiny(), rows, batch_size=8, micro_batch_size=size, warmup_steps=0, max_steps=9,
            activation_checkpointing=recompute,
        )  # fmt: skip
        losses = [made.train_step()["train_loss"] for _ in range(3)]
        results.append((losses, weights(made)))
    for losses, numbers in results[1:]:
        assert losses == pytest.approx(results[0][0], abs=1e-6)
        torch.testing.assert_close(numbers, results[0][1], atol=1e-6, rtol=0)


def test_rows_with_few_replies_weigh_as_much_as_their_tokens(tiny: Tiny, tmp_path: Path) -> None:
    """The loss is the sum over supervised tokens over their number, not a mean of means."""
    made = trainer(tiny(), one_conversation(tmp_path), batch_size=2, micro_batch_size=1)
    batch = made.batches.batch(0)
    targets = batch.targets.copy()
    targets[0, np.flatnonzero(targets[0] != -100)[1:]] = -100
    made.batches.batch = lambda step, drawn: Batch(batch.inputs, targets)  # type: ignore[method-assign]
    made.model.eval()
    logits = made.model(torch.from_numpy(batch.inputs)).view(-1, CODEC.vocab_size)
    expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets).view(-1))
    assert made.train_step()["train_loss"] == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_tiny_model_overfits_one_conversation_and_says_it(
    optimizer: str, tiny: Tiny, tmp_path: Path
) -> None:
    made = trainer(
        tiny(), one_conversation(tmp_path), optimizer=optimizer, max_steps=80, warmup_steps=5,
        learning_rate=0.01, muon_learning_rate=0.02, schedule="warmup_cosine", batch_size=4,
        micro_batch_size=4,
    )  # fmt: skip
    for _ in range(80):
        row = made.train_step()
    assert row["train_loss"] < 0.05
    asked = prompt(Conversation((Message("user", "Who are you?"),)), CODEC.encode, CODEC.specials)
    greedy = GenerationSettings(temperature=0.0, max_new_tokens=40)
    reply = generate_all(made.model, [asked], greedy, stop_ids=[CODEC.specials.end])[0]
    assert CODEC.decode(reply.ids) == "Niels. I keep it."
    assert reply.finish_reason == "stop"


def test_a_step_that_is_not_finite_is_skipped_and_touches_nothing(
    tiny: Tiny, tmp_path: Path
) -> None:
    made = trainer(tiny(), one_conversation(tmp_path))
    with torch.no_grad():
        made.model.embedding.weight[300 % CODEC.vocab_size] = float("inf")
    before = weights(made)
    rows = [made.train_step() for _ in range(3)]
    assert any("not finite" in str(row["skipped"]) for row in rows)
    assert torch.equal(before, weights(made))


def after_pretraining(root: Path, settings: Settings) -> Workspace:
    workspace = Workspace(root, settings)
    pipeline.caches(workspace)
    train_phase.train(workspace, "pretrain")
    return workspace


def hashes(workspace: Workspace) -> dict[str, str]:
    found = {}
    for phase in ("pretrain", "sft"):
        for name in ("latest", "best"):
            state = checkpoint_file.load(workspace.checkpoints / phase / f"{name}.pt")
            found[f"{phase}/{name}"] = checkpoint_file.weights_sha256(state["weights"])
    return found


def test_a_stopped_run_equals_one_never_stopped(
    tiny: Tiny, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped by a signal after every single step, in both phases, with dropout and a mixture."""
    settings = tiny(model={"dropout": 0.1})
    straight, broken = Workspace(root / "a", settings), Workspace(root / "b", settings)
    for work in (straight, broken):
        pipeline.caches(work)
    for phase in ("pretrain", "sft"):
        train_phase.train(straight, phase)
    plain_step = Trainer.train_step

    def interrupted(self: Trainer) -> dict[str, Any]:
        row = plain_step(self)
        signal.raise_signal(signal.SIGTERM)
        return row

    monkeypatch.setattr(Trainer, "train_step", interrupted)
    stops = 0
    for phase in ("pretrain", "sft"):
        while True:
            try:
                train_phase.train(broken, phase)
                break
            except Stopped as stop:
                assert stop.exit_code == 143
                stops += 1
    assert stops == 12
    assert hashes(straight) == hashes(broken)


def test_resume_takes_the_newest_state_that_verifies_and_says_so(
    tiny: Tiny, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = after_pretraining(root, tiny())
    expected = checkpoint_file.load(work.checkpoints / "pretrain" / "latest.pt")
    newest = checkpoint_file.newest_first(work.checkpoints / "pretrain")[0]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.unlink()
    newest.write_bytes(content)
    train_phase.train(work, "pretrain")
    assert "is damaged" in caplog.text
    again = checkpoint_file.load(work.checkpoints / "pretrain" / "latest.pt")
    assert checkpoint_file.weights_sha256(again["weights"]) == checkpoint_file.weights_sha256(
        expected["weights"]
    )


def test_another_shape_is_refused_field_by_field_and_nothing_is_lost(
    tiny: Tiny, root: Path
) -> None:
    work = after_pretraining(root, tiny())
    before = checkpoint_file.load(work.checkpoints / "pretrain" / "latest.pt")
    other = Workspace(root, tiny(model={"n_layer": 3, "rope_theta": 500.0}))
    message = "n_layer: checkpoint 2, settings 3; rope_theta: checkpoint 10000.0, settings 500.0"
    with pytest.raises(CheckpointError, match=message):
        train_phase.train(other, "pretrain")
    train_phase.train(other, "pretrain", Resume(fresh=True))
    kept = [p for p in work.checkpoints.iterdir() if p.is_dir() and p.name.startswith("pretrain-")]
    assert len(kept) == 1
    old = checkpoint_file.load(kept[0] / "latest.pt")
    assert checkpoint_file.weights_sha256(old["weights"]) == checkpoint_file.weights_sha256(
        before["weights"]
    )


def test_a_trained_phase_is_up_to_date_and_more_steps_go_on(
    tiny: Tiny, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    work = after_pretraining(root, tiny())
    stamp = (work.checkpoints / "pretrain" / "latest.pt").stat().st_mtime_ns
    train_phase.train(work, "pretrain")
    assert "pretrain: up to date at step 6" in caplog.text
    assert (work.checkpoints / "pretrain" / "latest.pt").stat().st_mtime_ns == stamp
    longer = Workspace(root, tiny(training={"pretrain": {"max_steps": 8}}))
    train_phase.train(longer, "pretrain")
    assert checkpoint_file.load(work.checkpoints / "pretrain" / "latest.pt")["step"] == 8


def test_new_pretrained_weights_leave_a_finished_sft_and_its_names_as_they_are(
    tiny: Tiny, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    work = after_pretraining(root, tiny())
    train_phase.train(work, "sft")
    before = names(work.checkpoints)
    train_phase.train(Workspace(root, tiny(training={"pretrain": {"max_steps": 9}})), "pretrain")
    train_phase.train(work, "sft")
    assert "sft: finished and kept at step 6, changed since: the starting weights" in caplog.text
    after = names(work.checkpoints)
    assert after.pop("pretrain/latest.pt") != before.pop("pretrain/latest.pt")
    assert {n: h for n, h in after.items() if "pretrain" not in n} == {
        n: h for n, h in before.items() if "pretrain" not in n
    }
    train_phase.train(work, "sft", Resume(fresh=True))
    assert names(work.checkpoints)["best.pt"] != before["best.pt"]
    assert len(list(work.checkpoints.glob("sft-*/best.pt"))) == 1


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


def names(folder: Path) -> dict[str, str]:
    found = {}
    for path in (*folder.glob("*/latest.pt"), *folder.glob("*/best.pt"), *folder.glob("*.pt")):
        state = checkpoint_file.load(path)
        found[str(path.relative_to(folder))] = checkpoint_file.weights_sha256(state["weights"])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["pretrain", "sft"])
def test_killed_before_any_rename_of_the_last_save_the_rerun_mends_every_name(
    phase: str, tiny: Tiny, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = Workspace(root / "straight", tiny())
    pipeline.caches(straight)
    for part in ("pretrain", "sft")[: 1 + (phase == "sft")]:
        train_phase.train(straight, part)  # type: ignore[arg-type]
    expected = names(straight.checkpoints)
    plain, killed = Path.replace, 0
    for moment in range(20):
        workspace = Workspace(root / f"killed{moment}", tiny())
        pipeline.caches(workspace)
        if phase == "sft":
            train_phase.train(workspace, "pretrain")
        renames = 0

        last = workspace.checkpoints / phase / checkpoint_file.step_name(6)

        def dying(self: Path, target: Path, last: Path = last) -> Path:
            nonlocal renames
            if last.exists() or target == last:
                renames += 1
                if renames == moment + 1:  # noqa: B023
                    raise Killed
            return plain(self, target)

        monkeypatch.setattr(Path, "replace", dying)
        try:
            train_phase.train(workspace, phase)  # type: ignore[arg-type]
        except Killed:
            killed += 1
        monkeypatch.setattr(Path, "replace", plain)
        train_phase.train(workspace, phase)  # type: ignore[arg-type]
        assert names(workspace.checkpoints) == expected, f"killed before rename {moment + 1}"
        if renames <= moment:
            break
    assert killed == 10  # nine of the save, one of the run's notes


def test_sft_refuses_pretrained_weights_of_another_shape_and_keeps_their_tokenizer(
    tiny: Tiny, root: Path
) -> None:
    work = after_pretraining(root, tiny())
    with pytest.raises(CheckpointError, match=r"pretrain/best.pt does not fit .* rope_theta"):
        train_phase.train(Workspace(root, tiny(model={"rope_theta": 500.0})), "sft")
    other = Workspace(root, tiny(tokenizer={"kind": "sentencepiece", "vocab_size": 400}))
    assert pipeline.caches(other).kind == "byte"
    train_phase.train(other, "sft")
    assert (work.checkpoints / "sft" / "best.pt").is_file()


def test_new_text_leaves_a_finished_model_as_it_is_unless_it_is_asked_for(
    tiny: Tiny, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    kind = {"kind": "sentencepiece", "vocab_size": 400}
    for amount in (60_000, 90_000):
        primer = {"characters": amount, "dialogues": 300}
        workspace = Workspace(root, tiny(tokenizer=kind, data={"primer": primer}))
        pipeline.caches(workspace)
        train_phase.train(workspace, "pretrain")
    assert "pretrain: finished and kept at step 6, changed since: source primer" in caplog.text
    assert list(workspace.checkpoints.glob("pretrain-*")) == []
    train_phase.train(workspace, "pretrain", Resume(fresh=True))
    assert len(list(workspace.checkpoints.glob("pretrain-*/latest.pt"))) == 1


def test_going_on_from_a_chosen_file_sets_later_states_aside_and_keeps_their_notes(
    tiny: Tiny, root: Path
) -> None:
    work = after_pretraining(root, tiny())
    notes = {run: (run / "metrics.csv").read_text() for run in work.runs.iterdir()}
    chosen = work.checkpoints / "pretrain" / checkpoint_file.step_name(4)
    train_phase.train(work, "pretrain", Resume(path=chosen))
    assert checkpoint_file.load(work.checkpoints / "pretrain" / "latest.pt")["step"] == 6
    assert len(list(work.checkpoints.glob("pretrain-*/step_0000006.pt"))) == 1
    assert all((run / "metrics.csv").read_text() == text for run, text in notes.items())
    assert len(list(work.runs.iterdir())) == 2


def test_a_resumed_run_obeys_the_settings_and_refuses_another_optimizer(
    tiny: Tiny, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    work = after_pretraining(root, tiny())
    other = {"pretrain": {"max_steps": 7, "weight_decay": 0.0, "beta2": 0.5}}
    train_phase.train(Workspace(root, tiny(training=other)), "pretrain")
    assert "changed since: beta2: checkpoint 0.95, settings 0.5; weight_decay" in caplog.text
    muon, adamw = checkpoint_file.load(work.checkpoints / "pretrain" / "latest.pt")["optimizer"]
    assert {group["betas"][1] for group in adamw["param_groups"]} == {0.5}
    assert {group["weight_decay"] for group in muon["param_groups"]} == {0.0}
    refused = tiny(training={"pretrain": {"max_steps": 9, "optimizer": "adamw"}})
    with pytest.raises(CheckpointError, match="optimizer muon, and the settings ask for adamw"):
        train_phase.train(Workspace(root, refused), "pretrain")


def test_the_micro_batch_size_does_not_change_an_evaluation(tiny: Tiny, tmp_path: Path) -> None:
    rows = one_conversation(tmp_path)
    values = []
    for size in (4, 1):
        made = trainer(tiny(), rows, batch_size=4, micro_batch_size=size)
        made.evaluate()
        values.append(made.metric("loss"))
    assert values[0] == pytest.approx(values[1], abs=1e-6)


def test_a_finished_pretraining_leaves_the_chat_models_names_alone(tiny: Tiny, root: Path) -> None:
    work = after_pretraining(root, tiny())
    train_phase.train(work, "sft")
    before = names(work.checkpoints)
    train_phase.train(work, "pretrain")
    assert names(work.checkpoints) == before
    assert checkpoint_file.read_entry(work.checkpoints / "best.pt")["phase"] == "sft"


def test_a_state_of_an_earlier_version_is_refused_in_words(tiny: Tiny, root: Path) -> None:
    work = after_pretraining(root, tiny())
    path = checkpoint_file.newest_first(work.checkpoints / "pretrain")[0]
    state = checkpoint_file.load(path)
    checkpoint_file.save(path, {k: v for k, v in state.items() if k != "due"})
    with pytest.raises(CheckpointError, match=r"earlier nielsgpt and lacks .* --no-resume"):
        train_phase.train(work, "pretrain")
