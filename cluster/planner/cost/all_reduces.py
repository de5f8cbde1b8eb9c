"""All-reduces that tensor parallelism costs: how many one token waits for."""

from __future__ import annotations

from cluster.catalog.model_spec import ModelSpec
from cluster.planner.cost.stage_sums import reduces_in
from cluster.planner.identity_cache import IdentityCache
from cluster.planner.layout import Layout

_counts: IdentityCache[int] = IdentityCache()


def all_reduces_per_token(model: ModelSpec, layout: Layout) -> int:
    """Return the all-reduces one decoded token waits for in its layers: 0 without TP, else one after every
    mixer and one after every MLP. The embedding's own, once a step, is timed but not counted here."""
    if layout.tp <= 1:
        return 0
    return _counts.get(model, None, lambda: sum(reduces_in(layer) for layer in model.layers))
