"""The page of a run: whole for any run, closed to what the model said, nothing fetched."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nielsgpt.report import page, plots, run_reader
from nielsgpt.training.run_log import RunLog
from tests.report.conftest import EXAM, FIRST, SECOND

Make = Callable[..., Path]
VOID = {"meta", "br", "img", "input", "link", "hr"}
HOSTILE = "</details><script>alert(1)</script><img src=x onerror=alert(1)> {{ 7 * 7 }}"


@pytest.fixture(autouse=True)
def _one_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One is enough for a page; test_plots draws the others."""
    monkeypatch.setattr(plots, "PLOTS", plots.PLOTS[:1])


class Balance(HTMLParser):
    """The tags and the texts of a page; fails where an element is not closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def shown(folder: Path, exam: dict[str, object] | None = None) -> Balance:
    return Balance(page.write(folder, exam).read_text(encoding="utf-8"))


def is_closed(made: Balance) -> bool:
    """Whether the page fetches nothing and runs nothing."""
    names = {tag for tag, _ in made.tags}
    links = [a.get(k) or "" for _, a in made.tags for k in ("href", "src", "action") if k in a]
    handlers = [name for _, attributes in made.tags for name in attributes if name.startswith("on")]
    foreign = {"script", "link", "iframe", "img", "object", "embed", "base", "form", "a"}
    return not (names & foreign or handlers or [link for link in links if link[:1] != "#"])


@pytest.mark.parametrize(
    "over",
    [
        {},
        {"eval_every": 0},
        {"steps": 1},
        {"steps": 0},
        {"outcome": "failed", "max_steps": 900},
        {"sources": ["primer"], "peak_flops": 1e9, "memory": {"peak_bytes": 2**30}},
    ],
)
def test_a_page_is_whole_and_closed_for_any_run(make: Make, over: dict[str, object]) -> None:
    folder = make(**over)
    made = shown(folder)
    assert is_closed(made)
    drawings = {path.name for path in (folder / "plots").glob("*.png")}
    assert len(drawings) == [tag for tag, _ in made.tags].count("svg")


def test_a_page_is_made_of_nothing_but_an_empty_folder(runs: Path) -> None:
    (runs / FIRST).mkdir()
    made = shown(runs / FIRST)
    assert is_closed(made)
    assert "Nothing was written to metrics.csv." in made.texts


def test_what_the_model_and_the_files_say_is_text_and_nothing_else(make: Make) -> None:
    folder = make(
        FIRST,
        name=HOSTILE,
        phase=HOSTILE,
        outcome=HOSTILE,
        origin={HOSTILE: HOSTILE},
        command=["nielsgpt", HOSTILE],
        settings={HOSTILE: HOSTILE},
    )
    diary = RunLog(folder, "sft", ["primer", "text"], 6, 6, 1)
    diary.samples(6, [(HOSTILE, HOSTILE)])
    diary.event(6, HOSTILE, HOSTILE)
    wrong = {"section": HOSTILE, "question": HOSTILE, "reply": HOSTILE}
    made = shown(folder, {**EXAM, "wrong": [wrong]})
    assert is_closed(made)
    assert made.texts.count(HOSTILE) >= 9
    assert "49" not in made.texts


def test_the_last_three_evaluations_stand_side_by_side_and_all_are_kept(make: Make) -> None:
    folder = make()
    diary = RunLog(folder, "sft", ["primer", "text"], 6, 6, 1)
    for step in (1000, 2000, 3000, 4000):
        diary.samples(step, [("Who are you?", f"I am {step}."), ("Where?", "Here.")])
    texts = shown(folder).texts
    assert [texts.count(f"I am {step}.") for step in (1000, 2000, 3000, 4000)] == [1, 2, 2, 2]
    assert texts.count("Who are you?") == 2
    assert "At all 4 evaluations" in texts


def test_the_exam_is_shown_with_its_interval_and_its_chance_or_not_at_all(make: Make) -> None:
    texts = shown(make(), EXAM).texts
    at = texts.index("known facts")
    row = [text for text in texts[at : at + 12] if text]
    assert row[:5] == ["known facts", "8/10", "80.0 %", "49.0 - 94.3 %", "25.0 %"]
    assert "<b>No</b> & never." in texts
    assert "Exam" not in shown(make(SECOND)).texts


def test_the_page_says_what_ran_on_what_and_how_to_run_it_again(make: Make) -> None:
    folder = make(
        outcome="done",
        hardware={"processor": "A chip", "memory_bytes": 8 * 2**30, "gpu": None},
        peak_flops=2.4e12,
        memory={"forecast_bytes": 2**31, "peak_bytes": 2**30},
        command=["nielsgpt", "pipeline", "--set", "name=two words"],
        weights_sha256="b2945f5d",
    )
    texts = shown(folder).texts
    flat = [text for text in texts if text]
    after = {name: flat[place + 1] for place, name in enumerate(flat[:-1])}
    assert after["processor"] == "A chip"
    assert after["memory"] == "8.0 GiB"
    assert after["matrix products"] == "2,400 GFLOP/s"
    assert after["memory.forecast"] == "2.0 GiB"
    assert after["peak memory"] == "1.0 GiB"
    assert after["weights sha256"] == "b2945f5d"
    assert after["primer"] == "7cb2d64d2770755a"
    assert "gpu" not in flat
    assert after["This was"] == "nielsgpt pipeline --set 'name=two words'"
    assert (
        f"--config runs/{FIRST}/resolved_settings.json --set name=tiny-again"
        in (after["The same settings again, under another name"])
    )


def test_the_page_is_the_same_bytes_every_time(make: Make) -> None:
    folder = make()
    assert page.write(folder, EXAM).read_bytes() == page.write(folder, EXAM).read_bytes()


def test_every_colour_has_a_light_and_a_dark_value(make: Make) -> None:
    text = page.write(make(), None).read_text(encoding="utf-8")
    defined = re.findall(r"--([\w-]+): #[0-9a-f]{6};", text)
    used = set(re.findall(r"var\(--([\w-]+)\)", text))
    assert {"text", "grid", "curve-1", "curve-2"} <= used <= set(defined)
    assert all(defined.count(name) == 2 for name in used)


def test_runs_are_compared_on_a_closed_page_named_after_them(make: Make, runs: Path) -> None:
    first = make(FIRST, name=HOSTILE, settings={"seed": 1})
    second = make(SECOND, settings={"seed": 2, "other": HOSTILE})
    path = page.compare(runs, [run_reader.read(first), run_reader.read(second)])
    assert path == runs / "compare-aaaa1111-bbbb2222.html"
    made = Balance(path.read_text(encoding="utf-8"))
    assert is_closed(made)
    flat = [text for text in made.texts if text]
    at = flat.index("seed")
    assert flat[at : at + 3] == ["seed", "1", "2"]
    assert [tag for tag, _ in made.tags].count("svg") == 1
