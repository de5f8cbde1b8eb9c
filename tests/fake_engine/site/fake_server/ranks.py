"""The leader's way to its ranks: one byte goes through the core and through every follower's core."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable


class Ranks:
    """Asks whether all ranks are alive, once per completion; a rank that hangs makes it wait."""

    def __init__(self, links: list[socket.socket], on_loss: Callable[[int], None]) -> None:
        """`on_loss` gets the number of the link that broke; 0 is this node's own core."""
        self._links = links
        self._on_loss = on_loss
        self._waiting: list[list[asyncio.Future[bool]]] = [[] for _ in links]
        self.lost = False

    def watch(self) -> None:
        """Begin to read answers; needs the running loop."""
        loop = asyncio.get_running_loop()
        for number, link in enumerate(self._links):
            link.setblocking(False)
            loop.add_reader(link, self._read, number)

    async def take_turn(self) -> bool:
        """Return whether a token came through all ranks."""
        if self.lost:
            return False
        return all(await asyncio.gather(*(self._through(number) for number in range(len(self._links)))))

    async def _through(self, number: int) -> bool:
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[number].append(future)
        try:
            self._links[number].send(b".")
        except OSError:
            self._lose(number)
        return await future

    def _read(self, number: int) -> None:
        try:
            answers = self._links[number].recv(4096)
        except BlockingIOError:
            return
        except OSError:
            answers = b""
        if not answers:
            self._lose(number)
        for answer in answers:
            future = self._waiting[number].pop(0)
            if not future.done():
                future.set_result(answer == ord("."))

    def _lose(self, number: int) -> None:
        asyncio.get_running_loop().remove_reader(self._links[number])
        self.lost = True
        for future in self._waiting[number]:
            if not future.done():
                future.set_result(False)
        self._waiting[number].clear()
        self._on_loss(number)
