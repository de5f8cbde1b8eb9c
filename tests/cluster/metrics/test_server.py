"""The server of metrics: who may read, on which address, and what a scraper gets while nothing is known."""

from __future__ import annotations

import socket

import httpx
import pytest

from cluster.deploy.api_keys import hash_key
from cluster.deploy.router.access import AccessRules
from cluster.errors import BadInput, Unreachable
from cluster.metrics.server import listen, make_app
from cluster.metrics.text import metrics_text
from tests.cluster.metrics.live import full

OPEN = AccessRules()
GUARDED = AccessRules((hash_key("secret"),), (), beyond_loopback=True)


async def get(
    rules: AccessRules, path: str = "/metrics", url: str = "http://localhost:9400", **headers: str
) -> httpx.Response:
    app = make_app(lambda: metrics_text(full()), rules)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=url) as client:
        return await client.get(path, headers=headers)


async def test_metrics_are_read_from_here_without_a_key() -> None:
    answer = await get(OPEN)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "DCGM_FI_DEV_GPU_TEMP{" in answer.text


async def test_other_paths_and_methods_are_refused() -> None:
    assert (await get(OPEN, "/")).status_code == 404
    assert (await get(OPEN, "/v1/models")).status_code == 404


async def test_beyond_loopback_a_key_is_needed() -> None:
    url = "http://10.0.0.1:9400"
    assert (await get(GUARDED, url=url)).status_code == 401
    assert (await get(GUARDED, url=url, authorization="Bearer wrong")).status_code == 401
    assert (await get(GUARDED, url=url, authorization="Bearer secret")).status_code == 200


async def test_names_that_were_rebound_and_foreign_pages_are_refused() -> None:
    assert (await get(OPEN, url="http://evil.example:9400")).status_code == 403
    assert (await get(OPEN, origin="http://evil.example")).status_code == 403


async def test_while_nothing_is_known_the_scrape_fails_with_the_reason() -> None:
    def text() -> bytes:
        raise Unreachable("no inventory of ray h:1 yet")

    transport = httpx.ASGITransport(make_app(text, OPEN))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 503 and "no inventory of ray h:1 yet" in answer.text


def test_addresses() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match=f"port {port}: the port is in use"):
            listen("127.0.0.1", port)
    with pytest.raises(BadInput, match="does not have the address"):
        listen("192.0.2.1", 0)
    with pytest.raises(BadInput, match=r"cannot listen on no\.such\.host\.invalid"):
        listen("no.such.host.invalid", 0)
    if socket.has_ipv6:
        listen("::1", 0).close()
