"""Room that an engine needs only while it starts: free memory, whole weights, CUDA graphs."""

from __future__ import annotations

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory.budget import startup_free_bytes, usable_total_bytes, utilization
from cluster.planner.memory.weights import stage_weights_bytes
from cluster.planner.request import PlanRequest
from cluster.planner.result import RankMemory, Rejection
from cluster.planner.rule import Rule
from cluster.planner.variants import FULL_SIZE, stored_as
from cluster.units import format_gib

GRAPH_ERROR_SHARE = 0.5
"""Predictions of CUDA graphs err by about this share: only what misses by more is refused."""


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
    total = usable_total_bytes(gpu_total_bytes)
    # What the driver keeps counts as used in NVML's reading of a GPU that nobody uses.
    free = min(gpu_free_bytes, total)
    if not wanted or free >= wanted or not total:
        return None
    return Rejection(
        Rule.GPU_BUSY,
        f"{where} has {format_gib(free)} free, and {engine.name} wants {format_gib(wanted)} "
        f"({utilization(engine, request):g} of {format_gib(total)}) at its start",
    )


def loading_rejection(
    model: ModelSpec,
    layout: Layout,
    stage: StageRange,
    engine: EngineProfile,
    request: PlanRequest,
    free_bytes: int,
) -> Rejection | None:
    """Return the refusal of weights that are read whole in 16 bits before they are made narrower.

    (vLLM's documentation of FP8: the model is loaded in its original precision first.)
    """
    made_on_load = model.quantization is not None and model.quantization.on_request
    if not made_on_load or request.quantization not in engine.quantization.on_load:
        return None
    copies = engine.weights.wide_copies_while_quantizing
    whole_bytes = int(copies * stage_weights_bytes(stored_as(model, FULL_SIZE), layout, stage, engine))
    if whole_bytes <= free_bytes:
        return None
    return Rejection(
        Rule.WEIGHTS_DO_NOT_FIT,
        f"{engine.name} {engine.version} holds all weights in 16 bits while it quantises them: "
        f"{format_gib(whole_bytes)} a GPU, {format_gib(whole_bytes - free_bytes)} more than is free",
    )


def late_bytes(engine: EngineProfile, memory: RankMemory, gpu_total_bytes: int, gpu_free_bytes: int) -> int:
    """Return by how much what an engine captures after sizing its cache exceeds what is left beside it."""
    if engine.budget.graphs_inside or not memory.cuda_graph_bytes:
        return 0
    return max(0, memory.budget_bytes - min(gpu_free_bytes, usable_total_bytes(gpu_total_bytes)))


def graphs_rejection(
    engine: EngineProfile, memory: RankMemory, gpu_total_bytes: int, gpu_free_bytes: int
) -> Rejection | None:
    """Return the refusal of a start that runs out of memory when its CUDA graphs are captured."""
    late = late_bytes(engine, memory, gpu_total_bytes, gpu_free_bytes)
    if late <= GRAPH_ERROR_SHARE * memory.cuda_graph_bytes:
        return None
    return Rejection(
        Rule.GRAPHS_DO_NOT_FIT,
        f"CUDA graphs of {format_gib(memory.cuda_graph_bytes)} are captured after the cache is sized: "
        f"{format_gib(late)} more than is left of the GPU beside the budget",
    )
