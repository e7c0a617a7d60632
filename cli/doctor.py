"""nielsgpt doctor."""

from typing import TYPE_CHECKING

import click

from cli.options import with_workspace

if TYPE_CHECKING:
    from nielsgpt.doctor.check import CheckResult
    from nielsgpt.system.device import ExecutionConfig
    from nielsgpt.system.workspace import Workspace

COLUMNS = "{:24} {:>14} {:>9}  {:7} {:>9} {:>10}"
HEADINGS = ("way of computing", "worst gradient", "bound", "verdict", "same bits", "tiny step")


@click.command("doctor")
@with_workspace
def command(workspace: "Workspace") -> None:
    """Check in under a minute that this machine trains correctly.

    Compares a training step of a tiny model, in every precision and attention implementation, with
    a float64 reference. Exits 0 if the configured execution is numerically correct, otherwise 1.
    """
    from nielsgpt.doctor import survey
    from nielsgpt.doctor.trust import describe_fault
    from nielsgpt.errors import RunError

    for name, fact in survey.describe_machine(workspace.root):
        click.echo(f"{name:10} {fact}")
    for device in survey.list_devices(workspace.settings.device.device):
        taken = _examine(workspace, device)
    if not taken.is_correct:
        raise RunError(describe_fault(taken))
    click.echo(f"\na run takes {taken.label} here, numerically correct")


def _examine(workspace: "Workspace", device: str) -> "CheckResult":
    """Print a device's table; returns the verdict on what a run would take there."""
    from dataclasses import replace

    from nielsgpt.doctor import survey
    from nielsgpt.doctor.check import check

    click.echo("")
    compiles = False
    if (wish := workspace.settings.device.compile) != "off":
        compiler = survey.check_compiler(device)
        compiles = compiler.works or wish == "on"
        tool_chain = "works" if compiler.works else "does not work here"
        click.echo(f"compiler   torch.compile {tool_chain}; {compiler.seconds:.1f} s to find out")
    engine = chosen_engine(workspace, device)
    click.echo(COLUMNS.format(*HEADINGS))
    verdicts = {}
    for verdict in survey.check_uncompiled(engine):
        verdicts[verdict.execution] = verdict
        click.echo(_row(verdict))
    taken = verdicts[replace(engine, compiled=False)]
    if compiles and taken.is_correct:
        compiled = check(replace(engine, compiled=True))
        click.echo(_row(compiled))
        taken = compiled if engine.compiled else taken
    click.echo(f"products   {_peaks(device, list(verdicts.values()))}")
    return taken


def chosen_engine(workspace: "Workspace", device: str) -> "ExecutionConfig":
    """The execution config pretraining would take: as measured once, else by rule."""
    from nielsgpt.system import machine
    from nielsgpt.system.device import choose_device
    from nielsgpt.tokenizers.byte import ByteTokenizer
    from nielsgpt.training import autotune

    settings, asked = workspace.settings, workspace.settings.device
    is_byte = settings.tokenizer.kind == "byte"
    size = ByteTokenizer.vocab_size if is_byte else settings.tokenizer.vocab_size
    if choose_device(asked.device) != device:
        asked = asked.model_copy(update={"device": device})
    question = autotune.TuningKey(asked, settings.model, size, settings.phase("pretrain"))
    if machine.recall("engines", question.key(device)) is None:
        asked = asked.model_copy(update={"measure": False})
    return autotune.choose_execution(
        autotune.TuningKey(asked, settings.model, size, question.phase)
    )


def _row(verdict: "CheckResult") -> str:
    from nielsgpt.doctor.check import format_percent

    if verdict.failure is not None:
        return f"{verdict.label:24} {verdict.fault}"
    worst = verdict.worst_gradient
    row = COLUMNS.format(
        verdict.label,
        format_percent(worst.error),
        format_percent(worst.bound),
        "correct" if verdict.is_correct else "WRONG",
        "yes" if verdict.is_deterministic else "no",
        f"{1000 * verdict.step_s:.1f} ms",
    )
    return row if verdict.is_correct else f"{row}\n    {verdict.fault}"


def _peaks(device: str, verdicts: list["CheckResult"]) -> str:
    """The speed of products in each precision that the device has."""
    from nielsgpt.system.device import DTYPES, matrix_peak

    here = {verdict.execution.precision for verdict in verdicts if verdict.failure is None}
    peaks = [f"{name} {matrix_peak(device, DTYPES[name]) / 1e9:,.0f}" for name in sorted(here)]
    return f"{', '.join(peaks)} GFLOP/s at most, square matrices on {device}"
