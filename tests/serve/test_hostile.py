"""Hostile bodies and values: each is refused in one format, and none is a 500."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from tests.serve.conftest import Running

HUGE = 2**63
NUMBERS = [True, "5", [], {}, [1], "", -1, -HUGE * 4]
VALUES: dict[str, list[Any]] = {
    "max_tokens": [*NUMBERS, 0, 1.5, -HUGE],
    "max_completion_tokens": [*NUMBERS, 0, 0.5],
    "n": [True, "2", [], {}, 0, -1, 9, 1000, HUGE, 1.5],
    "temperature": [True, "1", [], {}, -0.1, -1, 2.1, 1e6, 1e308, HUGE],
    "top_p": [True, "1", [], {}, 0, -1, 1.01, 2, 1e308],
    "top_k": [True, "1", [], {}, -1, 1.5, HUGE, 2**31 + 1],
    "min_p": [True, "0", [], {}, -0.1, 1, 1.5, 1e9],
    "repetition_penalty": [True, "1", [], {}, 0, -1, 0.09, 10.1, 1e300],
    "seed": [True, "1", [], {}, 1.5, 2**128, -(2**128), HUGE],
    "stop": [1, True, {}, "", [""], "x" * 65, ["a"] * 5, [1], [None], [["a"]], ["x" * 65]],
    "stream": ["true", 1, 0, [], {}, "no"],
    "stream_options": [True, "usage", 1, [], {"include_usage": "yes"}, {"include_usage": 1}],
    "logprobs": ["true", 1, 5, [], {}],
    "top_logprobs": [True, "1", -1, 21, 1.5, HUGE, [], {}, 3],
    "presence_penalty": [0.1, -0.1, 2, "0", [], True],
    "frequency_penalty": [0.1, -0.1, 2, "0", [], True],
    "logit_bias": [{"50": 100}, {"-1": 1}, [], "none", 1, {"x": None}],
    "tools": [[{"type": "function"}], {}, "none", 1, [None]],
    "functions": [[{}], "f", 1],
    "tool_choice": ["required", {"type": "function"}, 1, []],
    "function_call": [{"name": "f"}, "f", 1],
    "modalities": [["text", "audio"], "text", [1]],
    "response_format": ["text", {"type": "json_object"}, {"type": "json_schema"}, {}, []],
    "model": [1, True, [], {}, "x" * 257],
    "messages": [
        *(None, [], {}, "hello", 1, True, [None], ["hello"], [[]], [{}]),
        [{"role": "user"}],
        [{"content": "hello"}],
        [{"role": "user", "content": None}],
        [{"role": "user", "content": 5}],
        [{"role": "user", "content": []}],
        [{"role": "user", "content": ["hello"]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
        [{"role": "user", "content": [{"type": "text"}]}],
        [{"role": "tool", "content": "hello"}],
        [{"role": "USER", "content": "hello"}],
        [{"role": ["user"], "content": "hello"}],
        [{"role": "assistant", "content": "hello"}],
        [{"role": "system", "content": "hello"}],
        [{"role": "system", "content": "a"}, {"role": "assistant", "content": "b"}],
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": None}],
        [{"role": "user", "content": [["a"]]}],
        [{"role": "user", "content": "a"}] * 513,
    ],
}
FORMS = "a string, a list of strings, a list of ids or a list of such lists"
TEXT_VALUES: dict[str, list[Any]] = {
    "prompt": [
        *(None, 1, True, {}, [], [[]], [None], [True], [1.5], [-1], [260], [HUGE], ["a", 1]),
        *([1, "a"], [[1], "a"], [["a"]], [[1], []], [[[1]]], ["a"] * 65),
    ],
    "max_tokens": [*NUMBERS, 0],
    "logprobs": [True, "1", -1, 6, 1.5, HUGE],
    "echo": ["true", 1, []],
    "best_of": [0, 2, "1", True, []],
    "suffix": ["x", 1, []],
    "n": [0, 9],
}
CHATS = [(name, value) for name, values in VALUES.items() for value in values]
TEXTS = [(name, value) for name, values in TEXT_VALUES.items() for value in values]
GOOD = b'{"messages": [{"role": "user", "content": "hi"}]%s}'
BODIES = {
    "empty": b"",
    "blank": b"  ",
    "word": b"hello",
    "cut": b'{"messages": [',
    "more": GOOD % b"" + b"}",
    "two": GOOD % b"" + GOOD % b"",
    "comma": b'{"messages": [],}',
    "single quotes": b"{'messages': []}",
    "comment": b'{"messages": [] /* none */}',
    "null": b"null",
    "true": b"true",
    "number": b"1",
    "string": b'"hello"',
    "list": b"[]",
    "list of good": b"[" + GOOD % b"" + b"]",
    "NaN": GOOD % b', "temperature": NaN',
    "Infinity": GOOD % b', "temperature": Infinity',
    "-Infinity": GOOD % b', "x": -Infinity',
    "1e309": GOOD % b', "temperature": 1e309',
    "5001 digits": GOOD % (b', "seed": ' + b"9" * 5001),
    "5001 digits unknown": GOOD % (b', "x": ' + b"9" * 5001),
    "-0x10": GOOD % b', "seed": 0x10',
    "plus": GOOD % b', "seed": +1',
    "zeros": GOOD % b', "seed": 007',
    "lone surrogate": GOOD.replace(b"hi", b"\\ud800") % b"",
    "lone low surrogate": GOOD.replace(b"hi", b"\\uDFFF") % b"",
    "surrogate in a name": GOOD % b', "\\ud800": 1',
    "surrogate unknown": GOOD % b', "x": "\\udbff"',
    "invalid UTF-8": GOOD.replace(b"hi", b"\xff\xfe") % b"",
    "overlong UTF-8": GOOD.replace(b"hi", b"\xc0\xaf") % b"",
    "UTF-8 surrogate": GOOD.replace(b"hi", b"\xed\xa0\x80") % b"",
    "cut UTF-8": GOOD.replace(b"hi", b"\xe2\x96") % b"",
    "UTF-16": (GOOD % b"").decode().encode("utf-16"),
    "UTF-32": (GOOD % b"").decode().encode("utf-32"),
    "byte order mark": b"\xef\xbb\xbf" + GOOD % b"",
    "NUL": GOOD % b"" + b"\0",
    "control character": GOOD.replace(b"hi", b"\x01\x1b") % b"",
    "depth list": b"[" * 200_000,
    "depth object": b'{"a":' * 100_000,
    "depth closed": b"[" * 100_000 + b"]" * 100_000,
    "depth in a value": GOOD % (b', "x": ' + b"[" * 5_000 + b"]" * 5_000),
    "duplicate": GOOD % b', "messages": []',
    "duplicate inside": GOOD.replace(b'"role"', b'"role": "system", "role"') % b"",
    "duplicate unknown": GOOD % b', "x": {"a": 1, "a": 2}',
    "form": b"messages=hello",
    "XML": b"<messages/>",
    "gzip": gzip.compress(GOOD % b""),
}


def is_refused(reply: httpx.Response, status: int = 400) -> bool:
    """Whether this is an error in the API's shape."""
    error = reply.json()["error"]
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/json"
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert len(error["message"]) < 400
    return True


