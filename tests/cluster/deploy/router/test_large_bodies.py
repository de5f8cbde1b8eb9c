"""Bodies are limited in bytes, one by one and together, and in JSON values, before they are parsed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cluster.deploy.router.api_errors import ApiError
from cluster.deploy.router.request_body import check_num_values
from cluster.deploy.router.router_limits import MIB, body_limits
from tests.cluster.deploy.router.conftest import MODEL, Serve
from tests.cluster.deploy.router.test_bad_requests import check_error


def lists(count: int) -> bytes:
    return b'{"model": "%s", "prompt": [' % MODEL.encode() + b"[1]," * count + b"[1]]}"


@pytest.mark.parametrize("context", [1, 2048, 131_072, 10**7])
def test_the_limits_admit_every_prompt_that_fits_the_context(context: int) -> None:
    limits = body_limits(context)
    assert MIB <= limits.max_bytes <= 16 * MIB
    check_num_values(lists(min(context, 10**5)), limits.max_values)


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
async def test_too_many_values_are_400(serve: Serve, path: str) -> None:
    answer = await serve().client.post(path, content=lists(250_000))
    assert "JSON values" in check_error(answer, 400)["message"]


async def test_many_wrong_values_are_one_error(serve: Serve) -> None:
    answer = await serve().client.post("/v1/completions", content=lists(2_000))
    assert check_error(answer, 400)["param"] == "prompt"
    answer = await serve().client.post("/v1/completions", content=lists(2_000).replace(b"[[1]", b"[1"))
    assert check_error(answer, 400)["message"] == "prompt.1: Input should be a valid integer"


LONG = {
    "escaped quotes": b'"' + b'\\"' * 10**6,
    "short strings": b'"a",' * 10**6,
    "backslashes": b'"' + b"\\\\" * 10**6 + b"\\",
    "one string": b'"' + b"a" * 10**7,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())
def test_counting_values_takes_linear_time(text: bytes) -> None:
    begun_s = time.process_time()
    check_num_values(text, 10**7)
    # A quadratic regular expression would take hours.
    assert time.process_time() - begun_s < 30.0


def test_commas_in_text_do_not_count_as_values() -> None:
    check_num_values(b'{"prompt": "' + b",[{" * 10**5 + b'"}', 10)
    with pytest.raises(ApiError):
        check_num_values(b"[" * 100, 10)


async def test_a_body_declared_too_large_is_413_before_it_is_sent(serve: Serve) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 1024

    for length in ("9" * 12, "9" * 5000):
        headers = {"content-length": length}
        answer = await serve().client.post("/v1/completions", content=endless(), headers=headers)
        check_error(answer, 413)
    assert sent <= 2


async def test_all_bodies_together_are_bounded(serve: Serve) -> None:
    served = serve()
    limits = body_limits(200)
    bodies = served.app.state.bodies
    bodies.in_flight_bytes = limits.max_in_flight_bytes - 1000
    answer = await served.complete("x" * 2 * limits.small_bytes)
    assert check_error(answer, 503)["code"] == "too_many_large_requests"
    assert answer.headers["retry-after"] == "1"
    assert (await served.complete("abc")).status_code == 200
    bodies.in_flight_bytes = 0
    check_error(await served.complete("x" * 2 * limits.small_bytes), 400)
    assert bodies.in_flight_bytes == 0


async def test_a_long_stop_string_is_400(serve: Serve) -> None:
    assert check_error(await serve().complete(stop="x" * 257), 400)["param"] == "stop"
