"""A session on this machine: GPUs at once, Ray only when something is deployed, joined on the GPUs' uuids."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import pytest

from cluster.bridge.events import (
    ClusterSeen,
    DeploymentsSeen,
    Event,
    PreflightSeen,
    Progress,
    ReadingsSeen,
    SessionLost,
    TokenSeen,
)
from cluster.bridge.file_session import FileSession
from cluster.bridge.local_session import LocalSession
from cluster.bridge.session import Listener
from cluster.cluster_spec import parse_cluster_spec
from cluster.deploy.spec import DeploymentSpec, ModelSource, RankPlace
from cluster.errors import BadInput, Unreachable
from cluster.inventory import Cluster, Gpu, Node
from cluster.planner.layout import Layout
from cluster.probe.watch import ProbeProcess
from tests.cluster.probe.conftest import FakeNvml, fake_nvml, libraries
from tests.ray.support import ENGINE

__all__ = ["fake_nvml", "libraries"]

PATIENCE_S = 60.0


class Recorder:
    """Collects events and waits for one."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._news = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self._news:
            self.events.append(event)
            self._news.notify_all()

    def wait_for(self, expected: Callable[[Event], bool]) -> Event:
        with self._news:
            found = self._news.wait_for(lambda: next(filter(expected, self.events), None), PATIENCE_S)
        assert found, f"never came; there were {[event.kind for event in self.events]}"
        return found


class RayInTheMiddle:
    """The Ray session's place: keeps orders, and says what the test wants Ray to say."""

    def __init__(self) -> None:
        self.listener: Listener = lambda event: None
        self.started = threading.Event()
        self.specs: list[DeploymentSpec] = []
        self.checked: list[DeploymentSpec] = []
        self.closed = False
        self.answer: Exception | None = None

    title = "ray"
    can_deploy = True

    def start(self, listener: Listener) -> None:
        self.listener = listener
        self.started.set()

    def deploy(self, spec: DeploymentSpec) -> Future[None]:
        self.specs.append(spec)
        return self._done()

    def check(self, spec: DeploymentSpec) -> Future[None]:
        self.checked.append(spec)
        return self._done()

    def stop(self, name: str, drain_s: float = 30.0) -> Future[None]:
        return self._done()

    def prompt(self, name: str, prompt_id: str, text: str, max_tokens: int) -> Future[None]:
        self.listener(TokenSeen(prompt_id=prompt_id, text=text, done=True))
        return self._done()

    def close(self) -> None:
        self.closed = True

    def _done(self) -> Future[None]:
        future: Future[None] = Future()
        if self.answer is None:
            future.set_result(None)
        else:
            future.set_exception(self.answer)
        return future


def ray_cluster(*uuids: str) -> Cluster:
    """What Ray says of this machine: other ids, another order."""
    gpus = tuple(
        Gpu(index=i, uuid=uuid, type="A100-80GB", memory_total_bytes=1) for i, uuid in enumerate(uuids)
    )
    return Cluster(source="ray", nodes=(Node(node_id="ray-node-id", name="ray-name", gpus=gpus),))


def order(*uuids: str) -> DeploymentSpec:
    ranks = tuple(
        RankPlace(replica=0, stage=0, rank=i, node_id="local", node_name="here", gpu_index=i, gpu_uuid=uuid)
        for i, uuid in enumerate(uuids)
    )
    model = ModelSource(name="m", config={})
    return DeploymentSpec(name="d", model=model, layout=Layout(tp=2), engine=ENGINE, ranks=ranks)


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTERVIEW_STATE_DIR", str(tmp_path))


@pytest.fixture
def ray() -> RayInTheMiddle:
    return RayInTheMiddle()


@pytest.fixture
def session(fake_nvml: FakeNvml, ray: RayInTheMiddle) -> Iterator[tuple[LocalSession, Recorder]]:
    make_probe = partial(ProbeProcess, interval_s=0.1, env=fake_nvml(gpus=2))
    session, recorder = LocalSession(make_ray=lambda: ray, make_probe=make_probe), Recorder()
    session.start(recorder)
    yield session, recorder
    session.close()


Session = tuple[LocalSession, Recorder]


