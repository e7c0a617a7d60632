"""A command that succeeds, run in this process, and a text to run it on."""

import random

from click.testing import CliRunner, Result

from cli.main import nielsgpt

WORDS = ["keeper", "lights", "the", "lamp", "a", "boat", "comes", "home", "rope", "sea", "bell"]


def run(*words: str) -> Result:
    """`nielsgpt words`, which ends with 0."""
    ran = CliRunner().invoke(nielsgpt, words, obj=[*words])
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    assert ran.exit_code == 0, ran.output
    return ran


def make_text(paragraphs: int) -> str:
    """Paragraphs of forty words each."""
    draw = random.Random(1)
    return "\n\n".join(" ".join(draw.choices(WORDS, k=40)) for _ in range(paragraphs))
