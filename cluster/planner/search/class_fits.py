"""Which replicas of a form fit the usable GPUs, class by class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cluster.planner.placement.classes import ReplicaClass, classify, gather
from cluster.planner.placement.form import Form
from cluster.planner.placement.free_first import free_first
from cluster.planner.placement.machines import Survey
from cluster.planner.placement.replicas import form_replicas
from cluster.planner.result import Rejection
from cluster.planner.rule import MEMORY_RULES
from cluster.planner.rules import layout_rejections
from cluster.planner.search.busy_memory import startup_rejections
from cluster.planner.search.context import Context
from cluster.planner.search.fit import Fit, fit_replica

_TRIED_ONE_BY_ONE = 8
_PARTLY_USED_BELOW = 0.97
_LEAST_WEIGHTS_SHARE = 0.8
"""No engine's weights in memory take less than this share of their size on disk."""


@dataclass(frozen=True, slots=True)
class ClassFit:
    """A class of replicas, and whether one of it fits."""

    replicas: ReplicaClass
    fit: Fit

    @property
    def nearness(self) -> tuple[float, ...]:
        """Larger is nearer to fitting."""
        return (self.fit.kv_tokens, self.fit.spare_bytes)

    @property
    def is_blocked(self) -> bool:
        """True if memory used by others may be the only obstacle."""
        rules = {rejection.rule for rejection in self.fit.rejections}
        pairs = zip(self.replicas.frees, self.replicas.pools, strict=True)
        return bool(rules & MEMORY_RULES) and any(
            free < _PARTLY_USED_BELOW * pool.total_bytes for free, pool in pairs
        )


def fit_form(context: Context, form: Form) -> list[ClassFit]:
    """Evaluate all replicas of a form, class by class; empty if not even one can be built.

    If none fits on groups that prefer sound GPUs, those with the most free memory are tried.
    """
    found = _fit_on(context, form, context.survey)
    by_memory = free_first(context.survey)
    if by_memory is context.survey or any(entry.fit.feasible for entry in found):
        return found
    return _fit_on(context, form, by_memory)


def _fit_on(context: Context, form: Form, survey: Survey) -> list[ClassFit]:
    classes = classify(form_replicas(survey, form))
    return [entry for replicas in classes for entry in _fit_class(context, form, replicas)]


def fit_roomiest_first(context: Context, form: Form) -> Iterator[ClassFit]:
    """Evaluate class by class, most free memory first, skipping those that cannot fit."""
    lacking: list[ReplicaClass] = []
    classes = classify(form_replicas(free_first(context.survey), form))
    for replicas in sorted(classes, key=lambda one: -sum(one.frees)):
        if _is_hopeless(context, form, replicas) or any(_has_less(replicas, other) for other in lacking):
            continue
        for entry in _fit_class(context, form, replicas):
            if not entry.fit.feasible and len(entry.replicas.sets) == 1:
                lacking.append(entry.replicas)
            yield entry


def _is_hopeless(context: Context, form: Form, replicas: ReplicaClass) -> bool:
    """True if all the free memory of a replica's GPUs is well below the weights."""
    most_bytes = max(sum(one.frees) for one in replicas.sets) * form.group_gpus
    return most_bytes < _LEAST_WEIGHTS_SHARE * context.model.weights_bytes


def _has_less(replicas: ReplicaClass, other: ReplicaClass) -> bool:
    """True if no set of a class has more free memory on any TP group than an already evaluated class."""
    return replicas.pools == other.pools and all(
        free <= known for one in replicas.sets for free, known in zip(one.frees, other.frees, strict=True)
    )


def refused_anywhere(context: Context, form: Form) -> tuple[Rejection, ...]:
    """Return rejections that apply to the form on every GPU type of the cluster."""
    found: tuple[Rejection, ...] = ()
    for pool in context.survey.pools:
        found = layout_rejections(context.model, form.layout(), pool.spec, context.engine, context.request)
        if not found:
            return ()
    return found


def _fit_class(context: Context, form: Form, replicas: ReplicaClass) -> Iterator[ClassFit]:
    """Evaluate a class at its least free memory; if that fails, without its tightest sets."""
    fit = _fit(context, form, replicas)
    if fit.feasible or len(replicas.sets) == 1:
        yield ClassFit(replicas, fit)
    elif len(replicas.sets) <= _TRIED_ONE_BY_ONE:
        for alone in replicas.sets:
            single = gather([alone])
            yield ClassFit(single, _fit(context, form, single))
    else:
        yield _roomiest_part(context, form, replicas)


def _roomiest_part(context: Context, form: Form, replicas: ReplicaClass) -> ClassFit:
    """Bisect for the largest number of sets, most free memory first, that fit together."""
    ordered = sorted(replicas.sets, key=lambda one: (-min(one.frees), [-free for free in one.frees]))
    alone = gather(ordered[:1])
    best = ClassFit(alone, _fit(context, form, alone))
    low, high = 1, len(ordered)
    while best.fit.feasible and high - low > 1:
        middle = (low + high) // 2
        part = gather(ordered[:middle])
        fit = _fit(context, form, part)
        if fit.feasible:
            best, low = ClassFit(part, fit), middle
        else:
            high = middle
    return best


def _fit(context: Context, form: Form, replicas: ReplicaClass) -> Fit:
    fit = fit_replica(context, form, replicas)
    return replace(fit, rejections=startup_rejections(context, replicas, fit)) if fit.feasible else fit
