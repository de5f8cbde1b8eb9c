"""A refused layout, and the means to try something else in its place."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.placement.form import Form
from cluster.planner.result import Candidate
from cluster.planner.search.context import Context

Fits = Callable[[Context, Form, int], int]
"""How many replicas of a form the cluster of a context holds; it need not count beyond the number given."""


@dataclass(frozen=True, slots=True)
class Trials:
    """Judgements of one plan's alternatives, remembered: refused layouts have many of them in common."""

    fits: Fits
    _known: dict[Hashable, int] = field(default_factory=dict)

    def replicas(self, context: Context, form: Form, enough: int) -> int:
        """Return the replicas of this form that hold, counted up to `enough` at least."""
        key = (id(context.model), id(context.cluster), context.request, form, enough)
        if key not in self._known:
            self._known[key] = self.fits(context, form, enough)
        return self._known[key]


@dataclass(frozen=True, slots=True)
class Case:
    """One refused candidate: its form, and as many replicas as it was to have."""

    context: Context
    form: Form
    candidate: Candidate
    trials: Trials

    @property
    def replicas(self) -> int:
        return self.candidate.layout.num_replicas

    @property
    def widest(self) -> int:
        """GPUs in the largest group that tensor parallelism may use here."""
        return self.context.survey.largest_domain

    def holds(
        self,
        form: Form | None = None,
        model: ModelSpec | None = None,
        engine: EngineProfile | None = None,
        **options: object,
    ) -> bool:
        """Say whether as many replicas hold with another form, model, engine or options of the request."""
        context = self.context
        if engine is not None:
            context = replace(context, engine=engine)
            options |= {"engine": engine.name, "engine_version": engine.version}
        if model is not None:
            context = replace(context, model=model)
        if options:
            context = context.with_request(**options)
        return self.trials.replicas(context, form or self.form, self.replicas) >= self.replicas


Proposer = Callable[[Case], Iterator[str]]
"""Yields, in words, the changes of one kind that hold."""