def is_cluster(source: str) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, ClusterSeen) and event.cluster.source == source


def is_reading(event: Event) -> bool:
    return isinstance(event, ReadingsSeen)


def test_gpus_are_shown_without_ray(session: Session, ray: RayInTheMiddle) -> None:
    local, recorder = session
    seen = recorder.wait_for(is_cluster("nvml"))
    assert isinstance(seen, ClusterSeen)
    assert [gpu.type for gpu in seen.cluster.nodes[0].gpus] == ["A100-80GB"] * 2
    reading = recorder.wait_for(is_reading)
    assert isinstance(reading, ReadingsSeen)
    assert reading.nodes[0].node_id == seen.cluster.nodes[0].node_id
    assert local.can_deploy
    assert not ray.started.is_set()
    # Who waits for the deployments of this machine learns at once that there are none.
    assert recorder.wait_for(lambda event: isinstance(event, DeploymentsSeen)) == DeploymentsSeen(
        deployments=()
    )


def test_a_first_order_starts_ray_and_takes_its_ids(session: Session, ray: RayInTheMiddle) -> None:
    local, recorder = session
    recorder.wait_for(is_cluster("nvml"))
    ordered = local.deploy(order("GPU-fake-0", "GPU-fake-1"))
    assert ray.started.wait(PATIENCE_S)
    assert not ordered.done()
    ray.listener(ClusterSeen(cluster=ray_cluster("GPU-fake-1", "GPU-fake-0")))
    ordered.result(PATIENCE_S)
    (spec,) = ray.specs
    places = [(rank.node_id, rank.gpu_index, rank.gpu_uuid) for rank in spec.ranks]
    assert places == [("ray-node-id", 1, "GPU-fake-0"), ("ray-node-id", 0, "GPU-fake-1")]
    recorder.wait_for(is_cluster("ray"))


def test_an_order_is_checked_without_starting_ray(session: Session, ray: RayInTheMiddle) -> None:
    local, recorder = session
    recorder.wait_for(is_cluster("nvml"))
    local.check(order("GPU-fake-0")).result(PATIENCE_S)
    seen = recorder.wait_for(lambda event: isinstance(event, PreflightSeen))
    assert isinstance(seen, PreflightSeen) and [node.node for node in seen.nodes] == ["here"]
    assert not ray.started.is_set()
    local.deploy(order("GPU-fake-0"))
    assert ray.started.wait(PATIENCE_S)
    ray.listener(ClusterSeen(cluster=ray_cluster("GPU-fake-0")))
    local.check(order("GPU-fake-0")).result(PATIENCE_S)
    assert [rank.node_id for spec in ray.checked for rank in spec.ranks] == ["ray-node-id"]


