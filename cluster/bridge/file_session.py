"""A session on a saved snapshot or a spec: for planning only."""

from __future__ import annotations

import threading

from cluster.bridge.events import ClusterSeen
from cluster.bridge.read_only import ReadOnlySession
from cluster.bridge.session import Listener
from cluster.inventory import Cluster


class FileSession(ReadOnlySession):
    """Sends its cluster once."""

    refusal = (
        "this cluster comes from a file or a spec, so nothing runs on it",
        "Open clusterview with --simulate or --address to deploy",
    )

    def __init__(self, cluster: Cluster, title: str) -> None:
        self._cluster, self._title = cluster, title

    @property
    def title(self) -> str:
        return self._title

    def start(self, listener: Listener) -> None:
        """Send the cluster."""
        seen = ClusterSeen(cluster=self._cluster)
        threading.Thread(target=listener, args=(seen,), name="file-session", daemon=True).start()

    def close(self) -> None:
        """Nothing was started."""
