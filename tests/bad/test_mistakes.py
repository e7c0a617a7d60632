"""Every mistake is one line that names the thing, and leaves everything as it was."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.bad import artifacts, configs, datasets, words
from tests.bad.remedies import follow_all, remedies
from tests.bad.running import PROGRESS, Mistake, listing, put, run
from tests.conftest import TINY

MISTAKES: dict[str, Mistake] = (
    configs.MISTAKES | datasets.MISTAKES | artifacts.MISTAKES | words.MISTAKES
)
HALF_WRITTEN = re.compile(r"\.tmp-|\.part$|\.progress\.json$")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole tiny pipeline has run."""
    folder = tmp_path_factory.mktemp("trained")
    put(folder, {"tiny.json": json.dumps(TINY)})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run("pipeline -c tiny.json").code == 0
    return folder


@pytest.fixture
def there(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Mistake:
    """The mistake, in a folder that is ready for it."""
    mistake = MISTAKES[request.param]
    folder = tmp_path / "here"
    if mistake.damage is None:
        put(folder, {"tiny.json": json.dumps(TINY)})
    else:
        shutil.copytree(request.getfixturevalue("trained"), folder)
        mistake.damage(folder)
    put(folder, mistake.files)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return mistake


@pytest.mark.parametrize("there", MISTAKES, indirect=True, ids=lambda name: name[:60])
def test_a_mistake_is_one_line_nothing_is_lost_and_its_remedy_gets_past_it(there: Mistake) -> None:
    before, outside = listing(Path()), listing(Path(".."))
    ran = run(there.words, there.typed)
    errors = [line for line in ran.lines if line.startswith("error: ")]
    told = "\n".join(ran.lines)
    assert ran.code == there.code, told
    if "verify" not in there.words:
        assert errors == ran.lines[-1:], told
    assert len([line for line in ran.lines if not line.startswith(PROGRESS)]) <= 3, told
    assert "Traceback" not in told
    assert len(ran.lines[-1]) < 2100
    missing = [word for word in there.says if word not in ran.lines[-1]]
    assert missing == [], told
    assert listing(Path("..")).keys() - outside.keys() <= {
        f"here/{name}" for name in listing(Path())
    }
    _nothing_lost(before, listing(Path()), there.stays)
    follow_all(ran.lines[-1].removeprefix("error: "), there.words, there.typed)


def _nothing_lost(
    before: dict[str, bytes], after: dict[str, bytes], stays: tuple[str, ...]
) -> None:
    lost = [name for name in before if after.get(name) != before[name]]
    assert lost == []
    new = [name for name in after.keys() - before.keys() if not name.endswith(".lock")]
    allowed = tuple(part for place in stays for part in (place, *_above(place)))
    left = [name for name in new if name not in allowed and not name.startswith(stays or "?")]
    assert left == []
    assert [name for name in new if HALF_WRITTEN.search(name)] == []


def _above(place: str) -> list[str]:
    return [parent.as_posix() for parent in Path(place).parents][:-1]


def test_there_are_enough_mistakes() -> None:
    assert len(MISTAKES) >= 150


@pytest.mark.parametrize(
    ("line", "ways"),
    [
        ("no model in x; train one with 'nielsgpt sft -c tiny.json'", ["run sft -c tiny.json"]),
        (
            "a/b.bin is damaged; delete its folder and run 'nielsgpt caches'",
            ["delete a", "run caches"],
        ),
        ("a/b.json is damaged; delete it and run the command again", ["delete a/b.json"]),
        (
            "is too large; use --set tokenizer.vocab_size=9 or more text",
            ["add --set tokenizer.vocab_size=9"],
        ),
        ("keep muon, or start again with --no-resume", ["add --no-resume"]),
        ("no run '1'; 'nielsgpt runs' lists them", []),
        ("seed is -1: input should be greater than or equal to 0", []),
    ],
)
def test_what_a_message_says_to_do_is_found(line: str, ways: list[str]) -> None:
    assert [f"{kind} {what}" for kind, what in remedies(line)] == ways
