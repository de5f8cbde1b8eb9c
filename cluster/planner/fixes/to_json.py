"""Fixes as JSON values. Sizes are bytes, absent parts null. Names are only ever added."""

from __future__ import annotations

from typing import Any

from cluster.planner.fixes.fix import Fix, FreeMemory, GpuToFree, Hardware, LargerCluster, MoreGpus
from cluster.planner.fixes.text import describe_fix
from cluster.planner.layout_json import layout_to_json

Json = dict[str, Any]


def fix_to_json(fix: Fix) -> Json:
    """Return one fix: the layout that runs with it (null: the refused one), and the changes."""
    weights = fix.weights
    return {
        "text": describe_fix(fix),
        "layout": layout_to_json(fix.layout) if fix.layout is not None else None,
        "options": dict(fix.options),
        "weights": None
        if weights is None
        else {
            "format": weights.variant.name,
            "quantization": weights.variant.method or None,
            "weights_bytes": weights.size_bytes,
        },
        "hardware": _hardware(fix.hardware),
    }


def _hardware(hardware: Hardware | None) -> Json | None:
    match hardware:
        case None:
            return None
        case FreeMemory(gpus=gpus):
            return {"kind": "free_memory", "gpus": [_gpu(gpu) for gpu in gpus]}
        case MoreGpus(num_gpus=count, gpu_type=kind):
            return {"kind": "more_gpus", "gpus": count, "type": kind}
        case LargerCluster(num_nodes=nodes, gpus_per_node=size, gpu_type=kind):
            return {"kind": "larger_cluster", "nodes": nodes, "gpus_per_node": size, "type": kind}


def _gpu(gpu: GpuToFree) -> Json:
    return {
        "node": gpu.node_name,
        "node_id": gpu.node_id,
        "gpu_index": gpu.gpu_index,
        "missing_bytes": gpu.missing_bytes,
        "stop_pids": [process.pid for process in gpu.processes],
        "claimed_by": gpu.claimed_by,
    }
