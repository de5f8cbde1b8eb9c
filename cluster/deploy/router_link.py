"""A controller's hold on its router: started, told of the replicas, started again when it dies."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

from cluster.deploy.rank_report import shown_state
from cluster.deploy.replica_group import ReplicaGroup
from cluster.deploy.router.pool import ReplicaStats
from cluster.deploy.router_actor import ReplicaNews, RouterActor
from cluster.deploy.spec import DeploymentSpec

_CONCURRENT_CALLS = 1000
_TELL_S = 1.0


class RouterLink:
    """The router actor of a deployment and its address."""

    def __init__(self, ray: Any, spec: DeploymentSpec) -> None:
        self._ray, self._spec = ray, spec
        self.actor: Any = None
        self.endpoint: str | None = None
        self._port = spec.router_port
        self._serving: Any = None
        self._told: Any = None
        self._told_at_s = 0.0
        self._last_news: list[tuple[int, int, bool]] = []

    def start(self) -> None:
        """Start the router beside the controller; its address is known some time later."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        node_id = self._ray.get_runtime_context().get_node_id()
        self.actor = (
            self._ray.remote(RouterActor)
            .options(
                num_cpus=0,
                num_gpus=0,
                max_concurrency=_CONCURRENT_CALLS,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
            )
            .remote(self._spec)
        )
        self._told, self._last_news = None, []
        self._serving = self.actor.serve.remote(self._port)

    def keep(self, groups: Sequence[ReplicaGroup]) -> None:
        """Take in what the router answered, and tell it of the replicas: news at once, else each second."""
        if self.actor is None:
            return
        try:
            self._take_answers()
        except Exception:
            self.endpoint = None
            self.start()
            return
        key = [(group.replica, group.starts, group.proven) for group in groups]
        late = time.monotonic() - self._told_at_s > _TELL_S
        if self.endpoint is not None and self._told is None and (late or key != self._last_news):
            self._told = self.actor.update.remote([_news(group) for group in groups])
            self._told_at_s, self._last_news = time.monotonic(), key

    def _take_answers(self) -> None:
        if self._serving is not None and self._is_ready(self._serving):
            serving, self._serving = self._serving, None
            self._port = self._ray.get(serving)
            self.endpoint = f"http://127.0.0.1:{self._port}"
        if self._told is not None and self._is_ready(self._told):
            told, self._told = self._told, None
            self._ray.get(told)

    def _is_ready(self, ref: Any) -> bool:
        ready, _ = self._ray.wait([ref], timeout=0)
        return bool(ready)

    def drain(self, deadline_s: float) -> None:
        """Let requests in flight end, taking no more; waits at most the deadline."""
        if self.actor is None or self.endpoint is None:
            return
        with contextlib.suppress(Exception):
            self._ray.get(self.actor.drain.remote(deadline_s), timeout=deadline_s + 2.0)

    def end(self) -> None:
        """End the router's process."""
        if self.actor is not None:
            self._ray.kill(self.actor, no_restart=True)
            self.actor = self.endpoint = None


def _news(group: ReplicaGroup) -> ReplicaNews:
    figures = group.ranks[0].report.figures
    states = tuple(str(shown_state(rank.report.step, proven=group.proven)) for rank in group.ranks)
    return ReplicaNews(
        replica=group.replica,
        start=group.starts,
        leader=group.leader,
        ready=group.proven,
        stats=ReplicaStats(
            requests_total=figures.requests_total,
            output_tokens_total=figures.output_tokens_total,
            all_reduces_per_token=figures.all_reduces_per_token,
            all_reduce_share=figures.all_reduce_share,
            rank_states=states,
        ),
    )
