"""A live state with every figure set, and one with none."""

from __future__ import annotations

from typing import Any

from cluster.deploy.status import DeploymentState, DeploymentStatus, ReplicaStatus
from cluster.detail import EccCounts, GpuDetail, NetworkPort, NodeDetail, NvLinkReading, XidEvent
from cluster.gpu_facts import GpuFacts, NodeFacts
from cluster.gpu_health import Finding, Health
from cluster.inventory import Cluster, Gpu, GpuProcess, Node
from cluster.metrics.live_state import LiveState
from cluster.telemetry import GpuReading, HostReading, NodeReading
from cluster.units import GIB, MIB

NOW_S = 1_790_000_000.0
TYPE = "A100-80GB"

FACTS = GpuFacts(
    max_sm_clock_mhz=1410.0,
    max_memory_clock_mhz=1593.0,
    slowdown_temperature_c=95.0,
    shutdown_temperature_c=98.0,
    max_memory_temperature_c=95.0,
    default_power_limit_w=400.0,
    max_power_limit_w=400.0,
    max_pcie_generation=4,
    max_pcie_width=16,
    num_nvlinks=12,
)
PROCESS = GpuProcess(
    pid=4242,
    name="python",
    memory_bytes=70 * GIB,
    user="alice",
    command="python -m vllm serve",
    sm_percent=93.0,
)
READING = GpuReading(
    uuid="GPU-0",
    memory_total_bytes=80 * GIB,
    memory_used_bytes=71 * GIB,
    memory_free_bytes=9 * GIB,
    utilization_percent=97.0,
    temperature_c=91.0,
    power_w=301.5,
    power_limit_w=400.0,
    energy_j=123456.789,
    memory_busy_percent=61.0,
    encoder_percent=0.0,
    decoder_percent=0.0,
    memory_temperature_c=88.0,
    performance_state=0,
    sm_clock_mhz=345.0,
    memory_clock_mhz=1593.0,
    throttle_reasons=("hw_thermal", "sw_power_cap"),
    processes=(PROCESS,),
    absent={"fan_percent": "not supported by this GPU"},
)
DETAIL = GpuDetail(
    uuid="GPU-0",
    pcie_generation=1,
    pcie_width=4,
    pcie_replays=17,
    pcie_received_bytes_per_s=1e6,
    pcie_sent_bytes_per_s=2e6,
    links=(
        NvLinkReading(link=0, active=True, received_bytes=100, sent_bytes=200, errors=1),
        NvLinkReading(link=1, active=False, received_bytes=10, sent_bytes=None, errors=2),
    ),
    ecc=EccCounts(
        volatile_corrected=3, volatile_uncorrected=2, aggregate_corrected=9, aggregate_uncorrected=2
    ),
    remapped_corrected=0,
    remapped_uncorrected=1,
    remap_pending=True,
    remap_failed=False,
    xids=(XidEvent(code=63, at_s=NOW_S - 60), XidEvent(code=94, at_s=NOW_S - 5)),
    bar1_used_bytes=4 * MIB,
    bar1_total_bytes=128 * GIB,
    absent={"retired_pages": "this GPU remaps rows instead"},
)
HEALTH = Health(
    state="degraded",
    findings=(Finding(code="throttled", state="degraded", text="throttled: 345 of 1,410 MHz"),),
)
HOST = HostReading(
    cpu_percent=12.5,
    num_cpus=64,
    memory_total_bytes=512 * GIB,
    memory_available_bytes=400 * GIB,
    disk_free_bytes=900 * GIB,
    absent={"load_1m": "psutil is not installed"},
)
PORT = NetworkPort(name="mlx5_0/1", kind="infiniband", is_up=True, link_bytes_per_s=5e10, errors=0)


def gpu(index: int = 0, **changes: Any) -> Gpu:
    fields: dict[str, Any] = {
        "index": index,
        "uuid": f"GPU-{index}",
        "type": TYPE,
        "memory_total_bytes": 80 * GIB,
        "pci_bus_id": f"00000000:0{index}:00.0",
        "facts": FACTS,
    }
    return Gpu(**{**fields, **changes})


def live(
    *nodes: Node,
    readings: tuple[NodeReading, ...] = (),
    details: tuple[NodeDetail, ...] = (),
    **more: Any,
) -> LiveState:
    return LiveState(
        cluster=Cluster(source="ray", nodes=nodes),
        now_s=NOW_S,
        title="ray 10.0.0.1:6379",
        readings={one.node_id: one for one in readings},
        details={one.node_id: one for one in details},
        **more,
    )


def full() -> LiveState:
    """One node whose GPU 0 has every figure and whose GPU 1 is lost; one node that hangs."""
    a = Node(
        node_id="a",
        name="gpu-a",
        gpus=(gpu(0, health=HEALTH, claimed_by="llama"), gpu(1, unhealthy_reason="GPU is lost")),
        facts=NodeFacts(driver_version="550.163.01", cuda_version="12.4"),
    )
    b = Node(node_id="b", name="gpu-b", gpus=(gpu(0, uuid="GPU-b0"),))
    lost = GpuReading(uuid="GPU-1", error="GPU is lost")
    hung = GpuReading(uuid="GPU-b0", utilization_percent=50.0)
    status = DeploymentStatus(
        name="llama",
        model="llama",
        label="TP=1",
        state=DeploymentState.READY,
        replicas=(ReplicaStatus(replica=0, ready=True),),
        tokens_per_s=1234.0,
    )
    return live(
        a,
        b,
        readings=(
            NodeReading(node_id="a", taken_at_s=NOW_S - 0.4, gpus=(READING, lost), host=HOST),
            NodeReading(node_id="b", taken_at_s=NOW_S - 30, state="hung", reason="a call", gpus=(hung,)),
        ),
        details=(NodeDetail(node_id="a", taken_at_s=NOW_S - 3, gpus=(DETAIL,), ports=(PORT,)),),
        deployments=(status,),
    )
