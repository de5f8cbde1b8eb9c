"""How an engine splits layers over stages by itself, and how to make it split them as planned."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.planner.layout import StageRange

_SETTINGS = {"vllm": "VLLM_PP_LAYER_PARTITION", "sglang": "SGLANG_PP_LAYER_PARTITION"}
"""The environment variable with the layers of each stage, of the engines that have one."""


def split_note(engine: str, stages: Sequence[StageRange]) -> tuple[str, ...]:
    """Return a note where the planned split is not what the engine does by itself."""
    planned = tuple(stage.num_layers for stage in stages)
    own = own_split(engine, sum(planned), len(planned))
    if not own or planned == own:
        return ()
    layers, even = ",".join(map(str, planned)), ",".join(map(str, own))
    return (f"set {_SETTINGS[engine]}={layers} for these stages: by itself {engine} takes {even} layers",)


def own_split(engine: str, num_layers: int, num_stages: int) -> tuple[int, ...]:
    """Return the layers of each stage as the engine divides them; () for engines that take any division.

    What is left of an even split goes, one layer each, to the last stages in SGLang, and in vLLM to the
    stages before the last one (get_pp_indices in both).
    """
    if engine not in _SETTINGS or not num_stages:
        return ()
    size, more = divmod(num_layers, num_stages)
    last = num_stages - 1 if engine == "vllm" and more else num_stages
    return tuple(size + (last - more <= stage < last) for stage in range(num_stages))
