"""Run a mix of requests against an endpoint, and keep count while it runs."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp

from cluster.deploy.served_meter import ServedMeter
from cluster.load.arrivals import arrival_times_s
from cluster.load.endpoint import Endpoint, RequestFailed, send
from cluster.load.figures import Answered
from cluster.load.mix import LoadMix
from cluster.load.prompts import Prompt, draw_prompts

_MOST_REASONS = 20
_OTHER = "other reasons"


@dataclass(frozen=True, slots=True)
class Now:
    """A load test so far. Means are of the requests answered so far; None before the first."""

    elapsed_s: float
    wanted: int
    sent: int
    done: int
    failed: int
    in_flight: int
    tokens_per_s: float
    """Over the last seconds, a chunk of an answer counted as one token."""
    ttft_s: float | None
    tpot_s: float | None
    e2e_s: float | None


class LoadRun:
    """One run of a mix. `answered` and `failures` may be read at any time, from the same event loop."""

    def __init__(self, mix: LoadMix, endpoint: Endpoint, last_id: int) -> None:
        self.mix, self.endpoint = mix, endpoint
        self.answered: list[Answered] = []
        self.failures: Counter[str] = Counter()
        self.sent = self.in_flight = self.peak_in_flight = self.cut_off = 0
        self.duration_s = 0.0
        self._last_id = last_id
        self._meter = ServedMeter()
        self._began_s = 0.0
        self._sums = [0.0, 0.0, 0.0]
        self._num_tpot = 0

    async def run(self, http: aiohttp.ClientSession) -> None:
        """Send every request and wait for the answers; cancelled, it keeps what was answered so far."""
        self._began_s = time.perf_counter()
        try:
            async with asyncio.TaskGroup() as requests:
                await self._send_all(http, requests)
        except ExceptionGroup as errors:
            # A request that fails is counted; anything else is a bug of ours.
            raise errors.exceptions[0] from None
        finally:
            self.duration_s = time.perf_counter() - self._began_s

    async def _send_all(self, http: aiohttp.ClientSession, requests: asyncio.TaskGroup) -> None:
        room = asyncio.Semaphore(self.mix.max_concurrency or self.mix.num_prompts)
        for at_s, prompt in self._schedule():
            await asyncio.sleep(max(0.0, self._began_s + at_s - time.perf_counter()))
            # Before the task is made: what waits for its turn takes no memory.
            await room.acquire()
            requests.create_task(self._one(http, prompt, room))

    def _schedule(self) -> Iterator[tuple[float, Prompt]]:
        return zip(arrival_times_s(self.mix), draw_prompts(self.mix, self._last_id), strict=True)

    async def _one(self, http: aiohttp.ClientSession, prompt: Prompt, room: asyncio.Semaphore) -> None:
        self.sent += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            count, eos = self._meter.count_token, self.mix.ignore_eos
            self._take(await send(http, self.endpoint, prompt, ignore_eos=eos, on_chunk=count))
        except asyncio.CancelledError:
            self.cut_off += 1
            raise
        except RequestFailed as failed:
            reason = str(failed)
            known = reason in self.failures or len(self.failures) < _MOST_REASONS
            self.failures[reason if known else _OTHER] += 1
        finally:
            self.in_flight -= 1
            room.release()

    def _take(self, answer: Answered) -> None:
        self.answered.append(answer)
        self._sums[0] += answer.ttft_s
        self._sums[2] += answer.e2e_s
        if answer.tpot_s is not None:
            self._sums[1] += answer.tpot_s
            self._num_tpot += 1

    def now(self) -> Now:
        """Return how far the test is."""
        done, (ttft_s, tpot_s, e2e_s) = len(self.answered), self._sums
        return Now(
            elapsed_s=time.perf_counter() - self._began_s if self._began_s else 0.0,
            wanted=self.mix.num_prompts,
            sent=self.sent,
            done=done,
            failed=self.failures.total(),
            in_flight=self.in_flight,
            tokens_per_s=self._meter.tokens_per_s(),
            ttft_s=ttft_s / done if done else None,
            tpot_s=tpot_s / self._num_tpot if self._num_tpot else None,
            e2e_s=e2e_s / done if done else None,
        )
