"""Events that a session sends to its listener; one JSON line each between child process and parent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cluster.deploy.preflight import NodeVerdict
from cluster.deploy.status import DeploymentStatus
from cluster.detail import NodeDetail
from cluster.frozen import FrozenModel
from cluster.inventory import Cluster
from cluster.telemetry import NodeReading
from cluster.text import CleanStr


class Progress(FrozenModel):
    """A step of joining or starting a cluster. `fraction` is None when the length is unknown."""

    kind: Literal["progress"] = "progress"
    message: CleanStr
    fraction: float | None = None
    interrupted: bool = False
    """The connection to a cluster that was seen is broken and made again: what is known of it is old until
    the next other event."""


class ClusterSeen(FrozenModel):
    """The inventory, sent when it is first known and whenever it changes."""

    kind: Literal["cluster"] = "cluster"
    cluster: Cluster


class ReadingsSeen(FrozenModel):
    """Fresh readings of some nodes; a node that did not answer in time is absent or not 'ok'."""

    kind: Literal["readings"] = "readings"
    nodes: tuple[NodeReading, ...]


class DetailsSeen(FrozenModel):
    """Slow figures of the nodes that were read since the last such event."""

    kind: Literal["details"] = "details"
    nodes: tuple[NodeDetail, ...]


class DeploymentsSeen(FrozenModel):
    """All deployments of ours on this cluster, each second while there are any, and when the set changes."""

    kind: Literal["deployments"] = "deployments"
    deployments: tuple[DeploymentStatus, ...]


class PreflightSeen(FrozenModel):
    """What the nodes of an order have of what it needs; sent before anything is claimed."""

    kind: Literal["preflight"] = "preflight"
    name: CleanStr
    nodes: tuple[NodeVerdict, ...]


class TokenSeen(FrozenModel):
    """A piece of the answer to a prompt."""

    kind: Literal["token"] = "token"
    prompt_id: str
    text: CleanStr = ""
    done: bool = False
    error: CleanStr | None = None
    replica: int | None = None


class SessionLost(FrozenModel):
    """The child process or its cluster is gone; nothing more will come."""

    kind: Literal["lost"] = "lost"
    reason: CleanStr
    hint: CleanStr = ""
    type: str = "Unreachable"
    """The class in cluster.errors that says whose fault it was."""


Event = Annotated[
    Progress
    | ClusterSeen
    | ReadingsSeen
    | DetailsSeen
    | DeploymentsSeen
    | PreflightSeen
    | TokenSeen
    | SessionLost,
    Field(discriminator="kind"),
]
