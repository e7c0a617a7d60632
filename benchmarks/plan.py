"""Is `nielsgpt plan` right? Plans, then trains every candidate for the same time, and compares.

    python benchmarks/plan.py --root /tmp/honesty --minutes 3 5 10 --seeds 1 2
    python benchmarks/plan.py --root /tmp/honesty --minutes 0.5 --grid tiny.json --batches 8,32

For each time and seed: does the chosen candidate end below the median of all, how far is it from
the best, in how many of the intervals did the candidates end, and how near was the predicted speed.
Where a plan ends a run before its time, because the text would be learnt by heart, it is trained
for all of the time as well, and the best of all is the best of both. Each gets as many steps as fit
the time at the speed that was measured before, so a machine that is busy for a while slows a run
down but does not change its loss. What was trained is kept in the root and not trained again.
"""

import argparse
import os
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from cli.options import settle
from cli.plan import planner_of
from nielsgpt.experiments import candidates, worker
from nielsgpt.experiments import grid as grids
from nielsgpt.experiments.candidates import Candidate
from nielsgpt.experiments.pilots import PilotBudget, PilotJob
from nielsgpt.experiments.plan import INTERVAL, Planner
from nielsgpt.experiments.results_store import ResultsStore
from nielsgpt.experiments.throughput import PlanOption
from nielsgpt.experiments.worker import JobLimits
from nielsgpt.system.workspace import Workspace

NEAR = 0.03  # bits per byte from the best: the goal


@dataclass(frozen=True)
class Trial:
    """What one plan came to: bits per byte of the chosen one and of all, and how the forecasts
    did."""

    chosen: float
    found: list[float]
    inside: int
    pace: float

    @property
    def gap(self) -> float:
        """How far the chosen one is from the best."""
        return self.chosen - min(self.found)

    @property
    def is_better(self) -> bool:
        """Whether the chosen one is below the median."""
        return self.chosen < statistics.median(self.found)


def trained(
    planner: Planner, option: PlanOption, steps: int, results: ResultsStore, root: Path
) -> tuple[float, float]:
    """Bits per byte of so many steps, and the speed as a share of what was predicted."""
    settings = planner.settings_for(option, steps)
    execution = option.execution
    job = PilotJob(
        root=str(root.resolve()), settings=settings, execution=execution, data=planner.data
    )
    limits = JobLimits.from_free_memory(600 + 20 * steps * option.step_s)
    row = results.measure(job, limits)
    if row["status"] != "ok":
        raise SystemExit(f"{option.candidate}: {row['status']}, {row['reason']}")
    sys.stderr.write(f"{option.candidate}: {row['bits_per_byte']:.4f} after {steps}\n")
    return float(row["bits_per_byte"]), option.step_s / float(row["step_s"])


def trial(workspace: Workspace, seed: int, chosen: list[Candidate], budget: PilotBudget) -> Trial:
    """Plan, train all, compare: the caches stay, the seed moves weights and batches."""
    planner = planner_of(workspace)
    planner.settings = planner.settings.model_copy(update={"seed": seed})
    plan = planner.plan(chosen, budget)
    results = ResultsStore(workspace.root / "bench" / "honesty.jsonl", worker.run_job)
    ends = [trained(planner, one, one.steps, results, workspace.root) for one in plan.options]
    bits = [end for end, _ in ends]
    low, high = plan.forecast.interval(INTERVAL)
    inside = sum(a <= end <= b for a, end, b in zip(low, bits, high, strict=True))
    for option, end, middle in zip(plan.options, bits, plan.forecast.median, strict=True):
        sys.stdout.write(f"  {option.candidate!s:28} {end:.4f}  predicted {middle:.4f}\n")
    found = list(bits)
    for n, option in enumerate(plan.options):
        if option.steps < option.max_steps:
            whole, _ = trained(planner, option, option.max_steps, results, workspace.root)
            sys.stdout.write(f"  {option.candidate!s:28} {whole:.4f}  in all of the time\n")
            found[n] = min(bits[n], whole)
    return Trial(bits[0], found, inside, statistics.median(pace for _, pace in ends))


def main() -> None:
    """Read the options, run every trial, print a line of each and the sum."""
    read = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    read.add_argument("--root", type=Path, required=True, help="Folder of caches and results.")
    read.add_argument("--config", default="quickstart.json")
    read.add_argument("--minutes", type=float, nargs="+", default=[3.0, 5.0, 10.0])
    read.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    read.add_argument("--pilot-minutes", type=float, help="Else as `nielsgpt plan` has it.")
    read.add_argument("--grid", type=Path, help="Shapes, as for nielsgpt bench.")
    read.add_argument("--batches", default="", help="As in 8,16,32.")
    options = read.parse_args()
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as `nielsgpt pretrain` has it
    base = settle(options.config)
    workspace = Workspace(options.root, base.settings)
    shapes = [c.shape for c in grids.read(options.grid)[0]] if options.grid else []
    shapes = [candidates.adopt_shape(base.settings.model, shape) for shape in shapes]
    batches = [int(word) for word in options.batches.split(",") if word]
    trials = []
    for minutes in options.minutes:
        budget = PilotBudget.for_run(
            60 * minutes, options.pilot_minutes and 60 * options.pilot_minutes
        )
        for seed in options.seeds:
            chosen = candidates.list_candidates(base.settings, shapes, batches)
            found = trial(workspace, seed, chosen, budget)
            trials.append(found)
            sys.stdout.write(
                f"{minutes:g} minutes, seed {seed}: chosen {found.chosen:.4f}, "
                f"{found.gap:.4f} from the best of {len(found.found)}, median "
                f"{statistics.median(found.found):.4f}; {found.inside} of {len(found.found)} "
                f"within their interval; speed {found.pace:.0%} of the predicted\n"
            )
    better = sum(one.is_better for one in trials)
    near = sum(one.gap <= NEAR for one in trials)
    count = len(trials)
    sys.stdout.write(f"below the median: {better} of {count}; near the best: {near} of {count}\n")


if __name__ == "__main__":
    main()
