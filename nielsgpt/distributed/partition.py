"""How a batch is split into equal parts, and which splits a number of processes can share."""

from nielsgpt.errors import SettingsError


def largest_divisor(whole: int, most: int) -> int:
    """The largest divisor of `whole` that is at most `most`, at least 1."""
    return next(n for n in range(max(1, min(whole, most)), 0, -1) if whole % n == 0)


def check_partition(parallel: str, batch_size: int, micro_batch_size: int, size: int) -> None:
    """Raise SettingsError where `size` processes cannot share the batch in this way."""
    CHECKS[parallel](batch_size, micro_batch_size, size)


def _exact(batch_size: int, micro_batch_size: int, size: int) -> None:
    """The ranks must hold whole subtrees of equal size."""
    count, rest = divmod(batch_size, micro_batch_size)
    if rest or size & (size - 1) or count % size:
        raise SettingsError(
            f"device.parallel=exact cannot share {count} micro-batches of {micro_batch_size} "
            f"rows among {size} processes: their number must be a power of two that "
            "divides the number of micro-batches; set micro_batch_size, or use "
            "--set device.parallel=ddp"
        )


def _ddp(batch_size: int, micro_batch_size: int, size: int) -> None:
    """There must be as many rows as ranks."""
    if batch_size < size:
        raise SettingsError(
            f"batch_size {batch_size} is less than one row for each of {size} processes"
        )


def _fsdp(batch_size: int, micro_batch_size: int, size: int) -> None:
    """The ranks must compute equally often."""
    if batch_size % size:
        raise SettingsError(
            f"device.parallel=fsdp needs a batch_size that {size} processes divide, not "
            f"{batch_size}; use --set device.parallel=ddp, or another number of processes"
        )


CHECKS = {"exact": _exact, "ddp": _ddp, "fsdp": _fsdp}
