"""Layers, strictness and the words for what is wrong."""

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nielsgpt.config.load import leaves, load, merge
from nielsgpt.config.settings import Settings
from nielsgpt.errors import SettingsError

FULL = {"mix_pretrain": {"text": 0.5, "primer": 0.5}}


def write(path: Path, tree: object) -> Path:
    path.write_text(json.dumps(tree))
    return path


def test_layers_go_defaults_extends_file_set(tmp_path: Path) -> None:
    write(tmp_path / "base.json", {"seed": 1, "model": {"n_layer": 3, "n_head": 2}, "data": FULL})
    over = {"extends": "base.json", "model": {"n_layer": 5}, "data": {"mix_pretrain": {"text": 1}}}
    settings, _ = load(write(tmp_path / "mine.json", over), ["model.n_embd=64", "name=fog"])
    assert settings.seed == 1
    assert (settings.model.n_layer, settings.model.n_head, settings.model.n_embd) == (5, 2, 64)
    assert settings.data.mix_pretrain == {"text": 1.0}
    assert settings.name == "fog"
    assert settings.training.sft == Settings().training.sft


@pytest.mark.parametrize(
    "name",
    [
        *("data.text.path", "data.chat.path", "data.roam.path", "data.alice.path"),
        *("data.names.path", "data.ancients.path", "data.cache_dir"),
        "data.primer.persona",
        *("training.pretrain.init_from", "training.sft.init_from"),
    ],
)
def test_a_tilde_in_the_setting_of_a_path_is_the_home_folder(name: str) -> None:
    settings, _ = load(None, [f"{name}=~/x"])
    assert functools.reduce(getattr, name.split("."), settings) == str(Path.home() / "x")


def test_a_tilde_in_a_glob_is_the_home_folder() -> None:
    settings, _ = load(None, ['tokenizer.input_globs=["~/*.txt", "a/~"]'])
    assert settings.tokenizer.input_globs == [str(Path.home() / "*.txt"), "a/~"]


def test_dicts_merge_and_mixes_replace() -> None:
    below = {"data": {"mix_sft": {"a": 1}, "primer": {"x": 1, "y": 2}}}
    above = {"data": {"mix_sft": {"b": 1}, "primer": {"x": 3}}}
    assert merge(below, above) == {"data": {"mix_sft": {"b": 1}, "primer": {"x": 3, "y": 2}}}


