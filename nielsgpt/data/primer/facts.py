"""The facts that the primer tells: who relates how to what, read from a JSON file.

    {"largest_number": 10,
     "relations": {"capital": {"Peru": "Lima", "Kenya": "Nairobi"}},
     "prose_only": {"capital": ["Kenya"]}}

gives Fact("capital", "Peru", "Lima", False), Fact("capital", "Kenya", "Nairobi", True) and the
sums and differences of the numbers up to ten.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nielsgpt.errors import DataError


@dataclass(frozen=True)
class Fact:
    """One true sentence in parts; `prose_only` facts are never told in a dialogue."""

    relation: str
    subject: str
    answer: str
    prose_only: bool = False


def load_facts(path: Path) -> tuple[Fact, ...]:
    """The facts of the file in its order, then the sums and differences.

    Raises DataError naming `path` when the file is missing or not of the form above.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path}: the primer's facts are missing; correct facts_from in the persona file"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error})") from error
    try:
        return (*_told(record["relations"], record["prose_only"]), *_sums(record["largest_number"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: expected relations, prose_only and largest_number; {error!r}"
        ) from error


def _told(
    relations: Mapping[str, Mapping[str, str]], hidden: Mapping[str, list[str]]
) -> Iterator[Fact]:
    for relation, subjects in hidden.items():
        unknown = [subject for subject in subjects if subject not in relations.get(relation, {})]
        if unknown:
            raise ValueError(f"prose_only names {relation} of {unknown[0]}, which is no fact")
    for relation, answers in relations.items():
        for subject, answer in answers.items():
            if not (isinstance(answer, str) and subject.strip() and answer.strip()):
                raise ValueError(f"{relation} of {subject!r} is not a text")
            yield Fact(relation, subject, answer, subject in hidden.get(relation, ()))


def _sums(largest: int) -> Iterator[Fact]:
    for left in range(1, largest + 1):
        for right in range(1, largest + 1):
            yield Fact("sum", f"{left} plus {right}", str(left + right))
            if right <= left:
                yield Fact("difference", f"{left} minus {right}", str(left - right))
