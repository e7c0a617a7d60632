"""Errors of the API, in one format for every status that is not 2xx.

{"error": {"message": "...", "type": "...", "param": "messages", "code": null}}
"""

from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
# Parameters of the OpenAI API that this server does not support, and what to do instead.
UNSUPPORTED = {
    "presence_penalty": "use repetition_penalty",
    "frequency_penalty": "use repetition_penalty",
    "logit_bias": "use temperature, top_k, top_p or min_p",
    "tool_choice": "this model cannot call tools; use none or auto",
    "tool_calls": "this model cannot call tools; leave out such messages",
    "function_call": "this model cannot call functions; use none or auto",
    "response_format": "this model only writes text; leave it out",
    "modalities": "this model only writes text; leave it out",
    "best_of": "use n",
    "suffix": "the model only continues a text; leave it out",
}
REQUIRED = ("messages", "prompt")
DEFAULT_HINT = "; leave it out to use the server's default"


class ErrorDetail(BaseModel):
    """The error, and the parameter that caused it."""

    message: str
    type: str = Field(description="the kind of error")
    param: str | None
    code: str | None


class ErrorResponse(BaseModel):
    """The body of every response whose status is not 2xx."""

    error: ErrorDetail


class ApiError(HTTPException):
    """Raised anywhere below the guard to answer with this status and message."""

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
        self.param = param
        self.code = code

    @property
    def body(self) -> ErrorResponse:
        """The error as the API's JSON body."""
        default = "invalid_request_error" if self.status_code < 500 else "server_error"
        error_type = ERROR_TYPES.get(self.status_code, default)
        return ErrorResponse(
            error=ErrorDetail(
                message=self.detail, type=error_type, param=self.param, code=self.code
            )
        )

    @property
    def response(self) -> Response:
        """The HTTP response."""
        text = self.body.model_dump_json()
        return Response(text, self.status_code, self.headers, "application/json")


def to_api_error(error: Exception) -> ApiError:
    """Convert any error; one that the request did not cause becomes a 500."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, RequestValidationError):
        return _from_validation_errors(error.errors())
    if isinstance(error, HTTPException):
        texts = {404: "not found", 405: "this path does not allow that method"}
        text = texts.get(error.status_code, HTTPStatus(error.status_code).phrase)
        headers = dict(error.headers) if error.headers else None
        return ApiError(error.status_code, text, headers=headers)
    return ApiError(500, "internal server error; see the server's log")


def _from_validation_errors(errors: Any) -> ApiError:
    """The first of pydantic's errors, without the value that the client sent."""
    first = errors[0]
    path = [str(part) for part in first["loc"] if part != "body"]
    param = path[0] if path else None
    for name in path:
        if name in UNSUPPORTED:
            text = f"{name} is not supported; {UNSUPPORTED[name]}"
            return ApiError(400, text, param=param, code="unsupported_parameter")
    field = ".".join(part for part in path if part.isidentifier() or part.isdecimal())
    is_optional = param is not None and param not in REQUIRED
    text = f"{field or 'the body'}: {first['msg']}{DEFAULT_HINT if is_optional else ''}"
    return ApiError(400, text, param=param, code="invalid_value")
