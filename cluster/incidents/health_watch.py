"""Findings of the judge of health that begin and end."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from cluster.gpu_health import Finding, Health
from cluster.incidents.incident import Incident, Severity
from cluster.incidents.places import Place, found_at_start
from cluster.inventory import Gpu

WATCHED_ELSEWHERE = frozenset(
    {
        "throttled",
        "power_brake",
        "xid",
        "xid_fatal",
        "nvlinks_down",
        "all_nvlinks_down",
        "lost",
        "needs_reset",
        "reads_fail",
    }
)
"""Codes whose beginning and end other watches notice earlier; here they count at the start only."""
NOT_REPORTED = frozenset({"busy", "power_capped"})
"""Codes that come and go with the work on a GPU."""
_SILENT = WATCHED_ELSEWHERE | NOT_REPORTED


class HealthWatch:
    """Compares each GPU's findings with those that were last known. The judge has a hysteresis of its own."""

    def __init__(self) -> None:
        self._findings: dict[str, dict[str, Finding]] = {}
        """By GPU and code: those that have begun and not ended."""

    def keep(self, uuids: Collection[str]) -> None:
        """Forget GPUs that are no longer in the cluster."""
        for uuid in [uuid for uuid in self._findings if uuid not in uuids]:
            del self._findings[uuid]

    def see(self, gpu: Gpu, place: Place, now_s: float) -> Iterator[Incident]:
        """Report findings that begin and end. A GPU that nobody has judged says nothing."""
        if gpu.health is None:
            return
        known = self._findings.get(gpu.uuid)
        if known is None:
            yield from self._first(gpu, gpu.health, place, now_s)
        elif known or gpu.health.findings:
            yield from self._changes(gpu, known, place, now_s)

    def _first(self, gpu: Gpu, health: Health, place: Place, now_s: float) -> Iterator[Incident]:
        self._findings[gpu.uuid] = {finding.code: finding for finding in health.findings}
        for finding in health.findings:
            if finding.code not in NOT_REPORTED:
                yield found_at_start(_begins(finding, place, now_s))

    def _changes(self, gpu: Gpu, known: dict[str, Finding], place: Place, now_s: float) -> Iterator[Incident]:
        findings = {finding.code: finding for finding in gpu.health.findings} if gpu.health else {}
        self._findings[gpu.uuid] = findings
        for code, finding in findings.items():
            before = known.get(code)
            if (before is None or before.state != finding.state) and code not in _SILENT:
                yield _begins(finding, place, now_s)
        for code, finding in known.items():
            if code not in findings and code not in _SILENT:
                yield _over(finding, place, now_s)


def _begins(finding: Finding, place: Place, now_s: float) -> Incident:
    severity: Severity = "bad" if finding.state == "unhealthy" else "warning"
    begun = place.incident(now_s, "health", severity, finding.state, finding.text)
    return replace(begun, code=finding.code)


def _over(finding: Finding, place: Place, now_s: float) -> Incident:
    over = place.incident(now_s, "health", "good", "over", finding.code.replace("_", " "))
    return replace(over, code=finding.code)
