"""A cluster seen through its dashboard: what it shows, what it cannot show, and what goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from cluster.bridge.driver.other_jobs import FOREIGN
from cluster.bridge.events import ClusterSeen, Event, Progress, ReadingsSeen, SessionLost
from cluster.bridge.observe.address import parse_dashboard_url
from cluster.bridge.observe.nodes import ABSENT, ASSUMED_LINKS
from cluster.bridge.observe.session import ObserveSession
from cluster.bridge.observe.usage import taken_gpus
from cluster.bridge.open_session import open_session
from cluster.errors import BadInput
from cluster.inventory import Cluster
from cluster.telemetry import NodeReading
from tests.cluster.bridge.observe.dashboard import MIB, Dashboard, gpu, node

PATIENCE_S = 20.0


class Watcher:
    """A session's listener that waits for what a test expects."""

    def __init__(self, session: ObserveSession) -> None:
        self.session, self.events = session, list[Event]()
        self._news = threading.Condition()
        session.start(self._take)

    def _take(self, event: Event) -> None:
        with self._news:
            self.events.append(event)
            self._news.notify_all()

    def wait_for(self, expected: Callable[[], bool]) -> None:
        with self._news:
            assert self._news.wait_for(expected, PATIENCE_S), self.events[-3:]

    def seen(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def cluster(self) -> Cluster:
        self.wait_for(lambda: bool(self.seen(ClusterSeen)))
        event = self.seen(ClusterSeen)[-1]
        assert isinstance(event, ClusterSeen)
        return event.cluster

    @property
    def readings(self) -> dict[str, NodeReading]:
        self.wait_for(lambda: bool(self.seen(ReadingsSeen)))
        event = self.seen(ReadingsSeen)[-1]
        assert isinstance(event, ReadingsSeen)
        return {reading.node_id: reading for reading in event.nodes}

    def lost(self) -> SessionLost:
        self.wait_for(lambda: bool(self.seen(SessionLost)))
        event = self.seen(SessionLost)[-1]
        assert isinstance(event, SessionLost)
        return event


@pytest.fixture
def dashboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Dashboard]:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/nowhere")
    with Dashboard() as served:
        yield served


@pytest.fixture
def watch(dashboard: Dashboard) -> Iterator[Callable[[], Watcher]]:
    sessions: list[ObserveSession] = []

    def start() -> Watcher:
        sessions.append(ObserveSession(dashboard.url, look_s=0.05))
        return Watcher(sessions[-1])

    yield start
    for session in sessions:
        session.close()


def test_nodes_and_gpus_are_those_of_the_dashboard(
    dashboard: Dashboard, watch: Callable[[], Watcher]
) -> None:
    dashboard.nodes = [node(), node("id-h", "head", 0)]
    watcher = watch()
    a, head = watcher.cluster.nodes
    assert (a.name, a.address, len(a.gpus), a.ray_gpus, a.error) == ("gpu-a", "10.0.0.2", 8, 8, None)
    assert (head.name, head.gpus, head.ray_gpus, head.error) == ("head", (), 0, None)
    first = a.gpus[0]
    assert (first.type, first.memory_total_bytes) == ("H100", 81559 * MIB)
    assert first.memory_free_bytes == (81559 - 1000) * MIB
    assert first.nvlink_island is not None and first.facts is not None
    assert first.facts.absent["num_nvlinks"] == ASSUMED_LINKS
    assert [process.pid for process in first.processes] == [4242]
    reading = watcher.readings["id-a"]
    figures = reading.gpus[0]
    assert (figures.utilization_percent, figures.temperature_c, figures.power_w) == (97, 61, 312.5)
    assert figures.absent["sm_clock_mhz"] == ABSENT and "power_w" not in figures.absent
    host = reading.host
    assert host is not None and (host.cpu_percent, host.num_cpus, host.load_1m) == (12.5, 64, 1.5)
    assert (host.memory_available_bytes, host.disk_free_bytes) == (2**38, 2**39)
    assert (host.network_sent_bytes_per_s, host.network_received_bytes_per_s) == (100.0, 200.0)
    assert set(dashboard.asked) == {"/nodes?view=summary"}


def test_gpus_that_ray_counts_and_nobody_reads(dashboard: Dashboard, watch: Callable[[], Watcher]) -> None:
    dashboard.nodes = [node(gpus=[])]
    (seen,) = watch().cluster.nodes
    assert (seen.gpus, seen.ray_gpus) == ((), 8)
    assert (seen.error or "").startswith("Ray counts 8 GPUs, its reporter on this node shows none.")


