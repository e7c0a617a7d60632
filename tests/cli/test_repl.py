import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from cli.generation import fullness
from cli.repl import LEAVE_HINT, SILENT, Chat, Screen
from cli.slash import COMMANDS, help_text
from nielsgpt.config.settings import GenerationSettings, ModelSettings
from nielsgpt.errors import DataError
from nielsgpt.inference.session import Session
from nielsgpt.model.gpt import GPT
from nielsgpt.tokenizers.byte import ByteTokenizer

Line = str | type[KeyboardInterrupt]


@dataclass
class Paper:
    """A screen whose lines are given: what was shown and by whom, and offered for editing."""

    lines: list[Line]
    patient: bool = True
    shown: list[tuple[str, str]] = field(default_factory=list)
    offered: list[str] = field(default_factory=list)

    def read(self, offered: str) -> str | None:
        self.offered.append(offered)
        line = self.lines.pop(0) if self.lines else None
        if isinstance(line, type):
            raise line
        return line

    def screen(self) -> Screen:
        def to(who: str) -> Callable[[str], None]:
            return lambda text: self.shown.append((who, text))

        return Screen(self.read, to("say"), to("note"), to("aside"), self.patient)

    def of(self, who: str) -> str:
        end = "" if who == "say" else "\n"
        return "".join(text + end for speaker, text in self.shown if speaker == who)


@pytest.fixture
def session() -> Session:
    shape = ModelSettings(n_layer=1, n_head=1, n_embd=8, context_length=64)
    torch.manual_seed(0)
    model = GPT(shape, ByteTokenizer.vocab_size)
    sampling = GenerationSettings(max_new_tokens=5, temperature=1.0, top_k=0)
    return Session(model, ByteTokenizer(), sampling, "Be brief.")


def talk(session: Session, *lines: Line, patient: bool = True, stats: bool = False) -> Paper:
    paper = Paper(list(lines), patient)
    Chat(session, paper.screen(), stats).converse()
    return paper


def said(session: Session) -> list[str]:
    return [message.content for message in session.history.messages]


def test_each_line_is_a_turn_and_each_reply_a_line(session: Session) -> None:
    paper = talk(session, "One\n", "Two\n")
    _, one, first, two, second = said(session)
    assert (one, two) == ("One", "Two")
    assert paper.of("say") == f"{first}\n{second}\n"
    assert paper.of("note") == paper.of("aside") == ""


def test_blank_lines_are_skipped(session: Session) -> None:
    assert talk(session, "\n", "   \n").shown == []
    assert session.last is None


def test_exit_leaves_before_the_next_line(session: Session) -> None:
    paper = talk(session, " /exit \n", "One\n")
    assert paper.shown == []
    assert paper.lines == ["One\n"]


def test_a_message_of_several_lines_is_one_turn_even_if_it_begins_with_a_slash(
    session: Session,
) -> None:
    for text in ("/etc\nis a folder", "/exit\nnow", "/system Be\nkind.", "//a\nb"):
        session.reset()
        assert talk(session, text, "/system").of("note") == "Be brief.\n"
        assert said(session)[1] == text


def test_a_command_is_found_by_its_first_letters_being_nearly_right(session: Session) -> None:
    paper = talk(session, "/resett now", "/xyzzy")
    assert paper.of("note") == (
        "there is no command /resett; the nearest is /reset; "
        "type //resett to send it as a message\n"
        "there is no command /xyzzy; /help lists them; type //xyzzy to send it as a message\n"
    )
    assert session.last is None


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    "line",
    [
        *("/etc/hosts is which?", "/save --force victim.json", "/exit", "/undo"),
        *("/load victim.json", "/system Be evil.", "//", "/help", "/temperature 0"),
    ],
)
def test_a_line_that_nobody_typed_is_a_message_whatever_it_begins_with(
    session: Session, line: str
) -> None:
    Path("victim.json").write_text("mine")
    generation = session.generation
    paper = Paper(["One\n", f"{line}\n", "Two\n"], patient=False)
    Chat(session, paper.screen()).converse()
    asked = [message.content for message in session.history.messages if message.role == "user"]
    assert asked[-2:] == [line, "Two"]
    assert (paper.of("note"), paper.lines) == ("", [])
    assert (session.system, session.generation) == ("Be brief.", generation)
    assert Path("victim.json").read_text() == "mine"


