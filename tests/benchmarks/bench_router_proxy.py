"""What the router adds to the time to the first token of an engine's own port, and many streams at once.

Both ports are asked in turn, so that whatever else the machine does meets both.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp

from tests.fake_engine.python import control, end_engine_processes, fake_python
from tests.fake_engine.test_fake_engine import Started
from tests.ray.real_ray import free_port

PAIRS = 400
STREAMS = 200
TOKENS = 20
BODY = {"model": "m", "prompt": "abc", "max_tokens": TOKENS, "stream": True}


def main() -> None:
    """Print TTFT at both ports, and how many streams fail."""
    with tempfile.TemporaryDirectory() as folder:
        python = fake_python(Path(folder) / "engine", load_s=0.0)
        try:
            engine = Started(python, free_port())
            engine.wait_listening()
            with _router(engine.port) as port:
                asyncio.run(_measure(python, engine.port, port))
        finally:
            end_engine_processes(python)


@contextlib.contextmanager
def _router(engine_port: int) -> Iterator[int]:
    command = [sys.executable, "-m", "tests.benchmarks.proxy_target", str(engine_port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


async def _measure(python: Path, engine_port: int, router_port: int) -> None:
    async with _session() as session:
        await _one_by_one(session, engine_port, router_port)
    control(python, tpot_s=0.05)
    for name, port in (("engine's own port", engine_port), ("through the router", router_port)):
        # A new session each time: a connection that was idle may be closed while it is taken.
        async with _session() as session:
            await _many(session, name, port)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


async def _one_by_one(session: aiohttp.ClientSession, engine_port: int, router_port: int) -> None:
    times_ms: dict[int, list[float]] = {engine_port: [], router_port: []}
    for _ in range(PAIRS):
        for port, times in times_ms.items():
            times.append(1e3 * (await _stream(session, port))[0])
    own, routed = (statistics.median(times_ms[port]) for port in (engine_port, router_port))
    added = statistics.median(
        b - a for a, b in zip(times_ms[engine_port], times_ms[router_port], strict=True)
    )
    late = sorted(times_ms[router_port])[int(0.99 * PAIRS)]
    print(f"TTFT, one request at a time: engine {own:.2f} ms, router {routed:.2f} ms (p99 {late:.2f} ms)")
    print(f"the router adds {added:.2f} ms at the median of {PAIRS} pairs")


async def _many(session: aiohttp.ClientSession, name: str, port: int) -> None:
    began_s = time.perf_counter()
    work = [_stream(session, port) for _ in range(STREAMS)]
    results = await asyncio.gather(*work, return_exceptions=True)
    took_s = time.perf_counter() - began_s
    good = [one for one in results if not isinstance(one, BaseException)]
    errors = STREAMS - len(good) + sum(count != TOKENS for _, count in good)
    rate = sum(count for _, count in good) / took_s
    print(f"{STREAMS} streams at once, {name}: {errors} errors, {rate:.0f} tokens/s in {took_s:.1f} s")


async def _stream(session: aiohttp.ClientSession, port: int) -> tuple[float, int]:
    """Return seconds to the first token, and the number of tokens."""
    began_s = time.perf_counter()
    first_s, tokens = None, 0
    async with session.post(f"http://127.0.0.1:{port}/v1/completions", json=BODY) as answer:
        assert answer.status == 200, answer.status
        async for data in _events(answer):
            if data != b"[DONE]":
                first_s = first_s or time.perf_counter() - began_s
                tokens += 1
    assert first_s is not None
    return first_s, tokens


async def _events(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for line in answer.content:
        if line.startswith(b"data:"):
            yield line[5:].strip()


if __name__ == "__main__":
    main()
