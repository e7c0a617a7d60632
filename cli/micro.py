"""nielsgpt micro: train, sample and time the GPT written by hand."""

import functools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import terminal
from cli.micro_check import bpe, check, figures
from cli.options import PATH, root

if TYPE_CHECKING:
    from nielsgpt.micro.scenarios import Scenario

Command = Callable[..., Any]


class House(click.Group):
    """A group that turns the errors of the stand-alone micro package into the project's."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        from nielsgpt.errors import NielsError
        from nielsgpt.micro.errors import MicroError

        try:
            return super().invoke(ctx)
        except MicroError as error:
            told = NielsError(str(error))
            told.exit_code = error.exit_code
            raise told from error


def with_scenario(command: Command) -> Command:
    """Give the command its resolved Scenario as the first argument."""

    @click.option(
        "--scenario", "-s", default="names", show_default=True, help="Name of a shipped scenario."
    )
    @click.option("--config", "-c", type=PATH, help="Your own scenario file.")
    @click.option("--backend", "-b", help="Backend: python, numpy or numpy_batched.")
    @functools.wraps(command)
    def wrapper(scenario: str, config: Path | None, backend: str | None, **rest: Any) -> Any:
        from nielsgpt.micro import scenarios

        chosen = scenarios.load(scenario, config)
        return command(scenarios.changed(chosen, backend=backend), **rest)

    return wrapper


def named() -> str:
    """The words of this command line that name its scenario, for another command line."""
    given = click.get_current_context().params
    return f"-c {given['config']}" if given["config"] else f"-s {given['scenario']}"


@click.command("train")
@with_scenario
@click.option("--dtype", help="Data type: float64 or float32.")
@click.option("--grad-accum", type=int, help="Documents per update.")
@click.option("--steps", type=int, help="Documents to train on.")
@click.option("--seed", type=int, help="Random seed for the weights and the order of documents.")
@click.option("--timing", is_flag=True, help="Show the time spent in each part.")
@click.option("--no-eta", is_flag=True, help="Hide the remaining time.")
@click.option("--output", "-o", type=PATH, help="File to write the model to.")
def train(
    scenario: "Scenario",
    dtype: str | None,
    grad_accum: int | None,
    steps: int | None,
    seed: int | None,
    timing: bool,
    no_eta: bool,
    output: Path | None,
) -> None:
    """Train the model of a scenario."""
    from nielsgpt.errors import Stopped
    from nielsgpt.micro import pace, scenarios, store
    from nielsgpt.micro.training import Run
    from nielsgpt.micro.weights import parameter_count
    from nielsgpt.progress import clock

    chosen = scenarios.changed(
        scenario, dtype=dtype, grad_accum=grad_accum, num_steps=steps, seed=seed
    )
    run = Run(root(), chosen)
    path = output or store.model_path(root(), chosen.name)
    click.echo(
        f"{len(run.corpus.sequences):,} documents, vocabulary {run.shape.vocab_size}, "
        f"{parameter_count(run.shape):,} parameters, {chosen.training.backend}"
    )
    if os.environ.get("MICROGPT_VERIFY_JIT") == "1":
        click.echo(_jit())
    try:
        for line in pace.lines(run, timing, None if no_eta else clock):
            click.echo(line)
    except KeyboardInterrupt:
        step = f"stopped after step {run.adam.step} of {run.updates}"
        raise Stopped(f"{step}; no model was written", signal.SIGINT) from None
    store.save(path, run.saved())
    click.echo(f"wrote {path}")


@click.command("sample")
@with_scenario
@click.option("--model", "-m", type=PATH, help="Path of a model.json; by default, the scenario's.")
@click.option("--prompt", "-i", default="", help="Beginning of the text.")
@click.option(
    "--number",
    "-n",
    type=click.IntRange(1),
    help="Number of samples; by default 20, or 1 with --chain.",
)
@click.option("--temperature", "-t", type=click.FloatRange(0), default=0.5, show_default=True)
@click.option("--seed", default=42, show_default=True, help="Random seed for sampling.")
@click.option("--no-seed", is_flag=True, help="Use a different seed every time.")
@click.option(
    "--no-stop-at-bos", is_flag=True, help="Continue to --max-tokens, ignoring the end token."
)
@click.option(
    "--max-tokens",
    type=click.IntRange(1),
    help="Maximum number of new tokens; by default, one context.",
)
@click.option("--chain", is_flag=True, help="Write one long text with a sliding context window.")
@click.option("--max-chars", type=click.IntRange(1), default=2000, show_default=True)
def sample(scenario: "Scenario", model: Path | None, prompt: str, **drawing: Any) -> None:
    """Sample text from a trained model."""
    import random

    from nielsgpt.micro import backends, sampling, store

    makes_it = f"make it with: nielsgpt micro train {named()}"
    saved = store.load(model or store.model_path(root(), scenario.name), makes_it)
    if unknown := saved.alphabet.unknown(prompt):
        click.echo(f"the vocabulary lacks {unknown!r}; leaving it out of the prompt", err=True)
    gpt = backends.make(scenario.training.backend, saved.shape, saved.weights)
    rng = random.Random(None if drawing["no_seed"] else drawing["seed"])
    start = (gpt, saved.alphabet, prompt, drawing["temperature"], rng)
    click.echo("--- inference ---")
    for number in range(1, 1 + (drawing["number"] or (1 if drawing["chain"] else 20))):
        if drawing["chain"]:
            text = sampling.chain(*start, drawing["max_chars"])
        else:
            stop = not drawing["no_stop_at_bos"]
            text = sampling.sample(*start, stop, drawing["max_tokens"])
        terminal.write(f"sample {number:2}: {text}\n")


@click.command("benchmark")
@with_scenario
@click.option("--steps", "-n", type=click.IntRange(1), default=5, show_default=True)
@click.option("--dtype", help="Data type: float64 or float32.")
def benchmark(scenario: "Scenario", steps: int, dtype: str | None) -> None:
    """Measure training speed without saving. The first step is a warm-up and not counted."""
    from nielsgpt.micro import pace, scenarios
    from nielsgpt.progress import clock

    chosen = scenarios.changed(scenario, dtype=dtype)
    per_s = pace.steps_per_s(root(), chosen, steps)
    numbers = chosen.training
    whole = -(-numbers.num_steps // numbers.grad_accum)
    click.echo(
        f"{numbers.backend}: {steps} steps at {per_s:,.1f} steps/s; all {whole:,} of "
        f"{chosen.name} take about {clock(whole / per_s)}"
    )


@click.command("verify-jit")
def verify_jit() -> None:
    """Compile the numba kernel and compare its results with NumPy's.

    With MICROGPT_VERIFY_JIT=1, training prints the same line first.
    """
    from nielsgpt.micro import kernel

    click.echo(f"JIT verification: {kernel.verified()}")


def _jit() -> str:
    """The line of `verify-jit`, or why there is none."""
    from nielsgpt.micro.errors import MicroError

    try:
        from nielsgpt.micro import kernel

        return f"JIT verification: {kernel.verified()}"
    except (MicroError, ModuleNotFoundError) as error:
        return f"JIT verification: {error}"


@click.command("download")
@click.argument("scenario", default="names")
@click.option("--config", "-c", type=PATH, help="Your own scenario file.")
@click.option("--invent", is_flag=True, help="Generate names instead of downloading.")
def download(scenario: str, config: Path | None, invent: bool) -> None:
    """Download a scenario's text."""
    from nielsgpt.micro import scenarios
    from nielsgpt.micro.download import download as put

    click.echo(put(root(), scenarios.load(scenario, config), invent))


command = House(
    "micro",
    help="Train a GPT written by hand in plain Python or NumPy (docs/learn).",
    commands=[train, sample, benchmark, verify_jit, download, check, bpe, figures],
)
