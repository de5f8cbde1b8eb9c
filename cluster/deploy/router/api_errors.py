"""Errors in OpenAI's format: a status, and a JSON body with message, type, parameter and code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.errors import BadInput

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "service_unavailable_error",
}


class ApiError(Exception):
    """A request that cannot be served. Sent as a JSON answer with `status`."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.param, self.code = param, code
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, object]:
        """Return the JSON body."""
        error_type = _TYPES.get(self.status, "server_error")
        error = {"message": self.message, "type": error_type, "param": self.param, "code": self.code}
        return {"error": error}

    def response(self) -> Response:
        """Return the HTTP answer."""
        from starlette.responses import JSONResponse

        headers = {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return JSONResponse(self.body(), status_code=self.status, headers=headers)


def unavailable(message: str) -> ApiError:
    """Return a 503 that tells the client to retry."""
    return ApiError(503, message, code="no_replica", retry_after_s=1)


async def on_api_error(request: Request, error: Exception) -> Response:
    """Turn an ApiError into its answer (a Starlette exception handler)."""
    assert isinstance(error, ApiError)
    return error.response()


async def on_bad_input(request: Request, error: Exception) -> Response:
    """Answer with 400 when a tokenizer or chat template rejects the input."""
    assert isinstance(error, BadInput)
    return ApiError(400, error.one_line()).response()


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer unknown paths and methods in the same format."""
    status = int(getattr(error, "status_code", 500))
    reasons = {404: "no such path", 405: "method not allowed on this path"}
    message = f"{request.method} {request.url.path[:256]}: {reasons.get(status, 'failed')}"
    return ApiError(status, message).response()


async def on_crash(request: Request, error: Exception) -> Response:
    """Answer with 500 and the exception's type only: its text may hold internals."""
    return ApiError(500, f"the router failed: {type(error).__name__}").response()
