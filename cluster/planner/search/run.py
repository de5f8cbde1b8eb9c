"""The search: try every form worth trying, and rank the feasible candidates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.planner.result import Candidate
from cluster.planner.rule import MEMORY_RULES
from cluster.planner.search.candidates import Attempt, try_form
from cluster.planner.search.context import Context
from cluster.planner.search.enumerate import expert_forms, pipeline_degrees, tensor_degrees
from cluster.planner.search.oversized import beyond_the_gpus
from cluster.planner.search.ranking import rank
from cluster.planner.search.refusals import nearest_refusals

_ENOUGH_DEPTHS = 3
"""Feasible pipeline depths to try per way to split a stage: deeper ones only add hops."""

_NAMED_REFUSALS = 8
"""Number of refused layouts, closest to fitting, to find memory holders for."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found."""

    feasible: tuple[Candidate, ...]
    """Best first."""
    refused: tuple[Candidate, ...]
    """Closest to fitting first."""
    num_considered: int


def search(context: Context) -> SearchResult:
    """Try every form worth trying on this cluster; rejections do not name who uses the missing memory."""
    attempts = list(_attempts(context))
    feasible, refused = _ordered([attempt.candidate for attempt in attempts], context)
    return SearchResult(tuple(feasible), tuple(refused), len(attempts))


def search_and_name_holders(context: Context) -> SearchResult:
    """Search, and name who uses the memory that the closest refused layouts lack."""
    attempts = list(_attempts(context))
    feasible, refused = _ordered([attempt.candidate for attempt in attempts], context)
    attempt_of = {id(attempt.candidate): attempt for attempt in attempts}
    named = [attempt_of[id(candidate)].with_holders() for candidate in refused[:_NAMED_REFUSALS]]
    nearest = nearest_refusals(named + refused[_NAMED_REFUSALS:], feasible)
    return SearchResult(tuple(feasible), tuple(nearest), len(attempts))


def _ordered(candidates: list[Candidate], context: Context) -> tuple[list[Candidate], list[Candidate]]:
    """Return those that fit, best first, and the refused ones, closest to fitting first."""
    feasible = rank([candidate for candidate in candidates if candidate.feasible], context.request)
    refused = [candidate for candidate in candidates if not candidate.feasible]
    return feasible, nearest_refusals(refused, feasible)


def _attempts(context: Context) -> Iterator[Attempt]:
    beyond = beyond_the_gpus(context)
    if beyond is not None:
        yield Attempt(beyond, context)
        return
    for tp in tensor_degrees(context.survey, context.request):
        most_stages = context.survey.num_usable_gpus // tp
        enough: dict[tuple[int, int], int] = {}
        for pp in pipeline_degrees(context.model, context.request, most_stages):
            for form in expert_forms(context, tp, pp):
                key = (form.ep, form.width)
                if enough.get(key, 0) >= _ENOUGH_DEPTHS:
                    continue
                found = try_form(context, form)
                yield from found
                enough[key] = _count(enough.get(key, 0), [one.candidate for one in found])


def _count(so_far: int, found: list[Candidate]) -> int:
    if any(candidate.feasible for candidate in found):
        return so_far + 1
    rules = {rejection.rule for candidate in found for rejection in candidate.rejections}
    # Only more stages can fix a lack of memory; any other rule applies at every depth.
    return so_far if rules <= MEMORY_RULES else _ENOUGH_DEPTHS
