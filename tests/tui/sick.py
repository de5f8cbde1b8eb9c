"""A recorded cluster on which things are wrong: a hot GPU, one left out, a lost one, and a dead node."""

from __future__ import annotations

from typing import Any

from cluster.bridge.events import ClusterSeen, DetailsSeen, Event, ReadingsSeen
from cluster.detail import EccCounts, GpuDetail, NetworkPort, NodeDetail, NvLinkReading, XidEvent
from cluster.gpu_facts import GpuFacts, NodeFacts
from cluster.gpu_health import Finding, Health
from cluster.inventory import Cluster, GpuProcess, Node, NodeLeft
from cluster.telemetry import HostReading
from cluster.units import GIB
from tests.tui.builders import NOW_S, make_cluster, make_readings

HOT = Finding(code="hot", state="degraded", text="91 °C, slows down at 93 °C")
THROTTLED = Finding(code="throttled", state="degraded", text="345 of 1,980 MHz (hardware thermal slowdown)")
LOST = Finding(code="lost", state="unhealthy", text="the GPU is lost")
FACTS = GpuFacts(
    max_sm_clock_mhz=1980.0,
    slowdown_temperature_c=93.0,
    max_pcie_generation=5,
    num_nvlinks=4,
    absent={"max_memory_temperature_c": "not supported by this GPU"},
)
PATHS = (("X", "NV18", "PIX"), ("NV18", "X", "SYS"), ("PIX", "SYS", "X"))


def changed(node: Node, index: int, **changes: Any) -> Node:
    """Return a node with one GPU changed."""
    gpus = [gpu.model_copy(update=changes) if gpu.index == index else gpu for gpu in node.gpus]
    return node.model_copy(update={"gpus": tuple(gpus)})


def sick_cluster(gpus: int = 4, nodes: int = 3) -> Cluster:
    """Build the cluster: GPU 1 of the first node is hot and throttled, GPU 2 left out; GPU 0 of the second is
    lost; the last node is dead."""
    cluster = make_cluster(nodes, gpus, simulated=False)
    first, second, *_, last = cluster.nodes
    hot = Health(state="degraded", findings=(HOT, THROTTLED))
    first = changed(first, 1, health=hot, facts=FACTS)
    first = changed(first, 2, excluded_reason="CUDA_VISIBLE_DEVICES is 0,1,3")
    facts = NodeFacts(
        driver_version="570.124.06", devices=("GPU0", "GPU1", "mlx5_0"), paths=PATHS, numa_nodes=(0, 0, 1)
    )
    first = first.model_copy(update={"ray_gpus": 8, "facts": facts, "engines": {"vllm": "0.29.0"}})
    lost = Health(state="unhealthy", findings=(LOST,))
    second = changed(second, 0, health=lost, unhealthy_reason=LOST.text)
    left = NodeLeft(at_s=NOW_S - 180, reason="its raylet died", held=("llama-70b R1·T0",))
    last = last.model_copy(update={"left": left})
    return cluster.model_copy(update={"nodes": (first, second, *cluster.nodes[2:-1], last)})


def sick_events(cluster: Cluster) -> tuple[Event, ...]:
    """What a session says of it: inventory, readings with processes and host, and slow figures."""
    first, *others = make_readings(cluster, used=30 * GIB, busy=40.0).nodes[:-1]
    process = GpuProcess(pid=4711, user="ada", command="python train.py --lr 1e-4", memory_bytes=29 * GIB)
    hidden = GpuProcess(pid=12, memory_bytes=GIB, other_namespace=True)
    hot = first.gpus[1].model_copy(
        update={
            "sm_clock_mhz": 345.0,
            "throttle_reasons": ("hw_thermal",),
            "processes": (hidden, process),
            "absent": {"fan_percent": "not supported by this GPU"},
        }
    )
    gpus = (first.gpus[0], hot, *first.gpus[2:])
    host = HostReading(
        cpu_percent=12.0, num_cpus=96, absent={"disk_free_bytes": "the model cache is missing"}
    )
    first = first.model_copy(update={"gpus": gpus, "host": host})
    return (
        ClusterSeen(cluster=cluster),
        ReadingsSeen(nodes=(first, *others)),
        DetailsSeen(nodes=(NodeDetail(node_id="id-0", taken_at_s=NOW_S, gpus=(DETAIL,), ports=(PORT,)),)),
    )


DETAIL = GpuDetail(
    uuid="GPU-0-1",
    pcie_generation=1,
    pcie_width=4,
    links=(
        NvLinkReading(link=0, active=True, version=4, bytes_per_s=25e9, remote="switch", errors=0),
        NvLinkReading(link=1, active=False),
    ),
    ecc=EccCounts(volatile_uncorrected=3),
    remap_pending=True,
    xids=(XidEvent(code=94, at_s=NOW_S - 60),),
    absent={"ecc.aggregate_corrected": "no permission", "retired_pages": "not supported by this GPU"},
)
PORT = NetworkPort(name="mlx5_0/1", kind="infiniband", is_up=False, link_bytes_per_s=50e9, errors=7)
