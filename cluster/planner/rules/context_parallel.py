"""Decode context parallelism: the tokens of a cache that ranks would keep copies of, divided over them.

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
    """Yield why the cache of this layout cannot be divided over so many ranks."""
    if ranks == 1:
        return
    if not engine.parallelism.decode_context:
        name = f"{engine.name} {engine.version}"
        yield Rejection(Rule.ENGINE_UNSUPPORTED, f"{name} has no decode context parallelism")
        return
    copies = _copies(model, layout.tp)
    if ranks > copies or copies % ranks:
        yield Rejection(
            Rule.CONTEXT_NOT_DIVISIBLE,
            f"TP={layout.tp} keeps {copies} cop{'ies' if copies > 1 else 'y'} of each token, "
            f"which {ranks} ranks of context parallelism do not divide",
        )


def _copies(model: ModelSpec, tp: int) -> int:
    """Return how many ranks of a group keep the same cached heads."""
    if keeps_latent(model):
        return tp
    return max(1, tp // max(1, model.num_kv_heads))
