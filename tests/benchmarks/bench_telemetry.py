"""Telemetry of 1,250 nodes of 8 GPUs: what a tick costs on both sides of the pipe; memory over an hour.

The probes are replaced by readings made beforehand, so that only merging is measured: on the child's side
from the probes' answers to lines, on the session's side from lines to the screen's store. Both run each
second, in two processes.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from unittest import mock

from cluster.bridge.events import ClusterSeen, DetailsSeen, Event, ReadingsSeen
from cluster.bridge.inventory_diff import is_worth_sending
from cluster.bridge.protocol import ANSWER, Alive, Reply
from cluster.bridge.wire import Packer, Unpacker, encode
from cluster.detail import GpuDetail, NodeDetail, NvLinkReading
from cluster.inventory import Cluster, GpuProcess, Node
from tests.cluster.bridge.driver.fake_ray import Clock, FakeDiscovery, FakeRay
from tui.store import Store

NODES = 1_250
DETAIL_TICKS = 5
"""Slow figures come every 5 s."""
INVENTORY_TICKS = 15
_TICKS = 20
_TARGET_S = 0.100
_HOUR_TICKS = 3_600
_HOUR_NODES = 4


class Side:
    """The child and the session of a cluster, as one loop; times of each by name."""

    def __init__(self, num_nodes: int, clock: Clock) -> None:
        self.ray, self.clock = FakeRay(clock), clock
        self.discovery, self.store = FakeDiscovery(self.ray), Store()
        self.lines: list[bytes] = []
        self.packer, self.unpacker = Packer(lambda message: self.lines.append(encode(message))), Unpacker()
        self.sent: Cluster | None = None
        self.ticks = itertools.count()
        self.times: dict[str, list[float]] = {}
        for number in range(num_nodes):
            self.ray.add(f"node-{number}")

    def timed(self, name: str, action: Callable[[], object]) -> None:
        began_s = time.process_time()
        action()
        self.times.setdefault(name, []).append(time.process_time() - began_s)

    def tick(self) -> None:
        """Let a second pass."""
        number = next(self.ticks)
        self.clock.now_s += 1.0
        for place, probe in enumerate(self.ray.probes.values()):
            if (number + place) % DETAIL_TICKS == 0:
                probe.detail = detail_of(probe.node, self.clock.now_s)
            if (number + place) % INVENTORY_TICKS == 0:
                probe.node = with_less_free(probe.node, number)
        answers = {id_: probe.answer(known) for id_, probe, known in self._asked()}
        with mock.patch.object(FakeRay, "get", lambda _, refs: [answers[ref.probe.node_id] for ref in refs]):
            self.timed("child, from answers to lines", self._child)
        events: list[Event] = []
        self.timed("session, from lines to events", lambda: events.extend(self._read()))
        self.timed("session, from events to the store", lambda: [self.store.apply(event) for event in events])

    def _asked(self) -> Iterator[tuple[str, object, tuple[int, int]]]:
        watched = self.discovery._nodes
        for node_id, probe in self.ray.probes.items():
            yield node_id, probe, watched[node_id].stamps if node_id in watched else (0, 0)

    def _child(self) -> None:
        self.lines.clear()
        self.discovery.look({}, {})
        cluster = self.discovery.cluster({})
        if is_worth_sending(self.sent, cluster):
            self.sent = cluster
            self.packer.send(ClusterSeen(cluster=cluster))
        self.packer.send(ReadingsSeen(nodes=self.discovery.readings()))
        self.packer.send(DetailsSeen(nodes=self.discovery.new_details()))

    def _read(self) -> Iterator[Event]:
        for line in self.lines:
            message = ANSWER.validate_json(line)
            assert not isinstance(message, Reply | Alive)
            event = self.unpacker.take(message)
            if event is not None:
                yield event


def detail_of(node: Node, now_s: float) -> NodeDetail:
    """Make slow figures of a node with 18 NVLinks a GPU."""
    gpus = tuple(
        GpuDetail(
            uuid=gpu.uuid,
            pcie_generation=5,
            pcie_width=16,
            pcie_replays=0,
            links=tuple(
                NvLinkReading(
                    link=link,
                    active=True,
                    version=4,
                    bytes_per_s=25e9,
                    remote="switch",
                    received_bytes=int(now_s) * 1000,
                    sent_bytes=int(now_s) * 1000,
                    errors=0,
                )
                for link in range(18)
            ),
            remap_pending=False,
            remap_failed=False,
            recovery_action="none",
        )
        for gpu in node.gpus
    )
    return NodeDetail(node_id=node.node_id, taken_at_s=now_s, gpus=gpus)


def with_less_free(node: Node, number: int) -> Node:
    """Return the node with other processes and other free memory, as an inventory of a busy node."""
    free = (40 + number % 30) * 2**30
    gpus = tuple(
        gpu.model_copy(
            update={
                "memory_free_bytes": free,
                "processes": (GpuProcess(pid=1000 + gpu.index, name="python3", memory_bytes=2**30),),
            }
        )
        for gpu in node.gpus
    )
    return node.model_copy(update={"gpus": gpus})


def main() -> None:
    """Print the milliseconds of a tick of 1,250 x 8 GPUs on each side, and what an hour leaves in memory."""
    gc.set_threshold(5_000, 20, 200)  # as both processes have it
    clock = Clock()
    with mock.patch.object(time, "time", clock):
        side = Side(NODES, clock)
        side.tick()
        first = {name: times[0] for name, times in side.times.items()}
        side.times.clear()
        for _ in range(_TICKS):
            side.tick()
        for name, times in side.times.items():
            print(
                f"{NODES:,} x 8 GPUs, {name}: {statistics.median(times) * 1e3:.0f} ms a tick, at most "
                f"{max(times) * 1e3:.0f}  (target {_TARGET_S * 1e3:.0f} ms); the first "
                f"{first[name] * 1e3:.0f} ms"
            )
        size = sum(map(len, side.lines))
        print(f"{NODES:,} x 8 GPUs: {size / 1e6:.1f} MB a tick in {len(side.lines)} lines")
        _hour()


def _hour() -> None:
    """Print what an hour leaves in memory: nodes change all the time, and one dies every 20 s."""
    clock = Clock(2_000_000.0)
    with mock.patch.object(time, "time", clock):
        side, names = Side(_HOUR_NODES, clock), itertools.count()
        sizes = []
        for tick in range(_HOUR_TICKS):
            if tick % 20 == 0:
                victim = next(iter(side.ray.probes))
                side.ray.kill(victim)
                del side.ray.probes[victim]
                side.ray.entries = side.ray.entries[-2 * _HOUR_NODES :]
                side.ray.add(f"new-{next(names)}")
            side.tick()
            side.times.clear()
            if (tick + 1) % 600 == 0:
                gc.collect()
                sizes.append(len(gc.get_objects()))
    shown = ", ".join(f"{size / 1e3:.0f}" for size in sizes)
    what = f"an hour of {_HOUR_NODES} x 8 GPUs with 180 nodes that die"
    print(f"{what}: {shown} thousand objects after each 10 minutes")


if __name__ == "__main__":
    main()
