"""A recorded session at its moments: joined, starting, serving."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from cluster.bridge.events import DeploymentsSeen, Event, ReadingsSeen
from cluster.deploy.status import DeploymentStatus, RankState

RECORDING = Path(__file__).parent / "recordings" / "simulated_2x4.jsonl"
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


@cache
def recorded_events() -> tuple[Event, ...]:
    """Read the recording."""
    lines = RECORDING.read_text("utf-8").splitlines()
    return tuple(_EVENT.validate_json(line) for line in lines)


def until(reached: Callable[[DeploymentStatus], bool]) -> tuple[Event, ...]:
    """Return the events up to the first deployment that is as wanted, and the readings after it."""
    events = recorded_events()
    for position, event in enumerate(events):
        if isinstance(event, DeploymentsSeen) and any(reached(item) for item in event.deployments):
            return events[: position + 2]
    raise LookupError("the recording never gets there")


def joined() -> tuple[Event, ...]:
    """Nothing is deployed yet."""
    events = recorded_events()
    first = next(
        number
        for number, event in enumerate(events)
        if isinstance(event, DeploymentsSeen) and event.deployments
    )
    return events[:first]


def starting() -> tuple[Event, ...]:
    """Ranks are in different states."""
    return until(lambda status: len({rank.state for rank in status.ranks} - {RankState.READY}) > 1)


def serving() -> tuple[Event, ...]:
    """The highest rate that was measured."""
    best = max(
        status.tokens_per_s
        for event in recorded_events()
        if isinstance(event, DeploymentsSeen)
        for status in event.deployments
    )
    return until(lambda status: status.tokens_per_s == best)


def time_of(events: tuple[Event, ...]) -> float:
    """Return a moment just after the newest reading."""
    return 0.4 + max(
        reading.taken_at_s for event in events if isinstance(event, ReadingsSeen) for reading in event.nodes
    )
