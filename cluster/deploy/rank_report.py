"""What a rank's actor tells its controller."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from cluster.deploy.status import RankState
from cluster.engines.adapter import EngineMetrics
from cluster.engines.startup import StartupFacts

REPORTS = "reports"
"""Concurrency group of a rank's actor that answers reports only."""


class RankStep(StrEnum):
    """Where a rank is. Finer than RankState: some steps wait for the controller's word."""

    PLACING = "placing"  # its GPU is being claimed
    STARTING = "starting"  # its process starts and imports torch
    STARTED = "started"  # waits for the rendezvous address
    JOINING = "joining"
    LOADING = "loading"
    LOADED = "loaded"  # waits until all ranks have loaded
    WARMING_UP = "warming up"
    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"


_STATES = {
    RankStep.PLACING: RankState.PLACING,
    RankStep.STARTING: RankState.STARTING,
    RankStep.STARTED: RankState.STARTING,
    RankStep.JOINING: RankState.JOINING,
    RankStep.LOADING: RankState.LOADING,
    RankStep.LOADED: RankState.LOADING,
    RankStep.WARMING_UP: RankState.WARMING_UP,
    RankStep.RUNNING: RankState.WARMING_UP,
    RankStep.STOPPED: RankState.STOPPED,
    RankStep.FAILED: RankState.FAILED,
}

DEADLINES_S = {
    RankStep.PLACING: 90.0,
    RankStep.STARTING: 120.0,
    RankStep.STARTED: 120.0,
    RankStep.JOINING: 90.0,
    RankStep.LOADING: 1800.0,
    RankStep.LOADED: 1800.0,
    RankStep.WARMING_UP: 180.0,
}
"""Seconds in a step after which the group is given up. A running group is watched by its own timeouts."""


def shown_state(step: RankStep, *, proven: bool) -> RankState:
    """Return the state to show: a running rank is ready only once a real token came through its group."""
    return RankState.READY if step is RankStep.RUNNING and proven else _STATES[step]


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """What an engine measured of itself; requests, tokens and their rate are those of users."""

    requests_total: int = 0
    in_flight: int = 0
    output_tokens_total: int = 0
    tokens_per_s: float = 0.0
    all_reduces_per_token: float | None = None
    all_reduce_share: float | None = None
    memory_used_bytes: int | None = None
    memory_by_gpu: dict[str, int] = field(default_factory=dict)
    """GPU uuid -> bytes that the server's processes hold there, by NVML; of an engine process only."""
    metrics: EngineMetrics | None = None
    """Of an engine process only."""
    ttft_s: float | None = None
    """Means over the last requests of users; None: none were served."""
    tpot_s: float | None = None
    proven_age_s: float | None = None
    """Seconds since a real token was last generated; of an engine process only."""


@dataclass(frozen=True, slots=True)
class RankReport:
    """A rank now. `age_s` counts from when the step began."""

    step: RankStep
    age_s: float = 0.0
    reason: str = ""
    progress: float | None = None
    permanent: bool = False
    """A failure that a restart cannot fix."""
    figures: EngineFigures = EngineFigures()
    facts: StartupFacts | None = None
    """What an engine process logged of itself."""
    endpoint: str | None = None
    """Base URL of an engine process that takes requests (the leader's)."""
    log_tail: tuple[str, ...] = ()
    """Last lines of a failed engine process, cleaned."""
    log_first: int = 0
    """Number of the first of these lines, counted from the start of the process."""
    deadline_s: float | None = None
    """Seconds in this step after which it is given up, where that differs from DEADLINES_S."""


def deadline_of(report: RankReport) -> float | None:
    """Return the seconds in its step after which a process is given up; None: no limit."""
    return DEADLINES_S.get(report.step) if report.deadline_s is None else report.deadline_s
