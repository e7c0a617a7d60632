"""Sources that are not there leave the mix when they are optional, and only then."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nielsgpt.config.settings import Settings
from nielsgpt.data import availability
from nielsgpt.errors import DataError
from nielsgpt.pipeline import pipeline
from nielsgpt.system.atomic_files import read_json
from nielsgpt.system.workspace import Workspace

Tiny = Callable[..., Settings]
MIX = {"primer": 0.4, "text": 0.2, "roam": 0.4}


def work(tiny: Tiny, root: Path, optional: list[str], **mixes: dict[str, float]) -> Workspace:
    return Workspace(root, tiny(data={"mix_pretrain": MIX, **mixes, "optional": optional}))


def test_an_optional_source_that_is_missing_is_left_out_with_a_line(
    tiny: Tiny, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nielsgpt")
    (root / "data/raw/text").mkdir(parents=True)
    (root / "data/raw/text/a.txt").write_text("some words\n\n" * 100)
    found = availability.drop_unreadable(work(tiny, root, ["roam", "text"]))
    assert found.settings.mix("pretrain") == pytest.approx({"primer": 2 / 3, "text": 1 / 3})
    assert found.settings.mix("sft") == {"primer": 1.0}
    assert [record.getMessage() for record in caplog.records] == [
        "roam is left out of pretrain: "
        + read_json(found.splits("pretrain") / "left_out.json")["roam"]
    ]


def test_a_mix_that_is_all_there_is_left_as_it_is(tiny: Tiny, root: Path) -> None:
    given = Workspace(root, tiny(data={"optional": ["primer", "roam"]}))
    assert availability.drop_unreadable(given) == given
    assert not (root / "data").exists()


def test_a_required_source_that_is_missing_is_an_error_with_its_hint(
    tiny: Tiny, root: Path
) -> None:
    with pytest.raises(DataError, match=r"raw/text is not there; .* set data.text.path"):
        pipeline.caches(work(tiny, root, ["roam"]))


def test_where_every_source_is_missing_each_is_named_with_its_hint(tiny: Tiny, root: Path) -> None:
    mix = {"text": 0.5, "roam": 0.5}
    with pytest.raises(DataError, match=r"no source of data.mix_pretrain .*text: .*; roam: "):
        availability.drop_unreadable(work(tiny, root, ["roam", "text"], mix_pretrain=mix))


def test_a_source_without_a_cache_is_no_source_to_train_on(tiny: Tiny, root: Path) -> None:
    given = Workspace(root, tiny(data={"optional": ["primer"]}))
    line = (
        "no source of data.mix_pretrain is available: primer: it has no cache; "
        "run 'nielsgpt caches'"
    )
    with pytest.raises(DataError, match=f"^{line}$"):
        availability.drop_uncached(given, "pretrain")


def test_a_source_that_opens_only_to_fail_is_missing_too(tiny: Tiny, root: Path) -> None:
    (root / "chat.jsonl").write_text("not json\n")
    data = {"mix_sft": {"primer": 0.5, "chat": 0.5}, "optional": ["chat"]}
    given = Workspace(root, tiny(data={**data, "chat": {"path": "chat.jsonl"}}))
    assert availability.drop_unreadable(given).settings.mix("sft") == {"primer": 1.0}


def test_the_shares_that_a_phase_trains_with_are_said_and_stored_with_the_run(
    tiny: Tiny, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from nielsgpt.pipeline import train_phase

    caplog.set_level("INFO", "nielsgpt")
    given = work(tiny, root, ["roam", "text"])
    pipeline.caches(given)
    train_phase.train(given, "pretrain")
    assert "pretrain: without text, roam; the shares are primer 1" in caplog.messages
    (run,) = given.runs.iterdir()
    assert read_json(run / "resolved_settings.json")["data"]["mix_pretrain"] == {"primer": 1.0}
    assert read_json(run / "run_meta.json")["numbers"]["mix"] == {"primer": 1.0}


def test_a_cache_of_a_source_that_went_away_is_not_trained_on(tiny: Tiny, root: Path) -> None:
    (root / "chat.jsonl").write_text(
        "".join(
            json.dumps(
                [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": "y"}]
            )
            + "\n"
            for n in range(40)
        )
    )
    data = {"mix_sft": {"primer": 0.5, "chat": 0.5}, "optional": ["chat"]}
    given = Workspace(root, tiny(data={**data, "chat": {"path": "chat.jsonl"}}))
    pipeline.caches(given)
    assert availability.drop_uncached(given, "sft").settings.mix("sft") == {
        "primer": 0.5,
        "chat": 0.5,
    }
    (root / "chat.jsonl").unlink()
    pipeline.caches(given)
    assert availability.drop_uncached(given, "sft").settings.mix("sft") == {"primer": 1.0}
