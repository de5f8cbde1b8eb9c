"""What is in the way of a key now, in one line: a dimmed key answers with it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.deploy.status import SERVING, DeploymentState, DeploymentStatus
from cluster.planner.fixes.text import describe_fix
from cluster.planner.result import Candidate, Plan
from tui.fixes import applicable_fixes
from tui.store import Snapshot

_NEED_A_PLAN = ("explain", "details", "move")
_NEED_A_CLUSTER = ("deploy", "apply_fix", "stop", "prompt", "replan")
INTERRUPTED = "The connection to the cluster broke and is made again: this works when it is back."


@dataclass(frozen=True, slots=True)
class KeyContext:
    """All that decides which keys work."""

    snapshot: Snapshot
    can_deploy: bool
    """False: the cluster is only described."""
    plan: Plan | None = None
    candidate: Candidate | None = None
    """The highlighted layout."""
    assumed_stopped: str = ""
    """Names of deployments that the plan takes for stopped."""
    deployment: DeploymentStatus | None = None
    """The selected one."""
    ordered: str = ""
    """Name of a deployment whose order is on its way."""
    stopping: frozenset[str] = frozenset()
    """Names of deployments whose end is ordered."""
    num_panels: int = 1
    """Of the plan and what runs: how many are on screen."""


def why_disabled(action: str, now: KeyContext) -> str:
    """Say why an action does nothing now; '' when nothing is in its way."""
    if action in _NEED_A_CLUSTER:
        if now.snapshot.lost is not None:
            return now.snapshot.lost.reason
        if now.snapshot.interrupted:
            return INTERRUPTED
        if now.snapshot.cluster is None:
            return "The cluster is not joined yet."
    if action == "deploy":
        return _why_not_deploy(now)
    if action == "apply_fix":
        return _why_not_fix(now)
    if action == "stop":
        return _why_not_stop(now)
    if action == "prompt":
        return _why_not_prompt(now)
    if action == "toggle_panel" and now.num_panels > 1:
        return "The plan and what runs are both on screen."
    if action == "next_deployment" and len(now.snapshot.deployments) < 2:
        return "There is no other deployment to select."
    if action in _NEED_A_PLAN and now.plan is None:
        return "There is no plan to show."
    return ""


def _why_not_deploy(now: KeyContext) -> str:
    cluster, candidate = now.snapshot.cluster, now.candidate
    if cluster is not None and not cluster.num_gpus:
        return "There is no GPU here to deploy on."
    if not now.can_deploy:
        return "This cluster is only described: layouts are planned here, not deployed."
    if now.ordered:
        return f"{now.ordered} takes its GPUs now; d works again in a moment."
    if now.plan is None:
        return "There is no plan to deploy."
    if now.assumed_stopped:
        return f"The GPUs of this plan are taken by {now.assumed_stopped}: x stops it."
    if candidate is None:
        return "There is no layout to deploy."
    if not candidate.feasible:
        why = candidate.rejections[0].message if candidate.rejections else candidate.why
        return f"{candidate.label} is refused: {why}"
    return ""


def _why_not_fix(now: KeyContext) -> str:
    if now.plan is None or now.candidate is None:
        return "There is no layout to fix."
    if now.candidate.feasible:
        return f"{now.candidate.label} fits: there is nothing to fix."
    if applicable_fixes(now.candidate, now.plan.request):
        return ""
    fixes = [fix for rejection in now.candidate.rejections for fix in rejection.fixes]
    if fixes:
        return f"{now.candidate.label} needs more than options: {describe_fix(fixes[0])}."
    return f"No option or degree fixes {now.candidate.label}."


def _why_not_stop(now: KeyContext) -> str:
    if now.deployment is None:
        return "Nothing is deployed that could be stopped."
    if now.deployment.state is DeploymentState.STOPPING or now.deployment.name in now.stopping:
        return f"{now.deployment.name} is stopping already."
    return ""


def _why_not_prompt(now: KeyContext) -> str:
    status = now.deployment
    if status is None:
        return "Nothing is deployed that could answer a prompt."
    if status.state in SERVING:
        return ""
    if status.state is DeploymentState.STARTING:
        return f"{status.name} is starting: it answers prompts when it is ready."
    return f"{status.name} is {status.state}: it answers no prompts."
