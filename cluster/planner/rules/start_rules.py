"""Memory that an engine needs only while it starts: free memory, 16-bit weights, CUDA graphs."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.catalog.engine_profile import EngineProfile
from cluster.planner.launch import Launch
from cluster.planner.memory import ReplicaMemory
from cluster.planner.memory.budget import startup_free_bytes
from cluster.planner.memory.weights import stage_weights_bytes
from cluster.planner.replica import Rank, RankGpu, Replica
from cluster.planner.result import RankMemory, Rejection
from cluster.planner.rule import Rule
from cluster.planner.variants import FULL_SIZE, stored_as
from cluster.units import format_gib

GRAPH_ERROR_SHARE = 0.5
"""CUDA graph predictions are off by about this share, so only larger shortfalls are refused."""


def gpu_busy_rejection(
    engine: EngineProfile, launch: Launch, gpu: RankGpu, where: str = "this GPU"
) -> Rejection | None:
    """Return the startup check's rejection: a fraction of the total must be free when the engine starts.

    (vLLM: "Free memory on device is less than desired GPU memory utilization".)
    """
    wanted = startup_free_bytes(engine, launch, gpu)
    total, free = gpu.usable_total_bytes, gpu.usable_free_bytes
    if not wanted or free >= wanted or not total:
        return None
    return Rejection(
        Rule.GPU_BUSY,
        f"{where} has {format_gib(free)} free, but {engine.name} needs {format_gib(wanted)} "
        f"({launch.gpu_memory_utilization:g} of {format_gib(total)}) at startup",
    )


def start_rejections(memory: ReplicaMemory) -> Iterator[Rejection]:
    """Yield why ranks of a replica run out of memory while they load or capture their graphs."""
    replica = memory.replica
    for rank, taken in zip(replica.ranks, memory.ranks, strict=True):
        for found in (
            loading_rejection(replica, rank),
            graphs_rejection(replica.engine, taken, rank.gpu),
        ):
            if found is not None:
                yield found


def loading_rejection(replica: Replica, rank: Rank) -> Rejection | None:
    """Return the rejection of weights that are loaded in 16 bits before they are quantized.

    (vLLM's documentation of FP8: the model is loaded in its original precision first.)
    """
    model, engine, free_bytes = replica.model, replica.engine, rank.gpu.usable_free_bytes
    made_on_load = model.quantization is not None and model.quantization.on_request
    if not made_on_load or replica.launch.quantization not in engine.quantization.on_load:
        return None
    copies = engine.weights.wide_copies_while_quantizing
    wide = stage_weights_bytes(stored_as(model, FULL_SIZE), replica.layout, rank.stage, engine)
    whole_bytes = int(copies * wide)
    if whole_bytes <= free_bytes:
        return None
    return Rejection(
        Rule.WEIGHTS_DO_NOT_FIT,
        f"{engine.name} {engine.version} keeps all weights in 16 bits while quantizing: "
        f"{format_gib(whole_bytes)} per GPU, {format_gib(whole_bytes - free_bytes)} more than is free",
    )


def late_bytes(engine: EngineProfile, memory: RankMemory, gpu: RankGpu) -> int:
    """Return by how many bytes the graphs captured after the KV cache is sized exceed what is left."""
    if engine.budget.graphs_inside or not memory.cuda_graph_bytes:
        return 0
    return max(0, memory.budget_bytes - gpu.usable_free_bytes)


def graphs_rejection(engine: EngineProfile, memory: RankMemory, gpu: RankGpu) -> Rejection | None:
    """Return the rejection of a start that runs out of memory while capturing CUDA graphs."""
    late = late_bytes(engine, memory, gpu)
    if late <= GRAPH_ERROR_SHARE * memory.cuda_graph_bytes:
        return None
    return Rejection(
        Rule.GRAPHS_DO_NOT_FIT,
        f"CUDA graphs need {format_gib(memory.cuda_graph_bytes)} after the KV cache is allocated: "
        f"{format_gib(late)} more than is left on the GPU",
    )
