"""A session: the one interface by which a screen or a command sees and changes a cluster."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from cluster.bridge.events import Event
from cluster.deploy.drain import SCALE_DRAIN_S, STOP_DRAIN_S
from cluster.deploy.log_page import LogPage
from cluster.deploy.spec import DeploymentSpec
from cluster.errors import BadInput

Listener = Callable[[Event], None]
"""Called from a thread of the session's own, one event at a time, in order."""


class Session(Protocol):
    """Never blocks its caller. Futures raise ClusterviewError with a message and a hint."""

    @property
    def title(self) -> str:
        """Where the cluster comes from, for the header: 'simulated 2x4xA100-80GB', 'ray 10.0.0.1:6379'."""

    @property
    def can_deploy(self) -> bool:
        """False for a saved snapshot or a spec: planning only."""

    def start(self, listener: Listener) -> None:
        """Begin; events arrive from now on."""

    def deploy(self, spec: DeploymentSpec) -> Future[None]:
        """Order a deployment; done when the order was accepted. Progress comes as DeploymentsSeen."""

    def check(self, spec: DeploymentSpec) -> Future[None]:
        """Check an order as `deploy` does, and start nothing; what the nodes have comes as PreflightSeen."""

    def stop(self, name: str, drain_s: float = STOP_DRAIN_S) -> Future[None]:
        """Stop a deployment; done when its GPUs are free. Requests in flight may go on for `drain_s`."""

    def scale(self, spec: DeploymentSpec, drain_s: float = SCALE_DRAIN_S) -> Future[None]:
        """Change the replicas of a running deployment to those of `spec`, and wait until that is done.

        Requests in flight with a replica that ends may go on for `drain_s`. Where new replicas do not start
        (DeployFailed says why), the others go on serving.
        """

    def prompt(self, name: str, prompt_id: str, text: str, max_tokens: int) -> Future[None]:
        """Send a prompt; the answer comes as TokenSeen events with this prompt_id."""

    def logs(self, name: str, replica: int, member: int, first: int, most: int) -> Future[LogPage]:
        """Read lines that the server of a replica's node wrote, at most `most` from line `first` on.

        A negative `first` counts from the end. A page starts later where older lines were dropped, and is
        empty where nothing was written since; its note says why where nothing ever will be.
        """

    def describe(self, name: str) -> Future[DeploymentSpec]:
        """Read the order that a running deployment carries out."""

    def dismiss(self, node_id: str) -> Future[None]:
        """Take a dead node (see `Node.left`) out of the inventory; BadInput for any other."""

    def close(self) -> None:
        """End what this session started, except deployments. Safe to call twice."""


def no_dead_node() -> Future[None]:
    """Refuse to dismiss a node where no node can be dead."""
    future: Future[None] = Future()
    future.set_exception(
        BadInput("no node here is dead", "Only a node that left the cluster can be dismissed")
    )
    return future
