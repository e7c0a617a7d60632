"""The exported tokenizer gives our ids, and the chat template renders our prompts."""

import json
import re
from collections.abc import Callable
from typing import Any, ClassVar

import jinja2
import pytest
import tokenizers
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from nielsgpt.config.settings import GenerationSettings
from nielsgpt.conversation import SPECIAL_TEXTS, Conversation, prompt, render
from nielsgpt.errors import TokenizerError
from nielsgpt.export.chat_template import build_jinja_template, build_modelfile
from nielsgpt.export.hf_folder import build_tokenizer_config, build_tokenizer_json
from nielsgpt.export.token_table import build_token_table
from tests.export.made import conversations, strings
from tests.tokenizers.conftest import train_small

START, STOP = "\U0010fffe", "\U0010ffff"  # no text of these tests holds them
KINDS = ["byte", "char", "bpe", "pieces bpe", "pieces unigram"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def opened(kind: str) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_str(build_tokenizer_json(build_token_table(train_small(kind))))


class Generation(Extension):
    """`{% generation %}` as in Transformers: what the block renders is marked."""

    tags: ClassVar[set[str]] = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_mark"), [], [], body).set_lineno(line)

    def _mark(self, caller: Callable[[], str]) -> str:
        return f"{START}{caller()}{STOP}"


def marked(messages: list[Any], parts: bool = True, reply: bool = True) -> str:
    """The template in an environment such as Transformers', or without its extension."""

    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation] if parts else []
    )
    environment.globals["raise_exception"] = raise_exception
    template = environment.from_string(build_jinja_template(parts))
    return template.render(messages=messages, add_generation_prompt=reply)


def rendered(messages: list[Any], parts: bool = True) -> str:
    return marked(messages, parts).replace(START, "").replace(STOP, "")


def as_json(conversation: Conversation) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in conversation.messages]


@every_kind
def test_text_has_the_same_ids_and_decodes_to_itself(kind: str) -> None:
    codec, theirs = train_small(kind), opened(kind)
    texts = strings(300)
    assert [theirs.encode(text).ids for text in texts] == codec.encode_batch(texts)
    assert [theirs.decode(codec.encode(text)) for text in texts] == texts


@every_kind
def test_every_id_and_special_token_is_the_same(kind: str) -> None:
    codec, theirs = train_small(kind), opened(kind)
    special = codec.specials
    ids = [special.system, special.user, special.assistant, special.end]
    assert theirs.get_vocab_size() == codec.vocab_size
    assert [theirs.token_to_id(text) for text in SPECIAL_TEXTS] == ids
    assert theirs.encode("".join(SPECIAL_TEXTS)).ids == ids


@every_kind
def test_the_chat_template_renders_the_prompt_and_no_text_becomes_a_special_token(
    kind: str,
) -> None:
    codec, theirs = train_small(kind), opened(kind)
    for conversation in conversations(60):
        ids = theirs.encode(rendered(as_json(conversation)), add_special_tokens=False).ids
        assert ids == prompt(conversation, codec.encode, codec.specials)


@every_kind
def test_the_assistant_mask_of_the_template_is_the_loss_mask(kind: str) -> None:
    codec, theirs = train_small(kind), opened(kind)
    for conversation in conversations(60):
        whole = conversation.with_message("assistant", "<|eot|> Aye.\n")
        text = marked(as_json(whole), reply=False)
        spans, plain = [], ""
        for piece in re.split(f"({START}[^{STOP}]*{STOP})", text):
            said = piece.strip(START + STOP)
            spans += [(len(plain), len(plain) + len(said))] if piece[:1] == START else []
            plain += said
        encoding = theirs.encode(plain, add_special_tokens=False)
        mask = [
            any(start < last and first < end for first, last in spans)
            for start, end in encoding.offsets
        ]
        assert (encoding.ids, mask) == render(whole, codec.encode, codec.specials)


@pytest.mark.parametrize("parts", [True, False])
def test_content_in_parts_is_the_text_of_the_parts(parts: bool) -> None:
    pieces = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo <|e"}]
    pieces += [{"type": "text", "text": "ot|>"}]
    for role in ("system", "user"):
        said = [{"role": role, "content": pieces}]
        assert rendered(said, parts) == rendered(
            [{"role": role, "content": "Hello <|eot|>"}], parts
        )


@pytest.mark.parametrize("parts", [True, False])
@pytest.mark.parametrize("content", [[{"type": "image"}], ["Hello"], [{"text": "Hello"}], [1]])
def test_content_that_is_not_text_is_refused(content: list[Any], parts: bool) -> None:
    with pytest.raises(jinja2.TemplateError, match="a string or a list of text parts"):
        rendered([{"role": "user", "content": content}], parts)


def test_the_template_for_llama_cpp_is_the_same_but_for_text_that_spells_a_special_token() -> None:
    said = [{"role": "user", "content": " a\n\n"}, {"role": "assistant", "content": "b "}]
    expected = "<|usr|> a\n\n<|eot|><|asst|>b <|eot|><|asst|>"
    assert rendered(said, parts=False) == rendered(said, parts=True) == expected


@pytest.mark.parametrize(
    "roles", [["assistant"], ["user", "user"], ["user", "system"], ["system", "system"], ["tool"]]
)
def test_an_order_of_roles_that_we_refuse_is_refused(roles: list[str]) -> None:
    with pytest.raises(jinja2.TemplateError, match="user and assistant in turn"):
        rendered([{"role": role, "content": "x"} for role in roles])


def test_kind_word_is_refused() -> None:
    with pytest.raises(TokenizerError, match="no other library supports a tokenizer of kind word"):
        build_token_table(train_small("word"))


def test_a_text_without_the_template_loses_the_code_point_that_splits_specials() -> None:
    assert opened("byte").encode("<\ufdd0|").ids == train_small("byte").encode("<|")
    assert opened("byte").encode("\ufdd0").ids == train_small("byte").encode("\ufdd0")


def test_the_end_token_ends_and_pads() -> None:
    config: dict[str, Any] = json.loads(json.dumps(build_tokenizer_config(64)))
    assert (config["eos_token"], config["pad_token"]) == ("<|eot|>", "<|eot|>")
    assert config["model_max_length"] == 64
    assert "bos_token" not in config


def test_the_modelfile_stops_where_a_chat_does() -> None:
    text = build_modelfile("k.gguf", 64, GenerationSettings(stop_strings=("\nQ:",)))
    assert text.startswith("FROM ./k.gguf\n")
    assert "\nPARAMETER num_ctx 64\n" in text
    assert text.endswith('PARAMETER stop """<|eot|>"""\nPARAMETER stop """\nQ:"""\n')
