"""A command in a message works on the settings with which the message came."""

import shlex

import pytest

from cli.remedy import complete


@pytest.mark.parametrize(
    ("words", "told", "completed"),
    [
        ("caches show -c my.json", "run 'nielsgpt caches'", "run 'nielsgpt caches -c my.json'"),
        (
            "pretrain --config=my.json --set name='a b' --set seed=2 --no-resume",
            "'nielsgpt pipeline --set seed=3' or 'nielsgpt caches'",
            "'nielsgpt pipeline --set seed=3 -c my.json --set 'name=a b'' or "
            "'nielsgpt caches -c my.json --set 'name=a b' --set seed=2'",
        ),
        ("caches -c a.json", "'nielsgpt sft --config b.json'", "'nielsgpt sft --config b.json'"),
        ("sft --device cpu", "'nielsgpt pretrain'", "'nielsgpt pretrain --device cpu'"),
        ("sft", "run 'nielsgpt pretrain'", "run 'nielsgpt pretrain'"),
        ("sft -c a.json", "see 'nielsgpt sft --help'", "see 'nielsgpt sft --help'"),
        ("sft -c a.json", "see 'nielsgpt runs' or it's", "see 'nielsgpt runs' or it's"),
        (
            "ancients show -c a.json",
            "'nielsgpt ancients download'",
            "'nielsgpt ancients download -c a.json'",
        ),
    ],
)
def test_commands_are_completed(words: str, told: str, completed: str) -> None:
    assert complete(told, shlex.split(words)) == completed
