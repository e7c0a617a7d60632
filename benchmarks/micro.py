"""Training speed of micro's backends on a shipped scenario, side by side, medians of rounds.

python benchmarks/micro.py                      # names
python benchmarks/micro.py --scenario alice     # from your copy of the text
"""

import argparse
import os
import statistics
from pathlib import Path

from nielsgpt.micro import scenarios
from nielsgpt.micro.backends import BACKENDS
from nielsgpt.micro.documents import load
from nielsgpt.micro.pace import steps_per_s

# Steps of one round: about a second of each backend on `names`.
STEPS = {"python": 60, "numpy": 1000, "numpy_batched": 6000}


def main() -> None:
    """Print steps per second of each backend and dtype, and how many times the scalar one it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", default="names", choices=scenarios.names())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shorter", type=int, default=1, help="divides the steps of a round")
    asked = parser.parse_args()
    root = Path(os.environ.get("NIELSGPT_ROOT", "."))
    scenario = scenarios.load(asked.scenario)
    rows = [("python", "float64")]
    rows += [(backend, dtype) for backend in list(BACKENDS)[1:] for dtype in scenarios.DTYPES]
    paces: dict[tuple[str, str], list[float]] = {row: [] for row in rows}
    for _ in range(asked.rounds):
        for row in rows:
            chosen = scenarios.changed(scenario, backend=row[0], dtype=row[1])
            steps = max(STEPS[row[0]] // asked.shorter, 1)
            paces[row].append(steps_per_s(root, chosen, steps))
    documents = len(load(root, scenario).sequences)
    print(f"{scenario.name}: {documents:,} documents, {scenario.model}, {asked.rounds} rounds")
    slowest = statistics.median(paces[rows[0]])
    for backend, dtype in rows:
        median = statistics.median(paces[backend, dtype])
        print(f"{backend:14} {dtype}  {median:10,.1f} steps/s  {median / slowest:8.1f} x python")


if __name__ == "__main__":
    main()