@pytest.mark.parametrize(
    ("usage", "taken"),
    [
        ("", 0.0),
        ("3.0/64.0 CPU\n8.0/8.0 GPU\n0B/1GiB memory", 8.0),
        ("1.0/8.0 GPU (1.0 used of 4.0 reserved in placement groups)", 4.0),
        ("1.0/8.0 GPU_extra", 0.0),
        ("?/8.0 GPU", 0.0),
    ],
)
def test_gpus_that_jobs_hold(usage: str, taken: float) -> None:
    assert taken_gpus(usage) == taken


def test_a_node_whose_gpus_are_all_taken_is_not_planned_on(
    dashboard: Dashboard, watch: Callable[[], Watcher]
) -> None:
    dashboard.nodes, dashboard.usage = [node(), node("id-b", "gpu-b")], {"id-a": "8.0/8.0 GPU"}
    a, b = watch().cluster.nodes
    assert {one.claimed_by for one in a.gpus} == {FOREIGN}
    assert {one.claimed_by for one in b.gpus} == {None}


def test_gpus_that_workers_hold_are_named(dashboard: Dashboard, watch: Callable[[], Watcher]) -> None:
    """As Ray 2.60 reports an actor on two GPUs, one in a placement group, and a process without any."""
    seen = node()
    seen["raylet"]["coreWorkersStats"] = [
        {
            "jobId": "01000000",
            "pid": 77,
            "usedResources": {"GPU": {"resourceSlots": [{"slot": "2", "allocation": 1}]}},
        },
        {
            "jobId": "02000000",
            "pid": 78,
            "usedResources": {"GPUGroup0Ab": {"resourceSlots": [{"allocation": 0.5}]}},
        },
        {"jobId": "ffffffff", "pid": 79, "usedResources": {"CPU": {"resourceSlots": [{"allocation": 1.0}]}}},
        {"usedResources": 5},
        "no worker",
    ]
    dashboard.nodes = [seen]
    held = {one.index: one.claimed_by for one in watch().cluster.nodes[0].gpus if one.claimed_by}
    assert held == {0: "Ray job 02000000 (pid 78)", 2: "Ray job 01000000 (pid 77)"}


def test_what_one_node_reports_wrongly_concerns_that_node_alone(
    dashboard: Dashboard, watch: Callable[[], Watcher]
) -> None:
    twice = [gpu(0, uuid="GPU-x"), gpu(0, uuid="GPU-y"), gpu(1, uuid="GPU-x")]
    hostile = node("id-c", "gpu\x1b]0;c\x07", 1, gpus=[gpu(name="\x1b[31mX"), "no GPU"])
    dashboard.nodes = [
        node(gpus=[gpu(memoryTotal=-5)]),
        node("id-b", "gpu-b", gpus=twice),
        hostile,
        {"raylet": {"state": "ALIVE"}},
        node("id-d", "gpu-d", 1),
    ]
    by_id = {seen.node_id: seen for seen in watch().cluster.nodes}
    assert set(by_id) == {"id-a", "id-b", "id-c", "id-d"}
    assert "cannot be read (gpus.0.memoryTotal: " in (by_id["id-a"].error or "")
    assert [one.uuid for one in by_id["id-b"].gpus] == ["GPU-x"]
    assert "\x1b" not in by_id["id-c"].model_dump_json() and by_id["id-c"].error is not None
    assert len(by_id["id-d"].gpus) == 1 and by_id["id-d"].error is None


def test_a_node_that_dies_stays_until_it_is_dismissed(
    dashboard: Dashboard, watch: Callable[[], Watcher]
) -> None:
    old = node("id-old", "long-dead")
    old["raylet"] |= {"state": "DEAD", "stateMessage": "of old age"}
    dashboard.nodes = [node(), node("id-b", "gpu-b"), old]
    watcher = watch()
    assert [seen.name for seen in watcher.cluster.nodes] == ["gpu-a", "gpu-b"]
    with pytest.raises(BadInput, match="no dead node gpu-b"):
        watcher.session.dismiss("id-b").result(PATIENCE_S)
    dead = node("id-b", "gpu-b")
    dead["raylet"] |= {"state": "DEAD", "stateMessage": "Expected termination"}
    dashboard.nodes = [node(), dead, old]
    watcher.wait_for(lambda: watcher.readings["id-b"].state == "lost")
    left = watcher.cluster.nodes[1].left
    assert left is not None and left.reason == "Expected termination"
    assert not any(one.usable for one in watcher.cluster.nodes[1].gpus)
    watcher.session.dismiss("id-b").result(PATIENCE_S)
    assert [seen.name for seen in watcher.cluster.nodes] == ["gpu-a"]


