"""One phase of training, from files to files: which rows, which starting weights, which state.

Pretraining starts from seeded weights, SFT from pretraining's best. A phase goes on from its newest
sound checkpoint; one that was trained on other data, or from other weights, is set aside first.
"""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from nielsgpt import checkpoint, device
from nielsgpt.cache import build, shards
from nielsgpt.cache.batches import Mixture, Packed, Rows, Windows
from nielsgpt.cache.shards import Split
from nielsgpt.errors import CheckpointError, SettingsError
from nielsgpt.model.gpt import GPT, flops_per_token, parameter_count
from nielsgpt.progress import clock
from nielsgpt.resuming import AUTOMATIC, Resume, check_fits, state_to_resume
from nielsgpt.settings import Phase
from nielsgpt.tokenizers import registry
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.training import journal as journals
from nielsgpt.training.store import PhaseStore, set_aside
from nielsgpt.training.trainer import Trainer, run
from nielsgpt.workspace import Workspace, lock

log = logging.getLogger("nielsgpt")
HARDWARE = {"micro_batch_size", "activation_checkpointing", "log_every", "keep_checkpoints"}
Facts = dict[str, Any]


def train(work: Workspace, phase: Phase, resume: Resume = AUTOMATIC) -> None:
    """Bring one phase to its last step, or say that it is there already.

    Raises CheckpointError when the checkpoint's shape or tokenizer is not the settings'.
    """
    codec = registry.load(work.tokenizer)
    facts = _facts(work, phase, codec)
    folder = work.checkpoints / phase
    with lock(work.checkpoints):
        if resume.fresh and folder.exists():
            log.info(
                "%s: starting anew; what was trained before is in %s", phase, set_aside(folder)
            )
        state = state_to_resume(folder, phase, facts, resume)
        if state is not None:
            _say_changed(phase, state, facts)
        if state is not None and state["step"] >= facts["max_steps"] and resume.path is None:
            _say_done(phase, state)
            return
        _train(work, phase, codec, facts, state, resume)


def _train(
    work: Workspace,
    phase: Phase,
    codec: Tokenizer,
    facts: Facts,
    state: checkpoint.State | None,
    resume: Resume,
) -> None:
    settings, numbers = work.settings, work.settings.phase(phase)
    trainer = _trainer(work, phase, codec, facts)
    if state is not None:
        trainer.load(state)
        _say_if_engine_changed(state["facts"]["engine"], trainer.engine)
    # A run that goes on from a chosen file is another run; its notes leave the first one's alone.
    goes_on = state is not None and resume.path is None
    run_id = state["facts"]["run_id"] if state and goes_on else journals.new_run_id()
    folder = work.runs / run_id
    full = {**facts, "run_id": run_id, "engine": trainer.engine.facts()}
    belongings = {
        "tokenizer": checkpoint.pack_tokenizer(codec),
        "settings": settings.model_dump(mode="json"),
    }
    store = PhaseStore(work.checkpoints / phase, full, belongings, numbers.keep_checkpoints)
    journals.write_meta(folder, _meta(trainer, full), settings.model_dump(mode="json"))
    _say_start(trainer, phase, folder)
    diary = journals.Journal(
        folder,
        phase,
        sorted(trainer.validation),
        trainer.step,
        numbers.max_steps,
        numbers.log_every,
    )
    began = datetime.now(UTC)
    run(trainer, diary, store)
    taken = (datetime.now(UTC) - began).total_seconds()
    log.info("%s: %d steps in %s", phase, trainer.step, clock(taken))


def _trainer(work: Workspace, phase: Phase, codec: Tokenizer, facts: Facts) -> Trainer:
    """The phase at step 0: seeded weights, or for SFT pretraining's best, and its rows."""
    settings, numbers = work.settings, work.settings.phase(phase)
    engine = device.choose(settings.device, settings.model.attention)
    torch.manual_seed(settings.seed)
    model = GPT(settings.model, codec.vocab_size)
    if phase == "sft":
        path = pretrained(work)
        start = checkpoint.load(path)
        check_fits(path, start["facts"]["shape"], facts["shape"])
        model.load_state_dict(start["weights"])
    train_rows, val_rows = (_rows(work, phase, codec, split) for split in build.SPLITS)
    return Trainer(
        model,
        numbers,
        engine,
        Mixture(train_rows, settings.mix(phase), numbers.batch_size, settings.seed),
        val_rows,
        settings.mix(phase),
        torch.from_numpy(codec.byte_lengths),
        settings.seed,
    )


