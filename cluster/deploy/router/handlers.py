"""The request handlers of the router's HTTP paths."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from cluster.deploy.router.answers import TextChunk, text_chunks, whole_answer
from cluster.deploy.router.api_errors import ApiError, unavailable
from cluster.deploy.router.balancer import Route
from cluster.deploy.router.chat_completions import ChatWriter
from cluster.deploy.router.dispatch import Dispatcher
from cluster.deploy.router.metrics import RouterMetrics
from cluster.deploy.router.prepare import Kind, Prepared, check_model
from cluster.deploy.router.preparer import Preparer
from cluster.deploy.router.replica_pool import ReplicaError
from cluster.deploy.router.request_body import BodyReader
from cluster.deploy.router.response_writer import ResponseHead, ResponseWriter, new_id, unix_time
from cluster.deploy.router.streaming import DONE, ClientLeft, EventStream, event, unless_client_leaves
from cluster.deploy.router.text_completions import CompletionWriter
from cluster.deploy.router.tokenizer_protocols import Detokenizer

_CLIENT_CLOSED_REQUEST = 499

REPLICA_HEADER = "x-clusterview-replica"
"""Response header that names the replica that answered."""


class Handlers:
    """The handlers of one deployment."""

    def __init__(
        self, dispatcher: Dispatcher, metrics: RouterMetrics, tokenizer: Detokenizer, preparer: Preparer
    ) -> None:
        self._dispatcher, self._metrics, self._tokenizer = dispatcher, metrics, tokenizer
        self._preparer, self.bodies = preparer, BodyReader(preparer.limits)
        self._model_name = preparer.settings.model_name
        self._max_model_len = preparer.settings.max_model_len
        self._started = unix_time()

    async def completions(self, request: Request) -> Response:
        """POST /v1/completions."""
        return await self._serve(request, "completion", CompletionWriter(self._head("cmpl")))

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions."""
        return await self._serve(request, "chat", ChatWriter(self._head("chatcmpl")))

    async def models(self, request: Request) -> Response:
        """GET /v1/models."""
        return JSONResponse({"object": "list", "data": [self._model()]})

    async def model(self, request: Request) -> Response:
        """GET /v1/models/{model}."""
        check_model(request.path_params["model"], self._model_name)
        return JSONResponse(self._model())

    async def _serve(self, request: Request, kind: Kind, writer: ResponseWriter) -> Response:
        try:
            async with self.bodies.read(request) as body:
                work = self._preparer.prepare(kind, body)
                prepared = await unless_client_leaves(request.receive, work)
            return await self._answer(request, prepared, writer)
        except (ClientLeft, ClientDisconnect):
            self._metrics.client_left()
            return Response(status_code=_CLIENT_CLOSED_REQUEST)

    async def _answer(self, request: Request, prepared: Prepared, writer: ResponseWriter) -> Response:
        wanted, route = prepared.answer_request, Route()
        num_prompt = len(wanted.prompt_ids)
        if not prepared.stream:
            work = whole_answer(self._dispatcher, self._tokenizer, wanted, route)
            answer = await unless_client_leaves(request.receive, work)
            return JSONResponse(writer.whole(answer, num_prompt), headers=_headers(route))
        chunks = text_chunks(self._dispatcher, self._tokenizer, wanted, route)
        # Wait for the first token before the status line is sent, so that a failure can still be a 503.
        first = await unless_client_leaves(request.receive, _next(chunks))
        events = _events(first, chunks, writer, num_prompt, prepared.include_usage)
        return EventStream(events, self._metrics.client_left, _headers(route))

    def _head(self, prefix: str) -> ResponseHead:
        return ResponseHead(new_id(prefix), unix_time(), self._model_name)

    def _model(self) -> dict[str, object]:
        return {
            "id": self._model_name,
            "object": "model",
            "created": self._started,
            "owned_by": "clusterview",
            "max_model_len": self._max_model_len,
        }


def _headers(route: Route) -> dict[str, str]:
    return {REPLICA_HEADER: route.replica or ""}


async def _next(chunks: AsyncGenerator[TextChunk, None]) -> TextChunk:
    async for chunk in chunks:
        return chunk
    raise unavailable("the answer ended before its first token")


async def _events(
    first: TextChunk,
    chunks: AsyncGenerator[TextChunk, None],
    writer: ResponseWriter,
    num_prompt: int,
    include_usage: bool,
) -> AsyncGenerator[bytes, None]:
    # OpenAI sends "usage": null in every chunk but the last one when usage was asked for.
    extra = {"usage": None} if include_usage else {}
    async with aclosing(chunks):
        for part in writer.opening():
            yield event({**part, **extra})
        chunk = first
        try:
            while True:
                if chunk.text or chunk.finish_reason:
                    yield event({**writer.chunk(chunk.text, chunk.finish_reason), **extra})
                if chunk.finish_reason:
                    break
                chunk = await _next(chunks)
        except (ReplicaError, ApiError) as error:
            yield event(ApiError(503, f"the replica failed while answering: {error}").body())
            return
    if include_usage:
        yield event(writer.closing(num_prompt, chunk.num_tokens))
    yield DONE
