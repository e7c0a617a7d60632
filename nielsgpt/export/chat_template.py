"""`conversation.prompt` as chat templates: Jinja for Transformers and llama.cpp, Go for Ollama.

Transformers and llama.cpp render a conversation as one string, in which text that spells a special
token becomes one. The template for Transformers therefore splits every `<|` of a text with U+FDD0,
a code point that Unicode reserves for internal use, and the tokenizer's normalizer removes it after
the special tokens are matched. llama.cpp has no such step, and not every program built on it knows
`{% generation %}`, with which Transformers finds the loss mask of `conversation.render`.
"""

from nielsgpt.config.settings import GenerationSettings
from nielsgpt.conversation import SPECIAL_TEXTS

OPENING = "<|"
SPLIT_OPENING = "<\ufdd0|"
SYSTEM, USER, ASSISTANT, END = SPECIAL_TEXTS
_PARTS_ERROR = "content must be a string or a list of text parts"
_ORDER_ERROR = "roles must be user and assistant in turn, after at most one system message"


def build_jinja_template(for_transformers: bool) -> str:
    """The chat template. For Transformers, text that spells a special token stays text and the
    assistant's tokens are marked."""
    text = "text(message['content'])"
    if for_transformers:
        text += f" | replace('{OPENING}', '{SPLIT_OPENING}')"
    content = f"{{{{- ({text}) ~ '{END}' -}}}}"
    reply = f"{{% generation %}}{content}{{% endgeneration %}}" if for_transformers else content
    return (
        "{%- macro text(content) -%}"
        "{%- if content is string -%}"
        "{{- content -}}"
        "{%- else -%}"
        "{%- for part in content -%}"
        "{%- if part['type'] != 'text' -%}"
        f"{{{{- raise_exception('{_PARTS_ERROR}') -}}}}"
        "{%- endif -%}"
        "{{- part['text'] -}}"
        "{%- endfor -%}"
        "{%- endif -%}"
        "{%- endmacro -%}"
        "{%- set opens = 1 if messages[0]['role'] == 'system' else 0 -%}"
        "{%- for message in messages -%}"
        "{%- if loop.index0 < opens -%}"
        f"{{{{- '{SYSTEM}' -}}}}{content}"
        "{%- elif message['role'] != ['user', 'assistant'][(loop.index0 - opens) % 2] -%}"
        f"{{{{- raise_exception('{_ORDER_ERROR}') -}}}}"
        "{%- elif message['role'] == 'user' -%}"
        f"{{{{- '{USER}' -}}}}{content}"
        "{%- else -%}"
        f"{{{{- '{ASSISTANT}' -}}}}{reply}"
        "{%- endif -%}"
        "{%- endfor -%}"
        f"{{%- if add_generation_prompt -%}}{{{{- '{ASSISTANT}' -}}}}{{%- endif -%}}"
    )


def build_modelfile(file: str, context_length: int, generation: GenerationSettings) -> str:
    """The Modelfile with which `ollama create` imports a GGUF file.

    The format has no escapes: text between triple quotes is used as it is, line breaks included.
    """
    parameters = {
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
            f'TEMPLATE """{_build_go_template()}"""',
            *(f"PARAMETER {name} {value}" for name, value in parameters.items()),
            *(f'PARAMETER stop """{stop}"""' for stop in stops),
            "",
        ]
    )


def _build_go_template() -> str:
    return (
        "{{- range .Messages }}"
        f'{{{{- if eq .Role "system" }}}}{SYSTEM}'
        f'{{{{- else if eq .Role "user" }}}}{USER}'
        f"{{{{- else }}}}{ASSISTANT}{{{{- end }}}}"
        f"{{{{ .Content }}}}{END}"
        f"{{{{- end }}}}{ASSISTANT}"
    )
