"""The progress of a deployment until it is ready, as a line of text for each change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cluster.deploy.status import DeploymentStatus, RankState

_ORDER = tuple(RankState)


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
    counts = Counter(rank.state for rank in status.ranks)
    parts = [f"{counts[state]} {_named(state, status)}" for state in _ORDER if counts[state]]
    reason = f": {status.reason}" if status.reason else ""
    return (
        f"{status.name} is {status.state}{reason} ({', '.join(parts)})" if parts else f"{status.name}{reason}"
    )


def _named(state: RankState, status: DeploymentStatus) -> str:
    if state is not RankState.LOADING:
        return str(state)
    fractions = [rank.progress for rank in status.ranks if rank.state is state and rank.progress is not None]
    # Ten-percent steps: enough to see that it moves, few enough to read.
    return f"{state} {10 * int(10 * min(fractions))}%" if fractions else str(state)
