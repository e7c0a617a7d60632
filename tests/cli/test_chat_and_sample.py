import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from cli.main import nielsgpt
from nielsgpt.checkpoint import checkpoint_file, load_model
from nielsgpt.config.settings import Settings
from nielsgpt.errors import CheckpointError, DataError, NielsError, SettingsError
from nielsgpt.model.gpt import GPT
from nielsgpt.tokenizers.byte import ByteTokenizer

# Where no file of settings says so: nothing is measured.
PLAIN = ["--set", "device.threads=1", "--set", "device.weights=float32"]


@pytest.fixture
def run(
    root: Path, tiny: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Runs a command where an untrained tiny model lies as the trained and the pretrained one."""
    settings = tiny(generation={"max_new_tokens": 8, "temperature": 1.0})
    monkeypatch.setenv("NIELSGPT_ROOT", str(root))
    (root / "tiny.json").write_text(json.dumps(settings.model_dump(mode="json")), encoding="utf-8")
    for phase, path in (("sft", "best.pt"), ("pretrain", "pretrain/best.pt")):
        torch.manual_seed(len(phase))
        state = {
            "weights": GPT(settings.model, ByteTokenizer.vocab_size).state_dict(),
            "tokenizer": load_model.pack_tokenizer(ByteTokenizer()),
            "settings": settings.model_dump(mode="json"),
            "facts": {"name": "tiny", "phase": phase},
            "step": 6,
        }
        checkpoint_file.save(root / "checkpoints" / "tiny" / path, state)

    def call(
        command: str, *options: str, text: str = "", config: str | None = "tiny.json"
    ) -> Result:
        named = ["--config", config] if config else PLAIN
        words = [command, *named, *options]
        return CliRunner().invoke(nielsgpt, words, input=text, standalone_mode=False)

    return call


def failure(result: Result) -> NielsError:
    assert isinstance(result.exception, NielsError)
    return result.exception


def test_in_a_pipe_each_line_is_answered_and_nothing_else_is_printed(
    run: Callable[..., Result],
) -> None:
    result = run("chat", "--system", "Be brief.", "--stats", text="Hello\n\n/exit\nAnd you?\n")
    assert result.exception is None
    assert result.stdout.endswith("\n")
    assert "there is no command" not in result.output
    assert result.stderr.count(" tokens at ") == 3
    assert ">" not in result.stderr
    assert "\x1b" not in result.output


def test_the_first_line_on_stderr_says_which_model_talks_and_how(
    run: Callable[..., Result], root: Path
) -> None:
    place = root / "checkpoints" / "tiny"
    assert run("chat", "--temperature", "0").stderr == (
        f"tiny, sft step 6 ({place / 'best.pt'}), float32 weights; greedy, at most 8 tokens\n"
    )
    assert run("sample", "--top-k", "3", "--seed", "5").stderr == (
        f"tiny, pretrain step 6 ({place / 'pretrain' / 'best.pt'}), float32 weights; "
        "temperature 1, top-k 3, top-p 1, at most 8 tokens, seed 5\n"
    )


def test_without_a_config_the_only_model_talks_as_its_own_settings_say(
    run: Callable[..., Result], root: Path
) -> None:
    best = Path("checkpoints") / "tiny" / "best.pt"
    root = root / best
    for options in ((), ("--ckpt", str(best)), ("--set", "name=tiny", "--max-new-tokens", "8")):
        assert "at most 8 tokens" in run("chat", *options, config=None).stderr, options
    result = run("chat", "--set", "generation.seed=5", "--temperature", "0.5", config=None)
    assert result.stderr == (
        f"tiny, sft step 6 ({root}), float32 weights; "
        "temperature 0.5, top-k 50, top-p 1, at most 8 tokens, seed 5\n"
    )
    assert "tiny, pretrain step 6" in run("sample", config=None).stderr


def test_of_several_models_none_is_guessed(run: Callable[..., Result], root: Path) -> None:
    shutil.copytree(root / "checkpoints" / "tiny", root / "checkpoints" / "other")
    for command, weights in (("chat", "best.pt"), ("sample", "pretrain/best.pt")):
        wrong = failure(run(command, config=None))
        assert isinstance(wrong, CheckpointError)
        assert f"has 2 models; name one: nielsgpt {command} --ckpt " in str(wrong)
        for name in ("tiny", "other"):
            path = root / "checkpoints" / name / weights
            assert f"nielsgpt {command} --ckpt {path} (" in str(wrong)
            assert run(command, "--ckpt", str(path), config=None).exception is None
    assert run("chat").exception is None
    assert run("chat", "--set", "name=other", config=None).exception is None


def test_where_nothing_was_trained_the_way_out_is_named(run: Callable[..., Result]) -> None:
    shutil.rmtree("checkpoints")
    assert "train one with 'nielsgpt pipeline'" in str(failure(run("chat", config=None)))
    assert "run 'nielsgpt pretrain' first" in str(failure(run("sample", config=None)))


def test_the_speed_is_no_part_of_the_reply(run: Callable[..., Result]) -> None:
    plain, timed = (
        run("chat", "--once", text="Hello"),
        run("chat", "--once", "--stats", text="Hello"),
    )
    assert timed.stdout == plain.stdout
    assert "tokens at" in timed.stderr.splitlines()[1]
    assert len(plain.stderr.splitlines()) == 1


def test_once_takes_all_lines_as_one_message(run: Callable[..., Result]) -> None:
    result = run("chat", "--once", text="Hello\nthere\n")
    assert result.exception is None
    assert result.stdout == run("chat", "--once", text="  Hello\nthere").stdout
    assert "empty" in str(run("chat", "--once", text=" \n").exception)


def test_the_seed_decides_and_the_options_win_over_the_file(run: Callable[..., Result]) -> None:
    def said(*options: str) -> str:
        return run("chat", *options, text="Hello\n").stdout

    assert said("--seed", "1") == said("--seed", "1") == said("--set", "generation.seed=1")
    assert said("--seed", "1") != said("--seed", "2")
    assert said("--seed", "1") == said("--set", "generation.seed=2", "--seed", "1")


def test_a_sample_continues_its_prompt_with_the_pretrained_weights(
    run: Callable[..., Result], root: Path
) -> None:
    result = run("sample", "--prompt", "The keeper")
    assert result.stdout.startswith("The keeper")
    assert len(result.stdout) > len("The keeper\n")
    chatting = str(root / "checkpoints" / "tiny" / "best.pt")
    assert run("sample", "--prompt", "The keeper", "--ckpt", chatting).stdout != result.stdout


def test_several_samples_differ_and_the_first_is_the_only_one_of_one(
    run: Callable[..., Result],
) -> None:
    one = run("sample").stdout
    several = run("sample", "--num-samples", "3").stdout
    texts = [part.partition("\n")[2] for part in several.split("--- ")[1:]]
    assert texts[0] == one
    assert len(set(texts)) == 3


def test_mistakes_are_errors_with_a_way_out(run: Callable[..., Result], root: Path) -> None:
    wrong = failure(run("chat", "--temperature", "-1"))
    assert isinstance(wrong, SettingsError)
    assert "generation.temperature is -1.0" in str(wrong)
    missing = failure(run("chat", "--ckpt", "nowhere.pt"))
    assert isinstance(missing, CheckpointError)
    assert "nowhere.pt" in str(missing)
    assert isinstance(failure(run("chat", text="x" * 400)), DataError)
    (root / "checkpoints" / "tiny" / "pretrain" / "best.pt").unlink()
    assert "run 'nielsgpt pretrain' first" in str(failure(run("sample")))


def test_where_the_system_prompt_leaves_no_room_the_way_out_is_named_and_works(
    run: Callable[..., Result],
) -> None:
    long = "x" * 80
    assert "with --system ''" in str(failure(run("chat", text=long)))
    assert run("chat", "--system", "", text=long).exception is None
