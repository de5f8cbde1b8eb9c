"""Which keys work now, and why the others do not: pressing a dimmed key shows its reason. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.deploy.status import SERVING, DeploymentState, DeploymentStatus
from cluster.inventory import Node
from cluster.planner.fixes.text import describe_fix
from cluster.planner.result import Candidate, Plan
from tui.fixes import applicable_fixes
from tui.store import Snapshot

_NEED_A_PLAN = ("explain", "details", "move")
_NEED_A_CLUSTER = ("deploy", "apply_fix", "stop", "scale_up", "scale_down", "prompt", "logs", "replan")
INTERRUPTED = "The connection to the cluster is down. This works again once it is back."


@dataclass(frozen=True, slots=True)
class KeyContext:
    """Everything that decides which keys work."""

    snapshot: Snapshot
    can_deploy: bool
    """False: the cluster comes from a file or spec."""
    plan: Plan | None = None
    candidate: Candidate | None = None
    """The highlighted layout."""
    not_runnable: str = ""
    """Why the highlighted layout cannot be deployed, although it fits."""
    assumed_stopped: str = ""
    """Names of deployments that the plan assumes are stopped."""
    deployment: DeploymentStatus | None = None
    """The selected one."""
    ordered: str = ""
    """Name of a deployment that was submitted and is not visible yet."""
    stopping: frozenset[str] = frozenset()
    """Names of deployments that are being stopped."""
    scaling: frozenset[str] = frozenset()
    """Names of deployments that are being scaled."""
    num_panels: int = 1
    """How many of plan and deployments are on screen."""
    node: Node | None = None
    """The node that the map's cursor is on, or on a GPU of."""


def why_disabled(action: str, now: KeyContext) -> str:
    """Return why an action does nothing now; '' when it works."""
    if action in _NEED_A_CLUSTER:
        if now.snapshot.lost is not None:
            return now.snapshot.lost.reason
        if now.snapshot.interrupted:
            return INTERRUPTED
        if now.snapshot.cluster is None:
            return "Still connecting to the cluster."
    if action == "deploy":
        return _why_not_deploy(now)
    if action == "apply_fix":
        return _why_not_fix(now)
    if action == "export":
        return _why_not_export(now)
    if action == "stop":
        return _why_not_stop(now)
    if action in ("scale_up", "scale_down"):
        return _why_not_scale(now, fewer=action == "scale_down")
    if action == "prompt":
        return _why_not_prompt(now)
    if action == "logs":
        return _why_no_logs(now.deployment)
    if action == "dismiss_node":
        return _why_not_dismiss(now.node)
    if action == "enter_map" and (now.snapshot.cluster is None or not now.snapshot.cluster.nodes):
        return "There is no node on the map yet."
    if action == "toggle_panel" and now.num_panels > 1:
        return "The plan and the deployments are both on screen."
    if action == "next_deployment" and len(now.snapshot.deployments) < 2:
        return "There is no other deployment to select."
    if action in _NEED_A_PLAN and now.plan is None:
        return "There is no plan yet."
    return ""


def _why_not_deploy(now: KeyContext) -> str:
    cluster, candidate = now.snapshot.cluster, now.candidate
    if cluster is not None and not any(node.gpus for node in cluster.nodes):
        return "This cluster has no GPU to deploy on."
    if not now.can_deploy:
        return "This cluster comes from a file or spec, so you can plan but not deploy."
    if now.ordered:
        return f"{now.ordered} is still claiming its GPUs. Try again in a moment."
    if now.plan is None:
        return "There is no plan yet."
    if now.assumed_stopped:
        return f"{now.assumed_stopped} is using the GPUs of this plan. Press x to stop it."
    if candidate is None:
        return "There is no layout to deploy."
    return _why_rejected(candidate) or now.not_runnable


def _why_rejected(candidate: Candidate) -> str:
    if candidate.feasible:
        return ""
    why = candidate.rejections[0].message if candidate.rejections else candidate.why
    return f"{candidate.label} is rejected: {why}"


def _why_not_export(now: KeyContext) -> str:
    if now.plan is None:
        return "There is no plan yet."
    if now.plan.request.workload != "inference":
        return f"A plan for {now.plan.request.workload} cannot be exported."
    if now.candidate is None:
        return "There is no layout to export."
    return _why_rejected(now.candidate)


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
        return "There is no deployment to stop."
    if now.deployment.state is DeploymentState.STOPPING or now.deployment.name in now.stopping:
        return f"{now.deployment.name} is already stopping."
    return ""


def _why_not_scale(now: KeyContext, *, fewer: bool) -> str:
    status = now.deployment
    if status is None:
        return "There is no deployment to scale."
    if status.state not in SERVING:
        return f"{status.name} is {status.state}. The number of replicas can be changed while it serves."
    changing = status.scaling is not None and not status.scaling.is_over
    if changing or status.name in now.scaling:
        return f"The replicas of {status.name} are being changed already."
    if status.layout is not None and status.layout.dp_attention:
        return f"The attention replicas of {status.name} are one engine. Deploy it again with another DP."
    if fewer and len(status.replicas) < 2:
        return f"{status.name} has one replica only. Press x to stop it."
    return ""


def _why_not_prompt(now: KeyContext) -> str:
    status = now.deployment
    if status is None:
        return "There is no deployment to prompt."
    if status.state in SERVING:
        return ""
    if status.state is DeploymentState.STARTING:
        return f"{status.name} is still starting. It answers prompts once it is ready."
    return f"{status.name} is {status.state} and cannot answer prompts."


def _why_no_logs(status: DeploymentStatus | None) -> str:
    if status is None:
        return "There is no deployment whose log can be shown."
    if not status.ranks:
        return f"The controller of {status.name} has not answered yet."
    if not status.is_server:
        return "The built-in engine has no log: it runs inside Ray's workers, whose logs are Ray's."
    return ""


def _why_not_dismiss(node: Node | None) -> str:
    if node is None:
        return "Press g and move to a dead node first."
    return (
        "" if node.left is not None else f"{node.name} is not dead. Only dead nodes can be taken off the map."
    )
