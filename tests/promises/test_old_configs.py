"""The founding documents' configs load, and mean what their documents say."""

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import nielsgpt
from nielsgpt.config.load import load
from nielsgpt.config.settings import Settings
from nielsgpt.errors import SettingsError

CONFIGS = Path(__file__).parent / "configs"
WIKI = {"wikitext": 0.784, "roam": 0.196, "primer": 0.02}
RECIPE = {
    "training.pretrain.optimizer": "adamw",
    "training.pretrain.beta1": 0.9,
    "training.pretrain.beta2": 0.95,
    "training.pretrain.weight_decay": 0.1,
    "training.pretrain.schedule": "warmup_cosine",
    "training.pretrain.learning_rate": 3e-4,
    "training.pretrain.min_learning_rate": 3e-5,
    "training.pretrain.warmup_steps": 200,
    "training.pretrain.grad_clip": 1.0,
    "training.pretrain.eval_every": 200,
    "training.pretrain.checkpoint_every": 1000,
    "training.pretrain.log_every": 50,
    "training.sft.optimizer": "adamw",
    "training.sft.schedule": "warmup_cosine",
    "tokenizer.kind": "byte",
    "model.variant": "gpt_rope",
    "model.n_layer": 6,
    "model.n_head": 4,
    "model.n_embd": 384,
    "model.rope_theta": 10_000.0,
    "model.tied": True,
    "seed": 42,
}
DOCUMENT_002 = {
    **RECIPE,
    "training.pretrain.batch_size": 32,
    "training.pretrain.micro_batch_size": 32,
    "training.pretrain.best_metric": "wikitext",
    "model.context_length": 256,
    "data.mix_pretrain": WIKI,
    "device.precision": "fp32",
}
MEANT: dict[str, dict[str, Any]] = {
    "002_smoke.json": {
        **DOCUMENT_002,
        "training.pretrain.max_steps": 1000,
        "training.pretrain.eval_batches": 50,
    },
    "002_train.json": {
        **DOCUMENT_002,
        "training.pretrain.max_steps": 20_000,
        "training.pretrain.eval_batches": 100,
    },
    "000_amp.json": {
        **RECIPE,
        "model.context_length": 384,
        "device.precision": "fp16",
        "training.pretrain.activation_checkpointing": False,
        "training.pretrain.batch_size": 64,
    },
}


def value(settings: Settings, name: str) -> Any:
    return functools.reduce(getattr, name.split("."), settings)


def read(tmp_path: Path, tree: object) -> tuple[Settings, list[str]]:
    (tmp_path / "old.json").write_text(json.dumps(tree))
    return load(tmp_path / "old.json")


@pytest.mark.parametrize("name", MEANT)
def test_a_documents_config_means_what_its_document_says(name: str) -> None:
    settings, warnings = load(CONFIGS / name)
    assert {key: value(settings, key) for key in MEANT[name]} == MEANT[name]
    assert len(warnings) == 1
    assert "\n" not in warnings[0]


def test_every_kept_config_is_checked() -> None:
    assert {file.name for file in CONFIGS.iterdir()} == set(MEANT)


def test_the_warning_lists_each_thing_that_was_translated() -> None:
    _, (warning,) = load(CONFIGS / "002_smoke.json")
    for told in (
        *("B is called batch_size now", "base_lr is called learning_rate now"),
        *("source wiki is wikitext now", "{model, train} is {model, training, ...} now"),
        "AdamW, warm-up and cosine",
    ):
        assert told in warning


@pytest.mark.parametrize(
    ("train", "batch", "rows"),
    [
        ({"B": 8, "accum_steps": 4}, 32, 8),
        ({"micro_B": 4, "accum_steps": 4}, 16, 4),
        ({"accum_steps": 4}, 64, 16),
        ({"B": 8}, 8, 8),
        ({"micro_B": 8}, 8, 8),
    ],
)
def test_rows_at_once_times_accumulation_is_the_batch(
    train: dict[str, int], batch: int, rows: int, tmp_path: Path
) -> None:
    phase = read(tmp_path, {"train_cfg": train})[0].training.pretrain
    assert (phase.batch_size, phase.micro_batch_size) == (batch, rows)
    if "accum_steps" in train:
        settings, _ = read(tmp_path, {"training": {"sft": train}})
        assert settings.training.sft.batch_size == batch


def test_accumulation_alone_multiplies_the_documents_own_batch(tmp_path: Path) -> None:
    settings, _ = read(tmp_path, {"train": {"accum_steps": 2}})
    assert settings.training.pretrain.batch_size == 64
    assert settings.training.pretrain.micro_batch_size == 32


