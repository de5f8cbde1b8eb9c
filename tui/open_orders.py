"""Orders whose effect is not visible yet, so that a second key press does not repeat them."""

from __future__ import annotations

from cluster.deploy.status import DeploymentState
from tui.store import Snapshot


class OpenOrders:
    """Names of deployments that were submitted, or are being stopped or scaled, until that is visible."""

    def __init__(self) -> None:
        self._deploying: list[str] = []
        self._stopping: set[str] = set()
        self._scaling: set[str] = set()

    @property
    def ordered(self) -> str:
        """The deployment that was submitted last and is not visible yet; '' when there is none."""
        return self._deploying[-1] if self._deploying else ""

    @property
    def deploying(self) -> tuple[str, ...]:
        """All deployments that were submitted and are not visible yet."""
        return tuple(self._deploying)

    @property
    def stopping(self) -> frozenset[str]:
        """The deployments that are being stopped."""
        return frozenset(self._stopping)

    @property
    def scaling(self) -> frozenset[str]:
        """The deployments whose number of replicas is being changed."""
        return frozenset(self._scaling)

    def deploy(self, name: str) -> None:
        """Record that a deployment was submitted."""
        self._deploying.append(name)

    def stop(self, name: str) -> None:
        """Record that a deployment is being stopped."""
        self._stopping.add(name)

    def scale(self, name: str) -> None:
        """Record that a deployment is being scaled."""
        self._scaling.add(name)

    def close(self, name: str) -> None:
        """Forget the orders for a deployment: they failed or are done."""
        self._deploying = [other for other in self._deploying if other != name]
        self._stopping.discard(name)
        self._scaling.discard(name)

    def update(self, snapshot: Snapshot) -> None:
        """Drop orders whose effect is visible: the deployment has ranks, or it failed or stopped."""
        for status in snapshot.deployments:
            if status.ranks or status.state is not DeploymentState.STARTING:
                self._deploying = [name for name in self._deploying if name != status.name]
