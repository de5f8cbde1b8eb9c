"""Errors of the HTTP side as the screens show them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from cluster.deploy.router.api_errors import ApiError
from cluster.errors import BadInput, Unreachable


@contextlib.contextmanager
def errors_without_http() -> Iterator[None]:
    """Raise BadInput or Unreachable instead of an ApiError."""
    try:
        yield
    except ApiError as error:
        kind = BadInput if error.status < 500 else Unreachable
        raise kind(error.message) from None
