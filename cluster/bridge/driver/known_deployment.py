"""A deployment as a session knows it: the last status from its controller, and how old that is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from cluster.deploy.status import DeploymentState, DeploymentStatus
from cluster.deploy.stuck import StuckWatch

_SILENT_S = 3.0


@dataclass
class KnownDeployment:
    """A controller and what it last said."""

    name: str
    actor: Any
    watch: StuckWatch
    asked: Any = None
    asked_at_s: float = 0.0
    status: DeploymentStatus | None = None
    heard_at_s: float = 0.0
    """When the status was said, by this process's monotonic clock."""

    restarts: bool = False
    """Its process was lost, and Ray starts it again."""

    def silent_s(self) -> float:
        """Return for how long the controller owes an answer; 0 while it owes none."""
        return time.monotonic() - self.asked_at_s if self.asked is not None else 0.0

    def now(self) -> DeploymentStatus:
        """Return the status to show: as last heard, with the controller's silence where there is one."""
        status = self.status
        if status is None:
            reason = "its controller is starting"
            return DeploymentStatus(
                name=self.name, model="", label="", state=DeploymentState.STARTING, reason=reason
            )
        # What was posted may be older than this session's question.
        silent_s = max(time.monotonic() - self.heard_at_s, self.silent_s())
        if self.asked is None or silent_s < _SILENT_S or self.restarts:
            return status
        reason = f"its controller has not answered for {silent_s:.0f} s; the rest is its last known state"
        # Replicas keep running without their controller, but failed ones would not be replaced.
        state = DeploymentState.DEGRADED if status.state is DeploymentState.READY else status.state
        return status.model_copy(update={"reason": reason, "state": state})
