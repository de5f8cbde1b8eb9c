"""What an engine needs besides weights and KV cache: activations, CUDA graphs, non-torch memory."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.catalog.engine_profile.overheads import AllReduce
from cluster.planner.memory.activations import activation_bytes
from cluster.planner.replica import Rank, Replica

_MOST_CAPTURED = 512
"""Batches larger than this run without a graph."""


@dataclass(frozen=True, slots=True)
class Overheads:
    """Bytes of one rank."""

    activation_bytes: int
    cuda_graph_bytes: int
    non_torch_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.activation_bytes + self.cuda_graph_bytes + self.non_torch_bytes


def overheads(replica: Replica, rank: Rank) -> Overheads:
    """Return a rank's overheads from the engine's profile."""
    return Overheads(
        activation_bytes=int(activation_bytes(replica, rank)),
        cuda_graph_bytes=_graph_bytes(replica, rank),
        non_torch_bytes=_non_torch_bytes(replica, rank),
    )


def _graph_bytes(replica: Replica, rank: Rank) -> int:
    """Return the memory of captured CUDA graphs: so many bytes per layer and captured batch size.

    Engines capture whole decode steps, or the pieces of mixed steps between attention layers, or both.
    """
    cuda_graphs = replica.engine.cuda_graphs
    if cuda_graphs is None or replica.launch.enforce_eager:
        return 0
    seqs = replica.launch.max_num_seqs
    captured = _captured_sizes(min(2 * seqs, _MOST_CAPTURED)) if cuda_graphs.in_pieces else 0
    captured += _captured_sizes(min(seqs, _MOST_CAPTURED)) if cuda_graphs.whole else 0
    layer = cuda_graphs.layer_bytes + cuda_graphs.layer_hidden_bytes * replica.model.hidden_size
    return layer * captured * rank.stage.num_layers


def _captured_sizes(largest: int) -> int:
    """Return how many batch sizes vLLM captures up to `largest`: 1, 2, 4, every 8th to 256, every 16th on."""
    return (
        sum(size <= largest for size in (1, 2, 4))
        + min(largest, 255) // 8
        + ((largest - 256) // 16 + 1 if largest >= 256 else 0)
    )


def _non_torch_bytes(replica: Replica, rank: Rank) -> int:
    """Return the bytes that the CUDA context, libraries and collectives use on one rank."""
    non_torch, layout = replica.engine.non_torch, replica.layout
    context = non_torch.context_bytes.at(rank.gpu.generation)
    if layout.tp == 1:
        # vLLM counts the libraries' share at the first collective of a pipeline, before its measurement.
        return context if layout.pp == 1 else non_torch.pipeline_bytes
    if non_torch.all_reduce is None:
        return context
    return context + _all_reduce_bytes(layout.tp, rank, non_torch.all_reduce)


def _all_reduce_bytes(tp: int, rank: Rank, all_reduce: AllReduce) -> int:
    gpu = rank.gpu
    if not gpu.switched and all_reduce.without_switch is not None:
        return all_reduce.without_switch.bytes
    size = all_reduce.base_bytes + all_reduce.per_further_rank_bytes * (tp - 2)
    size += all_reduce.fused_bytes.at(gpu.generation)
    if tp > 2 and gpu.switched:
        # NCCL reduces in the NVLink switch among more than two GPUs.
        size += all_reduce.switch_bytes.at(gpu.generation)
    return size
