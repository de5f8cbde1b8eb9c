"""What an engine needs beside weights and cache."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.planner.memory.activations import activation_bytes
from cluster.planner.memory.cuda_graphs import graph_bytes
from cluster.planner.memory.non_torch import non_torch_bytes
from cluster.planner.memory.on_gpu import RankOnGpu


@dataclass(frozen=True, slots=True)
class Overheads:
    """Bytes of one rank."""

    activation_bytes: int
    cuda_graph_bytes: int
    non_torch_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.activation_bytes + self.cuda_graph_bytes + self.non_torch_bytes


def overheads(rank: RankOnGpu) -> Overheads:
    """Return a rank's overheads from the engine's profile."""
    return Overheads(
        activation_bytes=int(activation_bytes(rank)),
        cuda_graph_bytes=graph_bytes(rank),
        non_torch_bytes=non_torch_bytes(rank),
    )
