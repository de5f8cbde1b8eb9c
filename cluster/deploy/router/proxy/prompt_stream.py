"""Prompts of the screen, sent to a server as a streamed completion."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

from cluster.deploy.router.api_errors import ApiError, unavailable
from cluster.deploy.router.balancer import Route
from cluster.deploy.router.proxy.answer_events import EventSplitter, read_answer
from cluster.deploy.router.proxy.exchange import Exchange
from cluster.deploy.router.proxy.forwarder import Forwarder
from cluster.deploy.router.proxy.server_replica import ForwardedRequest, TooSlow
from cluster.deploy.router.replica_pool import ReplicaError

_MOST_ERROR_BYTES = 64 * 1024


async def prompt_text(
    forwarder: Forwarder, model: str, text: str, max_tokens: int, route: Route
) -> AsyncGenerator[str, None]:
    """Yield the text that follows a prompt, greedily sampled. Raises ApiError with the server's reason."""
    fields = {"model": model, "prompt": text, "max_tokens": max_tokens, "temperature": 0, "stream": True}
    body = json.dumps(fields).encode()
    headers = ((b"content-type", b"application/json"),)
    exchange = await forwarder.begin(ForwardedRequest("POST", "/v1/completions", headers, body), route)
    try:
        if exchange.status != 200:
            raise ApiError(exchange.status, await _reason(exchange))
        splitter = EventSplitter()
        async for piece in exchange.pieces():
            for data in splitter.feed(piece):
                facts = read_answer(data)
                if facts.error is not None:
                    raise unavailable(f"replica {route.replica} failed while answering: {facts.error}")
                if facts.text:
                    yield facts.text
    except (ReplicaError, TooSlow) as error:
        raise unavailable(f"replica {route.replica} failed while answering: {error}") from None
    finally:
        exchange.close()


async def _reason(exchange: Exchange) -> str:
    body = b""
    async for piece in exchange.pieces():
        body += piece[: _MOST_ERROR_BYTES - len(body)]
        if len(body) >= _MOST_ERROR_BYTES:
            break
    return read_answer(body).error or f"the engine answered with status {exchange.status}"