def test_an_earlier_deployment_is_joined_at_once(
    fake_nvml: FakeNvml, ray: RayInTheMiddle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.bridge.local_session.read_record", lambda key: key == "local" or None)
    make_probe = partial(ProbeProcess, interval_s=0.1, env=fake_nvml(gpus=2))
    local, recorder = LocalSession(make_ray=lambda: ray, make_probe=make_probe), Recorder()
    local.start(recorder)
    try:
        assert ray.started.wait(PATIENCE_S)
        recorder.wait_for(is_cluster("nvml"))
        assert not any(isinstance(event, DeploymentsSeen) for event in recorder.events)
    finally:
        local.close()


def test_once_ray_is_there_only_ray_is_heard(session: Session, ray: RayInTheMiddle) -> None:
    local, recorder = session
    recorder.wait_for(is_reading)
    local.deploy(order("GPU-fake-0"))
    ray.started.wait(PATIENCE_S)
    ray.listener(ClusterSeen(cluster=ray_cluster("GPU-fake-0")))
    recorder.events.clear()
    local.prompt("d", "p1", "hello", 5).result(PATIENCE_S)
    recorder.wait_for(lambda event: isinstance(event, TokenSeen))
    assert not any(is_reading(event) for event in recorder.events)


def test_what_ray_refuses_is_told(session: Session, ray: RayInTheMiddle) -> None:
    local, _ = session
    ray.answer = BadInput("no such model")
    ordered = local.deploy(order("GPU-fake-0"))
    ray.started.wait(PATIENCE_S)
    ray.listener(ClusterSeen(cluster=ray_cluster("GPU-fake-0")))
    with pytest.raises(BadInput, match="no such model"):
        ordered.result(PATIENCE_S)


def test_a_gpu_that_ray_does_not_see_is_refused(session: Session, ray: RayInTheMiddle) -> None:
    local, _ = session
    ordered = local.deploy(order("GPU-fake-0", "GPU-gone"))
    ray.started.wait(PATIENCE_S)
    ray.listener(ClusterSeen(cluster=ray_cluster("GPU-fake-0")))
    with pytest.raises(BadInput, match="GPU-gone"):
        ordered.result(PATIENCE_S)


def test_when_ray_is_lost_this_machine_is_watched_again(session: Session, ray: RayInTheMiddle) -> None:
    local, recorder = session
    local.deploy(order("GPU-fake-0"))
    ray.started.wait(PATIENCE_S)
    ray.listener(ClusterSeen(cluster=ray_cluster("GPU-fake-0")))
    recorder.events.clear()
    ray.listener(SessionLost(reason="the head is gone"))
    gone = recorder.wait_for(lambda event: isinstance(event, DeploymentsSeen))
    assert gone == DeploymentsSeen(deployments=())
    recorder.wait_for(is_cluster("nvml"))
    told = recorder.wait_for(lambda event: isinstance(event, Progress))
    assert isinstance(told, Progress)
    assert "the head is gone" in told.message
    assert not any(isinstance(event, SessionLost) for event in recorder.events)


def test_an_order_fails_when_ray_does_not_come_up(session: Session, ray: RayInTheMiddle) -> None:
    local, _ = session
    ordered = local.deploy(order("GPU-fake-0"))
    ray.started.wait(PATIENCE_S)
    ray.listener(SessionLost(reason="it did not start", hint="look there"))
    with pytest.raises(Unreachable, match="it did not start"):
        ordered.result(PATIENCE_S)


def test_without_a_deployment_there_is_nothing_to_stop_or_ask(session: Session) -> None:
    local, _ = session
    for future in (local.stop("d"), local.prompt("d", "p", "x", 1)):
        with pytest.raises(Unreachable, match="nothing is deployed"):
            future.result(PATIENCE_S)


def test_closing_fails_what_waits_and_can_be_repeated(session: Session, ray: RayInTheMiddle) -> None:
    local, _ = session
    ordered = local.deploy(order("GPU-fake-0"))
    ray.started.wait(PATIENCE_S)
    local.close()
    local.close()
    assert ray.closed
    with pytest.raises(Unreachable, match="closed"):
        ordered.result(PATIENCE_S)
    with pytest.raises(Unreachable, match="closed"):
        local.deploy(order("GPU-fake-0")).result(PATIENCE_S)


def says_no_driver(cluster: Cluster) -> bool:
    return "driver is not loaded" in (cluster.nodes[0].error or "")


def test_a_machine_without_gpus_says_why_and_cannot_deploy(fake_nvml: FakeNvml) -> None:
    make_probe = partial(ProbeProcess, interval_s=0.1, env=fake_nvml(init=9))
    local, recorder = LocalSession(make_probe=make_probe), Recorder()
    local.start(recorder)
    try:
        recorder.wait_for(is_cluster("none"))
        # A busy machine hears first that the probe is late.
        recorder.wait_for(lambda event: isinstance(event, ClusterSeen) and says_no_driver(event.cluster))
        assert not local.can_deploy
    finally:
        local.close()


def test_a_described_cluster_is_told_once_and_takes_no_orders() -> None:
    cluster, recorder = parse_cluster_spec("2x4xA100-80GB"), Recorder()
    session = FileSession(cluster, "2x4xA100-80GB")
    session.start(recorder)
    assert recorder.wait_for(is_cluster("spec")) == ClusterSeen(cluster=cluster)
    assert not session.can_deploy
    for future in (session.deploy(order("x")), session.stop("d"), session.prompt("d", "p", "x", 1)):
        with pytest.raises(BadInput, match="a file or a spec"):
            future.result(PATIENCE_S)
    session.close()
