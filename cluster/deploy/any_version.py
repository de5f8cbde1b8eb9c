"""Read a controller's status, whichever version of clusterview started the controller."""

from __future__ import annotations

from pydantic import BaseModel

from cluster.deploy.status import DeploymentStatus


def status_from_answer(answer: object) -> DeploymentStatus:
    """Return a controller's answer as a status of this version.

    A controller outlives the session that started it, and its answer is unpickled without any check. An older
    version leaves out fields, which take their defaults; a newer one may have fields that are unknown here.
    Raises ValueError for an answer that is not a status at all.
    """
    return DeploymentStatus.model_validate(_plain(answer))


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return {name: _plain(one) for name, one in value.__dict__.items()}
    if isinstance(value, tuple | list):
        return tuple(_plain(one) for one in value)
    return value
