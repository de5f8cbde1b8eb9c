"""The last lines that an engine wrote before it failed, below what is said of the failure."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from cluster.deploy.status import DeploymentStatus


def last_log_lines(status: DeploymentStatus | None) -> Iterator[str]:
    """Yield the last lines of each replica that failed and does not serve now."""
    for replica in status.replicas if status is not None else ():
        if replica.last_log and not replica.ready:
            yield f"replica {replica.replica}, last lines of its log:"
            yield from (f"  {line}" for line in replica.last_log)


def print_last_log(status: DeploymentStatus | None) -> None:
    """Print those lines on stderr."""
    for line in last_log_lines(status):
        print(line, file=sys.stderr, flush=True)
