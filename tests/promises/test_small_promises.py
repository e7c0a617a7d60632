"""Promises of the founding documents that are small: an option, a config, a line, a call."""

import functools
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nielsgpt.config.load import load
from nielsgpt.config.settings import Settings
from nielsgpt.errors import TokenizerError
from nielsgpt.inference.library import generate
from nielsgpt.model.gpt import GPT
from nielsgpt.tokenizers import bpe, registry
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.training.optimizer import Optimizer
from tests.cli.running import make_text, run
from tests.conftest import CORPUS, TINY

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@pytest.fixture
def home(root: Path) -> Path:
    (root / "tiny.json").write_text(json.dumps(TINY))
    (root / "x.txt").write_text(make_text(99))
    return root


P = "training.pretrain"
SHIPPED: dict[str, dict[str, Any]] = {
    "smoke.json": {},
    "train.json": {f"{P}.max_steps": 20_000},
    "pretrain.json": {f"{P}.max_steps": 20_000, "data.mix_sft": {}},
    "pretrain_smoke.json": {f"{P}.max_steps": 1000, "data.mix_sft": {}},
    "pipeline.json": {f"{P}.max_steps": 20_000, "training.sft.max_steps": 3000},
    "sft.json": {"name": "pipeline", "training.sft.max_steps": 3000},
    "tinystories.json": {"data.mix_pretrain": {"tinystories": 0.9, "primer": 0.1}},
    "m1_tiny.json": {
        "model.n_layer": 4,
        "model.n_head": 4,
        "model.n_embd": 128,
        "model.dropout": 0.1,
        "model.context_length": 128,
        f"{P}.batch_size": 32,
        f"{P}.weight_decay": 0.05,
        f"{P}.learning_rate": 2e-4,
        f"{P}.eval_every": 100,
        f"{P}.eval_batches": 100,
    },
    "m1_small.json": {
        "model.n_layer": 6,
        "model.n_head": 8,
        "model.n_embd": 256,
        "model.dropout": 0.1,
        "model.context_length": 256,
        f"{P}.batch_size": 32,
        f"{P}.weight_decay": 0.05,
        f"{P}.learning_rate": 2e-4,
        f"{P}.eval_every": 100,
        f"{P}.eval_batches": 200,
    },
    "m1_regularized.json": {
        "model.dropout": 0.2,
        f"{P}.weight_decay": 0.1,
        f"{P}.label_smoothing": 0.1,
        "model.tied": True,
        f"{P}.schedule": "warmup_cosine",
        f"{P}.warmup_steps": 100,
        f"{P}.min_learning_rate": 1e-5,
        "model.n_embd": 256,
    },
}


@pytest.mark.parametrize("name", SHIPPED)
def test_each_config_that_a_document_names_ships_with_its_numbers(name: str) -> None:
    settings, warnings = load(CONFIGS / name)
    found = {
        key: functools.reduce(getattr, key.split("."), settings)  # type: ignore[arg-type]
        for key in SHIPPED[name]
    }
    assert found == SHIPPED[name]
    assert warnings == []


def test_the_first_line_of_training_names_all_that_decides_a_step(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "nielsgpt"):
        run("pretrain", "-c", "tiny.json", "--set", f"{P}.activation_checkpointing=true")
    (line,) = [record.message for record in caplog.records if "parameters on" in record.message]
    for told in (
        *("pretrain: 0.0M parameters on cpu", "fp32", "micro-batches of 2 x 2 accumulated"),
        *("= batches of 4", "activation checkpointing on", "all 6 steps of 4 x 128 tokens"),
    ):
        assert told in line


def test_random_weights_write_text_without_any_training(home: Path) -> None:
    words = ("sample", "-c", "tiny.json", "--untrained", "--prompt", "The keeper")
    ran = run(*words, "--max-new-tokens", "5", "--seed", "1")
    assert ran.stdout.startswith("The keeper")
    assert "tiny, untrained: random weights, byte tokens" in ran.stderr
    assert not (home / "checkpoints").exists()


def test_an_untrained_model_reads_the_tokenizer_that_is_there(home: Path) -> None:
    run("tokenizer", "-c", "tiny.json", "--kind", "char")
    ran = run("sample", "-c", "tiny.json", "--untrained", "--max-new-tokens", "2")
    assert "random weights, char tokens" in ran.stderr


def test_a_tokenizer_is_trained_on_one_file_alone_and_put_where_one_likes(home: Path) -> None:
    run("tokenizer", "--file", "x.txt", "--kind", "char", "--out", "mine/here", "--seed", "7")
    made = registry.load(home / "mine/here")
    letters = set((home / "x.txt").read_text())
    assert made.vocab_size == len(letters) + 256 + 4
    meta = registry.read_meta(home / "data/tokenizers/text")
    assert meta is not None
    assert list(meta["trained_on"]) == ["pretrain/text"]


