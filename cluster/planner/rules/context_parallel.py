"""Decode context parallelism: ranks with copies of the same KV cache split its tokens instead.

Source: docs.vllm.ai, serving/context_parallel_deployment: TP / KV heads ranks at most, TP for a latent.
"""

from __future__ import annotations

from collections.abc import Iterator

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.kv_share import keeps_latent
from cluster.planner.layout import Layout
from cluster.planner.result import Rejection
from cluster.planner.rule import Rule


def context_rejections(
    model: ModelSpec, layout: Layout, engine: EngineProfile, ranks: int
) -> Iterator[Rejection]:
    """Yield why this layout's KV cache cannot be split over this many ranks."""
    if ranks == 1:
        return
    if not engine.parallelism.decode_context:
        name = f"{engine.name} {engine.version}"
        yield Rejection(Rule.ENGINE_UNSUPPORTED, f"{name} does not support decode context parallelism")
        return
    copies = _copies(model, layout.tp)
    if ranks > copies or copies % ranks:
        yield Rejection(
            Rule.CONTEXT_NOT_DIVISIBLE,
            f"TP={layout.tp} keeps {copies} cop{'ies' if copies > 1 else 'y'} of each token's KV cache, "
            f"not divisible by {ranks} context-parallel ranks",
        )


def _copies(model: ModelSpec, tp: int) -> int:
    """Return how many ranks of a group keep the same cached heads."""
    if keeps_latent(model):
        return tp
    return max(1, tp // max(1, model.num_kv_heads))
