"""Bad input: exit 2, one line that names the thing and the way out, nothing lost."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journeys.conftest import ENVIRONMENT, Command, launch

CHAT = ("--set", 'data.mix_sft={"chat":1.0}', "--set", "data.chat.path=chat.jsonl")
TEXT = ("--set", 'data.mix_pretrain={"text":1.0}', "--set", "data.text.path=text")
PAIR = '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]'


def put(folder: Path, **files: str | bytes) -> None:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


CASES: dict[str, tuple[tuple[str, ...], dict[str, str | bytes], str]] = {
    "an unknown key": (
        ("config", "--set", "modle.n_layer=3"), {}, "unknown key modle (did you mean model?)",
    ),
    "a wrong type": (("config", "--set", "seed=x"), {}, 'seed is "x"'),
    "a missing config": (("pipeline", "-c", "none.json"), {}, "config none.json is not a file"),
    "an unknown source": (
        ("caches", "--set", 'data.mix_sft={"primmer":1.0}'), {},
        "unknown source 'primmer'; did you mean primer?",
    ),
    "a missing text folder": (("caches", *TEXT), {}, "text is not there; put your files there"),
    "an empty corpus": (("caches", *TEXT), {"text__a_DOT_txt": ""}, "holds only empty files"),
    "a corpus shorter than a window": (
        ("pretrain", *TEXT), {"text__a_DOT_txt": "one.\n\ntwo.\n\nthree."},
        "fewer than one window of 129",
    ),
    "text that is not UTF-8": (
        ("caches", *TEXT), {"text__a_DOT_txt": b"caf\xe9 " * 900}, "is not UTF-8: byte 3 is 0xE9",
    ),
    "a special token in text": (
        ("caches", *TEXT), {"text__a_DOT_txt": "a\n\n" * 99 + "x <|eot|> y"},
        "spells the special token <|eot|>",
    ),
    "a broken line": (("caches", *CHAT), {"chat_DOT_jsonl": PAIR + "\n[{"}, "line 2 is not JSON"),
    "an unknown role": (
        ("caches", *CHAT), {"chat_DOT_jsonl": PAIR.replace("user", "bot")},
        "line 1: message 1 has the unknown role 'bot'",
    ),
    "a special token in a conversation": (
        ("caches", *CHAT), {"chat_DOT_jsonl": PAIR.replace('"a"', '"<|asst|>"')},
        "line 1, message 1 spells the special token <|asst|> at character 0",
    ),
    "a vocabulary too large": (
        ("tokenizer", "--set", 'tokenizer={"kind":"sentencepiece","vocab_size":90000}'),
        {}, "tokenizer.vocab_size 90000 is too large for this corpus",
    ),
    "a truncated checkpoint": (
        ("checkpoint", "hash", "x.pt"), {"x_DOT_pt": b"PK\x03\x04 and no more"},
        "x.pt is not a checkpoint that can be read",
    ),
    "a missing checkpoint": (("checkpoint", "hash", "x.pt"), {}, "no checkpoint x.pt"),
    "a missing model": (("chat",), {}, "make pipeline"),
    "a resume from nowhere": (("pretrain", "--resume", "x.pt"), {}, "no checkpoint x.pt"),
    "a device that is not there": (("pretrain", "--device", "cuda"), {}, "device cuda is not on"),
    "a device of no kind": (("config", "--device", "tpu"), {}, 'device.device is "tpu"'),
    "two contradicting options": (
        ("pretrain", "--resume", "x.pt", "--no-resume"), {}, "contradict each other",
    ),
    "an unknown command": (("pipelin",), {}, "No such command 'pipelin'"),
    "a metric of no source": (
        ("pretrain", "--set", "training.pretrain.best_metric=wiki"), {},
        "training.pretrain.best_metric is 'wiki'; it is mix or one of primer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_and_exit_code_2(case: str, home: Path, nielsgpt: Command) -> None:
    words, files, said = CASES[case]
    put(home, **files)
    config = () if words[0] in ("checkpoint", "pipelin") or "-c" in words else ("-c", "tiny.json")
    ran = nielsgpt(words[0], *config, *words[1:])
    assert ran.returncode == 2, ran.stderr
    assert said in ran.stderr.replace("\n", " ")
    assert "Traceback" not in ran.stderr
    errors = [line for line in ran.stderr.splitlines() if line.lower().startswith("error:")]
    assert len(errors) == 1
    assert ran.stderr.splitlines()[-1] == errors[0]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)


def other_tokenizer(folder: Path) -> None:
    meta = folder / "data/tokenizers/tiny/meta.json"
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "fingerprint": "0" * 16}))


DAMAGE: dict[str, tuple[Callable[[Path], None], tuple[str, ...], str]] = {
    "a torn shard": (
        lambda folder: flip(folder / "data/cache/tiny/streams/primer_train.bin"),
        ("pretrain", "--no-resume"), "primer_train.bin is damaged",
    ),
    "a damaged model": (
        lambda folder: flip(folder / "checkpoints/tiny/best.pt"), ("chat", "--once"),
        "best.pt is damaged",
    ),
    "a tokenizer of another name": (other_tokenizer, ("caches",), "is not the one its meta"),
    "a damaged meta": (
        lambda folder: put(folder / "data/cache/tiny/sft", primer_train_DOT_meta_DOT_json="{"),
        ("pretrain", "--no-resume"), "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_found_before_it_does_harm(case: str, trained: Path, tmp_path: Path) -> None:
    damage, words, said = DAMAGE[case]
    folder = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(trained), str(folder)], check=True)
    damage(folder)
    ran = launch(folder, words[0], "-c", "tiny.json", *words[1:], input="hi")
    assert "Traceback" not in ran.stderr
    if said:
        assert ran.returncode == 2, ran.stderr
        assert said in ran.stderr
    else:
        assert ran.returncode == 0, ran.stderr
        assert "building" in ran.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(home: Path, nielsgpt: Command) -> None:
    home.chmod(0o500)
    ran = nielsgpt("tokenizer", "-c", "tiny.json")
    home.chmod(0o700)
    assert ran.returncode == 2
    assert "cannot be written" in ran.stderr


def test_no_disk_space_ends_the_run_with_the_last_checkpoint_intact(
    trained: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(trained), str(folder)], check=True)
    before = launch(folder, "checkpoint", "hash", "checkpoints/tiny/pretrain/latest.pt").stdout
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "from cli.main import main; main()"
    )
    more = ("--set", "training.pretrain.max_steps=8")
    ran = subprocess.run(
        [sys.executable, "-c", code, "pretrain", "-c", "tiny.json", *more],
        cwd=folder, env=ENVIRONMENT, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 1, ran.stderr
    assert "no space left to write" in ran.stderr
    after = launch(folder, "checkpoint", "hash", "checkpoints/tiny/pretrain/latest.pt").stdout
    assert before == after != ""
    done = launch(folder, "pretrain", "-c", "tiny.json", *more)
    assert done.returncode == 0, done.stderr


def test_two_runs_at_once_on_one_folder_the_second_is_refused(home: Path) -> None:
    words = ["-c", "from cli.main import main; main()", "pretrain", "-c", "tiny.json"]
    first = subprocess.Popen(
        [sys.executable, *words, "--set", "training.pretrain.max_steps=100000"],
        cwd=home, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert first.stderr is not None
    for line in first.stderr:
        if "step 3/" in line:
            break
    second = launch(home, "pretrain", "-c", "tiny.json")
    first.kill()
    first.communicate()
    assert second.returncode == 2
    assert f"is in use by process {first.pid}" in second.stderr
