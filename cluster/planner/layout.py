"""A layout: the degree of each axis of parallelism, and the GPUs its ranks are placed on."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.errors import BadInput


@dataclass(frozen=True, slots=True)
class Layout:
    """Degrees of parallelism. Owns the invariant gpus = tp x pp x dp.

    A replica is one full copy of the weights.

    `ep` is the expert-parallel degree inside a replica group: 1 (experts are tensor-parallel), tp, or, with
    `dp_attention`, tp x the dp ranks that share one set of experts. Such ranks are one engine, not
    independent replicas; a larger dp is several engines of ep / tp ranks each.
    """

    tp: int = 1
    pp: int = 1
    dp: int = 1
    ep: int = 1
    dp_attention: bool = False

    def __post_init__(self) -> None:
        for name in ("tp", "pp", "dp", "ep"):
            degree = getattr(self, name)
            if degree < 1:
                raise BadInput(f"{name} is {degree}", "Parallelism degrees must be at least 1")

    @property
    def gpus(self) -> int:
        return self.tp * self.pp * self.dp

    @property
    def gpus_per_replica(self) -> int:
        """GPUs that hold one full copy of the weights."""
        return self.gpus // self.num_replicas

    @property
    def attention_ranks(self) -> int:
        """Data-parallel attention ranks inside one replica; 1 without DP attention."""
        return max(1, self.dp // self.num_replicas) if self.dp_attention else 1

    @property
    def num_replicas(self) -> int:
        """Independent copies of the whole model."""
        if not self.dp_attention:
            return self.dp
        return max(1, self.tp * self.dp // self.ep) if self.ep > 1 else 1

    @property
    def label(self) -> str:
        """The layout's usual notation: 'TP=4, DP=2'; a single GPU is 'DP=1'."""
        parts = [f"{name}={n}" for name, n in (("TP", self.tp), ("PP", self.pp), ("DP", self.dp)) if n > 1]
        if self.ep > 1:
            parts.append(f"EP={self.ep}")
        if self.dp_attention:
            parts.append("DP-attention")
        return ", ".join(parts) or "DP=1"


@dataclass(frozen=True, slots=True)
class Placement:
    """One rank on one named GPU."""

    replica: int
    """Number of the full copy of the weights, 0 to Layout.num_replicas - 1."""
    stage: int
    rank: int
    """Rank inside the stage: the tensor-parallel rank. Under DP attention the attention ranks follow each
    other, each with its tensor-parallel ranks: attention rank = rank // tp."""
    node: str
    """Node.node_id."""
    node_name: str
    gpu_index: int
    gpu_uuid: str


@dataclass(frozen=True, slots=True)
class StageRange:
    """The layers a pipeline stage holds: first, and one past the last."""

    stage: int
    first: int
    end: int
    is_first: bool
    """Holds the embedding and the vision tower."""
    is_last: bool
    """Holds the final norm and the head."""

    @property
    def num_layers(self) -> int:
        return self.end - self.first
