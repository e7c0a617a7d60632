"""A phase's trainer, put together from files: its rows, its starting weights, its engine."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

import nielsgpt
from nielsgpt.checkpoint import checkpoint_file
from nielsgpt.checkpoint.contents import Shape, list_differences
from nielsgpt.checkpoint.select import pretrained_weights
from nielsgpt.config.settings import ModelSettings, Phase
from nielsgpt.data.cache import shards
from nielsgpt.data.cache.loader import Mixture, PackedRows, Rows, WindowRows
from nielsgpt.data.cache.shards import Split
from nielsgpt.distributed.group import SINGLE_PROCESS, ProcessGroup
from nielsgpt.errors import CheckpointError
from nielsgpt.model.gpt import GPT
from nielsgpt.system.atomic_files import fingerprint
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.training.trainer import Trainer

log = logging.getLogger("nielsgpt")


def model_at_start(
    workspace: Workspace,
    phase: Phase,
    tokenizer: Tokenizer,
    shape: Shape,
    reads: bool = True,
) -> GPT:
    """The phase's model at step 0: seeded weights, a file's, or for SFT pretraining's best.

    Without `reads` it has seeded weights: a resumed state replaces them, and of a team only the
    leader reads a file. Raises CheckpointError where weights of another shape must fit.
    """
    torch.manual_seed(workspace.settings.seed)
    model = GPT(workspace.settings.model, tokenizer.vocab_size)
    path = starting_weights(workspace, phase) if reads else None
    if path is None:
        return model
    start = checkpoint_file.load(path, "weights", "facts")
    if workspace.settings.phase(phase).init_strict:
        check_start(workspace, phase, path, shape)
        model.load_state_dict(checkpoint_file.kept_weights(start))
    else:
        same = checkpoint_file.metadata_of(start).shape["tokenizer"] == shape["tokenizer"]
        _take_what_fits(model, checkpoint_file.kept_weights(start), path, same)
    return model


def check_start(workspace: Workspace, phase: Phase, path: Path, shape: Shape) -> None:
    """Raise CheckpointError for each field of the shape that the starting weights have not."""
    before = checkpoint_file.read_metadata(path)
    if before is None:
        before = checkpoint_file.metadata_of(checkpoint_file.load(path, "facts", lazy=True))
    known = {field: before.shape.get(field) for field in shape}
    diff = list(list_differences(known, shape))
    if not diff:
        return
    if workspace.settings.phase(phase).init_from is None:
        way = "keep its settings, or train it again with 'nielsgpt pretrain --no-resume'"
    elif all(field.startswith("tokenizer:") for field in diff):
        way = "choose another name with --set name=NAME, or take what fits with --no-strict"
    else:
        way = "keep its settings, or take what fits with --no-strict"
    raise CheckpointError(f"{path} does not fit these settings: {'; '.join(diff)}; {way}")


def starting_weights(workspace: Workspace, phase: Phase) -> Path | None:
    """The file of the phase's starting weights; None where it starts from seeded ones."""
    chosen = workspace.settings.phase(phase).init_from
    if chosen is not None:
        return workspace.root / chosen
    return pretrained_weights(workspace) if phase == "sft" else None


def _take_what_fits(
    model: GPT, weights: Mapping[str, torch.Tensor], path: Path, same_ids: bool
) -> None:
    """Load the tensors of the model's names and shapes; a log line lists what did not fit.

    Rows of another tokenizer's ids mean other text, so they never fit.
    """
    own = model.state_dict()
    by_id = () if same_ids else ("embedding.weight", "unembedding.weight")
    fitting = {
        name: tensor
        for name, tensor in weights.items()
        if name in own and own[name].shape == tensor.shape and name not in by_id
    }
    model.load_state_dict(fitting, strict=False)
    left = sorted(set(own) ^ set(fitting) | set(weights) - set(fitting))
    shown = ", ".join(left[:6]) + (f" and {len(left) - 6} more" if len(left) > 6 else "")
    log.info("%d of %d tensors from %s; not: %s", len(fitting), len(own), path, shown or "none")


def with_shape_of_start(workspace: Workspace, phase: Phase) -> Workspace:
    """The workspace with the model shape of the file that the phase is told to start from.

    A line names what the settings say otherwise. Unchanged where no file is named, or where only
    what fits of it is taken.
    """
    phase_settings = workspace.settings.phase(phase)
    path = workspace.root / (phase_settings.init_from or "")
    if not phase_settings.init_strict or not path.is_file():
        return workspace
    kept = checkpoint_file.load(path, "settings", "facts", lazy=True)
    model: Any = kept["settings"].get("model", {})
    told = {**model, "attention": workspace.settings.model.attention}
    try:
        shape = ModelSettings.model_validate(told)
    except ValidationError:
        raise CheckpointError(f"{path} lacks the model's shape; name another checkpoint") from None
    changed = list_differences(shape.model_dump(), workspace.settings.model.model_dump())
    if said := "; ".join(changed):
        log.info("%s: the model has the shape of %s (%s)", phase, path, said)
    return replace(workspace, settings=workspace.settings.model_copy(update={"model": shape}))


def assemble_trainer(
    workspace: Workspace,
    phase: Phase,
    tokenizer: Tokenizer,
    model: GPT,
    execution: ExecutionConfig,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Trainer:
    """The phase at step 0 on this engine."""
    settings, phase_settings = workspace.settings, workspace.settings.phase(phase)
    train_rows, val_rows = (_rows(workspace, phase, tokenizer, split) for split in shards.SPLITS)
    return Trainer(
        model,
        phase_settings,
        execution,
        Mixture(train_rows, settings.mix(phase), phase_settings.batch_size, settings.seed),
        val_rows,
        settings.mix(phase),
        torch.from_numpy(tokenizer.byte_lengths),
        settings.seed,
        group,
    )


def premises(workspace: Workspace, phase: Phase, tokenizer: Tokenizer) -> dict[str, str]:
    """Values that every process of the group must share, by name."""
    folder, settings = workspace.splits(phase), workspace.settings
    splits = [f"{name}_{split}" for name in sorted(settings.mix(phase)) for split in shards.SPLITS]
    return {
        "the version of nielsgpt": nielsgpt.__version__,
        "the version of torch": str(torch.__version__),
        "the fingerprint of the settings": fingerprint(settings.model_dump(exclude={"device"})),
        "device.parallel": settings.device.parallel,
        "the tokenizer": tokenizer.fingerprint,
        **{f"the content of {name}": split_identity(folder, name) for name in splits},
    }


def split_identity(folder: Path, name: str) -> str:
    """The identity of a cached split's content; "not built" where it is not."""
    meta = shards.read_meta(folder, name)
    return shards.split_fingerprint(meta) if meta is not None else "not built"


def _rows(workspace: Workspace, phase: Phase, tokenizer: Tokenizer, split: str) -> dict[str, Rows]:
    folder, settings = workspace.splits(phase), workspace.settings
    rows: dict[str, Rows] = {}
    for name in settings.mix(phase):
        opened = Split(folder, f"{name}_{split}", tokenizer.fingerprint)
        length = settings.model.context_length
        if opened.mask is None:
            rows[name] = WindowRows(opened, length, settings.seed)
        else:
            rows[name] = PackedRows(opened, length, settings.seed, tokenizer.specials.end)
    return rows
