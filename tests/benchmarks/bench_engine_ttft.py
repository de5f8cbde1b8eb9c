"""What agent and router add to the time to the first token, and 200 streams at once, with a fake vLLM."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass

import aiohttp

from tests.benchmarks.engine_cluster import LIMIT_S, EngineCluster, engine_cluster
from tests.fake_engine.python import control, engine_processes

REQUESTS = 400
TARGET_MS = 2.0
STREAMS, TOKENS, PACE_S = 200, 64, 0.02


@dataclass(frozen=True)
class Place:
    """An endpoint, and the key that it asks for."""

    url: str
    key: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"} if self.key else {}


def main() -> None:
    """Print both medians of interleaved requests, their difference, and how the streams ended."""
    with engine_cluster(num_gpus=1) as cluster:
        status = cluster.deploy(cluster.order("ttft"))
        assert status.endpoint is not None
        asyncio.run(_measure(cluster, _of_server(cluster), Place(status.endpoint)))
        cluster.view.session.stop("ttft").result(LIMIT_S)


def _of_server(cluster: EngineCluster) -> Place:
    """Return the engine's own port, and the key that the agent gave it."""
    (server,) = engine_processes(cluster.python, "server")
    options = dict(zip(server.argv, server.argv[1:], strict=False))
    return Place(f"http://{options['--host']}:{options['--port']}", server.env.get("VLLM_API_KEY", ""))


async def _measure(cluster: EngineCluster, own: Place, router: Place) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        for place in (own, router):
            await _ttft_ms(client, place)
        pairs = [(await _ttft_ms(client, own), await _ttft_ms(client, router)) for _ in range(REQUESTS)]
        own_ms, router_ms = (statistics.median(values) for values in zip(*pairs, strict=True))
        print(
            f"TTFT at the median of {REQUESTS}: engine's own port {own_ms:.2f} ms, "
            f"router {router_ms:.2f} ms, added {router_ms - own_ms:.2f} ms  (target < {TARGET_MS:.0f} ms)"
        )
        control(cluster.python, tpot_s=PACE_S)
        began_s = time.perf_counter()
        ended = await asyncio.gather(
            *(_tokens(client, router) for _ in range(STREAMS)), return_exceptions=True
        )
        took_s = time.perf_counter() - began_s
    good = sum(count == TOKENS for count in ended)
    errors = sorted({repr(one)[:80] for one in ended if one != TOKENS})
    pace = f"{took_s:.1f} s, at the engine's pace {TOKENS * PACE_S:.1f} s"
    print(f"{STREAMS} streams of {TOKENS} tokens: {good} complete, the others {errors}; {pace}")


async def _ttft_ms(client: aiohttp.ClientSession, place: Place) -> float:
    """Return the milliseconds until the first event of a stream."""
    body = {"model": "model", "prompt": "hello", "max_tokens": 2, "stream": True}
    began_s = time.perf_counter()
    async with client.post(f"{place.url}/v1/completions", json=body, headers=place.headers) as answer:
        answer.raise_for_status()
        await answer.content.readuntil(b"\n\n")
        took_s = time.perf_counter() - began_s
        await answer.read()
    return took_s * 1000


async def _tokens(client: aiohttp.ClientSession, place: Place) -> int:
    """Return how many tokens a stream brought."""
    body = {"model": "model", "prompt": "hello", "max_tokens": TOKENS, "stream": True}
    count = 0
    async with client.post(f"{place.url}/v1/completions", json=body, headers=place.headers) as answer:
        answer.raise_for_status()
        async for line in answer.content:
            count += line.startswith(b"data: {")
    return count


if __name__ == "__main__":
    main()
