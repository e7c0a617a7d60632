"""The one walk of `conversation.prompt` once more, in the languages of those who render elsewhere.

Transformers and llama.cpp put a conversation together as a string, in which text that spells a
special token becomes one. For Transformers the template parts every `<|` of a text with U+FDD0, a
code point that Unicode keeps for a program's own use, and the tokenizer's normaliser takes it away
after the special tokens were found. llama.cpp has no such step, and not every program built on it
knows `{% generation %}`, by which Transformers finds the loss mask of `conversation.render`.
"""

from nielsgpt.config.settings import GenerationSettings
from nielsgpt.conversation import SPECIAL_TEXTS

OPENING = "<|"
PARTED = "<\ufdd0|"
SYSTEM, USER, ASSISTANT, END = SPECIAL_TEXTS
_PARTS = "content must be a string or a list of text parts"
_ORDER = "roles must be user and assistant in turn, after at most one system message"


def jinja(parts: bool) -> str:
    """The chat template; `parts`: for Transformers, so that text which spells a special token stays
    text and the assistant's tokens are marked."""
    text = "text(message['content'])"
    if parts:
        text += f" | replace('{OPENING}', '{PARTED}')"
    said = f"{{{{- ({text}) ~ '{END}' -}}}}"
    reply = f"{{% generation %}}{said}{{% endgeneration %}}" if parts else said
    return (
        "{%- macro text(content) -%}"
        "{%- if content is string -%}"
        "{{- content -}}"
        "{%- else -%}"
        "{%- for part in content -%}"
        "{%- if part['type'] != 'text' -%}"
        f"{{{{- raise_exception('{_PARTS}') -}}}}"
        "{%- endif -%}"
        "{{- part['text'] -}}"
        "{%- endfor -%}"
        "{%- endif -%}"
        "{%- endmacro -%}"
        "{%- set opens = 1 if messages[0]['role'] == 'system' else 0 -%}"
        "{%- for message in messages -%}"
        "{%- if loop.index0 < opens -%}"
        f"{{{{- '{SYSTEM}' -}}}}{said}"
        "{%- elif message['role'] != ['user', 'assistant'][(loop.index0 - opens) % 2] -%}"
        f"{{{{- raise_exception('{_ORDER}') -}}}}"
        "{%- elif message['role'] == 'user' -%}"
        f"{{{{- '{USER}' -}}}}{said}"
        "{%- else -%}"
        f"{{{{- '{ASSISTANT}' -}}}}{reply}"
        "{%- endif -%}"
        "{%- endfor -%}"
        f"{{%- if add_generation_prompt -%}}{{{{- '{ASSISTANT}' -}}}}{{%- endif -%}}"
    )


def modelfile(file: str, context_length: int, generation: GenerationSettings) -> str:
    """The Modelfile with which `ollama create` takes a GGUF file in.

    It knows no escapes: what stands between three quotes is taken as it is, lines and all.
    """
    numbers = {
        "num_ctx": context_length,
        "temperature": generation.temperature,
        "top_k": generation.top_k,
        "top_p": generation.top_p,
        "min_p": generation.min_p,
        "repeat_penalty": generation.repetition_penalty,
        "num_predict": generation.max_new_tokens,
    }
    stops = (END, *generation.stop_strings)
    return "\n".join(
        [
            f"FROM ./{file}",
            f'TEMPLATE """{_go()}"""',
            *(f"PARAMETER {name} {value}" for name, value in numbers.items()),
            *(f'PARAMETER stop """{stop}"""' for stop in stops),
            "",
        ]
    )


def _go() -> str:
    return (
        "{{- range .Messages }}"
        f'{{{{- if eq .Role "system" }}}}{SYSTEM}'
        f'{{{{- else if eq .Role "user" }}}}{USER}'
        f"{{{{- else }}}}{ASSISTANT}{{{{- end }}}}"
        f"{{{{ .Content }}}}{END}"
        f"{{{{- end }}}}{ASSISTANT}"
    )
