"""Deployments of ours on a cluster: found and ordered through their controllers."""

from __future__ import annotations

from typing import Any

from cluster.bridge.node_probe import GpuLoad
from cluster.bridge.outbox import Send
from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.status import DeploymentStatus
from cluster.errors import DeployFailed


class Deployments:
    """Looks at every controller each second; one that does not answer holds up nobody."""

    def __init__(self, ray: Any, send: Send) -> None:
        self._ray, self._send = ray, send

    def look(self) -> None:
        return

    def statuses(self) -> tuple[DeploymentStatus, ...]:
        return ()

    def claims(self) -> dict[str, str]:
        return {}

    def loads(self) -> dict[str, list[GpuLoad]]:
        return {}

    def deploy(self, spec: DeploymentSpec) -> None:
        raise DeployFailed("not yet")

    def stop(self, name: str) -> None:
        raise DeployFailed("not yet")

    def prompt(self, name: str, prompt_id: str, text: str, max_tokens: int) -> None:
        raise DeployFailed("not yet")
