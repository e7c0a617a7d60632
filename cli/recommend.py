"""nielsgpt recommend."""

import json
from typing import TYPE_CHECKING

import click

from cli.bench import ABOVE_0
from cli.options import resettled, with_workspace
from cli.plan import write_config

if TYPE_CHECKING:
    from nielsgpt.experiments.heuristics import MachineMemory, Priority
    from nielsgpt.system.workspace import Workspace


@click.command("recommend")
@with_workspace
@click.option(
    "--priority",
    type=click.Choice(["speed", "quality"]),
    default="speed",
    help="Prefer a smaller, faster model or a better one.",
)
@click.option(
    "--device-mem-gb",
    "--device-memory-gb",
    type=ABOVE_0,
    help="Memory of the device in GB, which may be another machine's; by default, all of this one.",
)
def command(workspace: "Workspace", priority: "Priority", device_mem_gb: float | None) -> None:
    """Choose model size, batch size, learning rates and steps by rule, without measuring.

    The rules use the number of cached tokens and the memory; `nielsgpt plan` measures instead.
    """
    from nielsgpt.config.load import difference
    from nielsgpt.errors import DataError
    from nielsgpt.experiments.heuristics import recommend
    from nielsgpt.format import align_columns, format_bytes
    from nielsgpt.tokenizers import registry

    name = f"{workspace.settings.name}-{priority}"
    resettled(workspace, {"name": name})
    tokens = _tokens(workspace)
    if not tokens:
        raise DataError(f"no caches in {workspace.cache}; make them with 'nielsgpt caches'")
    vocab_size = registry.load(workspace.tokenizer).vocab_size
    machine = _machine(workspace, vocab_size, device_mem_gb)
    total = sum(train for train, _ in tokens.values())
    found, needed = recommend(workspace.settings, total, vocab_size, machine, priority)
    phase = found.training.pretrain
    rows = [["source", "train tokens", "validation tokens"]]
    rows += [[source, f"{train:,}", f"{val:,}"] for source, (train, val) in tokens.items()]
    click.echo(align_columns(rows))
    read = phase.max_steps * phase.batch_size * found.model.context_length
    click.echo(
        f"\n{total:,} tokens, vocabulary {vocab_size:,}; {phase.max_steps:,} steps are "
        f"{read / total:.1f} epochs\nmodel {found.model.variant}, device {machine.device}, "
        f"{format_bytes(needed)} of {format_bytes(machine.memory_bytes)}\n"
    )
    tree = difference(found.model_dump(mode="json"), workspace.settings.model_dump(mode="json"))
    click.echo(json.dumps(tree, indent=2, sort_keys=True))
    path = write_config(workspace, found, name)
    checkpoint = workspace.root / "checkpoints" / name / "pretrain" / "latest.pt"
    click.echo(f"\nnielsgpt pretrain --config {path}")
    click.echo(f"nielsgpt pretrain --config {path} --resume {checkpoint}")


def _tokens(workspace: "Workspace") -> dict[str, tuple[int, int]]:
    """Tokens of each cached source of pretraining: to train on, held out."""
    from nielsgpt.data.cache import shards

    found, folder = {}, workspace.splits("pretrain")
    for source in workspace.settings.data.mix_pretrain:
        metas = [shards.read_meta(folder, f"{source}_{split}") for split in ("train", "val")]
        if metas[0] is not None:
            train, val = (int((meta or {"tokens": 0})["tokens"]) for meta in metas)
            found[source] = train, val
    return found


def _machine(workspace: "Workspace", vocab_size: int, given_gb: float | None) -> "MachineMemory":
    from nielsgpt.experiments.execution import execution_elsewhere, execution_of_shape
    from nielsgpt.experiments.heuristics import GIB, MachineMemory, read_device_memory
    from nielsgpt.system.device import choose_device, is_here

    where = workspace.settings.device.device
    if given_gb and where != "auto" and not is_here(where):
        return MachineMemory(
            where,
            GIB * given_gb,
            lambda shape, rows: execution_elsewhere(workspace, where, shape, rows, vocab_size),
        )
    where = choose_device(where)
    memory = GIB * given_gb if given_gb else read_device_memory(where)
    return MachineMemory(
        where, memory, lambda shape, rows: execution_of_shape(workspace, shape, rows, vocab_size)
    )
