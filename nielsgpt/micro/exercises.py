"""All exercises by name, and the file that a learner starts from."""

from pathlib import Path

from nielsgpt.micro.errors import MicroError
from nielsgpt.micro.exercise import Exercise
from nielsgpt.micro.exercises_arrays import ARRAYS
from nielsgpt.micro.exercises_bpe import BPE
from nielsgpt.micro.exercises_model import MODEL
from nielsgpt.micro.exercises_scalar import SCALAR
from nielsgpt.micro.files import write_text

EXERCISES: dict[str, Exercise] = {**SCALAR, **ARRAYS, **MODEL, **BPE}


def find(name: str) -> Exercise:
    """The exercise of this name. Raises MicroError listing them all."""
    if name not in EXERCISES:
        raise MicroError(f"there is no exercise {name}; there are {', '.join(EXERCISES)}")
    return EXERCISES[name]


def stub(name: str) -> str:
    """The text of a file to begin with: what to write, and where to read about it."""
    exercise = find(name)
    imports = f"\n{exercise.imports}" if exercise.imports else ""
    return (
        f'"""Exercise {name[2:]}, from {exercise.page}.\n\n'
        f'Check it with: nielsgpt micro check {name}\n"""\n{imports}\n\n'
        f'def {exercise.signature}:\n    """{exercise.task}"""\n'
        "    raise NotImplementedError\n"
    )


def start(name: str, path: Path) -> None:
    """Write the stub. Raises MicroError where a file is already."""
    if path.exists():
        raise MicroError(
            f"{path} is there already; check it with: nielsgpt micro check {name}, or move it away"
        )
    write_text(path, stub(name))
