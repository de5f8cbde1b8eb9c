"""The planner's entry point: a cluster, a model and a request in, a plan with reasons out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.model_spec import ModelSpec
from cluster.inventory import Cluster
from cluster.planner.fixes.fix import Fix
from cluster.planner.fixes.suggest import plan_fixes, with_fixes
from cluster.planner.fixes.trial import SERVING, Method
from cluster.planner.launch import launch_on
from cluster.planner.layout import Layout
from cluster.planner.memory import kv_bytes_per_token
from cluster.planner.placement.survey import survey_cluster
from cluster.planner.reasons.advice import advice
from cluster.planner.reasons.compare import compare
from cluster.planner.reasons.crossing import with_crossing_note
from cluster.planner.reasons.decision import decide
from cluster.planner.reasons.explain import with_reasons, with_refusal_reasons
from cluster.planner.reasons.facts import gather_facts
from cluster.planner.reasons.health import with_health_note
from cluster.planner.replica import Replica
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate, Plan
from cluster.planner.search.context import Context
from cluster.planner.search.run import SearchResult, search_and_name_holders
from cluster.planner.traffic import fit_lengths
from cluster.planner.workload import build_notes, calibration_notes, context_notes, format_notes


def plan(cluster: Cluster, model: ModelSpec, request: PlanRequest) -> Plan:
    """Return the best layouts of `model` on the currently usable GPUs of `cluster`, with reasons.

    Pure: the same input gives the same plan. Raises ClusterviewError only for an engine or version that does
    not exist; a model that fits nowhere is a Plan without a recommendation.
    """
    engine = load_engine(request.engine, request.engine_version)
    if request.no_calibration:
        cluster = cluster.without_measurements()
    lengths, notes = fit_lengths(request, model)
    notes += format_notes(model, engine, request) + context_notes(request) + calibration_notes(cluster)
    survey = survey_cluster(cluster)
    notes += build_notes((pool.spec for pool in survey.pools), engine)
    context = Context(cluster, survey, model, engine, request, lengths, notes)
    if request.workload == "training":
        return _training_plan(context)
    found = search_and_name_holders(context)
    noted = [with_health_note(context, with_crossing_note(context, one)) for one in found.feasible]
    feasible = with_reasons(noted, request, engine)
    best = feasible[0] if feasible else None
    facts = gather_facts(context, found)
    answer = _with_fixed_refusals(context, found, feasible, SERVING)
    return replace(answer, decision=decide(context, facts, best), comparison=compare(context, facts, best))


def _with_fixed_refusals(
    context: Context, found: SearchResult, feasible: Sequence[Candidate], method: Method
) -> Plan:
    """Return the plan without its decision and comparison: refusals with fixes, advice if nothing fits."""
    best = feasible[0] if feasible else None
    fixes = () if best else plan_fixes(context, found, method)
    refused = with_fixes(context, found.refused, _instead(best) or fixes[:1], method)
    return Plan(
        model=context.model,
        cluster=context.cluster,
        request=context.request,
        lengths=context.lengths,
        engine_name=context.engine.name,
        engine_version=context.engine.version,
        recommended=best,
        candidates=(*feasible, *with_refusal_reasons(refused)),
        decision=(),
        fixes=fixes,
        advice=() if best else advice(context, refused, fixes),
        num_layouts_considered=found.num_considered,
        kv_bytes_per_token=_kv_bytes_per_token(context),
    )


def _instead(best: Candidate | None) -> tuple[Fix, ...]:
    """Return the recommendation as the fix of a layout that no change to itself fixes."""
    return () if best is None else (Fix(layout=best.layout),)


def _training_plan(context: Context) -> Plan:
    from cluster.planner.training import compare_training, count_training, decide_training, search_training

    found = search_training(context)
    feasible = [with_health_note(context, one) for one in found.feasible]
    answer = _with_fixed_refusals(context, found, feasible, Method(count_training, search_training))
    best = answer.recommended
    return replace(
        answer, decision=decide_training(context, best), comparison=compare_training(context, best)
    )


def _kv_bytes_per_token(context: Context) -> float:
    """Return the KV cache bytes per token on one rank with every layer, at the workload's length."""
    model, engine, request = (
        context.model,
        context.engine,
        replace(context.request, decode_context_parallel=1),
    )
    whole = Replica(model, engine, launch_on(model, engine, request, 0), Layout())
    return kv_bytes_per_token(whole, context.lengths.total)
