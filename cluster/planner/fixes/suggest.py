"""Fixes for refused layouts, and for a plan in which nothing fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice

from cluster.planner.fixes.fix import Fix
from cluster.planner.fixes.ideas import IDEAS, Idea
from cluster.planner.fixes.trial import SERVING, LayoutTrial, Method, PlanTrial, ReplicaCounts
from cluster.planner.result import Candidate, Rejection
from cluster.planner.search.context import Context
from cluster.planner.search.run import SearchResult

MOST_FIXES = 4
"""Fixes suggested per rule."""


def with_fixes(
    context: Context, refused: Sequence[Candidate], otherwise: Sequence[Fix], method: Method = SERVING
) -> tuple[Candidate, ...]:
    """Return the refused candidates with fixes on their rejections.

    `otherwise` is the fix of layouts that no single change fixes: what to run instead.
    """
    counts = ReplicaCounts(context, method)
    fixed = []
    for candidate in refused:
        trial = LayoutTrial(counts, candidate)
        rejections = tuple(
            replace(one, fixes=_of_layout(trial, one) or tuple(otherwise)) for one in candidate.rejections
        )
        fixed.append(replace(candidate, rejections=rejections))
    return tuple(fixed)


def plan_fixes(context: Context, found: SearchResult, method: Method = SERVING) -> tuple[Fix, ...]:
    """Return the changes after which something fits, smallest first, each with its best layout."""
    if not context.cluster.num_gpus:
        return ()
    trial = PlanTrial(ReplicaCounts(context, method), found)
    tries = (idea.of_plan for idea in _ideas(context) if idea.of_plan and idea.rules & trial.rules)
    return tuple(_different(fix for fixes in tries for fix in fixes(trial)))


def _ideas(context: Context) -> Iterator[Idea]:
    training = context.request.workload == "training"
    return (idea for idea in IDEAS if idea.of_training or not training)


def _of_layout(trial: LayoutTrial, rejection: Rejection) -> tuple[Fix, ...]:
    ideas = (idea for idea in _ideas(trial.context) if rejection.rule in idea.rules)
    # What the search itself found comes first: memory that others use on these GPUs.
    known = filter(None, map(trial.attempt, rejection.fixes))
    found = chain(known, (fix for idea in ideas if idea.of_layout for fix in idea.of_layout(trial)))
    return tuple(islice(_different(found), MOST_FIXES))


def _different(fixes: Iterable[Fix]) -> Iterator[Fix]:
    seen: set[Fix] = set()
    for fix in fixes:
        if fix not in seen:
            seen.add(fix)
            yield fix
