"""Documents: pure functions of (seed, index), of sane size, never twice the same."""

import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nielsgpt.data.primer.grammar import Grammar
from nielsgpt.data.primer.persona import load_persona
from nielsgpt.data.primer.stories import document, prose

PERSONA = load_persona("personas/niels.json")
FACTS = PERSONA.facts
TELL = Grammar(PERSONA).tell
DIGEST = """
import hashlib, itertools
from nielsgpt.data.primer.dialogues import as_text, dialogues
from nielsgpt.data.primer.exam_items import items
from nielsgpt.data.primer.persona import load_persona
from nielsgpt.data.primer.stories import prose
facts = load_persona("personas/niels.json")
text = "".join(itertools.islice(prose(facts, 3), 300))
text += as_text(itertools.islice(dialogues(facts, 3), 300))
text += repr(items(facts, 3, 20))
print(hashlib.sha256(text.encode()).hexdigest())
"""


def test_a_document_is_the_one_prose_yields_at_its_index() -> None:
    told = list(itertools.islice(prose(PERSONA, 5), 40))
    assert [document(PERSONA, 5, index) for index in (0, 7, 39)] == [told[0], told[7], told[39]]


def test_another_seed_tells_other_documents() -> None:
    first, second = (set(itertools.islice(prose(PERSONA, seed), 500)) for seed in (0, 1))
    assert not first & second


@pytest.mark.slow
def test_a_hundred_thousand_documents_are_all_distinct() -> None:
    seen = {
        hashlib.blake2b(text.encode(), digest_size=12).digest()
        for text in itertools.islice(prose(PERSONA, 0), 100_000)
    }
    assert len(seen) == 100_000


def test_documents_are_one_line_of_40_to_250_words() -> None:
    for text in itertools.islice(prose(PERSONA, 2), 5000):
        assert 40 <= len(text.split()) <= 250
        assert "\n" not in text and "{" not in text and "  " not in text
        assert text[0].isupper() or text[0] == '"'


def test_every_fact_is_told_in_a_small_corpus() -> None:
    corpus = " ".join(itertools.islice(prose(PERSONA, 0), 8000)).lower()
    for fact in FACTS:
        statements = [statement.lower().rstrip(".") for statement in TELL(fact).statements]
        assert any(statement in corpus for statement in statements), fact


def test_every_process_invents_the_same_world() -> None:
    digests = set()
    for hash_seed in ("0", "1", "4242"):
        run = subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=Path(__file__).resolve().parents[3],
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(run.stdout)
    assert len(digests) == 1
