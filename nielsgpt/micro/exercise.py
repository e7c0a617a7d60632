"""An exercise: a function to write, cases to try it on, and a verdict that names the case.

Everything is compared as plain numbers in lists, so the learner may answer with lists, tuples,
NumPy arrays or torch tensors.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Case = dict[str, Any]
LONGEST = 70
EXACT = 17


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """The plain way to ask: what the function returns."""
    return function(*arguments)


@dataclass(frozen=True)
class Exercise:
    """A function that the learner writes.

    `result` names what it returns, with commas where it returns several things. `cases` makes the
    arguments by name, and `expected` the answer to them. `ask` puts a case to the learner's
    function, where that takes more than a call.
    """

    page: str
    signature: str
    task: str
    result: str
    cases: Callable[[], Iterable[Case]]
    expected: Callable[..., Any]
    ask: Callable[..., Any] = call
    imports: str = ""
    tolerance: float = 1e-6

    @property
    def function(self) -> str:
        """The name of the function to write."""
        return self.signature.partition("(")[0]

    def verdict(
        self, function: Callable[..., Any], tell: Callable[[str], None] = lambda case: None
    ) -> str | None:
        """None where the function is right, else what is wrong with its answer to the first case
        that it answers wrongly, as the second half of a sentence.

        `tell` hears each case, the first half, before it is tried. What the function raises passes.
        """
        for case in self.cases():
            tell(f"for {describe(case)}")
            expected = plain(self.expected(*case.values()))
            wrong = self._compare(expected, plain(self.ask(function, *case.values())))
            if wrong:
                return wrong
        return None

    def _compare(self, expected: Any, given: Any) -> str | None:
        names = self.result.split(", ")
        if len(names) == 1:
            return difference(expected, given, names[0], self.tolerance)
        if not isinstance(given, list) or len(given) != len(names):
            return f"the answer is {self.result}, yours gave {shown(given)}"
        rows = zip(expected, given, names, strict=True)
        found = (difference(*row, self.tolerance) for row in rows)
        return next((wrong for wrong in found if wrong), None)


def plain(value: Any) -> Any:
    """The value with arrays, tensors and tuples as lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    return value


def difference(expected: Any, given: Any, name: str, tolerance: float) -> str | None:
    """The first place where the two are not the same, as the second half of a sentence."""
    if isinstance(expected, list | dict) and type(expected) is type(given):
        if len(expected) != len(given):
            return f"{name} has {len(expected)} entries, yours has {len(given)}"
        keys = expected if isinstance(expected, dict) else range(len(expected))
        for key in keys:
            if isinstance(given, dict) and key not in given:
                return f"{name} has an entry {key!r}, yours has not"
            wrong = difference(expected[key], given[key], f"{name}[{key!r}]", tolerance)
            if wrong:
                return wrong
        return None
    if _same(expected, given, tolerance):
        return None
    digits = next((n for n in (6, 12) if shown(expected, n) != shown(given, n)), EXACT)
    return f"{name} is {shown(expected, digits)}, yours gave {shown(given, digits)}"


def _same(expected: Any, given: Any, tolerance: float) -> bool:
    if isinstance(expected, int | float) and isinstance(given, int | float):
        return math.isclose(expected, given, rel_tol=tolerance, abs_tol=tolerance)
    return bool(expected == given)


def describe(case: Case) -> str:
    """The arguments by name: whole where they are short, else by their size."""
    return ", ".join(f"{name} {_description(value)}" for name, value in case.items())


def _description(value: Any) -> str:
    text = shown(value)
    if len(text) <= LONGEST:
        return f"= {text}"
    if isinstance(value, list) and isinstance(value[0], list):
        return f"of {len(value)} x {len(value[0])} numbers"
    return f"of {len(value)} entries"


def shown(value: Any, digits: int = EXACT) -> str:
    """The value as a person would write it, numbers rounded to this many digits."""
    if isinstance(value, float):
        rounded = value if digits == EXACT else float(f"{value:.{digits}g}")
        return repr(rounded).removesuffix(".0")
    if isinstance(value, list | tuple):
        inside = ", ".join(shown(part, digits) for part in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    if isinstance(value, dict):
        parts = (f"{key!r}: {shown(part, digits)}" for key, part in value.items())
        return f"{{{', '.join(parts)}}}"
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
