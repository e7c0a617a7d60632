"""Who trains together: what a trainer asks of the other processes, and the answers of one alone.

Every rank draws the whole batch, which is a pure function of (seed, step), and computes its rows
of it. Ranks that are asked the same thing act alike, or not at all.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from torch import nn

from nielsgpt.checkpoint.contents import State
from nielsgpt.config.settings import DeviceSettings, PhaseSettings
from nielsgpt.data.cache.loader import Batch
from nielsgpt.distributed.tree_sum import TreeSum
from nielsgpt.system.device import ExecutionConfig

T = TypeVar("T")
Parts = Sequence[tuple[Any, float]]  # the optimizers, with their share of the rate


class GradientSum(Protocol):
    """Adds up the gradients of a rank's micro-batches."""

    def add(self) -> None: ...


class InPlaceSum:
    """Leaves the gradients to autograd, which adds them as they come."""

    def add(self) -> None:
        """Nothing is left to do."""


class ProcessGroup:
    """One process alone: the whole of a team. What others change of it is overridden below."""

    rank, world_size = 0, 1
    is_replicated = True  # whether a rank can compute while the others do not

    def __init__(self, parallel: str) -> None:
        self.parallel = parallel

    @property
    def is_rank_zero(self) -> bool:
        """Whether this rank speaks, notes and saves for all."""
        return self.rank == 0

    @property
    def is_single(self) -> bool:
        """Whether there are no others."""
        return self.world_size == 1

    def device_settings(self, settings: DeviceSettings) -> DeviceSettings:
        """The device and threads of this rank."""
        return settings

    def check_agreement(self, facts: Mapping[str, str]) -> None:
        """Raise SettingsError, on every rank, where the ranks start from different facts."""

    def execution(
        self, make: Callable[[], ExecutionConfig], phase_settings: PhaseSettings
    ) -> ExecutionConfig:
        """The leader's engine, on this rank's device, with micro-batches that can be shared."""
        return make()

    def largest_micro_batch(self, batch_size: int, micro_batch_size: int) -> int:
        """A micro-batch size of which a batch can be shared, at most this one."""
        return micro_batch_size

    def setup_model(self, model: nn.Module, optimizer: str) -> None:
        """Give every rank the leader's weights, or its part of them."""

    def check_batch(self, batch_size: int, micro_batch_size: int) -> None:
        """Raise SettingsError where a batch cannot be shared."""

    def rank_rows(self, batch_size: int) -> range:
        """The rows of a batch that this rank computes."""
        return range(batch_size)

    def gradient_sum(self, parameters: Iterable[nn.Parameter], count: int) -> GradientSum:
        """The accumulator for the gradients of this rank's `count` micro-batches."""
        return TreeSum(parameters, count) if self.parallel == "exact" else InPlaceSum()

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make every `.grad` the sum over the ranks."""

    def shard_batches(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches of an evaluation that this rank computes."""
        return iter(batches)

    def all_reduce_sum(self, values: Sequence[float]) -> list[float]:
        """Each value, summed over the ranks in float64."""
        return list(values)

    def all_reduce_max(self, value: int) -> int:
        """The largest of the ranks' values."""
        return value

    def broadcast(self, value: int) -> int:
        """The leader's value."""
        return value

    def broadcast_object(self, make: Callable[[], T]) -> T:
        """The object that rank 0 makes: plain values and tensors. The others do not call `make`."""
        return make()

    def gather_state(self, state: State) -> State:
        """A state whose tensors are whole, whoever holds which part of them."""
        return state

    def scatter_state(self, state: State, model: nn.Module, parts: Parts) -> State:
        """A whole state as this rank holds it."""
        return state

    def run_once_per_machine(self, work: Callable[[], object]) -> None:
        """Work on files once a machine: on the leader's first, then on all others at once."""
        work()

    def barrier(self) -> None:
        """Return when every rank is here."""


SINGLE_PROCESS = ProcessGroup("exact")
