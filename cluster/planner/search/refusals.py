"""Order refused candidates by how close they are to fitting, and drop redundant ones."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.planner.result import Candidate
from cluster.planner.rule import Rule
from cluster.units import GIB

_BY_NEARNESS = (
    Rule.MAX_LEN_EXCEEDS_KV,
    Rule.GPU_BUSY,
    Rule.GPU_UNHEALTHY,
    Rule.GPU_EXCLUDED,
    Rule.NO_KV_MEMORY,
    Rule.WEIGHTS_DO_NOT_FIT,
    Rule.CROSSES_NODE,
    Rule.CROSSES_ISLAND,
    Rule.MIXED_GPUS,
    Rule.NOT_ENOUGH_GPUS,
)

_SHOWN_BYTES = GIB // 10
"""Figures closer than this look the same in messages."""


def nearest_refusals(refused: Sequence[Candidate], feasible: Sequence[Candidate]) -> list[Candidate]:
    """Return refused candidates, closest to fitting first; one per label, and none that also fits."""
    taken = {candidate.label for candidate in feasible}
    ordered = sorted(refused, key=_distance)
    kept: list[Candidate] = []
    for candidate in ordered:
        if candidate.label not in taken:
            taken.add(candidate.label)
            kept.append(candidate)
    return kept


def _distance(candidate: Candidate) -> tuple[float, ...]:
    rule = candidate.rejections[0].rule if candidate.rejections else None
    step = _BY_NEARNESS.index(rule) if rule in _BY_NEARNESS else len(_BY_NEARNESS)
    layout = candidate.layout
    memory = candidate.memory_per_gpu
    total = memory.shortfall_bytes if memory else 0
    shown = _too_heavy_bytes(candidate) if rule == Rule.WEIGHTS_DO_NOT_FIT else total
    # If only the length does not fit, the layout that fits most of it is the closest.
    held = -(candidate.max_concurrency or 0.0) if rule == Rule.MAX_LEN_EXCEEDS_KV else 0.0
    return (step, held, shown // _SHOWN_BYTES, total, layout.pp, layout.tp, layout.ep)


def _too_heavy_bytes(candidate: Candidate) -> int:
    """Return by how much the weights alone exceed a GPU's budget, as in the message."""
    memory = candidate.memory_per_gpu
    return max(0, memory.weights_bytes - memory.budget_bytes) if memory else 0
