"""The search itself: every form worth judging, then feasible candidates in order of benefit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.planner.placement.form import Form
from cluster.planner.result import Candidate
from cluster.planner.rule import MEMORY_RULES
from cluster.planner.search.candidates import build_candidates
from cluster.planner.search.context import Context
from cluster.planner.search.enumerate import expert_forms, pipeline_degrees, tensor_degrees
from cluster.planner.search.oversized import beyond_the_gpus
from cluster.planner.search.rank import rank
from cluster.planner.search.refusals import nearest_refusals

_ENOUGH_DEPTHS = 3
"""Feasible pipeline depths to look at for one way to divide a stage: deeper ones only add hops."""

_NAMED_REFUSALS = 8
"""Refused layouts, the nearest to fitting, for which it is looked up who holds the memory they lack."""

Pair = tuple[Form, Candidate]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found."""

    feasible: tuple[Candidate, ...]
    """Best first."""
    refused: tuple[Candidate, ...]
    """Nearest to fitting first."""
    num_considered: int


def search(context: Context, name_holders: bool = True) -> Found:
    """Judge every form worth judging on this cluster.

    `name_holders`: say of the refused layouts that come nearest who holds the memory they lack.
    """
    pairs = list(_judge_all(context))
    feasible = rank([candidate for _, candidate in pairs if candidate.feasible], context.request)
    refused = [pair for pair in pairs if not pair[1].feasible]
    nearest = nearest_refusals([candidate for _, candidate in refused], feasible)
    if name_holders:
        nearest = _name_holders(context, refused, nearest, feasible)
    return Found(tuple(feasible), tuple(nearest), len(pairs))


def _name_holders(
    context: Context, refused: list[Pair], nearest: list[Candidate], feasible: list[Candidate]
) -> list[Candidate]:
    form_of = {id(candidate): form for form, candidate in refused}
    named = [
        _named(context, form_of[id(candidate)], candidate) if candidate.memory_per_gpu else candidate
        for candidate in nearest[:_NAMED_REFUSALS]
    ]
    return nearest_refusals(named + nearest[_NAMED_REFUSALS:], feasible)


def _named(context: Context, form: Form, refused: Candidate) -> Candidate:
    again = build_candidates(context, form)
    same = (one for one in again if not one.feasible and one.layout == refused.layout)
    return next(same, refused)


def _judge_all(context: Context) -> Iterator[Pair]:
    beyond = beyond_the_gpus(context)
    if beyond is not None:
        yield beyond
        return
    for tp in tensor_degrees(context.survey, context.request):
        most_stages = context.survey.num_usable_gpus // tp
        enough: dict[tuple[int, int], int] = {}
        for pp in pipeline_degrees(context.model, context.request, most_stages):
            for form in expert_forms(context.model, context.engine, context.request, context.survey, tp, pp):
                key = (form.ep, form.width)
                if enough.get(key, 0) >= _ENOUGH_DEPTHS:
                    continue
                found = build_candidates(context, form, name_holders=False)
                yield from ((form, candidate) for candidate in found)
                enough[key] = _count(enough.get(key, 0), found)


def _count(so_far: int, found: list[Candidate]) -> int:
    if any(candidate.feasible for candidate in found):
        return so_far + 1
    rules = {rejection.rule for candidate in found for rejection in candidate.rejections}
    # Only more stages can fix a lack of memory; any other rule holds at every depth.
    return so_far if rules <= MEMORY_RULES else _ENOUGH_DEPTHS
