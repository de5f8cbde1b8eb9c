"""The controller's side of its router: start it, update it, replace it if it dies or hangs."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from cluster.deploy.lifecycle import STEADY_S, pause_s
from cluster.deploy.listen_address import shown_host
from cluster.deploy.news_of import news_of, serving_replicas
from cluster.deploy.remote_class import remote_class
from cluster.deploy.replica_group import ReplicaGroup, process_ended
from cluster.deploy.replica_news import ReplicaNews
from cluster.deploy.router.traffic import TrafficFigures
from cluster.deploy.router_actor import RouterActor
from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.status import RouterStatus
from cluster.deploy.stuck import SAID_S, StuckWatch, Suspicion

_CONCURRENT_CALLS = 1000
_TELL_S = 1.0
_HUNG_S = 20.0
_START_S = 90.0
_ENDS_S = 6.0
_DRAIN_ANSWER_S = 3.0


class RouterLink:
    """The router actor of a deployment and its address."""

    def __init__(self, ray: Any, spec: DeploymentSpec) -> None:
        self._ray, self._spec = ray, spec
        self.actor: Any = None
        self.endpoint: str | None = None
        self.traffic: dict[int, TrafficFigures] = {}
        """Of users, by replica, as the router last reported it; empty until it has."""
        self.drained: frozenset[int] = frozenset()
        """Draining replicas that the router knows of and has no request in flight with."""
        self._told_to_drain: frozenset[int] = frozenset()
        self._port = spec.router_port
        self._serving: Any = None
        self._update: Any = None
        self._asked_at_s = 0.0
        self._last_news: list[tuple[Any, ...]] = []
        self._watch = StuckWatch(ray, f"ray::{RouterActor.__name__}", Suspicion(hung_s=_START_S))
        self._ended_at_s: float | None = None
        self._restarts = self._quick_restarts = 0
        self._is_over = False
        self._start_after_s = self._started_at_s = 0.0
        self._trouble, self._trouble_at_s = "", 0.0

    def start(self) -> None:
        """Start the router beside the controller; its address is known some time later."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        context = self._ray.get_runtime_context()
        strategy = NodeAffinitySchedulingStrategy(context.get_node_id(), soft=False)
        options = remote_class(self._ray, RouterActor).options(
            num_cpus=0, num_gpus=0, max_concurrency=_CONCURRENT_CALLS, scheduling_strategy=strategy
        )
        self.actor = options.remote(self._spec, os.getpid(), context.gcs_address)
        self._update, self._last_news, self._ended_at_s, self.traffic = None, [], None, {}
        self.drained = self._told_to_drain = frozenset()
        self._watch.forget()
        self._watch.suspicion.hung_s = _START_S
        self._serving = self.actor.serve.remote(self._port)
        self._started_at_s = self._asked_at_s = time.monotonic()

    def silent_s(self) -> float:
        """Return for how long the router's answer is overdue; 0 if none is."""
        owes = self._update is not None or (self._serving is not None and self.endpoint is None)
        return time.monotonic() - self._asked_at_s if owes and self.actor is not None else 0.0

    def forgive(self, paused_s: float) -> None:
        """Subtract seconds from its silence during which this process was paused."""
        self._asked_at_s += paused_s

    def trouble_now(self) -> str:
        """Return in one line why requests are not taken now, empty while the router answers."""
        if self.endpoint is None:
            last = f" ({self._trouble})" if self._trouble else ""
            return f"the router is starting{' again' if self._restarts else ''}{last}"
        silent_s = self.silent_s()
        return f"the router has not answered for {silent_s:.0f} s" if silent_s > SAID_S else ""

    def status(self) -> RouterStatus:
        """Return how often the router was started again, and what was last wrong with it."""
        age_s = time.monotonic() - self._trouble_at_s if self._trouble else None
        return RouterStatus(restarts=self._restarts, last_trouble=self._trouble, last_trouble_age_s=age_s)

    def keep(self, groups: Sequence[ReplicaGroup]) -> None:
        """Process the router's answers and send it the replicas: changes at once, else every second."""
        if self.actor is None:
            if not self._is_over and time.monotonic() > self._start_after_s:
                self.start()
            return
        try:
            self._take_answers()
        except Exception as error:
            self._replace(process_ended(error))
            return
        if self._look_at_silence():
            self._replace("its process could not be killed")
            return
        serving = serving_replicas(groups)
        self._tell([news_of(group, group.replica in serving, self._spec) for group in groups])

    def _tell(self, news: list[ReplicaNews]) -> None:
        key = [(one.replica, one.start, one.ready, one.draining, one.endpoint) for one in news]
        late = time.monotonic() - self._asked_at_s > _TELL_S
        if self.endpoint is not None and self._update is None and (late or key != self._last_news):
            self._update = self.actor.update.remote(news)
            self._asked_at_s, self._last_news = time.monotonic(), key
            self._told_to_drain = frozenset(one.replica for one in news if one.draining)

    def _take_answers(self) -> None:
        if self._serving is not None and self._is_ready(self._serving):
            serving, self._serving = self._serving, None
            self._port = self._ray.get(serving)
            host = shown_host(self._spec.router_host, self._ray.util.get_node_ip_address())
            self.endpoint = f"http://{host}:{self._port}"
            self._watch.suspicion.hung_s = _HUNG_S
        if self._update is not None and self._is_ready(self._update):
            update, self._update = self._update, None
            self.traffic = self._ray.get(update)
            # Counted after the news was taken in: no request can have been sent there since.
            idle = {replica for replica, figures in self.traffic.items() if not figures.in_flight}
            self.drained = self._told_to_drain & idle

    def _look_at_silence(self) -> bool:
        """Follow up a silence; True when the process was ended in vain. Otherwise its open call fails.

        Ray is asked last: it calls an actor dead before its process is gone, and only then is its port free.
        """
        now_s, before = time.monotonic(), self._watch.suspicion.num_troubles
        if self._ended_at_s is not None:
            if now_s - self._ended_at_s > _ENDS_S:
                self._ray.kill(self.actor, no_restart=True)
                return True
            return False
        reason = self._watch.look(self.actor, self.silent_s())
        if self._watch.suspicion.num_troubles != before:
            self._note(f"it {self._watch.suspicion.trouble}")
        if reason is not None:
            self._ended_at_s = now_s
        return False

    def _note(self, trouble: str) -> None:
        self._trouble, self._trouble_at_s = trouble, time.monotonic()

    def _replace(self, reason: str) -> None:
        """Start again: at once the first time, later after a pause that grows."""
        now_s = time.monotonic()
        if self._ended_at_s is None:
            self._note(reason)
        steady = now_s - self._started_at_s > STEADY_S
        self._quick_restarts = 0 if steady else self._quick_restarts + 1
        self._restarts += 1
        self._start_after_s = now_s + (pause_s(self._quick_restarts - 1) if self._quick_restarts > 1 else 0.0)
        self.actor = self.endpoint = self._serving = self._update = None
        if self._start_after_s <= now_s:
            self.start()

    def _is_ready(self, ref: Any) -> bool:
        ready, _ = self._ray.wait([ref], timeout=0)
        return bool(ready)

    def refuse(self) -> bool:
        """Take no more requests; True when none is in flight, or the router cannot say."""
        if self.actor is None or self.endpoint is None or self.silent_s() > SAID_S:
            return True
        try:
            return bool(self._ray.get(self.actor.drain.remote(0.0), timeout=_DRAIN_ANSWER_S))
        except Exception:
            return True

    def end(self) -> None:
        """End the router's process, for good."""
        self._is_over = True
        if self.actor is not None:
            self._ray.kill(self.actor, no_restart=True)
            self.actor = self.endpoint = None
