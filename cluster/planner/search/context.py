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
    """One question: this model on this cluster with this engine under this request."""

    cluster: Cluster
    survey: Survey
    model: ModelSpec
    engine: EngineProfile
    request: PlanRequest
    lengths: Lengths
    """Of the requests that it is planned for."""
    notes: tuple[str, ...] = ()
    """What a user should know of every layout: what had to be changed or assumed."""

    @property
    def traffic(self) -> Traffic:
        """The requests to serve."""
        return traffic_of(self.request, self.lengths)

    def with_request(self, **changes: object) -> Context:
        """Return the same question with some options changed."""
        return replace(self, request=replace(self.request, **changes))  # type: ignore[arg-type]

    def without_pins(self, **changes: object) -> Context:
        """Return the same question with every degree free but those among the changes."""
        return self.with_request(**(dict.fromkeys(PINNED_AXES) | changes))
