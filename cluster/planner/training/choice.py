"""The most replicas of one form that train here, with the least sharding that makes them fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.planner.placement.condition import avoidance, preference
from cluster.planner.placement.form import Form
from cluster.planner.placement.replicas import EqualReplicas, take
from cluster.planner.placement.span import Placed
from cluster.planner.search.context import Context
from cluster.planner.training.describe import SHARDINGS
from cluster.planner.training.step import Step, make_step


@dataclass(frozen=True, slots=True)
class Choice:
    """The most replicas that train, where they are placed, and the least sharding that makes them fit."""

    placed: Placed
    step: Step
    """With the most sharding if none fits."""


def choose(context: Context, form: Form, sets: list[EqualReplicas]) -> Choice | None:
    """Take as many replicas of one GPU type as fit, leaving out the GPUs with least free memory first."""
    refused: Choice | None = None
    for kept in _shrinking(sets):
        available = sum(replicas.count for replicas in kept)
        count = context.request.dp or available
        if count > available:
            break
        choice = _least_divided(context, form, take(kept, count))
        if choice.step.fits:
            return choice
        refused = refused or choice
    return refused


def _least_divided(context: Context, form: Form, placed: Placed) -> Choice:
    steps = (make_step(context, form, placed, sharding) for sharding in SHARDINGS)
    return Choice(placed, _first_that_fits(steps))


def _first_that_fits(steps: Iterator[Step]) -> Step:
    """Return the first step that fits, else the last one."""
    step = next(steps)
    while not step.fits:
        further = next(steps, None)
        if further is None:
            break
        step = further
    return step


def _preference(replicas: EqualReplicas) -> tuple[float, ...]:
    pool, condition = replicas.slowest, replicas.condition
    return preference(min(replicas.frees), pool.total_bytes, avoidance(condition, pool.link))


def _shrinking(sets: list[EqualReplicas]) -> Iterator[list[EqualReplicas]]:
    """Yield the sets of each GPU type, most free memory first, with fewer and fewer of them."""
    types = dict.fromkeys(replicas.slowest.spec.type for replicas in sets)
    groups = [
        sorted(
            (replicas for replicas in sets if replicas.slowest.spec.type == kind),
            key=_preference,
        )
        for kind in types
    ]
    choices = [group[:size] for group in groups for size in range(len(group), 0, -1)]
    yield from sorted(choices, key=lambda kept: -sum(replicas.count for replicas in kept))
