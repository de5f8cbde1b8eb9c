"""A small cluster joined as on a real machine, with figures of its links, and what runs on it."""

from __future__ import annotations

from cluster.bridge.events import ClusterSeen, DetailsSeen, Event, ReadingsSeen
from cluster.detail import GpuDetail, NetworkPort, NodeDetail, NvLinkReading, XidEvent
from cluster.gpu_facts import NodeFacts
from cluster.inventory import Cluster, GpuProcess, Node
from cluster.units import GIB
from tests.tui.builders import NOW_S, make_cluster, make_readings

PATHS = (
    ("X", "NV4", "NV4", "NV4", "PIX", "SYS"),
    ("NV4", "X", "NV4", "NV4", "PXB", "SYS"),
    ("NV4", "NV4", "X", "NV4", "SYS", "PIX"),
    ("NV4", "NV4", "NV4", "X", "SYS", "PXB"),
    ("PIX", "PXB", "SYS", "SYS", "X", "SYS"),
    ("SYS", "SYS", "PIX", "PXB", "SYS", "X"),
)
FACTS = NodeFacts(
    paths=PATHS,
    devices=("GPU0", "GPU1", "GPU2", "GPU3", "mlx5_0", "mlx5_1"),
    numa_nodes=(0, 0, 1, 1, 0, 1),
    driver_version="550.54",
)


def with_facts(cluster: Cluster, facts: NodeFacts | None = FACTS) -> Cluster:
    """The cluster with PCI addresses, and how its devices reach each other."""
    return cluster.model_copy(update={"nodes": tuple(_node(node, facts) for node in cluster.nodes)})


def _node(node: Node, facts: NodeFacts | None) -> Node:
    gpus = tuple(
        gpu.model_copy(update={"pci_bus_id": f"00000000:{gpu.index + 1}B:00.0", "numa_node": gpu.index // 2})
        for gpu in node.gpus
    )
    return node.model_copy(update={"gpus": gpus, "facts": facts})


def detail(node: int = 0, down: tuple[int, ...] = (), at_s: float = NOW_S, sent: int = 0) -> NodeDetail:
    """Slow figures of a node; of its second GPU some links are down."""
    gpus = tuple(
        GpuDetail(
            uuid=f"GPU-{node}-{index}",
            pcie_generation=5,
            pcie_width=16,
            links=tuple(
                NvLinkReading(
                    link=number,
                    active=index != 1 or number not in down,
                    version=4,
                    bytes_per_s=25e9,
                    remote="switch",
                    sent_bytes=sent,
                    received_bytes=2 * sent,
                )
                for number in range(4)
            ),
        )
        for index in range(4)
    )
    ports = (
        NetworkPort(name="mlx5_0/1", kind="infiniband", is_up=True, link_bytes_per_s=50e9, numa_node=0),
        NetworkPort(name="mlx5_1/1", kind="infiniband", is_up=False, errors=3),
    )
    return NodeDetail(node_id=f"id-{node}", taken_at_s=at_s, gpus=gpus, ports=ports)


def eventful() -> tuple[Event, ...]:
    """Everything that the views of processes, links and events have something to show of."""
    cluster = with_facts(make_cluster())
    first, second = make_readings(cluster, int(42 * GIB), 60.0).nodes
    train = GpuProcess(
        pid=411,
        name="python3",
        user="bob",
        memory_bytes=40 * GIB,
        sm_percent=97,
        command="/usr/bin/python3 train.py --epochs 3",
    )
    hidden = GpuProcess(pid=603, memory_bytes=2 * GIB, other_namespace=True)
    gpus = tuple(gpu.model_copy(update={"processes": (train, hidden)}) for gpu in first.gpus[:2])
    busy = first.model_copy(update={"gpus": (*gpus, *first.gpus[2:])})
    xid = detail(1).gpus[2].model_copy(update={"xids": (XidEvent(code=79, at_s=NOW_S - 65),)})
    after = detail(1).model_copy(update={"gpus": (*detail(1).gpus[:2], xid, detail(1).gpus[3])})
    lost = second.model_copy(update={"state": "lost", "reason": "no answer for 10 s"})
    return (
        ClusterSeen(cluster=cluster),
        ReadingsSeen(nodes=(busy, second)),
        DetailsSeen(nodes=(detail(0, down=(1, 2)), detail(1))),
        DetailsSeen(nodes=(after,)),
        ReadingsSeen(nodes=(lost,)),
    )
