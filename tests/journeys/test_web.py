"""The command line on datasets of a Hub, with it and without."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nielsgpt.config.load import merge
from tests.conftest import TINY
from tests.data.sources import hubdata
from tests.data.sources.hubclient import ROOT
from tests.data.sources.hubserver import Hub
from tests.journeys.conftest import ENVIRONMENT, launch

NAMES = ("wikitext", "fineweb_edu", "gutenberg", "tinystories", "dolly", "oasst1")
DATA = {
    **{name: {"revision": None} for name in NAMES},
    "mix_pretrain": {"wikitext": 0.5, "tinystories": 0.5},
    "mix_sft": {"oasst1": 0.6, "dolly": 0.4},
}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with Hub(tmp_path) as served:
        for name, files in hubdata.DATASETS.items():
            served.commit(name, files())
        (tmp_path / "web.json").write_text(json.dumps(merge(TINY, {"data": DATA})))
        yield served


def run(hub: Hub, *words: str, offline: bool = False) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
    environment = {**ENVIRONMENT, **hub.environment(offline), "PYTHONPATH": path}
    return launch(hub.folder, *words, "-c", "web.json", env=environment)


def test_caches_are_made_from_the_hub_and_up_to_date_without_it(hub: Hub) -> None:
    made = run(hub, "caches")
    assert made.returncode == 0, made.stderr
    streams, sft = (hub.folder / "data/cache/tiny" / name for name in ("streams", "sft"))
    wikitext = json.loads((streams / "wikitext_train.meta.json").read_text())
    assert wikitext["revision"] == next(iter(hub.repositories["datasets/Salesforce/wikitext"]))
    assert wikitext["documents"] == 30
    counts = {
        split: json.loads((sft / f"oasst1_{split}.meta.json").read_text())["documents"]
        for split in ("train", "val")
    }
    assert sum(counts.values()) == 48  # two threads in each of the 24 English trees
    assert all(count % 2 == 0 for count in counts.values())
    before = len(hub.requests)
    again = run(hub, "caches", offline=True)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("up to date") == 5
    assert "building" not in again.stderr
    assert len(hub.requests) == before
    listed = run(hub, "sources", offline=True)
    assert "on disk" in listed.stdout
    assert f"{wikitext['tokens']:,} tokens cached" in listed.stdout


def test_a_check_of_sources_shows_two_texts_of_each_and_fails_where_one_does(hub: Hub) -> None:
    hub.repositories.pop("datasets/databricks/databricks-dolly-15k")
    ran = run(hub, "sources", "check", "oasst1", "dolly")
    assert ran.returncode == 1
    assert "\n    Where is Story 26: the" in ran.stdout
    assert ran.stdout.count("PASS") == 1
    assert "dolly   FAIL  source dolly: databricks/databricks-dolly-15k at main: does" in ran.stdout
    assert ran.stderr.splitlines()[-1] == "error: 1 of 2 sources failed: dolly"


def test_an_unknown_source_is_named_beside_those_that_there_are(tmp_path: Path) -> None:
    ran = launch(tmp_path, "sources", "check", "wikitex")
    assert ran.returncode == 2
    assert "error: there is no source 'wikitex'; sources are alice, " in ran.stderr
