"""A GPU's health as the map shows it: a sign, a short word and the evidence. Pure.

The verdict is the judge's (`Gpu.health`); only an error in the latest reading counts before it is judged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from cluster.gpu_health import Finding, Health
from cluster.inventory import Cluster, Gpu
from cluster.telemetry import GpuReading
from cluster.units import count_of
from tui.glyphs import DEGRADED, LEFT_OUT, TROUBLE
from tui.store import SILENT_STATES, Snapshot

MarkState = Literal["healthy", "degraded", "unhealthy", "left out"]
SIGNS: dict[MarkState, str] = {
    "healthy": "",
    "degraded": DEGRADED,
    "unhealthy": TROUBLE,
    "left out": LEFT_OUT,
}


@dataclass(frozen=True, slots=True)
class Mark:
    """What stands beside a GPU; a healthy one has none."""

    state: MarkState = "healthy"
    word: str = ""
    """Short: 'hot', 'hot +1' where there is more, 'left out'."""
    text: str = ""
    """The evidence, in full."""

    @property
    def sign(self) -> str:
        return SIGNS[self.state]


HEALTHY = Mark()


def mark_of(gpu: Gpu, reading: GpuReading | None) -> Mark:
    """Return a GPU's mark: the worst that is known of it."""
    error = (reading.error if reading is not None else None) or gpu.unhealthy_reason
    if error:
        return Mark("unhealthy", _word(gpu.health, "unhealthy") or "unhealthy", error)
    if gpu.health is not None and gpu.health.findings:
        return _judged(gpu.health)
    if gpu.excluded_reason:
        return Mark("left out", "left out", gpu.excluded_reason)
    return HEALTHY


@lru_cache(maxsize=4096)
def _of_findings(state: MarkState, findings: tuple[Finding, ...]) -> Mark:
    more = f" +{len(findings) - 1}" if len(findings) > 1 else ""
    return Mark(state, _spoken(findings[0]) + more, "; ".join(finding.text for finding in findings))


def _judged(health: Health) -> Mark:
    return HEALTHY if health.state == "healthy" else _of_findings(health.state, health.findings)


def _word(health: Health | None, state: str) -> str:
    findings = health.findings if health is not None else ()
    return next((_spoken(finding) for finding in findings if finding.state == state), "")


def _spoken(finding: Finding) -> str:
    return finding.code.replace("_", " ")


def node_marks(marks: Iterable[tuple[int, Mark]]) -> tuple[Mark, ...]:
    """Summarize a node's GPUs, given with their index: a mark per state, the worst first.

    The word of a single GPU names it, 'GPU 3 hot'; several are counted, '2 degraded'.
    """
    found: dict[MarkState, list[tuple[int, Mark]]] = {"unhealthy": [], "degraded": [], "left out": []}
    for index, mark in marks:
        if mark.state != "healthy":
            found[mark.state].append((index, mark))
    return tuple(
        Mark(state, f"GPU {some[0][0]} {some[0][1].word}" if len(some) == 1 else f"{len(some)} {state}")
        for state, some in found.items()
        if some
    )


class HealthCounter:
    """Counts what is wrong in a cluster. The inventory is counted again only when another one is seen."""

    def __init__(self) -> None:
        self._cluster: Cluster | None = None
        self._by_state: dict[MarkState, frozenset[str]] = {}

    def count(self, snapshot: Snapshot) -> tuple[Mark, ...]:
        """Return a mark for each kind of trouble, the worst first, with its count as its word."""
        cluster = snapshot.cluster
        if cluster is None:
            return ()
        if cluster is not self._cluster:
            self._cluster, self._by_state = cluster, _by_state(cluster)
        present = [node.node_id for node in cluster.nodes if node.left is None]
        dead = len(cluster.nodes) - len(present)
        readings = [snapshot.readings[node_id] for node_id in present if node_id in snapshot.readings]
        silent = sum(reading.state in SILENT_STATES for reading in readings)
        errors = {gpu.uuid for reading in readings for gpu in reading.gpus if gpu.error is not None}
        bad = self._by_state["unhealthy"] | errors
        counts: tuple[tuple[MarkState, int, str], ...] = (
            ("unhealthy", dead, f"{count_of(dead, 'node')} dead"),
            ("unhealthy", silent, f"{count_of(silent, 'node')} not answering"),
            ("unhealthy", len(bad), f"{len(bad):,} unhealthy"),
            ("degraded", len(self._by_state["degraded"] - bad), ""),
            ("left out", len(self._by_state["left out"] - bad), ""),
        )
        return tuple(Mark(state, word or f"{number:,} {state}") for state, number, word in counts if number)


def _by_state(cluster: Cluster) -> dict[MarkState, frozenset[str]]:
    """Map each state but healthy to the uuids of the GPUs in it; those of dead nodes are not counted."""
    found: dict[MarkState, set[str]] = {"unhealthy": set(), "degraded": set(), "left out": set()}
    for node in cluster.nodes:
        for gpu in node.gpus if node.left is None else ():
            mark = mark_of(gpu, None)
            if mark is not HEALTHY:
                found[mark.state].add(gpu.uuid)
    return {state: frozenset(uuids) for state, uuids in found.items()}
