"""Access control: own host names only, no cross-site pages, and the API key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

from cluster.deploy.api_keys import hash_key
from cluster.deploy.router.access import AccessRules
from tests.cluster.deploy.router.conftest import MODEL, Serve
from tests.cluster.deploy.router.echo import EchoReplica
from tests.cluster.deploy.router.raw import answer_of, connect, head
from tests.cluster.deploy.router.test_bad_requests import check_error

Listen = Callable[..., Any]
PATHS = ("/v1/models", "/health", "/metrics", "/v1/completions", "/nowhere")
KEYS = AccessRules(api_key_sha256=(hash_key("first-key"), hash_key("second-key")))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "0.0.0.0",
        "",
        "169.254.169.254",
        "[::2]:80",
        "localhost@evil.example",
        "[",
        "127.1",
        "\x00",
    ],
)
async def test_another_host_is_refused_on_every_path(serve: Serve, path: str, host: str) -> None:
    answer = await serve().client.get(path, headers={"host": host})
    assert check_error(answer, 403)["code"] == "host_not_allowed"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "127.8.9.1", "[::1]:80", "[::1]"]
)
async def test_loopback_names_are_served_on_any_port(serve: Serve, host: str) -> None:
    """The port differs behind a tunnel."""
    answer = await serve().client.get("/v1/models", headers={"host": host})
    assert answer.status_code == 200


async def test_configured_names_are_served(serve: Serve) -> None:
    client = serve(rules=AccessRules(allowed_hosts=("llm.example",))).client
    assert (await client.get("/health", headers={"host": "LLM.example:443"})).status_code == 200
    assert (await client.get("/health", headers={"host": "other.example"})).status_code == 403


async def test_programs_that_send_no_host_are_served(listen: Listen) -> None:
    """HTTP/1.0 health checks. Browsers always send a host."""
    reader, writer = await connect(await listen(EchoReplica("0")))
    writer.write(b"GET /v1/models HTTP/1.0\r\n\r\n")
    assert (await answer_of(reader))[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://localhost"}, 200),
        ({"origin": "http://localhost:3000"}, 403),
        ({"origin": "https://example.com"}, 403),
        ({"origin": "http://localhost.example.com"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, 200),
        ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
    ],
)
async def test_pages_of_other_sites_cannot_use_the_router_through_a_browser(
    serve: Serve, headers: dict[str, str], status: int
) -> None:
    served = serve()
    body = {"model": MODEL, "prompt": "a"}
    posted = await served.client.post("/v1/completions", json=body, headers=headers)
    got = await served.client.get("/health", headers=headers)
    assert (posted.status_code, got.status_code) == (status, status)


@pytest.mark.parametrize(
    "value", [None, "Bearer wrong", "Bearer ", "Basic first-key", "first-key", "Bearer é"]
)
@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/x", "/v1/completions", "/v1/nowhere", "/v1"])
async def test_without_the_key_the_api_is_closed(serve: Serve, path: str, value: str | None) -> None:
    headers = {} if value is None else {"authorization": value.encode()}
    answer = await serve(rules=KEYS).client.get(path, headers=headers)  # type: ignore[arg-type]
    check_error(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "first-key" not in answer.text


@pytest.mark.parametrize("value", ["Bearer first-key", "bearer second-key"])
async def test_each_key_opens_the_api(serve: Serve, value: str) -> None:
    answer = await serve(rules=KEYS).client.get("/v1/models", headers={"authorization": value})
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/health", "/metrics"])
async def test_health_and_metrics_need_no_key(serve: Serve, path: str) -> None:
    """As in vLLM: health probes and scrapers have no key."""
    assert (await serve(rules=KEYS).client.get(path)).status_code == 200


async def test_the_key_is_asked_for_before_the_body(listen: Listen) -> None:
    reader, writer = await connect(await listen(EchoReplica("0"), rules=KEYS))
    writer.write(head("content-length: 900000"))
    assert (await reader.readline()).split()[1] == b"401"
    writer.close()


async def test_openais_client_sends_the_key(listen: Listen) -> None:
    url = await listen(EchoReplica("0"), rules=KEYS)
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="first-key", max_retries=0) as client:
        stream = await client.completions.create(model=MODEL, prompt="abc", max_tokens=50, stream=True)
        assert "".join([part.choices[0].text async for part in stream]) == "abc"
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError, match="invalid API key"):
            await client.models.list()


async def test_websockets_are_refused(listen: Listen) -> None:
    url = await listen(EchoReplica("0"))
    upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{url}/v1/models", headers={**upgrade, "sec-websocket-key": "a" * 24})
    assert answer.status_code == 200
