"""The JSON of `clusterview --once --json`: every live reading, its age, and why a figure is absent. Pure.

Sizes are bytes, times seconds, `utilization` and fields that end in `_percent` percent.
"""

from __future__ import annotations

from typing import Any

from cluster.detail import GpuDetail
from cluster.frozen import FrozenModel
from cluster.gpu_facts import GpuFacts
from cluster.gpu_health import Health
from cluster.inventory import GpuProcess
from cluster.metrics.live_state import GpuNow, LiveState, NodeNow
from cluster.telemetry import GpuReading, HostReading

SCHEMA_VERSION = 1
_APART = ("uuid", "processes", "absent", "error")
"""Fields that are not figures."""
READING_NAMES = {
    "utilization_percent": "utilization",
    "sm_clock_mhz": "clock_sm_mhz",
    "memory_clock_mhz": "clock_memory_mhz",
}
FACT_NAMES = {
    "max_sm_clock_mhz": "clock_sm_max_mhz",
    "max_memory_clock_mhz": "clock_memory_max_mhz",
    "max_pcie_generation": "pcie.max_generation",
    "max_pcie_width": "pcie.max_width",
}
DETAIL_NAMES = {
    "pcie_generation": "pcie.generation",
    "pcie_width": "pcie.width",
    "pcie_replays": "pcie.replays",
    "pcie_received_bytes_per_s": "pcie.received_bytes_per_s",
    "pcie_sent_bytes_per_s": "pcie.sent_bytes_per_s",
    "links": "nvlinks",
    "remapped_corrected": "ecc.remapped_corrected",
    "remapped_uncorrected": "ecc.remapped_uncorrected",
    "remap_pending": "ecc.remap_pending",
    "remap_failed": "ecc.remap_failed",
    "retired_pages": "ecc.retired_pages",
    "retirement_pending": "ecc.retirement_pending",
}
_NOT_GIVEN = "no value was read"


def live_json(live: LiveState) -> dict[str, Any]:
    """Return the whole document."""
    return {
        "schema_version": SCHEMA_VERSION,
        "taken_at_s": round(live.now_s, 3),
        "source": live.cluster.source,
        "title": live.title,
        "simulated": live.cluster.simulated,
        "nodes": [_node(node) for node in live.nodes()],
    }


def _node(now: NodeNow) -> dict[str, Any]:
    node = now.node
    facts = node.facts
    return {
        "name": node.name,
        "node_id": node.node_id,
        "address": node.address,
        "state": now.state,
        "reason": now.reason or None,
        "age_s": _rounded(now.age_s),
        "slow_figures_age_s": _rounded(now.detail_age_s),
        "left": None if node.left is None else node.left.model_dump(mode="json"),
        "ray_gpus": node.ray_gpus,
        "driver_version": None if facts is None else facts.driver_version,
        "cuda_version": None if facts is None else facts.cuda_version,
        "nvlink_domain": node.nvlink_domain,
        "engines": node.engines,
        "host": _host(now),
        "ports": None if now.detail is None else [port.model_dump(mode="json") for port in now.detail.ports],
        "gpus": [_gpu(gpu, now) for gpu in now.gpus],
        "absent": _node_absent(now),
    }


def _node_absent(now: NodeNow) -> dict[str, str]:
    """Return why figures of the node itself are absent."""
    facts, detail = now.node.facts, now.detail
    why = {**(facts.absent if facts is not None else {}), **(detail.absent if detail is not None else {})}
    if facts is None:
        why.update(dict.fromkeys(("driver_version", "cuda_version"), _why_no_facts(now)))
    if detail is None:
        why["ports"] = _why_no_detail(now)
    return why


def _host(now: NodeNow) -> dict[str, Any] | None:
    if now.reading is None or now.reading.host is None:
        return None
    values, absent = _figures(now.reading.host, HostReading, {}, _NOT_GIVEN)
    return {**values, "absent": absent}


