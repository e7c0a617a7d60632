"""The sources of text by name: what each yields from files, and what cleaning changes of them."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from nielsgpt.config.settings import Settings
from nielsgpt.conversation import Document
from nielsgpt.data.catalog import HIDDEN, find_sources, source_fingerprint
from nielsgpt.data.sources.duplicates import NEAR
from nielsgpt.data.tokenize import make_encoder
from nielsgpt.errors import DataError
from nielsgpt.tokenizers.byte import ByteTokenizer
from tests.data.sources.test_gutendex import UTF8, page, record
from tests.data.sources.webserver import file, serving

Tiny = Callable[..., Settings]
STORY = "\n\n".join(f"A paragraph number {number} of the tale." for number in range(300))
BOOK = "\n\n".join(f"Of old, {number}. " + "word " * 220 + "end." for number in range(60))


def walked(settings: Settings, root: Path) -> list[Document]:
    (source,) = find_sources(settings, "pretrain", root).values()
    found = list(source.walk())
    assert found == list(source.walk())
    return [item for item in found if isinstance(item, Document)]


def named(settings: Settings, root: Path) -> str:
    (source,) = find_sources(settings, "pretrain", root).values()
    return source_fingerprint(source, "pretrain", settings)


@pytest.fixture
def mix(tiny: Tiny, root: Path) -> Callable[..., Settings]:
    """Settings of one source of text, over files that are all there."""
    texts = {
        "data/.roam-data/a.md": "A Note \u2014 of mine.",
        "data/raw/names.txt": "Emma\nOlivia\n",
        "data/raw/alice.txt": STORY,
        "data/raw/text/story.txt": STORY,
        "data/raw/ancients/1_a.txt": BOOK,
        "data/raw/ancients/manifest.csv": "title,authors,local_path\nA,B,1_a.txt\n",
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")

    def build(name: str, **over: object) -> Settings:
        return tiny(data={"mix_pretrain": {name: 1.0}, **over})

    return build


MixOf = Callable[..., Settings]


@pytest.mark.parametrize(
    ("name", "count", "first"),
    [
        ("roam", 1, "A Note"),
        ("names", 2, "Emma"),
        ("alice", 40, "A paragraph number 0 of"),
        ("ancients", 20, "Of old, 0."),
    ],
)
def test_each_source_of_text_yields_its_documents(
    name: str, count: int, first: str, mix: MixOf, root: Path
) -> None:
    found = walked(mix(name), root)
    assert abs(len(found) - count) <= count // 4
    assert found[0].text.startswith(first)


@pytest.mark.parametrize("name", ["roam", "names", "alice", "ancients", "text", "primer"])
def test_cleaning_reaches_every_source_and_its_identity(name: str, mix: MixOf, root: Path) -> None:
    plain, folded = mix(name), mix(name, cleaning={"sanitize": "ascii", "lowercase": True})
    before, after = walked(plain, root), walked(folded, root)
    wanted = [document.text.encode("ascii", "ignore").decode().lower() for document in before]
    assert [document.text for document in after] == wanted != [d.text for d in before]
    assert named(plain, root) != named(folded, root)


def test_a_cache_that_was_made_without_cleaning_stays_fresh(mix: MixOf, root: Path) -> None:
    (source,) = find_sources(mix("text"), "pretrain", root).values()
    path = root / "data/raw/text/story.txt"
    stamp = ["data/raw/text/story.txt", path.stat().st_size, path.stat().st_mtime_ns]
    assert Path(source.inputs[0][0][0]).samefile(path)
    assert source.inputs[0][0][1:] == stamp[1:]
    assert source.inputs[1] == mix("text").data.text.model_dump()


def test_the_mix_of_ancients_has_its_share_of_words_on_both_sides(mix: MixOf, root: Path) -> None:
    told = {"mixed_with": "text", "ancient_share": 0.4}
    found = walked(mix("ancient_mix", ancients=told), root)
    for side in ("train", "val"):
        words = [(len(d.text.split()), "word word" in d.text) for d in found if d.side == side]
        total = sum(count for count, _ in words)
        ancient = sum(count for count, old in words if old)
        assert 0.4 * total <= ancient <= 0.4 * total + 1000
    texts = {document.text: document.side for document in found}
    assert all(texts[document.text] == document.side for document in found)


@pytest.mark.parametrize(
    "over", [{"ancient_share": 0.3}, {"target_total_words": 5}, {"mixed_with": "primer"}]
)
def test_the_mix_is_another_one_where_its_settings_are(
    over: dict[str, object], mix: MixOf, root: Path
) -> None:
    plain = {"mixed_with": "text"}
    assert named(mix("ancient_mix", ancients=plain), root) != named(
        mix("ancient_mix", ancients={**plain, **over}), root
    )


def test_a_changed_book_makes_another_identity(mix: MixOf, root: Path) -> None:
    before = named(mix("ancients"), root)
    (root / "data/raw/ancients/1_a.txt").write_text(BOOK + " More.", encoding="utf-8")
    assert named(mix("ancients"), root) != before


def test_ancients_are_downloaded_where_there_are_none(
    tiny: Tiny, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(monkeypatch) as web:
        web.answers["/books"] = [page(record(5, "A", formats={UTF8: f"{web.home}/5"}))]
        web.answers["/5"] = [file(BOOK.encode())]
        chosen = {"url": f"{web.home}/books", "delay_seconds": 0.0}
        settings = tiny(data={"mix_pretrain": {"ancients": 1.0}, "ancients": chosen})
        assert len(walked(settings, root)) == 20
        assert [path.split("?")[0] for path, _ in web.asked] == ["/books", "/5"]


def test_what_is_missing_offline_is_one_line(
    tiny: Tiny, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name, remedy in [("ancients", "put the books and a manifest.csv into"), ("alice", "put a")]:
        with pytest.raises(DataError, match=f"HF_HUB_OFFLINE is set; {remedy}"):
            find_sources(tiny(data={"mix_pretrain": {name: 1.0}}), "pretrain", root)


def test_near_duplicates_of_your_own_text_fall_to_one_side(tiny: Tiny, root: Path) -> None:
    folder = root / "drafts"
    folder.mkdir()
    for number in range(40):
        text = " ".join(hashlib.sha256(f"{number} {n}".encode()).hexdigest() for n in range(40))
        (folder / f"{number} final.txt").write_text(text)
        (folder / f"{number} draft.txt").write_text(text.replace("aaa", "bbb") + " draft")
    (folder / ".git").mkdir()
    (folder / ".git" / "old.txt").write_text("old")
    over = {"mix_pretrain": {"text": 1.0}, "text": {"path": "drafts"}, "val_fraction": 0.3}
    settings = tiny(data=over)
    (source,) = find_sources(settings, "pretrain", root).values()
    block = make_encoder("text", "pretrain", settings, ByteTokenizer())(list(source.walk()))
    held_out = block.places <= 0.3
    assert (held_out[::2] == held_out[1::2]).all()
    assert 5 < held_out[::2].sum() < 20
    assert source.inspect() == {HIDDEN: 1, NEAR: 80}
