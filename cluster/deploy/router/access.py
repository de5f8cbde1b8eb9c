"""Who may use the router: requests to its own host names, from no foreign page, with a key if one is set."""

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
    """What a request must bring. Keys are held as SHA-256 digests in hex, never as they are."""

    api_key_sha256: tuple[str, ...] = ()
    """Any one of these keys opens /v1; empty: no key is needed."""
    allowed_hosts: tuple[str, ...] = ()
    """Names besides the loopback ones by which clients may address the router, in lower case."""

    def refusal(self, path: str, headers: Headers) -> ApiError | None:
        """Return why a request is refused, None when it may go on."""
        host = headers.get("host")
        if host is not None and not self._is_own(host):
            message = (
                f"this router does not serve the host '{host[:256]}'; use localhost or 127.0.0.1, "
                "or deploy with --allowed-host"
            )
            return ApiError(403, message, code="host_not_allowed")
        if _from_foreign_page(headers, host):
            return ApiError(403, "pages from other sites may not use this address", code="foreign_origin")
        if self.api_key_sha256 and (path == "/v1" or path.startswith("/v1/")):
            return self._key_refusal(headers.get("authorization"))
        return None

    def _is_own(self, host: str) -> bool:
        # A browser sends the port it connects to, so a port proves nothing; through a tunnel it differs.
        name = _without_port(host.lower())
        return name == "localhost" or name in self.allowed_hosts or _is_loopback(name)

    def _key_refusal(self, authorization: str | None) -> ApiError | None:
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return ApiError(401, "send the API key as 'Authorization: Bearer KEY'", code="missing_api_key")
        digest = hash_key(key.strip())
        # Every key is compared, each in constant time.
        matches = [hmac.compare_digest(digest, known) for known in self.api_key_sha256]
        return None if any(matches) else ApiError(401, "the API key is wrong", code="invalid_api_key")


class CheckAccess:
    """Refuses before anything of a request but its headers is read (ASGI middleware)."""

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
    """Only browsers say where a request comes from; a page of ours would come from this very address."""
    origin = headers.get("origin")
    if origin is not None:
        return host is None or origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}")
    # Images and the like carry no origin. A link that the user follows shows the answer to no page.
    site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode")
    return site in _FROM_ELSEWHERE and mode != "navigate"


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
