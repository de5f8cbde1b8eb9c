"""Memory of captured CUDA graphs."""

from __future__ import annotations

from cluster.planner.memory.on_gpu import RankOnGpu

_MOST_CAPTURED = 512
"""Batches larger than this run without a graph."""


def graph_bytes(rank: RankOnGpu) -> int:
    """Return the memory of captured CUDA graphs: a share a layer for each captured batch size.

    Engines capture decoding whole, prefill mixed with decoding in pieces between attentions, or both.
    """
    cuda_graphs = rank.engine.cuda_graphs
    if cuda_graphs is None or rank.request.enforce_eager:
        return 0
    seqs = rank.limits.max_num_seqs
    captured = _captured_sizes(min(2 * seqs, _MOST_CAPTURED)) if cuda_graphs.in_pieces else 0
    captured += _captured_sizes(min(seqs, _MOST_CAPTURED)) if cuda_graphs.whole else 0
    layer = cuda_graphs.layer_bytes + cuda_graphs.layer_hidden_bytes * rank.model.hidden_size
    return layer * captured * rank.stage.num_layers


def _captured_sizes(largest: int) -> int:
    """Return how many batch sizes vLLM captures up to `largest`: 1, 2, 4, every 8th to 256, every 16th on."""
    return (
        sum(size <= largest for size in (1, 2, 4))
        + min(largest, 255) // 8
        + ((largest - 256) // 16 + 1 if largest >= 256 else 0)
    )
