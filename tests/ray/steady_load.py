"""Clients that send one streamed request after another, and remember what became of each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

import httpx

_PATIENCE_S = 120.0


@dataclass(frozen=True)
class Answer:
    """One request: its status, and how many pieces with text came before the stream was complete."""

    status: int
    pieces: int = 0
    is_complete: bool = False
    retry_after: str | None = None
    error: str = ""

    @property
    def is_good(self) -> bool:
        return self.status == 200 and self.is_complete and not self.error


def stream(endpoint: str, max_tokens: int, begun: Callable[[], None] = lambda: None) -> Answer:
    """Send one streamed completion and read it to its end; `begun` is called at the first piece."""
    body = {"model": "tiny", "prompt": "hello", "max_tokens": max_tokens, "stream": True, "ignore_eos": True}
    pieces, is_complete = 0, False
    try:
        with httpx.stream("POST", f"{endpoint}/v1/completions", json=body, timeout=_PATIENCE_S) as answer:
            if answer.status_code != 200:
                return Answer(answer.status_code, retry_after=answer.headers.get("retry-after"))
            for line in answer.iter_lines():
                if '"error"' in line:
                    return Answer(200, pieces, error=line)
                is_complete = is_complete or line == "data: [DONE]"
                if line.startswith("data: {"):
                    pieces += 1
                    begun()
    except httpx.HTTPError as error:
        return Answer(0, pieces, error=repr(error))
    return Answer(200, pieces, is_complete)


class InFlight:
    """Requests that are sent at once; `answers` waits for all of them."""

    def __init__(self, endpoint: str, count: int, max_tokens: int) -> None:
        self._answers: list[Answer] = []
        self._begun = threading.Semaphore(0)
        self._threads = [
            threading.Thread(target=self._run, args=(endpoint, max_tokens), daemon=True) for _ in range(count)
        ]
        for thread in self._threads:
            thread.start()
        # Every one of them has got a first piece.
        for _ in self._threads:
            assert self._begun.acquire(timeout=_PATIENCE_S), self._answers

    def _run(self, endpoint: str, max_tokens: int) -> None:
        first = threading.Event()

        def begun() -> None:
            if not first.is_set():
                first.set()
                self._begun.release()

        self._answers.append(stream(endpoint, max_tokens, begun))

    def answers(self) -> list[Answer]:
        for thread in self._threads:
            thread.join(_PATIENCE_S)
        assert len(self._answers) == len(self._threads)
        return self._answers


@dataclass
class SteadyLoad:
    """Clients in the background, for a `with` block."""

    endpoint: str
    clients: int = 2
    max_tokens: int = 8
    answers: list[Answer] = field(default_factory=list)

    def __enter__(self) -> SteadyLoad:
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(_PATIENCE_S)

    def _run(self) -> None:
        while not self._over.wait(0.05):
            self.answers.append(stream(self.endpoint, self.max_tokens))

    @property
    def failures(self) -> list[Answer]:
        return [answer for answer in self.answers if not answer.is_good]
