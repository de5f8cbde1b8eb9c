"""Pictures of the main states. Look at a difference before you accept it: `make test-snapshot-update`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.bridge.events import ClusterSeen, DeploymentsSeen, Progress, ReadingsSeen
from cluster.deploy.log_page import LogPage
from cluster.deploy.status import DeploymentStatus
from cluster.inventory import Cluster, Node
from cluster.units import GIB
from tests.tui.builders import (
    NOW_S,
    make_cluster,
    make_deployment,
    make_nothing_fits,
    make_readings,
    opening_events,
)
from tests.tui.conftest import make_app, settle, until
from tests.tui.fake_session import FakeSession
from tests.tui.linked import eventful
from tests.tui.servers import LAST_LOG, failed_server, serving_server, starting_server
from tests.tui.sick import sick_cluster, sick_events

SMALL, MEDIUM, LARGE = (80, 24), (120, 40), (240, 70)


def planned(**setup: Any) -> Any:
    """An app on the recorded cluster, with its plan."""
    return make_app(**setup)


def joining() -> Any:
    """An app whose cluster is not there yet."""
    return make_app((Progress(message="starting raylet 2 of 2", fraction=0.6),))


def deployed(serving: bool) -> Any:
    """An app with a deployment that starts or serves."""
    cluster = make_cluster()
    used = int((71.6 if serving else 30) * GIB)
    status = make_deployment(cluster, serving)
    return make_app(
        (
            *opening_events(cluster),
            make_readings(cluster, used, 60.0 if serving else 20.0),
            DeploymentsSeen(deployments=(status,)),
        )
    )


def server(make: Callable[[Cluster], DeploymentStatus]) -> Any:
    """An app with a deployment of an engine that runs as servers, each with a log."""
    cluster = make_cluster(simulated=False)
    seen = DeploymentsSeen(deployments=(make(cluster),))
    events = (*opening_events(cluster), make_readings(cluster, int(71.6 * GIB), 60.0), seen)
    session = FakeSession(events, title="ray 10.0.0.1:6379")
    session.read_log = lambda replica, member, first, most: LogPage(
        replica=replica, first=max(0, first), lines=LAST_LOG[max(0, first) :]
    )
    return make_app(session=session)


def node_lost() -> Any:
    """An app with one node lost and one hung."""
    cluster = make_cluster(3, 4)
    first, second, third = make_readings(cluster).nodes
    states = (
        first,
        second.model_copy(update={"state": "lost", "taken_at_s": NOW_S - 75}),
        third.model_copy(update={"state": "hung", "reason": "NVML does not return"}),
    )
    return make_app((ClusterSeen(cluster=cluster), ReadingsSeen(nodes=states)))


def empty() -> Any:
    """An app on a machine without GPUs."""
    bare = Cluster(source="none", nodes=(Node(node_id="local", name="laptop", error="no NVIDIA driver"),))
    return make_app((ClusterSeen(cluster=bare),), open_simulated=joining, simulated_name="2x4xA100-80GB")


def sick() -> Any:
    """An app on a cluster with a hot GPU, one left out, a lost one and a dead node."""
    return make_app(sick_events(sick_cluster()))


STATES: dict[str, tuple[Callable[[], Any], tuple[str, ...], tuple[tuple[int, int], ...]]] = {
    "planned": (planned, (), (SMALL, MEDIUM, LARGE)),
    "joining": (joining, (), (SMALL,)),
    "refused": (planned, ("down",) * 5, (SMALL,)),
    "nothing_fits": (lambda: planned(plan=make_nothing_fits), (), (SMALL, MEDIUM)),
    "confirm": (planned, ("d",), (SMALL,)),
    "starting": (lambda: deployed(serving=False), ("tab",), (SMALL, LARGE)),
    "serving": (lambda: deployed(serving=True), ("tab",), (SMALL, MEDIUM)),
    "server_starting": (lambda: server(starting_server), ("tab",), (SMALL,)),
    "server_serving": (lambda: server(serving_server), ("tab",), (SMALL, LARGE)),
    "server_failed": (lambda: server(failed_server), ("tab",), (SMALL,)),
    "server_log": (lambda: server(failed_server), ("l",), (SMALL,)),
    "node_lost": (node_lost, (), (SMALL, MEDIUM)),
    "sick": (sick, ("g", "right"), (SMALL, MEDIUM, LARGE)),
    "gpu_page": (sick, ("g", "right", "enter"), (SMALL, MEDIUM)),
    "node_page": (sick, ("g", "up", "enter"), (SMALL, MEDIUM)),
    "processes": (lambda: make_app(eventful()), ("P",), (SMALL, MEDIUM)),
    "topology": (lambda: make_app(eventful()), ("T",), (SMALL, MEDIUM)),
    "events": (lambda: make_app(eventful()), ("E",), (SMALL,)),
    "rack": (lambda: make_app(opening_events(make_cluster(1, 72))), (), (SMALL,)),
    "empty": (empty, (), (SMALL,)),
    "why": (planned, ("c",), (SMALL, MEDIUM)),
    "details": (planned, ("enter",), (SMALL,)),
    "workload": (planned, ("w",), (SMALL,)),
    "help": (planned, ("question_mark",), (SMALL,)),
    "light": (planned, ("t",), (SMALL,)),
    "ascii": (lambda: planned(ascii_only=True), (), (SMALL,)),
    "many_nodes": (lambda: make_app(opening_events(make_cluster(1250, 8))), (), (SMALL, MEDIUM)),
}
CASES = [
    pytest.param(make, keys, size, id=f"{name}-{size[0]}x{size[1]}")
    for name, (make, keys, sizes) in STATES.items()
    for size in sizes
]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Show times the same everywhere."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(("make", "keys", "size"), CASES)
def test_picture(
    snap_compare: Any, make: Callable[[], Any], keys: tuple[str, ...], size: tuple[int, int]
) -> None:
    async def press(pilot: Any) -> None:
        await settle(pilot)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.05)
        if keys == ("d",):
            await until(pilot, lambda: pilot.app.screen is not pilot.app.main_screen)
        await settle(pilot)
        await until(pilot, lambda: not any(worker.group == "look" for worker in pilot.app.workers))
        for field in pilot.app.screen.query("Input"):
            field.cursor_blink = False

    assert snap_compare(make(), terminal_size=size, run_before=press)
