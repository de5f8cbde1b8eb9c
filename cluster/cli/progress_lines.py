"""The progress of a deployment until it is ready, as a line of text for each change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cluster.deploy.status import DeploymentStatus, RankState, RankStatus

_ORDER = tuple(RankState)
_WITH_PHASE = (RankState.STARTING, RankState.LOADING, RankState.WARMING_UP)
"""States of a server in which its reason is the phase that its log tells."""


class ProgressLines:
    """Remembers the last line, so that only changes are printed."""

    def __init__(self) -> None:
        self._last = ""

    def news(self, status: DeploymentStatus | None) -> Iterator[str]:
        """Yield the line that says where the deployment is, if it differs from the last one."""
        line = "" if status is None else progress_line(status)
        if line and line != self._last:
            self._last = line
            yield line


def progress_line(status: DeploymentStatus) -> str:
    """Describe the state with the number of ranks in each: 'x is starting (4 loading 50%, 4 joining)'."""
    parts = _servers(status) if status.is_server else _ranks(status)
    reason = f": {status.reason}" if status.reason else ""
    return (
        f"{status.name} is {status.state}{reason} ({', '.join(parts)})" if parts else f"{status.name}{reason}"
    )


def _ranks(status: DeploymentStatus) -> list[str]:
    counts = Counter(rank.state for rank in status.ranks)
    return [f"{counts[state]} {_named(state, status)}" for state in _ORDER if counts[state]]


def _servers(status: DeploymentStatus) -> list[str]:
    """Count the servers in each phase, in the words of their own log."""
    by_server = {(rank.replica, rank.node_id): rank for rank in reversed(status.ranks)}
    counts = Counter(_phase(rank) for rank in by_server.values())
    return [f"{number} {phase}" for phase, number in sorted(counts.items())]


def _phase(rank: RankStatus) -> str:
    said = rank.reason if rank.reason and rank.state in _WITH_PHASE else str(rank.state)
    return said if rank.progress is None else f"{said} {_tens(rank.progress)}"


def _named(state: RankState, status: DeploymentStatus) -> str:
    if state is not RankState.LOADING:
        return str(state)
    fractions = [rank.progress for rank in status.ranks if rank.state is state and rank.progress is not None]
    return f"{state} {_tens(min(fractions))}" if fractions else str(state)


def _tens(fraction: float) -> str:
    """Format a progress in steps of ten percent: enough to see that it moves, few enough to read."""
    return f"{10 * int(10 * fraction)}%"
