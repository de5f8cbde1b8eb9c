"""Which layouts of a plan can be started with the engine that would run them, and the best of them."""

from __future__ import annotations

from cluster.deploy.order.engine import runs_servers
from cluster.deploy.order.request_check import check_request
from cluster.deploy.order.running_model import RunningModel, choose_model
from cluster.deploy.order.server import Server, server_for
from cluster.errors import BadInput, ClusterviewError, DeployFailed
from cluster.planner.result import Candidate, Plan


def choose_candidate(plan: Plan) -> Candidate:
    """Return the best layout that can be started, else the best one; DeployFailed says why none fits."""
    candidate = next((item for item in plan.candidates if _runs_layout(plan, item)), plan.recommended)
    if candidate is None:
        raise DeployFailed(f"{plan.model.name}: no layout fits", "; ".join(plan.advice[:2]))
    return candidate


def _runs_layout(plan: Plan, candidate: Candidate) -> bool:
    """True for a feasible layout whose division the engine can run, whatever else may be against it."""
    if not candidate.feasible:
        return False
    if not runs_servers(plan):
        return runs_division(candidate, plan.cluster.simulated)
    try:
        server_for(plan, candidate, at_a_glance=True)
    except ClusterviewError:
        return False
    return True


def runs_division(candidate: Candidate, simulated: bool) -> bool:
    """True for a feasible layout that the built-in engine can run, or its stand-in if simulated."""
    layout = candidate.layout
    return candidate.feasible and not layout.dp_attention and (simulated or layout.ep == 1)


def why_not_runnable(plan: Plan, candidate: Candidate) -> ClusterviewError | None:
    """Return why a layout of `plan` cannot be deployed; None if nothing is known against it.

    Takes about a millisecond, so a screen can show it up front. What the nodes lack that only they can say is
    asked before anything is claimed (`cluster.deploy.preflight`).
    """
    try:
        if runs_servers(plan):
            running_server(plan, candidate, at_a_glance=True)
        else:
            running_model(plan, candidate)
    except ClusterviewError as error:
        return error
    return None


def running_model(plan: Plan, candidate: Candidate) -> RunningModel:
    """Return the model that the built-in engine runs for a layout.

    Raises DeployFailed for a layout that is not feasible, BadInput for an option, a layout or a model that
    the built-in engine does not run.
    """
    check_request(plan.request, simulated=plan.cluster.simulated, dtype=running_dtype(plan))
    _check_feasible(candidate)
    _check_division(candidate, plan.cluster.simulated)
    return choose_model(plan, candidate.layout)


def running_server(
    plan: Plan, candidate: Candidate, extra_args: tuple[str, ...] = (), *, at_a_glance: bool = False
) -> Server:
    """Return the servers that a layout starts; `at_a_glance` checks the first replicas only.

    Raises DeployFailed for a layout that is not feasible, BadInput for an engine that is not installed on its
    nodes and for a layout or an option that the engine does not take.
    """
    check_request(plan.request, simulated=False)
    _check_feasible(candidate)
    return server_for(plan, candidate, extra_args, at_a_glance=at_a_glance)


def running_dtype(plan: Plan) -> str:
    """Return what the ranks compute in; on a simulated cluster they run on the CPU."""
    return "fp32" if plan.cluster.simulated else (plan.request.dtype or plan.model.dtype)


def _check_feasible(candidate: Candidate) -> None:
    if candidate.feasible and candidate.placement:
        return
    reason = candidate.rejections[0] if candidate.rejections else None
    raise DeployFailed(
        f"{candidate.label} is not feasible: {reason.message if reason else 'it has no placement'}",
        reason.fix if reason else "Plan again",
    )


def _check_division(candidate: Candidate, simulated: bool) -> None:
    if runs_division(candidate, simulated):
        return
    missing = "data-parallel attention" if candidate.layout.dp_attention else "expert parallelism"
    raise BadInput(
        f"{candidate.label}: the built-in engine does not support {missing}",
        "Choose a layout with TP, PP and DP only",
    )
