"""GET requests to Ray's dashboard: with the token, a deadline and a limit on size, without redirects."""

from __future__ import annotations

import asyncio

import aiohttp

from cluster.bridge.driver.ray_auth import read_token, refusal
from cluster.errors import Unreachable

_MOST_BYTES = 256 * 1024**2
"""Some 20,000 nodes of 8 GPUs."""
_ANSWER_S = 10.0
_CONNECT_S = 4.0
_CHUNK_BYTES = 2**16
_DENIED = (401, 403)


def new_client() -> aiohttp.ClientSession:
    """Return a client; proxies are those of the environment, as for other tools."""
    token = read_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S, sock_connect=_CONNECT_S)
    return aiohttp.ClientSession(
        headers=headers, timeout=timeout, trust_env=True, cookie_jar=aiohttp.DummyCookieJar()
    )


async def get(client: aiohttp.ClientSession, url: str, path: str) -> bytes:
    """Return the body of a GET; raises Unreachable with a reason and what to do."""
    try:
        # A redirect would take the token elsewhere.
        async with client.get(f"{url}{path}", allow_redirects=False) as response:
            _check_status(response.status, url)
            return await _body(response, url)
    except TimeoutError:
        reason = f"the dashboard at {url} did not answer within {_ANSWER_S:.0f} s"
        raise Unreachable(reason, "Check the address, and that no firewall blocks it") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Unreachable(f"no dashboard at {url}: {_why(error)}", _START_IT) from None


_START_IT = (
    "Check that Ray's head runs there with its dashboard (`ray start --head --dashboard-host 0.0.0.0`)"
)


def _check_status(status: int, url: str) -> None:
    if status in _DENIED:
        reason, hint = refusal()
        raise Unreachable(f"the dashboard at {url} rejected the request: {reason}", hint)
    if status != 200:
        hint = "Check the port: Ray's dashboard listens on 8265 unless chosen otherwise"
        raise Unreachable(
            f"the service at {url} is not a Ray dashboard, or not a sound one (HTTP {status})", hint
        )


async def _body(response: aiohttp.ClientResponse, url: str) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > _MOST_BYTES:
            raise Unreachable(
                f"the service at {url} sends more than {_MOST_BYTES >> 20} MiB", "Check the address"
            )
        await asyncio.sleep(0)
    return bytes(body)


def _why(error: Exception) -> str:
    system = getattr(error, "os_error", error)
    text = getattr(system, "strerror", None) or str(error) or type(error).__name__
    return str(text).lower()
