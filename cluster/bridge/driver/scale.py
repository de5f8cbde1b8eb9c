"""Change a running deployment's number of replicas through its controller, and wait until that is done."""

from __future__ import annotations

import time
from typing import Any

from cluster.bridge.driver.describe_error import describe_error
from cluster.deploy.any_version import status_from_answer
from cluster.deploy.scaling_status import ScalingStatus
from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.status import DeploymentState, DeploymentStatus
from cluster.errors import ClusterviewError, DeployFailed, Unreachable

_ANSWER_S = 10.0
_LOOK_S = 0.3
_SILENT_S = 60.0
_ENDS = (DeploymentState.STOPPING, DeploymentState.STOPPED, DeploymentState.FAILED)


def added_ranks(spec: DeploymentSpec, now: DeploymentSpec) -> DeploymentSpec | None:
    """Return the order with only the ranks that `now` does not have; None when there are none."""
    ranks = tuple(place for place in spec.ranks if place not in now.ranks)
    # The router is there already, and its port with it.
    return spec.model_copy(update={"ranks": ranks, "router_port": 0}) if ranks else None


def scale(ray: Any, spec: DeploymentSpec, controller: Any, drain_s: float) -> None:
    """Let the controller run the replicas of `spec`; DeployFailed says why it does not."""
    if not hasattr(controller, "scale"):
        version = "by a version of clusterview that cannot scale"
        raise Unreachable(f"{spec.name} was started {version}", "Deploy it again")
    number = _begun(ray, spec, controller, drain_s)
    heard_at_s = time.monotonic()
    while True:
        try:
            status = status_from_answer(ray.get(controller.status.remote(), timeout=_ANSWER_S))
        except Exception as error:
            if time.monotonic() - heard_at_s > _SILENT_S:
                raise Unreachable(
                    f"the controller of {spec.name} does not answer: {describe_error(error)}"
                ) from None
            time.sleep(_LOOK_S)
            continue
        heard_at_s = time.monotonic()
        if _is_done(status, number):
            return
        time.sleep(_LOOK_S)


def _begun(ray: Any, spec: DeploymentSpec, controller: Any, drain_s: float) -> int:
    try:
        return int(ray.get(controller.scale.remote(spec, drain_s), timeout=_ANSWER_S))
    except ray.exceptions.GetTimeoutError:
        silent = f"the controller of {spec.name} has not answered for {_ANSWER_S:.0f} s"
        raise Unreachable(
            silent, f"It may have taken effect; check with: clusterview status {spec.name}"
        ) from None
    except Exception as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, ClusterviewError):
            raise cause from None
        raise DeployFailed(f"{spec.name} was not scaled: {describe_error(error)}") from error


def _is_done(status: DeploymentStatus, number: int) -> bool:
    """Return whether the change is over; raises DeployFailed where it failed or was cut off."""
    scaling = status.scaling
    if status.state in _ENDS:
        raise DeployFailed(f"{status.name} is {status.state} meanwhile", status.reason)
    if scaling is None or scaling.number < number:
        count = len(status.replicas)
        raise DeployFailed(
            f"the controller of {status.name} restarted meanwhile, and goes on with {count} replicas",
            f"Check with: clusterview status {status.name}",
        )
    if scaling.is_over and scaling.number == number and scaling.failure:
        raise DeployFailed(f"{status.name}: {scaling.failure}", _what_is_left(status, scaling))
    return scaling.is_over


def _what_is_left(status: DeploymentStatus, scaling: ScalingStatus) -> str:
    count = len(status.replicas)
    return (
        f"Its {count} other replicas serve as before" if count > 1 else "Its other replica serves as before"
    )