def test_there_are_enough_hostile_values() -> None:
    assert len(CHATS) + len(TEXTS) > 200
    assert len(BODIES) > 40


@pytest.mark.parametrize(("name", "value"), CHATS, ids=repr)
def test_a_hostile_value_of_a_chat_is_refused(
    tiny_server: Running, name: str, value: object
) -> None:
    reply = tiny_server.chat(**{name: value})
    assert is_refused(reply)
    assert reply.json()["error"]["param"] == name


@pytest.mark.parametrize(("name", "value"), TEXTS, ids=lambda value: repr(value)[:30])
def test_a_hostile_value_of_a_text_is_refused(
    tiny_server: Running, name: str, value: object
) -> None:
    reply = tiny_server.post("/v1/completions", {"prompt": "The", name: value})
    assert is_refused(reply)
    assert name == "prompt" or reply.json()["error"]["param"] == name


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_hostile_body_is_refused(tiny_server: Running, body: bytes) -> None:
    for path in ("/v1/chat/completions", "/v1/completions"):
        reply = tiny_server.post(path, content=body, headers={"Content-Type": "application/json"})
        assert is_refused(reply)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
    ids=str,
)
def test_a_body_that_is_not_announced_as_json_is_refused(
    tiny_server: Running, headers: dict[str, str]
) -> None:
    path = "/v1/chat/completions"
    assert is_refused(tiny_server.post(path, content=GOOD % b"", headers=headers), 415)


