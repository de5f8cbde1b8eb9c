"""The JSON lines between a session and its child process: orders one way, replies and events the other."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, TypeAdapter

from cluster import errors
from cluster.bridge.events import Event, SessionLost
from cluster.bridge.wire import Part
from cluster.calibration.result import Calibration
from cluster.deploy.drain import SCALE_DRAIN_S, STOP_DRAIN_S
from cluster.deploy.log_page import LogPage
from cluster.deploy.spec import DeploymentSpec
from cluster.errors import ClusterviewError, Unreachable, system_failed
from cluster.frozen import FrozenModel
from cluster.packages import import_failed
from cluster.scenes.scene import Scene
from cluster.text import CleanStr, clean

_LONGEST_MESSAGE = 2000


class Target(FrozenModel):
    """Which cluster the child enters: an address, a simulated spec, or (neither) this machine."""

    address: str | None = None
    simulate: str | None = None
    start: bool = True
    """Whether to start an embedded cluster that does not run yet."""
    engine_pythons: dict[str, str] = {}
    """Engine -> interpreter on the nodes that has it; one that is left out is in the nodes' own Python."""
    scene: Scene | None = None
    """What happens on the simulated cluster; None: nothing but what is deployed there."""


class DeployOrder(FrozenModel):
    """Start a deployment, or only check that it could be started."""

    kind: Literal["deploy"] = "deploy"
    order_id: int
    spec: DeploymentSpec
    dry_run: bool = False


class StopOrder(FrozenModel):
    """Stop a deployment and free its GPUs."""

    kind: Literal["stop"] = "stop"
    order_id: int
    name: str
    drain_s: float = STOP_DRAIN_S


class ScaleOrder(FrozenModel):
    """Change the replicas of a running deployment to those of the order."""

    kind: Literal["scale"] = "scale"
    order_id: int
    spec: DeploymentSpec
    drain_s: float = SCALE_DRAIN_S


class PromptOrder(FrozenModel):
    """Send a prompt to a deployment."""

    kind: Literal["prompt"] = "prompt"
    order_id: int
    name: str
    prompt_id: str
    text: str
    max_tokens: int


class LogsOrder(FrozenModel):
    """Read lines of a server's log; the reply's result is a LogPage."""

    kind: Literal["logs"] = "logs"
    order_id: int
    name: str
    replica: int = 0
    member: int = 0
    first: int = 0
    most: int = 1000


class CalibrateOrder(FrozenModel):
    """Measure the free GPUs; the reply's result is a Calibration."""

    kind: Literal["calibrate"] = "calibrate"
    order_id: int
    title: str
    """Of the cluster, as the session calls it."""


class DescribeOrder(FrozenModel):
    """Read the order of a running deployment; the reply's result is a DeploymentSpec."""

    kind: Literal["describe"] = "describe"
    order_id: int
    name: str


class DismissOrder(FrozenModel):
    """Take a dead node out of the inventory."""

    kind: Literal["dismiss"] = "dismiss"
    order_id: int
    node_id: str


Order = Annotated[
    DeployOrder
    | StopOrder
    | ScaleOrder
    | PromptOrder
    | LogsOrder
    | DescribeOrder
    | DismissOrder
    | CalibrateOrder,
    Field(discriminator="kind"),
]


class Failure(FrozenModel):
    """A ClusterviewError on its way through the pipe."""

    type: str
    message: Annotated[str, AfterValidator(lambda text: clean(text, _LONGEST_MESSAGE))]
    """May name several nodes."""
    hint: CleanStr = ""


class Reply(FrozenModel):
    """An order is done, or failed."""

    kind: Literal["reply"] = "reply"
    order_id: int
    failure: Failure | None = None
    result: LogPage | DeploymentSpec | Calibration | None = None
    """What was asked for, of an order that asks."""


class Alive(FrozenModel):
    """A heartbeat of the child, sent each second."""

    kind: Literal["alive"] = "alive"


ORDER: TypeAdapter[Order] = TypeAdapter(Order)
ANSWER: TypeAdapter[Reply | Alive | Part | Event] = TypeAdapter(
    Annotated[Reply | Alive | Part | Event, Field(discriminator="kind")]
)


def to_failure(error: Exception) -> Failure:
    """Return any exception as data; one that is not ours by its first line."""
    if isinstance(error, ClusterviewError):
        return Failure(type=type(error).__name__, message=error.message, hint=error.hint)
    if isinstance(error, ImportError) and error.name:
        return to_failure(import_failed(error))
    if isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
        name = f" {error.filename}" if error.filename else ""
        return to_failure(system_failed(f"the system refused{name or ' a request'}", error))
    first_line = (str(error).strip().splitlines() or [""])[0]
    return Failure(type="Unreachable", message=f"{type(error).__name__}: {first_line}")


def to_error(failure: Failure) -> ClusterviewError:
    """Return the exception for a failure."""
    kind = getattr(errors, failure.type, None)
    if isinstance(kind, type) and issubclass(kind, ClusterviewError):
        return kind(failure.message, failure.hint)
    return Unreachable(failure.message, failure.hint)


def lost_error(lost: SessionLost) -> ClusterviewError:
    """Return the exception for the end of a session."""
    return to_error(Failure(type=lost.type, message=lost.reason, hint=lost.hint))
