"""For every rule the kinds of change that may mend it, tried in order: the least change first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cluster.planner.mends import degrees, hardware, room
from cluster.planner.mends.case import Case, Fits, Proposer, Trials
from cluster.planner.result import Candidate, Rejection
from cluster.planner.search.candidates import count_fitting
from cluster.planner.search.context import Context
from cluster.planner.search.enumerate import form_of

MOST_WAYS = 4
"""Ways out named for one rule."""

_SPLIT = (degrees.narrower, degrees.whole_experts, degrees.wider, hardware.other_engine)
_PLACE = (degrees.fewer_replicas, degrees.narrower, degrees.fewer_stages)
_AXIS = (degrees.without_pipeline, degrees.fewer_expert_ranks, hardware.other_engine, hardware.other_version)
_FORMAT = (hardware.other_dtype, hardware.other_weights, hardware.other_engine, hardware.other_version)
_ROOM = (
    room.cache_that_fits,
    room.higher_fraction,
    room.without_graphs,
    room.smaller_batches,
    degrees.wider,
    room.smaller_weights,
)
_LENGTH = (room.shorter, room.packed_cache, room.higher_fraction, degrees.wider, room.smaller_weights)

PROPOSERS: dict[str, tuple[Proposer, ...]] = {
    "heads_not_divisible": _SPLIT,
    "kv_heads_not_divisible": _SPLIT,
    "intermediate_not_divisible": _SPLIT,
    "vocab_not_divisible": _SPLIT,
    "quant_group_not_divisible": _SPLIT,
    "quant_block_not_divisible": _SPLIT,
    "experts_not_divisible": (degrees.fewer_expert_ranks,),
    "too_few_layers": (degrees.fewer_stages,),
    "pp_unsupported": _AXIS,
    "engine_unsupported": _AXIS,
    "dtype_unsupported": _FORMAT,
    "quantization_unsupported": _FORMAT,
    "crosses_node": _PLACE,
    "crosses_island": _PLACE,
    "mixed_gpus": _PLACE,
    "not_enough_gpus": _PLACE,
    "gpu_unhealthy": _PLACE,
    "gpu_unknown": _PLACE,
    "gpu_busy": (room.shorter, room.packed_cache, room.lower_fraction, *_PLACE),
    "weights_do_not_fit": _ROOM,
    "no_kv_memory": _ROOM,
    "max_len_exceeds_kv": _LENGTH,
    "max_len_exceeds_model": (room.shorter,),
}


def mended(
    context: Context, refused: Sequence[Candidate], otherwise: str, fits: Fits = count_fitting
) -> tuple[Candidate, ...]:
    """Return refused candidates whose rejections say what would hold.

    `otherwise` is said where no single change to a layout does: what to run in its place.
    """
    trials = Trials(fits)
    return tuple(_mended(context, candidate, trials, otherwise) for candidate in refused)


def _mended(context: Context, candidate: Candidate, trials: Trials, otherwise: str) -> Candidate:
    case = Case(context, form_of(candidate.layout, context.survey), candidate, trials)
    told = tuple(replace(one, fix=_fix(case, one, otherwise)) for one in candidate.rejections)
    return replace(candidate, rejections=told)


def _fix(case: Case, rejection: Rejection, otherwise: str) -> str:
    ways = [rejection.fix] if rejection.fix else []
    for way in _ways(case, rejection.rule):
        ways.append(way)
        if len(ways) == MOST_WAYS:
            break
    return ", or ".join(dict.fromkeys(ways)) or otherwise


def _ways(case: Case, rule: str) -> Iterator[str]:
    for propose in PROPOSERS.get(rule, ()):
        yield from propose(case)
