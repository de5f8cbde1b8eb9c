"""For every rule the kinds of change that may mend it, tried in order: the least change first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice

from cluster.planner.fixes import degrees, hardware, room
from cluster.planner.fixes.case import Case, Fits, Proposer, Trials
from cluster.planner.result import Candidate, Rejection
from cluster.planner.search.context import Context
from cluster.planner.search.pins import count_fitting

MOST_WAYS = 4
"""Ways out named for one rule."""

_SPLIT = (degrees.narrower, degrees.whole_experts, degrees.wider, hardware.other_engine)
_PLACE = (degrees.fewer_replicas, degrees.narrower, degrees.fewer_stages)
_AXIS = (degrees.without_pipeline, degrees.fewer_expert_ranks, hardware.other_version, hardware.other_engine)
_FORMAT = (
    room.plain_cache,
    hardware.other_dtype,
    hardware.other_weights,
    hardware.other_version,
    hardware.other_engine,
)
_ROOM = (
    room.cache_that_fits,
    room.higher_fraction,
    room.without_graphs,
    room.smaller_batches,
    degrees.wider,
    room.smaller_weights,
)
_LENGTH = (room.shorter, room.packed_cache, room.higher_fraction, degrees.wider, room.smaller_weights)

Proposers = Mapping[str, tuple[Proposer, ...]]

PROPOSERS: Proposers = {
    "heads_not_divisible": _SPLIT,
    "kv_heads_not_divisible": _SPLIT,
    "intermediate_not_divisible": _SPLIT,
    "vocab_not_divisible": _SPLIT,
    "quant_group_not_divisible": _SPLIT,
    "quant_block_not_divisible": _SPLIT,
    "experts_not_divisible": (degrees.fewer_expert_ranks,),
    "context_not_divisible": (room.other_context_ranks, degrees.wider),
    "too_few_layers": (degrees.fewer_stages,),
    "pp_unsupported": _AXIS,
    "engine_unsupported": _AXIS,
    "dtype_unsupported": _FORMAT,
    "quantization_unsupported": _FORMAT,
    "crosses_node": _PLACE,
    "crosses_island": _PLACE,
    "mixed_gpus": _PLACE,
    "not_enough_gpus": (room.other_context_ranks, degrees.fewer_expert_ranks, *_PLACE),
    "gpu_unhealthy": _PLACE,
    "gpu_unknown": _PLACE,
    "gpu_busy": (room.shorter, room.packed_cache, room.lower_fraction, *_PLACE),
    "weights_do_not_fit": _ROOM,
    "no_kv_memory": _ROOM,
    "graphs_do_not_fit": (room.lower_fraction, room.without_graphs, room.smaller_batches, degrees.wider),
    "max_len_exceeds_kv": _LENGTH,
    "max_len_exceeds_model": (room.shorter,),
}

_DIVIDE = (degrees.narrower, degrees.wider)
TRAINING_PROPOSERS: Proposers = {
    **{rule: _DIVIDE for rule, kinds in PROPOSERS.items() if kinds is _SPLIT},
    **{rule: _PLACE for rule, kinds in PROPOSERS.items() if kinds is _PLACE},
    "not_enough_gpus": _PLACE,
    "too_few_layers": (degrees.fewer_stages,),
    "weights_do_not_fit": (degrees.wider,),
}
"""A trainer has no engine to change, and nothing to set but degrees."""


def mended(
    context: Context,
    refused: Sequence[Candidate],
    otherwise: str,
    fits: Fits = count_fitting,
    proposers: Proposers = PROPOSERS,
) -> tuple[Candidate, ...]:
    """Return refused candidates whose rejections say what would hold.

    `otherwise` is said where no single change to a layout does: what to run in its place.
    """
    trials = Trials(fits)
    told = []
    for candidate in refused:
        case = Case(context, candidate.form, candidate, trials)
        rejections = tuple(
            replace(one, fix=_fix(case, one, proposers.get(one.rule, ())) or otherwise)
            for one in candidate.rejections
        )
        told.append(replace(candidate, rejections=rejections))
    return tuple(told)


def _fix(case: Case, rejection: Rejection, proposers: Sequence[Proposer]) -> str:
    known = [rejection.fix] if rejection.fix else []
    ways = chain(known, (way for propose in proposers for way in propose(case)))
    return ", or ".join(dict.fromkeys(islice(ways, MOST_WAYS)))
