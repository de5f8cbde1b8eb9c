"""Deployments of the built-in engine grow, shrink and stop while they serve: no request is dropped."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from cluster.cli.session_view import SessionView
from cluster.deploy.order.scale import first_to_end, grown
from cluster.deploy.resized import replicas_of, without_replicas
from cluster.deploy.status import DeploymentStatus
from cluster.errors import BadInput
from tests.ray.steady_load import InFlight, SteadyLoad, stream
from tests.ray.support import START_S, pids_of_actor, wait_until
from tests.ray.test_deployments import held, start, temp_dir

pytestmark = [pytest.mark.ray, pytest.mark.long]

SCALE_S = 180.0


def scale(view: SessionView, name: str, count: int, drain_s: float = 60.0) -> DeploymentStatus:
    """Scale as the command does, and return the status after it."""
    spec = view.session.describe(name).result(START_S)
    now = view.find(name)
    assert now is not None
    if count > len(now.replicas):
        wanted = grown(spec, count, view.settled_cluster())
    else:
        wanted = without_replicas(spec, first_to_end(now.replicas, len(now.replicas) - count))
    view.session.scale(wanted, drain_s).result(SCALE_S)
    assert view.wait(lambda: is_at(view, name, count), START_S), view.find(name)
    status = view.find(name)
    assert status is not None
    return status


def is_at(view: SessionView, name: str, count: int) -> bool:
    status = view.find(name)
    if status is None or len(status.replicas) != count or status.state != "ready":
        return False
    return all(replica.ready for replica in status.replicas)


def test_growing_and_shrinking_drops_no_request_and_touches_no_other(view: SessionView) -> None:
    status, other = start(view, "grows", [[(0, 1)]]), start(view, "other", [[(0, 0)]])
    assert status.endpoint is not None and other.endpoint is not None
    with SteadyLoad(status.endpoint) as load, SteadyLoad(other.endpoint, clients=1) as beside:
        status = scale(view, "grows", 3)
        assert [replica.replica for replica in status.replicas] == [0, 1, 2]
        assert (status.label, len(status.ranks), status.reason) == ("DP=3", 3, "")
        assert len({rank.gpu_uuid for rank in (*status.ranks, *other.ranks)}) == 4
        assert len(held(view)["groups"]) == 4  # type: ignore[arg-type]

        # Long answers on all three; those of the replicas that end are finished first.
        long = InFlight(status.endpoint or "", 6, 100)
        status = scale(view, "grows", 1)
        assert [answer.is_good for answer in long.answers()] == [True] * 6
        assert [replica.replica for replica in status.replicas] == [0] and status.label == "DP=1"
        assert wait_until(lambda: len(held(view)["groups"]) == 2, 20)  # type: ignore[arg-type]

        spec = view.session.describe("grows").result(START_S)
        with pytest.raises(BadInput, match="has changed since"):
            view.session.scale(spec).result(START_S)
        assert load.answers and beside.answers

    assert load.failures == [] and beside.failures == []

    # A stop lets what is in flight finish, and takes nothing new.
    with SteadyLoad(other.endpoint, clients=1) as beside:
        long = InFlight(status.endpoint or "", 2, 100)
        stopping = view.session.stop("grows")
        refused = []

        def is_refused() -> bool:
            refused.append(stream(status.endpoint or "", 1))
            return refused[-1].status != 200

        assert wait_until(is_refused, 20)
        stopping.result(START_S)
        assert [answer.is_good for answer in long.answers()] == [True, True]
        assert beside.answers
    assert beside.failures == []
    # Either it was told to come again, or nothing listens any more.
    assert refused[-1].status in (0, 503) and (refused[-1].status == 0 or refused[-1].retry_after)
    view.session.stop("other").result(START_S)


def test_the_number_of_replicas_survives_the_controller(view: SessionView) -> None:
    start(view, "lives", [[(1, 0)]])
    scale(view, "lives", 2)
    for pid in pids_of_actor(temp_dir(), "Controller"):
        os.kill(pid, signal.SIGKILL)
    assert view.wait(
        lambda: (seen := view.find("lives")) is not None and seen.controller_restarts == 1, START_S
    )
    assert view.wait(lambda: is_at(view, "lives", 2), START_S), view.find("lives")
    assert replicas_of(view.session.describe("lives").result(START_S)) == (0, 1)
    view.session.stop("lives").result(START_S)


def test_a_drain_has_a_deadline(view: SessionView) -> None:
    """A request that takes too long is ended with the replica; the other one serves on."""
    status = start(view, "hurry", [[(1, 0)], [(1, 1)]])
    long: list[InFlight] = []
    sending = threading.Thread(target=lambda: long.append(InFlight(status.endpoint or "", 2, 110)))
    sending.start()
    sending.join(START_S)
    status = scale(view, "hurry", 1, drain_s=0.0)
    assert [replica.replica for replica in status.replicas] == [0]
    assert stream(status.endpoint or "", 4).is_good
    assert any(answer.is_good for answer in long[0].answers())
    view.session.stop("hurry", 0.0).result(START_S)
