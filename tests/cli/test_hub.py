"""`nielsgpt hub`: the words it takes, without a Hub."""

from pathlib import Path

import pytest

from cli.main import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["upload", "keeper"], "'keeper' is not a valid repository name; write owner/name"),
        (["upload", "me/../x"], "'me/../x' is not a valid repository name; write owner/name"),
        (["upload", "me/x", "--license", "MIT!"], "--license 'MIT!' is not a valid license name"),
        (["upload", "me/x", "--gguf", "q2"], "'q2' is not one of 'f32', 'f16', 'q8_0'"),
        (["upload", "me/x"], "no model in "),
        (["upload"], "Missing argument 'OWNER/NAME'"),
        (["download", "me/x/y"], "'me/x/y' is not a valid repository name; write owner/name"),
    ],
)
def test_a_wrong_word_is_one_line_and_exit_code_2(
    words: list[str],
    said: str,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NIELSGPT_ROOT", str(root))
    with pytest.raises(SystemExit) as left:
        main(["hub", *words])
    printed = capsys.readouterr()
    assert (left.value.code, printed.out, printed.err.count("\n")) == (2, "", 1)
    assert said in printed.err
