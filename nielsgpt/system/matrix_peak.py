"""The measured speed of a large matrix product: the most that training could reach here."""

import statistics
import time

import torch

from nielsgpt.system.device import synchronize

# A GPU needs a larger product to be busy with it.
SIDES = {"cpu": 2048, "mps": 4096, "cuda": 8192}
SMALL_SIDE, SLOW_S, ENOUGH_S, PRODUCTS = 512, 0.2, 1.0, 5


def matrix_peak(device: str, dtype: torch.dtype) -> float:
    """FLOP/s of a square product: the median of five, or of as many as fit into a second.

    The sides are 2048 on a CPU, 4096 on MPS and 8192 on CUDA; where a product of side 512 already
    takes a fifth of a second, as with an emulated dtype, that one is taken instead. RuntimeError
    where the device has no such product.
    """
    for side in (SMALL_SIDE, SIDES[device.partition(":")[0]]):
        seconds = _product_s(device, dtype, side)
        if seconds > SLOW_S:
            break
    return 2 * side**3 / seconds


def _product_s(device: str, dtype: torch.dtype, side: int) -> float:
    draw = torch.Generator().manual_seed(0)
    left, right = (torch.rand(side, side, generator=draw).to(device, dtype) for _ in range(2))
    out = torch.empty_like(left)
    taken: list[float] = []
    while len(taken) <= PRODUCTS and sum(taken) < ENOUGH_S:
        began = time.perf_counter()
        torch.mm(left, right, out=out)
        synchronize(device)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:] or taken)  # the first one sets up
