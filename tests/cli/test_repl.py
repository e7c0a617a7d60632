import pytest
import torch

from cli.repl import HELP, LEAVE_HINT, converse
from nielsgpt.errors import DataError
from nielsgpt.inference.session import Session
from nielsgpt.model.gpt import GPT
from nielsgpt.settings import GenerationSettings, ModelSettings
from nielsgpt.tokenizers.units import ByteTokenizer

Line = str | type[KeyboardInterrupt]


@pytest.fixture
def session() -> Session:
    shape = ModelSettings(n_layer=1, n_head=1, n_embd=8, context_length=64)
    torch.manual_seed(0)
    model = GPT(shape, ByteTokenizer.vocab_size)
    sampling = GenerationSettings(max_new_tokens=5, temperature=1.0, top_k=0)
    return Session(model, ByteTokenizer(), sampling, "Be brief.")


def talk(session: Session, lines: list[Line], patient: bool = True) -> str:
    said: list[str] = []
    left = iter(lines)

    def read() -> str | None:
        line = next(left, None)
        if isinstance(line, type):
            raise line
        return line

    converse(session, read, said.append, patient)
    return "".join(said)


def test_each_line_is_a_turn_and_each_reply_a_line(session: Session) -> None:
    shown = talk(session, ["One\n", "Two\n"])
    first, second = (session.history.messages[i].content for i in (2, 4))
    assert shown == f"{first}\n{second}\n"
    assert [m.content for m in session.history.messages[1::2]] == ["One", "Two"]


def test_blank_lines_are_skipped(session: Session) -> None:
    assert talk(session, ["\n", "   \n"]) == ""
    assert session.last is None


def test_exit_leaves_before_the_next_line(session: Session) -> None:
    assert talk(session, [" /exit \n", "One\n"]) == ""
    assert session.last is None


def test_reset_forgets_the_turns_and_keeps_the_system_prompt(session: Session) -> None:
    shown = talk(session, ["One\n", "/reset\n"])
    assert shown.endswith("the conversation is forgotten\n")
    assert [m.content for m in session.history.messages] == ["Be brief."]


def test_the_system_prompt_is_shown_and_set(session: Session) -> None:
    assert talk(session, ["/system\n", "/system Be  kind.\n", "/system\n"]) == (
        "Be brief.\nthe system prompt is set\nBe  kind.\n"
    )


def test_the_temperature_is_set_or_the_mistake_named(session: Session) -> None:
    shown = talk(session, ["/temperature 0\n", "/temperature warm\n", "/temperature -1\n"])
    assert shown.splitlines() == [
        "the temperature is 0",
        "warm is not a number; try /temperature 0.7",
        "temperature -1 is not 0 (greedy) or a finite number above it",
    ]
    assert session.generation.temperature == 0.0


def test_an_unknown_command_is_one_line_and_no_turn(session: Session) -> None:
    assert talk(session, ["/resett now\n"]) == "there is no such command; /help lists them\n"
    assert session.last is None


def test_help_lists_every_command(session: Session) -> None:
    assert talk(session, ["/help\n"]) == HELP + "\n"


def test_control_c_at_the_prompt_says_how_to_leave_and_stays(session: Session) -> None:
    shown = talk(session, [KeyboardInterrupt, "/system\n"])
    assert shown == f"\n{LEAVE_HINT}\nBe brief.\n"


def test_control_c_stops_the_reply_and_not_the_chat(session: Session) -> None:
    said: list[str] = []
    lines = iter(["One\n", "/system\n"])

    def write(text: str) -> None:
        said.append(text)
        if len(said) == 1:
            raise KeyboardInterrupt

    converse(session, lambda: next(lines, None), write, patient=True)
    assert said[1:] == ["\n", "Be brief.\n"]
    assert session.history.messages[-1].content == said[0]
    assert session.last is not None
    assert session.last.finish_reason == "interrupted"


def test_control_c_ends_a_pipe(session: Session) -> None:
    with pytest.raises(KeyboardInterrupt):
        talk(session, [KeyboardInterrupt], patient=False)


def test_a_message_that_does_not_fit_is_a_line_for_people_and_an_error_for_pipes(
    session: Session,
) -> None:
    shown = talk(session, ["x" * 80, "/system\n"])
    assert shown.splitlines()[0].endswith("shorten one of them")
    assert shown.splitlines()[1] == "Be brief."
    with pytest.raises(DataError, match="shorten"):
        talk(session, ["x" * 80], patient=False)
