"""Ranks whose sum does not depend on their number: the same bits for 1, 2, 4, ... processes."""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nielsgpt.distributed import partition
from nielsgpt.distributed.ddp import DDPGroup
from nielsgpt.distributed.group import GradientSum
from nielsgpt.distributed.tree_sum import TreeSum, sum_pairwise


class ExactGroup(DDPGroup):
    """Ranks whose sum does not depend on their number.

    Each rank computes neighbouring micro-batches, one whole subtree of the sum. The ranks' sums are
    swapped in parts, added as the rest of the tree, and handed round: the bytes of an all-reduce.
    """

    way = "exact"

    def largest_micro_batch(self, batch_size: int, micro_batch_size: int) -> int:
        """The largest size, at most this one, of which each rank computes equally many."""
        return partition.largest_divisor(max(1, batch_size // self.world_size), micro_batch_size)

    def rank_rows(self, batch_size: int) -> range:
        """Neighbouring rows."""
        share = batch_size // self.world_size
        return range(self.rank * share, (self.rank + 1) * share)

    def gradient_sum(self, parameters: Iterable[nn.Parameter], count: int) -> GradientSum:
        """The rank's part of the tree."""
        return TreeSum(parameters, count)

    def _sum(self, flat: Tensor) -> Tensor:
        length = flat.numel()
        flat = nn.functional.pad(flat, (0, -length % self.world_size))
        received = torch.empty_like(flat)
        dist.all_to_all_single(received, flat)
        dist.all_gather_single(flat, sum_pairwise(received.view(self.world_size, -1).unbind()))
        return flat[:length]