def _gpu(now: GpuNow, node: NodeNow) -> dict[str, Any]:
    gpu, reading = now.gpu, now.reading
    absent: dict[str, str] = {}
    figures: dict[str, Any] = {}
    for model, kind, names, why in (
        (reading, GpuReading, READING_NAMES, _why_no_reading(now, node)),
        (gpu.facts, GpuFacts, FACT_NAMES, _why_no_facts(node)),
        (now.detail, GpuDetail, DETAIL_NAMES, _why_no_detail(node)),
    ):
        values, reasons = _figures(model, kind, names, why)
        _put(figures, values)
        absent.update(reasons)
    if figures["memory_total_bytes"] is None and gpu.memory_total_bytes is not None:
        figures["memory_total_bytes"] = gpu.memory_total_bytes
        absent.pop("memory_total_bytes", None)
    if gpu.facts is not None and gpu.mig_parent_uuid is None:
        absent["mig_profile"] = "not a MIG slice"
    if gpu.health is None:
        absent["health"] = "nobody has judged it"
    return {
        "index": gpu.index,
        "uuid": gpu.uuid,
        "type": gpu.type,
        "vendor": gpu.vendor,
        **figures,
        **_identity(now),
        "error": reading.error if reading is not None else None,
        "health": None if gpu.health is None else _health(gpu.health),
        "usable": gpu.usable,
        "unhealthy_reason": gpu.unhealthy_reason,
        "excluded_reason": gpu.excluded_reason,
        "processes": [_process(one) for one in processes_of(now)],
        "absent": absent,
    }


def _identity(now: GpuNow) -> dict[str, Any]:
    gpu = now.gpu
    return {
        "pci_bus_id": gpu.pci_bus_id,
        "numa_node": gpu.numa_node,
        "compute_capability": gpu.compute_capability,
        "nvlink_island": gpu.nvlink_island,
        "mig_parent_uuid": gpu.mig_parent_uuid,
        "unified_memory": gpu.unified_memory,
        "claimed_by": gpu.claimed_by,
    }


def processes_of(now: GpuNow) -> tuple[GpuProcess, ...]:
    """Return the processes on a GPU: of its reading where there is one."""
    return now.gpu.processes if now.reading is None else now.reading.processes


def _figures(
    model: FrozenModel | None, kind: type[FrozenModel], names: dict[str, str], why: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a model's figures by the names they have here, and why those without a value have none."""
    values = {} if model is None else model.model_dump(mode="json")
    given: dict[str, str] = values.get("absent", {})
    figures = {
        names.get(field, field): values.get(field) for field in kind.model_fields if field not in _APART
    }
    reasons = {names.get(field, field): reason for field, reason in given.items()}
    for name, value in figures.items():
        if value is None:
            reasons.setdefault(name, why if model is None else _NOT_GIVEN)
        elif isinstance(value, dict):
            # Its parts may be absent one by one, for the reason of the whole or of the part.
            for part in (part for part, inner in value.items() if inner is None):
                reasons.setdefault(f"{name}.{part}", given.get(part) or given.get(name) or _NOT_GIVEN)
    return figures, reasons


def _put(into: dict[str, Any], values: dict[str, Any]) -> None:
    """Add figures; 'pcie.width' goes into the object 'pcie', and an object into one of its name."""
    for name, value in values.items():
        group, _, part = name.partition(".")
        if part:
            into[group] = {**(into.get(group) or {}), part: value}
        elif isinstance(value, dict):
            into[name] = {**(into.get(name) or {}), **value}
        elif value is not None or name not in into:
            into[name] = value


def _why_no_reading(now: GpuNow, node: NodeNow) -> str:
    if node.reading is None or not node.is_fresh:
        return f"{node.node.name} is {node.state}" + (f": {node.reason}" if node.reason else "")
    return now.gpu.unhealthy_reason or "it is not among the GPUs that were read"


def _why_no_facts(node: NodeNow) -> str:
    return node.node.error or "not read of this node"


def _why_no_detail(node: NodeNow) -> str:
    return "no slow figures of it yet" if node.is_fresh else f"{node.node.name} is {node.state}"


def _health(health: Health) -> dict[str, Any]:
    return {
        "verdict": health.state,
        "reasons": [finding.text for finding in health.findings],
        "findings": [finding.model_dump(mode="json") for finding in health.findings],
        "slowdown": health.slowdown.model_dump(mode="json"),
    }


def _process(process: GpuProcess) -> dict[str, Any]:
    """Return a process; where no command line was read, its program's name stands for it."""
    values = process.model_dump(mode="json")
    return {**values, "command": process.command or process.name}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
