"""A rank among several: what a team is when there are others, by torch.distributed."""

import io
import json
import math
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nielsgpt.config.settings import DeviceSettings, PhaseSettings
from nielsgpt.data.cache.loader import Batch
from nielsgpt.distributed import partition
from nielsgpt.distributed.group import GradientSum, InPlaceSum, ProcessGroup
from nielsgpt.errors import RunError, SettingsError
from nielsgpt.system import device, machine
from nielsgpt.system.device import ExecutionConfig

T = TypeVar("T")
BUCKET = 2**23  # numbers that are exchanged at once
PIECE = 2**28  # bytes of one message


class DDPGroup(ProcessGroup):
    """A rank among several; this one sums by all-reduce."""

    way = "ddp"

    def __init__(self, parallel: str, rank: int, size: int, local: int, neighbours: int) -> None:
        super().__init__(parallel)
        self.rank, self.world_size, self.local, self.neighbours = rank, size, local, neighbours

    def device_settings(self, settings: DeviceSettings) -> DeviceSettings:
        """One GPU a rank, or the rank's share of the cores.

        Raises SettingsError where there are fewer GPUs than ranks on this machine.
        """
        kind = device.choose_device(settings.device).partition(":")[0]
        if kind == "mps":
            raise SettingsError(
                "several processes cannot share a Mac's GPU; use one, or --device cpu"
            )
        if kind == "cuda" and torch.cuda.device_count() < self.neighbours:
            raise SettingsError(
                f"{self.neighbours} processes need as many GPUs and this machine has "
                f"{torch.cuda.device_count()}; use --nproc {torch.cuda.device_count()}"
            )
        threads = settings.threads or max(1, machine.core_count() // self.neighbours)
        # Just "cuda": the one that `joined` made this process's own.
        return settings.model_copy(update={"device": kind, "threads": threads})

    def check_agreement(self, facts: Mapping[str, str]) -> None:
        """Raise SettingsError, on every rank, naming the host and the fact that differs."""
        own = json.dumps({**facts, "host": socket.gethostname()})
        first, *others = (json.loads(text) for text in self._texts(own))
        for rank, other in enumerate(others, 1):
            for name in facts:
                if other[name] != first[name]:
                    raise SettingsError(
                        f"{name} is {other[name]} in process {rank} on {other['host']} and "
                        f"{first[name]} in process 0 on {first['host']}; give every machine the "
                        "same settings, data and version"
                    )

    def execution(
        self, make: Callable[[], ExecutionConfig], phase_settings: PhaseSettings
    ) -> ExecutionConfig:
        """The leader's engine, on this rank's device, with micro-batches that can be shared."""
        execution = ExecutionConfig.from_facts(self.broadcast_object(lambda: make().facts()))
        device.apply_execution(execution.device, execution.threads)
        if phase_settings.micro_batch_size:
            return execution
        size = self.largest_micro_batch(phase_settings.batch_size, execution.micro_batch_size)
        return replace(execution, micro_batch_size=size)

    @torch.no_grad()
    def setup_model(self, model: nn.Module, optimizer: str) -> None:
        """Give every rank the leader's weights."""
        with explain_lost_peer():
            for p in model.parameters():
                dist.broadcast(p.data, 0)

    def check_batch(self, batch_size: int, micro_batch_size: int) -> None:
        """Raise SettingsError where the ranks cannot share a batch in their way."""
        partition.check_partition(self.way, batch_size, micro_batch_size, self.world_size)

    def rank_rows(self, batch_size: int) -> range:
        """Rows in turn, as cards are dealt."""
        return range(self.rank, batch_size, self.world_size)

    def gradient_sum(self, parameters: Iterable[nn.Parameter], count: int) -> GradientSum:
        """Autograd adds the gradients of a rank."""
        return InPlaceSum()

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make every `.grad` the sum over the ranks."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        for bucket in _buckets(gradients):
            flat = torch.cat([g.reshape(-1) for g in bucket])
            with explain_lost_peer():
                flat = self._sum(flat)
            parts = torch.split(flat, [g.numel() for g in bucket])
            torch._foreach_copy_(bucket, [p.view_as(g) for p, g in zip(parts, bucket, strict=True)])

    def _sum(self, flat: Tensor) -> Tensor:
        """The sum of the ranks' (n,) tensors."""
        dist.all_reduce(flat)
        return flat

    def shard_batches(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Batches in turn, as cards are dealt."""
        return islice(batches, self.rank, None, self.world_size)

    def all_reduce_sum(self, values: Sequence[float]) -> list[float]:
        """Each value, summed over the ranks in float64."""
        own = torch.tensor(values, dtype=torch.float64)
        every = [torch.empty_like(own) for _ in range(self.world_size)]
        with explain_lost_peer():
            dist.all_gather(every, own)
        return [math.fsum(column) for column in torch.stack(every).T.tolist()]

    def all_reduce_max(self, value: int) -> int:
        """The largest of the ranks' values."""
        found = torch.tensor(value)
        with explain_lost_peer():
            dist.all_reduce(found, dist.ReduceOp.MAX)
        return int(found)

    def broadcast(self, value: int) -> int:
        """The leader's value."""
        found = torch.tensor(value)
        with explain_lost_peer():
            dist.broadcast(found, 0)
        return int(found)

    def broadcast_object(self, make: Callable[[], T]) -> T:
        """The object that rank 0 makes, of plain values and tensors, sent like a checkpoint."""
        if self.is_rank_zero:
            made, file = make(), io.BytesIO()
            torch.save(made, file)
            content = torch.frombuffer(file.getbuffer(), dtype=torch.uint8)
            self.broadcast(content.numel())
        else:
            content = torch.empty(self.broadcast(0), dtype=torch.uint8)
        with explain_lost_peer():
            for piece in torch.split(content, PIECE):
                dist.broadcast(piece, 0)
        if self.is_rank_zero:
            return made
        received: T = torch.load(io.BytesIO(content.numpy().tobytes()), weights_only=True)
        return received

    def run_once_per_machine(self, work: Callable[[], object]) -> None:
        """Work on files once a machine: on the leader's first, then on all others at once.

        Where machines share their files, the others find it done.
        """
        for turn in (True, False):
            if self.local == 0 and self.is_rank_zero == turn:
                work()
            self.barrier()

    def barrier(self) -> None:
        """Return when every rank is here."""
        self.all_reduce_max(0)

    def _texts(self, own: str) -> list[str]:
        """Every rank's text."""
        content = own.encode()
        padded = torch.zeros(self.all_reduce_max(len(content)), dtype=torch.uint8)
        padded[: len(content)] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        every = [torch.empty_like(padded) for _ in range(self.world_size)]
        with explain_lost_peer():
            dist.all_gather(every, padded)
        return [bytes(text.tolist()).rstrip(b"\0").decode() for text in every]


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """The tensors in groups of about BUCKET numbers."""
    held: list[Tensor] = []
    for tensor in tensors:
        held.append(tensor)
        if sum(t.numel() for t in held) >= BUCKET:
            yield held
            held = []
    if held:
        yield held


@contextmanager
def explain_lost_peer() -> Iterator[None]:
    """Turn torch's errors about a lost peer into one line."""
    try:
        yield
    except RuntimeError as error:
        if device.is_out_of_memory(error):
            raise
        raise RunError(
            f"another process of this run has ended ({str(error).splitlines()[0][:120]}); "
            "see its last line"
        ) from error
