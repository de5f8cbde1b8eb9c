"""The same layout judged for the engine that a deployment runs, whichever engine the plan was made for."""

from __future__ import annotations

from dataclasses import replace

from cluster.errors import DeployFailed
from cluster.planner.plan import plan as make_plan
from cluster.planner.request import EngineName
from cluster.planner.result import Candidate, Plan

OWN_ENGINE: EngineName = "builtin"
"""What the ranks run: `cluster/runtime`."""


def judged_for_own_engine(
    plan: Plan, candidate: Candidate, max_model_len: int, max_num_seqs: int
) -> Candidate:
    """Return `candidate` on the same GPUs with the memory and time of the built-in engine.

    Engines differ in their overheads and in what they do with room that is left, so that a plan for another
    one would be held against the wrong measurement. Raises DeployFailed where the built-in one cannot run it.
    """
    layout = candidate.layout
    request = replace(
        plan.request,
        engine=OWN_ENGINE,
        engine_version=None,
        tp=layout.tp,
        pp=layout.pp,
        dp=layout.dp,
        ep=None,
        max_model_len=max_model_len,
        max_num_seqs=max_num_seqs,
    )
    judged = next(
        (one for one in make_plan(plan.cluster, plan.model, request).candidates if one.layout == layout), None
    )
    if judged is None or not judged.feasible:
        refusal = judged.rejections[0] if judged and judged.rejections else None
        reason = refusal.message if refusal else "it finds no place for it"
        raise DeployFailed(
            f"{candidate.label} holds for {plan.engine_name} but not for the built-in engine: {reason}",
            refusal.fix if refusal else "Plan again with --engine builtin",
        )
    return replace(judged, placement=candidate.placement, span=candidate.span)
