"""A fair queue: clients take turns, and each client's items stay in order.

add a1 a2 a3 b1   ->   take a1 b1 a2 a3
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """A round-robin queue over clients, so nobody waits for all the items of another client."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[T]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def add(self, client: str, item: T) -> None:
        """Append an item to its client's line."""
        self._lines.setdefault(client, deque()).append(item)

    def take(self) -> T:
        """Remove and return the next item; its client moves to the end. Needs a non-empty queue."""
        client, line = next(iter(self._lines.items()))
        item = line.popleft()
        del self._lines[client]
        if line:
            self._lines[client] = line
        return item

    def drop(self, client: str, unwanted: Callable[[T], bool]) -> None:
        """Remove a client's unwanted items."""
        kept = deque(item for item in self._lines.pop(client, ()) if not unwanted(item))
        if kept:
            self._lines[client] = kept
