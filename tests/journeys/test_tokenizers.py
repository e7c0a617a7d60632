"""A model with each further kind of tokenizer, from text to chat; a tokenizer of the Hub's text."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nielsgpt.config.settings import PHASES, Settings
from nielsgpt.inference.open_model import open_model
from nielsgpt.inference.session import Session
from nielsgpt.pipeline import pipeline, train_phase
from nielsgpt.system.workspace import Workspace
from nielsgpt.training.run import Resume
from tests.data.sources import hubdata
from tests.data.sources.hubserver import Hub
from tests.journeys.conftest import ENVIRONMENT


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_a_model_is_trained_and_talks_with_its_tokenizer(
    tiny: Callable[..., Settings], root: Path, kind: str
) -> None:
    over = {"kind": kind, "vocab_size": 400, "training_characters": 20_000}
    workspace = Workspace(root, tiny(tokenizer=over))
    codec = pipeline.caches(workspace)
    for phase in PHASES:
        train_phase.train(workspace, phase, Resume())
    (workspace.tokenizer / "meta.json").unlink()  # the checkpoint alone is enough to talk
    opened = open_model(workspace)
    assert opened.tokenizer.fingerprint == codec.fingerprint
    assert opened.model.vocab_size == codec.vocab_size
    session = Session(opened.model, opened.tokenizer, workspace.settings.generation, "Be brief.")
    shown = list(session.reply("hello caf\u00e9 \U0001f600"))
    assert "".join(shown) == session.history.messages[-1].content
    assert session.last is not None
    assert session.last.tokens > 0


@pytest.mark.slow
def test_wikitext_and_fineweb_train_a_tokenizer_and_stand_in_its_report(
    home: Path, tmp_path: Path
) -> None:
    trained = ["--kind", "word", "--vocab-size", "300", "--include-wikitext"]
    calls = [
        ["tokenizer", "-c", "tiny.json", *trained, "--fineweb-bytes", "3000"],
        ["tokenizer", "report", "-c", "tiny.json", "--wikitext", "--fineweb-bytes", "400"],
    ]
    code = f"from cli.main import main\nfor words in {calls!r}: main(words)"
    with Hub(tmp_path / "hub") as hub:
        hub.commit("Salesforce/wikitext", hubdata.wikitext())
        hub.commit("HuggingFaceFW/fineweb-edu", hubdata.fineweb_edu())
        ran = subprocess.run(
            [sys.executable, "-c", code],
            cwd=home,
            env={**ENVIRONMENT, **hub.environment()},
            capture_output=True,
            text=True,
            timeout=100,
        )
    assert ran.returncode == 0, ran.stderr
    meta = json.loads((home / "data/tokenizers/tiny/meta.json").read_text())
    assert meta["trained_on"]["wikitext"]["documents"] == 30  # of its training split alone
    assert 2500 < meta["trained_on"]["fineweb_edu"]["characters"] < 3500
    assert "[wikitext] tokens=" in ran.stdout
    assert "[fineweb_edu] tokens=" in ran.stdout
