"""The page from the real server, with a model so small that it only babbles."""

from typing import Any

import pytest

from tests.serve.conftest import serving
from tests.web.conftest import Chatting, Watched

pytestmark = pytest.mark.slow

NUMBERS = {"seed": 7, "max_tokens": 24, "temperature": 1.0, "top_k": 0}


def told(running: Any, *texts: str) -> str:
    """What the model says to these queue, asked without the page."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
    reply = running.post("/v1/chat/completions", {"messages": messages, **NUMBERS})
    return str(reply.json()["choices"][0]["message"]["content"])


def opened(browser: Any, running: Any) -> tuple[Watched, Chatting]:
    watched = Watched(browser, running.url.rstrip("/") + "/", locale="en")
    return watched, Chatting(watched.page())


def tune(page: Any, **numbers: Any) -> None:
    page.click("#tune")
    for name, number in numbers.items():
        page.fill(f"#{name}", str(number))
    page.keyboard.press("Escape")


def test_the_page_shows_what_the_server_says_to_the_same_seed(browser: Any) -> None:
    with serving() as running:
        watched, chat = opened(browser, running)
        assert chat.page.locator("#model").inner_text() == "tiny"
        tune(chat.page, **NUMBERS)
        chat.hears("Who are you?")
        chat.hears("And why?")
        queue = [turn["content"] for turn in chat.kept()[0]["queue"]]
        first = told(running, "Who are you?")
        assert queue == ["Who are you?", first, "And why?", told(running, *queue[:3])]
        assert "tokens/s" in chat.page.locator(".facts").last.inner_text()
        watched.context.close()
        assert watched.wrong == []


def test_a_chat_longer_than_the_context_goes_on_without_its_beginning(browser: Any) -> None:
    with serving(context_length=128) as running:
        watched, chat = opened(browser, running)
        tune(chat.page, max_tokens=4)
        for number in range(4):
            chat.hears(f"{number} " + "word " * 9)
        assert chat.page.locator(".fault:visible").count() == 0
        assert "left out" in chat.page.locator(".note:visible").last.inner_text()
        chat.hears("word " * 60)
        assert (
            "longer than the model can read" in chat.page.locator(".fault span").last.inner_text()
        )
        watched.context.close()
        assert watched.wrong == []


def test_the_key_of_the_server_opens_the_page(browser: Any) -> None:
    with serving(key="s3cret") as running:
        watched, chat = opened(browser, running)
        chat.page.fill("#secret", "s3cret")
        chat.page.keyboard.press("Enter")
        chat.page.wait_for_selector("#model:not(:empty)")
        tune(chat.page, **NUMBERS)
        chat.hears("hello")
        assert [turn["content"] for turn in chat.kept()[0]["queue"]][1] == told(running, "hello")
        watched.context.close()
        assert watched.wrong == []
