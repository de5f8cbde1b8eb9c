"""A node of eight GPUs, most of them sick in a different way, as a reader would report it."""

from __future__ import annotations

from typing import Any

from cluster.cluster_spec import parse_cluster_spec
from cluster.detail import EccCounts, GpuDetail, NodeDetail, NvLinkReading, XidEvent
from cluster.gpu_facts import GpuFacts
from cluster.health.judge import with_health
from cluster.inventory import Cluster, Gpu, GpuProcess, Node
from cluster.telemetry import GpuReading, NodeReading
from cluster.units import GIB

NOW_S = 1_700_000_000.0
NUM_LINKS = 18
FACTS = GpuFacts(
    max_sm_clock_mhz=1980.0,
    max_memory_clock_mhz=2619.0,
    slowdown_temperature_c=92.0,
    default_power_limit_w=700.0,
    max_pcie_generation=5,
    max_pcie_width=16,
    num_nvlinks=NUM_LINKS,
)
PROCESS = GpuProcess(pid=4711, name="python3", user="alice", memory_bytes=60 * GIB)


def links(num_down: int = 0, remote: str | None = "switch", **of_first: Any) -> tuple[NvLinkReading, ...]:
    """Return 18 NVLinks, the last `num_down` of them down."""
    return tuple(
        NvLinkReading(
            link=number,
            active=number < NUM_LINKS - num_down,
            remote=remote,
            **(of_first if number == 0 else {}),
        )
        for number in range(NUM_LINKS)
    )


def a_reading(gpu: Gpu, **changes: Any) -> GpuReading:
    """Return the reading of an idle GPU that is well, with changes."""
    usual = GpuReading(
        uuid=gpu.uuid,
        memory_total_bytes=gpu.memory_total_bytes,
        memory_free_bytes=gpu.memory_free_bytes,
        utilization_percent=0.0,
        temperature_c=38.0,
        power_limit_w=700.0,
        performance_state=0,
        sm_clock_mhz=1980.0,
        memory_clock_mhz=2619.0,
        throttle_reasons=(),
    )
    return usual.model_copy(update=changes)


def a_detail(gpu: Gpu, **changes: Any) -> GpuDetail:
    """Return the slow figures of a GPU that is well, with changes."""
    usual = GpuDetail(
        uuid=gpu.uuid,
        pcie_generation=5,
        pcie_width=16,
        links=links(),
        ecc=EccCounts(volatile_uncorrected=0),
        remap_pending=False,
        remap_failed=False,
        recovery_action="none",
    )
    return usual.model_copy(update=changes)


READ: dict[int, dict[str, Any]] = {
    0: {"utilization_percent": 97.0, "processes": (PROCESS,), "memory_free_bytes": 19 * GIB},
    1: {
        "utilization_percent": 100.0,
        "temperature_c": 91.0,
        "sm_clock_mhz": 345.0,
        "throttle_reasons": ("hw_slowdown", "hw_thermal"),
    },
    5: {"error": "the GPU is lost (fell off the bus); see the kernel log for its Xid"},
    7: {"power_limit_w": 300.0, "throttle_reasons": ("hw_power_brake", "hw_slowdown"), "sm_clock_mhz": 990.0},
}
DETAILED: dict[int, dict[str, Any]] = {
    2: {"remap_pending": True, "ecc": EccCounts(volatile_uncorrected=2, aggregate_uncorrected=12)},
    3: {"links": links(num_down=4)},
    4: {"pcie_generation": 1, "pcie_width": 4},
    6: {
        "remap_failed": True,
        "ecc": EccCounts(volatile_uncorrected=5),
        "xids": (XidEvent(code=94, at_s=NOW_S - 60),),
    },
}


def sick_node() -> tuple[Node, NodeReading, NodeDetail]:
    """Return the node as it was read, with its fast and slow figures."""
    (node,) = parse_cluster_spec("1x8xH100").nodes
    gpus = tuple(
        gpu.model_copy(
            update={
                "uuid": f"GPU-sick-{gpu.index}",
                "facts": FACTS,
                "memory_free_bytes": READ.get(gpu.index, {}).get("memory_free_bytes", gpu.memory_free_bytes),
                "processes": READ.get(gpu.index, {}).get("processes", ()),
            }
        )
        for gpu in node.gpus
    )
    node = node.model_copy(update={"gpus": gpus, "name": "sick", "node_id": "sick"})
    readings = tuple(a_reading(gpu, **READ.get(gpu.index, {})) for gpu in gpus)
    details = tuple(a_detail(gpu, **DETAILED.get(gpu.index, {})) for gpu in gpus)
    return (
        node,
        NodeReading(node_id="sick", taken_at_s=NOW_S, gpus=readings),
        NodeDetail(node_id="sick", taken_at_s=NOW_S, gpus=details),
    )


def sick_cluster(*, beside: str | None = None) -> Cluster:
    """Return the judged node as a cluster; `beside` is the spec of healthy nodes that come after it."""
    judged = with_health(*sick_node())
    nodes = parse_cluster_spec(beside).nodes if beside else ()
    return Cluster(source="nvml", nodes=(judged, *nodes), taken_at_s=NOW_S)


def one_gpu(
    reading: dict[str, Any] | None = None, detail: dict[str, Any] | None = None, **gpu_changes: Any
) -> tuple[Node, NodeReading, NodeDetail]:
    """Return a node of one GPU with changes to it, its reading and its slow figures."""
    (node,) = parse_cluster_spec("1xH100").nodes
    gpu = node.gpus[0].model_copy(update={"facts": FACTS, **gpu_changes})
    node = node.model_copy(update={"gpus": (gpu,)})
    return (
        node,
        NodeReading(node_id=node.node_id, taken_at_s=NOW_S, gpus=(a_reading(gpu, **(reading or {})),)),
        NodeDetail(node_id=node.node_id, taken_at_s=NOW_S, gpus=(a_detail(gpu, **(detail or {})),)),
    )
