"""The verdict on a GPU: whether it may be planned on, what is wrong with it, and how much it slows down."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from cluster.frozen import FrozenModel
from cluster.text import CleanStr

HealthState = Literal["healthy", "degraded", "unhealthy"]
"""Degraded: usable and planned on, after healthy ones among equals. Unhealthy: never planned on."""

Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False, strict=True)]


class Finding(FrozenModel):
    """One thing that is wrong, with the figures that show it."""

    code: CleanStr
    """A name that stays, such as 'hot', 'throttled', 'nvlinks_down'; see cluster/health/thresholds.toml."""
    state: Literal["degraded", "unhealthy"]
    text: CleanStr
    """For people: 'throttled: 345 of 1,980 MHz (hardware thermal slowdown)'."""


class Slowdown(FrozenModel):
    """What is left of a healthy GPU's rates; 1 is all of it."""

    compute: Share = 1.0
    memory: Share = 1.0
    nvlink: Share = 1.0
    pcie: Share = 1.0


class Health(FrozenModel):
    """A GPU's state with its evidence; the worst finding first."""

    state: HealthState = "healthy"
    findings: Annotated[tuple[Finding, ...], Field(max_length=100)] = ()
    slowdown: Slowdown = Slowdown()

    @property
    def summary(self) -> str:
        """All evidence in one line; the state where there is none."""
        return "; ".join(finding.text for finding in self.findings) or self.state


def health_to_json(health: Health | None) -> dict[str, Any] | None:
    """Return a verdict as JSON values; None: nobody has judged the GPU."""
    if health is None:
        return None
    return {
        "verdict": health.state,
        "reasons": [finding.text for finding in health.findings],
        "findings": [finding.model_dump(mode="json") for finding in health.findings],
        "slowdown": health.slowdown.model_dump(mode="json"),
    }
