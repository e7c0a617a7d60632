"""A phase's trainer, put together from files: its rows, its starting weights, its engine."""

import logging
from pathlib import Path
from typing import Any

import torch

from nielsgpt import checkpoint
from nielsgpt.cache import build, shards
from nielsgpt.cache.batches import Mixture, Packed, Rows, Windows
from nielsgpt.cache.shards import Split
from nielsgpt.device import Engine
from nielsgpt.errors import CheckpointError
from nielsgpt.model.gpt import GPT
from nielsgpt.resuming import check_fits
from nielsgpt.settings import Phase
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.training.trainer import Trainer
from nielsgpt.workspace import Workspace

log = logging.getLogger("nielsgpt")
Facts = dict[str, Any]


def model_at_start(work: Workspace, phase: Phase, codec: Tokenizer, shape: Facts) -> GPT:
    """The phase's model at step 0: seeded weights, or for SFT pretraining's best."""
    torch.manual_seed(work.settings.seed)
    model = GPT(work.settings.model, codec.vocab_size)
    if phase == "sft":
        path = pretrained(work)
        start = checkpoint.load(path)
        check_fits(path, start["facts"]["shape"], shape)
        model.load_state_dict(checkpoint.kept_weights(start))
    return model


def trainer(work: Workspace, phase: Phase, codec: Tokenizer, model: GPT, engine: Engine) -> Trainer:
    """The phase at step 0 on this engine."""
    settings, numbers = work.settings, work.settings.phase(phase)
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


def identity(folder: Path, name: str) -> str:
    """The name of a cached split's content."""
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
