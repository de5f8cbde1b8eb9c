"""What passes the proxy, and what does not: bodies, headers, paths, keys."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cluster.deploy.api_keys import hash_key
from cluster.deploy.router.access import AccessRules
from cluster.deploy.router.handlers import REPLICA_HEADER
from cluster.deploy.router.proxy.paths import forwarded_path
from cluster.deploy.router.router_limits import BodyLimits
from tests.cluster.deploy.router.proxy.conftest import MakeProxy
from tests.cluster.deploy.router.proxy.upstreams import Engine
from tests.cluster.deploy.router.raw import connect

KEYS = AccessRules(api_key_sha256=(hash_key("user-key"),))
ODD_BODY = b'{ "model":"tiny" ,"prompt":"\\u00e9", "n": 1e0, "zzz": [1,2,{"a":null}],  "temperature":0.10}\n'


async def test_the_body_arrives_byte_for_byte(proxy: MakeProxy) -> None:
    routed = await proxy(Engine())
    answer = await routed.client.post(
        "/v1/completions", content=ODD_BODY, headers={"content-type": "application/json; charset=utf-8"}
    )
    assert answer.status_code == 200
    request, body = routed.engines[0].seen[0]
    assert body == ODD_BODY
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    assert request.headers["content-length"] == str(len(ODD_BODY))


FOR_CLIENTS = (
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/something/new"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/org/name"),
    ("GET", "/v1/responses/resp_1?stream=true&a=b%20c&a=d"),
    ("POST", "/tokenize"),
    ("POST", "/detokenize"),
    ("POST", "/score"),
    ("POST", "/rerank"),
    ("POST", "/v2/rerank"),
    ("POST", "/pooling"),
    ("POST", "/generate"),
    ("GET", "/version"),
)


async def test_paths_that_ask_the_model_pass(proxy: MakeProxy) -> None:
    routed = await proxy(Engine())
    for method, path in FOR_CLIENTS:
        more: dict[str, Any] = {"json": {"a": 1}} if method == "POST" else {}
        answer = await routed.client.request(method, path, **more)
        assert answer.status_code == 200
        assert answer.headers[REPLICA_HEADER] == "0"
        got = routed.engines[0].seen[-1][0]
        assert (got.method, str(got.url).removeprefix(routed.engines[0].url)) == (method, path)


ADMINISTRATION = (
    "/sleep",
    "/wake_up",
    "/collective_rpc",
    "/reset_prefix_cache",
    "/start_profile",
    "/server_info",
    "/update_weights",
    "/flush_cache",
    "/shutdown",
    "/docs",
    "/openapi.json",
    "/",
    "/v1",
    "/v1/",
    "/v1/load_lora_adapter",
    "/v1/unload_lora_adapter",
    "/v1/load%5Flora_adapter",
    "/v1/load_lora_adapter/",
    "//v1/load_lora_adapter",
    "/v1//load_lora_adapter",
    "/v1/./load_lora_adapter",
    "/v1/%2e%2e/sleep",
    "/v1/x/..%2f..%2fsleep",
    "/v1/x%2f..%2f..%2fsleep",
    "/v1/models/..;/sleep",
    "/v1/a%5C..%5C..%5Csleep",
    "/v1/a%0d%0aX:1",
    "/v1/%00",
    "/tokenize/../sleep",
    "/v1/" + "a" * 2000,
    "/v1/é",
)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_administration_cannot_be_reached(proxy: MakeProxy, method: str) -> None:
    """The path is written to the socket as it stands: clients would tidy it up."""
    routed = await proxy(Engine())
    for path in ADMINISTRATION:
        reader, writer = await connect(routed.url)
        lines = (f"{method} {path} HTTP/1.1", "host: localhost", "content-length: 0", "connection: close")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        assert (await reader.readline()).split()[1] in (b"404", b"400"), path
        writer.close()
    assert routed.engines[0].seen == []


async def test_other_methods_are_405(proxy: MakeProxy) -> None:
    routed = await proxy(Engine())
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
        assert (await routed.client.request(method, "/v1/models")).status_code == 405
    assert routed.engines[0].seen == []


def test_a_path_that_passes_is_encoded_again() -> None:
    assert forwarded_path("GET", "/v1/models/a:b@c~d") == "/v1/models/a:b@c~d"


async def test_the_users_key_stays_here_and_the_servers_key_stays_there(proxy: MakeProxy) -> None:
    routed = await proxy(Engine(), api_key="server-key", rules=KEYS)
    assert (await routed.complete()).status_code == 401
    assert routed.engines[0].seen == []
    for headers in ({"authorization": "Bearer user-key"}, {"x-api-key": "user-key"}):
        answer = await routed.client.post("/v1/messages", json={}, headers={**headers, "cookie": "a=b"})
        assert answer.status_code == 200
        assert "server-key" not in str(answer.headers)
    for request, _ in routed.engines[0].seen:
        assert request.headers["authorization"] == "Bearer server-key"
        assert "user-key" not in str(request.headers.items())
        assert "cookie" not in request.headers


async def test_a_key_for_a_deployment_without_keys_is_not_passed_on(proxy: MakeProxy) -> None:
    routed = await proxy(Engine())
    await routed.client.get("/v1/models", headers={"authorization": "Bearer somebody's"})
    assert "authorization" not in routed.engines[0].seen[0][0].headers


@pytest.mark.parametrize("path", ["/v1/completions", "/tokenize", "/version", "/nowhere"])
async def test_every_forwarded_path_needs_the_key(proxy: MakeProxy, path: str) -> None:
    routed = await proxy(Engine(), rules=KEYS)
    assert (await routed.client.post(path, json={})).status_code == 401


async def test_headers_of_the_connection_and_forged_ones_are_not_passed_on(proxy: MakeProxy) -> None:
    routed = await proxy(Engine())
    headers = {
        "x-request-id": "r1",
        "traceparent": "00-1-2-03",
        "connection": "close, x-secret",
        "x-secret": "1",
        "te": "trailers",
        "x-forwarded-for": "6.6.6.6",
        "origin": routed.url,
        "accept-encoding": "gzip",
    }
    await routed.client.get("/v1/models", headers=headers)
    got = routed.engines[0].seen[0][0].headers
    assert (got["x-request-id"], got["traceparent"]) == ("r1", "00-1-2-03")
    assert got["accept-encoding"] == "identity"
    assert not {"x-secret", "te", "x-forwarded-for", "origin"} & set(got)


async def test_answers_come_back_unchanged(proxy: MakeProxy) -> None:
    async def answer(request: Request, body: bytes) -> Response:
        headers = {"x-own": "v", "server": "secret/1", "access-control-allow-origin": "*", "retry-after": "7"}
        return Response(b"\x00\xff raw", status_code=422, headers=headers, media_type="application/x-odd")

    routed = await proxy(Engine(answer=answer))
    got = await routed.complete()
    assert (got.status_code, got.content) == (422, b"\x00\xff raw")
    assert (got.headers["x-own"], got.headers["retry-after"]) == ("v", "7")
    assert got.headers["content-type"] == "application/x-odd"
    assert "secret/1" not in str(got.headers)
    assert "access-control-allow-origin" not in got.headers


async def test_an_error_of_the_engine_keeps_its_status_and_text(proxy: MakeProxy) -> None:
    async def answer(request: Request, body: bytes) -> Response:
        return JSONResponse({"error": {"message": "no such model", "code": 404}}, status_code=404)

    routed = await proxy(Engine(answer=answer), Engine(answer=answer))
    got = await routed.complete()
    assert (got.status_code, got.json()["error"]["message"]) == (404, "no such model")
    assert sum(len(engine.seen) for engine in routed.engines) == 1


@pytest.mark.parametrize(
    ("path", "content_type", "status"),
    [
        ("/v1/completions", "application/json", 200),
        ("/v1/completions", "Application/JSON ;charset=utf-8", 200),
        ("/v1/completions", None, 415),
        ("/v1/completions", "text/plain", 415),
        ("/v1/completions", "application/x-www-form-urlencoded", 415),
        ("/v1/completions", "multipart/form-data; boundary=a", 415),
        ("/v1/audio/transcriptions", "multipart/form-data; boundary=a", 200),
        ("/v1/audio/transcriptions", "text/plain", 415),
    ],
)
async def test_only_json_is_taken_but_audio_comes_as_a_form(
    proxy: MakeProxy, path: str, content_type: str | None, status: int
) -> None:
    routed = await proxy(Engine())
    headers = {} if content_type is None else {"content-type": content_type}
    answer = await routed.client.post(path, content=b'{"a": 1}', headers=headers)
    assert answer.status_code == status
    assert len(routed.engines[0].seen) == (status == 200)


async def test_a_post_without_a_body_needs_no_type(proxy: MakeProxy) -> None:
    routed = await proxy(Engine())
    assert (await routed.client.post("/v1/responses/r1/cancel")).status_code == 200


async def test_large_bodies_pass_and_too_large_ones_are_413(proxy: MakeProxy) -> None:
    limits = BodyLimits(max_bytes=3 * 1024**2, max_values=0, max_in_flight_bytes=4 * 1024**2)
    routed = await proxy(Engine(), limits=limits)
    image = "x" * (2 * 1024**2)
    assert (await routed.complete(image)).json()["echo"]["prompt"] == image
    assert (await routed.complete(image + image)).status_code == 413
    assert routed.app.state.bodies.in_flight_bytes == 0


async def test_pages_of_other_sites_are_refused(proxy: MakeProxy) -> None:
    routed = await proxy(Engine())
    body, headers = json.dumps({"a": 1}), {"content-type": "application/json"}
    for more in ({"origin": "https://evil.example"}, {"host": "evil.example"}):
        answer = await routed.client.post("/v1/completions", content=body, headers={**headers, **more})
        assert answer.status_code == 403
    assert routed.engines[0].seen == []


async def test_from_other_machines_health_says_little_and_metrics_need_the_key(proxy: MakeProxy) -> None:
    rules = AccessRules(api_key_sha256=KEYS.api_key_sha256, beyond_loopback=True)
    routed = await proxy(Engine(), rules=rules)
    headers = {"host": "10.1.2.3:8000"}
    assert (await routed.client.get("/health", headers=headers)).json() == {"status": "ok"}
    assert (await routed.client.get("/metrics", headers=headers)).status_code == 401
    headers["authorization"] = "Bearer user-key"
    assert "replicas" in (await routed.client.get("/health", headers=headers)).json()
    assert (await routed.client.get("/metrics", headers=headers)).status_code == 200
    named: httpx.Response = await routed.client.get("/health", headers={"host": "evil.example"})
    assert named.status_code == 403
