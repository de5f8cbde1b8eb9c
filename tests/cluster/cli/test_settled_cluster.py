"""When a command has seen enough of a cluster: every node has answered, or is known to be late."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future

import pytest

from cluster.bridge.events import ClusterSeen, Event, ReadingsSeen, SessionLost
from cluster.bridge.session import Listener
from cluster.cli.ray_inventory import check_has_gpus, trouble_lines
from cluster.cli.session_view import SessionView
from cluster.deploy.spec import DeploymentSpec
from cluster.errors import BadInput, Unreachable
from cluster.inventory import Cluster, Gpu, Node
from cluster.telemetry import NodeReading, NodeState

SOON_S = 0.3
PATIENCE_S = 30.0


class Script:
    """A session that says what it was given, one event after another."""

    title, can_deploy = "script", False

    def __init__(self, *events: Event) -> None:
        self._events = events

    def start(self, listener: Listener) -> None:
        def say() -> None:
            for event in self._events:
                listener(event)
                time.sleep(0.05)

        threading.Thread(target=say, daemon=True).start()

    def deploy(self, spec: DeploymentSpec) -> Future[None]:
        raise NotImplementedError

    def stop(self, name: str, drain_s: float = 30.0) -> Future[None]:
        raise NotImplementedError

    def prompt(self, name: str, prompt_id: str, text: str, max_tokens: int) -> Future[None]:
        raise NotImplementedError

    def close(self) -> None:
        return


def node(name: str, num_gpus: int = 0, error: str | None = None) -> Node:
    gpus = tuple(
        Gpu(index=i, uuid=f"{name}-{i}", type="X", memory_total_bytes=2**30) for i in range(num_gpus)
    )
    return Node(node_id=name, name=name, gpus=gpus, error=error)


def seen(*nodes: Node) -> ClusterSeen:
    return ClusterSeen(cluster=Cluster(source="ray", nodes=nodes))


def read(**states: NodeState) -> ReadingsSeen:
    return ReadingsSeen(
        nodes=tuple(
            NodeReading(node_id=name, taken_at_s=0.0, state=state, reason=None if state == "ok" else "why")
            for name, state in states.items()
        )
    )


def settled(*events: Event, probes_s: float = PATIENCE_S) -> dict[str, tuple[int, str | None]]:
    with SessionView(Script(*events), shows_progress=False) as view:
        cluster = view.settled_cluster(PATIENCE_S, probes_s)
    return {node.name: (len(node.gpus), node.error) for node in cluster.nodes}


LATE = node("b", error="not yet")
FIRST = (seen(node("a", error="not yet"), LATE), read(a="stale", b="stale"))


def test_the_first_inventory_is_not_taken_for_the_cluster() -> None:
    found = settled(
        *FIRST,
        seen(node("a", 4), LATE),
        read(a="ok", b="stale"),
        seen(node("a", 4), node("b", 2)),
        read(a="ok", b="ok"),
    )
    assert found == {"a": (4, None), "b": (2, None)}


def test_a_late_node_is_there_with_its_error() -> None:
    found = settled(*FIRST, seen(node("a", 4), LATE), read(a="ok", b="stale"), probes_s=SOON_S)
    assert found == {"a": (4, None), "b": (0, "not yet")}


def test_a_node_that_hangs_before_any_gpu_was_seen_is_waited_for() -> None:
    later = (seen(node("a", 4), node("b", 2)), read(a="ok", b="ok"))
    assert settled(*FIRST, read(a="ok", b="hung"), *later) == {"a": (4, None), "b": (2, None)}


def test_a_node_whose_readings_are_old_says_so() -> None:
    assert settled(seen(node("a", 4)), read(a="hung")) == {"a": (4, "no current reading: why")}


def test_a_node_that_left_is_not_waited_for() -> None:
    found = settled(*FIRST, seen(node("a", 4), node("b", error="it left")), read(a="ok", b="lost"))
    assert found == {"a": (4, None), "b": (0, "it left")}


def test_an_inventory_is_not_older_than_what_was_seen_before() -> None:
    """The new inventory has come and its readings have not: the pair before it is not the answer."""
    left = (seen(node("a", 4), node("b", error="it left")), read(a="ok", b="lost"))
    session = Script(seen(node("a", 4), node("b", 2)), read(a="ok", b="ok"), *left)
    with SessionView(session, shows_progress=False) as view:
        view.wait(lambda: view.cluster is not None and bool(view.cluster.nodes[1].error), PATIENCE_S)
        cluster = view.settled_cluster(PATIENCE_S)
    assert {one.name: len(one.gpus) for one in cluster.nodes} == {"a": 4, "b": 0}


def test_a_cluster_that_is_lost_meanwhile() -> None:
    with pytest.raises(Unreachable, match="its head died"):
        settled(*FIRST, SessionLost(reason="its head died"))


def test_nodes_with_the_same_trouble_share_a_line() -> None:
    nodes = (*(node(f"n{i}", error="no driver") for i in range(5)), node("gpu", 4), node("x", error="gone"))
    assert trouble_lines(Cluster(source="ray", nodes=nodes)) == [
        "nodes n0, n1, n2 and 2 more: no driver",
        "node x: gone",
    ]


def test_many_troubles_are_counted_in_the_end() -> None:
    nodes = tuple(node(f"n{i}", error=f"error {i}") for i in range(9))
    lines = trouble_lines(Cluster(source="ray", nodes=nodes))
    assert len(lines) == 6
    assert lines[-1].startswith("4 more")


def test_without_any_gpu_the_nodes_reasons_are_the_line() -> None:
    check_has_gpus(Cluster(source="ray", nodes=(node("a", 1),)), "ray h:1", "")
    with pytest.raises(BadInput, match="no GPU on ray h:1: node a: no driver"):
        check_has_gpus(Cluster(source="ray", nodes=(node("a", error="no driver"),)), "ray h:1", "")
    with pytest.raises(BadInput, match="it has no nodes"):
        check_has_gpus(Cluster(source="ray"), "ray h:1", "")


def with_engine(name: str, num_gpus: int, **engines: str) -> Node:
    return node(name, num_gpus).model_copy(update={"engines": engines})


def engines_of(*events: Event) -> dict[str, dict[str, str] | None]:
    with SessionView(Script(*events), shows_progress=False) as view:
        return {one.name: one.engines for one in view.cluster_with_engines().nodes}


def test_a_deployment_waits_until_the_nodes_know_their_engines() -> None:
    first = (seen(node("a", 4), node("head")), read(a="ok", head="ok"))
    later = (seen(with_engine("a", 4, vllm="0.32.0"), node("head")), read(a="ok", head="ok"))
    assert engines_of(*first, *later) == {"a": {"vllm": "0.32.0"}, "head": None}


def test_a_node_that_is_late_is_not_waited_for_to_know_its_engines() -> None:
    nodes = (with_engine("a", 4), node("b", 4))
    assert engines_of(seen(*nodes), read(a="ok", b="hung")) == {"a": {}, "b": None}
