"""GPUs that another Ray job holds, although NVML reports them free."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from cluster.inventory import Node

FOREIGN = "another Ray job"
_LASTS_S = 5.0


class ForeignClaims:
    """Finds nodes on which other jobs hold every GPU that is not ours.

    Ray says how many GPUs of a node are taken, not which; only when all are is each of them known. Its count
    lags behind our own claims, so it must say the same for some seconds.
    """

    def __init__(self) -> None:
        self._since_s: dict[str, float] = {}

    def add(
        self, nodes: Iterable[Node], ours: Mapping[str, str], num_free: Mapping[str, int]
    ) -> dict[str, str]:
        """Return `ours` (GPU uuid -> deployment) with the GPUs of other jobs added."""
        claims = dict(ours)
        for node in nodes:
            is_full = num_free.get(node.node_id) == 0
            others = [gpu.uuid for gpu in node.gpus if gpu.uuid not in ours] if is_full else ()
            if others:
                since_s = self._since_s.setdefault(node.node_id, time.monotonic())
                if time.monotonic() - since_s >= _LASTS_S:
                    claims.update(dict.fromkeys(others, FOREIGN))
            else:
                self._since_s.pop(node.node_id, None)
        return claims
