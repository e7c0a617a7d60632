"""Ranks whose sum does not depend on their number: the same bits for 1, 2, 4, ... processes."""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nielsgpt.parallel import sharing
from nielsgpt.parallel.crew import Crew
from nielsgpt.parallel.team import Sum
from nielsgpt.parallel.tree import Tree, paired


class ExactCrew(Crew):
    """Ranks whose sum does not depend on their number.

    Each rank computes neighbouring micro-batches, one whole subtree of the sum. The ranks' sums are
    swapped in parts, added as the rest of the tree, and handed round: the bytes of an all-reduce.
    """

    way = "exact"

    def shareable(self, batch_size: int, micro_batch_size: int) -> int:
        """The largest size, at most this one, of which each rank computes equally many."""
        return sharing.largest_divisor(max(1, batch_size // self.size), micro_batch_size)

    def rows(self, batch_size: int) -> range:
        """Neighbouring rows."""
        share = batch_size // self.size
        return range(self.rank * share, (self.rank + 1) * share)

    def summing(self, parameters: Iterable[nn.Parameter], count: int) -> Sum:
        """The rank's part of the tree."""
        return Tree(parameters, count)

    def _summed(self, flat: Tensor) -> Tensor:
        length = flat.numel()
        flat = nn.functional.pad(flat, (0, -length % self.size))
        received = torch.empty_like(flat)
        dist.all_to_all_single(received, flat)
        dist.all_gather_single(flat, paired(received.view(self.size, -1).unbind()))
        return flat[:length]
