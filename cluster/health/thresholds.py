"""The thresholds of thresholds.toml, checked once when they are first needed."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from cluster.frozen import FrozenModel

FILE = Path(__file__).with_name("thresholds.toml")

Part = Annotated[float, Field(gt=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]


class FindingRule(FrozenModel):
    """How bad a finding is, and how long it must be seen and unseen."""

    state: Literal["degraded", "unhealthy"]
    begins_after_s: Seconds = 0.0
    ends_after_s: Seconds = 0.0


class WatchRule(FrozenModel):
    refresh_s: Seconds
    refresh_change: Part


class HeatRule(FrozenModel):
    below_slowdown_c: float
    slowdown_c: float
    below_memory_limit_c: float


class ClockRule(FrozenModel):
    throttle: tuple[str, ...]
    brake: str
    idle: str
    busy_percent: float
    low_share: Part
    unknown_share: Part
    full_memory_rate_clock_share: Part
    names: dict[str, str]


class PowerRule(FrozenModel):
    capped_below_share: Part
    rate_exponent: float


class PcieRule(FrozenModel):
    busy_percent: float
    fastest_p_state: int
    lane_bytes_per_s: dict[int, float]


class NvLinkRule(FrozenModel):
    errors: int
    fabric_share: Part


class BusyRule(FrozenModel):
    percent: float
    least_share: Part


class XidRule(FrozenModel):
    unhealthy_for_s: Seconds
    degraded_for_s: Seconds
    unhealthy: dict[int, str]
    degraded: dict[int, str]


class Thresholds(FrozenModel):
    """All of the file; see its comments."""

    findings: dict[str, FindingRule]
    watch: WatchRule
    heat: HeatRule
    clocks: ClockRule
    power: PowerRule
    pcie: PcieRule
    nvlink: NvLinkRule
    busy: BusyRule
    xid: XidRule
    reported: dict[str, str]

    def rank(self, code: str) -> int:
        """Return the place of a finding in the file: smaller is worse."""
        return list(self.findings).index(code)


@lru_cache(maxsize=1)
def thresholds() -> Thresholds:
    """Return the thresholds."""
    return Thresholds.model_validate(tomllib.loads(FILE.read_text(encoding="utf-8")))
