"""The Modelfile, read by the grammar of Ollama: a name, a value in quotes or none, no escapes."""

import re

import jinja2
import pytest

from nielsgpt.config.settings import GenerationSettings
from nielsgpt.conversation import Message
from nielsgpt.export.chat_template import build_jinja_template, build_modelfile
from tests.export.made import conversations

COMMAND = re.compile(
    r"(?P<name>FROM|TEMPLATE|PARAMETER (?P<parameter>\w+)) "
    r'(?:"""(?P<quoted>.*?)"""|(?P<bare>[^"\n]+))\n',
    re.S,
)
# What Ollama calls its options, and the type it reads them as.
OPTIONS = {
    **dict.fromkeys(("num_ctx", "num_predict", "top_k"), int),
    **dict.fromkeys(("temperature", "top_p", "min_p", "repeat_penalty"), float),
    "stop": str,
}
STOPS = ("\n\n", 'say "stop"', 'a"\nb', "\u00e9t\u00e9", '"', " User:", "\\n")


def parsed(text: str) -> list[tuple[str, str]]:
    """Each command's name, or its parameter's, and its value."""
    found, place = [], 0
    while place < len(text):
        command = COMMAND.match(text, place)
        assert command is not None, text[place:]
        value = command["quoted"] if command["quoted"] is not None else command["bare"]
        found.append((command["parameter"] or command["name"], value))
        place = command.end()
    return found


def test_every_line_is_a_command_and_every_option_of_its_type() -> None:
    generation = GenerationSettings(temperature=1e-5, max_new_tokens=3_000_000, top_k=0)
    found = parsed(build_modelfile("my model-f16.gguf", 2_097_152, generation))
    assert found[0] == ("FROM", "./my model-f16.gguf")
    assert found[1][0] == "TEMPLATE"
    told = {name: OPTIONS[name](value) for name, value in found[2:]}
    assert told == {
        "num_ctx": 2_097_152,
        "num_predict": 3_000_000,
        "temperature": 1e-5,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": 0.0,
        "repeat_penalty": 1.0,
        "stop": "<|eot|>",
    }


@pytest.mark.parametrize("stop", STOPS)
def test_a_stop_string_is_read_as_it_is(stop: str) -> None:
    found = parsed(build_modelfile("m.gguf", 128, GenerationSettings(stop_strings=(stop,))))
    assert [value for name, value in found if name == "stop"] == ["<|eot|>", stop]


def test_its_template_renders_what_the_template_of_the_file_renders() -> None:
    rendered = jinja2.Environment().from_string(build_jinja_template(for_transformers=False))
    go = dict(parsed(build_modelfile("m.gguf", 128, GenerationSettings())))["TEMPLATE"]
    for conversation in conversations(50):
        messages = [{"role": m.role, "content": m.content} for m in conversation.messages]
        assert _in_go(go, conversation.messages) == rendered.render(
            messages=messages, add_generation_prompt=True
        )


def _in_go(template: str, messages: tuple[Message, ...]) -> str:
    """The template as Go's text/template walks it: one range, one chain of ifs on the role."""
    body, after = re.fullmatch(
        r"\{\{- range \.Messages \}\}(.*)\{\{- end \}\}(.*?)", template, re.S
    ).groups()  # type: ignore[union-attr]
    chain, content = re.fullmatch(r"(\{\{- if .*\{\{- end \}\})(.*)", body, re.S).groups()  # type: ignore[union-attr]
    cases = re.findall(r'\{\{- (?:else )?if eq \.Role "(\w+)" \}\}([^{]*)', chain)
    other = re.findall(r"\{\{- else \}\}([^{]*)", chain)[0]
    expected = (
        dict(cases).get(message.role, other) + content.replace("{{ .Content }}", message.content)
        for message in messages
    )
    return "".join(expected) + after
