"""Large events cross the pipe in parts and come out whole; a cluster crosses it as what changed."""

from __future__ import annotations

from collections.abc import Callable

from cluster.bridge.events import ClusterSeen, DetailsSeen, Event, Progress, ReadingsSeen
from cluster.bridge.protocol import ANSWER, Alive, Reply
from cluster.bridge.wire import NODES_IN_A_LINE, NodesPart, Packer, Unpacker, encode
from cluster.cluster_spec import parse_cluster_spec
from cluster.detail import EccCounts, GpuDetail, NodeDetail, NvLinkReading
from cluster.frozen import FrozenModel
from cluster.inventory import Cluster
from tests.cluster.bridge.driver.fake_ray import fake_reading

CLUSTER = parse_cluster_spec(f"{2 * NODES_IN_A_LINE + 3}x8xH100", "simulated")
READINGS = ReadingsSeen(nodes=tuple(fake_reading(node, 5.0) for node in CLUSTER.nodes))


class Pipe:
    """A child and its session; `lines` are those of the last event."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.packer, self.unpacker = Packer(self._write), Unpacker()
        self.loses: Callable[[bytes], bool] = lambda line: False

    def _write(self, message: FrozenModel) -> None:
        self.lines.append(encode(message))

    def send(self, event: ClusterSeen | ReadingsSeen | DetailsSeen) -> list[Event]:
        self.lines = []
        self.packer.send(event)
        return self.read()

    def read(self) -> list[Event]:
        heard = []
        for line in self.lines:
            assert line.count(b"\n") == 1
            message = ANSWER.validate_json(line)
            assert not isinstance(message, Reply | Alive)
            if not self.loses(line):
                heard.append(self.unpacker.take(message))
        return [event for event in heard if event is not None]

    def num_nodes_sent(self) -> int:
        parts = [ANSWER.validate_json(line) for line in self.lines]
        return sum(len(part.nodes) for part in parts if isinstance(part, NodesPart))


def changed(cluster: Cluster, index: int, **update: object) -> Cluster:
    nodes = list(cluster.nodes)
    nodes[index] = nodes[index].model_copy(update=update)
    return cluster.model_copy(update={"nodes": tuple(nodes)})


def test_events_come_out_as_they_went_in() -> None:
    pipe = Pipe()
    assert pipe.send(ClusterSeen(cluster=CLUSTER)) == [ClusterSeen(cluster=CLUSTER)]
    assert pipe.send(READINGS) == [READINGS]
    assert pipe.send(ReadingsSeen(nodes=())) == [ReadingsSeen(nodes=())]
    assert max(map(len, pipe.lines)) < 300_000
    assert pipe.unpacker.take(Progress(message="m")) == Progress(message="m")


def test_a_line_holds_few_nodes_so_that_reading_it_is_quick() -> None:
    pipe = Pipe()
    pipe.send(READINGS)
    parts = [ANSWER.validate_json(line) for line in pipe.lines]
    assert max(len(getattr(part, "nodes", ())) for part in parts) == NODES_IN_A_LINE


def test_only_nodes_that_changed_are_sent_again() -> None:
    pipe = Pipe()
    pipe.send(ClusterSeen(cluster=CLUSTER))
    assert pipe.num_nodes_sent() == len(CLUSTER.nodes)
    later = changed(CLUSTER, 7, error="late")
    assert pipe.send(ClusterSeen(cluster=later)) == [ClusterSeen(cluster=later)]
    assert pipe.num_nodes_sent() == 1
    equal = later.model_copy(update={"nodes": tuple(node.model_copy() for node in later.nodes)})
    assert pipe.send(ClusterSeen(cluster=equal)) == [ClusterSeen(cluster=later)]
    assert pipe.num_nodes_sent() == 0


def test_nodes_that_leave_join_and_change_places() -> None:
    pipe = Pipe()
    for nodes in (CLUSTER.nodes[:3], CLUSTER.nodes[1:5], CLUSTER.nodes[4:0:-1], (), CLUSTER.nodes[:1]):
        cluster = CLUSTER.model_copy(update={"nodes": nodes})
        assert pipe.send(ClusterSeen(cluster=cluster)) == [ClusterSeen(cluster=cluster)]
    assert len(pipe.unpacker._nodes) == 1


def test_a_line_that_is_lost_costs_its_own_nodes() -> None:
    pipe = Pipe()
    pipe.loses = lambda line: b"nodes_part" in line and b'"node-40"' in line
    (seen,) = pipe.send(ClusterSeen(cluster=CLUSTER))
    assert isinstance(seen, ClusterSeen)
    assert len(seen.cluster.nodes) == len(CLUSTER.nodes) - NODES_IN_A_LINE
    assert seen.cluster.nodes[0] == CLUSTER.nodes[0]


def test_slow_figures_cross_the_pipe() -> None:
    links = tuple(NvLinkReading(link=link, active=link != 3) for link in range(18))
    gpu = GpuDetail(uuid="GPU-1", links=links, ecc=EccCounts(volatile_corrected=0), absent={"a": "b"})
    details = DetailsSeen(nodes=(NodeDetail(node_id="n", taken_at_s=1.0, gpus=(gpu,)),))
    assert Pipe().send(details) == [details]
