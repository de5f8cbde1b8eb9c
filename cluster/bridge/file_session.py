"""A session on a saved snapshot or a spec: for planning only."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from cluster.bridge.events import ClusterSeen
from cluster.bridge.session import Listener, no_dead_node
from cluster.deploy.drain import SCALE_DRAIN_S, STOP_DRAIN_S
from cluster.deploy.log_page import LogPage
from cluster.deploy.spec import DeploymentSpec
from cluster.errors import BadInput
from cluster.inventory import Cluster

_HINT = "Open clusterview with --simulate or --address to deploy"


class FileSession:
    """Sends its cluster once. Orders fail with BadInput."""

    def __init__(self, cluster: Cluster, title: str) -> None:
        self._cluster, self._title = cluster, title

    @property
    def title(self) -> str:
        return self._title

    @property
    def can_deploy(self) -> bool:
        return False

    def start(self, listener: Listener) -> None:
        """Send the cluster."""
        seen = ClusterSeen(cluster=self._cluster)
        threading.Thread(target=listener, args=(seen,), name="file-session", daemon=True).start()

    def deploy(self, spec: DeploymentSpec) -> Future[None]:
        """Refuse."""
        return _refused()

    def check(self, spec: DeploymentSpec) -> Future[None]:
        """Refuse."""
        return _refused()

    def stop(self, name: str, drain_s: float = STOP_DRAIN_S) -> Future[None]:
        """Refuse."""
        return _refused()

    def scale(self, spec: DeploymentSpec, drain_s: float = SCALE_DRAIN_S) -> Future[None]:
        """Refuse."""
        return _refused()

    def prompt(self, name: str, prompt_id: str, text: str, max_tokens: int) -> Future[None]:
        """Refuse."""
        return _refused()

    def logs(self, name: str, replica: int, member: int, first: int, most: int) -> Future[LogPage]:
        """Refuse."""
        return _refused()

    def describe(self, name: str) -> Future[DeploymentSpec]:
        """Refuse."""
        return _refused()

    def dismiss(self, node_id: str) -> Future[None]:
        """Refuse: a file says what was there, and nothing in it dies."""
        return no_dead_node()

    def close(self) -> None:
        """Nothing was started."""


def _refused() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(BadInput("this cluster comes from a file or a spec, so nothing runs on it", _HINT))
    return future
