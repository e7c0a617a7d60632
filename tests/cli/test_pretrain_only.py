"""Pretraining alone, on one text: nothing of SFT is built, trained or asked for."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import nielsgpt
from nielsgpt.config.load import load
from nielsgpt.errors import SettingsError
from nielsgpt.tokenizers import registry
from tests.cli.running import make_text, run
from tests.conftest import TINY

TEXT = make_text(200)


@pytest.fixture
def home(root: Path) -> Path:
    (root / "tiny.json").write_text(json.dumps(TINY))
    (root / "x.txt").write_text(TEXT)
    return root


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_the_caches_of_one_text_need_no_config(kind: str, home: Path) -> None:
    ran = run("caches", "--text", "x.txt", "--kind", kind, "--vocab-size", "280")
    assert [path.name for path in (home / "data/cache/text").iterdir()] == ["streams"]
    assert registry.load(home / "data/tokenizers/text").kind == kind
    line = "nielsgpt pretrain --config text.json --set data.text.path=x.txt "
    assert f"next: {line}--set tokenizer.kind={kind} --set tokenizer.vocab_size=280" in ran.output


def test_a_char_vocabulary_of_one_text_is_its_characters_the_bytes_and_the_specials(
    home: Path,
) -> None:
    run("caches", "--text", "x.txt", "--kind", "char")
    assert registry.load(home / "data/tokenizers/text").vocab_size == len(set(TEXT)) + 256 + 4


def test_a_named_config_keeps_its_name(home: Path) -> None:
    run("caches", "--text", "x.txt", "--config", "tiny.json")
    assert (home / "data/cache/tiny/streams/text_train.bin").exists()
    assert not (home / "data/cache/tiny/sft").exists()


def test_a_pipeline_of_pretraining_alone_teaches_no_chats(home: Path) -> None:
    ran = run("pipeline", "--config", "tiny.json", "--only", "pretrain")
    assert [path.name for path in (home / "data/cache/tiny").iterdir()] == ["streams"]
    assert (home / "checkpoints/tiny/pretrain/best.pt").exists()
    assert not (home / "checkpoints/tiny/sft").exists()
    assert "make chat" not in ran.output
    assert "nielsgpt sample" in ran.output
    run("sample", "--config", "tiny.json", "--max-new-tokens", "2")


def test_sft_without_a_mix_says_what_to_give_it(home: Path) -> None:
    ran = CliRunner().invoke(
        nielsgpt, ["sft", "-c", "tiny.json", "--set", "data.mix_sft={}"], obj=[]
    )
    assert isinstance(ran.exception, SettingsError)
    assert "data.mix_sft is empty" in str(ran.exception)


def test_all_the_time_is_pretrainings_where_there_is_no_sft(home: Path) -> None:
    from cli.pipeline import shared
    from nielsgpt.system.workspace import Workspace

    settings, _ = load(None, ["data.mix_sft={}"])
    assert shared(Workspace(home, settings), 10) == {"training": {"pretrain": {"minutes": 10}}}


def test_pretraining_needs_a_mix() -> None:
    with pytest.raises(SettingsError, match="shares of mix_pretrain add up to 0, not to 1"):
        load(None, ["data.mix_pretrain={}"])
