"""The exercises: right answers pass, wrong ones are told which case fails, and how."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from nielsgpt.micro.checking import EXERCISES, check, default_path, start, stub, try_out
from nielsgpt.micro.errors import MicroError

ROOT = Path(__file__).resolve().parents[2]

ANSWERS = {
    "ex1": "def slope(x): return 2 * x",
    "ex2": """
def slopes(x, y):
    inner = x * y + x
    return 2 * inner * (y + 1), 2 * inner * x
""",
    "ex3": """
def gradients(graph, output):
    order, seen, stack = [], set(), [(output, iter(graph[output]))]
    while stack:
        name, edges = stack[-1]
        for source, _ in edges:
            if source not in seen:
                seen.add(source)
                stack.append((source, iter(graph[source])))
                break
        else:
            order.append(name)
            stack.pop()
    found = dict.fromkeys(graph, 0.0)
    found[output] = 1.0
    for name in reversed(order):
        for source, slope in graph[name]:
            found[source] += slope * found[name]
    return found
""",
    "ex4": """
import math
from nielsgpt.micro.scalar import Value
def tanh(value):
    y = math.tanh(value.data)
    return Value(y, (value,), (1 - y * y,))
""",
    "ex5": """
def rms_norm_backward(x, dy):
    scale = ((x * x).mean(-1, keepdims=True) + 1e-5) ** -0.5
    y = x * scale
    return scale * (dy - y * (dy * y).mean(-1, keepdims=True))
""",
    "ex6": """
import numpy as np
def loss_backward(logits, targets):
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    shares[np.arange(len(targets)), targets] -= 1
    return shares / len(targets)
""",
    "ex7": """
