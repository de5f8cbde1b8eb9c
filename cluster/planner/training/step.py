"""One optimizer step of one replica: its memory per GPU, and what it sends."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from cluster.planner.layout import StageRange
from cluster.planner.memory import TrainingMemory, TrainingSetup, training_memory
from cluster.planner.memory.training_memory import Sharding
from cluster.planner.placement.form import Form
from cluster.planner.placement.span import Placed
from cluster.planner.replica import usable_total_bytes
from cluster.planner.result import RankMemory
from cluster.planner.search.context import Context
from cluster.planner.search.stages import split_layers
from cluster.planner.training.as_trained import as_trained
from cluster.planner.training.exchange import data_link, exchange_time_s

CONTEXT_BYTES = 1024**3
"""CUDA context, communication buffers and fragmentation of a training process."""
_MOST_REPLICAS = 1 << 16


@dataclass(frozen=True, slots=True)
class Step:
    """A layout's training step under one way to shard its state."""

    sharding: Sharding
    num_replicas: int
    stages: tuple[StageRange, ...]
    memory: RankMemory
    """Of the fullest rank."""
    gradient_bytes: int
    """Of the rank with most of them, before they are divided; 0 for one replica."""
    sent_bytes: int
    """Sent by that rank per step over its data-parallel ring."""
    exchange_time_s: float

    @property
    def fits(self) -> bool:
        return self.memory.shortfall_bytes == 0


def make_step(context: Context, form: Form, placed: Placed, sharding: Sharding) -> Step:
    """Return a step of these replicas, on their GPU with the least free memory."""
    context = as_trained(context)
    layout = form.layout(sum(count for _, count in placed))
    budget = min(_room_bytes(context, replicas.slowest.total_bytes, replicas.frees) for replicas, _ in placed)
    stages = _stages(context, form)
    setup = TrainingSetup(context.model, layout, context.lengths.input_tokens, sharding)
    parts = [training_memory(setup, stage) for stage in stages]
    most_sent = max(parts, key=lambda part: part.communication_bytes_per_step)
    return Step(
        sharding=sharding,
        num_replicas=layout.dp,
        stages=stages,
        memory=_as_rank(max(parts, key=lambda part: part.total_bytes), budget),
        gradient_bytes=most_sent.gradient_all_reduce_bytes,
        sent_bytes=most_sent.communication_bytes_per_step,
        exchange_time_s=exchange_time_s(most_sent, layout.dp, data_link(context, form, placed)),
    )


def least_replicas(context: Context, form: Form, budget_bytes: int) -> int | None:
    """Return how many replicas ZeRO-3 needs to shard the state into a budget; None: no number is enough."""
    context = as_trained(context)
    stages = _stages(context, form)

    def fits(replicas: int) -> bool:
        setup = TrainingSetup(context.model, form.layout(replicas), context.lengths.input_tokens, "zero3")
        parts = (training_memory(setup, stage) for stage in stages)
        return all(part.total_bytes + CONTEXT_BYTES <= budget_bytes for part in parts)

    least = bisect_left(range(1, _MOST_REPLICAS + 1), True, key=fits) + 1
    return least if least <= _MOST_REPLICAS else None


def _stages(context: Context, form: Form) -> tuple[StageRange, ...]:
    # With 1 byte of room there is no KV cache: stages are balanced by their parameters alone.
    return split_layers(context.model, form.layout(), context.engine, [1] * form.pp)


def _room_bytes(context: Context, total_bytes: int, frees: tuple[int, ...]) -> int:
    return max(0, min(usable_total_bytes(total_bytes), *frees))


def _as_rank(memory: TrainingMemory, budget_bytes: int) -> RankMemory:
    return RankMemory(
        total_bytes=memory.total_bytes + CONTEXT_BYTES,
        budget_bytes=budget_bytes,
        weights_bytes=memory.parameter_bytes,
        activation_bytes=memory.activation_bytes,
        cuda_graph_bytes=0,
        non_torch_bytes=CONTEXT_BYTES + memory.gathered_bytes,
        kv_cache_bytes=0,
        gradient_bytes=memory.gradient_bytes,
        optimizer_bytes=memory.optimizer_bytes,
    )
