"""What would make room: another length, a smaller cache dtype, more GPUs, a higher share of the GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory.budget import utilization
from cluster.planner.memory.cache_layers import cache_element_bytes
from cluster.planner.memory.kv_cache import limits_of, sequences_held
from cluster.planner.memory.limits import compute_dtype_bytes
from cluster.planner.memory.overheads import overheads
from cluster.planner.memory.weights import stage_weights_bytes
from cluster.planner.request import PlanRequest
from cluster.planner.result import RankMemory
from cluster.planner.rules.fixes import nearest_valid_tp

HIGHEST_UTILIZATION = 0.95
"""Above this a GPU's own context and fragmentation leave too little (vLLM's advice in its error text)."""
LEAST_ROOM_SHARE = 0.97
"""A smaller profile is only named when weights and overheads then stay below this share of the budget."""
LENGTH_STEP = 1024
SMALL_SEQS = 64
SMALL_BATCH_TOKENS = 2048
"""A batch that still serves many users and whose profile needs little."""


def length_fix(
    model: ModelSpec,
    layout: Layout,
    stages: Sequence[StageRange],
    memories: Sequence[RankMemory],
    fitting_tokens: int,
    engine: EngineProfile,
    request: PlanRequest,
) -> str:
    """Return the changes that would let one sequence of the wanted length fit, the least first."""
    ways = [f"--max-model-len {_round_length(fitting_tokens)}"]
    if cache_element_bytes(model, engine, request) > 1:
        packed = replace(request, kv_cache_dtype="fp8")
        if sequences_held(model, layout, stages, memories, engine, packed) >= 1:
            ways.append("FP8 KV cache (--kv-cache-dtype fp8)")
    tp = nearest_valid_tp(model, layout, engine, above=True)
    if tp is not None:
        ways.append(f"TP={tp}")
    return ", or ".join(ways)


def _round_length(tokens: int) -> int:
    return tokens // LENGTH_STEP * LENGTH_STEP if tokens >= 2 * LENGTH_STEP else tokens


def room_fix(
    model: ModelSpec,
    layout: Layout,
    stages: Sequence[StageRange],
    memories: Sequence[RankMemory],
    engine: EngineProfile,
    request: PlanRequest,
) -> str:
    """Return the least TP (else PP) at which the weights leave room, and the utilisation that would do it."""
    ways = []
    fraction = utilization(engine, request)
    if fraction < HIGHEST_UTILIZATION:
        gain = HIGHEST_UTILIZATION / fraction
        if all(memory.fixed_bytes < memory.budget_bytes * gain for memory in memories):
            ways.append(f"--gpu-memory-utilization {HIGHEST_UTILIZATION:g}")
    if _smaller_batches_fit(model, layout, stages, memories, engine, request):
        ways.append(f"--max-num-seqs {SMALL_SEQS} --max-num-batched-tokens {SMALL_BATCH_TOKENS}")
    tp = _roomy_tp(model, layout, stages, memories, engine)
    if tp is not None:
        ways.append(f"TP={tp}")
    elif model.supports_pp and engine.supports_pp:
        ways.append(f"PP={2 * layout.pp}")
    ways.append("a quantised variant of the model" if model.quantization is None else "GPUs with more memory")
    return ", or ".join(ways)


def _smaller_batches_fit(
    model: ModelSpec,
    layout: Layout,
    stages: Sequence[StageRange],
    memories: Sequence[RankMemory],
    engine: EngineProfile,
    request: PlanRequest,
) -> bool:
    """Say whether a smaller profile, with room for a cache left over, would do."""
    if request.max_num_seqs is not None or request.max_num_batched_tokens is not None:
        return False
    limits = replace(
        limits_of(model, engine, request, memories),
        max_num_seqs=SMALL_SEQS,
        max_num_batched_tokens=SMALL_BATCH_TOKENS,
    )
    dtype_bytes = compute_dtype_bytes(model, request)
    for stage, memory in zip(stages, memories, strict=True):
        small = overheads(model, layout, stage, engine, limits, dtype_bytes, request.enforce_eager)
        saved = memory.activation_bytes - small.activation_bytes
        if memory.fixed_bytes - saved > LEAST_ROOM_SHARE * memory.budget_bytes:
            return False
    return True


def _roomy_tp(
    model: ModelSpec,
    layout: Layout,
    stages: Sequence[StageRange],
    memories: Sequence[RankMemory],
    engine: EngineProfile,
) -> int | None:
    wider = layout
    for _ in range(4):
        tp = nearest_valid_tp(model, wider, engine, above=True)
        if tp is None:
            return None
        wider = Layout(tp=tp, pp=layout.pp)
        if all(
            stage_weights_bytes(model, wider, stage, engine) + memory.fixed_bytes - memory.weights_bytes
            < memory.budget_bytes
            for stage, memory in zip(stages, memories, strict=True)
        ):
            return tp
    return None
