"""The page of a run: complete for any run, safe against model output, and self-contained."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nielsgpt.report import page, run_plots, run_reader
from nielsgpt.training.run_log import RunLog
from tests.report.conftest import EXAM, FIRST, SECOND

Make = Callable[..., Path]
VOID = {"meta", "br", "img", "input", "link", "hr"}
HOSTILE = "</details><script>alert(1)</script><img src=x onerror=alert(1)> {{ 7 * 7 }}"


@pytest.fixture(autouse=True)
def _one_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw a single plot; test_run_plots covers the others."""
    monkeypatch.setattr(run_plots, "PLOTS", run_plots.PLOTS[:1])


class ParsedPage(HTMLParser):
    """The tags and texts of a page; fails on an element that is not closed in order."""

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


def render(folder: Path, exam: dict[str, object] | None = None) -> ParsedPage:
    return ParsedPage(page.write(folder, exam).read_text(encoding="utf-8"))


def is_self_contained(parsed: ParsedPage) -> bool:
    """True if the page fetches nothing and runs nothing."""
    names = {tag for tag, _ in parsed.tags}
    links = [a.get(k) or "" for _, a in parsed.tags for k in ("href", "src", "action") if k in a]
    handlers = [name for _, attrs in parsed.tags for name in attrs if name.startswith("on")]
    foreign = {"script", "link", "iframe", "img", "object", "embed", "base", "form", "a"}
    return not (names & foreign or handlers or [link for link in links if link[:1] != "#"])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"eval_every": 0},
        {"steps": 1},
        {"steps": 0},
        {"outcome": "failed", "max_steps": 900},
        {"sources": ["primer"], "peak_flops": 1e9, "memory": {"peak_bytes": 2**30}},
    ],
)
def test_a_page_is_complete_and_self_contained(make: Make, changes: dict[str, object]) -> None:
    folder = make(**changes)
    parsed = render(folder)
    assert is_self_contained(parsed)
    drawings = {path.name for path in (folder / "plots").glob("*.png")}
    assert len(drawings) == [tag for tag, _ in parsed.tags].count("svg")


def test_an_empty_folder_gives_a_page_too(runs: Path) -> None:
    (runs / FIRST).mkdir()
    parsed = render(runs / FIRST)
    assert is_self_contained(parsed)
    assert "metrics.csv has no rows." in parsed.texts


def test_model_output_and_file_contents_are_escaped_as_text(make: Make) -> None:
    folder = make(
        FIRST,
        name=HOSTILE,
        phase=HOSTILE,
        outcome=HOSTILE,
        origin={HOSTILE: HOSTILE},
        command=["nielsgpt", HOSTILE],
        settings={HOSTILE: HOSTILE},
    )
    log = RunLog(folder, "sft", ["primer", "text"], 6, 6, 1)
    log.samples(6, [(HOSTILE, HOSTILE)])
    log.event(6, HOSTILE, HOSTILE)
    wrong = {"section": HOSTILE, "question": HOSTILE, "reply": HOSTILE}
    parsed = render(folder, {**EXAM, "wrong": [wrong]})
    assert is_self_contained(parsed)
    assert parsed.texts.count(HOSTILE) >= 9
    assert "49" not in parsed.texts


def test_the_last_three_evaluations_are_side_by_side_and_all_are_listed(make: Make) -> None:
    folder = make()
    log = RunLog(folder, "sft", ["primer", "text"], 6, 6, 1)
    for step in (1000, 2000, 3000, 4000):
        log.samples(step, [("Who are you?", f"I am {step}."), ("Where?", "Here.")])
    texts = render(folder).texts
    assert [texts.count(f"I am {step}.") for step in (1000, 2000, 3000, 4000)] == [1, 2, 2, 2]
    assert texts.count("Who are you?") == 2
    assert "At all 4 evaluations" in texts


def test_the_exam_is_shown_with_its_interval_and_its_chance_or_not_at_all(make: Make) -> None:
    texts = render(make(), EXAM).texts
    at = texts.index("known facts")
    row = [text for text in texts[at : at + 12] if text]
    assert row[:5] == ["known facts", "8/10", "80.0 %", "49.0 - 94.3 %", "25.0 %"]
    assert "<b>No</b> & never." in texts
    assert any("3 of 100 training passages, 0 of 90 validation passages" in t for t in texts)
    assert "Exam" not in render(make(SECOND)).texts


def test_the_page_names_the_machine_the_data_and_the_command(make: Make) -> None:
    folder = make(
        outcome="done",
        hardware={"processor": "A chip", "memory_bytes": 8 * 2**30, "gpu": None},
        peak_flops=2.4e12,
        memory={"forecast_bytes": 2**31, "peak_bytes": 2**30},
        command=["nielsgpt", "pipeline", "--set", "name=two words"],
        weights_sha256="b2945f5d",
    )
    texts = render(folder).texts
    flat = [text for text in texts if text]
    after = {name: flat[index + 1] for index, name in enumerate(flat[:-1])}
    assert after["processor"] == "A chip"
    assert after["memory"] == "8.0 GiB"
    assert after["matrix products"] == "2,400 GFLOP/s"
    assert after["memory.forecast"] == "2.0 GiB"
    assert after["peak memory"] == "1.0 GiB"
    assert after["weights sha256"] == "b2945f5d"
    assert after["primer"] == "7cb2d64d2770755a"
    assert "gpu" not in flat
    assert after["This run"] == "nielsgpt pipeline --set 'name=two words'"
    assert (
        f"--config runs/{FIRST}/resolved_settings.json --set name=tiny-again"
        in (after["The same settings again, under another name"])
    )


def test_the_page_is_the_same_bytes_every_time(make: Make) -> None:
    folder = make()
    assert page.write(folder, EXAM).read_bytes() == page.write(folder, EXAM).read_bytes()


def test_every_color_has_a_light_and_a_dark_value(make: Make) -> None:
    text = page.write(make(), None).read_text(encoding="utf-8")
    defined = re.findall(r"--([\w-]+): #[0-9a-f]{6};", text)
    used = set(re.findall(r"var\(--([\w-]+)\)", text))
    assert {"text", "grid", "curve-1", "curve-2"} <= used <= set(defined)
    assert all(defined.count(name) == 2 for name in used)


def test_runs_are_compared_on_one_page_named_after_them(make: Make, runs: Path) -> None:
    first = make(FIRST, name=HOSTILE, settings={"seed": 1})
    second = make(SECOND, settings={"seed": 2, "other": HOSTILE})
    path = page.compare(runs, [run_reader.read(first), run_reader.read(second)])
    assert path == runs / "compare-aaaa1111-bbbb2222.html"
    parsed = ParsedPage(path.read_text(encoding="utf-8"))
    assert is_self_contained(parsed)
    flat = [text for text in parsed.texts if text]
    at = flat.index("seed")
    assert flat[at : at + 3] == ["seed", "1", "2"]
    assert [tag for tag, _ in parsed.tags].count("svg") == 1
