"""The replicas of a router as its controller last reported them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from cluster.deploy.replica_news import ReplicaNews
from cluster.deploy.router.replica_pool import BalancedReplica


class ReportedReplica(BalancedReplica, Protocol):
    """A replica that follows its controller's reports."""

    @property
    def start(self) -> int:
        """Number of the start that its processes belong to."""

    def update(self, news: ReplicaNews) -> None:
        """Apply a report on the same start."""

    def abandon(self, reason: str) -> None:
        """Fail every open request: the processes behind this replica are gone."""


ReportedT = TypeVar("ReportedT", bound=ReportedReplica)


class ReportedPool(Generic[ReportedT]):
    """Replicas made by `make`; `on_new_start` is called with the name of one whose processes are new."""

    def __init__(
        self,
        make: Callable[[ReplicaNews], ReportedT],
        on_new_start: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._make, self.on_new_start = make, on_new_start
        self._replicas: dict[int, ReportedT] = {}

    def replicas(self) -> Sequence[ReportedT]:
        """Return all replicas, ready or not."""
        return list(self._replicas.values())

    def update(self, news: Sequence[ReplicaNews]) -> None:
        """Apply the controller's report. A restarted replica counts as a new one; one left out is gone."""
        for item in news:
            known = self._replicas.get(item.replica)
            if known is not None and known.start == item.start:
                known.update(item)
                continue
            if known is not None:
                known.abandon("the replica is restarting")
                self.on_new_start(known.name)
            self._replicas[item.replica] = self._make(item)
        for replica in self._replicas.keys() - {item.replica for item in news}:
            gone = self._replicas.pop(replica)
            gone.abandon("the replica was removed")
            # Its number may be given again, to a replica that has nothing to do with it.
            self.on_new_start(gone.name)
