"""Lines of a deployment's log, through its controller."""

from __future__ import annotations

from typing import Any

from cluster.bridge.driver.describe_error import describe_error
from cluster.deploy.log_page import LogPage
from cluster.errors import Unreachable

_ANSWER_S = 10.0
MOST_LINES = 2000


def read_log(name: str, controller: Any, replica: int, member: int, first: int, most: int) -> LogPage:
    """Ask the controller for lines; raises Unreachable when it does not answer in time or has no log."""
    import ray

    if not hasattr(controller, "log"):
        raise Unreachable(
            f"{name} was started by a version of clusterview that keeps no logs",
            "Deploy it again to read them",
        )
    try:
        answer = ray.get(
            controller.log.remote(replica, member, first, min(most, MOST_LINES)), timeout=_ANSWER_S
        )
    except ray.exceptions.GetTimeoutError:
        raise Unreachable(
            f"the controller of {name} has not answered for {_ANSWER_S:.0f} s", "Try again in a moment"
        ) from None
    except Exception as error:
        raise Unreachable(f"the log of {name} cannot be read: {describe_error(error)}") from error
    # It may be of another version, and is unpickled without any check.
    return LogPage.model_validate(dict(answer.__dict__))
