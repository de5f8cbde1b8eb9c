"""What is read from a deployment's controller on request: lines of its log, its order."""

from __future__ import annotations

from typing import Any

from cluster.bridge.driver.describe_error import describe_error
from cluster.deploy.log_page import LogPage
from cluster.deploy.spec import DeploymentSpec
from cluster.errors import Unreachable

_ANSWER_S = 10.0
MOST_LINES = 2000


def read_log(name: str, controller: Any, replica: int, member: int, first: int, most: int) -> LogPage:
    """Ask the controller for lines; raises Unreachable when it does not answer in time or has no log."""
    answer = _ask(name, controller, "log", replica, member, first, min(most, MOST_LINES))
    # It may be of another version, and is unpickled without any check.
    return LogPage.model_validate(dict(answer.__dict__))


def read_order(name: str, controller: Any) -> DeploymentSpec:
    """Ask the controller for its order; raises Unreachable when it does not answer in time."""
    order: DeploymentSpec = _ask(name, controller, "order")
    return order


def _ask(name: str, controller: Any, what: str, *arguments: int) -> Any:
    import ray

    if not hasattr(controller, what):
        version = "a version of clusterview that cannot be asked for it"
        raise Unreachable(f"no {what} of {name}: it was started by {version}", "Deploy it again")
    try:
        return ray.get(getattr(controller, what).remote(*arguments), timeout=_ANSWER_S)
    except ray.exceptions.GetTimeoutError:
        raise Unreachable(
            f"the controller of {name} has not answered for {_ANSWER_S:.0f} s", "Try again in a moment"
        ) from None
    except Exception as error:
        raise Unreachable(f"the {what} of {name} cannot be read: {describe_error(error)}") from error
