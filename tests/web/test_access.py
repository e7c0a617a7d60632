"""The page for everybody: by keyboard, by ear, on a phone, in the dark."""

from typing import Any

import pytest

pytestmark = pytest.mark.slow

REPLY = """# Title

Text with `code`, **bold** and [a link](https://example.org/).

> quoted

| a | b |
|---|---|
| 1 | 2 |

```python
x = 1
```
"""
# Every control with its computed name as the browser tells it to a screen reader.
CONTROLS = "a, button, input:not([type=file]), textarea, [tabindex='0']"
# The lowest contrast of any text with what lies behind it, and where.
CONTRAST = """() => {
    const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const bytes = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map((c) => c / 255).map(
            (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const behind = (node) => {
        const layers = [];
        for (; node; node = node.parentElement) {
            layers.push(bytes(getComputedStyle(node).backgroundColor));
            if (layers.at(-1)[3] === 255) break;
        }
        return layers.reverse().reduce((under, over) =>
            under.map((c, i) => c + (over[i] - c) * (over[3] / 255)));
    };
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walk.nextNode()) {
        const host = walk.currentNode.parentElement;
        if (!walk.currentNode.textContent.trim() || !host.checkVisibility({opacityProperty: true,
            visibilityProperty: true}) || host.closest(".unseen, .skip")) continue;
        const pair = [light(bytes(getComputedStyle(host).color)), light(behind(host))];
        const [low, high] = pair.sort((a, b) => a - b);
        found.push([(high + 0.05) / (low + 0.05), walk.currentNode.textContent.trim()]);
    }
    return found.sort((a, b) => a[0] - b[0])[0];
}"""


def talk(page: Any, server: Any) -> None:
    """A chat with everything in it, and an error at its end."""
    server.says(REPLY)
    page.fill("#message", "show me")
    page.press("#message", "Enter")
    page.wait_for_selector(".facts:has-text('tokens')")
    server.fails(500, "something went wrong")
    page.fill("#message", "again")
    page.press("#message", "Enter")
    page.wait_for_selector(".fault:visible")


def names(page: Any) -> list[str]:
    """The accessible name of every control on the page, as Chromium computes it."""
    session = page.context.new_cdp_session(page)
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    found = session.send("DOM.querySelectorAll", {"nodeId": root, "selector": CONTROLS})
    told = []
    for node in found["nodeIds"]:
        tree = session.send("Accessibility.getPartialAXTree", {"nodeId": node})["nodes"]
        if not tree[0]["ignored"]:
            told.append(tree[0].get("name", {}).get("value", ""))
    return told


def test_every_control_has_a_name(page: Any, server: Any) -> None:
    talk(page, server)
    told = names(page)
    assert len(told) > 15
    assert all(told), told
    page.click("#tune")
    told = names(page)
    assert len(told) >= 12
    assert all(told), told


def test_landmarks_and_headings_say_where_one_is(page: Any, server: Any) -> None:
    talk(page, server)
    for role, name in (("navigation", "Chats"), ("region", "Conversation")):
        assert page.get_by_role(role, name=name, exact=True).count() == 1
    assert page.get_by_role("main").count() == 1
    assert page.get_by_role("heading", level=1).all_inner_texts() == ["show me"]
    levels = page.evaluate(
        "() => [...document.querySelectorAll('main :is(h1, h2, h3, h4)')]"
        ".map(node => node.localName)"
    )
    assert levels == ["h1", "h2", "h2", "h3", "h2", "h2"]


def test_a_finished_reply_is_announced_once_and_no_token_is(page: Any, server: Any) -> None:
    reply = server.says("The ", "lamp ", "burns.", holds_at=2)
    page.fill("#message", "well?")
    page.press("#message", "Enter")
    page.locator(".reply .said", has_text="The lamp").wait_for()
    assert page.locator("#told").inner_text() == ""
    assert page.locator("#queue [aria-live], #queue [role=log]").count() == 0
    reply.gate.set()
    page.locator("#told", has_text="Reply: The lamp burns.").wait_for()
    assert page.locator("#told").get_attribute("aria-live") == "polite"


def test_all_of_it_can_be_done_by_keyboard(page: Any, server: Any) -> None:
    keys = page.keyboard
    assert page.evaluate("document.activeElement.id") == "message"
    keys.type("first")
    keys.press("Shift+Enter")
    keys.type("line")
    keys.press("Enter")
    page.wait_for_selector(".facts:has-text('tokens')")
    assert server.asked[0]["messages"][0]["content"] == "first\nline"
    keys.press("ArrowUp")
    keys.press("Control+A")
    keys.type("better")
    keys.press("Enter")
    page.locator(".reply .said", has_text="You said: better").wait_for()
    page.wait_for_selector(".facts:has-text('tokens')")
    passed = []
    page.evaluate("document.activeElement.blur()")
    for _ in range(20):
        keys.press("Tab")
        passed.append(
            page.evaluate(
                "(node => node.id || node.dataset.act || node.localName)(document.activeElement)"
            )
        )
    order = ["fresh", "a", "rename", "delete", "tune", "queue", "edit", "copy", "copy", "again"]
    start = passed.index("fresh")
    assert passed[start : start + 12] == [*order, "message", "send"]
    page.focus("#skip")
    keys.press("Enter")
    assert page.evaluate("document.activeElement.id") == "message"
    assert page.locator("article").count() == 2
    page.focus("#tune")
    keys.press("Enter")
    assert page.locator("#panel").is_visible()
    keys.press("Escape")
    assert page.evaluate("document.activeElement.id") == "tune"


