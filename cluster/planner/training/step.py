"""One optimizer step of one replica: what it holds on a GPU, and what it sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cluster.planner.cost import Link, all_reduce_time_s, link_for
from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory import TrainingMemory, training_memory
from cluster.planner.memory.budget import usable_total_bytes
from cluster.planner.result import RankMemory
from cluster.planner.search.context import Context
from cluster.planner.search.form import Form
from cluster.planner.search.replicas import ReplicaSet
from cluster.planner.search.stages import split_layers
from cluster.planner.search.timing import topology_of

Sharding = Literal["ddp", "zero1", "zero2", "zero3"]
SHARDINGS: tuple[Sharding, ...] = ("ddp", "zero1", "zero2", "zero3")
IN_WORDS = {
    "ddp": "DDP: every rank keeps all of its parameters, gradients and optimizer state",
    "zero1": "ZeRO-1: optimizer state divided over the data-parallel ranks",
    "zero2": "ZeRO-2: gradients and optimizer state divided over the data-parallel ranks",
    "zero3": "ZeRO-3 (FSDP): parameters, gradients and optimizer state divided over the data-parallel ranks",
}
CONTEXT_BYTES = 1024**3
"""CUDA context, communication buffers and fragmentation of a training process."""


@dataclass(frozen=True, slots=True)
class Step:
    """A layout's training step under one way to divide its state."""

    sharding: Sharding
    stages: tuple[StageRange, ...]
    memory: RankMemory
    """Of the fullest rank."""
    gradient_bytes: int
    """All-reduced once a step over the data-parallel ranks."""
    sent_bytes: int
    """Sent by one rank a step over its data-parallel group."""
    gradient_time_s: float

    @property
    def fits(self) -> bool:
        return self.memory.shortfall_bytes == 0


def make_step(
    context: Context, form: Form, replicas: ReplicaSet, num_replicas: int, sharding: Sharding
) -> Step:
    """Work out a step of `num_replicas` replicas on GPUs like those of `replicas`."""
    layout = form.layout(num_replicas)
    pool, free = replicas.slowest, min(replicas.frees)
    budget = max(0, min(usable_total_bytes(pool.total_bytes, context.engine), free))
    stages = split_layers(context.model, form.layout(), context.engine, [budget] * form.pp)
    parts = [_memory(context, layout, stage, sharding) for stage in stages]
    fullest = max(parts, key=lambda part: part.total_bytes)
    link = _data_link(context, form, replicas, num_replicas)
    return Step(
        sharding=sharding,
        stages=stages,
        memory=_as_rank(fullest, budget),
        gradient_bytes=fullest.gradient_all_reduce_bytes,
        sent_bytes=fullest.communication_bytes_per_step,
        gradient_time_s=all_reduce_time_s(fullest.gradient_all_reduce_bytes, layout.dp, link),
    )


def _memory(context: Context, layout: Layout, stage: StageRange, sharding: Sharding) -> TrainingMemory:
    return training_memory(context.model, layout, stage, context.engine, context.request, sharding)


def _as_rank(memory: TrainingMemory, budget_bytes: int) -> RankMemory:
    return RankMemory(
        total_bytes=memory.total_bytes + CONTEXT_BYTES,
        budget_bytes=budget_bytes,
        weights_bytes=memory.parameter_bytes,
        activation_bytes=memory.activation_bytes,
        cuda_graph_bytes=0,
        non_torch_bytes=CONTEXT_BYTES,
        kv_cache_bytes=0,
        gradient_bytes=memory.gradient_bytes,
        optimizer_bytes=memory.optimizer_bytes,
    )


def _data_link(context: Context, form: Form, replicas: ReplicaSet, num_replicas: int) -> Link:
    """The slowest link that gradients cross: the network as soon as replicas lie on several machines."""
    topology = topology_of(context, form, replicas)
    num_machines = sum(len(shape.machines) for shape in context.survey.shapes)
    inside = "nvlink" if replicas.slowest.link == "nvlink" else "pcie"
    kind = "network" if num_machines > 1 else inside
    ranks = max(2, num_replicas)
    return link_for(kind, ranks, replicas.slowest.spec, topology)
