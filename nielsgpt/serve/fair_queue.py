"""Whose turn it is: clients take turns, and each client's rows go in the order they came.

a asks for a1 a2 a3, then b for b1:     a1 b1 a2 a3
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """A queue in which nobody stands behind all that another one wants."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[T]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def add(self, client: str, item: T) -> None:
        """Let an item wait in its client's line."""
        self._lines.setdefault(client, deque()).append(item)

    def take(self) -> T:
        """The next item; its client goes behind the others. There must be one."""
        client, line = next(iter(self._lines.items()))
        item = line.popleft()
        del self._lines[client]
        if line:
            self._lines[client] = line
        return item

    def drop(self, client: str, unwanted: Callable[[T], bool]) -> None:
        """Take a client's unwanted items out of its line."""
        kept = deque(item for item in self._lines.pop(client, ()) if not unwanted(item))
        if kept:
            self._lines[client] = kept
