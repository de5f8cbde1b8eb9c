"""The OpenAI-style API of a fake server. Every answer repeats the request, to show what a proxy passed on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from fake_server.answers import ChatForm, CompletionForm, Form, error_answer, usage
from fake_server.behaviour import behaviour
from fake_server.generation import Cut, EngineDead, Generation, Unavailable, num_prompt_tokens
from fake_server.http_server import Answer, Request, json_answer
from fake_server.metrics import Counters


@dataclass(frozen=True)
class ServerFacts:
    """What a server is, for its answers."""

    engine: str
    version: str
    model: str
    served_name: str
    max_model_len: int
    api_keys: tuple[str, ...]


class Api:
    """Answers requests; `generation` makes the tokens."""

    def __init__(self, facts: ServerFacts, generation: Generation, counters: Counters) -> None:
        self._facts = facts
        self._generation = generation
        self._counters = counters

    async def handle(self, request: Request) -> Answer:
        """Answer one request."""
        if refusal := self._unauthorized(request):
            return refusal
        if request.method == "GET":
            return await self._get(request.path)
        forms: dict[str, Form] = {"/v1/completions": CompletionForm(), "/v1/chat/completions": ChatForm()}
        others = {"/v1/embeddings": self._embeddings, "/tokenize": self._tokenize}
        try:
            body = json.loads(request.body or b"null")
        except ValueError as error:
            return error_answer(400, f"Invalid JSON: {error}")
        if request.path in forms:
            return await self._generate(request, body, forms[request.path])
        if request.path in others:
            return others[request.path](body)
        return json_answer({"detail": "Not Found"}, 404)

    def _unauthorized(self, request: Request) -> Answer | None:
        keys = self._facts.api_keys
        if not keys or not request.path.startswith("/v1"):
            return None
        if request.headers.get("authorization") in {f"Bearer {key}" for key in keys}:
            return None
        return json_answer({"error": "Unauthorized"}, 401)

    async def _get(self, path: str) -> Answer:
        facts = self._facts
        if path in ("/health", "/ping", "/health_generate"):
            if behaviour().silent_health:
                await asyncio.Event().wait()
            return Answer()
        if path == "/metrics":
            text = self._counters.text(facts.engine, facts.served_name, self._generation.waiting)
            return Answer(body=text.encode(), content_type="text/plain; version=0.0.4; charset=utf-8")
        if path == "/version":
            return json_answer({"version": facts.version})
        if path == "/v1/models":
            model = {
                "id": facts.served_name,
                "object": "model",
                "owned_by": facts.engine,
                "root": facts.model,
            }
            model |= {"created": int(time.time()), "parent": None, "max_model_len": facts.max_model_len}
            return json_answer({"object": "list", "data": [model]})
        return json_answer({"detail": "Not Found"}, 404)

    async def _generate(self, request: Request, body: Any, form: Form) -> Answer:
        if refusal := self._refusal(body):
            return refusal
        num_prompt = num_prompt_tokens(body)
        most = body.get("max_completion_tokens") or body.get("max_tokens") or 16
        if num_prompt + most > self._facts.max_model_len:
            return error_answer(400, _too_long(self._facts.max_model_len, num_prompt, most))
        if body.get("stream"):
            return await self._stream(request, body, form, num_prompt, most)
        try:
            texts = [await self._text(num_prompt, most) for _ in range(body.get("n") or 1)]
        except EngineDead:
            return self._dead()
        except Unavailable:
            return error_answer(503, "The service is unavailable")
        except Cut:
            return Answer(stream=_cut())
        whole = form.whole(self._facts.served_name, texts, body)
        whole["usage"] = usage(num_prompt, most * len(texts))
        whole["fake"] = {"request": body, "headers": request.headers, "pid": os.getpid()}
        return json_answer(whole)

    def _refusal(self, body: Any) -> Answer | None:
        if not isinstance(body, dict):
            return error_answer(400, "Input should be a valid dictionary")
        if body.get("model") not in (None, self._facts.served_name):
            return error_answer(404, f"The model `{body['model']}` does not exist.", "NotFoundError")
        return None

    async def _text(self, num_prompt: int, most: int) -> str:
        return "".join([token async for token in self._generation.tokens(num_prompt, most)])

    async def _stream(self, request: Request, body: Any, form: Form, num_prompt: int, most: int) -> Answer:
        tokens = self._generation.tokens(num_prompt, most)
        try:
            # The first token decides the status: a failure before it is an answer of its own.
            first = await anext(tokens)
        except EngineDead:
            return self._dead()
        except Unavailable:
            return error_answer(503, "The service is unavailable")
        except Cut:
            return Answer(stream=_cut())
        events = self._events(tokens, first, body, form, num_prompt, most)
        return Answer(content_type="text/event-stream; charset=utf-8", stream=events)

    async def _events(
        self, tokens: AsyncIterator[str], first: str, body: Any, form: Form, num_prompt: int, most: int
    ) -> AsyncIterator[bytes | None]:
        name = self._facts.served_name
        for chunk in form.opening(name):
            yield _event(chunk)
        yield _event(form.chunk(name, first, most == 1))
        made = 1
        try:
            async for token in tokens:
                made += 1
                yield _event(form.chunk(name, token, made == most))
        except Cut:
            yield None
            return
        if (body.get("stream_options") or {}).get("include_usage"):
            yield _event({**form.chunk(name, "", False), "choices": [], "usage": usage(num_prompt, made)})
        yield b"data: [DONE]\n\n"

    def _dead(self) -> Answer:
        """Answer as vLLM does once its engine is dead; it then ends, unless it was told to live on."""
        now = behaviour()
        if not now.dead_rank and not now.keep_serving_without_worker:
            asyncio.get_running_loop().call_later(0.2, os.kill, os.getpid(), signal.SIGTERM)
        return error_answer(
            500,
            "EngineCore encountered an issue. See stack trace (above) for the root cause.",
            "EngineDeadError",
        )

    def _embeddings(self, body: Any) -> Answer:
        if refusal := self._refusal(body):
            return refusal
        texts = body["input"] if isinstance(body.get("input"), list) else [body.get("input")]
        data = [
            {"object": "embedding", "index": number, "embedding": [0.25, -0.5, float(number)]}
            for number in range(len(texts))
        ]
        counted = num_prompt_tokens(body)
        answer = {"object": "list", "model": self._facts.served_name, "data": data}
        return json_answer({**answer, "usage": {"prompt_tokens": counted, "total_tokens": counted}})

    def _tokenize(self, body: Any) -> Answer:
        tokens = list(str(body.get("prompt", "")).encode())
        counted = {"count": len(tokens), "max_model_len": self._facts.max_model_len}
        return json_answer({**counted, "tokens": tokens})


async def _cut() -> AsyncIterator[bytes | None]:
    yield None


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _too_long(context: int, num_prompt: int, most: int) -> str:
    return (
        f"This model's maximum context length is {context} tokens. However, you requested {most} output "
        f"tokens and your prompt contains at least {num_prompt} input tokens, for a total of at least "
        f"{num_prompt + most} tokens. Please reduce the length of the input prompt or the number of "
        "requested output tokens."
    )
