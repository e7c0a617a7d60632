import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import nielsgpt
from nielsgpt.errors import NielsError
from nielsgpt.micro import kernel
from tests.journeys.conftest import ENVIRONMENT

Command = Callable[..., Result]


@pytest.fixture
def micro(root: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`nielsgpt micro ...` with this folder as the root."""
    monkeypatch.setenv("NIELSGPT_ROOT", str(root))

    def call(*options: str) -> Result:
        return CliRunner().invoke(nielsgpt, ["micro", *options], standalone_mode=False)

    return call


@pytest.fixture
def model(micro: Command, root: Path) -> Path:
    """A model of the names scenario, trained a little."""
    assert micro("train", "--steps", "40").exception is None
    return root / "models" / "micro" / "names" / "model.json"


def refusal(result: Result) -> tuple[str, int]:
    assert isinstance(result.exception, NielsError)
    assert "\n" not in str(result.exception)
    return str(result.exception), result.exception.exit_code


def test_training_says_what_it_trains_how_it_goes_and_where_the_model_is(
    micro: Command, root: Path
) -> None:
    lines = micro("train", "--steps", "150", "--timing").stdout.splitlines()
    assert lines[0] == "4,000 documents, vocabulary 24, 3,968 parameters, numpy_batched"
    pattern = r"step \d+ / 150 \| loss \d\.\d{4} \| [\d.]+ step/s \| ETA \w+( \| \w+ [\d.]+ ms){3}"
    assert len(lines) == 5
    assert all(re.fullmatch(pattern, line) for line in lines[1:4])
    assert lines[4] == f"wrote {root / 'models/micro/names/model.json'}"


@pytest.mark.parametrize("backend", ["python", "numpy", "numpy_batched"])
def test_the_options_reach_the_run(micro: Command, root: Path, backend: str) -> None:
    options = ["--steps", "7", "--grad-accum", "3", "--seed", "5", "--no-eta", "-b", backend]
    result = micro("train", *options, "-o", "mine.json")
    assert result.stdout.splitlines()[0].endswith(backend)
    assert "step 3 / 3 | loss 3." in result.stdout
    assert "ETA" not in result.stdout
    assert (root / "mine.json").exists()
    assert not (root / "models").exists()


def test_samples_begin_with_the_prompt_and_are_the_same_for_a_seed(
    micro: Command, model: Path
) -> None:
    result = micro("sample", "-s", "names", "-i", "ni", "-n", "3", "-t", "0.8")
    first, *samples = result.stdout.splitlines()
    assert first == "--- inference ---"
    assert [sample[:13] for sample in samples] == [f"sample  {i}: ni" for i in (1, 2, 3)]
    again = micro("sample", "-m", str(model), "-i", "ni", "-n", "3", "-t", "0.8", "-b", "python")
    assert again.stdout == result.stdout
    assert micro("sample", "-i", "ni", "-n", "3", "-t", "0.8", "--seed", "1").stdout != again.stdout
    assert len(micro("sample").stdout.splitlines()) == 21


def test_a_chain_and_a_sample_without_end_are_as_long_as_asked(micro: Command, model: Path) -> None:
    _, chain = micro("sample", "--chain", "--max-chars", "300", "-i", "a").stdout.splitlines()
    assert len(chain) == len("sample  1: ") + 300
    options = ["--no-stop-at-bos", "--max-tokens", "33", "-n", "1", "-i", "a"]
    _, sample = micro("sample", *options).stdout.splitlines()
    assert len(sample) == len("sample  1: a") + 33


def test_letters_that_the_model_does_not_know_are_named(micro: Command, model: Path) -> None:
    result = micro("sample", "-i", "Geo", "-n", "1")
    assert result.stderr == "the vocabulary lacks 'G'; leaving it out of the prompt\n"
    assert result.stdout.splitlines()[1].startswith("sample  1: Geo")


def test_the_benchmark_says_the_pace_and_the_time_of_the_whole_run(
    micro: Command, root: Path
) -> None:
    pattern = r"python: 2 steps at [\d.]+ steps/s; all 500 of names take about \w+\n"
    assert re.fullmatch(pattern, micro("benchmark", "-n", "2", "-b", "python").stdout)
    assert list(root.iterdir()) == []


@pytest.mark.skipif(not kernel.installed(), reason="numba is not installed")
def test_verify_jit_says_that_numba_is_at_work(micro: Command) -> None:
    said = "JIT verification: numba JIT active (linear_backward, attend, attend_backward compiled)"
    assert micro("verify-jit").stdout.strip() == said


def test_names_can_be_invented_into_a_file_and_are_then_trained_on(
    micro: Command, root: Path
) -> None:
    path = root / "data" / "micro" / "names.txt"
    assert micro("download", "names", "--invent").stdout == f"wrote {path}: 4,000 invented names\n"
    path.write_text("ab\nba\n", encoding="utf-8")
    assert micro("train", "--steps", "1").stdout.startswith("2 documents, vocabulary 3,")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("train", "-s", "nmaes"), "unknown scenario 'nmaes' (did you mean names?); "
         "choose one of "),
        (("train", "-c", "none.json"), "none.json is not there; copy one from configs/micro"),
        (("train", "-b", "torch"), "the options: training.backend is 'torch'; "
         "it must be one of python"),
        (("train", "-b", "python", "--dtype", "float32"), "dtype is float32, but Python's numbers"),
        (("train", "--steps", "0"), "the options: training.num_steps is 0; the minimum is 1"),
        (("train", "-s", "alice"), "alice.txt is not there; fetch it with: nielsgpt micro down"),
        (("sample", "-s", "alice"), "model.json is not there; make it with: nielsgpt micro train "
                                    "-s alice"),
        (("sample", "-m", "x.json"), "x.json is not there; make it with: nielsgpt micro train -s "
                                     "names"),
        (("sample", "-c", "mine.json"), "model.json is not there; make it with: nielsgpt micro "
                                        "train -c mine.json"),
        (("train", "-c", "mine.json"), "book.txt is not there; put your text there"),
        (("download", "alices"), "unknown scenario 'alices' (did you mean alice?)"),
        (("download", "alice", "--invent"), "only names can be generated"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line_and_exit_code_2(
    micro: Command, root: Path, options: tuple[str, ...], said: str
) -> None:
    mine = '{"name": "mine", "data": {"path": "book.txt", "format": "chunked"}}'
    (root / "mine.json").write_text(mine, encoding="utf-8")
    told, code = refusal(micro(*options))
    assert said in told
    assert code == 2


def test_a_run_that_fails_leaves_with_1_and_keeps_the_model_of_before(
    micro: Command, model: Path, root: Path
) -> None:
    before = model.read_bytes()
    (root / "wild.json").write_text(
        '{"name": "names", "data": {"path": "x", "format": "lines", "invented": true},'
        ' "training": {"learning_rate": 1e200}}',
        encoding="utf-8",
    )
    told, code = refusal(micro("train", "-c", "wild.json"))
    assert told.endswith("training.learning_rate 1e+200 is too high")
    assert code == 1
    assert model.read_bytes() == before


def test_a_run_that_is_interrupted_says_so_and_writes_nothing(root: Path) -> None:
    # Where the tests run in the background, the shell has them ignore SIGINT.
    hears = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{hears}; from cli.main import main; main()"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", code, "micro", "train", "-b", "python", "--steps", "100000"],
        cwd=root,
        env={**ENVIRONMENT, "PYTHONPATH": os.fspath(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert process.stdout.readline().startswith("step 1 / 100000 | loss 3.")
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=20)
    last = told.splitlines()[-1]
    assert re.fullmatch(r"stopped after step \d+ of 100000; no model was written", last)
    assert process.returncode == 130
    assert list(root.iterdir()) == []
