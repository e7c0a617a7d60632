"""Training speed side by side: nielsgpt, a plain GPT of torch's modules, and Transformers' Llama.

    python benchmarks/train.py                          # model R on the CPU
    python benchmarks/train.py --shape quickstart
    python benchmarks/train.py --device cuda --shape gpt2

Every way runs in a process of its own, in turns, round after round; the medians are compared. The
share is of a large matrix product in the same precision, measured in the same process before and
after the steps, for a shared machine's speed moves. Transformers is
compared where it is installed (pip install transformers==5.23.0).
"""

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from nielsgpt.config.settings import ModelSettings, PhaseSettings
from nielsgpt.data.cache.loader import Batch
from nielsgpt.model.gpt import GPT, flops_per_token
from nielsgpt.system import device
from nielsgpt.system.device import ExecutionConfig, matrix_peak
from nielsgpt.training.trainer import Trainer

STEPS, WARM_UP = 8, 3


@dataclass(frozen=True)
class Shape:
    """A model and a batch."""

    vocab: int
    layers: int
    heads: int
    width: int
    context: int
    batch: int


SHAPES = {
    "R": Shape(16_000, 6, 6, 384, 256, 16),
    "quickstart": Shape(2_048, 6, 4, 256, 256, 16),
    "10M": Shape(8_192, 6, 6, 384, 512, 8),
    "gpt2": Shape(50_304, 12, 12, 768, 1024, 16),
}
Step = Callable[[], float]


def ours(shape: Shape, where: str, precision: str, compiled: bool) -> Step:
    """nielsgpt's trainer, whole: batch, forward, loss, backward, clipping, guard, update."""
    attention = "plain" if where == "cpu" and precision == "bf16" else "fused"
    threads = torch.get_num_threads()
    execution = ExecutionConfig(where, precision, attention, compiled, threads, shape.batch)  # type: ignore[arg-type]
    device.apply_execution(where, 0)
    model = _model(shape)
    phase = PhaseSettings(batch_size=shape.batch, outlier_sigmas=0.0)
    rows = RandomRows(shape)
    trainer = Trainer(model, phase, execution, rows, {}, {}, torch.zeros(0), seed=0)  # type: ignore[arg-type]
    return lambda: float(trainer.train_step()["train_loss"])


def _model(shape: Shape) -> GPT:
    size = {"n_layer": shape.layers, "n_head": shape.heads, "n_embd": shape.width}
    return GPT(ModelSettings(**size, context_length=shape.context), shape.vocab)


class RandomRows:
    """Batches of random ids."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def batch(self, step: int, drawn: int | None = None) -> Batch:
        """The batch of a step."""
        draw = torch.Generator().manual_seed(step)
        size = (self.shape.batch, self.shape.context + 1)
        ids = torch.randint(self.shape.vocab, size, generator=draw).numpy()
        return Batch(ids[:, :-1].copy(), ids[:, 1:].copy())


def ordinary(model: torch.nn.Module, loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
             shape: Shape, where: str, precision: str) -> Step:  # fmt: skip
    """The usual loop: autocast, backward, clipping, fused AdamW."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), fused=True)
    rows, count = RandomRows(shape), iter(range(10**9))

    def step() -> float:
        batch = rows.batch(next(count))
        ids, targets = (torch.from_numpy(a).to(where) for a in (batch.inputs, batch.targets))
        half = precision == "bf16"
        with torch.autocast(where.partition(":")[0], dtype=torch.bfloat16, enabled=half):
            value = loss(ids, targets)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(value)

    return step


def plain(shape: Shape, where: str, precision: str, compiled: bool) -> Step:
    """The GPT of plain_gpt.py in the usual loop."""
    from plain_gpt import PlainGPT

    model = PlainGPT(shape.vocab, shape.context, shape.width, shape.layers, shape.heads).to(where)
    return ordinary(model, torch.compile(model) if compiled else model, shape, where, precision)


