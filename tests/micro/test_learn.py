"""The pages of docs/learn do what they say, print what they show, and need what they promise."""

import contextlib
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from cli.main import nielsgpt
from nielsgpt.errors import NielsError
from nielsgpt.micro import backends, bpe, figures, store
from nielsgpt.micro.checking import EXERCISES
from nielsgpt.micro.documents import Alphabet
from nielsgpt.micro.scenarios import Scenario
from nielsgpt.micro.store import Saved
from nielsgpt.micro.training import Run
from nielsgpt.micro.weights import Shape, Weights

ROOT = Path(__file__).resolve().parents[2]
LEARN = ROOT / "docs" / "learn"
PAGES = sorted(LEARN.glob("[0-9]-*.md"))
BARE = [page for page in PAGES if page.stem in ("1-scalar", "5-bpe")]
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.S | re.M)
NEED_NUMPY = ("arrays", "batched", "operations", "kernel")
WITHOUT = "import sys; sys.path.insert(0, sys.argv.pop(1)); sys.modules |= dict.fromkeys({!r})\n"
PACKAGES = ("numpy", "torch", "pydantic", "click", "regex", "matplotlib")


def blocks(page: Path) -> list[tuple[str, str, int]]:
    """The code of each block, what the page says that it prints, and the line it begins at."""
    text = page.read_text("utf-8")
    return [
        (found[1], found[2] or "", text.count("\n", 0, found.start()) + 1)
        for found in BLOCK.finditer(text)
    ]


def played(page: Path) -> dict[str, Any]:
    """The names of a page after all of its blocks, each of which prints what the page shows."""
    names: dict[str, Any] = {"__name__": page.stem}
    for code, shown, line in blocks(page):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile("\n" * line + code, str(page), "exec"), names)
        assert printed.getvalue() == shown, f"{page.name}, the block at line {line}"
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_prints_what_the_page_shows(page: Path) -> None:
    assert len(blocks(page)) >= 5
    played(page)


@pytest.mark.parametrize("page", BARE, ids=lambda page: page.stem)
def test_the_first_and_the_last_page_need_nothing_but_python(page: Path) -> None:
    code = WITHOUT.format(PACKAGES) + "\n".join(code for code, _, _ in blocks(page))
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code, str(ROOT)], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "".join(shown for _, shown, _ in blocks(page))


def test_every_file_but_those_of_arrays_is_imported_on_bare_python() -> None:
    files = (ROOT / "nielsgpt" / "micro").glob("*.py")
    names = [path.stem for path in files if path.stem not in (*NEED_NUMPY, "__init__")]
    assert len(names) > 20
    code = WITHOUT.format(PACKAGES) + (
        "import importlib\n"
        "for name in sys.argv[1:]: importlib.import_module(f'nielsgpt.micro.{name}')\n"
    )
    subprocess.run([sys.executable, "-S", "-c", code, str(ROOT), *names], check=True)


@pytest.mark.parametrize("n_layer", [1, 2])
@pytest.mark.parametrize("ids", [[4, 0], [4, 0, 3, 0, 4], [4, 1, 2, 3, 0, 1, 2, 2, 4]])
def test_the_model_of_page_3_has_the_gradients_of_every_backend(
    ids: list[int], n_layer: int, lively: Callable[..., Weights]
) -> None:
    page = page_3()
    shape = Shape(n_embd=8, n_head=2, n_layer=n_layer, block_size=8, vocab_size=5)
    weights = lively(shape)
    theirs = page["TorchGPT"](shape)
    theirs.take(weights)
    loss = theirs.loss(ids)
    loss.backward()
    for backend in backends.BACKENDS:
        ours = backends.make(backend, shape, weights)
        assert ours.forward(ids) == pytest.approx(loss.item(), rel=1e-12)
        ours.backward()
        gradients = ours.gradients()
        assert {name.removesuffix(".weight") for name, _ in theirs.named_parameters()} == set(
            gradients
        )
        for name, parameter in theirs.named_parameters():
            wanted = np.array(gradients[name.removesuffix(".weight")])
            error = np.linalg.norm(parameter.grad.numpy() - wanted)
            assert error <= 1e-10 * np.linalg.norm(wanted), (backend, name)


def page_3() -> dict[str, Any]:
    """The names of page 3 up to its model."""
    names: dict[str, Any] = {"__name__": "page_3"}
    for code, _, _ in blocks(LEARN / "3-torch.md")[:2]:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, names)
    return names


def test_a_batch_goes_through_the_model_of_page_3_row_by_row() -> None:
    torch.manual_seed(0)
    model = page_3()["TorchGPT"](Shape(8, 2, 2, 8, 5))
    ids = torch.randint(5, (3, 6))
    torch.testing.assert_close(model(ids), torch.stack([model(row) for row in ids]))


def test_every_exercise_is_told_on_its_page() -> None:
    told = {
        page: re.findall(r"^- \*\*(ex\d+)\*\* ", page.read_text("utf-8"), re.M) for page in PAGES
    }
    assert [name for page in PAGES for name in told[page]] == list(EXERCISES)
    for page, names in told.items():
        assert 2 <= len(names) <= 4
        for name in names:
            assert ROOT / EXERCISES[name].page == page


def test_every_link_and_every_picture_of_the_pages_is_there() -> None:
    for page in (*PAGES, LEARN / "README.md"):
        targets = re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8"))
        assert targets
        for target in targets:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_links_to_the_next() -> None:
    for page, following in pairwise(PAGES):
        assert f"]({following.name})" in page.read_text("utf-8").splitlines()[-1]


@pytest.fixture
def trained(words: Callable[..., Scenario], root: Path) -> Scenario:
    """A scenario whose model lies where `nielsgpt micro train` would have put it."""
    scenario = words()
    run = Run(root, scenario)
    list(run.train())
    store.save(store.model_path(root, scenario.name), run.saved())
    return scenario


