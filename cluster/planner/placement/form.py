"""A form: one way to split a model over the GPUs of a replica, independent of the number of replicas."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.planner.layout import Layout


@dataclass(frozen=True, slots=True)
class Form:
    """A replica's inner layout, and the TP groups of GPUs it is built from.

    A TP group is a set of connected GPUs in one machine: a tensor-parallel group, or as much of an
    expert-parallel stage as fits one machine.
    """

    tp: int
    pp: int = 1
    ep: int = 1
    width: int = 0
    """GPUs of one stage: tp, or tp x the attention replicas that share the experts."""
    group_gpus: int = 0

    @staticmethod
    def plain(tp: int, pp: int, ep: int = 1) -> Form:
        """A replica of tp x pp ranks; experts tensor-parallel (ep = 1) or divided over ranks (ep = tp)."""
        return Form(tp, pp, ep, width=tp, group_gpus=tp)

    @staticmethod
    def shared_experts(tp: int, pp: int, width: int, group_gpus: int) -> Form:
        """An engine whose width / tp attention replicas share one set of experts."""
        return Form(tp, pp, width, width, group_gpus)

    @property
    def dp_attention(self) -> bool:
        return self.width > self.tp

    @property
    def dp_inside(self) -> int:
        """Attention replicas inside one engine."""
        return self.width // self.tp

    @property
    def groups_per_stage(self) -> int:
        return self.width // self.group_gpus

    @property
    def num_groups(self) -> int:
        """Chunks of one replica."""
        return self.groups_per_stage * self.pp

    @property
    def gpus(self) -> int:
        """GPUs of one replica."""
        return self.width * self.pp

    def layout(self, replicas: int = 1) -> Layout:
        """Return the layout of this many replicas."""
        return Layout(self.tp, self.pp, replicas * self.dp_inside, self.ep, self.dp_attention)