def llama(shape: Shape, where: str, precision: str, compiled: bool) -> Step:
    """Transformers' Llama in the usual loop."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.width,
        intermediate_size=64 * round(8 * shape.width / 3 / 64),
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        use_cache=False,
    )
    model = LlamaForCausalLM(config).to(where)
    run = torch.compile(model) if compiled else model

    def loss(ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = run(input_ids=ids).logits.flatten(0, 1).float()
        return torch.nn.functional.cross_entropy(logits, targets.flatten())

    return ordinary(model, loss, shape, where, precision)


WAYS: dict[str, tuple[Callable[..., Step], str, bool]] = {
    "nielsgpt bf16 compiled": (ours, "bf16", True),
    "nielsgpt fp32": (ours, "fp32", False),
    "plain GPT fp32": (plain, "fp32", False),
    "plain GPT bf16": (plain, "bf16", False),
    "plain GPT bf16 compiled": (plain, "bf16", True),
    "Llama fp32": (llama, "fp32", False),
    "Llama bf16": (llama, "bf16", False),
    "Llama bf16 compiled": (llama, "bf16", True),
}


def measure(way: str, shape: Shape, where: str) -> dict[str, float]:
    """Tokens/s (median), the step's seconds and the memory's peak, in this process."""
    make, precision, compiled = WAYS[way]
    torch.manual_seed(0)
    dtype = device.DTYPES[precision]
    products = [matrix_peak(where, dtype)]
    step = make(shape, where, precision, compiled)
    times = []
    for number in range(WARM_UP + STEPS):
        began = time.perf_counter()
        step()
        device.synchronize(where)
        if number >= WARM_UP:
            times.append(time.perf_counter() - began)
    seconds = statistics.median(times)
    if where.startswith("cuda"):
        peak = torch.cuda.max_memory_allocated()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    products.append(matrix_peak(where, dtype))
    speed = shape.batch * shape.context / seconds
    share = speed * flops_per_token(_model(shape)) / statistics.mean(products)
    return {"tokens_s": speed, "share": share, "product": max(products), "memory": peak}


def main() -> None:
    """Measure every way in turns and print the table."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--shape", choices=SHAPES, default="R")
    options.add_argument("--device", default="cpu")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", nargs="*", default=list(WAYS), metavar="WAY")
    options.add_argument("--way", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    shape = SHAPES[chosen.shape]
    if chosen.way:
        sys.stdout.write(json.dumps(measure(chosen.way, shape, chosen.device)))
        return
    absent = importlib.util.find_spec("transformers") is None
    ways = [w for w in chosen.only if not (absent and w.startswith("Llama"))]
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(chosen.rounds):
        for way in ways:
            found[way].append(_apart(way, chosen.shape, chosen.device))
    _print_table(shape, found)


def _apart(way: str, shape: str, where: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--way", way, "--shape", shape, "--device", where]
    settled = {"GOMP_SPINCOUNT": "1000", "TRANSFORMERS_VERBOSITY": "error", **os.environ}
    done = subprocess.run(command, env=settled, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{way}: {done.stderr.strip().splitlines()[-1]}")
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _print_table(shape: Shape, found: dict[str, list[dict[str, float]]]) -> None:
    """A line a way, with how many times as fast the first one is."""
    sys.stdout.write(f"{shape}; {flops_per_token(_model(shape)) / 1e6:.0f} MFLOP a token\n")
    middle = {
        way: {name: statistics.median(row[name] for row in rows) for name in rows[0]}
        for way, rows in found.items()
    }
    first = next(iter(middle.values()))["tokens_s"]
    for way, row in middle.items():
        sys.stdout.write(
            f"{way:24} {row['tokens_s']:9,.0f} tokens/s  {row['share']:5.1%} of "
            f"{row['product'] / 1e9:,.0f} GFLOP/s  {row['memory'] / 2**30:5.2f} GiB  "
            f"the first is {first / row['tokens_s']:.2f} times as fast\n"
        )


if __name__ == "__main__":
    main()
