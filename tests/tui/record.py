"""Records what a real session says: python -m tests.tui.record FILE.

Opens the simulated cluster of the defaults, deploys the recommended layout of the default model, prompts it,
stops it again, and writes the events as JSON lines. Pictures and tests replay the file.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cluster.bridge import open_session
from cluster.bridge.events import DeploymentsSeen, Event
from cluster.bridge.session import Session
from cluster.cli.defaults import read_defaults
from cluster.deploy.status import DeploymentState
from cluster.planner.request import PlanRequest
from tui.cluster_now import current_cluster
from tui.deploy_spec import order_now
from tui.planner.by_name import plan_with_catalog
from tui.store import Store

_PROMPTS = 24
_WAIT_S = 180.0


class Recorder:
    """A listener that keeps every event and the state they add up to."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.store = Store()
        self._changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self.store.apply(event)
            self._changed.notify_all()

    def wait_for(self, reached: Callable[[], bool]) -> None:
        """Wait until the state is as wanted."""
        with self._changed:
            if not self._changed.wait_for(reached, _WAIT_S):
                raise TimeoutError("the session did not get there")


def play(session: Session, recorder: Recorder) -> None:
    """Plan, deploy, prompt, stop."""
    defaults = read_defaults()
    session.start(recorder)
    recorder.wait_for(lambda: bool(recorder.store.snapshot.readings))
    cluster = current_cluster(recorder.store.snapshot)
    assert cluster is not None
    plan = plan_with_catalog(cluster, defaults.models[0], PlanRequest())
    assert plan.recommended is not None
    spec = order_now(plan, plan.recommended, ())
    session.deploy(spec).result(_WAIT_S)
    recorder.wait_for(lambda: _is_ready(recorder))
    answers = [session.prompt(spec.name, f"p{number}", "Hello", 48) for number in range(_PROMPTS)]
    for answer in answers:
        answer.result(_WAIT_S)
    time.sleep(2.5)
    session.stop(spec.name).result(_WAIT_S)


def _is_ready(recorder: Recorder) -> bool:
    deployments = recorder.store.snapshot.deployments
    return bool(deployments) and all(item.state is DeploymentState.READY for item in deployments)


def main() -> int:
    """Record one session."""
    recorder = Recorder()
    session = open_session(address=None, simulate=read_defaults().simulated_cluster)
    try:
        play(session, recorder)
    finally:
        session.close()
    lines = [event.model_dump_json() for event in _thinned(recorder.events)]
    Path(sys.argv[1]).write_text("\n".join(lines) + "\n", "utf-8")
    return 0


def _thinned(events: list[Event]) -> list[Event]:
    """Leave out what only repeats: deployments that differ in ages alone, readings that nothing follows."""
    kept: list[Event] = []
    last = ""
    for event in events:
        if event.kind == "token":
            continue
        if isinstance(event, DeploymentsSeen):
            states = repr([[rank.state, rank.progress] for item in event.deployments for rank in item.ranks])
            rates = repr([item.tokens_per_s for item in event.deployments])
            if states + rates == last:
                continue
            last = states + rates
        if kept and kept[-1].kind == event.kind == "readings":
            kept.pop()
        kept.append(event)
    return kept


if __name__ == "__main__":
    sys.exit(main())
