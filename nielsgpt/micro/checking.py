"""The exercises by name, and a learner's answer to one.

An answer is tried in a process of its own: it may crash, hang or print what it likes.
"""

import contextlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from nielsgpt.micro.errors import MicroError
from nielsgpt.micro.exercise import Exercise
from nielsgpt.micro.exercises_arrays import ARRAYS
from nielsgpt.micro.exercises_bpe import BPE
from nielsgpt.micro.exercises_model import MODEL
from nielsgpt.micro.exercises_scalar import SCALAR
from nielsgpt.micro.files import write_text

ROOT = Path(__file__).resolve().parents[2]
CHILD = "from nielsgpt.micro.checking import judge; judge()"
EXERCISES: dict[str, Exercise] = {**SCALAR, **ARRAYS, **MODEL, **BPE}


def check(name: str, path: Path, timeout_s: float) -> str | None:
    """Return None if the answer in this file is right, else one line that explains the failure.

    Raises MicroError if the exercise or the file does not exist.
    """
    find_exercise(name)
    if not path.is_file():
        raise MicroError(
            f"{path} is not there; begin with: nielsgpt micro check {name} --start"
            + ("" if path == default_path(name) else f" --file {path}")
        )
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        ran = subprocess.run(
            [sys.executable, "-BP", "-c", CHILD, name, str(path)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return f"{_last(late.stdout)['case']}, no answer came within {timeout_s:g} s"
    said = _last(ran.stdout)
    if "verdict" in said:
        return str(said["verdict"]) if said["verdict"] else None
    return f"{said['case']}, {path} ended Python with exit code {ran.returncode}"


def default_path(name: str) -> Path:
    """Where the answer to an exercise is looked for."""
    return Path("learn") / f"{name}.py"


def _last(output: bytes | None) -> dict[str, Any]:
    lines = (output or b"").decode("utf-8").splitlines()
    said: dict[str, Any] = json.loads(lines[-1]) if lines else {"case": "while reading the file"}
    return said


def judge() -> None:
    """The other process: say each case, then the verdict, a line of JSON each, on standard output.

    What the learner's code prints goes to standard error.
    """
    name, path = sys.argv[1], Path(sys.argv[2])
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as output:
        os.dup2(2, 1)

        def say(**fact: str | None) -> None:
            output.write(json.dumps(fact) + "\n")
            output.flush()

        say(verdict=try_out(name, path, lambda case: say(case=case)))


def try_out(name: str, path: Path, tell: Callable[[str], None]) -> str | None:
    """None where the answer in the file is right, else what is wrong, exceptions included."""
    exercise, cases = find_exercise(name), ["while reading the file"]
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())

    def hear(case: str) -> None:
        cases.append(case)
        tell(case)

    try:
        function = load(path).get(exercise.function)
        if function is None:
            return f"{path} defines no {exercise.function}; write: def {exercise.signature}"
        wrong = exercise.verdict(function, hear)
    except NotImplementedError as error:
        return f"{exercise.function} is not written yet{_where(error, path)}"
    except Exception as error:
        told = error.msg if isinstance(error, SyntaxError) else str(error)
        lines = told.splitlines() or ["no message"]
        return f"{cases[-1]}, {type(error).__name__}: {lines[0]}{_where(error, path)}"
    return f"{cases[-1]}, {wrong}" if wrong else None


def load(path: Path) -> dict[str, Any]:
    """Return the definitions in the file, by name."""
    loader = SourceFileLoader("answer", str(path))
    module = ModuleType("answer")
    loader.exec_module(module)
    return vars(module)


def _where(error: Exception, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f" ({path}, line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == path.resolve()]
    return f" ({path}, line {lines[-1]})" if lines else ""


def find_exercise(name: str) -> Exercise:
    """The exercise of this name. Raises MicroError listing them all."""
    if name not in EXERCISES:
        raise MicroError(f"there is no exercise {name}; there are {', '.join(EXERCISES)}")
    return EXERCISES[name]


def stub(name: str) -> str:
    """The text of a file to begin with: what to write, and where to read about it."""
    exercise = find_exercise(name)
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