@pytest.mark.parametrize(
    ("over", "advice"),
    [
        ({"presence_penalty": 1}, "use repetition_penalty"),
        ({"logit_bias": {"1": 2}}, "use temperature"),
        ({"tool_choice": "required"}, "cannot call tools; use none or auto"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "cannot call tools"),
        ({"modalities": ["audio"]}, "writes text"),
        ({"response_format": {"type": "json_object"}}, "writes text"),
    ],
)
def test_an_unsupported_parameter_is_refused_with_an_alternative(
    tiny_server: Running, over: dict[str, Any], advice: str
) -> None:
    error = tiny_server.chat(**over).json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", next(iter(over)))
    assert advice in error["message"]


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_long_is_refused_and_never_kept(
    tiny_server: Running, announced: bool
) -> None:
    piece = b" " * 65_536

    def pieces() -> Iterator[bytes]:
        for _ in range(1_000):  # 64 MiB
            yield piece

    before = psutil.Process().memory_info().rss
    headers = {"Content-Type": "application/json"}
    headers |= {"Content-Length": str(1_000 * len(piece))} if announced else {}
    reply = tiny_server.post("/v1/chat/completions", content=pieces(), headers=headers)
    assert is_refused(reply, 413)
    assert psutil.Process().memory_info().rss - before < 20 * 2**20


def test_a_body_of_exactly_the_limit_is_read(tiny_server: Running) -> None:
    body = GOOD % b""
    headers = {"Content-Type": "application/json"}
    path = "/v1/chat/completions"
    full = body + b" " * (1_048_576 - len(body))
    assert tiny_server.post(path, content=full, headers=headers).status_code == 200
    assert is_refused(tiny_server.post(path, content=full + b" ", headers=headers), 413)


@pytest.mark.parametrize(
    "path",
    [
        *("..", "%2e%2e", "%2e%2e%2f", "..%2f..%2f..%2fetc%2fpasswd", "....//", "..\\..", "%00"),
        *("a%00.js", "%ff", "~", ".", "./", "//", "%2f", "%5c..%5c", "CON", "a" * 5_000),
        *("%0d%0aX-Injected:1", "index.html/x", "index.html/..", "../app.py", "../__init__.py"),
        *("%252e%252e%252fapp.py", "\u202e", "C:%5cWindows", "%2e%2e/app.py", "/etc/passwd"),
    ],
)
def test_no_path_leads_out_of_the_static_files_or_the_models(
    tiny_server: Running, path: str
) -> None:
    for prefix in (b"/static/", b"/v1/models/"):
        target = prefix + path.encode("utf-8")
        if b"\xe2" in target:
            target = prefix + b"%E2%80%AE"
        head, body = tiny_server.exchange(b"GET %s HTTP/1.1\r\nHost: localhost\r\n" % target)
        assert head.split()[1] == b"404"
        assert b"X-Injected" not in head
        assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}
        assert len(path) < 3 or path.encode() not in body


@pytest.mark.parametrize(
    ("over", "reason"),
    [
        ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 1"),
        ({"top_k": -1}, "top_k: Input should be greater than or equal to 0"),
        ({"stop": ""}, "stop: String should have at least 1 character"),
        ({"stop": ["a", ""]}, "stop.1: String should have at least 1 character"),
        ({"stop": ["a"] * 5}, "stop: List should have at most 4 items after validation, not 5"),
        ({"stop": ["x" * 65]}, "stop.0: String should have at most 64 characters"),
        ({"stop": {}}, "stop: Input should be a string or a list of strings"),
    ],
    ids=str,
)
def test_the_reason_is_about_the_form_that_was_sent(
    tiny_server: Running, over: dict[str, Any], reason: str
) -> None:
    text = tiny_server.chat(**over).json()["error"]["message"]
    assert text == f"{reason}; leave it out to use the server's default"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "messages.0.content: Input should be a string or a list of text parts"),
        ([], "messages.0.content: List should have at least 1 item after validation, not 0"),
        ([{"type": "image_url"}], "messages.0.content.0.type: Input should be 'text'"),
    ],
    ids=str,
)
def test_a_content_part_that_is_not_text_is_named(
    tiny_server: Running, content: object, reason: str
) -> None:
    messages = [{"role": "user", "content": content}]
    error = tiny_server.post("/v1/chat/completions", {"messages": messages}).json()["error"]
    assert error["message"] == reason


def test_a_message_with_tool_calls_is_refused(tiny_server: Running) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    error = tiny_server.post("/v1/chat/completions", {"messages": messages}).json()["error"]
    assert error["message"] == (
        "tool_calls is not supported; this model cannot call tools; leave out such messages"
    )


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ([], "prompt: List should have at least 1 item after validation, not 0"),
        ([1, "a"], "prompt.1: Input should be a valid integer"),
        ({"a": 1}, f"prompt: Input should be {FORMS}"),
    ],
    ids=str,
)
def test_the_reason_a_prompt_is_refused_is_about_its_form(
    tiny_server: Running, prompt: object, reason: str
) -> None:
    reply = tiny_server.post("/v1/completions", {"prompt": prompt})
    assert reply.json()["error"]["message"] == reason
