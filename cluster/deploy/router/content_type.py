"""Bodies must say that they are JSON: a web page can send a form to any address, but not JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from cluster.deploy.router.api_errors import ApiError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_JSON = "application/json"
_FORM = "multipart/form-data"
_FORM_PATHS = "/v1/audio/"
"""Audio is uploaded as a form, in OpenAI's API too."""


def content_type_refusal(path: str, headers: Headers) -> ApiError | None:
    """Return why a POST with these headers is refused; None when it is allowed."""
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return None
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    wanted = _FORM if path.startswith(_FORM_PATHS) else _JSON
    if kind == wanted:
        return None
    given = f"not '{kind[:100]}'" if kind else "and the request has none"
    return ApiError(415, f"the content-type must be {wanted}, {given}", code="unsupported_media_type")


class CheckContentType:
    """ASGI middleware that refuses a POST from its headers, before its body is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None
        if scope["method"] == "POST":
            refusal = content_type_refusal(scope["path"], Headers(scope=scope))
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refusal.response()(scope, receive, send)
