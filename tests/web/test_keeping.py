"""What the browser keeps: through reloads, in files, beside another page, until it is deleted."""

import json
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def test_a_reload_in_the_middle_of_a_reply_keeps_what_was_said(
    chat: Any, page: Any, server: Any
) -> None:
    server.says("So far ", "so good", " and more", holds_at=2)
    chat.say("tell me")
    chat.shows(".reply .said", "so good")
    page.reload()
    page.wait_for_selector(".reply")
    assert chat.said() == ["tell me", "So far so good"]
    assert "This reply was interrupted." in page.locator(".facts").inner_text()
    page.click(".reply .acts [data-act=again]")
    chat.shows(".reply .said", "You said")


def test_what_was_typed_survives_a_reload(chat: Any, page: Any, server: Any) -> None:
    page.fill("#message", "in a new chat")
    page.reload()
    assert page.input_value("#message") == "in a new chat"
    page.press("#message", "Enter")
    chat.settled()
    assert page.input_value("#message") == ""
    page.fill("#message", "in a chat that began")
    page.click(".user [data-act=edit]")
    page.fill(".editor textarea", "half an edit")
    page.reload()
    assert page.input_value("#message") == "in a chat that began"
    assert page.input_value(".editor textarea") == "half an edit"


def test_a_chat_is_renamed_deleted_and_taken_back(chat: Any, page: Any, server: Any) -> None:
    chat.hears("the first line\nthe second")
    assert page.locator("#chats a").all_inner_texts() == ["the first line"]
    page.click("#chats [data-act=rename]")
    page.fill("#chats input", "The lamp")
    page.keyboard.press("Enter")
    assert page.locator("#title").inner_text() == "The lamp"
    assert page.locator("#chats input").count() == 0
    page.fill("#message", "a draft")
    page.click("#chats [data-act=delete]")
    assert page.locator("#chats a").count() == 0
    assert chat.kept() == []
    assert page.locator("article").count() == 0
    page.keyboard.press("Enter")  # the focus is on Undo
    page.wait_for_selector("article")
    assert page.locator("#chats a").all_inner_texts() == ["The lamp"]
    assert page.input_value("#message") == "a draft"
    page.reload()
    assert page.locator("#chats a").all_inner_texts() == ["The lamp"]


def test_a_chat_that_is_deleted_while_it_is_written_stays_deleted(
    chat: Any, page: Any, server: Any
) -> None:
    reply = server.says("on ", "and ", "on", holds_at=2)
    chat.say("begin")
    chat.shows(".reply .said", "on and")
    page.click("#chats [data-act=delete]")
    assert reply.left.wait(10)
    chat.hears("another")
    assert [record["queue"][0]["content"] for record in chat.kept()] == ["another"]


def test_an_exported_chat_is_a_line_that_nielsgpt_reads_and_the_page_too(
    chat: Any, page: Any, server: Any, tmp_path: Any
) -> None:
    from nielsgpt.conversation import parse_conversation

    page.click("#tune")
    page.fill("#system", "Be brief.")
    page.keyboard.press("Escape")
    chat.hears("caf\u00e9 \U0001f600?")
    page.click("#tune")
    with page.expect_download() as download:
        page.click("#save-json")
    path = tmp_path / "chat.json"
    download.value.save_as(path)
    record = json.loads(path.read_text("utf-8"))
    talk = parse_conversation(record["messages"], "chat.json")
    assert [m.role for m in talk.messages] == ["system", "user", "assistant"]
    assert talk.messages[1].content == "caf\u00e9 \U0001f600?"
    with page.expect_download() as download:
        page.click("#save-markdown")
    download.value.save_as(tmp_path / "chat.md")
    assert download.value.suggested_filename.endswith(".md")
    assert "## You\n\ncaf\u00e9 \U0001f600?\n" in (tmp_path / "chat.md").read_text("utf-8")
    page.set_input_files("#file", path)
    page.wait_for_selector("#chats li:nth-child(2)")
    one, other = chat.kept()
    for record in (one, other):
        assert record["system"] == "Be brief."
        spoken = [turn["content"] for turn in record["queue"]]
        assert spoken == ["caf\u00e9 \U0001f600?", "You said: caf\u00e9 \U0001f600?"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "bad.json, line 1 is not JSON."),
        ("{}", "bad.json, chat 1 has no list of messages."),
        ('[{"role": "user"}]', "bad.json, chat 1: message 1 has no text."),
        (
            '[{"role": "assistant", "content": "a"}]',
            "bad.json, chat 1: message 1 is of assistant where user was due.",
        ),
        ("", "bad.json has no chat."),
    ],
)
def test_a_file_that_holds_no_chat_is_refused_in_a_line(
    chat: Any, page: Any, server: Any, tmp_path: Any, text: str, message: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text, "utf-8")
    page.set_input_files("#file", path)
    page.wait_for_selector("#notice:visible")
    assert page.locator("#notice span").inner_text() == message
    assert chat.kept() == []


def test_an_imported_question_without_a_reply_can_be_asked(
    chat: Any, page: Any, server: Any, tmp_path: Any
) -> None:
    path = tmp_path / "open.jsonl"
    lines = [[{"role": "user", "content": f"q{n}"}] for n in range(2)]
    path.write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
    page.set_input_files("#file", path)
    page.click(".fault button")
    chat.settled()
    assert chat.said() == ["q0", "You said: q0"]


def test_two_pages_show_one_chat(chat: Any, page: Any, server: Any, watched: Any) -> None:
    chat.hears("hello")
    other = watched.page("#" + page.url.split("#")[1])
    other.wait_for_selector(".reply")
    chat.hears("more")
    other.wait_for_selector("article:nth-child(4) .facts:has-text('tokens')")
    assert type(chat)(other).said() == chat.said()


def test_a_full_storage_is_told_and_the_chat_goes_on(chat: Any, page: Any, server: Any) -> None:
    page.evaluate("localStorage.filler = 'x'.repeat(5 * 1024 * 1024 - 900)")
    chat.hears("y" * 4000)
    assert "storage is full" in page.locator("#notice span").inner_text()
    assert chat.said()[1].startswith("You said: yyy")
