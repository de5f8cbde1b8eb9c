"""A session that replays recorded events and remembers what it was asked to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future

from cluster.bridge.events import Event
from cluster.bridge.session import Listener
from cluster.deploy.drain import SCALE_DRAIN_S, STOP_DRAIN_S
from cluster.deploy.log_page import LogPage
from cluster.deploy.spec import DeploymentSpec
from cluster.errors import ClusterviewError


class FakeSession:
    """Says `events` as soon as it is started; more with `say`."""

    def __init__(
        self,
        events: Iterable[Event] = (),
        title: str = "simulated 2x4xA100-80GB",
        can_deploy: bool = True,
        fail_with: ClusterviewError | None = None,
    ) -> None:
        self.title = title
        self.can_deploy = can_deploy
        self.fail_with = fail_with
        self.orders: list[tuple[str, object]] = []
        self.read_log: Callable[[int, int, int, int], LogPage | ClusterviewError | None] | None = None
        """Answers a question for a log; None never answers."""
        self.described: DeploymentSpec | None = None
        """The order that a deployment is said to carry out; None never answers."""
        self.closed = False
        self._events = tuple(events)
        self._listener: Listener | None = None

    def start(self, listener: Listener) -> None:
        self._listener = listener
        for event in self._events:
            listener(event)

    @property
    def started(self) -> bool:
        """Whether somebody listens."""
        return self._listener is not None

    def say(self, *events: Event) -> None:
        """Tell the listener more, as a session's thread would."""
        assert self._listener is not None
        for event in events:
            self._listener(event)

    def deploy(self, spec: DeploymentSpec) -> Future[None]:
        return self._ordered("deploy", spec)

    def check(self, spec: DeploymentSpec) -> Future[None]:
        return self._ordered("check", spec)

    def stop(self, name: str, drain_s: float = STOP_DRAIN_S) -> Future[None]:
        return self._ordered("stop", name)

    def scale(self, spec: DeploymentSpec, drain_s: float = SCALE_DRAIN_S) -> Future[None]:
        return self._ordered("scale", spec)

    def prompt(self, name: str, prompt_id: str, text: str, max_tokens: int) -> Future[None]:
        return self._ordered("prompt", (name, prompt_id, text))

    def logs(self, name: str, replica: int, member: int, first: int, most: int) -> Future[LogPage]:
        self.orders.append(("logs", (name, replica, member, first, most)))
        future: Future[LogPage] = Future()
        answer = self.read_log(replica, member, first, most) if self.read_log is not None else None
        if isinstance(answer, ClusterviewError):
            future.set_exception(answer)
        elif answer is not None:
            future.set_result(answer)
        return future

    def describe(self, name: str) -> Future[DeploymentSpec]:
        self.orders.append(("describe", name))
        future: Future[DeploymentSpec] = Future()
        if self.described is not None:
            future.set_result(self.described)
        return future

    def dismiss(self, node_id: str) -> Future[None]:
        return self._ordered("dismiss", node_id)

    def close(self) -> None:
        self.closed = True

    def _ordered(self, verb: str, what: object) -> Future[None]:
        self.orders.append((verb, what))
        future: Future[None] = Future()
        if self.fail_with is not None:
            future.set_exception(self.fail_with)
        else:
            future.set_result(None)
        return future
