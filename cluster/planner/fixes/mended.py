"""For every rule the kinds of change that may mend it, tried in order: the least change first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice

from cluster.planner.fixes import degrees, hardware, room
from cluster.planner.fixes.case import Case, Fits, Proposer, Trials
from cluster.planner.result import Candidate, Rejection
from cluster.planner.rule import Rule
from cluster.planner.search.context import Context
from cluster.planner.search.enumerate import form_of
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

Proposers = Mapping[Rule, tuple[Proposer, ...]]

PROPOSERS: Proposers = {
    Rule.HEADS_NOT_DIVISIBLE: _SPLIT,
    Rule.KV_HEADS_NOT_DIVISIBLE: _SPLIT,
    Rule.INTERMEDIATE_NOT_DIVISIBLE: _SPLIT,
    Rule.VOCAB_NOT_DIVISIBLE: _SPLIT,
    Rule.QUANT_GROUP_NOT_DIVISIBLE: _SPLIT,
    Rule.QUANT_BLOCK_NOT_DIVISIBLE: _SPLIT,
    Rule.EXPERTS_NOT_DIVISIBLE: (degrees.fewer_expert_ranks,),
    Rule.CONTEXT_NOT_DIVISIBLE: (room.other_context_ranks, degrees.wider),
    Rule.TOO_FEW_LAYERS: (degrees.fewer_stages,),
    Rule.PP_UNSUPPORTED: _AXIS,
    Rule.ENGINE_UNSUPPORTED: _AXIS,
    Rule.DTYPE_UNSUPPORTED: _FORMAT,
    Rule.QUANTIZATION_UNSUPPORTED: _FORMAT,
    Rule.CROSSES_NODE: _PLACE,
    Rule.CROSSES_ISLAND: _PLACE,
    Rule.MIXED_GPUS: _PLACE,
    Rule.NOT_ENOUGH_GPUS: (room.other_context_ranks, degrees.fewer_expert_ranks, *_PLACE),
    Rule.GPU_UNHEALTHY: _PLACE,
    Rule.GPU_UNKNOWN: _PLACE,
    Rule.GPU_BUSY: (room.shorter, room.packed_cache, room.lower_fraction, *_PLACE),
    Rule.WEIGHTS_DO_NOT_FIT: _ROOM,
    Rule.NO_KV_MEMORY: _ROOM,
    Rule.GRAPHS_DO_NOT_FIT: (room.lower_fraction, room.without_graphs, room.smaller_batches, degrees.wider),
    Rule.MAX_LEN_EXCEEDS_KV: _LENGTH,
    Rule.MAX_LEN_EXCEEDS_MODEL: (room.shorter,),
}

_DIVIDE = (degrees.narrower, degrees.wider)
TRAINING_PROPOSERS: Proposers = {
    **{rule: _DIVIDE for rule, kinds in PROPOSERS.items() if kinds is _SPLIT},
    **{rule: _PLACE for rule, kinds in PROPOSERS.items() if kinds is _PLACE},
    Rule.NOT_ENOUGH_GPUS: _PLACE,
    Rule.TOO_FEW_LAYERS: (degrees.fewer_stages,),
    Rule.WEIGHTS_DO_NOT_FIT: (degrees.wider,),
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
        case = Case(context, form_of(candidate.layout, context.survey), candidate, trials)
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