def test_the_focus_can_be_seen_everywhere(page: Any, server: Any) -> None:
    talk(page, server)
    page.focus("#message")
    script = """() => {
        const node = document.activeElement;
        const framed = node.closest("#composer, .editor");
        const rules = [getComputedStyle(node), framed && getComputedStyle(framed)];
        const seen = rules.some((rule) => rule?.outlineStyle === "solid");
        return [seen && node.checkVisibility({opacityProperty: true}), node.outerHTML];
    }"""
    for _ in range(25):
        page.keyboard.press("Tab")
        seen, what = page.evaluate(script)
        assert seen or what.startswith("<body"), what


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground(page: Any, server: Any, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(251, 250, 247)", "dark": "rgb(17, 24, 27)"}[scheme]
    assert page.evaluate(CONTRAST)[0] >= 4.5
    talk(page, server)
    assert page.evaluate(CONTRAST)[0] >= 4.5, page.evaluate(CONTRAST)
    page.click("#tune")
    assert page.evaluate(CONTRAST)[0] >= 4.5, page.evaluate(CONTRAST)


@pytest.mark.parametrize("width", [320, 360, 768, 1280, 2560])
def test_nothing_lies_beyond_the_edge(page: Any, server: Any, width: int) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 640})
    server.says(f"{'long' * 80}\n\n```\n{'code ' * 60}\n```\n\n|{'cell|' * 30}\n|{'-|' * 30}\n")
    page.fill("#message", "w" * 300)
    page.press("#message", "Enter")
    page.wait_for_selector(".facts:has-text('tokens')")
    script = """(area) => [...document.querySelectorAll(area)].filter((node) => {
        const {left, right, width} = node.getBoundingClientRect();
        return node.checkVisibility({visibilityProperty: true}) && width > 1
            && !node.closest("pre > *, .scroll > *, .skip, svg > *")
            && (left < -1 || right > innerWidth + 1);
    }).map((node) => node.outerHTML.slice(0, 80))"""
    assert page.evaluate(script, "body *") == []
    column = page.locator("#column").bounding_box()["width"]
    assert column <= 44 * 16
    page.click("#tune")
    assert page.evaluate(script, "#panel, #panel *") == []


def test_on_a_phone_the_chats_lie_in_a_drawer(page: Any, server: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    page.reload()
    page.wait_for_selector("#model:not(:empty)")
    assert page.locator("#fresh").is_hidden()
    page.click("#open")
    assert page.locator("#open").get_attribute("aria-expanded") == "true"
    page.wait_for_selector("#fresh:visible")
    assert page.evaluate("document.activeElement.id") == "shut"
    page.keyboard.press("Escape")
    page.wait_for_selector("#fresh", state="hidden")
    assert page.evaluate("document.activeElement.id") == "open"


def test_nothing_moves_for_who_wants_no_motion(page: Any, server: Any) -> None:
    page.emulate_media(reduced_motion="reduce")
    reply = server.says("a", "b", holds_at=1)
    page.fill("#message", "x")
    page.press("#message", "Enter")
    page.locator(".growing .said p").wait_for()
    assert page.evaluate("document.getAnimations().length") == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate("document.getAnimations().length") == 1
    reply.gate.set()


def test_an_input_method_keeps_its_enter(page: Any, server: Any) -> None:
    page.fill("#message", "\u304b\u3093")
    page.evaluate(
        "() => document.querySelector('#message').dispatchEvent(new KeyboardEvent('keydown',"
        " {key: 'Enter', isComposing: true, bubbles: true, cancelable: true}))"
    )
    assert server.asked == []
    assert page.input_value("#message") == "\u304b\u3093"


def test_who_scrolled_away_stays_there_while_the_reply_grows(page: Any, server: Any) -> None:
    page.set_viewport_size({"width": 800, "height": 400})
    reply = server.says("line\n\n" * 40, "line\n\n" * 40, holds_at=1)
    page.fill("#message", "long")
    page.press("#message", "Enter")
    page.locator(".reply .said p:nth-child(40)").wait_for()
    page.wait_for_selector("#latest", state="hidden")  # it follows at first
    page.locator("#queue").evaluate("node => { node.scrollTop = 100; }")
    page.wait_for_selector("#latest:visible")
    reply.gate.set()
    page.wait_for_selector(".facts:has-text('tokens')", state="attached")
    assert page.locator("#queue").evaluate("node => node.scrollTop") == 100
    page.click("#latest")
    page.wait_for_selector("#latest", state="hidden")
