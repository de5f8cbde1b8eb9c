"""From what Ray's dashboard says of a node to the inventory and readings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster.bridge.driver.other_jobs import FOREIGN
from cluster.bridge.observe.answer import BadNode, SeenGpu, SeenNode
from cluster.bridge.observe.usage import held_slots
from cluster.catalog.gpus import match_product
from cluster.cluster_spec import assumed_island
from cluster.gpu_facts import GpuFacts
from cluster.inventory import Gpu, GpuProcess, Node
from cluster.telemetry import GpuReading, HostReading, NodeReading
from cluster.units import MIB, count_of

ABSENT = "Ray's dashboard does not report it"
ASSUMED_LINKS = "Ray's dashboard does not report links; NVLink is assumed where this GPU type has it"
_AMD = "amd"
_FACTS = GpuFacts(
    absent={
        name: ASSUMED_LINKS if name == "num_nvlinks" else ABSENT
        for name in GpuFacts.model_fields
        if name != "absent"
    }
)


def node_of(seen: SeenNode | BadNode) -> Node:
    """Return the node for the inventory; what Ray does not say is None."""
    raylet = seen.raylet
    gpus = seen.gpus if isinstance(seen, SeenNode) else ()
    held = _holders(seen) if isinstance(seen, SeenNode) else {}
    return Node(
        node_id=raylet.node_id,
        name=raylet.name or (seen.hostname if isinstance(seen, SeenNode) else "") or raylet.node_id[:8],
        address=raylet.address or None,
        gpus=tuple(_gpu(gpu, len(gpus), held.get(place)) for place, gpu in enumerate(_distinct(gpus))),
        ray_gpus=raylet.num_gpus,
        error=_error(seen),
    )


def _holders(seen: SeenNode) -> dict[int, str]:
    """Return who holds each GPU in Ray, by the GPU's place on the node."""
    if seen.raylet.num_gpus != len(seen.gpus):
        return {}  # Ray's numbers are of other GPUs than all of these
    everything = len(seen.gpus) <= seen.taken_gpus
    others = dict.fromkeys(range(len(seen.gpus)), FOREIGN) if everything else {}
    return others | held_slots(seen.raylet.workers)


def _error(seen: SeenNode | BadNode) -> str | None:
    if isinstance(seen, BadNode):
        return f"what Ray's dashboard says of it cannot be read ({seen.problem})"
    counted, shown = seen.raylet.num_gpus, len(seen.gpus)
    if seen.reported_at_s is None:
        return "Ray's reporter on this node has sent nothing yet" if counted else None
    if counted and not shown:
        return (
            f"Ray counts {count_of(counted, 'GPU')}, its reporter on this node shows none. Check that the "
            "driver's library is there (NVIDIA), or install amdsmi in Ray's Python (AMD)"
        )
    return None


def _distinct(gpus: tuple[SeenGpu, ...]) -> list[SeenGpu]:
    """Leave out a GPU that has the index or the uuid of an earlier one."""
    found: list[SeenGpu] = []
    for gpu in gpus:
        if all(gpu.index != one.index and uuid_of(gpu) != uuid_of(one) for one in found):
            found.append(gpu)
    return found


def uuid_of(gpu: SeenGpu) -> str:
    """Return what identifies a GPU; its index where Ray has no uuid."""
    return gpu.uuid or f"gpu-{gpu.index}"


def _gpu(gpu: SeenGpu, of_node: int, holder: str | None) -> Gpu:
    total = _bytes(gpu.memory_total_mb)
    used = _bytes(gpu.memory_used_mb)
    spec = match_product(gpu.name, total) if gpu.name else None
    return Gpu(
        index=gpu.index,
        uuid=uuid_of(gpu),
        type=spec.type if spec is not None else gpu.name or "unknown GPU",
        memory_total_bytes=total,
        memory_free_bytes=None if total is None or used is None else max(0, total - used),
        compute_capability=spec.compute_capability if spec is not None else None,
        nvlink_island=assumed_island(spec, gpu.index, of_node) if spec is not None else None,
        claimed_by=holder,
        vendor="amd" if gpu.name.lower().startswith(_AMD) else "nvidia",
        facts=_FACTS,
        processes=_processes(gpu),
    )


def _processes(gpu: SeenGpu) -> tuple[GpuProcess, ...]:
    return tuple(
        GpuProcess(pid=one.pid, memory_bytes=_bytes(one.memory_mb), sm_percent=one.sm_percent)
        for one in gpu.processes or ()
    )


def reading_of(seen: SeenNode | BadNode, taken_at_s: float) -> NodeReading:
    """Return the reading, taken at `taken_at_s` on our clock."""
    node_id = seen.raylet.node_id
    if isinstance(seen, BadNode):
        return NodeReading(node_id=node_id, taken_at_s=taken_at_s, state="lost", reason="cannot be read")
    if seen.reported_at_s is None:
        return NodeReading(node_id=node_id, taken_at_s=taken_at_s, state="stale", reason="not reported yet")
    gpus = tuple(_gpu_reading(gpu) for gpu in _distinct(seen.gpus))
    state = "ok" if gpus else "no_gpus"
    return NodeReading(node_id=node_id, taken_at_s=taken_at_s, state=state, gpus=gpus, host=_host(seen))  # type: ignore[arg-type]


def _gpu_reading(gpu: SeenGpu) -> GpuReading:
    total, used = _bytes(gpu.memory_total_mb), _bytes(gpu.memory_used_mb)
    figures: dict[str, Any] = {
        "memory_total_bytes": total,
        "memory_used_bytes": used,
        "memory_free_bytes": None if total is None or used is None else max(0, total - used),
        "utilization_percent": gpu.used_percent,
        "temperature_c": gpu.temperature_c,
        "power_w": None if gpu.power_mw is None else gpu.power_mw / 1000,
    }
    return GpuReading(
        uuid=uuid_of(gpu), processes=_processes(gpu), absent=_absent(GpuReading, figures), **figures
    )


def _host(seen: SeenNode) -> HostReading:
    memory, network = seen.memory, seen.network_bytes_per_s
    disk = seen.disks.get("/", {})
    figures: dict[str, Any] = {
        "cpu_percent": seen.cpu_percent,
        "num_cpus": seen.num_cpus[0] if seen.num_cpus else None,
        "load_1m": _first_load(seen.load),
        "memory_total_bytes": _whole(memory[0]) if memory else None,
        "memory_available_bytes": _whole(memory[1]) if len(memory) > 1 else None,
        "disk_total_bytes": _whole(disk.get("total")),
        "disk_free_bytes": _whole(disk.get("free")),
        "network_sent_bytes_per_s": network[0] if network else None,
        "network_received_bytes_per_s": network[1] if len(network) > 1 else None,
    }
    return HostReading(absent=_absent(HostReading, figures), **figures)


def _absent(model: type[GpuReading] | type[HostReading], figures: Mapping[str, Any]) -> dict[str, str]:
    """Return the reason for each figure of the model that is not there."""
    optional = [
        name for name, field in model.model_fields.items() if field.default is None and name != "error"
    ]
    return {name: ABSENT for name in optional if figures.get(name) is None}


def _first_load(load: tuple[Any, ...]) -> float | None:
    first = load[0] if load else None
    if isinstance(first, list | tuple):
        first = first[0] if first else None
    return float(first) if isinstance(first, int | float) else None


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and 0 <= value < 2**63 else None


def _bytes(megabytes: float | None) -> int | None:
    return None if megabytes is None else round(megabytes * MIB)
