"""The order of a deployment that was scaled, where its controller finds it again after a restart.

Ray restarts a controller with the order it was first given. What has changed since is kept in the key-value
store of Ray's head, next to the status.
"""

from __future__ import annotations

import contextlib
from typing import Any

from pydantic import ValidationError

from cluster.deploy.spec import DeploymentSpec

_NAMESPACE = b"clusterview"


def _key(name: str) -> bytes:
    return f"order/{name}".encode()


def post_order(spec: DeploymentSpec) -> None:
    """Keep an order in the place of the last one."""
    from ray.experimental.internal_kv import _internal_kv_put

    line = spec.model_dump_json().encode()
    _internal_kv_put(_key(spec.name), line, overwrite=True, namespace=_NAMESPACE)


def remove_order(name: str) -> None:
    """Remove what was kept; a head that is gone has removed it already."""
    from ray.experimental.internal_kv import _internal_kv_del

    with contextlib.suppress(Exception):
        _internal_kv_del(_key(name), namespace=_NAMESPACE)


def order_now(ray: Any, first: DeploymentSpec) -> DeploymentSpec:
    """Return the order to carry out: for a controller that was restarted the last one kept, else `first`."""
    from ray.experimental.internal_kv import _internal_kv_get

    if not ray.get_runtime_context().was_current_actor_reconstructed:
        # An earlier deployment of this name may have been ended by force.
        remove_order(first.name)
        return first
    try:
        kept = _internal_kv_get(_key(first.name), namespace=_NAMESPACE)
        return DeploymentSpec.model_validate_json(kept) if kept else first
    except ValidationError:
        return first
