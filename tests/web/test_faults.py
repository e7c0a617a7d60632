"""What goes wrong: each error is a line with a way on, and nothing typed is lost."""

from typing import Any

import pytest

pytestmark = pytest.mark.slow


def texts(asked: dict[str, Any]) -> list[str]:
    return [message["content"] for message in asked["messages"]]


def roles(asked: dict[str, Any]) -> list[str]:
    return [message["role"] for message in asked["messages"]]


def test_the_oldest_exchanges_leave_a_chat_that_is_longer_than_the_context(
    chat: Any, page: Any, server: Any
) -> None:
    page.click("#tune")
    page.fill("#system", "S")
    page.keyboard.press("Escape")
    for text in ("one", "two", "three"):
        chat.hears(text)
    for _ in range(2):
        server.fails(400, "the prompt is too long", "context_length_exceeded")
    chat.hears("four")
    assert texts(server.asked[-1]) == ["S", "three", "You said: three", "four"]
    note = page.locator(".reply .note:visible")
    assert "the oldest 2 exchanges were left out" in note.inner_text()
    chat.hears("five")
    assert texts(server.asked[-1])[1] == "three"
    assert len(server.asked) == 7


def test_a_message_that_alone_is_too_long_says_so(chat: Any, page: Any, server: Any) -> None:
    server.fails(400, "the prompt is too long", "context_length_exceeded")
    chat.hears("very long")
    assert "longer than the model can read" in page.locator(".fault span").inner_text()
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (429, "The server is busy with other requests. too many. Try again in 7 s."),
        (500, "The server failed. too many."),
        (503, "The server is not ready. too many."),
        (400, "too many."),
    ],
)
def test_an_error_is_a_line_with_a_button_and_loses_nothing(
    chat: Any, page: Any, server: Any, status: int, line: str
) -> None:
    headers = {"Retry-After": "7"} if status == 429 else {}
    server.fails(status, "too many.", **headers)
    chat.say("precious words")
    page.wait_for_selector(".fault:visible")
    assert page.locator(".fault span").inner_text() == line
    page.reload()
    assert chat.said()[0] == "precious words"
    page.click(".fault button")
    chat.settled()
    assert chat.said() == ["precious words", "You said: precious words"]


def test_a_message_after_an_error_does_not_spoil_the_turns(
    chat: Any, page: Any, server: Any
) -> None:
    server.fails(500, "no")
    chat.say("lost")
    page.wait_for_selector(".fault:visible")
    chat.hears("found")
    assert texts(server.asked[1]) == ["found"]
    chat.hears("more")
    assert roles(server.asked[2]) == ["user", "assistant", "user"]


def test_a_stream_that_breaks_off_keeps_its_beginning(chat: Any, page: Any, server: Any) -> None:
    server.says("Only ", "this", breaks=True)
    chat.say("hm")
    page.wait_for_selector(".fault:visible")
    assert chat.said()[1] == "Only this"
    assert "The reply broke off." in page.locator(".fault span").inner_text()


def test_a_server_that_is_gone_is_told_and_found_again(chat: Any, page: Any, server: Any) -> None:
    page.route("**/v1/**", lambda route: route.abort())
    chat.say("anyone?")
    page.wait_for_selector(".fault:visible")
    assert "The server does not answer." in page.locator(".fault span").inner_text()
    page.unroute("**/v1/**")
    page.click(".fault button")
    chat.settled()
    assert chat.said() == ["anyone?", "You said: anyone?"]


def test_a_key_is_asked_for_kept_in_the_tab_alone_and_the_reply_goes_on(
    chat: Any, page: Any, server: Any, watched: Any
) -> None:
    server.key = "s3cret"
    chat.say("let me in")
    page.wait_for_selector("#key:visible")
    page.fill("#secret", "wrong")
    page.keyboard.press("Enter")
    chat.shows("#key label", "does not accept this key")
    page.fill("#secret", "s3cret")
    page.keyboard.press("Enter")
    page.wait_for_selector("#key", state="hidden")
    chat.shows(".reply .said", "You said")
    assert "s3cret" not in page.evaluate("JSON.stringify(localStorage)")
    page.reload()
    chat.hears("still in")
    assert chat.said()[-1] == "You said: still in"
    other = watched.page()
    other.wait_for_selector("#key:visible")


def test_a_reply_at_its_longest_says_so(chat: Any, page: Any, server: Any) -> None:
    server.says("and so", finish="length")
    chat.hears("tell")
    assert "longest length" in page.locator(".facts").inner_text()