import numpy as np
def attention_backward(q, k, v, dy):
    scores = q @ k.T / np.sqrt(q.shape[1])
    scores[np.triu_indices(len(q), 1)] = -np.inf
    p = np.exp(scores - scores.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    dp = dy @ v.T
    ds = p * (dp - (dp * p).sum(-1, keepdims=True)) / np.sqrt(q.shape[1])
    return ds @ k, ds.T @ q, p.T @ dy
""",
    "ex8": """
import numpy as np
def embedding_backward(ids, dx, vocab_size):
    table = np.zeros((vocab_size, dx.shape[1]))
    np.add.at(table, ids, dx)
    return table
""",
    "ex9": """
import torch
def attention(q, k, v, window):
    q, k, v = torch.tensor(q), torch.tensor(k), torch.tensor(v)
    seen = torch.ones(len(q), len(q), dtype=torch.bool).tril().triu(1 - window)
    scores = (q @ k.T / q.shape[1] ** 0.5).masked_fill(~seen, float("-inf"))
    return scores.softmax(-1) @ v
""",
    "ex10": """
import torch
def adam(start, gradients, learning_rate):
    weight = torch.nn.Parameter(torch.tensor(start))
    optimizer = torch.optim.Adam([weight], lr=learning_rate, betas=(0.9, 0.95), eps=1e-8)
    for gradient in gradients:
        weight.grad = torch.tensor(gradient)
        optimizer.step()
    return weight.item()
""",
    "ex11": """
import math
def rotate(x, position, theta):
    half = len(x) // 2
    first, second = [], []
    for i in range(half):
        angle = position * theta ** (-2 * i / len(x))
        a, b = x[i], x[i + half]
        first.append(a * math.cos(angle) - b * math.sin(angle))
        second.append(b * math.cos(angle) + a * math.sin(angle))
    return first + second
""",
    "ex12": """
import torch
def bfloat16(x): return torch.tensor(x, dtype=torch.bfloat16).item()
""",
    "ex13": """
import numpy as np
def orthogonal(x):
    x = x / np.linalg.norm(x)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x
""",
    "ex14": """
def most_frequent(words):
    counts = {}
    for ids, often in words:
        for pair in zip(ids, ids[1:]):
            counts[pair] = counts.get(pair, 0) + often
    return max(counts, key=lambda pair: (counts[pair], pair))
""",
    "ex15": """
def decode(ids, merges):
    pieces = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        pieces.append(pieces[left] + pieces[right])
    return b"".join(pieces[token] for token in ids)
""",
    "ex16": """
def encode(word, merges):
    ids = list(word.encode())
    while True:
        known = [merges.index(pair) for pair in zip(ids, ids[1:]) if pair in merges]
        if not known:
            return ids
        first = min(known)
        at = next(i for i in range(len(ids)) if tuple(ids[i : i + 2]) == merges[first])
        ids[at : at + 2] = [256 + first]
""",
}
# A likely mistake in each answer: what to write instead of what, and the line that it earns.
MISTAKES = {
    "ex1": ("2 * x", "2 + x", "for x = 3, dy/dx is 6, yours gave 5"),
    "ex2": ("inner * (y + 1)", "inner * y", "for x = 1, y = 0, dz/dx is 2, yours gave 0"),
    "ex3": (
        "+= slope",
        "= slope",
        "for graph = {'b': [('a', 6)], 'c': [('a', 4), ('b', 1)], 'a': []}, output = 'c', "
        "gradient['a'] is 10, yours gave 6",
    ),
    "ex4": ("(1 - y * y,)", "(1 - y,)", "for x = 0.5, its slope by x is 2.51985, yours gave 1.4"),
    "ex5": (
        "(dy * y).mean",
        "(dy * y).sum",
        "for x = [[3, 4]], dy = [[1, 0]], dx[0][0] is 0.181019, yours gave 0.0",
    ),
    "ex6": (
        " / len(targets)",
        "",
        "for logits = [[0, 1, 2], [1, 0, 0]], targets = [2, 1], "
        "dlogits[0][0] is 0.0450153, yours gave 0.0900306",
    ),
    "ex7": ("ds.T @ q", "ds @ q", "dk[0][0] is "),
    "ex8": (
        "np.add.at(table, ids, dx)",
        "table[ids] += dx",
        "for ids = [0, 2, 0], dx = [[1, 2], [3, 4], [5, 6]], vocab_size = 3, "
        "dtable[0][0] is 6, yours gave 5",
    ),
    "ex9": ("triu(1 - window)", "triu(-window)", "window = 1, attention[1][0] is "),
    "ex10": (
        "(0.9, 0.95)",
        "(0.9, 0.999)",
        "for start = 1, gradients = [5, 5, -1], learning_rate = 0.1, weight is ",
    ),
    "ex11": (
        "+ a *",
        "- a *",
        "for x = [1, 0], position = 1, theta = 10000, rotated[1] is 0.841471, yours gave -0.841471",
    ),
    "ex12": (
        "torch.tensor(x, dtype=torch.bfloat16).item()",
        "torch.tensor(x).half().item()",
        "for x = 1.00390625, bfloat16 is 1, yours gave 1.00391",
    ),
    "ex13": ("range(5)", "range(4)", "for x = [[2, 0], [0, 0.1]], orthogonal[0][0] is "),
    "ex14": (
        "(counts[pair], pair)",
        "counts[pair]",
        "for words = [([1, 9], 2), ([5, 1], 2)], left is 5, yours gave 1",
    ),
    "ex15": (
        "pieces[left] + pieces[right]",
        "bytes([left % 256, right % 256])",
        "for ids = [257, 256, 33], merges = [(97, 98), (256, 99)], "
        "bytes is b'abcab!', yours gave b'\\x00cab!'",
    ),
    "ex16": (
        "min(known)",
        "max(known)",
        "for word = 'abc', merges = [(98, 99), (97, 98)], ids[0] is 97, yours gave 257",
    ),
}


def answer(folder: Path, name: str, code: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(code, encoding="utf-8")
    return path


def tried(folder: Path, name: str, code: str) -> str | None:
    return try_out(name, answer(folder, name, code), lambda case: None)


@pytest.mark.parametrize("name", EXERCISES)
def test_a_right_answer_is_right(name: str, tmp_path: Path) -> None:
    assert tried(tmp_path, name, ANSWERS[name]) is None


@pytest.mark.parametrize("name", EXERCISES)
def test_a_likely_mistake_is_told_by_its_case(name: str, tmp_path: Path) -> None:
    right, wrong, line = MISTAKES[name]
    assert right in ANSWERS[name]
    told = tried(tmp_path, name, ANSWERS[name].replace(right, wrong))
    assert told is not None
    assert line in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("def slope(x): return 2 * x\nslope = 3", "for x = 3, TypeError: 'int' object is not "),
        ("def slope(x):\n    return 1 / x", "for x = 3, dy/dx is 6, yours gave 0.333333"),
        ("def slope(x):\n    return 6 / x * 3", "for x = 0, ZeroDivisionError: float division by "),
        ("def slope(x):\n    return 6 / x * 3", "ex1.py, line 2)"),
        ("def slope(x): pass", "for x = 3, dy/dx is 6, yours gave None"),
        ("def slope(x): return float('nan')", "for x = 3, dy/dx is 6, yours gave nan"),
        ("def slope(x): return '6'", "for x = 3, dy/dx is 6, yours gave '6'"),
        ("def slope(x): return 6.00001", "for x = 3, dy/dx is 6, yours gave 6.00001"),
        ("def slope(x): return 6.0000001", "for x = 0, dy/dx is 0, yours gave 6"),
        ("def steep(x): return 2 * x", "defines no slope; write: def slope(x: float) -> float"),
        ("def slope(x) return 2 * x", "while reading the file, SyntaxError: expected ':' ("),
        (
            "import nowhere",
            "while reading the file, ModuleNotFoundError: No module named 'nowhere'",
        ),
    ],
)
def test_any_other_failure_is_one_line_too(tmp_path: Path, code: str, line: str) -> None:
    told = tried(tmp_path, "ex1", code)
    assert told is not None
    assert line in told
    assert "\n" not in told


def test_an_answer_may_change_what_it_is_given(tmp_path: Path) -> None:
    code = ANSWERS["ex16"].replace("return ids", "merges.clear()\n            return ids")
    assert tried(tmp_path, "ex16", code) is None


@pytest.mark.parametrize(
    ("name", "code", "line"),
    [
        ("ex16", "def encode(word, merges): return []", "ids has 3 entries, yours has 0"),
        ("ex2", "def slopes(x, y): return 2 * x", "the answer is dz/dx, dz/dy, yours gave 2"),
        ("ex3", "def gradients(g, o): return {'c': 1.0}", "gradient has 3 entries, yours has 1"),
        ("ex3", "def gradients(g, o): return dict.fromkeys('abd', 4.0)", "an entry 'c', yours has"),
        ("ex6", "def loss_backward(z, t): return z.sum(1)", "dlogits[0] is [-0.5, 0.5], yours"),
    ],
)
def test_an_answer_of_another_shape_is_told_so(
    tmp_path: Path, name: str, code: str, line: str
) -> None:
    assert line in (tried(tmp_path, name, code) or "")


@pytest.mark.parametrize("name", EXERCISES)
def test_a_stub_compiles_and_says_that_it_is_not_written_yet(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.py"
    start(name, path)
    assert all(len(line) <= 100 for line in path.read_text("utf-8").splitlines())
    told = try_out(name, path, lambda case: None)
    assert told is not None
    assert told.startswith(f"{EXERCISES[name].function} is not written yet (")
    assert EXERCISES[name].page in stub(name)


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    path = answer(tmp_path, "ex1", "mine")
    with pytest.raises(MicroError, match=r"ex1\.py is there already; check it with: nielsgpt "):
        start("ex1", path)
    assert path.read_text("utf-8") == "mine"


def test_an_unknown_exercise_is_one_line_with_all_names() -> None:
    with pytest.raises(MicroError, match=r"no exercise ex99; there are ex1, ex2, .*, ex16$"):
        check("ex99", Path("x.py"), 1.0)


def test_a_missing_file_is_one_line_with_the_command_that_makes_it(root: Path) -> None:
    with pytest.raises(MicroError, match=r"begin with: nielsgpt micro check ex1 --start$"):
        check("ex1", default_path("ex1"), 1.0)
    with pytest.raises(MicroError, match=r"--start --file mine\.py$"):
        check("ex1", Path("mine.py"), 1.0)


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("print('words'); slope = lambda x: 2 * x", None),
        ("slope = lambda x: 2 + x", "for x = 3, dy/dx is 6, yours gave 5"),
        ("import os\ndef slope(x): os._exit(7)", "for x = 3, {} ended Python with exit code 7"),
        ("raise SystemExit(3)", "while reading the file, {} ended Python with exit code 3"),
    ],
)
def test_an_answer_is_tried_in_a_process_of_its_own(
    root: Path, code: str, line: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.delenv(name, raising=False)
    path = answer(root, "my answer é", code)
    expected = line.format(path) if line else None
    assert check("ex1", path, 60.0) == expected
    assert sorted(root.iterdir()) == [path]


def test_an_answer_that_never_comes_ends_with_its_case(root: Path) -> None:
    path = answer(root, "ex1", "def slope(x):\n    while x:\n        pass")
    told = check("ex1", path, 0.9) or ""
    # A machine that is busy may not come to the case within the time.
    assert re.fullmatch("(for x = 3|while reading the file), no answer came within 0.9 s", told)


def test_each_case_is_told_before_it_is_tried(tmp_path: Path) -> None:
    told: list[str] = []
    path = answer(tmp_path, "ex1", "def slope(x):\n    return 6 / x * x")
    try_out("ex1", path, told.append)
    assert told == ["for x = 3", "for x = 0"]


def test_the_exercises_of_bare_pages_are_tried_without_any_package(root: Path) -> None:
    """-S leaves out site-packages; blocked are the packages that could lie beside the project."""
    for name in ("ex1", "ex2", "ex3", "ex4", "ex14", "ex15", "ex16"):
        answer(root, name, ANSWERS[name])
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "for name in ('numpy', 'torch', 'pydantic', 'click', 'regex'): sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from nielsgpt.micro.checking import try_out\n"
        "for name in sys.argv[2:]:\n"
        "    assert try_out(name, Path(f'{name}.py'), lambda case: None) is None, name\n"
    )
    names = [path.stem for path in root.iterdir()]
    subprocess.run([sys.executable, "-S", "-c", code, str(ROOT), *names], check=True)
