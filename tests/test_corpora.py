"""Sources by name, and what becomes of each conversation."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nielsgpt.corpora import identity, samples, sources, texts
from nielsgpt.errors import DataError, SettingsError
from nielsgpt.settings import Settings
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.tokenizers.units import ByteTokenizer

Tiny = Callable[..., Settings]
CODEC = ByteTokenizer()


def chat(path: Path, *turns: tuple[str, str]) -> None:
    messages = [
        {"role": role, "content": text}
        for pair in turns
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    path.write_text(json.dumps(messages) + "\n")


def own(tiny: Tiny, **over: object) -> Settings:
    data = {"mix_sft": {"chat": 1.0}, "mix_pretrain": {"text": 1.0}, "chat": {"path": "c.jsonl"}}
    return tiny(data={**data, "text": {"path": "t.txt"}, **over})


def test_every_document_ends_with_the_end_token(
    tiny: Tiny, root: Path, tokenizer: Tokenizer
) -> None:
    source = sources(tiny(), "pretrain", root)["primer"]
    found = list(samples(source, "pretrain", tiny(), tokenizer))
    assert len(found) > 50
    for sample, text in zip(found, texts(source), strict=True):
        assert tokenizer.decode(sample.ids) == text
        assert sample.ids[-1] == tokenizer.specials.end
        assert sample.text_bytes == len(text.encode())


def test_a_long_conversation_is_cut_between_turns_and_stays_on_one_side(
    tiny: Tiny, root: Path
) -> None:
    chat(root / "c.jsonl", *[(f"question {n} " + "x" * 30, "answer " * 4) for n in range(6)])
    source = sources(own(tiny), "sft", root)["chat"]
    found = list(samples(source, "sft", own(tiny), CODEC))
    assert len(found) == 6
    assert len({sample.key for sample in found}) == 1
    assert all(len(sample.ids) <= 129 for sample in found)
    assert sum(sum(sample.mask or ()) for sample in found) == 6 * (len("answer ") * 4 + 1)
    assert [s.text_bytes for s in found] == [len(CODEC.decode_bytes(s.ids)) for s in found]


def test_what_does_not_fit_is_left_out_and_said(
    tiny: Tiny, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chat(root / "c.jsonl", ("short", "yes"), ("long " * 40, "no"))
    source = sources(own(tiny), "sft", root)["chat"]
    found = list(samples(source, "sft", own(tiny), CODEC))
    assert [CODEC.decode(sample.ids) for sample in found] == ["shortyes"]
    assert "source chat: 1 of 2 replies left out" in caplog.text


def test_conversations_that_never_fit_are_an_error(tiny: Tiny, root: Path) -> None:
    chat(root / "c.jsonl", ("long " * 40, "no"))
    source = sources(own(tiny), "sft", root)["chat"]
    with pytest.raises(DataError, match=r"holds no exchange .* raise model.context_length"):
        list(samples(source, "sft", own(tiny), CODEC))


def test_a_special_literal_in_a_conversation_can_drop_it(tiny: Tiny, root: Path) -> None:
    chat(root / "c.jsonl", ("what is <|eot|>?", "a token"))
    with (root / "c.jsonl").open("a") as file:
        file.write((root / "c.jsonl").read_text().replace("<|eot|>", "a lamp"))
    kept = own(tiny, on_special_literal_sft="drop")
    found = list(samples(sources(kept, "sft", root)["chat"], "sft", kept, CODEC))
    assert [CODEC.decode(sample.ids) for sample in found] == ["what is a lamp?a token"]


def test_an_unknown_source_is_named_with_the_nearest(tiny: Tiny, root: Path) -> None:
    settings = tiny(data={"mix_sft": {"chatt": 1.0}})
    with pytest.raises(SettingsError, match="unknown source 'chatt'; did you mean chat"):
        sources(settings, "sft", root)


def test_the_identity_changes_with_what_decides_the_samples(tiny: Tiny, root: Path) -> None:
    def of(settings: Settings) -> str:
        return identity(sources(settings, "sft", root)["primer"], "sft", settings)

    assert of(tiny()) == of(tiny(training={"sft": {"max_steps": 9}}))
    assert of(tiny()) != of(tiny(seed=7))
    assert of(tiny()) != of(tiny(model={"context_length": 64}))
    assert of(tiny()) != of(tiny(data={"primer": {"dialogues": 4}}))


def test_the_primer_is_as_large_as_asked_and_never_repeats_a_document(
    tiny: Tiny, root: Path
) -> None:
    settings = tiny(data={"primer": {"characters": 500_000, "dialogues": 700}})
    told = list(texts(sources(settings, "pretrain", root)["primer"]))
    assert 500_000 <= sum(map(len, told)) < 502_000
    assert len(set(told)) == len(told)
    assert len(list(texts(sources(settings, "sft", root)["primer"]))) == 700
