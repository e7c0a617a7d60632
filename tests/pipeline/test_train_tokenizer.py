"""The tokenizer as a stage: on which text it is trained, and when it is trained again."""

import itertools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nielsgpt.config.settings import Settings
from nielsgpt.conversation import Conversation, Document, Message
from nielsgpt.data.cache.build import hash_to_unit
from nielsgpt.data.catalog import Source
from nielsgpt.errors import DataError
from nielsgpt.pipeline import train_tokenizer
from nielsgpt.pipeline.train_tokenizer import Share
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers import registry
from nielsgpt.tokenizers.char import CharTokenizer

Tiny = Callable[..., Settings]
CHARACTERS = {"kind": "char", "vocab_size": 2000, "training_characters": 20_000}


def marked(settings: Settings) -> tuple[list[str], set[str]]:
    """Documents with a character of their own each, and the characters that are held out."""
    texts = [chr(0x4E00 + number) + " stands alone" for number in range(300)]
    held_out = {t[0] for t in texts if hash_to_unit(settings.seed, t) <= settings.data.val_fraction}
    assert 5 < len(held_out) < 100
    return texts, held_out


def test_the_tokenizer_learns_nothing_of_the_documents_that_are_held_out(
    tiny: Tiny, root: Path
) -> None:
    data = {"mix_pretrain": {"text": 1.0}, "text": {"path": "t", "split_by": "file"}}
    settings = tiny(tokenizer=CHARACTERS, data=data)
    texts, held_out = marked(settings)
    (root / "t").mkdir()
    for number, text in enumerate(texts):
        (root / "t" / f"{number:03}.txt").write_text(text, "utf-8")
    made = train_tokenizer.train(Workspace(root, settings))
    assert isinstance(made, CharTokenizer)
    assert {c for c in made.vocabulary if ord(c) >= 0x4E00} == {
        text[0] for text in texts
    } - held_out


def shared(*items: Document | Conversation, most: float = 1e9, in_bytes: bool = False) -> Share:
    return Share("s", Source("s", [], lambda: iter(items)), most, in_bytes)  # type: ignore[arg-type]


def test_a_dataset_of_its_own_split_keeps_it(tiny: Tiny) -> None:
    items = [Document(f"text {n}", side=("train", "val")[n % 2]) for n in range(100)]  # type: ignore[arg-type]
    found = list(train_tokenizer.texts(shared(*items), tiny(), "train"))
    assert found == [f"text {n}" for n in range(0, 100, 2)]
    assert len(list(train_tokenizer.texts(shared(*items), tiny()))) == 100


def test_conversations_of_a_group_are_trained_on_or_held_out_together(tiny: Tiny) -> None:
    settings = tiny()
    items = [
        Conversation(
            (Message("user", f"question {n}"), Message("assistant", "yes")), "", f"g{n % 40}"
        )
        for n in range(200)
    ]
    held_out = set(train_tokenizer.texts(shared(*items), settings, "val"))
    for number in range(40):
        of_group = {f"question {n}\nyes" for n in range(number, 200, 40)}
        falls = hash_to_unit(settings.seed, f"g{number}") <= settings.data.val_fraction
        assert of_group & held_out == (of_group if falls else set())
    assert held_out


def test_a_text_that_is_escaped_falls_to_the_side_of_what_is_cached(tiny: Tiny) -> None:
    settings = tiny(data={"on_special_literal": "escape"})
    items = [Document(f"{n} <|eot|>") for n in range(200)]
    escaped = [f"{n} <\\|eot\\|>" for n in range(200)]
    places = [hash_to_unit(settings.seed, text) for text in escaped]
    wanted = [items[n].text for n in range(200) if places[n] <= settings.data.val_fraction]
    assert list(train_tokenizer.texts(shared(*items), settings, "val")) == wanted != []


@pytest.mark.parametrize(("in_bytes", "texts"), [(False, 5), (True, 3)])
def test_a_share_ends_with_the_document_that_fills_it(
    tiny: Tiny, in_bytes: bool, texts: int
) -> None:
    items = [Document("\u00e9" * 10, side="train")] * 50
    found = list(train_tokenizer.texts(shared(*items, most=50, in_bytes=in_bytes), tiny()))
    assert len(found) == texts


def test_the_meta_says_what_it_was_trained_on(tiny: Tiny, root: Path) -> None:
    (root / "a.txt").write_text("one two\n\n" * 100)
    over = CHARACTERS | {"input_globs": ["*.txt"]}
    workspace = Workspace(root, tiny(tokenizer=over))
    train_tokenizer.train(workspace)
    meta = registry.read_meta(workspace.tokenizer)
    assert meta is not None
    assert list(meta["trained_on"]) == ["input_globs", "pretrain/primer", "sft/primer"]
    for name in ("pretrain/primer", "sft/primer"):
        assert 10_000 <= meta["trained_on"][name]["characters"] < 12_000
        assert meta["trained_on"][name]["documents"] > 5
    assert 700 <= meta["trained_on"]["input_globs"]["characters"] <= 900


