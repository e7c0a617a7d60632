"""Is the forecast of memory right? Trains some shapes for a few steps and compares it to the peak.

    python benchmarks/memory.py --root /tmp/memory

Each row is a `nielsgpt pretrain` or `sft` in a process of its own; forecast and peak are those of
its run_meta.json. A step, an evaluation and a checkpoint are part of each run.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from nielsgpt.format import align_columns

GIB = 2**30
STEPS = {"max_steps": 6, "eval_every": 3, "checkpoint_every": 3, "warmup_steps": 1}
SHAPES = {  # layers, heads, width, context, batch
    "4x256": (4, 4, 256, 256, 32),
    "6x384": (6, 6, 384, 512, 32),
    "8x512": (8, 8, 512, 512, 32),
}
WAYS: dict[str, dict[str, Any]] = {
    "fp32": {"precision": "fp32", "compile": "off"},
    "bf16": {"precision": "bf16", "compile": "off"},
    "bf16, compiled": {"precision": "bf16", "compile": "on"},
}


def config(name: str, shape: str, way: str, micro_batch: int) -> dict[str, Any]:
    """A config of that shape."""
    layers, heads, width, context, batch = SHAPES[shape]
    phase = {**STEPS, "batch_size": batch, "micro_batch_size": micro_batch, "eval_batches": 2}
    return {
        "name": name,
        "data": {"mix_pretrain": {"primer": 1.0}, "mix_sft": {"primer": 1.0}},
        "model": {
            "n_layer": layers,
            "n_head": heads,
            "n_embd": width,
            "context_length": context,
        },
        "training": {"pretrain": phase, "sft": phase, "report": False},
        "device": {**WAYS[way], "measure": False},
    }


def measure(root: Path, shape: str, way: str, micro_batch: int) -> list[list[str]]:
    """Train both phases; a row each."""
    name = f"{shape}-{way}-{micro_batch}".replace(", ", "-")
    path = root / f"{name}.json"
    path.write_text(json.dumps(config(name, shape, way, micro_batch)))
    rows = []
    for phase in ("pretrain", "sft"):
        command = [sys.executable, "-m", "cli", phase, "--config", str(path)]
        subprocess.run(command, check=True, env={**os.environ, "NIELSGPT_ROOT": str(root)})
        newest = max((root / "runs").glob("*/run_meta.json"))
        memory = json.loads(newest.read_text())["memory"]
        forecast, peak = (memory[f"{which}_bytes"] / GIB for which in ("forecast", "peak"))
        off = f"{100 * (forecast / peak - 1):+.0f} %"
        rows.append([shape, way, str(micro_batch), phase, f"{forecast:.2f}", f"{peak:.2f}", off])
    return rows


def main() -> None:
    """Print a table of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="a scratch folder")
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--micro-batches", nargs="+", type=int, default=[8, 32])
    arguments = parser.parse_args()
    arguments.root.mkdir(parents=True, exist_ok=True)
    rows = [["shape", "way", "rows", "phase", "forecast GiB", "peak GiB", "off"]]
    for shape in arguments.shapes:
        for way in arguments.ways:
            for size in arguments.micro_batches:
                rows += measure(arguments.root, shape, way, size)
    print(align_columns(rows))


if __name__ == "__main__":
    main()
