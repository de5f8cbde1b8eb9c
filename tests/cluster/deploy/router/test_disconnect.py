"""When the client disconnects, generation stops, whatever it was waiting for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.cluster.deploy.router.conftest import MODEL
from tests.cluster.deploy.router.echo import EchoReplica
from tests.cluster.deploy.router.raw import head

Listen = Callable[..., Any]
PATIENCE_S = 30.0


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.01)


async def ask(url: str, **fields: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    body = json.dumps({"model": MODEL, "prompt": "x" * 150, "max_tokens": 50, **fields}).encode()
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(head(f"content-length: {len(body)}") + body)
    await writer.drain()
    return reader, writer


@pytest.mark.parametrize("stream", [False, True])
async def test_leaving_before_the_first_token(listen: Listen, stream: bool) -> None:
    replica = EchoReplica("0")
    replica.gate.clear()
    url = await listen(replica)
    _, writer = await ask(url, stream=stream)
    await until(lambda: replica.in_flight == 1)
    writer.close()
    await until(lambda: replica.in_flight == 0)
    assert (replica.cancelled, replica.output_tokens_total) == (1, 0)
    async with httpx.AsyncClient() as client:
        metrics = (await client.get(f"{url}/metrics")).text
    assert "clusterview_cancelled_total 1.0" in metrics


async def test_leaving_in_the_middle_of_a_stream(listen: Listen) -> None:
    replica = EchoReplica("0", pace_s=0.005)
    url = await listen(replica)
    reader, writer = await ask(url, stream=True)
    await reader.readuntil(b"data: ")
    # No more tokens are generated, so that only the disconnection itself can be noticed.
    replica.gate.clear()
    writer.close()
    await until(lambda: replica.in_flight == 0)
    assert replica.cancelled == 1
    assert replica.output_tokens_total < 50
    async with httpx.AsyncClient() as client:
        metrics = (await client.get(f"{url}/metrics")).text
    assert "clusterview_cancelled_total 1.0" in metrics


async def test_others_are_not_disturbed(listen: Listen) -> None:
    replica = EchoReplica("0", pace_s=0.002)
    url = await listen(replica)
    _, leaving = await ask(url, stream=True)
    body = {"model": MODEL, "prompt": "stay", "max_tokens": 50}
    async with httpx.AsyncClient() as client:
        staying = asyncio.create_task(client.post(f"{url}/v1/completions", json=body))
        await until(lambda: replica.in_flight == 2)
        leaving.close()
        assert (await staying).json()["choices"][0]["text"] == "stay"
    await until(lambda: replica.in_flight == 0)
