"""A model in parts: each rank keeps its share of the weights, gradients and optimizer (FSDP2).

A block's weights are put together when it computes, and apart again afterwards (Rajbhandari et al.
2020, stage 3). Checkpoints hold whole tensors, so they do not know how many ranks there were.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from nielsgpt.checkpoint.contents import State
from nielsgpt.config.settings import PhaseSettings
from nielsgpt.data.cache.loader import IGNORED, Batch
from nielsgpt.distributed.ddp import DDPGroup
from nielsgpt.distributed.group import Parts
from nielsgpt.errors import SettingsError
from nielsgpt.system.device import ExecutionConfig

log = logging.getLogger("nielsgpt")


class FSDPGroup(DDPGroup):
    """Ranks that hold a model between them."""

    way, is_replicated = "fsdp", False

    def execution(
        self, make: Callable[[], ExecutionConfig], phase_settings: PhaseSettings
    ) -> ExecutionConfig:
        """The leader's engine, not compiled: a compiled trunk would see no weights in parts."""
        execution = super().execution(make, phase_settings)
        if execution.compiled:
            log.info("device.parallel=fsdp: continuing without torch.compile")
        return replace(execution, compiled=False)

    def setup_model(self, model: nn.Module, optimizer: str) -> None:
        """Give every rank the leader's weights, and let it keep its part of them."""
        if optimizer == "muon":
            raise SettingsError(
                "optimizer muon needs whole matrices and device.parallel=fsdp shards them; choose "
                "optimizer=adamw, or device.parallel=ddp"
            )
        super().setup_model(model, optimizer)
        kind = next(model.parameters()).device.type
        mesh = init_device_mesh(kind, (self.world_size,))
        for part in (*model.get_submodule("blocks").children(), model):
            fully_shard(part, mesh=mesh)
            part.set_gradient_divide_factor(1.0)  # type: ignore[operator]
            part.set_force_sum_reduction_for_comms(True)  # type: ignore[operator]
        register_fsdp_forward_method(model, "trunk")
        self._apart: Callable[[], None] = model.reshard  # type: ignore[assignment]

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """They were summed in the backward pass."""

    def shard_batches(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Batches in turn, and one that counts for nothing where this rank has none left."""
        hand: list[Batch] = []
        for batch in batches:
            hand.append(batch)
            if len(hand) == self.world_size:
                yield hand[self.rank]
                hand = []
        if hand:
            blank = Batch(hand[0].inputs, np.full_like(hand[0].targets, IGNORED))
            yield hand[self.rank] if self.rank < len(hand) else blank
        self._apart()  # no backward pass follows, which would put the head's weights apart again

    def gather_state(self, state: State) -> State:
        """The state with whole tensors, on the CPU of every rank."""
        gathered: State = _walk(state)
        return gathered

    def scatter_state(self, state: State, model: nn.Module, parts: Parts) -> State:
        """A whole state as this rank holds it."""
        named = dict(model.named_parameters())
        kept = state.copy()
        kept["weights"] = {name: _part(t, named.get(name)) for name, t in state["weights"].items()}
        if average := state.get("average"):
            means = {name: _part(t, named[name]) for name, t in average["weights"].items()}
            kept["average"] = {**average, "weights": means}
        kept["optimizer"] = [
            {**one, "state": _place_moments(one["state"], part.param_groups)}
            for one, (part, _) in zip(state["optimizer"], parts, strict=True)
        ]
        return kept


def _walk(value: Any) -> Any:
    """The same value, its tensors whole and on the CPU."""
    if isinstance(value, DTensor):
        return value.full_tensor().detach().cpu()
    if isinstance(value, dict):
        return {key: _walk(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_walk(inner) for inner in value)
    return value


def _part(tensor: Tensor, like: Tensor | None) -> Tensor:
    """This rank's part of a whole tensor, cut as `like` is."""
    if not isinstance(like, DTensor) or tensor.shape != like.shape:
        return tensor
    whole = tensor.to(like.device)
    return distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)


def _place_moments(moments: Any, groups: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """An optimizer's state, each tensor cut as its parameter is."""
    parameters = [p for group in groups for p in group["params"]]
    return {
        index: {
            name: _part(value, parameters[index]) if torch.is_tensor(value) else value
            for name, value in held.items()
        }
        for index, held in moments.items()
    }
