"""Which GPUs Ray gave the process of an actor."""

from __future__ import annotations

from collections.abc import Sequence


def assigned_gpu_indices() -> list[int]:
    """Return NVML's indices of this actor's GPUs."""
    import ray

    return indices_of(ray.get_gpu_ids())


def indices_of(ids: Sequence[int | str]) -> list[int]:
    """Return NVML's indices of GPUs as Ray names them.

    Ray names them as the node's CUDA_VISIBLE_DEVICES does where that is set: by index or by UUID.
    """
    names = [str(one) for one in ids]
    if all(name.isascii() and name.isdigit() for name in names):
        return [int(name) for name in names]
    from cluster.probe.local import read_cluster
    from cluster.probe.visible import visible_indices

    return sorted(visible_indices(read_cluster().nodes[0].gpus, ",".join(names)))