def test_the_figures_are_the_same_bytes_every_time(trained: Scenario, root: Path) -> None:
    first = [path.read_bytes() for path in figures.draw(root, trained, 4, root / "one")]
    assert [path.read_bytes() for path in figures.draw(root, trained, 4, root / "two")] == first
    for picture in first:
        assert ElementTree.fromstring(picture).tag.endswith("svg")


def test_a_map_is_the_shares_of_what_was_read_by_layer_and_head(
    lively: Callable[..., Weights],
) -> None:
    shape, alphabet = Shape(8, 2, 2, 8, 5), Alphabet(tuple("abcd"))
    maps = figures.attention_maps(Saved(alphabet, shape, lively(shape)), [4, 1, 2, 3])
    for rows in (rows for heads in maps for rows in heads):
        assert [len(row) for row in rows] == [1, 2, 3, 4]
        assert [sum(row) for row in rows] == pytest.approx([1.0] * 4)
    assert len({str(rows) for heads in maps for rows in heads}) == 4
    shallow = Saved(alphabet, Shape(8, 2, 1, 8, 5), lively(shape))
    assert figures.attention_maps(shallow, [4, 1, 2, 3]) == maps[:1]


def test_the_curves_of_all_backends_are_one(trained: Scenario, root: Path) -> None:
    python, numpy, batched, single = figures.train_all(root, trained, 12)
    assert python.losses == pytest.approx(numpy.losses, rel=1e-9)
    assert python.losses == pytest.approx(batched.losses, rel=1e-9)
    assert python.losses == pytest.approx(single.losses, rel=1e-3)
    assert python.losses != single.losses


def test_the_running_mean_is_that_of_the_last_ones() -> None:
    numbers = [float(number) for number in range(60)]
    means = figures.running_mean(numbers)
    assert means[0] == 0.0
    assert means[3] == 1.5
    assert means[59] == sum(numbers[-figures.MEAN_OVER :]) / figures.MEAN_OVER


def test_the_graph_in_the_repository_is_drawn_from_the_worked_example() -> None:
    drawn = figures.graph(*figures.worked_example())
    assert (LEARN / "figures" / "graph.svg").read_text("utf-8") == drawn
    assert {"a = 3", "slope of c: 10", "\u00d76", "c = 21"} <= set(re.findall(">([^<]+)<", drawn))


def test_the_figures_in_the_repository_are_small_and_sound() -> None:
    pictures = sorted((LEARN / "figures").iterdir())
    assert [path.name for path in pictures] == ["attention.svg", "graph.svg", "loss.svg"]
    for path in pictures:
        assert path.stat().st_size < 60_000
        assert ElementTree.parse(path).getroot().attrib["viewBox"].startswith("0 0 ")


@pytest.fixture
def micro(root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`nielsgpt micro ...` with this folder as the root."""
    monkeypatch.setenv("NIELSGPT_ROOT", str(root))

    def call(line: str) -> Result:
        words = ["micro", *shlex.split(line)]
        return CliRunner().invoke(nielsgpt, words, standalone_mode=False)

    return call


def test_an_exercise_goes_from_a_stub_over_a_wrong_answer_to_a_right_one(
    micro: Callable[..., Result], root: Path
) -> None:
    path = root / "learn" / "ex1.py"
    assert micro("check ex1 --start").stdout == (
        "wrote learn/ex1.py; check it with: nielsgpt micro check ex1\n"
    )
    for body, line, code in (
        ("raise NotImplementedError", "slope is not written yet (learn/ex1.py, line 9)\n", 1),
        ("return x + 2", "for x = 3, dy/dx is 6, yours gave 5\n", 1),
        ("return x + x", "right\n", 0),
    ):
        stub = path.read_text("utf-8")
        path.write_text(re.sub(r"    (raise|return) .*", f"    {body}", stub), encoding="utf-8")
        result = micro("check ex1")
        # Outside of standalone mode click returns the exit code of `ctx.exit`.
        assert (result.stdout, result.return_value or 0) == (line, code)


def test_without_a_name_all_exercises_are_listed(micro: Callable[..., Result]) -> None:
    lines = micro("check").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(EXERCISES)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("check ex1", "learn/ex1.py is not there; begin with: nielsgpt micro check ex1 --start"),
        ("check ex0", "there is no exercise ex0; there are ex1, "),
        ("figures", "model.json is not there; make it with: nielsgpt micro train -s names"),
        ("bpe encode a", "bpe.json is not there; make it with: nielsgpt micro bpe train TEXT"),
        ("bpe train none.txt", "none.txt is not there; name a text file"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    micro: Callable[..., Result], line: str, told: str
) -> None:
    error = micro(line).exception
    assert isinstance(error, NielsError)
    assert told in str(error)
    assert "\n" not in str(error)
    assert error.exit_code == 2


def test_a_tokenizer_is_trained_and_used_from_the_command_line(
    micro: Callable[..., Result], root: Path
) -> None:
    (root / "sea.txt").write_text("sea seal seals", encoding="utf-8")
    result = micro("bpe train sea.txt --vocab-size 261 --special '<|eot|>'")
    assert result.stdout.endswith("bpe.json: 261 tokens, 3.50 bytes each\n")
    trained = bpe.load(root / "models" / "micro" / "bpe.json")
    assert trained == bpe.train(["sea seal seals"], 261, ["<|eot|>"])
    assert micro("bpe encode 'seals<|eot|>' --specials").stdout == "259 115 256\n"
    assert micro("bpe encode 'a seal' --pieces").stdout == "b'a' b' seal'\n"
    assert micro("bpe decode 259 115").stdout == "seals\n"
