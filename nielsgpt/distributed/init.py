"""Several processes as one team, by torch.distributed: gloo between CPUs, NCCL between GPUs.

exact   sums as a balanced tree in a fixed order: the same bits for 1, 2, 4, ... processes
ddp     one all-reduce a step: any number of processes, equal to rounding
fsdp    weights and optimizer in parts (sharded.py): models that one device cannot hold
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from nielsgpt.config.settings import DeviceSettings
from nielsgpt.distributed.ddp import DDPGroup, explain_lost_peer
from nielsgpt.distributed.exact import ExactGroup
from nielsgpt.distributed.group import ProcessGroup
from nielsgpt.errors import Stopped

log = logging.getLogger("nielsgpt")
PATIENCE = timedelta(minutes=20)  # with a peer that neither answers nor hangs up


@contextmanager
def join_process_group(settings: DeviceSettings) -> Iterator[ProcessGroup]:
    """The team that this process's environment describes, until the end of the block."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if size == 1:
        yield ProcessGroup(settings.parallel)
        return
    local = int(os.environ.get("LOCAL_RANK", rank))
    neighbours = int(os.environ.get("LOCAL_WORLD_SIZE", size))
    crew = _group_classes()[settings.parallel](settings.parallel, rank, size, local, neighbours)
    backend = "gloo"
    if crew.device_settings(settings).device.startswith("cuda"):
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    meeting = os.environ.get("NIELSGPT_MEETING", "env://")
    if meeting == "env://" and not (rank and "TORCHELASTIC_RUN_ID" in os.environ):
        log.info(
            "process %d of %d: waiting up to %d minutes for the others at %s:%s; unset RANK and "
            "WORLD_SIZE to train alone",
            rank,
            size,
            PATIENCE.total_seconds() // 60,
            os.environ["MASTER_ADDR"],
            os.environ["MASTER_PORT"],
        )
    if rank:
        log.setLevel(logging.CRITICAL)  # the leader speaks
    with explain_lost_peer():
        dist.init_process_group(
            backend, init_method=meeting, rank=rank, world_size=size, timeout=PATIENCE
        )
    try:
        yield crew
        crew.barrier()
    except Stopped:
        dist.destroy_process_group()
        raise
    # After any other error some peer may be gone, and waiting for it would be for ever.
    dist.destroy_process_group()


def _group_classes() -> dict[str, type[DDPGroup]]:
    from nielsgpt.distributed.fsdp import FSDPGroup

    return {"exact": ExactGroup, "ddp": DDPGroup, "fsdp": FSDPGroup}
