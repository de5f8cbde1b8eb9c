"""What does not fit: by how much, and what would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory.budget import startup_free_bytes, usable_total_bytes, utilization
from cluster.planner.memory.kv_cache import kv_bytes_per_token, sequences_held
from cluster.planner.request import PlanRequest
from cluster.planner.result import RankMemory, Rejection
from cluster.planner.rules.memory_fixes import length_fix, room_fix
from cluster.units import format_gib

ROOM_ERROR_SHARE = 0.1
"""A cache that is short by less than this share of the overheads, the part of a prediction that errs, is not
refused: on the evidence four predictions in five lie within it."""


def memory_rejections(
    model: ModelSpec,
    layout: Layout,
    stages: Sequence[StageRange],
    memories: Sequence[RankMemory],
    kv_tokens: int,
    engine: EngineProfile,
    request: PlanRequest,
) -> tuple[Rejection, ...]:
    """Return why this layout does not fit the budgets in `memories` (one a stage), the worst stage told."""
    return tuple(_find(model, layout, stages, memories, kv_tokens, engine, request))


def _find(
    model: ModelSpec,
    layout: Layout,
    stages: Sequence[StageRange],
    memories: Sequence[RankMemory],
    kv_tokens: int,
    engine: EngineProfile,
    request: PlanRequest,
) -> Iterator[Rejection]:
    worst = max(range(len(memories)), key=lambda i: memories[i].fixed_bytes - memories[i].budget_bytes)
    memory, where = memories[worst], _where(stages[worst], len(stages))
    if memory.weights_bytes > memory.budget_bytes:
        short = memory.weights_bytes - memory.budget_bytes
        message = (
            f"weights take {format_gib(memory.weights_bytes)} a GPU{where}, "
            f"{format_gib(short)} more than the budget of {format_gib(memory.budget_bytes)}"
        )
        yield Rejection(
            "weights_do_not_fit", message, room_fix(model, layout, stages, memories, engine, request)
        )
    elif memory.kv_cache_bytes == 0:
        message = (
            f"weights {format_gib(memory.weights_bytes)} and overheads "
            f"{format_gib(memory.fixed_bytes - memory.weights_bytes)} leave no room for a KV cache{where}: "
            f"{format_gib(memory.shortfall_bytes)} more than the budget of {format_gib(memory.budget_bytes)}"
        )
        yield Rejection("no_kv_memory", message, room_fix(model, layout, stages, memories, engine, request))
    elif (asked := request.kv_cache_memory_bytes) and memory.budget_bytes < memory.fixed_bytes + asked:
        room = memory.budget_bytes - memory.fixed_bytes
        message = (
            f"a KV cache of {format_gib(asked)} is more than the {format_gib(room)} that stay free{where}"
        )
        yield Rejection("no_kv_memory", message, f"--kv-cache-memory-bytes {room}")
    else:
        yield from _too_long(model, layout, stages, memories, kv_tokens, engine, request)


def _too_long(
    model: ModelSpec,
    layout: Layout,
    stages: Sequence[StageRange],
    memories: Sequence[RankMemory],
    kv_tokens: int,
    engine: EngineProfile,
    request: PlanRequest,
) -> Iterator[Rejection]:
    max_len = request.max_model_len or model.max_position
    held = sequences_held(model, layout, stages, memories, engine, request)
    missing = _missing_bytes(model, layout, held, engine, request)
    if missing <= _error_bytes(memories) and kv_tokens > 0:
        return
    fitting = int(held * max_len)
    yield Rejection(
        "max_len_exceeds_kv",
        f"the KV cache holds {fitting:,} tokens, and one sequence may have {max_len:,}: "
        f"{format_gib(missing)} more a GPU",
        length_fix(model, layout, stages, memories, fitting, engine, request),
    )


def _missing_bytes(
    model: ModelSpec, layout: Layout, held: float, engine: EngineProfile, request: PlanRequest
) -> float:
    """Return by how much a GPU's cache is short of one sequence of full length."""
    if held >= 1:
        return 0.0
    max_len = request.max_model_len or model.max_position
    return (1 - held) * max_len * kv_bytes_per_token(model, layout, engine, request, max_len) / layout.pp


def _error_bytes(memories: Sequence[RankMemory]) -> float:
    return ROOM_ERROR_SHARE * max(memory.fixed_bytes - memory.weights_bytes for memory in memories)


def memory_notes(
    model: ModelSpec,
    layout: Layout,
    stages: Sequence[StageRange],
    memories: Sequence[RankMemory],
    engine: EngineProfile,
    request: PlanRequest,
) -> tuple[str, ...]:
    """Return what a user should know of a layout that is not refused: a cache within a hair of too small."""
    held = sequences_held(model, layout, stages, memories, engine, request)
    missing = _missing_bytes(model, layout, held, engine, request)
    if not missing:
        return ()
    fitting = int(held * (request.max_model_len or model.max_position))
    return (
        f"tight: {format_gib(missing)} short of one sequence of full length, less than the prediction "
        f"may err; --max-model-len {fitting} is safe",
    )


def _where(stage: StageRange, num_stages: int) -> str:
    return f" of stage {stage.stage}" if num_stages > 1 else ""


def gpu_busy_rejection(
    engine: EngineProfile,
    request: PlanRequest,
    gpu_total_bytes: int,
    gpu_free_bytes: int,
    where: str = "this GPU",
) -> Rejection | None:
    """Return the start-up check's refusal: a fraction of the total must be free when the engine starts.

    (vLLM: "Free memory on device is less than desired GPU memory utilization".)
    """
    wanted = startup_free_bytes(engine, request, gpu_total_bytes)
    total = usable_total_bytes(gpu_total_bytes, engine)
    # What the driver keeps counts as used in NVML's reading of a GPU that nobody uses.
    free = min(gpu_free_bytes, total)
    if not wanted or free >= wanted or not total:
        return None
    fitting = int(100 * free / total) / 100
    return Rejection(
        "gpu_busy",
        f"{where} has {format_gib(free)} free, and {engine.name} wants {format_gib(wanted)} "
        f"({utilization(engine, request):g} of {format_gib(total)}) at its start",
        f"stop what holds {format_gib(wanted - free)} there, or --gpu-memory-utilization {fitting:g}",
    )
