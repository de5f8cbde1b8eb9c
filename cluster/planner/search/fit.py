"""Whether one replica fits its GPUs: its rules, its memory, its cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from cluster.planner.launch import Launch, launch_on
from cluster.planner.layout import Layout
from cluster.planner.memory import ReplicaMemory, kv_cache_tokens, max_concurrency, replica_memory
from cluster.planner.memory.budget import budget_bytes
from cluster.planner.placement.classes import ReplicaClass
from cluster.planner.placement.form import Form
from cluster.planner.placement.machines import GpuPool
from cluster.planner.replica import Rank, RankGpu, Replica
from cluster.planner.result import RankMemory, Rejection
from cluster.planner.rule import Rule
from cluster.planner.rules import layout_rejections, memory_notes, memory_rejections, start_rejections
from cluster.planner.search.context import Context
from cluster.planner.search.links import links_of
from cluster.planner.search.stages import split_layers
from cluster.planner.search.startup_checks import launch_beside_others, leaving_room_for_graphs

_SPLIT_RESERVE_BYTES = 3 * 1024**3
"""Of each GPU, for overheads that are not known before the layers are divided over the stages."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What is known about a replica before its time is estimated."""

    rejections: tuple[Rejection, ...]
    memory: ReplicaMemory | None = None
    """None: a rule refuses it regardless of memory."""
    notes: tuple[str, ...] = ()
    """Notes on a replica that fits."""

    @property
    def feasible(self) -> bool:
        return not self.rejections

    @property
    def tightest(self) -> RankMemory | None:
        """The rank with the least memory left after weights and overheads."""
        return self.memory.tightest if self.memory else None

    @property
    def spare_bytes(self) -> int:
        """Room of that rank, below 0 where its fixed parts exceed the budget."""
        tightest = self.tightest
        return 0 if tightest is None else tightest.budget_bytes - tightest.fixed_bytes

    @property
    def kv_tokens(self) -> int:
        """Tokens that fit the KV cache; under DP attention those of one attention rank."""
        return kv_cache_tokens(self.memory) if self.memory else 0

    @property
    def max_concurrency(self) -> float:
        """Full-length requests that fit the KV cache; under DP attention those of one attention rank."""
        return max_concurrency(self.memory) if self.memory else 0.0


def fit_replica(
    context: Context, form: Form, replicas: ReplicaClass, frees: Sequence[int] | None = None
) -> Fit:
    """Evaluate a replica of this form on the GPUs of a class; `frees` replaces its TP groups' free bytes."""
    layout, asked = form.layout(), context.request.gpu_memory_utilization
    ruled_out = _longer_than_the_model(context) or _rule_rejections(context, layout, replicas.pools)
    if ruled_out or form.pp > context.model.num_layers:
        return Fit(ruled_out)
    gpus = _gpus_of_stages(form, replicas.pools, replicas.frees if frees is None else frees)
    memory = replica_memory(_make_replica(context, form, replicas, gpus))
    if asked is None:
        launch = leaving_room_for_graphs(memory)
        if launch is not memory.replica.launch:
            memory = replica_memory(memory.replica.started_with(launch))
    refused = memory_rejections(memory)
    if refused:
        return Fit(refused, memory)
    return Fit(tuple(islice(start_rejections(memory), 1)), memory, memory_notes(memory))


def _longer_than_the_model(context: Context) -> tuple[Rejection, ...]:
    """Return the rejection of a max_model_len beyond the model's maximum, as engines refuse it."""
    asked, model = context.request.max_model_len, context.model
    if asked is None or asked <= model.max_position or not model.known_architecture:
        return ()
    message = f"--max-model-len {asked:,} exceeds the model's maximum of {model.max_position:,} tokens"
    return (Rejection(Rule.MAX_LEN_EXCEEDS_MODEL, message),)


def _rule_rejections(context: Context, layout: Layout, pools: Sequence[GpuPool]) -> tuple[Rejection, ...]:
    found: dict[tuple[str, str], Rejection] = {}
    for pool in dict.fromkeys(pools):
        for rejection in layout_rejections(context.model, layout, pool.spec, context.engine, context.request):
            found.setdefault((rejection.rule, rejection.message), rejection)
    return tuple(found.values())


def _gpus_of_stages(form: Form, pools: Sequence[GpuPool], frees: Sequence[int]) -> list[RankGpu]:
    """Return the GPU of each stage's largest rank: with the least free memory of the stage's TP groups."""
    size = form.groups_per_stage
    return [
        RankGpu(pools[first].total_bytes, min(frees[first : first + size]), pools[first].spec)
        for first in range(0, len(frees), size)
    ]


def _make_replica(context: Context, form: Form, replicas: ReplicaClass, gpus: Sequence[RankGpu]) -> Replica:
    model, engine, example = context.model, context.engine, replicas.tightest
    # One engine has one set of defaults: those of the smallest of its GPUs.
    smallest = min(gpus, key=lambda gpu: gpu.total_bytes)
    launch = launch_on(model, engine, context.request, smallest.total_bytes, smallest.spec)
    launch = launch_beside_others(engine, launch, gpus) if launch.utilization_is_default else launch
    return Replica(
        model=model,
        engine=engine,
        launch=launch,
        layout=form.layout(),
        ranks=_ranks(context, form.layout(), launch, gpus),
        links=links_of(context, form, example),
        condition=replicas.condition,
        paced_by=example.slowest.spec,
    )


def _ranks(context: Context, layout: Layout, launch: Launch, gpus: Sequence[RankGpu]) -> tuple[Rank, ...]:
    rooms = [budget_bytes(context.engine, launch, gpu) - _SPLIT_RESERVE_BYTES for gpu in gpus]
    stages = split_layers(context.model, layout, context.engine, rooms)
    return tuple(Rank(stage, gpu) for stage, gpu in zip(stages, gpus, strict=True))
