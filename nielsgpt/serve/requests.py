"""What a client may ask: the requests of the OpenAI API that this model can answer.

Fields that are not named here are ignored, because clients send many. What the API knows and this
model cannot do is accepted where it changes nothing and refused where it would.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

StopString = Annotated[str, Field(min_length=1, max_length=64)]
Ids = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
No = Annotated[float, Field(ge=0.0, le=0.0)]
Empty = Annotated[list[Any], Field(max_length=0)]
# The forms that a value may have. A tag that is no identifier stays out of error messages.
TEXT, LIST, IDS, LISTS_OF_IDS = "a text", "a list", "a list of ids", "lists of ids"


def _form(value: Any) -> str | None:
    if isinstance(value, str):
        return TEXT
    if isinstance(value, list):
        return {int: IDS, list: LISTS_OF_IDS}.get(type(value[0]), LIST) if value else LIST
    return None


def _one_of(forms: str) -> Discriminator:
    """Chooses the form by what the value looks like, so that an error is about that form alone."""
    return Discriminator(
        _form, custom_error_type="form", custom_error_message=f"Input should be {forms}"
    )


class ContentPart(BaseModel):
    """What the parts of a request have in common."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class StreamOptions(ContentPart):
    """How a stream ends."""

    include_usage: bool | None = Field(None, description="a last chunk counts the tokens")


class GenerateRequest(ContentPart):
    """What both ways to ask have; a field that is missing or null takes the server's setting."""

    model: Annotated[str, Field(max_length=256)] | None = Field(None, description="the one here")
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] | None = Field(
        None, description="0 is greedy"
    )
    top_k: Annotated[int, Field(ge=0, le=2**31)] | None = Field(
        None, description="draw from the k likeliest; 0 is off"
    )
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] | None = Field(
        None, description="draw from the smallest set with this mass; 1 is off"
    )
    min_p: Annotated[float, Field(ge=0.0, lt=1.0)] | None = Field(
        None, description="drop below this share of the likeliest; 0 is off"
    )
    repetition_penalty: Annotated[float, Field(ge=0.1, le=10.0)] | None = Field(
        None, description="above 1: ids that were seen become less likely"
    )
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = Field(
        None, description="of the draws; null: a fresh one"
    )
    n: Annotated[int, Field(ge=1, le=8)] | None = Field(None, description="replies to each prompt")
    stop: (
        Annotated[
            Annotated[StopString, Tag(TEXT)]
            | Annotated[list[StopString], Field(max_length=4), Tag(LIST)],
            _one_of("a string or a list of strings"),
        ]
        | None
    ) = Field(None, description="text that ends a reply, not shown")
    stream: bool | None = Field(None, description="answer in server-sent events")
    stream_options: StreamOptions | None = None
    presence_penalty: No | None = Field(None, description="only 0")
    frequency_penalty: No | None = Field(None, description="only 0")
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | None = Field(
        None, description="only empty"
    )

    @property
    def stops(self) -> tuple[str, ...] | None:
        """The stop strings, if the request names them."""
        if self.stop is None:
            return None
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)


class TextContentPart(ContentPart):
    """A piece of a message."""

    type: Literal["text"]
    text: str


class ChatMessage(ContentPart):
    """A message and who said it; `developer` is another word for `system`."""

    role: Literal["system", "developer", "user", "assistant"]
    tool_calls: Empty | None = Field(None, description="only empty")
    content: Annotated[
        Annotated[str, Tag(TEXT)]
        | Annotated[list[TextContentPart], Field(min_length=1), Tag(LIST)],
        _one_of("a string or a list of text parts"),
    ]

    @property
    def text(self) -> str:
        """What was said."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class ResponseFormat(ContentPart):
    """The one form that replies have."""

    type: Literal["text"]


class Function(ContentPart):
    """A function that another model might call."""

    name: str


class Tool(ContentPart):
    """A tool that another model might call."""

    type: Literal["function"]
    function: Function


class ChatCompletionRequest(GenerateRequest):
    """A conversation whose next reply is wanted."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=512)] = Field(
        description="whose next reply is wanted, or the assistant's last message to continue"
    )
    max_tokens: Annotated[int, Field(ge=1)] | None = Field(None, description="the longest reply")
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = Field(
        None, description="the newer name of max_tokens"
    )
    logprobs: bool | None = Field(None, description="tell the log probability of each token")
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="and of so many likeliest ones; needs logprobs"
    )
    tools: list[Tool] | None = Field(None, description="never called")
    functions: list[Function] | None = Field(None, description="never called")
    tool_choice: Literal["none", "auto"] | None = None
    function_call: Literal["none", "auto"] | None = None
    modalities: list[Literal["text"]] | None = None
    response_format: ResponseFormat | None = None


class CompletionRequest(GenerateRequest):
    """Texts to be continued; ids are taken as they are, text as the beginning of a document."""

    prompt: Annotated[
        Annotated[str, Tag(TEXT)]
        | Annotated[list[str], Field(min_length=1), Tag(LIST)]
        | Annotated[Ids, Tag(IDS)]
        | Annotated[list[Ids], Field(min_length=1), Tag(LISTS_OF_IDS)],
        _one_of("a string, a list of strings, a list of ids or a list of such lists"),
    ]
    max_tokens: Annotated[int, Field(ge=0)] | None = Field(
        None, description="the longest continuation; 0 only with echo"
    )
    echo: bool | None = Field(None, description="tell the prompt again, with logprobs if asked")
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = Field(
        None, description="tell the log probability of each token and of so many likeliest ones"
    )
    best_of: Annotated[int, Field(ge=1, le=1)] | None = Field(None, description="only 1")
    suffix: Literal[""] | None = None

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """The prompts, one after another."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [self.prompt]
        return self.prompt
