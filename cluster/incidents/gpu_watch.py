"""GPUs that throttle or fail, by the readings of each second."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache

from cluster.health.thresholds import thresholds
from cluster.incidents.holding import GPU_BACK_S, GPU_ERROR_S, THROTTLE_BEGINS_S, THROTTLE_ENDS_S
from cluster.incidents.incident import Incident
from cluster.incidents.places import Place
from cluster.incidents.settling import Settling
from cluster.telemetry import GpuReading
from cluster.units import format_duration


@cache
def throttles() -> dict[str, str]:
    """Return the reasons that are trouble, with their names: those for which a GPU is judged as throttled.

    One that reaches its power limit under load is as it should be.
    """
    clocks = thresholds().clocks
    return {reason: clocks.names.get(reason, reason) for reason in (*clocks.throttle, clocks.brake)}


class GpuWatch:
    """Compares GPUs with what was last known of them. Each GPU is looked at each second, so ask first whether
    it `is_quiet`."""

    def __init__(self) -> None:
        self._throttled: Settling[str, bool] = Settling(
            lambda _, new: THROTTLE_BEGINS_S if new else THROTTLE_ENDS_S
        )
        self._failed: Settling[str, bool] = Settling(lambda _, new: GPU_ERROR_S if new else GPU_BACK_S)

        self._quiet: set[str] = set()
        """GPUs of which nothing is wrong and nothing waits to settle: most of them, most of the time."""

    def keep(self, uuids: Collection[str]) -> None:
        """Forget GPUs that are no longer in the cluster."""
        self._quiet.intersection_update(uuids)
        self._throttled.keep(uuids)
        self._failed.keep(uuids)

    def is_quiet(self, reading: GpuReading) -> bool:
        """Return whether a reading is as quiet as the one before, so that `see` has nothing to look at."""
        reasons = reading.throttle_reasons
        return (
            reading.error is None
            and reading.uuid in self._quiet
            and (not reasons or throttles().keys().isdisjoint(reasons))
        )

    def see(self, reading: GpuReading, place: Place, now_s: float) -> Iterator[Incident]:
        """Report what begins and ends."""
        yield from self._see_failure(reading, place, now_s)
        yield from self._see_throttling(reading, place, now_s)
        settled = self._failed.is_settled(reading.uuid, False)
        if settled and self._throttled.is_settled(reading.uuid, False):
            self._quiet.add(reading.uuid)
        else:
            self._quiet.discard(reading.uuid)

    def _see_failure(self, reading: GpuReading, place: Place, now_s: float) -> Iterator[Incident]:
        failure = self._failed.see(reading.uuid, reading.error is not None, now_s)
        if failure is not None:
            after = _after(failure.lasted_s)
            yield (
                place.incident(failure.since_s, "gpu", "bad", "GPU fails", reading.error or "")
                if failure.new
                else place.incident(failure.since_s, "gpu", "good", "GPU can be read again", after)
            )

    def _see_throttling(self, reading: GpuReading, place: Place, now_s: float) -> Iterator[Incident]:
        if reading.throttle_reasons is None:
            return  # not known: neither throttled nor not
        throttled = bool(reading.throttle_reasons) and not throttles().keys().isdisjoint(
            reading.throttle_reasons
        )
        change = self._throttled.see(reading.uuid, throttled, now_s)
        if change is None:
            return
        if change.new:
            evidence = throttle_evidence(reading, place)
            yield place.incident(change.since_s, "throttle", "warning", "throttling begins", evidence)
        else:
            after = _after(change.lasted_s)
            yield place.incident(change.since_s, "throttle", "good", "throttling ends", after)


def throttle_evidence(reading: GpuReading, place: Place) -> str:
    """Describe why and how much a GPU throttles: 'hardware slowdown, 91 °C, 345 of 1,980 MHz'."""
    names = throttles()
    parts = [names[reason] for reason in reading.throttle_reasons or () if reason in names]
    if reading.temperature_c is not None:
        parts.append(f"{reading.temperature_c:.0f} °C")
    facts = None if place.gpu is None else place.gpu.facts
    most = None if facts is None else facts.max_sm_clock_mhz
    if reading.sm_clock_mhz is not None:
        of = f" of {most:,.0f}" if most else ""
        parts.append(f"{reading.sm_clock_mhz:,.0f}{of} MHz")
    return ", ".join(parts)


def _after(lasted_s: float | None) -> str:
    return "" if lasted_s is None else f"after {format_duration(round(lasted_s))}"