def test_a_phase_keeps_its_own_defaults_when_one_number_is_set() -> None:
    settings, _ = load(None, ["training.sft.batch_size=16"])
    assert settings.training.sft.max_steps == 6000
    assert settings.training.pretrain.max_steps == 17_000


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("model.n_layr=3", r"unknown key model.n_layr \(did you mean model.n_layer\?\)"),
        ("n_layer=3", r"unknown key n_layer \(did you mean model.n_layer\?\)"),
        ("zzz=3", r"unknown key zzz \('nielsgpt config' lists all\)"),
        ("model.n_layer=three", 'model.n_layer is "three": input should be a valid integer'),
        ("model.n_layer=0", "model.n_layer is 0: input should be greater than or equal to 1"),
        ("model.n_head=5", "n_embd 384 is not a multiple of n_head 5"),
        ("model.n_head=128", "head width 3 is odd"),
        ("model.dropout=1e999", "dropout"),
        ('data.mix_sft={"primer":0.4}', "shares of mix_sft add up to 0.4, not to 1"),
        (
            "training.sft.micro_batch_size=5",
            "batch_size 64 is not a multiple of micro_batch_size 5",
        ),
        ("training.sft.min_learning_rate=1", "min_learning_rate 1 is above learning_rate"),
        ("name=a/b", 'name is "a/b"'),
        ("device.device=tpu", 'device.device is "tpu"'),
        ("seed", "--set 'seed' is not of the form"),
        ("model.variant=gpt9", "model.variant"),
    ],
)
def test_what_is_wrong_is_said_by_name_and_value(assignment: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(None, [assignment])


def test_every_unknown_key_is_listed() -> None:
    with pytest.raises(SettingsError, match=r"unknown key model\.aa.*unknown key seeed"):
        load(None, ["model.aa=1", "seeed=2"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not JSON"),
        (b"[1]", r"is \[1\], not an object of sections"),
        (b"\xff\xfe{}", "is not JSON"),
        (b'{"extends": 3}', "extends is 3"),
        (b'{"extends": "none.json"}', "none.json is not a file"),
        (b'{"extends": "mine.json"}', "extends itself"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_a_broken_config_file_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        load(path)


def test_a_missing_config_says_how_to_find_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'ls configs'"):
        load(tmp_path / "none.json")


def test_a_config_that_the_system_refuses_to_open_is_named(
    tmp_path: Path, refused: Callable[[Path], None]
) -> None:
    path = write(tmp_path / "mine.json", {})
    refused(path)
    line = f"config {path} cannot be read (Permission denied); name another"
    with pytest.raises(SettingsError, match=f"^{re.escape(line)}$"):
        load(path)


def test_settings_are_frozen_and_survive_a_round_trip() -> None:
    settings = Settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.seed = 3  # type: ignore[misc]
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


def test_every_knob_has_a_meaning() -> None:
    assert all(meaning for _, meaning in leaves())
    assert len(list(leaves())) > 60


def test_the_founding_documents_config_loads_with_warnings(tmp_path: Path) -> None:
    old = {
        "model": {"V": 256, "T": 256, "C": 256, "L": 4, "H": 4, "d_ff": 1024, "dropout": 0.1},
        "train": {"seed": 42, "B": 32, "total_steps": 1000, "base_lr": 3e-4, "min_lr": 3e-5,
                  "eval_steps": 50, "ckpt_every": 100, "p_train": {"primer": 1.0}},
    }  # fmt: skip
    settings, warnings = load(write(tmp_path / "smoke.json", old))
    phase = settings.training.pretrain
    assert settings.model.context_length == 256
    assert settings.model.n_embd == 256
    assert settings.tokenizer.kind == "byte"
    assert (phase.batch_size, phase.micro_batch_size, phase.max_steps) == (32, 32, 1000)
    assert (phase.learning_rate, phase.eval_batches, phase.checkpoint_every) == (3e-4, 50, 100)
    assert settings.data.mix_pretrain == {"primer": 1.0}
    assert any("T is called context_length now" in warning for warning in warnings)
    assert any("is {model, training, ...} now" in warning for warning in warnings)


def test_accumulation_of_old_configs_becomes_the_batch_size(tmp_path: Path) -> None:
    old = {"training": {"pretrain": {"micro_B": 8, "accum_steps": 4}}}
    settings, warnings = load(write(tmp_path / "old.json", old))
    assert settings.training.pretrain.batch_size == 32
    assert settings.training.pretrain.micro_batch_size == 8
    (warning,) = warnings
    assert "micro_B is called micro_batch_size now" in warning
    assert "times accum_steps are batch_size now" in warning


def test_todays_names_give_no_warning(tmp_path: Path) -> None:
    _, warnings = load(write(tmp_path / "new.json", {"training": {"sft": {"batch_size": 32}}}))
    assert warnings == []


def test_an_old_vocabulary_keeps_the_other_settings_of_the_tokenizer(tmp_path: Path) -> None:
    old = {"model": {"vocab_size": 5000}, "tokenizer": {"algorithm": "unigram"}}
    settings, warnings = load(write(tmp_path / "old.json", old))
    assert settings.tokenizer.vocab_size == 5000
    assert settings.tokenizer.algorithm == "unigram"
    assert any("model.vocab_size is tokenizer.vocab_size now" in warning for warning in warnings)


@pytest.mark.parametrize("tree", [{"train": 5, "model": {}}, {"train": {}, "model": 3}])
def test_an_old_shape_that_is_none_is_still_one_line(tree: object, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"mine\.json"):
        load(write(tmp_path / "mine.json", tree))
