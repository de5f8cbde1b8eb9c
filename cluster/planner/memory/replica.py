"""One replica as it lies in memory: what the questions on its cache and its rules are asked of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory.budget import utilization
from cluster.planner.memory.cache_pool import CachePool
from cluster.planner.memory.limits import EngineLimits, engine_limits
from cluster.planner.memory.stage_pool import stage_pool
from cluster.planner.request import PlanRequest
from cluster.planner.result import RankMemory


@dataclass(frozen=True, slots=True)
class ReplicaMemory:
    """A model in a layout, its pipeline stages, and the memory of each stage's largest rank."""

    model: ModelSpec
    layout: Layout
    stages: Sequence[StageRange]
    memories: Sequence[RankMemory]
    engine: EngineProfile
    request: PlanRequest
    limits: EngineLimits
    pools: Sequence[CachePool]
    """The cache pool of each stage."""

    @property
    def max_model_len(self) -> int:
        """Tokens of the longest sequence the engine accepts."""
        return self.limits.max_model_len

    @staticmethod
    def of(
        model: ModelSpec,
        layout: Layout,
        stages: Sequence[StageRange],
        memories: Sequence[RankMemory],
        engine: EngineProfile,
        request: PlanRequest,
        limits: EngineLimits | None = None,
    ) -> ReplicaMemory:
        """Make one; without `limits` the engine's own are taken for a GPU of the budget's size."""
        known = limits or _limits_by_budget(model, engine, request, memories)
        pools = tuple(stage_pool(model, layout, stage, engine, request, known) for stage in stages)
        return ReplicaMemory(model, layout, stages, memories, engine, request, known, pools)

    def at_length(self, max_model_len: int) -> ReplicaMemory:
        """Return the same memory with sequences of another length."""
        request = replace(self.request, max_model_len=max_model_len)
        limits = replace(self.limits, max_model_len=max_model_len)
        return ReplicaMemory.of(
            self.model, self.layout, self.stages, self.memories, self.engine, request, limits
        )


def _limits_by_budget(
    model: ModelSpec, engine: EngineProfile, request: PlanRequest, memories: Sequence[RankMemory]
) -> EngineLimits:
    """Return the engine's limits where only the budgets are known: the total follows from the fraction."""
    budget = max((memory.budget_bytes for memory in memories), default=0)
    return engine_limits(model, engine, request, int(budget / max(utilization(engine, request), 0.01)))
