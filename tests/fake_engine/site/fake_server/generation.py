"""One request's tokens, at the pace and with the faults that the behaviour file asks for."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

from fake_server.behaviour import behaviour, take_turn
from fake_server.metrics import Counters
from fake_server.ranks import Ranks


class EngineDead(Exception):
    """A rank does not answer."""


class Unavailable(Exception):
    """A failure that was asked for."""


class Cut(Exception):
    """The connection is to be cut."""


class Generation:
    """Makes tokens ' t0', ' t1', ... of one server; at most `max_num_seqs` requests at a time."""

    def __init__(self, ranks: Ranks, counters: Counters, max_num_seqs: int) -> None:
        self._ranks = ranks
        self._counters = counters
        self._slots = asyncio.Semaphore(max_num_seqs)
        self.waiting = 0
        self._num_started = 0

    async def tokens(self, num_prompt: int, num_tokens: int) -> AsyncIterator[str]:
        """Yield a request's tokens; the counters follow."""
        began_s = time.perf_counter()
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        counters = self._counters
        counters.running += 1
        counters.tokens_held += num_prompt
        made, first_s = 0, began_s
        try:
            await self._begin()
            async for token in self._paced(num_tokens):
                if not made:
                    first_s = time.perf_counter()
                    counters.count_first(num_prompt, first_s - began_s)
                made += 1
                counters.output_tokens += 1
                counters.tokens_held += 1
                yield token
            now_s = time.perf_counter()
            counters.count_end(now_s - began_s, now_s - first_s, num_tokens - 1)
        finally:
            counters.aborted += made < num_tokens
            counters.running -= 1
            counters.tokens_held -= num_prompt + made
            self._slots.release()

    async def _begin(self) -> None:
        now = behaviour()
        self._num_started += 1
        if now.silent:
            await asyncio.Event().wait()
        if now.exit_after_requests is not None and self._num_started >= now.exit_after_requests:
            os.kill(os.getpid(), signal.SIGKILL)
        if now.fail_requests and take_turn("failed-request", now.fail_requests):
            raise Unavailable
        if now.dead_rank or not await self._ranks.take_turn():
            raise EngineDead

    async def _paced(self, num_tokens: int) -> AsyncIterator[str]:
        now = behaviour()
        for number in range(num_tokens):
            if number == now.cut_after_tokens:
                raise Cut
            if number == now.hang_after_tokens:
                await asyncio.Event().wait()
            pause_s = now.tpot_s if number else now.ttft_s
            await asyncio.sleep(pause_s)
            yield f" t{number}"


def num_prompt_tokens(body: dict[str, Any]) -> int:
    """Return the prompt's length: one token a byte of text."""
    prompt = body.get("prompt", body.get("input", ""))
    if "messages" in body:
        prompt = "".join(str(message.get("content")) for message in body["messages"])
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], int):
        return len(prompt)
    if isinstance(prompt, list):
        return sum(num_prompt_tokens({"prompt": one}) for one in prompt)
    return max(1, len(str(prompt).encode()))
