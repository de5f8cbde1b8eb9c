"""The engine that a deployment runs, and a layout replanned for it, whichever engine the plan was for."""

from __future__ import annotations

from dataclasses import replace

from cluster.catalog.engine_catalog import load_engine
from cluster.deploy.engine_in_use import EngineInUse
from cluster.deploy.order.limits import RankLimits
from cluster.errors import DeployFailed
from cluster.planner.request import EngineName
from cluster.planner.result import Candidate, Plan

BUILTIN: EngineName = "builtin"
"""What the ranks run: `cluster/runtime`."""


def engine_for(plan: Plan) -> EngineInUse:
    """Return the engine that would run a layout of `plan`, beside the one that the plan was made for."""
    return EngineInUse(
        name=BUILTIN,
        version=load_engine(BUILTIN).version,
        planned_for=f"{plan.engine_name} {plan.engine_version}",
    )


def judged_for_builtin(plan: Plan, candidate: Candidate, limits: RankLimits) -> Candidate:
    """Return `candidate` on the same GPUs with the memory and time of the built-in engine.

    Engines differ in their overheads and in how they use the remaining memory, so figures planned for another
    engine must not be compared with measurements. Raises DeployFailed if the built-in one cannot run it.
    """
    if plan.engine_name == BUILTIN:
        return candidate
    # Imports the whole planner, which a screen that only calls `engine_for` does not need.
    from cluster.planner.plan import plan as make_plan

    layout = candidate.layout
    request = replace(
        plan.request,
        engine=BUILTIN,
        engine_version=None,
        tp=layout.tp,
        pp=layout.pp,
        dp=layout.dp,
        ep=None,
        max_model_len=limits.max_model_len,
        max_num_seqs=limits.max_num_seqs,
    )
    answer = make_plan(plan.cluster, plan.model, request)
    judged = next((one for one in answer.candidates if one.layout == layout), None)
    if judged is None or not judged.feasible:
        refusal = judged.rejections[0] if judged and judged.rejections else None
        reason = refusal.message if refusal else "it has no usable GPUs"
        raise DeployFailed(
            f"{candidate.label} is feasible for {plan.engine_name} but not for the built-in engine: {reason}",
            refusal.fix if refusal else f"Plan again with --engine {BUILTIN}",
        )
    return replace(judged, placement=candidate.placement, span=candidate.span)
