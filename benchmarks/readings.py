"""When is a text learnt by heart? Trains shapes for so many readings, evaluated all the way.

    python benchmarks/readings.py --root /tmp/readings --config mine.json --readings 8 16 32

For each shape and each number of readings, a run of its own, cooled to its end: at which reading
the loss on other text was lowest, what it was there, and what it was at the end. The rule of
nielsgpt/experiments/data_budget.py is of such runs. They are neither kept nor resumed.
"""

import argparse
import os
import sys
from pathlib import Path

from cli.options import settle
from cli.plan import planner_of
from nielsgpt.experiments import candidates
from nielsgpt.experiments import grid as grids
from nielsgpt.experiments.candidates import Candidate
from nielsgpt.experiments.plan import Planner
from nielsgpt.format import align_columns
from nielsgpt.model.gpt import parameter_count
from nielsgpt.system import device
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers import registry
from nielsgpt.training import build

LOOKS = 16  # evaluations in a run


def run(root: Path, planner: Planner, candidate: Candidate, readings: float) -> list[str]:
    """A line of the table: what one run came to."""
    corpus = planner.data_budget.total
    reading = corpus / (candidate.batch_size * candidate.shape.context_length)  # steps
    steps = max(1, round(readings * reading))
    execution = planner.throughput.choose_execution(candidate)
    workspace = Workspace(
        root, candidates.resolve_settings(planner.settings, candidate, execution, steps)
    )
    device.apply_execution(execution.device, execution.threads)
    tokenizer = registry.load(workspace.tokenizer)
    model = build.model_at_start(workspace, "pretrain", tokenizer, {})
    trainer = build.assemble_trainer(workspace, "pretrain", tokenizer, model, execution)
    seen = []
    for step in range(1, steps + 1):
        trainer.train_step()
        if step % max(1, steps // LOOKS) == 0 or step == steps:
            trainer.evaluate()
            seen.append((trainer.metric("bits_per_byte"), step / reading))
    (best, place), end, params = min(seen), seen[-1][0], parameter_count(model)
    figures = [
        f"{params / corpus:.1f}",
        f"{planner.data_budget.limit_tokens(10**15, params) / corpus:.1f}",
    ]
    return [f"{candidate}", *figures, f"{readings:g}", f"{place:.1f}", f"{best:.4f}", f"{end:.4f}"]


def main() -> None:
    """Read the options, make every run, print the table."""
    read = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    read.add_argument("--root", type=Path, required=True, help="Folder of the caches.")
    read.add_argument("--config", default="quickstart.json")
    read.add_argument("--grid", type=Path, help="Shapes, as for nielsgpt bench.")
    read.add_argument("--batch", type=int, default=8)
    read.add_argument("--readings", type=float, nargs="+", default=[8.0, 16.0])
    options = read.parse_args()
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as `nielsgpt pretrain` has it
    workspace = Workspace(options.root, settle(options.config).settings)
    planner, own = planner_of(workspace), workspace.settings.model
    shapes = [own]
    if options.grid:
        shapes = [candidates.adopt_shape(own, one.shape) for one in grids.read(options.grid)[0]]
    heads = ["model", "parameters a token", "enough by the rule", "planned", "best after"]
    rows = [[*heads, "bits per byte there", "at the end"]]
    for shape in shapes:
        for readings in options.readings:
            rows.append(run(options.root, planner, Candidate(shape, options.batch), readings))
            sys.stderr.write(f"{'  '.join(rows[-1])}\n")
    sys.stdout.write(f"{align_columns(rows)}\n")


if __name__ == "__main__":
    main()