def test_a_pattern_without_a_file_is_a_line_with_pattern_and_folder(tiny: Tiny, root: Path) -> None:
    (root / "a.txt").write_text("text")
    over = CHARACTERS | {"input_globs": ["*.txt", "books/**/*.txt"]}
    with pytest.raises(DataError) as caught:
        train_tokenizer.train(Workspace(root, tiny(tokenizer=over)))
    assert "'books/**/*.txt' matches no file" in str(caught.value)
    assert str(root.resolve()) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_patterns_find_files_at_any_depth_and_each_once(tiny: Tiny, root: Path) -> None:
    (root / "books" / "old").mkdir(parents=True)
    (root / "books" / "old" / "a.txt").write_text("\u4e00" * 50)
    (root / "b.txt").write_text("\u4e01" * 50)
    patterns = ["books/**/*.txt", "books/old/*", str(root.resolve() / "b.txt")]
    workspace = Workspace(root, tiny(tokenizer=CHARACTERS | {"input_globs": patterns}))
    made = train_tokenizer.train(workspace)
    assert isinstance(made, CharTokenizer)
    assert {"\u4e00", "\u4e01"} <= set(made.vocabulary)
    counts = (registry.read_meta(workspace.tokenizer) or {})["trained_on"]["input_globs"]
    assert counts["characters"] == 100


def test_wikitext_and_fineweb_are_read_where_they_are_asked_for(tiny: Tiny, root: Path) -> None:
    over = CHARACTERS | {"include_wikitext": True, "fineweb_bytes": 5_000}
    named = {name: {"revision": "0" * 40} for name in ("wikitext", "fineweb_edu")}  # asks nobody
    shares = train_tokenizer.training_shares(Workspace(root, tiny(tokenizer=over, data=named)))
    found = [(share.name, share.most, share.in_bytes) for share in shares]
    assert found == [
        ("pretrain/primer", 10_000, False),
        ("sft/primer", 10_000, False),
        ("wikitext", 20_000, False),
        ("fineweb_edu", 5_000, True),
    ]


def test_it_is_trained_again_only_when_its_text_or_settings_changed(
    tiny: Tiny, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nielsgpt")

    def said(**over: object) -> str:
        caplog.clear()
        train_tokenizer.train(Workspace(root, tiny(tokenizer=CHARACTERS, **over)))
        return caplog.text

    assert "training (none yet)" in said()
    assert "up to date" in said()
    assert "settings or its text changed" in said(seed=7)
    assert "up to date" in said(seed=7)
    assert "settings or its text changed" in said(data={"val_fraction": 0.3})


def test_bytes_are_not_trained_and_need_no_text(tiny: Tiny, root: Path) -> None:
    settings = tiny(data={"mix_pretrain": {"text": 1.0}, "text": {"path": "nowhere"}})
    assert train_tokenizer.train(Workspace(root, settings)).kind == "byte"


def test_what_the_report_reads_is_held_out_or_named_by_the_person(tiny: Tiny, root: Path) -> None:
    settings = tiny(tokenizer=CHARACTERS)
    workspace = Workspace(root, settings)
    train_tokenizer.train(workspace)
    (root / "a.txt").write_text("one two\n\n" * 100)
    found, folder = train_tokenizer.report(workspace, [Path("a.txt")], {})
    assert found["combined"]["characters"] == 900
    assert (folder / "report.json").is_file()
    assert (folder / "report.png").read_bytes().startswith(b"\x89PNG")
    mixes, _ = train_tokenizer.report(workspace, [], {})
    assert list(mixes["sources"]) == ["pretrain/primer", "sft/primer"]
    share = mixes["sources"]["pretrain/primer"]["characters"] / 60_000
    assert 0.04 < share < 0.2  # val_fraction is 0.1


def test_a_source_larger_than_its_share_is_sampled_from_end_to_end(tiny: Tiny) -> None:
    items = [Document(f"{n:04}" * 10, side="train") for n in range(500)]
    found = list(train_tokenizer.texts(shared(*items, most=2_000), tiny(), "train"))
    assert [int(text[:4]) for text in found] == list(range(0, 500, 10))
    assert found == list(train_tokenizer.texts(shared(*items, most=2_000), tiny(), "train"))


def test_a_long_document_is_sampled_in_pieces_over_its_whole_length(tiny: Tiny) -> None:
    text = "\n\n".join(f"{n:06} " * 100 for n in range(1000))
    found = list(train_tokenizer.texts(shared(Document(text), most=70_000), tiny()))
    assert 65_000 < sum(map(len, found)) < 80_000
    places = [text.index(piece) / len(text) for piece in found]
    assert places == sorted(places)
    assert places[-1] > 0.9
    assert max(after - before for before, after in itertools.pairwise(places)) < 0.15


def test_what_fits_its_share_is_taken_whole_and_in_order(tiny: Tiny) -> None:
    items = [Document(f"text {n} " * 1000) for n in range(20)]
    assert list(train_tokenizer.texts(shared(*items), tiny())) == [item.text for item in items]


def test_a_source_in_mixed_order_is_read_no_further_than_its_share(tiny: Tiny) -> None:
    def endless() -> Iterator[Document]:
        for number in itertools.count():
            assert number < 100
            yield Document("x" * 10, side="train")

    share = Share("s", Source("s", [], endless, is_shuffled=True), 500)
    assert len(list(train_tokenizer.texts(share, tiny(), "train"))) == 50


def test_conversations_are_a_small_part_of_what_the_tokenizer_reads(tiny: Tiny, root: Path) -> None:
    (root / "a.txt").write_text("text")
    data = {"mix_pretrain": {"text": 0.5, "primer": 0.5}, "text": {"path": "a.txt"}}
    shares = train_tokenizer.mix_texts(Workspace(root, tiny(data=data)), 1000)
    assert {share.name: round(share.most) for share in shares} == {
        "pretrain/primer": 450,
        "pretrain/text": 450,
        "sft/primer": 100,
    }
