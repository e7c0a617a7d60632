"""Which engine is fastest here: what the settings leave open is timed, once a machine and shape.

One block of the model's own width, its head and its loss are run forward and backward, taking
turns; another way than the rule's must be a tenth faster to be taken, so noise changes nothing.
What was found is remembered for the machine (machine.py); a resumed run keeps the engine that it
began with, for that decides its bits.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypedDict

import torch

from nielsgpt.config.settings import DeviceSettings, ModelSettings, PhaseSettings
from nielsgpt.distributed.partition import largest_divisor
from nielsgpt.model.gpt import GPT
from nielsgpt.system import compile_cache, device, machine
from nielsgpt.system.atomic_files import fingerprint
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.training.loss import ForwardBackward, prepare_model

log = logging.getLogger("nielsgpt")
BLOCKS = 1  # of the model that is timed
ROUNDS = 4
MARGIN = 0.9  # of the rule's time: what another way must stay under
TOKENS_AT_ONCE = {"cpu": 4096, "mps": 8192, "cuda": 32768}  # by rule
WORTH_COMPILING_S = 120.0  # of training uncompiled: below it, compiling costs more than it gains


class Tuning(TypedDict, total=False):
    """The answer, as engines.json keeps it; `slower` tells which part of the best speed the others
    reached."""

    engine: dict[str, object]
    row_s: float
    compiled_row_s: float
    compile_s: float
    slower: dict[str, float]


@dataclass(frozen=True)
class TuningKey:
    """The question: which execution config for this shape, batch and settings?"""

    settings: DeviceSettings
    shape: ModelSettings
    vocab_size: int
    phase: PhaseSettings

    def key(self, where: str) -> str:
        """The key of a measurement: the machine, the shape and the settings that are auto."""
        shape = self.shape.model_dump(exclude={"n_layer", "dropout"})
        batch = self.phase.batch_size, self.phase.micro_batch_size
        asked = self.settings.model_dump(exclude={"parallel"})
        known = machine.facts(), str(torch.__version__), where
        return fingerprint(known, shape, self.vocab_size, batch, asked)


def choose_execution(
    question: TuningKey, before: Mapping[str, object] | None = None
) -> ExecutionConfig:
    """The engine for this machine: as the settings say, as the run began (`before`), as remembered,
    or as measured now, in this order.

    Raises SettingsError when the device asked for is not there.
    """
    settings = question.settings
    where = device.choose_device(settings.device)
    device.apply_execution(where, settings.threads)
    if before is not None and before.get("device") == where:
        chosen = _fixed_by_settings(question, before)
        device.apply_execution(where, chosen.threads)
        return chosen
    if not settings.measure:
        return default_execution(question, where)
    key = question.key(where)
    found: Tuning | None = machine.recall("engines", key)
    if found is None:
        log.info("autotuning once on this machine: up to a minute")
        found = _measure(question, default_execution(question, where))
        machine.remember("engines", key, found)
        log.info("%s", _describe(found))
    chosen = _fixed_by_settings(question, found["engine"])
    if settings.compile == "auto":
        chosen = replace(chosen, compiled=_gains(found, question))
    device.apply_execution(where, chosen.threads)
    return chosen


def default_execution(question: TuningKey, where: str) -> ExecutionConfig:
    """The engine without measuring: what is usually best on such a device.

    Whether torch.compile works is tried, which takes seconds where the settings leave it open.
    """
    settings = question.settings
    precision = settings.precision
    if precision == "auto":
        precision = "bf16" if device.has_native_bf16(where) else "fp32"
    attention = question.shape.attention
    if attention == "auto":
        # The backward pass of scaled_dot_product_attention is slow on CPUs with bf16 units.
        attention = "plain" if where == "cpu" and precision == "bf16" else "fused"
    compiles = settings.compile == "on"
    if settings.compile == "auto":
        compiles = compile_cache.can_compile(where)
    size = _size(question, where)
    return ExecutionConfig(where, precision, attention, compiles, torch.get_num_threads(), size)


def _size(question: TuningKey, where: str) -> int:
    """The micro-batch of the settings, or by rule."""
    at_once = TOKENS_AT_ONCE[where.partition(":")[0]] // question.shape.context_length
    phase = question.phase
    return phase.micro_batch_size or largest_divisor(phase.batch_size, at_once)


def _fixed_by_settings(question: TuningKey, found: Mapping[str, object]) -> ExecutionConfig:
    """The execution config found, with the explicit settings applied."""
    settings, phase = question.settings, question.phase
    chosen = ExecutionConfig.from_facts(found)
    if settings.precision != "auto":
        chosen = replace(chosen, precision=settings.precision)
    if question.shape.attention != "auto":
        chosen = replace(chosen, attention=question.shape.attention)
    if settings.compile != "auto":
        chosen = replace(chosen, compiled=settings.compile == "on")
    if settings.threads:
        chosen = replace(chosen, threads=torch.get_num_threads())
    if phase.micro_batch_size or phase.batch_size % chosen.micro_batch_size:
        chosen = replace(chosen, micro_batch_size=_size(question, chosen.device))
    return chosen


def _measure(question: TuningKey, ruled: ExecutionConfig) -> Tuning:
    """The fastest engine, the seconds a row with and without compiling, and what was slower."""
    race = TuningTrials(question)
    best = replace(ruled, compiled=False)
    for choices in (_threads, _precisions, _sizes):
        best = race.winner([best, *choices(question, best)])
    forms = [best, *_attentions(question, best)]
    best = race.winner(forms)
    found = Tuning(row_s=race.row_s(best))
    if ruled.compiled:
        began, uncompiled = time.monotonic(), best
        best = race.winner([replace(form, compiled=True) for form in forms])
        spent = (time.monotonic() - began) / len(forms) * question.shape.n_layer / BLOCKS
        found["compiled_row_s"], found["compile_s"] = race.row_s(best), spent
        race.slower["not compiled"] = race.row_s(best) / race.row_s(uncompiled)
    found["engine"], found["slower"] = best.facts(), race.slower
    return found


def _gains(found: Tuning, question: TuningKey) -> bool:
    """Whether compiling pays within this phase."""
    if "compiled_row_s" not in found:
        return False
    phase = question.phase
    rows = phase.max_steps * phase.batch_size * question.shape.n_layer / BLOCKS
    uncompiled = rows * found["row_s"]
    if phase.minutes is not None:
        uncompiled = 60 * phase.minutes
    gain = uncompiled * (1 - found["compiled_row_s"] / found["row_s"])
    return uncompiled > WORTH_COMPILING_S and gain > found["compile_s"]


def _threads(question: TuningKey, best: ExecutionConfig) -> Iterable[ExecutionConfig]:
    physical = machine.physical_core_count()
    if best.device == "cpu" and not question.settings.threads and physical < best.threads:
        yield replace(best, threads=physical)


def _precisions(question: TuningKey, best: ExecutionConfig) -> Iterable[ExecutionConfig]:
    if question.settings.precision == "auto":
        half = "bf16" if best.device != "mps" else "fp16"
        for other in {"fp32", half, "bf16"} - {best.precision}:
            if other != "bf16" or device.computes_bf16(best.device):
                yield replace(best, precision=other)  # type: ignore[arg-type]


def _sizes(question: TuningKey, best: ExecutionConfig) -> Iterable[ExecutionConfig]:
    if not question.phase.micro_batch_size:
        whole, size = question.phase.batch_size, best.micro_batch_size
        for other in {largest_divisor(whole, size // 2), largest_divisor(whole, 2 * size)}:
            if other != size:
                yield replace(best, micro_batch_size=other)


def _attentions(question: TuningKey, best: ExecutionConfig) -> Iterable[ExecutionConfig]:
    if question.shape.attention == "auto":
        yield replace(best, attention="fused" if best.attention == "plain" else "plain")


class TuningTrials:
    """Engines timed in turns; `slower` tells which part of the best speed the others reached."""

    def __init__(self, question: TuningKey) -> None:
        self.question = question
        self.slower: dict[str, float] = {}
        self._seconds: dict[ExecutionConfig, float] = {}

    def winner(self, engines: list[ExecutionConfig]) -> ExecutionConfig:
        """The first engine, or another that is faster by the margin."""
        runs = {engine: _row(self.question, engine) for engine in engines}
        seconds = dict.fromkeys(engines, float("inf"))
        for turn in range(ROUNDS):
            for engine, run in runs.items():
                torch.set_num_threads(engine.threads)
                taken = _seconds(run, engine)
                if turn:  # the first one warms up, and compiles
                    seconds[engine] = min(seconds[engine], taken / engine.micro_batch_size)
        first, *others = engines
        close = [e for e in others if seconds[e] < MARGIN * seconds[first]]
        best = min([first, *close], key=lambda engine: seconds[engine])
        self._seconds |= seconds
        for other in set(engines) - {best}:
            self.slower[_difference(other, best)] = seconds[best] / seconds[other]
        return best

    def row_s(self, execution: ExecutionConfig) -> float:
        """Seconds of one row, forward and backward."""
        return self._seconds[execution]


def _difference(other: ExecutionConfig, best: ExecutionConfig) -> str:
    """The difference between two execution configs: "fp32", "fused attention"."""
    words = {
        "precision": other.precision,
        "attention": f"{other.attention} attention",
        "threads": f"{other.threads} threads",
        "micro_batch_size": f"micro-batches of {other.micro_batch_size}",
    }
    mine, its = best.facts(), other.facts()
    return ", ".join(word for name, word in words.items() if mine[name] != its[name])


def _seconds(run: Callable[[], None], execution: ExecutionConfig) -> float:
    """The time of one run; endless where memory runs out."""
    began = time.perf_counter()
    try:
        run()
        device.synchronize(execution.device)
    except RuntimeError as error:
        if not device.is_out_of_memory(error):
            raise
        return float("inf")
    return time.perf_counter() - began


def _row(question: TuningKey, execution: ExecutionConfig) -> Callable[[], None]:
    """Forward and backward of one micro-batch with this execution config."""
    shape = question.shape.model_copy(update={"n_layer": min(BLOCKS, question.shape.n_layer)})
    size = (execution.micro_batch_size, shape.context_length)
    with torch.random.fork_rng(devices=[]):
        model = GPT(shape, question.vocab_size).to(execution.device)
        ids = torch.randint(question.vocab_size, size).to(execution.device)
    prepare_model(model, execution, question.phase.activation_checkpointing).train()
    forward_backward = ForwardBackward(model, execution)

    def run() -> None:
        forward_backward(ids, ids, 1 / ids.numel())
        model.zero_grad(set_to_none=True)

    return run


def _describe(found: Tuning) -> str:
    """One line: what is slower here."""
    shares = [f"{what} {share:.0%}" for what, share in found["slower"].items()]
    return (
        f"timed this machine, once; in parts of the best speed: {', '.join(shares) or 'no choice'}"
    )
