"""A deployment's last status, readable without its controller: in the key-value store of Ray's head."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable

from pydantic import ValidationError

from cluster.deploy.status import DeploymentStatus
from cluster.frozen import FromAnyVersion

_NAMESPACE = b"clusterview"
_PAUSE_S = 1.5


class PostedStatus(FromAnyVersion):
    """A status and when it was posted, by the clock of the controller's node."""

    posted_at_s: float
    status: DeploymentStatus


def _key(name: str) -> bytes:
    return f"status/{name}".encode()


def read_status(name: str) -> PostedStatus | None:
    """Return what a controller last posted, None when there is nothing (or nothing of this version)."""
    from ray.experimental.internal_kv import _internal_kv_get

    try:
        return PostedStatus.model_validate_json(_internal_kv_get(_key(name), namespace=_NAMESPACE) or b"")
    except ValidationError:
        return None


def post_status(status: DeploymentStatus) -> None:
    """Post a status in the place of the last one."""
    from ray.experimental.internal_kv import _internal_kv_put

    line = PostedStatus(posted_at_s=time.time(), status=status).model_dump_json().encode()
    _internal_kv_put(_key(status.name), line, overwrite=True, namespace=_NAMESPACE)


def remove_status(name: str) -> None:
    """Remove what was posted; a head that is gone has removed it already."""
    from ray.experimental.internal_kv import _internal_kv_del

    with contextlib.suppress(Exception):
        _internal_kv_del(_key(name), namespace=_NAMESPACE)


class Poster:
    """Posts a deployment's status periodically from its own thread, until `end`."""

    def __init__(self, status: Callable[[], DeploymentStatus]) -> None:
        self._status, self._ended = status, threading.Event()
        self._thread = threading.Thread(target=self._run, name="poster", daemon=True)
        self._thread.start()

    def end(self, name: str) -> None:
        """Stop posting, and remove what was posted."""
        self._ended.set()
        self._thread.join(2 * _PAUSE_S)
        remove_status(name)

    def _run(self) -> None:
        while True:
            try:
                post_status(self._status())
            except Exception as error:
                sys.stderr.write(f"the status was not posted: {error!r}\n")
            if self._ended.wait(_PAUSE_S):
                return
