"""Access control: allowed host names (against DNS rebinding), no cross-site pages, and the API key if set."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from cluster.deploy.api_keys import hash_key
from cluster.deploy.router.api_errors import ApiError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_FROM_ELSEWHERE = frozenset({"cross-site", "same-site"})


@dataclass(frozen=True, slots=True)
class AccessRules:
    """What a request must satisfy. Keys are held as SHA-256 hex digests only."""

    api_key_sha256: tuple[str, ...] = ()
    """Any one of these keys gives access; empty: no key is needed."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that clients may use besides the loopback ones, in lower case."""
    beyond_loopback: bool = False
    """The router can be reached from other machines: under any address, and /metrics needs the key too."""

    def refusal(self, path: str, headers: Headers) -> ApiError | None:
        """Return why a request is refused; None when it is allowed."""
        host = headers.get("host")
        if host is not None and not self._is_own(host):
            message = (
                f"this server does not serve the host '{host[:256]}'; use localhost or 127.0.0.1, "
                "or start it with --allowed-host"
            )
            return ApiError(403, message, code="host_not_allowed")
        if _from_foreign_page(headers, host):
            return ApiError(
                403, "requests from web pages of other sites are not allowed", code="foreign_origin"
            )
        if self.api_key_sha256 and path not in self._open_paths():
            return self._key_refusal(headers)
        return None

    def may_see_details(self, headers: Headers) -> bool:
        """Return whether a client may see more of an open path than a status: from here, or with a key."""
        return not self.beyond_loopback or self._key_refusal(headers) is None

    def _open_paths(self) -> tuple[str, ...]:
        # As in vLLM: health probes and scrapers have no key.
        return ("/health",) if self.beyond_loopback else ("/health", "/metrics")

    def _is_own(self, host: str) -> bool:
        # The port is ignored: it proves nothing, and it differs through an ssh tunnel.
        name = _without_port(host.lower())
        if name == "localhost" or name in self.allowed_hosts:
            return True
        address = _address(name)
        # DNS rebinding needs a name: a page cannot make its own name an address.
        return address is not None and (address.is_loopback or self.beyond_loopback)

    def _key_refusal(self, headers: Headers) -> ApiError | None:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            # Where clients of Anthropic's API put it.
            key = headers.get("x-api-key", "")
        if not key.strip():
            return ApiError(401, "send the API key as 'Authorization: Bearer KEY'", code="missing_api_key")
        digest = hash_key(key.strip())
        # Compare with every key, each in constant time, so that timing reveals nothing.
        matches = [hmac.compare_digest(digest, known) for known in self.api_key_sha256]
        return None if any(matches) else ApiError(401, "invalid API key", code="invalid_api_key")


class CheckAccess:
    """ASGI middleware that refuses a request from its headers, before its body is read."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        refusal = self._rules.refusal(scope["path"], Headers(scope=scope))
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refusal.response()(scope, receive, send)


def _from_foreign_page(headers: Headers, host: str | None) -> bool:
    """Return whether a browser sends this for a page from another address than the router's own."""
    origin = headers.get("origin")
    if origin is not None:
        return host is None or origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}")
    # Images and scripts send no Origin. Following a link is fine: no page gets to read the answer.
    site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode")
    return site in _FROM_ELSEWHERE and mode != "navigate"


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
