"""Talking: a reply comes, is stopped, drawn again; what was said is changed and copied."""

import re
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def texts(asked: dict[str, Any]) -> list[str]:
    return [message["content"] for message in asked["messages"]]


def test_a_reply_appears_while_it_is_written(chat: Any, page: Any, server: Any) -> None:
    reply = server.says("The lamp ", "is ", "lit.", holds_at=2)
    chat.say("Is it lit?")
    chat.shows(".reply .said", "lamp is")
    assert page.locator(".reply").get_attribute("aria-busy") == "true"
    assert page.locator("#send").is_hidden()
    reply.gate.set()
    chat.settled()
    assert chat.said() == ["Is it lit?", "The lamp is lit."]
    assert re.fullmatch(r"20 tokens, [\d.]+ tokens/s", page.locator(".facts").inner_text())
    assert page.locator("#model").inner_text() == "keeper"


def test_the_request_holds_the_whole_chat_and_nothing_that_was_not_set(
    chat: Any, page: Any, server: Any
) -> None:
    server.says("One.")
    chat.hears("first")
    chat.hears("second")
    request = server.asked[1]
    assert texts(request) == ["first", "One.", "second"]
    assert set(request) == {"model", "messages", "stream", "stream_options"}


@pytest.mark.parametrize("how", ["button", "Escape"])
def test_stop_keeps_what_was_said_and_frees_the_server(
    chat: Any, page: Any, server: Any, how: str
) -> None:
    reply = server.says("Half ", "a ", "reply", holds_at=2)
    chat.say("go on")
    chat.shows(".reply .said", "Half a")
    if how == "button":
        page.click("#stop")
    else:
        page.keyboard.press("Escape")
    chat.settled()
    assert reply.left.wait(10)
    assert chat.said()[1] == "Half a"
    assert "You stopped this reply." in page.locator(".facts").inner_text()
    chat.hears("and now")
    assert texts(server.asked[1]) == ["go on", "Half a ", "and now"]


def test_another_reply_takes_the_place_of_the_last(chat: Any, page: Any, server: Any) -> None:
    server.says("Bad.")
    server.says("Good.")
    chat.hears("how?")
    page.click(".reply .acts [data-act=again]")
    chat.shows(".reply .said", "Good.")
    assert chat.said() == ["how?", "Good."]
    assert texts(server.asked[1]) == ["how?"]


def test_an_edited_message_ends_what_came_after_it_and_asks_again(
    chat: Any, page: Any, server: Any
) -> None:
    for text in ("one", "two"):
        chat.hears(text)
    page.fill("#message", "not yet sent")
    page.hover(".user >> nth=0")
    page.click(".user [data-act=edit] >> nth=0")
    page.fill(".editor textarea", "uno")
    page.press(".editor textarea", "Enter")
    chat.shows(".reply .said", "uno")
    chat.settled()
    assert chat.said() == ["uno", "You said: uno"]
    assert texts(server.asked[2]) == ["uno"]
    assert page.input_value("#message") == "not yet sent"


def test_escape_leaves_an_editor_without_a_change(chat: Any, page: Any, server: Any) -> None:
    chat.hears("one")
    page.focus("#message")
    page.keyboard.press("ArrowUp")
    page.fill(".editor textarea", "other")
    page.keyboard.press("Escape")
    assert page.locator(".editor").count() == 0
    assert chat.said()[0] == "one"
    assert len(server.asked) == 1


def test_a_reply_goes_on_while_another_chat_is_open(chat: Any, page: Any, server: Any) -> None:
    reply = server.says("slow ", "and ", "steady", holds_at=2)
    chat.say("first chat")
    chat.shows(".reply .said", "slow and")
    page.click("#fresh")
    chat.hears("second chat")
    page.click("#chats a:has-text('first chat')")
    chat.shows(".reply .said", "slow and")
    assert page.locator("#stop").is_visible()
    reply.gate.set()
    chat.settled()
    assert chat.said() == ["first chat", "slow and steady"]
    page.go_back()
    chat.shows(".user .said", "second chat")


def test_sampling_numbers_are_sent_kept_and_checked(chat: Any, page: Any, server: Any) -> None:
    page.click("#tune")
    numbers = {"temperature": 0.5, "top_p": 0.9, "top_k": 7, "max_tokens": 32, "seed": 3}
    for name, number in numbers.items():
        page.fill(f"#{name}", str(number))
    page.keyboard.press("Escape")
    page.reload()
    chat.hears("draw")
    assert {name: server.asked[0].get(name) for name in numbers} == numbers
    page.click("#tune")
    page.fill("#top_p", "1.5")
    page.keyboard.press("Escape")
    chat.say("again")
    assert page.locator("#panel").is_visible()
    assert page.input_value("#message") == "again"
    assert len(server.asked) == 1
    page.click("#defaults")
    page.keyboard.press("Escape")
    page.press("#message", "Enter")
    chat.settled()
    assert not set(server.asked[1]) & set(numbers)


def test_the_button_copies_the_message_as_it_was_written(
    chat: Any, page: Any, server: Any, watched: Any
) -> None:
    watched.context.grant_permissions(["clipboard-read", "clipboard-write"])
    server.says("**bold**\n\n```py\nx = 1\n```\n")
    chat.hears("code")
    page.click(".reply .acts [data-act=copy]")
    page.wait_for_selector(".reply .acts [data-done=Copied]")
    text = page.evaluate("navigator.clipboard.readText()")
    assert text == "**bold**\n\n```py\nx = 1\n```\n"
    page.click("[data-act=copy-code]")
    page.wait_for_selector("figure [data-done=Copied]")
    assert page.evaluate("navigator.clipboard.readText()") == "x = 1"


def test_events_come_whole_from_bytes_cut_anywhere(page: Any) -> None:
    stream = (
        ": a comment\r\n\r\ndata: caf\u00e9 \U0001f600\r\n\r\nevent: x\ndata:one\ndata: two\n\n"
        "data: a\r\ndata: b\r\n\r\n"
        "id: 3\n\ndata\n\ndata:  spaced\r\rdata: never ended"
    )
    script = """async ([bytes, size]) => {
        const { events } = await import("/static/events.js");
        const body = new ReadableStream({ start(to) {
            for (let at = 0; at < bytes.length; at += size) {
                to.enqueue(new Uint8Array(bytes.slice(at, at + size)));
            }
            to.close();
        } });
        const found = [];
        for await (const data of events(body)) found.push(data);
        return found;
    }"""
    for size in range(1, 12):
        found = page.evaluate(script, [list(stream.encode()), size])
        assert found == ["caf\u00e9 \U0001f600", "one\ntwo", "a\nb", " spaced"], size
