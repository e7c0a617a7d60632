"""`nielsgpt export`: what it takes, where it writes, and what it says of a wrong word."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cli.main import main
from nielsgpt.model.gpt import GPT
from nielsgpt.system.atomic_files import write_json
from nielsgpt.tokenizers.base import Tokenizer
from tests.export.made import facts, save

Export = Callable[..., tuple[int, str, str]]


@pytest.fixture
def export(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Export:
    """Runs the command; its exit code, what it prints and what it says on stderr."""
    monkeypatch.setenv("NIELSGPT_ROOT", str(root))

    def call(*words: str) -> tuple[int, str, str]:
        code = 0
        try:
            main(["export", *words])
        except SystemExit as leave:
            code = int(leave.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


@pytest.fixture
def kept(root: Path, lively: Callable[..., GPT], pieced: Tokenizer) -> GPT:
    """A checkpoint where `nielsgpt chat` looks for one."""
    model = lively("gpt_qk")
    save(root / "checkpoints/quickstart/best.pt", model, pieced, "quickstart")
    return model


def test_without_a_path_it_takes_the_model_of_chat_and_writes_below_models(
    export: Export, kept: GPT, root: Path
) -> None:
    own = root / "models" / "quickstart"
    assert export() == (0, f"wrote {own / 'hf'}\n", "")
    assert export("--to", "gguf", "--dtype", "q8_0") == (
        0,
        f"wrote {own / 'quickstart-q8_0.gguf'}\n",
        "",
    )
    assert (own / "hf" / "model.safetensors").is_file()
    assert "FROM ./quickstart-q8_0.gguf" in (own / "quickstart-q8_0.Modelfile").read_text()


def test_the_only_model_is_taken_by_itself_and_of_several_one_is_asked_for(
    export: Export, root: Path, lively: Callable[..., GPT], pieced: Tokenizer
) -> None:
    model = lively("gpt_qk")
    save(root / "checkpoints/keeper/best.pt", model, pieced, "keeper")
    assert export() == (0, f"wrote {root / 'models/keeper/hf'}\n", "")
    save(root / "checkpoints/other/best.pt", model, pieced, "other")
    code, _, said = export()
    assert code == 2
    for name in ("keeper", "other"):
        assert f"nielsgpt export {root / 'checkpoints' / name / 'best.pt'} (" in said


def test_the_marks_of_these_weights_are_on_the_card_and_those_of_others_are_not(
    export: Export, kept: GPT, root: Path
) -> None:
    row = {"section": "known facts", "right": 9, "total": 10, "interval": [0.5, 1], "chance": 0.1}
    repeated = {"source": "text", "tokens": 32, "train": [3, 100], "val": [0, 90]}
    marks = {"sections": [row], "verbatim": [repeated], "ended": 4, "replies": 4}
    place, card = root / "checkpoints/quickstart/exam.json", root / "out" / "README.md"
    write_json(place, {**marks, "weights_sha256": facts(kept, "quickstart")["weights_sha256"]})
    assert export("--out", str(root / "out"))[0] == 0
    assert "| known facts | 9/10 | 50.0% - 100.0% | 10.0% |" in card.read_text()
    assert "3 of 100 training passages, 0 of 90 validation passages" in card.read_text()
    write_json(place, {**marks, "weights_sha256": "others"})
    assert export("--out", str(root / "out"))[0] == 0
    assert "known facts" not in card.read_text()


def test_what_pretraining_saw_is_on_the_card_where_sft_started_from_it(
    export: Export, kept: GPT, root: Path
) -> None:
    before = {
        **facts(kept, "quickstart"),
        "phase": "pretrain",
        "step": 100,
        "origin": {"primer": "fedcba9876543210"},
        "weights_sha256": "pretrained",
    }
    write_json(root / "checkpoints/quickstart/pretrain/best.json", before)
    assert export("--out", str(root / "out"))[0] == 0
    card = (root / "out" / "README.md").read_text()
    assert "| tokens seen in pretrain | 6,400 |" in card
    assert "`fedcba9876543210`" in card


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dtype", "f16"], "--dtype f16 is not one of float32, bfloat16, float16"),
        (["--to", "gguf", "--dtype", "float32"], "--dtype float32 is not one of f32, f16, q8_0"),
        (["--to", "gguf", "--verify"], "--verify compares with Transformers; use it with --to hf"),
        (["--to", "onnx"], "'onnx' is not one of 'hf', 'gguf'"),
        (["nowhere.pt"], "no checkpoint nowhere.pt; name one that is there"),
        ([], "no model in "),
    ],
)
def test_a_wrong_word_is_one_line_and_exit_code_2(
    words: list[str], said: str, export: Export
) -> None:
    code, printed, error = export(*words)
    assert (code, printed, error.count("\n")) == (2, "", 1)
    assert said in error
