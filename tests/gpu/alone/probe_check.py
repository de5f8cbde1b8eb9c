"""What the probe reads of this machine, beside what torch says of the same GPUs."""

from __future__ import annotations

import time
from typing import Any

from cluster.inventory import Gpu
from cluster.probe.local import read_cluster
from tests.gpu.alone.machine import Machine

_MIB = 2**20


def check_probe(machine: Machine) -> dict[str, Any]:
    """Return each GPU as read, how long that took, and how it differs from what torch says."""
    if machine.on_cpu:
        began_s = time.monotonic()
        node = read_cluster().nodes[0]
        return {"read_s": round(time.monotonic() - began_s, 2), "error": node.error, "gpus": len(node.gpus)}
    began_s = time.monotonic()
    node = read_cluster().nodes[0]
    read_s = time.monotonic() - began_s
    gpus = [gpu for gpu in node.gpus if gpu.mig_parent_uuid is None]
    differences = [text for number, gpu in enumerate(gpus) for text in _differences(gpu, number)]
    result = {
        "read_s": round(read_s, 2),
        "driver": node.driver_version,
        "gpus": [_described(gpu) for gpu in gpus],
        "differs_from_torch": differences,
    }
    return {**result, "failed": "; ".join(differences)} if differences else result


def _described(gpu: Gpu) -> dict[str, Any]:
    return {
        "index": gpu.index,
        "uuid": gpu.uuid,
        "type": gpu.type,
        "memory_total_bytes": gpu.memory_total_bytes,
        "memory_free_bytes": gpu.memory_free_bytes,
        "compute_capability": gpu.compute_capability,
        "nvlink_island": gpu.nvlink_island,
    }


def _differences(gpu: Gpu, number: int) -> list[str]:
    """Compare with torch; its memory is a little less than NVML's, which counts what the driver keeps."""
    import torch

    known = torch.cuda.get_device_properties(number)
    found = []
    if gpu.compute_capability not in (None, (known.major, known.minor)):
        found.append(
            f"GPU {gpu.index}: capability {gpu.compute_capability}, torch: {known.major}.{known.minor}"
        )
    total = gpu.memory_total_bytes
    if total is not None and not 0 <= total - known.total_memory <= 0.05 * total:
        found.append(f"GPU {gpu.index}: {total // _MIB} MiB, torch: {known.total_memory // _MIB} MiB")
    if gpu.type == known.name:
        found.append(f"GPU {gpu.index}: {known.name} is not in the catalog")
    return found
