"""Which layouts of a plan the built-in engine can run, and the best of them."""

from __future__ import annotations

from cluster.deploy.order.request_check import check_request
from cluster.deploy.order.running_model import RunningModel, choose_model
from cluster.errors import BadInput, ClusterviewError, DeployFailed
from cluster.planner.result import Candidate, Plan


def choose_candidate(plan: Plan) -> Candidate:
    """Return the best layout that can be started; DeployFailed says why none fits."""
    simulated = plan.cluster.simulated
    candidate = next((item for item in plan.candidates if runs_layout(item, simulated)), plan.recommended)
    if candidate is None:
        # The planner knows engines that this product can plan for but not start.
        elsewhere = any(name == "engine" for fix in plan.fixes[:1] for name, _ in fix.options)
        more = "; other engines are for planning only, they cannot be started" if elsewhere else ""
        raise DeployFailed(f"{plan.model.name}: no layout fits", "; ".join(plan.advice[:2]) + more)
    return candidate


def runs_layout(candidate: Candidate, simulated: bool) -> bool:
    """True for a feasible layout that the built-in engine can run, or its stand-in if simulated."""
    layout = candidate.layout
    return candidate.feasible and not layout.dp_attention and (simulated or layout.ep == 1)


def why_not_runnable(plan: Plan, candidate: Candidate) -> ClusterviewError | None:
    """Return why the built-in engine cannot run a layout of `plan`; None if it can.

    Takes about a millisecond, so a screen can show it up front. Whether the layout also fits the built-in
    engine's memory is only checked by `make_order`.
    """
    try:
        running_model(plan, candidate)
    except ClusterviewError as error:
        return error
    return None


def running_model(plan: Plan, candidate: Candidate) -> RunningModel:
    """Return the model that runs for a layout.

    Raises DeployFailed for a layout that is not feasible, BadInput for an option, a layout or a model that
    the built-in engine does not run.
    """
    check_request(plan.request, simulated=plan.cluster.simulated, dtype=running_dtype(plan))
    _check_layout(candidate, plan.cluster.simulated)
    return choose_model(plan, candidate.layout)


def running_dtype(plan: Plan) -> str:
    """Return what the ranks compute in; on a simulated cluster they run on the CPU."""
    return "fp32" if plan.cluster.simulated else (plan.request.dtype or plan.model.dtype)


def _check_layout(candidate: Candidate, simulated: bool) -> None:
    if not candidate.feasible or not candidate.placement:
        reason = candidate.rejections[0] if candidate.rejections else None
        raise DeployFailed(
            f"{candidate.label} is not feasible: {reason.message if reason else 'it has no placement'}",
            reason.fix if reason else "Plan again",
        )
    if candidate.layout.dp_attention:
        raise BadInput(
            f"{candidate.label}: the built-in engine does not support data-parallel attention",
            "Choose a layout with TP, PP and DP only",
        )
    if not runs_layout(candidate, simulated):
        raise BadInput(
            f"{candidate.label}: the built-in engine does not support expert parallelism",
            "Choose a layout with TP, PP and DP only",
        )
