"""Fixes for refused layouts, and for a plan in which nothing fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice

from cluster.planner.fixes.fix import Fix
from cluster.planner.fixes.ideas import IDEAS
from cluster.planner.fixes.trial import CountReplicas, LayoutTrial, PlanTrial, ReplicaCounts
from cluster.planner.result import Candidate, Rejection
from cluster.planner.search.context import Context
from cluster.planner.search.pins import count_fitting
from cluster.planner.search.run import SearchResult

MOST_FIXES = 4
"""Fixes named for one rule."""


def with_fixes(
    context: Context,
    refused: Sequence[Candidate],
    otherwise: Sequence[Fix],
    count: CountReplicas = count_fitting,
) -> tuple[Candidate, ...]:
    """Return refused candidates whose rejections carry what would make them hold.

    `otherwise` is given where no single change to a layout does: what to run in its place.
    """
    counts = ReplicaCounts(context, count)
    fixed = []
    for candidate in refused:
        trial = LayoutTrial(counts, candidate)
        rejections = tuple(
            replace(one, fixes=_of_layout(trial, one) or tuple(otherwise)) for one in candidate.rejections
        )
        fixed.append(replace(candidate, rejections=rejections))
    return tuple(fixed)


def _of_layout(trial: LayoutTrial, rejection: Rejection) -> tuple[Fix, ...]:
    training = trial.context.request.workload == "training"
    tries = (
        idea.of_layout
        for idea in IDEAS
        if rejection.rule in idea.rules
        and idea.of_layout
        and (idea.of_training if training else idea.of_serving)
    )
    # What the search itself found comes first: the memory that others hold on these very GPUs.
    known = filter(None, map(trial.attempt, rejection.fixes))
    found = chain(known, (fix for fixes in tries for fix in fixes(trial)))
    return tuple(islice(_different(found), MOST_FIXES))


def _different(fixes: Iterator[Fix]) -> Iterator[Fix]:
    seen: set[Fix] = set()
    for fix in fixes:
        if fix not in seen:
            seen.add(fix)
            yield fix


def plan_fixes(context: Context, found: SearchResult) -> tuple[Fix, ...]:
    """Return the changes after which something fits, least change first, each with the best layout then."""
    if not context.cluster.num_gpus:
        return ()
    trial = PlanTrial(ReplicaCounts(context, count_fitting), found)
    tries = (idea.of_plan for idea in IDEAS if idea.of_plan and idea.rules & trial.rules)
    return tuple(_different(fix for fixes in tries for fix in fixes(trial)))
