"""A plan as JSON values: schema_version 1. Sizes are bytes, times seconds, absent readings null.

Scripts outside this project read these names: add to them, never rename.
"""

from __future__ import annotations

from typing import Any

from cluster.gpu_health import health_to_json
from cluster.inventory import Cluster
from cluster.planner.fixes.to_json import fix_to_json
from cluster.planner.layout_json import layout_to_json, placement_to_json
from cluster.planner.reasons.health import count_standings, standings
from cluster.planner.result import Band, Candidate, Estimate, Plan, RankMemory

SCHEMA_VERSION = 1

Json = dict[str, Any]


def plan_to_json(plan: Plan, top: int | None = None) -> Json:
    """Return the plan as JSON values; `top` limits the candidates, None keeps all."""
    candidates = plan.candidates if top is None else plan.candidates[:top]
    return {
        "schema_version": SCHEMA_VERSION,
        "model": _model(plan),
        "cluster": _cluster(plan.cluster),
        "health": _health(plan),
        "workload": _workload(plan),
        "engine": {"name": plan.engine_name, "version": plan.engine_version},
        "recommended": _candidate(plan.recommended) if plan.recommended else None,
        "candidates": [_candidate(candidate) for candidate in candidates],
        "decision": [
            {"question": step.question, "answer": step.answer, "because": step.because}
            for step in plan.decision
        ],
        "comparison": [
            {
                "strategy": column.strategy,
                "label": column.layout.label if column.layout else None,
                "rows": dict(column.rows),
            }
            for column in plan.comparison
        ],
        "advice": list(plan.advice),
        "fixes": [fix_to_json(fix) for fix in plan.fixes],
        "num_layouts_considered": plan.num_layouts_considered,
    }


def _model(plan: Plan) -> Json:
    model = plan.model
    return {
        "name": model.name,
        "architecture": model.architecture,
        "known_architecture": model.known_architecture,
        "source": model.source,
        "parameters": model.parameters,
        "active_parameters": model.active_parameters,
        "weights_bytes": model.weights_bytes,
        "weights_source": model.weights_source,
        "dtype": model.dtype,
        "quantization": model.quantization.method if model.quantization else None,
        "kv_bytes_per_token": plan.kv_bytes_per_token,
        "num_layers": model.num_layers,
        "max_position": model.max_position,
        "notes": list(model.notes),
    }


def _cluster(cluster: Cluster) -> Json:
    return {
        "source": cluster.source,
        "simulated": cluster.simulated,
        "taken_at_s": cluster.taken_at_s,
        "nodes": [
            {
                "name": node.name,
                "node_id": node.node_id,
                "error": node.error,
                "gpus": [
                    {
                        "index": gpu.index,
                        "uuid": gpu.uuid,
                        "type": gpu.type,
                        "memory_total_bytes": gpu.memory_total_bytes,
                        "memory_free_bytes": gpu.memory_free_bytes,
                        "nvlink_island": gpu.nvlink_island,
                        "claimed_by": gpu.claimed_by,
                        "unhealthy_reason": gpu.unhealthy_reason,
                        "excluded_reason": gpu.excluded_reason,
                        "health": health_to_json(gpu.health),
                    }
                    for gpu in node.gpus
                ],
            }
            for node in cluster.nodes
        ],
    }


def _health(plan: Plan) -> Json:
    """How many GPUs are in which state, and which replica uses those that are not sound."""
    return {
        **count_standings(plan),
        "gpus": [
            {
                "node": one.node.name,
                "node_id": one.node.node_id,
                "gpu_index": one.gpu.index,
                "gpu_uuid": one.gpu.uuid,
                "state": one.standing,
                "reasons": list(one.reasons),
                "replica": one.replica,
            }
            for one in standings(plan)
        ],
    }


def _workload(plan: Plan) -> Json:
    request = plan.request
    return {
        "kind": request.workload,
        "objective": request.objective,
        "input_tokens": plan.lengths.input_tokens,
        "output_tokens": plan.lengths.output_tokens,
        "concurrency": request.concurrency,
        "max_model_len": request.max_model_len or plan.model.max_position,
        "max_num_seqs": request.max_num_seqs,
        "max_num_batched_tokens": request.max_num_batched_tokens,
        "gpu_memory_utilization": request.gpu_memory_utilization,
        "kv_cache_memory_bytes": request.kv_cache_memory_bytes,
        "enforce_eager": request.enforce_eager,
        "decode_context_parallel": request.decode_context_parallel,
        "kv_cache_dtype": request.kv_cache_dtype,
        "ttft_s": request.ttft_s,
        "tpot_s": request.tpot_s,
    }


def _candidate(candidate: Candidate) -> Json:
    layout = candidate.layout
    return {
        "layout": layout_to_json(layout),
        "label": candidate.label,
        "feasible": candidate.feasible,
        "rejections": [
            {
                "rule": rejection.rule,
                "message": rejection.message,
                "fix": rejection.fix,
                "fixes": [fix_to_json(fix) for fix in rejection.fixes],
            }
            for rejection in candidate.rejections
        ],
        "placement": [placement_to_json(place, layout) for place in candidate.placement],
        "num_degraded_gpus": candidate.degraded.num_gpus,
        "stages": [{"stage": s.stage, "first_layer": s.first, "end_layer": s.end} for s in candidate.stages],
        "memory_per_gpu": _memory(candidate.memory_per_gpu),
        "kv_cache_tokens": candidate.kv_cache_tokens,
        "max_concurrency": candidate.max_concurrency,
        "estimate": _estimate(candidate.estimate),
        "why": candidate.why,
        "notes": list(candidate.notes),
    }


def _memory(memory: RankMemory | None) -> Json | None:
    if memory is None:
        return None
    return {
        "total_bytes": memory.total_bytes,
        "budget_bytes": memory.budget_bytes,
        "weights_bytes": memory.weights_bytes,
        "activation_bytes": memory.activation_bytes,
        "cuda_graph_bytes": memory.cuda_graph_bytes,
        "non_torch_bytes": memory.non_torch_bytes,
        "kv_cache_bytes": memory.kv_cache_bytes,
        "gradient_bytes": memory.gradient_bytes,
        "optimizer_bytes": memory.optimizer_bytes,
    }


def _estimate(estimate: Estimate | None) -> Json | None:
    if estimate is None:
        return None
    return {
        "throughput_tokens_per_s": _band(estimate.throughput_tokens_per_s),
        "ttft_s": _band(estimate.ttft_s),
        "tpot_s": _band(estimate.tpot_s),
        "batch": estimate.batch,
        "all_reduces_per_token": estimate.all_reduces_per_token,
        "all_reduce_share": estimate.all_reduce_share,
        "bottleneck": estimate.bottleneck,
    }


def _band(band: Band) -> Json:
    return {"value": band.value, "low": band.low, "high": band.high}
