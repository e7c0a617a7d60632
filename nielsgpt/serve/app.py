"""The routes: chats and texts, streamed or whole; the model, its health, its figures, its page."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles

from nielsgpt import __version__
from nielsgpt.serve.access import AccessGuard, AccessPolicy
from nielsgpt.serve.api_errors import ApiError, ErrorResponse, error_response
from nielsgpt.serve.chat_completions import ChatCompletionForm
from nielsgpt.serve.completions import CompletionForm
from nielsgpt.serve.engine import BROKEN, InferenceEngine, Piece, RequestHandle, RowRequest
from nielsgpt.serve.metrics import CONTENT_TYPE, Metrics
from nielsgpt.serve.prepare import ServedModel, chat_requests, check_model, completion_requests
from nielsgpt.serve.requests import ChatCompletionRequest, CompletionRequest, GenerateRequest
from nielsgpt.serve.responses import ChatCompletion, Completion, Health, ModelInfo, ModelList
from nielsgpt.serve.streaming import ResponseForm, answer, events
from nielsgpt.serve.strict_json import StrictRoute

GONE = ApiError(499, "the client has left")
STATIC = Path(__file__).with_name("static")
EVENT = {"type": "object", "properties": {"data": {"type": "string"}}, "required": ["data"]}
EVENTS = {"text/event-stream": {"itemSchema": EVENT}}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse, "description": words}
    for status, words in {
        "4XX": "the request is at fault; nothing was drawn",
        "5XX": "the server is at fault or stops",
    }.items()
}


def app_for(
    served: ServedModel, engine: InferenceEngine, door: AccessPolicy, body_bytes: int
) -> AccessGuard:
    """The application that serves one model from one engine."""
    app = FastAPI(
        title="nielsgpt",
        version=__version__,
        description="The OpenAI API, as far as a small model can answer it.",
        docs_url=None,
        redoc_url=None,
        responses=ERRORS,
    )
    metrics = Metrics(engine)
    app.state.body_bytes = body_bytes
    app.router.route_class = StrictRoute
    for kind in (HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _refuse)
    app.include_router(_talking(served, engine))
    app.include_router(_watching(served, engine, metrics))
    app.mount("/static", StaticFiles(directory=STATIC, check_dir=False), "static")
    app.add_api_route("/", _page, include_in_schema=False)
    return AccessGuard(app, door, metrics.note)


def _talking(served: ServedModel, engine: InferenceEngine) -> APIRouter:
    """The routes that draw."""
    router = APIRouter(prefix="/v1", route_class=StrictRoute)
    streamed = {"content": EVENTS, "description": "one body, or with `stream` its events"}

    @router.post("/chat/completions", response_model=ChatCompletion, responses={200: streamed})
    async def chat(question: ChatCompletionRequest, request: Request) -> Response:
        """The next reply of a conversation."""
        asks = await asyncio.to_thread(chat_requests, served, question)
        form = ChatCompletionForm(served, bool(question.logprobs))
        return await _respond(engine, request, question, form, asks)

    @router.post("/completions", response_model=Completion, responses={200: streamed})
    async def complete(question: CompletionRequest, request: Request) -> Response:
        """The continuation of a text."""
        asks = await asyncio.to_thread(completion_requests, served, question)
        form = CompletionForm(served, asks, bool(question.echo))
        return await _respond(engine, request, question, form, asks)

    return router


def _watching(served: ServedModel, engine: InferenceEngine, metrics: Metrics) -> APIRouter:
    """The routes that only tell."""
    router = APIRouter(route_class=StrictRoute)
    model = ModelInfo(id=served.name, created=served.created, context_length=served.context_length)

    @router.get("/v1/models")
    async def models() -> ModelList:
        """The models here: one."""
        return ModelList(data=[model])

    @router.get("/v1/models/{name:path}")
    async def named(name: str) -> ModelInfo:
        """The model of this name."""
        check_model(served, name)
        return model

    @router.get("/health")
    async def health() -> Health:
        """Whether the model can answer."""
        if engine.failure is not None:
            raise BROKEN
        return Health()

    @router.get("/metrics", response_class=Response)
    async def figures() -> Response:
        """Figures for Prometheus."""
        return Response(metrics.page(), headers={"Content-Type": CONTENT_TYPE})

    return router


async def _respond(
    engine: InferenceEngine,
    request: Request,
    question: GenerateRequest,
    form: ResponseForm,
    asks: list[RowRequest],
) -> Response:
    if len(asks) > engine.streams:
        raise ApiError(400, f"{len(asks)} replies in one request; at most {engine.streams}")
    ticket = engine.open(request.client.host if request.client else "", asks)
    if question.stream:
        counted = bool(question.stream_options and question.stream_options.include_usage)
        chunks = events(form, asks, aiter(ticket), counted)
        return _Stream(chunks, ticket)
    async with _attended(request, ticket) as pieces:
        body: BaseModel = await answer(form, asks, pieces)
    return Response(body.model_dump_json(), media_type="application/json")


class _Stream(StreamingResponse):
    """Events as they come; whatever ends them frees what the request has taken."""

    def __init__(self, chunks: AsyncIterator[bytes], ticket: RequestHandle) -> None:
        super().__init__(chunks, media_type="text/event-stream")
        self._ticket = ticket

    async def __call__(self, *call: Any) -> None:
        """Send all, or as much as the client stays for."""
        try:
            await super().__call__(*call)
        finally:
            self._ticket.close()


@asynccontextmanager
async def _attended(request: Request, ticket: RequestHandle) -> AsyncIterator[AsyncIterator[Piece]]:
    """The pieces of a ticket while its client stays. Raises ClientDisconnect when it leaves."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        ticket.put(GONE)

    leaving = asyncio.create_task(watch())
    try:
        yield aiter(ticket)
    except ApiError as refusal:
        if refusal is GONE:
            raise ClientDisconnect from None
        raise
    finally:
        leaving.cancel()
        ticket.close()


async def _page() -> Response:
    """The page to talk in."""
    page = STATIC / "index.html"
    if not page.is_file():
        raise ApiError(404, "this installation has no page")
    return FileResponse(page)


async def _refuse(request: Request, error: Exception) -> Response:
    return error_response(error).response