def pretrained(work: Workspace) -> Path:
    """Pretraining's best weights, or its latest where none was best.

    Raises CheckpointError with the command that makes them.
    """
    folder = work.checkpoints / "pretrain"
    found = next((p for p in (folder / "best.pt", folder / "latest.pt") if p.is_file()), None)
    if found is None:
        raise CheckpointError(f"no pretrained weights in {folder}; run 'nielsgpt pretrain' first")
    return found


def _facts(work: Workspace, phase: Phase, codec: Tokenizer) -> Facts:
    """What a checkpoint of this phase must agree with, before anything heavy is opened."""
    settings, numbers = work.settings, work.settings.phase(phase)
    mix = settings.mix(phase)
    if numbers.best_metric not in ("mix", *mix):
        raise SettingsError(
            f"training.{phase}.best_metric is {numbers.best_metric!r}; it is mix or one of "
            f"{', '.join(mix)}"
        )
    folder = work.splits(phase)
    origin: Facts = {name: _identity(folder, f"{name}_train") for name in sorted(mix)}
    if phase == "sft":
        path = pretrained(work)
        origin["start"] = checkpoint.read_facts(path).get("weights_sha256")
        if origin["start"] is None:
            raise CheckpointError(
                f"{path} is damaged: its sha256 is not the one in its .json; delete it to start "
                "from latest.pt, or train anew with 'nielsgpt pretrain --no-resume'"
            )
    return {
        "phase": phase,
        "name": settings.name,
        "shape": {
            **settings.model.model_dump(exclude={"attention"}),
            "tokenizer": codec.fingerprint,
        },
        "origin": origin,
        "numbers": {**numbers.model_dump(exclude=HARDWARE | {"max_steps"}), "mix": mix},
        "seed": settings.seed,
        "max_steps": numbers.max_steps,
    }


def _identity(folder: Path, name: str) -> str:
    meta = shards.read_meta(folder, name)
    return shards.identity(meta) if meta is not None else "not built"


def _rows(work: Workspace, phase: Phase, codec: Tokenizer, split: str) -> dict[str, Rows]:
    folder, settings = work.splits(phase), work.settings
    rows: dict[str, Rows] = {}
    for name in settings.mix(phase):
        opened = Split(folder, f"{name}_{split}", codec.fingerprint)
        length = settings.model.context_length
        if opened.mask is None:
            rows[name] = Windows(opened, length, settings.seed)
        else:
            rows[name] = Packed(opened, length, settings.seed, codec.specials.end)
    return rows


def _meta(trainer: Trainer, facts: Facts) -> Facts:
    numbers, shape = trainer.phase, trainer.model.shape
    return {
        **facts,
        "arch": shape.variant,
        "device": trainer.engine.device,
        "train_config": numbers.model_dump(),
        "model_config": shape.model_dump(),
        "params": parameter_count(trainer.model),
        "flops_per_token": flops_per_token(trainer.model),
        "tokens_per_step": numbers.batch_size * shape.context_length,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _say_start(trainer: Trainer, phase: Phase, folder: Path) -> None:
    numbers = trainer.phase
    log.info(
        "%s: %.1fM parameters on %s; %s of %d steps of %d x %d tokens; notes in %s",
        phase,
        parameter_count(trainer.model) / 1e6,
        trainer.engine,
        f"from step {trainer.step}" if trainer.step else "all",
        numbers.max_steps,
        numbers.batch_size,
        trainer.model.context_length,
        folder,
    )
    if trainer.engine.compiled:
        log.info("%s: compiling the model first, up to a minute", phase)


def _say_done(phase: Phase, state: checkpoint.State) -> None:
    log.info("%s: up to date at step %d", phase, state["step"])


def _say_changed(phase: Phase, state: checkpoint.State, facts: Facts) -> None:
    changed = list(checkpoint.differences(state["facts"]["numbers"], facts["numbers"]))
    if changed:
        log.info(
            "%s: so far trained with other numbers (%s); --no-resume trains anew",
            phase,
            "; ".join(changed),
        )


def _say_if_engine_changed(before: Facts, engine: device.Engine) -> None:
    changed = list(checkpoint.differences(before, engine.facts()))
    if changed:
        log.warning(
            "the bits will differ from an undisturbed run, for this machine computes in another "
            "way: %s",
            "; ".join(changed),
        )
