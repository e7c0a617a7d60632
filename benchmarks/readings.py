"""After how many epochs does a model overfit? Trains shapes for some epochs, evaluating throughout.

    python benchmarks/readings.py --root /tmp/readings --config mine.json --epochs 8 16 32

For each shape and number of epochs, a run of its own with its cooldown at the end: the epoch with
the lowest validation loss, that loss, and the loss at the end. The rule in
nielsgpt/experiments/data_budget.py comes from such runs. They are neither kept nor resumed.
"""

import argparse
import os
import sys
from pathlib import Path

from cli.options import settle
from nielsgpt.experiments import candidates
from nielsgpt.experiments import grid as grids
from nielsgpt.experiments.candidates import Candidate
from nielsgpt.experiments.plan import Planner, open_planner
from nielsgpt.format import align_columns
from nielsgpt.model.gpt import parameter_count
from nielsgpt.pipeline import pipeline
from nielsgpt.system import device
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers import registry
from nielsgpt.training import assemble

EVALUATIONS = 16  # in a run


def run(root: Path, planner: Planner, candidate: Candidate, epochs: float) -> list[str]:
    """Train one run; returns its row of the table."""
    unique_tokens = planner.data_budget.total
    epoch_steps = unique_tokens / candidate.batch_tokens
    steps = max(1, round(epochs * epoch_steps))
    execution = planner.throughput.choose_execution(candidate)
    workspace = Workspace(
        root, candidates.resolve_settings(planner.settings, candidate, execution, steps)
    )
    device.apply_execution(execution.device, execution.threads)
    tokenizer = registry.load(workspace.tokenizer)
    model = assemble.model_at_start(workspace, "pretrain", tokenizer, {})
    trainer = assemble.assemble_trainer(workspace, "pretrain", tokenizer, model, execution)
    evaluations = []
    for step in range(1, steps + 1):
        trainer.train_step()
        if step % max(1, steps // EVALUATIONS) == 0 or step == steps:
            trainer.evaluate()
            evaluations.append((trainer.metric("bits_per_byte"), step / epoch_steps))
    best, best_epoch = min(evaluations)
    end, params = evaluations[-1][0], parameter_count(model)
    limit = planner.data_budget.limit_tokens(10**15, params) / unique_tokens
    return [
        f"{candidate}",
        f"{params / unique_tokens:.1f}",
        f"{limit:.1f}",
        f"{epochs:g}",
        f"{best_epoch:.1f}",
        f"{best:.4f}",
        f"{end:.4f}",
    ]


def main() -> None:
    """Read the options, make every run, print the table."""
    read = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    read.add_argument("--root", type=Path, required=True, help="Folder of the caches.")
    read.add_argument("--config", default="quickstart.json")
    read.add_argument("--grid", type=Path, help="Shapes, as for nielsgpt bench.")
    read.add_argument("--batch", type=int, default=8)
    read.add_argument("--epochs", "--readings", type=float, nargs="+", default=[8.0, 16.0])
    options = read.parse_args()
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as `nielsgpt pretrain` has it
    workspace = Workspace(options.root, settle(options.config).settings)
    planner, own = open_planner(workspace, pipeline.caches(workspace)), workspace.settings.model
    shapes = [own]
    if options.grid:
        shapes = [candidates.adopt_shape(own, one.shape) for one in grids.read(options.grid)[0]]
    headings = ["model", "parameters per token", "epochs by the rule", "planned", "best after"]
    rows = [[*headings, "bits per byte there", "at the end"]]
    for shape in shapes:
        for epochs in options.epochs:
            rows.append(run(options.root, planner, Candidate(shape, options.batch), epochs))
            sys.stderr.write(f"{'  '.join(rows[-1])}\n")
    sys.stdout.write(f"{align_columns(rows)}\n")


if __name__ == "__main__":
    main()
