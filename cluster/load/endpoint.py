"""One OpenAI-style endpoint: which model it serves, which token ids it takes, and one timed request."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from array import array
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from cluster.errors import BadInput, Unreachable
from cluster.load.figures import Answered
from cluster.load.prompts import LAST_IDS, Prompt
from cluster.text import clean

_CONNECT_S = 10.0
_SILENT_S = 300.0
"""Without a byte for so long, a request has failed."""
_ASK_S = 30.0
_LONGEST_EVENT_BYTES = 4 * 1024**2
_LONGEST_BODY_BYTES = 1024**2
_LONGEST_REASON = 160
_DONE = b"[DONE]"


class RequestFailed(Exception):
    """A request was not answered; its text is the reason, cleaned and short."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go."""

    base_url: str
    """Without /v1."""
    model: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    max_model_len: int | None = None
    """As the endpoint states it."""


def new_http_session(headers: dict[str, str]) -> aiohttp.ClientSession:
    """Return a session without a limit on connections: the mix says how many requests are in flight."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENT_S)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
    return aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers)


async def find_endpoint(http: aiohttp.ClientSession, base_url: str, model: str | None) -> Endpoint:
    """Ask /v1/models what is served; Unreachable where nothing answers, BadInput for an unknown model."""
    served = await _served_models(http, base_url)
    names = [clean(str(entry.get("id", ""))) for entry in served]
    if model is not None and model not in names:
        raise BadInput(f"{base_url} does not serve {model}", f"It serves {', '.join(names[:5])}")
    entry = served[names.index(model)] if model is not None else served[0]
    length = entry.get("max_model_len")
    return Endpoint(
        base_url=base_url,
        model=str(entry.get("id", "")),
        max_model_len=length if type(length) is int and length > 0 else None,
    )


async def _served_models(http: aiohttp.ClientSession, base_url: str) -> list[dict[str, Any]]:
    try:
        async with asyncio.timeout(_ASK_S), http.get(f"{base_url}/v1/models") as response:
            body = await response.content.read(_LONGEST_BODY_BYTES)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        hint = (
            "An endpoint on loopback is reached from its own machine only: run there, or tunnel and use --url"
        )
        raise Unreachable(f"{base_url}/v1/models: {describe_error(error)}", hint) from None
    if response.status in (401, 403):
        raise BadInput(
            f"{base_url} asks for an API key", "Set CLUSTERVIEW_API_KEY, or give --api-key-file FILE"
        )
    if response.status != 200:
        raise Unreachable(f"{base_url}/v1/models answered {response.status}: {reason_in(body)}")
    try:
        entries = json.loads(body)["data"]
        served = [entry for entry in entries if isinstance(entry, dict) and entry.get("id")]
    except (ValueError, KeyError, TypeError, RecursionError):
        served = []
    if not served:
        raise BadInput(f"{base_url}/v1/models lists no model", "Give the URL of an OpenAI-style endpoint")
    return served


async def largest_id(http: aiohttp.ClientSession, endpoint: Endpoint) -> int:
    """Return the largest of a few token ids that the endpoint accepts; it is in the vocabulary then.

    Each try is a request for one token. Raises Unreachable with the endpoint's reason when none is accepted.
    """
    refusal = RequestFailed("no answer")
    for last_id in LAST_IDS:
        try:
            async with asyncio.timeout(_SILENT_S):
                await send(http, endpoint, Prompt((last_id,), 1))
            return last_id
        except RequestFailed as failed:
            refusal = failed
        except TimeoutError:
            refusal = RequestFailed(f"no answer within {_SILENT_S:.0f} s")
            break
    raise Unreachable(
        f"{endpoint.base_url} answers no request for one token: {refusal}",
        "A load test needs /v1/completions with prompts of token ids",
    )


async def send(
    http: aiohttp.ClientSession,
    endpoint: Endpoint,
    prompt: Prompt,
    *,
    ignore_eos: bool = False,
    on_chunk: Callable[[], None] = lambda: None,
) -> Answered:
    """Send one request and read its stream to the end, `on_chunk` at each chunk; raises RequestFailed."""
    body = {
        "model": endpoint.model,
        "prompt": prompt.ids,
        "max_tokens": prompt.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
        **({"ignore_eos": True} if ignore_eos else {}),
    }
    data = json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    sent_s = time.perf_counter()
    try:
        url = f"{endpoint.base_url}/v1/completions"
        async with http.post(url, data=data, headers=headers) as response:
            if response.status != 200:
                raise RequestFailed(
                    _refused(response.status, await response.content.read(_LONGEST_BODY_BYTES))
                )
            return await _timed(response, sent_s, len(prompt.ids), on_chunk)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise RequestFailed(describe_error(error)) from None


async def _timed(
    response: aiohttp.ClientResponse, sent_s: float, num_prompt: int, on_chunk: Callable[[], None]
) -> Answered:
    times_s: list[float] = []
    usage: dict[str, Any] = {}
    async for event in _events(response):
        if event.get("error"):
            raise RequestFailed(f"the stream broke off: {reason_in(json.dumps(event).encode())}")
        if event.get("choices"):
            times_s.append(time.perf_counter())
            on_chunk()
        if isinstance(event.get("usage"), dict):
            usage = event["usage"]
    if not times_s:
        raise RequestFailed("the answer has no token")
    return Answered(
        ttft_s=times_s[0] - sent_s,
        e2e_s=times_s[-1] - sent_s,
        input_tokens=_count(usage.get("prompt_tokens"), num_prompt),
        # Without a count by the endpoint, a chunk is taken for a token.
        output_tokens=_count(usage.get("completion_tokens"), len(times_s)),
        # Long tests have millions of them: eight bytes each.
        gaps_s=array("d", (after - before for before, after in itertools.pairwise(times_s))),
    )


def _count(value: Any, otherwise: int) -> int:
    return value if type(value) is int and 0 < value < 10**9 else otherwise


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """Yield the JSON objects of a stream of server-sent events, until [DONE] or its end."""
    waiting = b""
    async for part in response.content.iter_any():
        waiting += part
        *lines, waiting = waiting.split(b"\n")
        if len(waiting) > _LONGEST_EVENT_BYTES:
            raise RequestFailed("the answer is not a stream of events")
        for line in lines:
            text = line.removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
            if text == _DONE:
                return
            if text:
                yield _parsed(text)
    raise RequestFailed("the stream ended before [DONE]")


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        raise RequestFailed("the answer is not a stream of events") from None
    return event if isinstance(event, dict) else {}


def _refused(status: int, body: bytes) -> str:
    return clean(f"HTTP {status}: {reason_in(body)}", _LONGEST_REASON)


def reason_in(body: bytes) -> str:
    """Return what an error's body says: OpenAI's error.message, else the text itself."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return clean(body[:1000].decode(errors="replace").strip(), _LONGEST_REASON) or "no reason given"
    error = found.get("error", found) if isinstance(found, dict) else found
    message = error.get("message") if isinstance(error, dict) else error
    return clean(str(message or "no reason given"), _LONGEST_REASON)


def describe_error(error: BaseException) -> str:
    """Return a failed connection as a short text."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"no connection within {_CONNECT_S:.0f} s"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.InvalidURL):
        return "not a URL"
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
        return "the connection was closed before the answer was complete"
    cause = getattr(error, "os_error", None) or error
    number = getattr(cause, "errno", None)
    text = os.strerror(number) if isinstance(number, int) and number > 0 else str(cause)
    return clean(text.lower() or type(cause).__name__, _LONGEST_REASON)
