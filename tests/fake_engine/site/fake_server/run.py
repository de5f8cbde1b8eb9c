"""Runs a server after its start: listens, answers, and ends its processes when it is told to or loses one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable

from fake_server.api import Api, ServerFacts
from fake_server.behaviour import behaviour
from fake_server.core import end_core
from fake_server.generation import Generation
from fake_server.http_server import listen
from fake_server.log import Printer, say
from fake_server.metrics import Counters
from fake_server.ranks import Ranks


class Server:
    """One leader's HTTP server and the processes behind it."""

    def __init__(
        self,
        facts: ServerFacts,
        core: tuple[int, socket.socket],
        followers: list[socket.socket],
        kv_tokens: int,
        max_num_seqs: int,
    ) -> None:
        self._pid, self._core = core
        self._out = Printer("APIServer")
        self._ranks = Ranks([self._core, *followers], self._on_loss)
        counters = Counters(kv_tokens)
        self._api = Api(facts, Generation(self._ranks, counters, max_num_seqs), counters)
        self._ended: asyncio.Event | None = None
        self._status = 0

    def run(self, listener: socket.socket, on_listening: Callable[[], None]) -> int:
        """Serve until SIGTERM or until the core is lost; return the exit status."""
        asyncio.run(self._run(listener, on_listening))
        with contextlib.suppress(ProcessLookupError):
            end_core(self._pid, self._core)
        return self._status

    async def _run(self, listener: socket.socket, on_listening: Callable[[], None]) -> None:
        self._ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        self._ranks.watch()
        server = await listen(self._api.handle, listener)
        on_listening()
        await self._ended.wait()
        server.close()

    def _on_signal(self) -> None:
        assert self._ended is not None
        if not behaviour().ignore_sigterm:
            say("INFO:     Shutting down")
            self._ended.set()

    def _on_loss(self, number: int) -> None:
        """A lost core ends the server at once, as in vLLM; a lost node shows at the next completion."""
        assert self._ended is not None
        if number == 0:
            self._out.error(
                "core_client.py", "Engine core proc EngineCore died unexpectedly, shutting down client."
            )
            self._status = 1
            if not behaviour().keep_serving_without_worker:
                self._ended.set()


def open_port(host: str, port: int) -> socket.socket:
    """Return a bound socket; OSError if the port is in use."""
    listener = socket.create_server((host, port), backlog=1024)
    listener.setblocking(False)
    return listener


def die_of(signal_number: int) -> None:
    """End this process by a signal, at once."""
    os.kill(os.getpid(), signal_number)
