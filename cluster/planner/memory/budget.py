"""How much of a GPU an engine lets itself use, in each engine's own way."""

from __future__ import annotations

from cluster.catalog.engine_profile import EngineProfile
from cluster.planner.request import PlanRequest


def usable_total_bytes(gpu_total_bytes: int, engine: EngineProfile) -> int:
    """Return the total that CUDA reports: what NVML reports less what the driver keeps."""
    return max(0, gpu_total_bytes - int(engine.constants.get("driver_reserved_bytes", 0)))


def utilization(engine: EngineProfile, request: PlanRequest) -> float:
    """Return the user's memory fraction, else the engine's default."""
    asked = request.gpu_memory_utilization
    return engine.default_memory_utilization if asked is None else asked


def budget_bytes(
    engine: EngineProfile, request: PlanRequest, gpu_total_bytes: int, gpu_free_bytes: int
) -> int:
    """Return the bytes of one rank: a fraction of the total, or of what is free now, as the engine counts.

    An engine that takes a fraction of the total (vLLM, SGLang) needs that much free at its start; what other
    tenants hold still bounds the budget.
    """
    total = usable_total_bytes(gpu_total_bytes, engine)
    free = min(gpu_free_bytes, total)
    fraction = utilization(engine, request)
    if engine.budget_rule == "fraction_of_free":
        return int(free * fraction)
    return min(int(total * fraction), free)


def startup_free_bytes(engine: EngineProfile, request: PlanRequest, gpu_total_bytes: int) -> int:
    """Return how much must be free when the engine starts; 0 where it makes no such check."""
    if engine.budget_rule == "fraction_of_free":
        return 0
    return int(usable_total_bytes(gpu_total_bytes, engine) * utilization(engine, request))
