"""The part of a session that only shows a cluster: every order is refused in one line."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from cluster.bridge.session import no_dead_node
from cluster.deploy.drain import SCALE_DRAIN_S, STOP_DRAIN_S
from cluster.deploy.log_page import LogPage
from cluster.deploy.spec import DeploymentSpec
from cluster.errors import BadInput


class ReadOnlySession:
    """Refuses orders with BadInput; `title`, `start` and `close` are left to the session itself."""

    refusal = ("nothing runs on this cluster", "")
    """Why, and what to do instead."""

    @property
    def can_deploy(self) -> bool:
        return False

    def deploy(self, spec: DeploymentSpec) -> Future[None]:
        """Refuse."""
        return self._refused()

    def check(self, spec: DeploymentSpec) -> Future[None]:
        """Refuse."""
        return self._refused()

    def stop(self, name: str, drain_s: float = STOP_DRAIN_S) -> Future[None]:
        """Refuse."""
        return self._refused()

    def scale(self, spec: DeploymentSpec, drain_s: float = SCALE_DRAIN_S) -> Future[None]:
        """Refuse."""
        return self._refused()

    def prompt(self, name: str, prompt_id: str, text: str, max_tokens: int) -> Future[None]:
        """Refuse."""
        return self._refused()

    def logs(self, name: str, replica: int, member: int, first: int, most: int) -> Future[LogPage]:
        """Refuse."""
        return self._refused()

    def describe(self, name: str) -> Future[DeploymentSpec]:
        """Refuse."""
        return self._refused()

    def dismiss(self, node_id: str) -> Future[None]:
        """Refuse: nothing here dies."""
        return no_dead_node()

    def _refused(self) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_exception(BadInput(*self.refusal))
        return future
