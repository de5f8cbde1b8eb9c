"""How an engine splits layers over stages by default, and how to make it split them as planned."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.engine_profile.support import LayerSplit
from cluster.planner.layout import StageRange


def split_note(engine: EngineProfile, stages: Sequence[StageRange]) -> tuple[str, ...]:
    """Return a note if the planned split is not the engine's default."""
    layer_split, planned = engine.parallelism.layer_split, tuple(stage.num_layers for stage in stages)
    own = own_split(layer_split, sum(planned), len(planned))
    if layer_split is None or not own or planned == own:
        return ()
    layers, even = ",".join(map(str, planned)), ",".join(map(str, own))
    return (
        f"set {layer_split.variable}={layers} to get these stages; {engine.name} defaults to {even} layers",
    )


def own_split(layer_split: LayerSplit | None, num_layers: int, num_stages: int) -> tuple[int, ...]:
    """Return the engine's default layers per stage; () for engines that take any split."""
    if layer_split is None or not num_stages:
        return ()
    size, more = divmod(num_layers, num_stages)
    last = num_stages - 1 if layer_split.last_stage_spared and more else num_stages
    return tuple(size + (last - more <= stage < last) for stage in range(num_stages))
