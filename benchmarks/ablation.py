"""What each choice of training is worth: bits per byte at equal time, several seeds.

    python benchmarks/ablation.py --root /tmp/ablation --seconds 30
    python benchmarks/ablation.py --root /tmp/ablation --text data/raw/tinyshakespeare.txt

A small model (4 layers, width 128, 32 rows of 128 tokens); every row changes one thing against the
quickstart's recipe. How long its step takes is measured beside the recipe's own, in turns, and it
is given as many steps as fit the same time; so a busy machine slows the runs down but does not
change their result. Bits per byte are those of the first 256 rows of the validation split, on the
averaged weights where there are some. Finished runs are kept in the root and are not run again.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nielsgpt.config import load
from nielsgpt.config.settings import Settings
from nielsgpt.pipeline import pipeline
from nielsgpt.system import device
from nielsgpt.system.atomic_files import fingerprint
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.training import assemble
from nielsgpt.training.trainer import Trainer

QUICKSTART = Path(__file__).resolve().parents[1] / "configs" / "quickstart.json"
PHASE = "training.pretrain"
EVALUATED = 256  # rows of the validation split, the same for every change
SHAPE = [
    "data.primer.dialogues=2000",
    "data.val_fraction=0.1",
    "model.n_layer=4",
    "model.n_embd=128",
    "model.context_length=128",
    f"{PHASE}.batch_size=32",
    f"{PHASE}.warmup_steps=20",
]
CORPORA = {
    "primer": ["name=ablation-primer", "tokenizer.vocab_size=1024"],
    "text": [
        "name=ablation-text",
        'data.mix_pretrain={"text":1.0}',
        "tokenizer.vocab_size=512",
    ],
}
CHANGES: dict[str, list[str]] = {
    "the recipe": [],
    "AdamW, rate 0.001": [
        f"{PHASE}.optimizer=adamw",
        f"{PHASE}.learning_rate=0.001",
        f"{PHASE}.min_learning_rate=0.00005",
    ],
    "AdamW, rate 0.003": [f"{PHASE}.optimizer=adamw"],
    "AdamW, rate 0.006": [
        f"{PHASE}.optimizer=adamw",
        f"{PHASE}.learning_rate=0.006",
        f"{PHASE}.min_learning_rate=0.0003",
    ],
    "without query-key norm": ["model.variant=gpt_plus"],
    "GPT-2's block": ["model.variant=gpt"],
    "output maps not zero at first": [],
    "cosine decay": [f"{PHASE}.schedule=warmup_cosine"],
    "weight decay 0.1": [f"{PHASE}.weight_decay=0.1"],
    "weight decay 0.1, cautious": [
        f"{PHASE}.weight_decay=0.1",
        f"{PHASE}.cautious_weight_decay=true",
    ],
    "mean of weights, 0.98": [f"{PHASE}.ema_decay=0.98"],
    "label smoothing 0.1": [f"{PHASE}.label_smoothing=0.1"],
    "dropout 0.1": ["model.dropout=0.1"],
    "head of its own": ["model.tied=false"],
    "half the batch": [PHASE + ".batch_size={half}"],
    "twice the batch": [PHASE + ".batch_size={twice}"],
}

FREE = ("the recipe", "output maps not zero at first", "cosine decay")  # the same work every step


class Study:
    """One corpus: its caches, the recipe's trainer to time others by, and the results so far."""

    def __init__(self, root: Path, corpus: str, extra: list[str]) -> None:
        self.root, self.corpus, self.extra = root, corpus, extra
        root.mkdir(parents=True, exist_ok=True)
        self.log = root / "ablation.jsonl"
        self.codec: Tokenizer = pipeline.caches(Workspace(root, self.settings("the recipe")))
        self.recipe, self.made_from = self.trainer("the recipe", 1), self._made_from()

    def settings(self, change: str) -> Settings:
        """The recipe's settings with one change."""
        given = [*SHAPE, *CORPORA[self.corpus], *self.extra]
        batch = load.load(QUICKSTART, given)[0].training.pretrain.batch_size
        changes = [c.format(half=batch // 2, twice=2 * batch) for c in CHANGES[change]]
        return load.load(QUICKSTART, [*given, *changes])[0]

    def trainer(self, change: str, seed: int, steps: int = 10**6) -> Trainer:
        """A trainer at step 0: the caches stay, the seed moves weights and batches."""
        settings = self.settings(change)
        phase = settings.training.pretrain
        update = {"max_steps": steps, "eval_batches": EVALUATED // phase.batch_size}
        phase = phase.model_copy(update=update)
        training = settings.training.model_copy(update={"pretrain": phase})
        settings = settings.model_copy(update={"seed": seed, "training": training})
        workspace = Workspace(self.root, settings)
        threads = torch.get_num_threads()
        execution = ExecutionConfig("cpu", "bf16", "plain", True, threads, phase.batch_size)
        shape: dict[str, Any] = {}
        model = assemble.model_at_start(workspace, "pretrain", self.codec, shape)
        if change == "output maps not zero at first":
            for name, weight in model.named_parameters():
                if name.endswith(("out.weight", "down.weight")):
                    nn.init.normal_(weight, std=0.02 / math.sqrt(2 * settings.model.n_layer))
        return assemble.assemble_trainer(workspace, "pretrain", self.codec, model, execution)

    def cost(self, change: str, rounds: int = 9, at_once: int = 2) -> float:
        """How long the change's step takes, as a multiple of the recipe's, measured in turns."""
        if change in FREE:
            return 1.0
        other = self.trainer(change, 1)
        for trainer in (self.recipe, other):
            _seconds(trainer, 3)
        pairs = [(_seconds(other, at_once), _seconds(self.recipe, at_once)) for _ in range(rounds)]
        return statistics.median(a / b for a, b in pairs)

    def run(self, change: str, seed: int, steps: int) -> None:
        """Train to the end and write down what it came to."""
        trainer = self.trainer(change, seed, steps)
        for _ in range(steps):
            trainer.train_step()
        trainer.evaluate()
        value = trainer.metric("bits_per_byte")
        row = {"study": self.made_from, "change": change, "seed": seed, "steps": steps}
        with self.log.open("a") as file:
            file.write(json.dumps({**row, "bits_per_byte": value}) + "\n")
        sys.stderr.write(f"{change}, seed {seed}: {value:.4f} after {steps} steps\n")

    def done(self) -> Iterator[dict[str, Any]]:
        """The runs of this study that were finished."""
        if self.log.exists():
            for line in self.log.read_text().splitlines():
                row = json.loads(line)
                if row["study"] == self.made_from:
                    yield row

    def _made_from(self) -> str:
        return fingerprint(self.settings("the recipe").model_dump(), self.codec.fingerprint)


def _seconds(trainer: Trainer, steps: int) -> float:
    began = time.perf_counter()
    for _ in range(steps):
        trainer.train_step()
    return time.perf_counter() - began


def table(rows: list[dict[str, Any]], seeds: list[int]) -> str:
    """Means over the seeds, and of the difference to the recipe at the same seed, ± deviation."""
    found = {(r["change"], r["seed"]): r for r in rows}
    lines = ["| | steps | bits per byte | against the recipe |", "|---|---|---|---|"]
    for change in CHANGES:
        if any((change, seed) not in found for seed in seeds):
            continue
        values = [found[change, seed]["bits_per_byte"] for seed in seeds]
        gains = [
            v - found["the recipe", s]["bits_per_byte"] for v, s in zip(values, seeds, strict=True)
        ]
        spread = statistics.stdev(gains) if len(gains) > 1 else math.nan
        against = "" if change == "the recipe" else f"{statistics.mean(gains):+.4f} ± {spread:.4f}"
        steps = found[change, seeds[0]]["steps"]
        lines.append(f"| {change} | {steps} | {statistics.mean(values):.4f} | {against} |")
    return "\n".join(lines)


def main() -> None:
    """Read the options, run what is missing, print the table."""
    read = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    read.add_argument("--root", type=Path, required=True, help="Folder of caches and results.")
    read.add_argument("--text", type=Path, help="Train on this file instead of the primer.")
    read.add_argument("--seconds", type=float, default=30.0, help="Of the recipe's training.")
    read.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    read.add_argument("--steps", type=int, help="Of the recipe, instead of --seconds.")
    read.add_argument("--threads", type=int, default=0, help="0: one a core.")
    options = read.parse_args()
    device.apply_execution("cpu", options.threads)
    extra = [f"data.text.path={options.text.resolve()}"] if options.text else []
    study = Study(options.root, "text" if options.text else "primer", extra)
    _seconds(study.recipe, 3)
    finished = {(row["change"], row["seed"]): row["steps"] for row in study.done()}
    base = next((steps for (name, _), steps in finished.items() if name == "the recipe"), None)
    base = base or options.steps or round(10 * options.seconds / _seconds(study.recipe, 10))
    for change in CHANGES:
        missing = [seed for seed in options.seeds if (change, seed) not in finished]
        known = [finished[change, s] for s in options.seeds if (change, s) in finished]
        if missing:
            steps = known[0] if known else round(base / study.cost(change))
            for seed in missing:
                study.run(change, seed, steps)
        sys.stdout.write(table(list(study.done()), options.seeds) + "\n\n")


if __name__ == "__main__":
    main()
