"""Is `nielsgpt plan` right? Plans, then trains every candidate for the same time, and compares.

    python benchmarks/plan.py --root /tmp/honesty --minutes 3 5 10 --seeds 1 2
    python benchmarks/plan.py --root /tmp/honesty --minutes 0.5 --grid tiny.json --batches 8,32

For each time and seed: is the chosen candidate better than the median, how far is it from the
best, how many candidates end within their interval, and how near was the predicted speed. If a plan
ends a run early because the model would overfit, it is also trained for all of the time, and the
better end counts for the best of all. Each run gets the steps that fit into the time at the speed
measured before, so a machine that is busy for a while slows a run down but does not change its
loss. Results are stored in the root and not measured again.
"""

import argparse
import os
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from cli.options import settle
from nielsgpt.experiments import candidates, worker
from nielsgpt.experiments import grid as grids
from nielsgpt.experiments.candidates import Candidate
from nielsgpt.experiments.pilots import PilotBudget, PilotJob
from nielsgpt.experiments.plan import INTERVAL, Planner, open_planner
from nielsgpt.experiments.results_store import ResultsStore
from nielsgpt.experiments.throughput import PlanOption
from nielsgpt.experiments.worker import JobLimits
from nielsgpt.pipeline import pipeline
from nielsgpt.system.workspace import Workspace

NEAR = 0.03  # bits per byte from the best that are good enough


@dataclass(frozen=True)
class Outcome:
    """The result of one plan: bits per byte of the chosen candidate and of all, how many ended in
    their interval, and the median speed relative to the predicted one."""

    chosen: float
    ends: list[float]
    inside: int
    speed: float

    @property
    def gap(self) -> float:
        """Bits per byte from the chosen candidate to the best."""
        return self.chosen - min(self.ends)

    @property
    def is_better(self) -> bool:
        """True if the chosen candidate is below the median."""
        return self.chosen < statistics.median(self.ends)


def train(
    planner: Planner, option: PlanOption, steps: int, results: ResultsStore, root: Path
) -> tuple[float, float]:
    """Bits per byte after this many steps, and the speed relative to the predicted one."""
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


def compare(
    workspace: Workspace, seed: int, chosen: list[Candidate], budget: PilotBudget
) -> Outcome:
    """Plan and train all candidates; the seed changes weights and batches but not the caches."""
    planner = open_planner(workspace, pipeline.caches(workspace))
    planner.settings = planner.settings.model_copy(update={"seed": seed})
    plan = planner.plan(chosen, budget)
    results = ResultsStore(workspace.root / "bench" / "honesty.jsonl", worker.run_job)
    runs = [train(planner, one, one.steps, results, workspace.root) for one in plan.options]
    bits = [end for end, _ in runs]
    low, high = plan.forecast.interval(INTERVAL)
    inside = sum(a <= end <= b for a, end, b in zip(low, bits, high, strict=True))
    for option, end, middle in zip(plan.options, bits, plan.forecast.median, strict=True):
        sys.stdout.write(f"  {option.candidate!s:28} {end:.4f}  predicted {middle:.4f}\n")
    ends = list(bits)
    for n, option in enumerate(plan.options):
        if option.steps < option.max_steps:
            whole, _ = train(planner, option, option.max_steps, results, workspace.root)
            sys.stdout.write(f"  {option.candidate!s:28} {whole:.4f}  in all of the time\n")
            ends[n] = min(bits[n], whole)
    return Outcome(bits[0], ends, inside, statistics.median(speed for _, speed in runs))


def main() -> None:
    """Read the options, compare every plan, print a line for each and the totals."""
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
    outcomes = []
    for minutes in options.minutes:
        budget = PilotBudget.for_run(
            60 * minutes, options.pilot_minutes and 60 * options.pilot_minutes
        )
        for seed in options.seeds:
            chosen = candidates.list_candidates(base.settings, shapes, batches)
            outcome = compare(workspace, seed, chosen, budget)
            outcomes.append(outcome)
            sys.stdout.write(
                f"{minutes:g} minutes, seed {seed}: chosen {outcome.chosen:.4f}, "
                f"{outcome.gap:.4f} from the best of {len(outcome.ends)}, median "
                f"{statistics.median(outcome.ends):.4f}; {outcome.inside} of {len(outcome.ends)} "
                f"within their interval; speed {outcome.speed:.0%} of the predicted\n"
            )
    better = sum(one.is_better for one in outcomes)
    near = sum(one.gap <= NEAR for one in outcomes)
    count = len(outcomes)
    sys.stdout.write(f"below the median: {better} of {count}; near the best: {near} of {count}\n")


if __name__ == "__main__":
    main()
