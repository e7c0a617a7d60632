"""The routes: chat completions and completions, models, health, metrics, and the chat page."""

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
from nielsgpt.serve.api_errors import ApiError, ErrorResponse, to_api_error
from nielsgpt.serve.chat_completions import ChatCompletionBuilder
from nielsgpt.serve.completions import CompletionBuilder
from nielsgpt.serve.engine import FAILED, InferenceEngine, Piece, RequestHandle, RowRequest
from nielsgpt.serve.metrics import CONTENT_TYPE, Metrics
from nielsgpt.serve.prepare import ServedModel, check_model, prepare_chat, prepare_completion
from nielsgpt.serve.requests import ChatCompletionRequest, CompletionRequest, GenerateRequest
from nielsgpt.serve.responses import ChatCompletion, Completion, Health, ModelInfo, ModelList
from nielsgpt.serve.streaming import ResponseBuilder, collect_response, stream_events
from nielsgpt.serve.strict_json import StrictRoute

CLIENT_LEFT = ApiError(499, "the client has disconnected")
STATIC = Path(__file__).with_name("static")
EVENT = {"type": "object", "properties": {"data": {"type": "string"}}, "required": ["data"]}
EVENTS = {"text/event-stream": {"itemSchema": EVENT}}
ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorResponse, "description": "invalid request; nothing was generated"},
    "5XX": {"model": ErrorResponse, "description": "the server failed or is stopping"},
}


def build_app(
    served: ServedModel, engine: InferenceEngine, policy: AccessPolicy, body_bytes: int
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
        app.add_exception_handler(kind, _handle_error)
    app.include_router(_build_generation_routes(served, engine))
    app.include_router(_build_status_routes(served, engine, metrics))
    app.mount("/static", StaticFiles(directory=STATIC, check_dir=False), "static")
    app.add_api_route("/", _send_page, include_in_schema=False)
    return AccessGuard(app, policy, metrics.record)


def _build_generation_routes(served: ServedModel, engine: InferenceEngine) -> APIRouter:
    router = APIRouter(prefix="/v1", route_class=StrictRoute)
    streamed = {"content": EVENTS, "description": "one body, or events with `stream`"}

    @router.post("/chat/completions", response_model=ChatCompletion, responses={200: streamed})
    async def chat(body: ChatCompletionRequest, request: Request) -> Response:
        """The next reply of a conversation."""
        rows = await asyncio.to_thread(prepare_chat, served, body)
        builder = ChatCompletionBuilder(served, bool(body.logprobs))
        return await _respond(engine, request, body, builder, rows)

    @router.post("/completions", response_model=Completion, responses={200: streamed})
    async def complete(body: CompletionRequest, request: Request) -> Response:
        """The continuation of a text."""
        rows = await asyncio.to_thread(prepare_completion, served, body)
        builder = CompletionBuilder(served, rows, bool(body.echo))
        return await _respond(engine, request, body, builder, rows)

    return router


def _build_status_routes(
    served: ServedModel, engine: InferenceEngine, metrics: Metrics
) -> APIRouter:
    router = APIRouter(route_class=StrictRoute)
    model = ModelInfo(id=served.name, created=served.created, context_length=served.context_length)

    @router.get("/v1/models")
    async def models() -> ModelList:
        """The one model of this server."""
        return ModelList(data=[model])

    @router.get("/v1/models/{name:path}")
    async def named(name: str) -> ModelInfo:
        """The model with this name."""
        check_model(served, name)
        return model

    @router.get("/health")
    async def health() -> Health:
        """200 if the model can reply, 503 if it has failed."""
        if engine.failure is not None:
            raise FAILED
        return Health()

    @router.get("/metrics", response_class=Response)
    async def prometheus() -> Response:
        """Metrics for Prometheus."""
        return Response(metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    return router


async def _respond(
    engine: InferenceEngine,
    request: Request,
    body: GenerateRequest,
    builder: ResponseBuilder,
    rows: list[RowRequest],
) -> Response:
    if len(rows) > engine.streams:
        raise ApiError(400, f"{len(rows)} replies in one request; at most {engine.streams}")
    handle = engine.submit(request.client.host if request.client else "", rows)
    if body.stream:
        include_usage = bool(body.stream_options and body.stream_options.include_usage)
        chunks = stream_events(builder, rows, aiter(handle), include_usage)
        return _EventStream(chunks, handle)
    async with _while_connected(request, handle) as pieces:
        response: BaseModel = await collect_response(builder, rows, pieces)
    return Response(response.model_dump_json(), media_type="application/json")


class _EventStream(StreamingResponse):
    """Events as they are generated; the request is closed however the stream ends."""

    def __init__(self, chunks: AsyncIterator[bytes], handle: RequestHandle) -> None:
        super().__init__(chunks, media_type="text/event-stream")
        self._handle = handle

    async def __call__(self, *args: Any) -> None:
        """Send events until the last one, or until the client disconnects."""
        try:
            await super().__call__(*args)
        finally:
            self._handle.close()


@asynccontextmanager
async def _while_connected(
    request: Request, handle: RequestHandle
) -> AsyncIterator[AsyncIterator[Piece]]:
    """The pieces of a request; raises ClientDisconnect when the client disconnects."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        handle.put(CLIENT_LEFT)

    watcher = asyncio.create_task(watch())
    try:
        yield aiter(handle)
    except ApiError as error:
        if error is CLIENT_LEFT:
            raise ClientDisconnect from None
        raise
    finally:
        watcher.cancel()
        handle.close()


async def _send_page() -> Response:
    """The chat page."""
    page = STATIC / "index.html"
    if not page.is_file():
        raise ApiError(404, "this installation has no chat page")
    return FileResponse(page)


async def _handle_error(request: Request, error: Exception) -> Response:
    return to_api_error(error).response