def test_two_slashes_send_a_message_that_begins_with_one(session: Session) -> None:
    talk(session, "//etc/hosts?")
    assert said(session)[1] == "/etc/hosts?"


@pytest.mark.usefixtures("root")
def test_a_loaded_message_that_is_taken_back_is_offered_as_text_and_not_as_a_command(
    session: Session,
) -> None:
    message = {"role": "user", "content": "/save --force victim.json"}
    Path("stranger.json").write_text(json.dumps({"messages": [message]}), encoding="utf-8-sig")
    paper = talk(session, "/load stranger.json", "/undo", "/exit")
    assert paper.offered[2] == "//save --force victim.json"
    talk(session, paper.offered[2])
    assert said(session)[0] == "/save --force victim.json"
    assert not Path("victim.json").exists()


def test_help_has_a_line_for_every_command(session: Session) -> None:
    shown = talk(session, "/help").of("note")
    assert shown == help_text() + "\n"
    assert [line.split()[0] for line in shown.splitlines()][: len(COMMANDS)] == list(COMMANDS)
    assert max(map(len, shown.splitlines())) < 80


def test_reset_forgets_the_turns_and_keeps_the_system_prompt(session: Session) -> None:
    assert talk(session, "One", "/reset").of("note") == "the conversation is cleared\n"
    assert said(session) == ["Be brief."]


def test_the_system_prompt_is_shown_and_set(session: Session) -> None:
    assert talk(session, "/system\n", "/system Be  kind.\n", "/system\n").of("note") == (
        "Be brief.\nthe system prompt is set\nBe  kind.\n"
    )


def test_a_retry_shows_another_reply_in_place_of_the_first(session: Session) -> None:
    paper = talk(session, "One", "/retry")
    first, second = paper.of("say").removesuffix("\n").split("\n")
    assert first != second
    assert said(session) == ["Be brief.", "One", second]
    assert paper.of("note") == ""
    greedy = talk(session, "/temperature 0", "/retry").of("note")
    assert greedy.endswith("greedy sampling always gives the same reply; try /temperature 0.7\n")


def test_an_undone_message_is_offered_once_for_editing(session: Session) -> None:
    paper = talk(session, "One", "/undo", "Two", "/undo", "/undo")
    assert paper.offered == ["", "", "One", "", "Two", ""]
    assert said(session) == ["Be brief."]
    assert paper.of("aside") == "there is no message yet; write one first\n"


@pytest.mark.parametrize(
    ("command", "name", "value", "wrong"),
    [
        (
            "/temperature",
            "temperature",
            0.25,
            "warm is not a number; the temperature is still 0.25",
        ),
        ("/top-k", "top_k", 3, "2.5 is not a whole number; the top k is still 3"),
        ("/top-p", "top_p", 0.9, "x is not a number; the top p is still 0.9"),
        ("/seed", "seed", 7, "1e3 is not a whole number; the seed is still 7"),
        (
            "/max-tokens",
            "max_new_tokens",
            2,
            "all is not a whole number; the max new tokens is still 2",
        ),
    ],
)
def test_a_number_is_shown_set_or_the_mistake_named(
    session: Session, command: str, name: str, value: float, wrong: str
) -> None:
    before = session.generation
    line = f"the {name.replace('_', ' ')} is"
    paper = talk(session, command, f"{command} {value}", f"{command} {wrong.split()[0]}")
    assert paper.of("note") == (f"{line} {getattr(before, name):g}\n{line} {value:g}\n{wrong}\n")
    assert session.generation == before.model_copy(update={name: value})


