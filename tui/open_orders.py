"""Orders whose effect is not on screen yet, so that a second key press does not send them again."""

from __future__ import annotations

from cluster.deploy.status import DeploymentState
from tui.store import Snapshot


class OpenOrders:
    """Names of deployments that were ordered, or whose end was ordered, until it is seen."""

    def __init__(self) -> None:
        self._deploying: list[str] = []
        self._stopping: set[str] = set()

    @property
    def ordered(self) -> str:
        """The deployment that was ordered last and does not show yet; '' when there is none."""
        return self._deploying[-1] if self._deploying else ""

    @property
    def deploying(self) -> tuple[str, ...]:
        """All deployments that were ordered and do not show yet."""
        return tuple(self._deploying)

    @property
    def stopping(self) -> frozenset[str]:
        """The deployments whose end was ordered."""
        return frozenset(self._stopping)

    def deploy(self, name: str) -> None:
        """Note that a deployment was ordered."""
        self._deploying.append(name)

    def stop(self, name: str) -> None:
        """Note that the end of a deployment was ordered."""
        self._stopping.add(name)

    def close(self, name: str) -> None:
        """Forget what was ordered of a deployment: it failed, or nothing more is to be expected."""
        self._deploying = [other for other in self._deploying if other != name]
        self._stopping.discard(name)

    def see(self, snapshot: Snapshot) -> None:
        """Take in what is deployed: an order shows once its ranks do, or once it came to another end."""
        for status in snapshot.deployments:
            if status.ranks or status.state is not DeploymentState.STARTING:
                self._deploying = [name for name in self._deploying if name != status.name]