@pytest.mark.parametrize(
    ("amp", "precision"),
    [
        ({"amp": True, "amp_dtype": "bf16"}, "bf16"),
        ({"amp": True}, "fp16"),
        ({"amp": False, "amp_dtype": "fp16"}, "fp32"),
        ({}, "fp32"),
    ],
)
def test_amp_is_the_precision(amp: dict[str, object], precision: str, tmp_path: Path) -> None:
    assert read(tmp_path, {"train_cfg": amp})[0].device.precision == precision
    if amp:
        today = {"training": {"pretrain": amp}, "data": {"workers": 3}}
        assert read(tmp_path, today)[0].device.precision == precision


def test_a_config_that_names_a_mix_for_chats_gives_its_numbers_to_sft(tmp_path: Path) -> None:
    old = {"train_cfg": {"mix_sft": {"dolly": 1.0}, "total_steps": 7}}
    settings, _ = read(tmp_path, old)
    assert settings.training.sft.max_steps == 7
    assert settings.data.mix_sft == {"dolly": 1.0}
    settings, (warning,) = read(tmp_path, {"train_cfg": {"allow_missing_idx": True, "B": 4}})
    assert settings.training.sft.batch_size == 4
    assert settings.training.pretrain.batch_size == 64
    assert "allow_missing_idx is not needed" in warning


def test_the_folders_of_caches_are_kept(tmp_path: Path) -> None:
    settings, _ = read(tmp_path, {"train_cfg": {"streams_cache_dir": "a/b"}})
    assert settings.data.cache_dir == "a/b"
    both = {"train_cfg": {"streams_cache_dir": "a/b", "cache_dir": "c"}}
    assert read(tmp_path, both)[0].data.cache_dir == "c"


def test_a_vocabulary_of_pieces_is_sentencepiece_and_one_of_256_is_bytes(tmp_path: Path) -> None:
    settings, _ = read(tmp_path, {"model_cfg": {"V": 16_000, "C": 64}, "train_cfg": {}})
    assert (settings.tokenizer.kind, settings.tokenizer.vocab_size) == ("sentencepiece", 16_000)
    assert settings.model.n_embd == 64
    assert read(tmp_path, {"model": {"V": 256}, "train": {}})[0].tokenizer.kind == "byte"


def test_sections_of_today_stand_beside_an_old_shape(tmp_path: Path) -> None:
    old = {"name": "fog", "train": {"B": 8}, "data": {"workers": 2}, "device": {"device": "cpu"}}
    settings, _ = read(tmp_path, old)
    assert (settings.name, settings.data.workers, settings.device.device) == ("fog", 2, "cpu")
    assert settings.device.precision == "fp32"


def test_a_config_of_today_keeps_todays_recipe(tmp_path: Path) -> None:
    tree = {"training": {"pretrain": {"batch_size": 8}}, "model": {"n_layer": 2}}
    settings, warnings = read(tmp_path, tree)
    assert warnings == []
    assert settings.training.pretrain.optimizer == "muon"
    assert settings.training.pretrain.micro_batch_size == 0
    assert settings.device.precision == "auto"


@pytest.mark.parametrize(
    ("tree", "named"),
    [
        ({"train": {"momentum": 1}}, "unknown key training.pretrain.momentum"),
        ({"train": {"accum_steps": "four"}}, "training.pretrain.grad_accum_steps"),
        ({"train": {"betas": 3}}, "unknown key training.pretrain.betas"),
        ({"training": {"pretrain": {"amp": True}}, "device": 5}, ""),
        ({"train_cfg": {"amp_dtype": "fp8"}}, 'device.precision is "fp8"'),
        ({"training": {"pretrain": {"seed": 3}}}, "unknown key training.pretrain.seed"),
    ],
)
def test_a_mistake_in_an_old_config_is_still_one_line(
    tree: object, named: str, tmp_path: Path
) -> None:
    if not named:
        assert read(tmp_path, tree)[0].device.precision == "fp16"
        return
    with pytest.raises(SettingsError, match=named):
        read(tmp_path, tree)


def test_a_config_of_an_old_shape_trains_with_its_recipe(root: Path) -> None:
    old = {
        "name": "old",
        "model": {"C": 32, "L": 1, "H": 2, "T": 64},
        "train": {"B": 2, "accum_steps": 2, "total_steps": 3, "p_train": {"primer": 1.0}},
        "data": {"primer": {"characters": 30_000}},
        "device": {"device": "cpu", "measure": False, "compile": "off"},
        "training": {"report": False},
    }
    (root / "old.json").write_text(json.dumps(old))
    ran = CliRunner().invoke(nielsgpt, ["pretrain", "-c", "old.json"], obj=[])
    assert ran.exit_code == 0, ran.output
    assert ran.stderr.count("warning: ") == 1
    (meta_file,) = (root / "runs").glob("*/run_meta.json")
    meta = json.loads(meta_file.read_text())
    assert meta["train_config"]["optimizer"] == "adamw"
    assert meta["train_config"]["schedule"] == "warmup_cosine"
    assert meta["tokens_per_step"] == 4 * 64
    assert (meta["arch"], meta["steps"]) == ("gpt_rope", 3)
