"""Xids: errors that the driver reports by number."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from cluster.detail import GpuDetail, XidEvent
from cluster.health.thresholds import thresholds
from cluster.incidents.incident import Incident, Severity
from cluster.incidents.places import Place

XIDS_FILE = Path(__file__).parent / "xids.toml"


@cache
def known_xids() -> dict[int, str]:
    """Return what Xids mean, by number."""
    values = tomllib.loads(XIDS_FILE.read_text(encoding="utf-8"))
    others = {int(code): str(means) for code, means in values.items()}
    judged = thresholds().xid
    return others | judged.degraded | judged.unhealthy


class XidWatch:
    """Remembers which Xids of each GPU were reported."""

    def __init__(self) -> None:
        self._reported: dict[str, frozenset[XidEvent]] = {}

    def keep(self, uuids: Collection[str]) -> None:
        """Forget GPUs that are no longer in the cluster."""
        for uuid in [uuid for uuid in self._reported if uuid not in uuids]:
            del self._reported[uuid]

    def see(self, detail: GpuDetail, place: Place) -> Iterator[Incident]:
        """Report the Xids that are new, with the time that the driver's event had."""
        before = self._reported.get(detail.uuid)
        if not detail.xids and before is not None:
            return  # none, or read by a probe that has just started: those that were reported stay known
        self._reported[detail.uuid] = frozenset(detail.xids)
        for event in detail.xids:
            if before is None or event not in before:
                yield replace(_incident(event, place), at_start=before is None)


def _incident(event: XidEvent, place: Place) -> Incident:
    severity: Severity = "bad" if event.code in thresholds().xid.unhealthy else "warning"
    means = known_xids().get(event.code, "")
    incident = place.incident(event.at_s, "xid", severity, f"Xid {event.code}", means)
    return replace(incident, code=str(event.code))
