"""Memory that torch does not allocate: libraries, NCCL's buffers, fused all-reduce workspaces."""

from __future__ import annotations

from cluster.catalog.engine_profile.overheads import AllReduce
from cluster.planner.memory.on_gpu import RankOnGpu


def non_torch_bytes(rank: RankOnGpu) -> int:
    """Return the bytes that the driver's context, libraries and collectives hold on one rank."""
    non_torch = rank.engine.non_torch
    context = non_torch.context_bytes.at(rank.generation)
    if rank.layout.tp == 1:
        # vLLM counts the libraries' share at the first collective of a pipeline, before its measurement.
        return context if rank.layout.pp == 1 else non_torch.pipeline_bytes
    if non_torch.all_reduce is None:
        return context
    return context + _all_reduce_bytes(rank, non_torch.all_reduce)


def _all_reduce_bytes(rank: RankOnGpu, all_reduce: AllReduce) -> int:
    if not rank.switched and all_reduce.without_switch is not None:
        return all_reduce.without_switch.bytes
    size = all_reduce.base_bytes + all_reduce.per_further_rank_bytes * (rank.layout.tp - 2)
    size += all_reduce.fused_bytes.at(rank.generation)
    if rank.layout.tp > 2 and rank.switched:
        # NCCL reduces in the NVLink switch among more than two GPUs.
        size += all_reduce.switch_bytes.at(rank.generation)
    return size
