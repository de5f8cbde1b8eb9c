"""SIGSTOP to each process in turn while two replicas serve: noticed within seconds, and serving again soon.

All cases share one cluster and one deployment; each must leave it serving for the next.
"""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.bridge.open_session import open_session
from cluster.cli.session_view import SessionView
from cluster.deploy.process_state import ProcessState, state_of
from cluster.deploy.status import DeploymentStatus
from cluster.errors import Unreachable
from tests.cluster.cli.run_clusterview import run_clusterview
from tests.ray.conftest import record_of
from tests.ray.support import START_S, order, wait_until
from tests.ray.victims import held, victim, zombies_of

pytestmark = [pytest.mark.ray, pytest.mark.alone]

SPEC = "2x2xL4"
NOTICED_S = 10.0
HEALED_S = 30.0


@pytest.fixture(scope="module")
def serving(state_dir: Path) -> Iterator[SessionView]:
    """A session with a deployment of two replicas on one node each, with two ranks each."""
    with SessionView(open_session(address=None, simulate=SPEC), shows_progress=False) as view:
        cluster = view.settled_cluster(START_S)
        spec = order(cluster, "pair", [[(0, 0), (0, 1)], [(1, 0), (1, 1)]], planned_bytes=2**30)
        view.session.deploy(spec).result(START_S)
        assert view.wait(lambda: is_ready(view), START_S), view.find("pair")
        yield view
        if view.find("pair") is not None:
            view.session.stop("pair").result(START_S)


def status(view: SessionView) -> DeploymentStatus:
    found = view.find("pair")
    assert found is not None
    return found


def is_ready(view: SessionView) -> bool:
    found = view.find("pair")
    return found is not None and found.state == "ready"


def ask(view: SessionView) -> dict[str, Any]:
    """Send a prompt as any client does, with a timeout that allows for recovery."""
    body = json.dumps({"model": "tiny", "prompt": [1, 2, 3], "max_tokens": 4}).encode()
    request = urllib.request.Request(
        f"{status(view).endpoint}/v1/completions", body, {"content-type": "application/json"}
    )
    answer: dict[str, Any] = json.load(urllib.request.urlopen(request, timeout=HEALED_S))
    return answer


def stop_and_see(view: SessionView, what: str, sees: Callable[[DeploymentStatus], bool]) -> int:
    """Stop a process. The status must show it in time, and then be ready again in time."""
    pid = victim(record_of(SPEC), what)
    os.kill(pid, signal.SIGSTOP)
    assert view.wait(lambda: sees(status(view)), NOTICED_S), status(view)
    assert view.wait(lambda: is_ready(view), HEALED_S), status(view)
    assert ask(view)["choices"]
    return pid


def test_a_stopped_router_is_continued(serving: SessionView) -> None:
    endpoint = status(serving).endpoint
    pid = stop_and_see(
        serving, "router", lambda s: s.state != "ready" and "router has not answered for" in s.reason
    )
    assert status(serving).endpoint == endpoint
    assert serving.wait(lambda: "was stopped by a signal" in status(serving).router.last_trouble, NOTICED_S)
    assert (state_of(pid), status(serving).router.restarts) == (ProcessState.RUNS, 0)


def test_a_router_that_is_stopped_again_is_replaced_on_its_port(serving: SessionView) -> None:
    endpoint, pid = status(serving).endpoint, victim(record_of(SPEC), "router")
    with held(pid):
        assert serving.wait(lambda: status(serving).state != "ready", NOTICED_S), status(serving)
        assert serving.wait(lambda: status(serving).router.restarts == 1, HEALED_S), status(serving)
    assert serving.wait(lambda: is_ready(serving), HEALED_S), status(serving)
    assert ask(serving)["choices"]
    assert (status(serving).endpoint, state_of(pid)) == (endpoint, ProcessState.GONE)
    assert "router: 1 restart; last problem" in run_clusterview("status", "pair").stdout


def test_a_stopped_rank_is_reported_and_continued(serving: SessionView) -> None:
    stop_and_see(serving, "rank", lambda s: s.state == "degraded" and "has not answered for" in s.reason)
    troubles = [replica.last_trouble for replica in status(serving).replicas]
    assert any("was stopped by a signal" in trouble for trouble in troubles), troubles


def test_a_stopped_controller_is_reported_with_its_ranks_as_last_known(serving: SessionView) -> None:
    pid = victim(record_of(SPEC), "controller")
    with held(pid):
        time.sleep(2.0)
        began_s = time.monotonic()
        done = run_clusterview("status", "pair", "--json")
        assert time.monotonic() - began_s < 20.0  # importing and joining; the field's figure was 40 s
        (row,) = json.loads(done.stdout)["deployments"]
        assert {rank["state"] for rank in row["ranks"]} == {"ready"}, row
    os.kill(pid, signal.SIGCONT) if state_of(pid) is ProcessState.STOPPED else None
    assert serving.wait(lambda: is_ready(serving), HEALED_S), status(serving)
    assert ask(serving)["choices"]


@pytest.mark.parametrize("what", ["raylet", "gcs", "keeper", "guard", "probe"])
def test_a_stopped_process_of_the_cluster_is_continued(serving: SessionView, what: str) -> None:
    assert serving.cluster is not None
    pid = victim(record_of(SPEC), what, serving.cluster.nodes[1].node_id)
    os.kill(pid, signal.SIGSTOP)
    assert wait_until(lambda: state_of(pid) is ProcessState.STOPPED, 5)
    assert wait_until(lambda: state_of(pid) is ProcessState.RUNS, NOTICED_S)
    assert ask(serving)["choices"]


def all_read(view: SessionView) -> bool:
    return bool(view.readings) and all(reading.state == "ok" for reading in view.readings)


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_session_goes_on_after_its_child_was_stopped_or_killed(
    serving: SessionView, number: signal.Signals
) -> None:
    """Requests under way fail with one line; later ones are carried out by the next child."""
    os.kill(victim(record_of(SPEC), "bridge"), number)
    serving.readings, serving.deployments = (), None
    if number == signal.SIGKILL:
        assert serving.wait(lambda: serving.deployments is not None, HEALED_S)
    assert serving.wait(lambda: all_read(serving) and is_ready(serving), HEALED_S), serving.readings


def test_an_open_order_fails_when_its_child_dies(serving: SessionView) -> None:
    pid = victim(record_of(SPEC), "bridge")
    os.kill(pid, signal.SIGSTOP)
    order_under_way = serving.session.prompt("pair", "p1", "hello", 4)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Unreachable, match="lost during this operation"):
        order_under_way.result(HEALED_S)
    serving.session.prompt("pair", "p2", "hello", 4).result(HEALED_S)


def test_orphans_are_reaped(serving: SessionView) -> None:
    keeper = record_of(SPEC).pid
    assert wait_until(lambda: not zombies_of(keeper), NOTICED_S), zombies_of(keeper)


def test_stopping_does_not_wait_for_a_controller_that_is_stuck(serving: SessionView) -> None:
    """Runs last: afterwards nothing of the deployment is left, and its GPUs are free."""
    with held(victim(record_of(SPEC), "controller")):
        serving.session.stop("pair").result(HEALED_S)
    assert serving.wait(lambda: serving.find("pair") is None, NOTICED_S)
    assert serving.wait(lambda: all_free(serving), NOTICED_S), serving.cluster


def all_free(view: SessionView) -> bool:
    assert view.cluster is not None
    return not any(gpu.claimed_by for node in view.cluster.nodes for gpu in node.gpus)