def test_a_number_out_of_its_range_is_a_line_that_names_it(session: Session) -> None:
    paper = talk(session, "/temperature -1", "/max-tokens 0")
    first, second = paper.of("aside").splitlines()
    assert first.startswith("this chat: generation.temperature is -1.0: input should be greater")
    assert second.startswith("this chat: generation.max_new_tokens is 0: input should be greater")


@pytest.mark.usefixtures("root")
def test_a_saved_conversation_is_loaded_again(session: Session) -> None:
    paper = talk(session, "One", "/save my chat.json", "/save my chat.json")
    kept = session.history
    assert paper.of("note") == "saved as my chat.json\n"
    assert paper.of("aside") == (
        "my chat.json already exists; replace it with '/save --force my chat.json'\n"
    )
    paper = talk(session, "/reset", "/load my chat.json", "/save --force my chat.json")
    assert session.history == kept
    assert paper.of("note").splitlines()[1] == f"loaded my chat.json; {fullness(session)}"
    paper = talk(session, "/save", "/load", "/load gone.json")
    assert "try /save chat.json" in paper.of("note")
    assert "try /load chat.json" in paper.of("note")
    assert "gone.json cannot be read" in paper.of("aside")
    assert "~no-such-user/x.json cannot be read" in talk(session, "/load ~no-such-user/x.json").of(
        "aside"
    )


def test_the_speed_is_told_when_asked_or_after_each_reply(session: Session) -> None:
    shown = talk(session, "/stats", "One", "/stats").of("note").splitlines()
    assert shown[0] == "no reply yet; context 11 of 64"
    assert shown[1] == "temperature 1, top-k 0, top-p 1, at most 5 tokens, seed 42"
    assert shown[2].startswith("5 tokens at ")
    assert "s, cut at the longest length; context " in shown[2]
    assert talk(session, "One", "Two", stats=True).of("aside").count(" tokens at ") == 2


def test_control_c_at_the_prompt_says_how_to_leave_and_a_second_one_leaves(
    session: Session,
) -> None:
    paper = talk(session, KeyboardInterrupt, "/system", KeyboardInterrupt, KeyboardInterrupt, "One")
    assert paper.of("aside") == f"{LEAVE_HINT}\n{LEAVE_HINT}\n"
    assert paper.of("note") == "Be brief.\n"
    assert paper.lines == ["One"]


def stopping(paper: Paper, after: int) -> Screen:
    """The screen of a person who presses Ctrl-C when that many pieces were said."""
    left = after
    plain = paper.screen()

    def say(text: str) -> None:
        nonlocal left
        plain.say(text)
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    return replace(plain, say=say)


def test_control_c_stops_the_reply_and_not_the_chat(session: Session) -> None:
    paper = Paper(["One", "/system"])
    Chat(session, stopping(paper, 1)).converse()
    first = paper.shown[0][1]
    assert paper.shown == [("say", first), ("say", "\n"), ("note", "Be brief.")]
    assert said(session)[-1] == first
    assert session.last is not None
    assert session.last.finish_reason == "interrupted"


def test_control_c_ends_a_pipe(session: Session) -> None:
    with pytest.raises(KeyboardInterrupt):
        talk(session, KeyboardInterrupt, patient=False)
    with pytest.raises(KeyboardInterrupt):
        Chat(session, stopping(Paper(["One"], patient=False), 1)).converse()


def test_a_silent_model_is_told_to_people_and_an_empty_line_in_a_pipe(session: Session) -> None:
    text = talk(session, "One").of("say")
    session.reset()
    session.generation = session.generation.model_copy(update={"stop_strings": (text[0],)})
    paper = talk(session, "One")
    assert paper.shown == [("aside", SILENT)]
    session.reset()
    assert talk(session, "One", patient=False).shown == [("say", "\n")]


def test_a_message_that_does_not_fit_is_a_line_for_people_and_an_error_for_pipes(
    session: Session,
) -> None:
    paper = talk(session, "x" * 80, "/system\n")
    assert paper.of("aside").endswith("shorten it\n")
    assert paper.of("note") == "Be brief.\n"
    with pytest.raises(DataError, match="shorten"):
        talk(session, "x" * 80, patient=False)