def test_a_pair_of_vocabulary_and_merges_is_read_and_written(tmp_path: Path) -> None:
    trained = bpe.train(CORPUS, 300)
    vocab, merges = tmp_path / "vocab.json", tmp_path / "merges.txt"
    trained.save_files(vocab, merges)
    again = bpe.BpeTokenizer.from_files(vocab, merges)
    for text in (*CORPUS[:3], "Hello world", ""):
        assert again.encode(text) == trained.encode(text)
        assert again.decode(again.encode(text)) == text
    assert again.vocab_size == 300
    lines = merges.read_text().splitlines()
    merges.write_text("\n".join(lines[1:]))  # Minimal LM writes no heading
    assert bpe.BpeTokenizer.from_files(vocab, merges).fingerprint == again.fingerprint


@pytest.mark.parametrize("broken", ["vocab", "merges", "absent"])
def test_a_broken_pair_is_named(broken: str, tmp_path: Path) -> None:
    vocab, merges = tmp_path / "vocab.json", tmp_path / "merges.txt"
    bpe.train(CORPUS, 300).save_files(vocab, merges)
    if broken == "vocab":
        vocab.write_text("[]")
    elif broken == "merges":
        merges.write_text("one two three\n")
    else:
        merges.unlink()
    with pytest.raises(TokenizerError, match=r"vocab\.json and .*merges\.txt are no BPE model"):
        bpe.BpeTokenizer.from_files(vocab, merges)


def test_generation_is_one_call_of_a_library(
    lively: Callable[..., GPT], tokenizer: Tokenizer
) -> None:
    model, ids = lively("gpt_plus"), [1, 2, 3]
    found = generate(model, ids, max_new_tokens=50)
    assert found.dtype == torch.long
    assert found[:3].tolist() == ids
    assert len(found) == 53
    assert isinstance(tokenizer.decode(found[found < 256].tolist()), str)
    assert torch.equal(found, generate(model, np.array(ids), max_new_tokens=50))
    greedy = generate(model, ids, max_new_tokens=5, temperature=0.0)
    assert torch.equal(greedy, generate(model, ids, max_new_tokens=5, temperature=0.0, seed=7))


def test_generation_needs_something_to_continue(lively: Callable[..., GPT]) -> None:
    with pytest.raises(ValueError, match="at least one id"):
        generate(lively("gpt"), [])


def test_micro_training_says_first_whether_the_loops_are_compiled(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("micro", "download", "names", "--invent")
    monkeypatch.setenv("MICROGPT_VERIFY_JIT", "1")
    words = ("micro", "train", "--steps", "2", "--backend", "python")
    assert run(*words).output.splitlines()[1].startswith("JIT verification: ")
    monkeypatch.delenv("MICROGPT_VERIFY_JIT")
    assert "JIT verification" not in run(*words).output


@pytest.mark.parametrize("stage", ["mix", "train"])
def test_a_stage_is_done_again_by_minimal_lms_name(stage: str, home: Path) -> None:
    only = ("--set", "data.mix_sft={}")
    run("pipeline", "-c", "tiny.json", *only)
    run("pipeline", "-c", "tiny.json", *only, "--rebuild", stage)
    place = {"mix": home / "data/cache/tiny", "train": home / "checkpoints/tiny"}[stage]
    kept = {"mix": "streams-", "train": "pretrain-"}[stage]
    assert any(path.name.startswith(kept) for path in place.iterdir())


def test_the_head_and_the_embedding_are_tied_unless_told_otherwise() -> None:
    assert Settings().model.tied


def test_the_recommendation_is_the_fast_variant_unless_quality_is_asked_for(home: Path) -> None:
    run("caches", "-c", "tiny.json")
    assert "model gpt_fast, device cpu" in run("recommend", "-c", "tiny.json").output
    words = ("recommend", "-c", "tiny.json", "--priority", "quality", "--device", "mps")
    told = run(*words, "--device-memory-gb", "16").output
    assert "model gpt_plus, device mps" in told
    assert "of 16.0 GiB" in told


def test_ancients_have_the_documented_share_and_delay() -> None:
    ancients = Settings().data.ancients
    assert (ancients.ancient_share, ancients.delay_seconds) == (0.4, 0.3)


def test_the_gradient_is_clipped_to_its_norm(lively: Callable[..., GPT]) -> None:
    model = lively("gpt_qk")
    optimizer = Optimizer(model, Settings().training.pretrain.model_copy(update={"grad_clip": 0.5}))
    (100 * model(torch.randint(300, (2, 8))).square().mean()).backward()
    assert optimizer.clip() > 0.5
    norms = [p.grad.norm() for p in model.parameters() if p.grad is not None]
    assert torch.stack(norms).norm() == pytest.approx(0.5, rel=1e-3)
