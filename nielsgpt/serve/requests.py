"""API requests: the part of the OpenAI API that this model can answer.

Unknown fields are ignored, because clients send many. A known feature that this model lacks is
accepted if it changes nothing, and refused otherwise.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

StopString = Annotated[str, Field(min_length=1, max_length=64)]
Ids = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
Zero = Annotated[float, Field(ge=0.0, le=0.0)]
EmptyList = Annotated[list[Any], Field(max_length=0)]
# Tags of the forms that a value may have; not identifiers, so that error messages leave them out.
TEXT = "a text"
LIST = "a list"
IDS = "a list of ids"
LISTS_OF_IDS = "lists of ids"


def _classify(value: Any) -> str | None:
    if isinstance(value, str):
        return TEXT
    if isinstance(value, list):
        return {int: IDS, list: LISTS_OF_IDS}.get(type(value[0]), LIST) if value else LIST
    return None


def _one_of(forms: str) -> Discriminator:
    """Choose the form by the value, so that an error is about that form alone."""
    return Discriminator(
        _classify, custom_error_type="form", custom_error_message=f"Input should be {forms}"
    )


class RequestModel(BaseModel):
    """The base of all parts of a request: strict types, finite numbers."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class StreamOptions(RequestModel):
    """Options of a streamed response."""

    include_usage: bool | None = Field(None, description="send the token counts in a last chunk")


class GenerateRequest(RequestModel):
    """The fields of both endpoints; a missing or null field takes the server's setting."""

    model: Annotated[str, Field(max_length=256)] | None = Field(
        None, description="the served model"
    )
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] | None = Field(
        None, description="0 is greedy"
    )
    top_k: Annotated[int, Field(ge=0, le=2**31)] | None = Field(
        None, description="sample from the k most likely tokens; 0 is off"
    )
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] | None = Field(
        None, description="sample from the smallest set with this probability mass; 1 is off"
    )
    min_p: Annotated[float, Field(ge=0.0, lt=1.0)] | None = Field(
        None, description="drop tokens below this fraction of the most likely one; 0 is off"
    )
    repetition_penalty: Annotated[float, Field(ge=0.1, le=10.0)] | None = Field(
        None, description="above 1 makes repeated tokens less likely"
    )
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = Field(
        None, description="random seed for sampling; null: a new one"
    )
    n: Annotated[int, Field(ge=1, le=8)] | None = Field(
        None, description="number of replies to each prompt"
    )
    stop: (
        Annotated[
            Annotated[StopString, Tag(TEXT)]
            | Annotated[list[StopString], Field(max_length=4), Tag(LIST)],
            _one_of("a string or a list of strings"),
        ]
        | None
    ) = Field(None, description="text that ends a reply and is not part of it")
    stream: bool | None = Field(None, description="respond with server-sent events")
    stream_options: StreamOptions | None = None
    presence_penalty: Zero | None = Field(None, description="must be 0")
    frequency_penalty: Zero | None = Field(None, description="must be 0")
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | None = Field(
        None, description="must be empty"
    )

    @property
    def stops(self) -> tuple[str, ...] | None:
        """The stop strings of the request, or None."""
        if self.stop is None:
            return None
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)


class TextContentPart(RequestModel):
    """A part of a message."""

    type: Literal["text"]
    text: str


class ChatMessage(RequestModel):
    """A message with its role; `developer` means `system`."""

    role: Literal["system", "developer", "user", "assistant"]
    tool_calls: EmptyList | None = Field(None, description="must be empty")
    content: Annotated[
        Annotated[str, Tag(TEXT)]
        | Annotated[list[TextContentPart], Field(min_length=1), Tag(LIST)],
        _one_of("a string or a list of text parts"),
    ]

    @property
    def text(self) -> str:
        """The whole text."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class ResponseFormat(RequestModel):
    """The only supported format of replies."""

    type: Literal["text"]


class Function(RequestModel):
    """A function, never called."""

    name: str


class Tool(RequestModel):
    """A tool, never called."""

    type: Literal["function"]
    function: Function


class ChatCompletionRequest(GenerateRequest):
    """A conversation to reply to."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=512)] = Field(
        description="the conversation; a last message of the assistant is continued"
    )
    max_tokens: Annotated[int, Field(ge=1)] | None = Field(
        None, description="maximum length of the reply"
    )
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = Field(
        None, description="newer name of max_tokens"
    )
    logprobs: bool | None = Field(None, description="report the log-probability of each token")
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="and of this many top tokens; needs logprobs"
    )
    tools: list[Tool] | None = Field(None, description="never called")
    functions: list[Function] | None = Field(None, description="never called")
    tool_choice: Literal["none", "auto"] | None = None
    function_call: Literal["none", "auto"] | None = None
    modalities: list[Literal["text"]] | None = None
    response_format: ResponseFormat | None = None


class CompletionRequest(GenerateRequest):
    """Texts to continue; text begins a document, ids are used as they are."""

    prompt: Annotated[
        Annotated[str, Tag(TEXT)]
        | Annotated[list[str], Field(min_length=1), Tag(LIST)]
        | Annotated[Ids, Tag(IDS)]
        | Annotated[list[Ids], Field(min_length=1), Tag(LISTS_OF_IDS)],
        _one_of("a string, a list of strings, a list of ids or a list of such lists"),
    ]
    max_tokens: Annotated[int, Field(ge=0)] | None = Field(
        None, description="maximum length of the continuation; 0 needs echo"
    )
    echo: bool | None = Field(
        None, description="include the prompt, with its logprobs if requested"
    )
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = Field(
        None, description="report the log-probability of each token and of this many top tokens"
    )
    best_of: Annotated[int, Field(ge=1, le=1)] | None = Field(None, description="must be 1")
    suffix: Literal[""] | None = None

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """The prompts as a list."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [self.prompt]
        return self.prompt
