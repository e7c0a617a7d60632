"""Tokenizer reports against counts made by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from nielsgpt.config.settings import ModelSettings
from nielsgpt.model.gpt import GPT, flops_per_token, head_shares, parameter_count
from nielsgpt.model.variants import VARIANTS
from nielsgpt.report import tokenizer_report
from nielsgpt.report.unicode_scripts import OTHER, SCRIPTS, classify_bytes
from nielsgpt.tokenizers import bpe, char, word
from nielsgpt.tokenizers.byte import ByteTokenizer

SHAPE = ModelSettings(n_layer=2, n_head=2, n_embd=16, context_length=32)
ROW = {name: number for number, name in enumerate(SCRIPTS)}


def test_totals_and_rates_are_those_of_the_text() -> None:
    tokenizer = char.train(["abc \u00e9"], 1000)
    report = tokenizer_report.measure(
        tokenizer, {"one": ["abc", "a\u00e9"], "two": ["\u4e2d"]}, SHAPE
    )
    one = {"tokens": 5, "characters": 5, "bytes": 6, "fallback_rate": 0.0}
    rates = {"tokens_per_byte": 5 / 6, "tokens_per_character": 1.0}
    assert report["sources"]["one"] == one | rates
    assert report["combined"]["tokens"] == 8
    assert report["combined"]["bytes"] == 9
    assert report["combined"]["fallback_rate"] == 3 / 8
    assert report["sources"]["two"]["fallback_rate"] == 1.0


def test_the_most_frequent_tokens_come_first_and_unseen_ones_are_left_out() -> None:
    tokenizer = char.train(["abc\n"], 1000)
    report = tokenizer_report.measure(tokenizer, {"text": ["bb\nb", "a\n"]}, SHAPE)
    assert report["top"] == [[2, 3, "'b'"], [0, 2, "'\\n'"], [1, 1, "'a'"]]
    many = "".join(chr(0x4E00 + n) for n in range(30))
    top = tokenizer_report.measure(char.train([many], 1000), {"text": [many]}, SHAPE)["top"]
    assert len(top) == 20


def test_special_tokens_are_counted_and_never_encoded_from_text() -> None:
    report = tokenizer_report.measure(ByteTokenizer(), {"text": ["<|eot|> <|sys|>"]}, SHAPE)
    assert report["specials"] == dict.fromkeys(["<|sys|>", "<|usr|>", "<|asst|>", "<|eot|>"], 0)


@pytest.mark.parametrize("text", ["", "the \u043b\u043e\u0434\u043a\u0430 \u4e2d 12 \U0001f600!"])
def test_every_byte_has_one_script(text: str) -> None:
    assert len(classify_bytes(text)) == len(text.encode())


def test_spaces_and_punctuation_belong_to_the_letter_that_follows() -> None:
    scripts = classify_bytes("ab, \u0436 7 \u4e2d. ").tolist()
    latin, cyrillic, digit, cjk = (ROW[name] for name in ("Latin", "Cyrillic", "digits", "CJK"))
    assert scripts == [latin] * 2 + [cyrillic] * 4 + [digit] * 2 + [cjk] * 4 + [OTHER] * 2


def test_each_sample_is_written_in_its_script() -> None:
    for name, script in SCRIPTS.items():
        if script.ranges:
            share = np.mean(classify_bytes(script.sample) == ROW[name])
            assert share > 0.8, (name, share)


def test_a_token_counts_for_the_script_in_which_it_begins() -> None:
    tokenizer = word.train(
        ["lamp \u043b\u043e\u0434\u043a\u0430 lamp \u043b\u043e\u0434\u043a\u0430"], 262
    )
    text = "lamp \u043b\u043e\u0434\u043a\u0430 lamp"
    assert len(tokenizer.encode(text)) == 6  # "lamp" in bytes, and two words
    report = tokenizer_report.measure(tokenizer, {"text": [text]}, SHAPE)
    assert report["scripts_of_text"] == {"Latin": 5 / 9, "Cyrillic": 1 / 11}


def test_the_scripts_of_a_text_add_up_to_the_whole() -> None:
    tokenizer = bpe.train([script.sample for script in SCRIPTS.values()] * 2, 400)
    tally = tokenizer_report.Tally(tokenizer)
    tally.add([script.sample for script in SCRIPTS.values()])
    assert tally.script_tokens.sum() == tally.ids.sum()
    assert tally.script_bytes.sum() == tally.bytes


def test_bytes_cost_one_token_a_byte_in_every_script() -> None:
    report = tokenizer_report.measure(ByteTokenizer(), {"text": ["\u4e2d 1"]}, SHAPE)
    assert report["scripts_of_samples"] == dict.fromkeys(SCRIPTS, 1.0)
    assert report["scripts_of_text"] == {"CJK": 1.0, "digits": 1.0}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("tied", [True, False])
def test_the_cost_of_the_head_matches_a_real_model(variant: str, tied: bool) -> None:
    shape = SHAPE.model_copy(update={"variant": variant, "tied": tied})
    model = GPT(shape, 300)
    shares = head_shares(shape, 300)
    assert shares["of_parameters"] == parameter_count(model)
    assert shares["parameters"] == 300 * 16 / parameter_count(model)
    smaller = flops_per_token(model) - flops_per_token(GPT(shape, 200))
    assert shares["flops"] == pytest.approx(3 * smaller / flops_per_token(model))


def test_the_report_is_plain_json_and_prints_as_lines() -> None:
    tokenizer = bpe.train(["the lamp, the lamp and the keeper"] * 4, 265)
    report = tokenizer_report.measure(tokenizer, {"story": ["the lamp \u00e9"]}, SHAPE)
    assert json.loads(json.dumps(report)) == report
    printed = "\n".join(tokenizer_report.format_report(report))
    for part in ("[combined] tokens=", "[story]", "Cyrillic", "<|eot|> 0", r"'\xc3'", "head: "):
        assert part in printed


def test_the_picture_is_the_same_file_every_time(tmp_path: Path) -> None:
    report = tokenizer_report.measure(ByteTokenizer(), {"text": ["\u0915\u4e2d the $x$"]}, SHAPE)
    for name in ("a.png", "b.png"):
        tokenizer_report.draw(report, tmp_path / name)
    first = (tmp_path / "a.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert first == (tmp_path / "b.png").read_bytes()


def test_a_token_across_scripts_counts_for_the_first_one() -> None:
    tokenizer = word.train(["ab12 ab12 ab12"], 261)
    report = tokenizer_report.measure(tokenizer, {"text": ["x ab12"]}, SHAPE)
    assert report["scripts_of_text"] == {"Latin": 2 / 4, "digits": 0 / 2}