def test_a_reporter_that_falls_silent_is_told_with_its_age(
    dashboard: Dashboard, watch: Callable[[], Watcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.bridge.observe.watch._STALE_S", 0.2)
    dashboard.nodes = [node()]
    watcher = watch()
    watcher.wait_for(lambda: watcher.readings["id-a"].state == "stale")
    assert "its Ray reporter has sent nothing for" in (watcher.readings["id-a"].reason or "")
    dashboard.nodes = [node(now=1005.0)]
    watcher.wait_for(lambda: watcher.readings["id-a"].state == "ok")


def test_a_node_without_a_report_yet_is_waited_for(
    dashboard: Dashboard, watch: Callable[[], Watcher]
) -> None:
    dashboard.nodes = [{"raylet": node()["raylet"]}]
    watcher = watch()
    assert (watcher.readings["id-a"].state, watcher.readings["id-a"].reason) == ("stale", "not reported yet")
    assert watcher.cluster.nodes[0].error == "Ray's reporter on this node has sent nothing yet"


def test_a_dashboard_that_stops_is_tried_again(dashboard: Dashboard, watch: Callable[[], Watcher]) -> None:
    dashboard.nodes = [node()]
    watcher = watch()
    assert watcher.cluster.num_gpus == 8
    dashboard.status = 502
    watcher.wait_for(lambda: any(isinstance(one, Progress) and one.interrupted for one in watcher.events))
    dashboard.status, dashboard.nodes = 200, [node(), node("id-b", "gpu-b")]
    watcher.wait_for(lambda: watcher.cluster.num_gpus == 16)
    assert watcher.seen(SessionLost) == []


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (404, b"no", "is not a Ray dashboard, or not a sound one (HTTP 404)"),
        (200, b"<html>", "is not a Ray dashboard"),
        (200, b'{"data": {"summary": 5}}', "is not a Ray dashboard (data.summary is not as expected)"),
        (302, b"", "HTTP 302"),
    ],
)
def test_another_service_is_told_in_one_line(
    dashboard: Dashboard, watch: Callable[[], Watcher], status: int, body: bytes, told: str
) -> None:
    dashboard.status, dashboard.body, dashboard.redirects_to = status, body, f"{dashboard.url}/elsewhere"
    lost = watch().lost()
    assert told in lost.reason and dashboard.url in lost.reason and lost.hint
    assert set(dashboard.asked) == {"/nodes?view=summary"}, "a redirect is not followed"


def test_nothing_at_the_address() -> None:
    with Dashboard() as gone:
        url = gone.url
    watcher = Watcher(ObserveSession(url))
    lost = watcher.lost()
    assert lost.reason.startswith(f"no dashboard at {url}: ") and "--dashboard-host" in lost.hint


def test_the_token_is_sent_and_never_shown(
    dashboard: Dashboard, watch: Callable[[], Watcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    dashboard.nodes, dashboard.token = [node()], "s3cret"
    lost = watch().lost()
    assert "rejected the request: no token" in lost.reason
    monkeypatch.setenv("RAY_AUTH_TOKEN", "wr0ng")
    lost = watch().lost()
    assert "the token in RAY_AUTH_TOKEN is not the cluster's token" in lost.reason
    assert "wr0ng" not in lost.reason + lost.hint
    monkeypatch.setenv("RAY_AUTH_TOKEN", "s3cret")
    assert watch().cluster.num_gpus == 8


def test_an_observed_cluster_takes_no_orders(dashboard: Dashboard) -> None:
    session = open_session(address=None, simulate=None, observe=dashboard.url)
    assert not session.can_deploy and session.title == f"observing {dashboard.url}"
    with pytest.raises(BadInput, match="only observed"):
        session.stop("x").result(1)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://head:8265", "http://head:8265"),
        ("head", "http://head:8265"),
        ("head:80/", "http://head:80"),
        ("https://ray.example.com/dash/", "https://ray.example.com/dash"),
        ("http://[fd00::1]:8265", "http://[fd00::1]:8265"),
    ],
)
def test_addresses(text: str, url: str) -> None:
    assert parse_dashboard_url(text) == url


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ray://head:10001", "begins with ray://"),
        ("head:6379", "has the port of Ray's head"),
        ("http://", "has no host"),
        ("http://he ad:8265", "has no host"),
        ("http://head:99999", "is not an address"),
        ("http://me:secret@head:8265", "takes no user name"),
        ("http://head:8265/?view=x", "more than host, port and path"),
    ],
)
def test_addresses_that_cannot_be(text: str, told: str) -> None:
    with pytest.raises(BadInput, match=told) as refused:
        parse_dashboard_url(text)
    assert "secret" not in refused.value.one_line()
