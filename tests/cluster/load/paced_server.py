"""An OpenAI-style endpoint whose answers take known times. Also a program: `python paced_server.py PORT`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

VOCABULARY = 300


@dataclass
class PacedServer:
    """Answers completions: the first token after `ttft_s`, the others `tpot_s` apart."""

    ttft_s: float = 0.05
    tpot_s: float = 0.01
    per_chunk: int = 1
    """Tokens in a chunk after the first."""
    fails_every: int = 0
    """Every so manieth request of more than one token gets a 503; 0: none."""
    breaks_off: bool = False
    """Streams end after the first chunk."""
    garbage: bool = False
    """Streams hold something else than JSON."""
    key: str | None = None
    counts_usage: bool = True
    seen: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.get("/v1/models", self._models), web.post("/v1/completions", self._completions)])
        return app

    def _allowed(self, request: web.Request) -> bool:
        return self.key is None or request.headers.get("authorization") == f"Bearer {self.key}"

    async def _models(self, request: web.Request) -> web.Response:
        if not self._allowed(request):
            return web.json_response({"error": {"message": "no key"}}, status=401)
        return web.json_response({"data": [{"id": "paced", "max_model_len": 4096}]})

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        prompt = body["prompt"]
        num_prompt = len(prompt)
        if isinstance(prompt, list) and max(prompt) >= VOCABULARY:
            message = f"token ids must be from 0 to {VOCABULARY - 1}"
            return web.json_response({"error": {"message": message}}, status=400)
        if body["max_tokens"] > 1:
            self.seen.append(body)
            if self.fails_every and len(self.seen) % self.fails_every == 0:
                return web.json_response({"error": {"message": "busy"}}, status=503)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await self._stream(response, body["max_tokens"], num_prompt)
        return response

    async def _stream(self, response: web.StreamResponse, num_tokens: int, num_prompt: int) -> None:
        async def say(event: object) -> None:
            await response.write(f"data: {json.dumps(event)}\n\n".encode())

        loop = asyncio.get_running_loop()
        at_s = loop.time() + self.ttft_s
        await asyncio.sleep(self.ttft_s)
        if self.garbage:
            await response.write(b"data: <html>\n\n")
            return
        await say({"choices": [{"text": "a"}], "usage": None})
        if self.breaks_off and num_tokens > 1:
            return
        left = num_tokens - 1
        while left > 0:
            part = min(left, self.per_chunk)
            at_s += self.tpot_s * part
            await asyncio.sleep(max(0.0, at_s - loop.time()))
            await say({"choices": [{"text": "a" * part}], "usage": None})
            left -= part
        if self.counts_usage:
            await say(
                {"choices": [], "usage": {"prompt_tokens": num_prompt, "completion_tokens": num_tokens}}
            )
        await response.write(b"data: [DONE]\n\n")


@asynccontextmanager
async def serving(server: PacedServer) -> AsyncIterator[str]:
    """Serve on loopback; gives the base URL."""
    runner = web.AppRunner(server.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    web.run_app(PacedServer().app(), host="127.0.0.1", port=int(sys.argv[1]), print=None)
