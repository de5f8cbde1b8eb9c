"""Memory that torch does not allocate: libraries, NCCL's buffers, fused all-reduce workspaces."""

from __future__ import annotations

from cluster.planner.memory.on_gpu import RankOnGpu


def non_torch_bytes(rank: RankOnGpu) -> float:
    """Return the bytes that the driver's context, libraries and collectives hold on one rank."""
    base = rank.constant_here("non_torch_base_bytes")
    if rank.layout.tp == 1:
        # vLLM counts the libraries' share at the first collective of a pipeline, before its measurement.
        return base if rank.layout.pp == 1 else rank.constant("non_torch_pipeline_bytes")
    if not rank.switched and (plain := rank.constant("unswitched_all_reduce_bytes")):
        return base + plain
    size = base + rank.constant("all_reduce_base_bytes")
    size += rank.constant("all_reduce_peer_bytes") * (rank.layout.tp - 2)
    size += rank.constant_here("fused_all_reduce_bytes")
    if rank.layout.tp > 2 and rank.switched:
        # NCCL reduces in the NVLink switch among more than two GPUs.
        size += rank.constant_here("switch_reduce_bytes")
    return size
