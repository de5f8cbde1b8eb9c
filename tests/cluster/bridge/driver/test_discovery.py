"""The nodes of a cluster over time: a late one delays no other, dead ones stay for a while, then go."""

from __future__ import annotations

import time
from concurrent.futures import Future

import pytest

from cluster.bridge.driver.dead_node import KEPT_S, MOST_KEPT, held_by_node
from cluster.bridge.driver.ray_place import RayPlace
from cluster.bridge.protocol import Target
from cluster.deploy.status import DeploymentState, DeploymentStatus, RankState, RankStatus
from cluster.errors import BadInput
from cluster.inventory import Node, NodeLeft
from tests.cluster.bridge.driver.fake_ray import (
    ActorDiedError,
    Clock,
    FakeDiscovery,
    FakeRay,
    fake_detail,
    fake_node,
    names_of,
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    monkeypatch.setattr(time, "monotonic", clock)
    monkeypatch.setattr("cluster.deploy.stuck.whereabouts", lambda actor: None)
    return clock


@pytest.fixture
def ray(clock: Clock) -> FakeRay:
    return FakeRay(clock)


@pytest.fixture
def discovery(ray: FakeRay) -> FakeDiscovery:
    return FakeDiscovery(ray)


def tick(discovery: FakeDiscovery, ray: FakeRay, held: dict[str, tuple[str, ...]] | None = None) -> float:
    """Look once, then let the rest of a second pass; returns how long the look took."""
    began_s = ray.clock.now_s
    discovery.look({}, held or {})
    took_s = ray.clock.now_s - began_s
    ray.clock.now_s = max(began_s + 1.0, ray.clock.now_s)
    return took_s


def node_named(discovery: FakeDiscovery, name: str) -> Node:
    return next(node for node in discovery.cluster({}).nodes if node.name == name)


def test_a_node_that_hangs_delays_no_other_by_more_than_a_tick(
    discovery: FakeDiscovery, ray: FakeRay
) -> None:
    for number in range(20):
        ray.add(f"node-{number}")
    tick(discovery, ray)
    ray.probes["node-7"].is_silent = True
    times = [tick(discovery, ray) for _ in range(60)]
    assert times[0] < 1.0, "the look that asked it first waits for a part of a second"
    assert times[1:] == [0.0] * 59, "no later look waits for it"
    discovery.look({}, {})
    by_id = {reading.node_id: reading for reading in discovery.readings()}
    assert by_id["node-7"].state == "stale"
    assert ray.clock.now_s - by_id["node-7"].taken_at_s > 55
    others = [reading for node_id, reading in by_id.items() if node_id != "node-7"]
    assert all(reading.state == "ok" and ray.clock.now_s - reading.taken_at_s <= 1 for reading in others)
    ray.probes["node-7"].is_silent = False
    tick(discovery, ray)
    assert {reading.state for reading in discovery.readings()} == {"ok"}


def test_one_answer_that_fails_keeps_no_other_back(discovery: FakeDiscovery, ray: FakeRay) -> None:
    for name in ("a", "b", "c"):
        ray.add(name)
    ray.probes["b"].failure = ActorDiedError("the actor died")
    ray.probes["c"].failure = ValueError("cannot unpickle")
    tick(discovery, ray)
    cluster = discovery.cluster({})
    assert [len(node.gpus) for node in cluster.nodes] == [8, 0, 0]
    assert "the probe on this node cannot start: the actor died" in (cluster.nodes[1].error or "")


def test_a_probe_sends_its_inventory_only_when_that_changed(discovery: FakeDiscovery, ray: FakeRay) -> None:
    probe = ray.add("a")
    for _ in range(10):
        tick(discovery, ray)
    first = node_named(discovery, "a")
    assert probe.num_full_answers == 1
    assert node_named(discovery, "a") is first, "an unchanged node is the same object"
    probe.node = fake_node("a", 7)
    tick(discovery, ray)
    assert (probe.num_full_answers, len(node_named(discovery, "a").gpus)) == (2, 7)


def test_slow_figures_are_handed_on_once_each_time_they_were_read(
    discovery: FakeDiscovery, ray: FakeRay
) -> None:
    probe = ray.add("a")
    tick(discovery, ray)
    assert discovery.new_details() == ()
    probe.detail = fake_detail(probe.node, ray.clock.now_s)
    tick(discovery, ray)
    (detail,) = discovery.new_details()
    assert detail.gpus == probe.detail.gpus
    tick(discovery, ray)
    assert discovery.new_details() == ()


def test_what_ray_counts_stands_beside_what_was_read(discovery: FakeDiscovery, ray: FakeRay) -> None:
    ray.add("a", num_gpus=8).node = fake_node("a", 0)
    tick(discovery, ray)
    node = node_named(discovery, "a")
    assert (node.ray_gpus, len(node.gpus)) == (8, 0)
    assert "Ray counts 8 GPUs" in (node.error or "")


def rank(replica: int, number: int, node_id: str) -> RankStatus:
    return RankStatus(
        replica=replica,
        stage=0,
        rank=number,
        node_id=node_id,
        node_name=node_id,
        gpu_index=number,
        gpu_uuid=f"GPU-{node_id}-{number}",
        state=RankState.READY,
    )


STATUS = DeploymentStatus(
    name="llama-70b",
    model="m",
    label="TP=2",
    state=DeploymentState.READY,
    ranks=(rank(0, 0, "b"), rank(0, 1, "b"), rank(1, 0, "a")),
)


def test_a_dead_node_stays_with_since_when_why_and_what_ran_there(
    discovery: FakeDiscovery, ray: FakeRay
) -> None:
    ray.add("a"), ray.add("b")
    held = held_by_node([STATUS])
    tick(discovery, ray, held)
    ray.probes["b"].is_silent = True
    # Its ranks are placed elsewhere before Ray notices that the node is dead.
    for _ in range(15):
        tick(discovery, ray, held_by_node([STATUS.model_copy(update={"ranks": (rank(0, 0, "a"),)})]))
    ray.kill("b", "missed too many heartbeats")
    died_at_s = ray.clock.now_s
    tick(discovery, ray, {})
    node = node_named(discovery, "b")
    assert node.left is not None
    assert (node.left.at_s, node.left.reason) == (died_at_s, "missed too many heartbeats")
    assert node.left.held == ("llama-70b R0 rank 0", "llama-70b R0 rank 1")
    assert len(node.gpus) == 8
    for gpu in node.gpus:
        assert not gpu.usable and gpu.memory_free_bytes is None
        assert gpu.unhealthy_reason == "its node left the cluster: missed too many heartbeats"
        assert gpu.health is not None and gpu.health.state == "unhealthy"
    assert {one.node_id: one.state for one in discovery.readings()} == {"a": "ok", "b": "lost"}
    assert discovery.settled()


def test_a_dead_node_is_forgotten_after_minutes(discovery: FakeDiscovery, ray: FakeRay) -> None:
    ray.add("a"), ray.add("b")
    tick(discovery, ray)
    ray.kill("b")
    tick(discovery, ray)
    ray.clock.now_s += KEPT_S - 5
    tick(discovery, ray)
    assert names_of(discovery.cluster({}).nodes) == ["a", "b"]
    ray.clock.now_s += 6
    tick(discovery, ray)
    assert names_of(discovery.cluster({}).nodes) == ["a"]
    assert [reading.node_id for reading in discovery.readings()] == ["a"]


def test_a_dead_node_can_be_dismissed_and_a_living_one_cannot(discovery: FakeDiscovery, ray: FakeRay) -> None:
    ray.add("a"), ray.add("b")
    tick(discovery, ray)
    with pytest.raises(BadInput, match="node b is alive"):
        discovery.dismiss("b")
    ray.kill("b")
    tick(discovery, ray)
    discovery.dismiss("b")
    tick(discovery, ray)
    assert names_of(discovery.cluster({}).nodes) == ["a"], "although Ray still lists it"
    with pytest.raises(BadInput, match="no node b"):
        discovery.dismiss("b")


def test_a_node_that_a_scene_lets_die_can_be_dismissed_until_it_lives_again(
    discovery: FakeDiscovery, ray: FakeRay
) -> None:
    probe, alive = ray.add("a"), ray.probes["a"].node
    tick(discovery, ray)
    probe.node = alive.model_copy(update={"left": NodeLeft(at_s=1.0, reason="scene")})
    tick(discovery, ray)
    discovery.dismiss("a")
    tick(discovery, ray)
    assert (discovery.cluster({}).nodes, discovery.readings()) == ((), ())
    probe.node = alive
    tick(discovery, ray)
    assert names_of(discovery.cluster({}).nodes) == ["a"]


def test_a_node_that_comes_back_has_its_gpus_once(discovery: FakeDiscovery, ray: FakeRay) -> None:
    ray.add("a")
    tick(discovery, ray)
    ray.kill("a")
    tick(discovery, ray)
    ray.add("a", node_id="a-again").node = fake_node("a-again", 8, lambda index: f"GPU-a-{index}")
    tick(discovery, ray)
    tick(discovery, ray)
    cluster = discovery.cluster({"GPU-a-0": "llama"})
    assert [(node.left is None, len(node.gpus)) for node in cluster.nodes] == [(False, 0), (True, 8)]


def test_an_hour_of_nodes_that_come_and_go_leaves_nothing_behind(
    discovery: FakeDiscovery, ray: FakeRay
) -> None:
    ray.add("stays")
    for number in range(600):
        ray.add(f"node-{number}", num_gpus=1)
        tick(discovery, ray)
        ray.kill(f"node-{number}")
        tick(discovery, ray)
        discovery.cluster({})
        del ray.entries[1:-3]  # Ray forgets too
        ray.clock.now_s += 4
    cluster = discovery.cluster({})
    assert len(cluster.nodes) == 1 + MOST_KEPT
    assert len(discovery._claimed._made) == 1 + MOST_KEPT
    ray.clock.now_s += KEPT_S
    tick(discovery, ray)
    assert names_of(discovery.cluster({}).nodes) == ["stays"]
    assert len(discovery._nodes) == len(discovery._order) == 1


def test_the_order_to_dismiss_reaches_discovery(discovery: FakeDiscovery, ray: FakeRay) -> None:
    ray.add("a"), ray.add("b")
    tick(discovery, ray)
    ray.kill("b")
    tick(discovery, ray)
    place = RayPlace(Target(), lambda message: None)
    place._discovery, looked = discovery, Future[None]()
    place.look = lambda: looked.set_result(None)  # type: ignore[assignment, method-assign, return-value]
    place.dismiss("b")
    assert looked.done() and names_of(discovery.cluster({}).nodes) == ["a"]
