"""Try a change on one refused layout, or on the plan as a whole."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator
from dataclasses import dataclass, field, replace

from cluster.planner.fixes.apply import after
from cluster.planner.fixes.fix import Fix, Hardware
from cluster.planner.placement.form import Form
from cluster.planner.result import Candidate
from cluster.planner.rule import Rule
from cluster.planner.search.context import Context
from cluster.planner.search.enumerate import form_of
from cluster.planner.search.pins import count_fitting
from cluster.planner.search.run import SearchResult, search


@dataclass(frozen=True, slots=True)
class Method:
    """How layouts are counted and searched: for serving, or for training."""

    count: Callable[[Context, Form, int], int]
    """How many replicas of a form fit the cluster; it need not count beyond the given number."""
    search: Callable[[Context], SearchResult]


SERVING = Method(count_fitting, search)

MOST_NEAREST = 6
"""Number of closest refused layouts to try changes on for the plan as a whole."""


@dataclass(frozen=True, slots=True)
class ReplicaCounts:
    """Caches what was tried on the layouts of one plan: refused layouts share many attempts."""

    context: Context
    method: Method
    _counts: dict[Hashable, int] = field(default_factory=dict, init=False)
    _contexts: dict[Hardware, Context] = field(default_factory=dict, init=False)

    def replicas(self, change: Fix, form: Form, enough: int) -> int:
        """Return how many replicas of this form fit after a change, counted up to at least `enough`."""
        key = (change, form, enough)
        if key not in self._counts:
            self._counts[key] = self.method.count(self.after(change), form, enough)
        return self._counts[key]

    def after(self, change: Fix) -> Context:
        """Return the context after a change. Clusters are cached: many layouts need the same one."""
        hardware = change.hardware
        if hardware is None:
            return after(self.context, change)
        if hardware not in self._contexts:
            self._contexts[hardware] = after(self.context, Fix(hardware=hardware))
        return after(self._contexts[hardware], replace(change, hardware=None))


@dataclass(frozen=True, slots=True)
class LayoutTrial:
    """Changes to one refused layout, which must fit with its full number of replicas."""

    counts: ReplicaCounts
    candidate: Candidate

    @property
    def context(self) -> Context:
        return self.counts.context

    @property
    def form(self) -> Form:
        return self.candidate.form

    @property
    def replicas(self) -> int:
        return self.candidate.layout.num_replicas

    @property
    def widest(self) -> int:
        """GPUs in the largest group that tensor parallelism may use here."""
        return self.context.survey.largest_domain

    def attempt(self, fix: Fix) -> Fix | None:
        """Return the fix if this layout (or the fix's own) fits with it; else None."""
        layout, change = fix.layout or self.candidate.layout, fix.change
        form = self.form if fix.layout is None else form_of(layout, self.context.survey)
        if self.context.request.dp not in (None, layout.dp):
            change = replace(change, options=(*change.options, ("dp", layout.dp)))
        held = self.counts.replicas(change, form, layout.num_replicas)
        return fix if held >= layout.num_replicas else None

    def attempt_form(self, form: Form) -> Fix | None:
        """Return the fix with this form and the same number of replicas if that fits."""
        return self.attempt(Fix(layout=form.layout(self.replicas)))

    def held_replicas(self) -> int:
        """Return how many replicas of the layout fit, up to its full number."""
        return self.counts.replicas(Fix(), self.form, self.replicas)


@dataclass(frozen=True, slots=True)
class PlanTrial:
    """Changes to the whole plan: some layout must fit."""

    counts: ReplicaCounts
    found: SearchResult

    @staticmethod
    def of(context: Context, method: Method) -> PlanTrial:
        """Search, and return the trial of what was found."""
        return PlanTrial(ReplicaCounts(context, method), method.search(context))

    @property
    def context(self) -> Context:
        return self.counts.context

    @property
    def rules(self) -> frozenset[Rule]:
        """All rules that refuse some layout."""
        return frozenset(rejection.rule for one in self.found.refused for rejection in one.rejections)

    def attempt(self, fix: Fix) -> Fix | None:
        """Return the fix with the best layout after it; None if nothing fits."""
        return self.after(fix).with_best(fix)

    def after(self, fix: Fix) -> PlanTrial:
        """Return the trial of the plan after a change."""
        return PlanTrial.of(self.counts.after(fix.change), self.counts.method)

    def with_best(self, fix: Fix) -> Fix | None:
        """Return the fix with the best layout of this search; None if nothing fits."""
        feasible = self.found.feasible
        return replace(fix, layout=feasible[0].layout) if feasible else None

    def nearest(self, rules: Collection[Rule]) -> Iterator[LayoutTrial]:
        """Yield trials of the closest refused layouts that one of these rules refuses."""
        refused = (one for one in self.found.refused if {r.rule for r in one.rejections} & set(rules))
        for _, candidate in zip(range(MOST_NEAREST), refused, strict=False):
            yield LayoutTrial(self.counts, candidate)
