"""What a client is told when it gets no answer: one shape for every status that is not 2xx.

{"error": {"message": "...", "type": "...", "param": "messages", "code": null}}
"""

from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
# What the API has and this server has not, and what to do instead.
INSTEAD = {
    "presence_penalty": "use repetition_penalty",
    "frequency_penalty": "use repetition_penalty",
    "logit_bias": "use temperature, top_k, top_p or min_p",
    "tool_choice": "this model calls no tools; use none or auto",
    "tool_calls": "this model calls no tools; leave out such messages",
    "function_call": "this model calls no functions; use none or auto",
    "response_format": "this model writes text; leave it out",
    "modalities": "this model writes text; leave it out",
    "best_of": "use n",
    "suffix": "the model only continues a text; leave it out",
}

NEEDED = ("messages", "prompt")
REMEDY = "; leave it out to use the server's default"


class ErrorDetail(BaseModel):
    """What went wrong, and with which parameter."""

    message: str
    type: str = Field(description="the kind of error")
    param: str | None
    code: str | None


class ErrorResponse(BaseModel):
    """The body of every reply whose status is not 2xx."""

    error: ErrorDetail


class ApiError(HTTPException):
    """A request that is answered with this status and message; raised anywhere below the guard."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers)
        self.param, self.code = param, code

    @property
    def reply(self) -> ErrorResponse:
        """The body."""
        kind = KINDS.get(self.status_code)
        kind = kind or ("invalid_request_error" if self.status_code < 500 else "server_error")
        return ErrorResponse(
            error=ErrorDetail(message=self.detail, type=kind, param=self.param, code=self.code)
        )

    @property
    def response(self) -> Response:
        """The whole reply."""
        text = self.reply.model_dump_json()
        return Response(text, self.status_code, self.headers, "application/json")


def error_response(error: Exception) -> ApiError:
    """Any error below the guard as a refusal; one that is nobody's request's fault is a 500."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, RequestValidationError):
        return validation_error(error.errors())
    if isinstance(error, HTTPException):
        said = {404: "there is nothing here", 405: "this path has no such method"}
        text = said.get(error.status_code, HTTPStatus(error.status_code).phrase)
        headers = dict(error.headers) if error.headers else None
        return ApiError(error.status_code, text, headers=headers)
    return ApiError(500, "the server made a mistake; its log has more")


def validation_error(errors: Any) -> ApiError:
    """The first of pydantic's errors, told in the API's words and without the value."""
    first = errors[0]
    path = [str(part) for part in first["loc"] if part != "body"]
    param = path[0] if path else None
    for name in path:
        if name in INSTEAD:
            text = f"{name} is not supported; {INSTEAD[name]}"
            return ApiError(400, text, param=param, code="unsupported_parameter")
    place = ".".join(part for part in path if part.isidentifier() or part.isdecimal())
    optional = param is not None and param not in NEEDED
    text = f"{place or 'the body'}: {first['msg']}{REMEDY if optional else ''}"
    return ApiError(400, text, param=param, code="invalid_value")
