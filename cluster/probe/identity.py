"""What a GPU is: the properties that do not change while the machine is up."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from cluster.inventory import MOST_COMPUTE_CAPABILITY, Gpu
from cluster.probe.facts import FactReader
from cluster.probe.links import text
from cluster.probe.memory import read_memory
from cluster.probe.nvml import Device
from cluster.probe.pci import device_folder, numa_node
from cluster.probe.processes import ProcessReader
from cluster.probe.query import GpuGone, NvmlQuery
from cluster.probe.readings import placeholder_uuid
from cluster.text import clean

_UNKNOWN_PRODUCT = "unknown GPU"


def read_gpu(
    query: NvmlQuery, device: Device, processes: ProcessReader, facts: FactReader, known: Gpu | None = None
) -> Gpu:
    """Describe a GPU under its product name; one that is gone keeps what was `known`, with the reason."""
    if device.error:
        return _gone(device, device.error, known)
    try:
        return _describe(query, device, processes, facts)
    except GpuGone as gone:
        return _gone(device, str(gone), known)
    except ValidationError as error:
        # One impossible value makes this GPU unhealthy; the node is still read.
        field = ".".join(str(part) for part in error.errors(include_url=False)[0]["loc"]) or "description"
        return _gone(device, f"the driver reports an impossible {field}", known)


def _describe(query: NvmlQuery, device: Device, processes: ProcessReader, facts: FactReader) -> Gpu:
    index, handle, parent = device.asked_index, device.handle, device.mig_parent
    chip_handle = device.chip.handle
    uuid = clean(str(query.require(index, "nvmlDeviceGetUUID", handle))) or placeholder_uuid(device.index)
    product = clean(str(facts.once(query, index, uuid, "nvmlDeviceGetName", handle) or ""))
    bus_id = _bus_id(facts.once(query, index, uuid, "nvmlDeviceGetPciInfo", chip_handle))
    capability = facts.once(query, index, uuid, "nvmlDeviceGetCudaComputeCapability", chip_handle)
    memory = read_memory(query, device)
    return Gpu(
        index=device.index,
        uuid=uuid,
        type=product or _UNKNOWN_PRODUCT,
        memory_total_bytes=memory.total_bytes,
        memory_free_bytes=memory.free_bytes,
        unified_memory=memory.unified,
        compute_capability=_compute_capability(capability),
        pci_bus_id=bus_id,
        numa_node=numa_node(device_folder(bus_id)),
        mig_parent_uuid=str(query.require(index, "nvmlDeviceGetUUID", parent.handle)) if parent else None,
        unhealthy_reason=device.unhealthy or _unhealthy_reason(query, index, chip_handle),
        facts=facts.of_gpu(query, device, uuid, product),
        processes=processes.read(query, device, memory, with_use=False)[0],
    )


def _compute_capability(answer: Any) -> tuple[int, int] | None:
    if not answer:
        return None
    major, minor = int(answer[0]), int(answer[1])
    plausible = 0 < major <= MOST_COMPUTE_CAPABILITY and 0 <= minor <= MOST_COMPUTE_CAPABILITY
    return (major, minor) if plausible else None


def _gone(device: Device, reason: str, known: Gpu | None) -> Gpu:
    if known:
        return known.model_copy(
            update={"memory_free_bytes": None, "unhealthy_reason": reason, "processes": ()}
        )
    return Gpu(
        index=device.index,
        uuid=placeholder_uuid(device.index),
        type=_UNKNOWN_PRODUCT,
        memory_total_bytes=None,
        unhealthy_reason=reason,
    )


def _bus_id(info: Any) -> str | None:
    return None if info is None else text(info.busId)


def _unhealthy_reason(query: NvmlQuery, index: int, handle: Any) -> str | None:
    rows = query.ask(index, "nvmlDeviceGetRemappedRows", handle).value
    return "remapping of a faulty memory row failed; the GPU needs repair" if rows and rows[3] else None
