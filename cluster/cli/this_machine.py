"""This machine read once for a command, its GPUs judged."""

from __future__ import annotations

import time
from collections.abc import Mapping

from cluster.inventory import Cluster


def read_this_machine(env: Mapping[str, str] | None = None) -> Cluster:
    """Return this machine as a cluster of one node with the health of its GPUs.

    Without a GPU the source is 'none' and the node says why. `env` is the environment of the reading process.
    """
    from cluster.health.judge import with_health
    from cluster.probe.local import read_seen

    seen = read_seen(env=env)
    node = with_health(seen.node, seen.reading, seen.detail)
    return Cluster(source="nvml" if node.gpus else "none", nodes=(node,), taken_at_s=time.time())
