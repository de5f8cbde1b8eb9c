"""What every step of one search shares."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import ModelSpec
from cluster.inventory import Cluster
from cluster.planner.placement.machines import Survey
from cluster.planner.request import PINNED_AXES, PlanRequest
from cluster.planner.traffic import Lengths, Traffic, traffic_of


@dataclass(frozen=True, slots=True)
class Context:
    """One planning problem: this model on this cluster with this engine for this request."""

    cluster: Cluster
    survey: Survey
    model: ModelSpec
    engine: EngineProfile
    request: PlanRequest
    lengths: Lengths
    """Of the requests that it is planned for."""
    notes: tuple[str, ...] = ()
    """Notes for every layout: what was changed or assumed."""

    @property
    def traffic(self) -> Traffic:
        """The requests to serve."""
        return traffic_of(self.request, self.lengths)

    def with_request(self, **changes: object) -> Context:
        """Return the same context with some options changed."""
        return replace(self, request=replace(self.request, **changes))  # type: ignore[arg-type]

    def without_pins(self, **changes: object) -> Context:
        """Return the same context with all degrees free except those among the changes."""
        return self.with_request(**(dict.fromkeys(PINNED_AXES) | changes))
