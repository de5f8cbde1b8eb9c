"""Compare the number of GPUs that Ray counts on a node with what was read there, and say what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cluster.inventory import Gpu, Node
from cluster.probe.query import NO_LIBRARY
from cluster.units import count_of

_TYPE_LABEL = "ray.io/accelerator-type"
_AMD = "AMD"


def short_disagreement(ray_gpus: int, node: Node) -> str | None:
    """Return both counts where they differ: 'Ray counts 8 GPUs, NVML shows none'. None where they agree."""
    # Ray counts what CUDA_VISIBLE_DEVICES leaves.
    visible = [gpu for gpu in node.gpus if gpu.excluded_reason is None]
    if ray_gpus in (len(node.gpus), _whole_gpus(node.gpus), len(visible), _whole_gpus(visible)):
        return None
    return f"Ray counts {_count(ray_gpus)}, {_reader(node)} shows {len(node.gpus) or 'none'}"


def count_disagreement(ray_gpus: int, node: Node, labels: Mapping[str, str]) -> str | None:
    """Return both counts, the reason that the node gave, and what would help. None where the counts agree."""
    short = short_disagreement(ray_gpus, node)
    if short is None:
        return None
    if not node.gpus:
        return f"{short} {_help_unseen(node, labels.get(_TYPE_LABEL, ''))}"
    shown = len(node.gpus)
    if ray_gpus < shown:
        used = f"only {ray_gpus} of them" if ray_gpus else "none of them"
        remedy = f"restart Ray there with --num-gpus={shown} and without {_visibility(node)}"
        return f"{short}. Ray uses {used}; to use all, {remedy}"
    return f"{short}. Restart Ray there with --num-gpus={shown}, or look in the kernel log for lost GPUs"


def _whole_gpus(gpus: Sequence[Gpu]) -> int:
    """Count the GPUs in the machine: Ray counts one that is cut into MIG slices once."""
    parents = {gpu.mig_parent_uuid for gpu in gpus if gpu.mig_parent_uuid}
    return sum(gpu.mig_parent_uuid is None for gpu in gpus) + len(parents)


def _reader(node: Node) -> str:
    return "amdgpu" if any(gpu.vendor == "amd" for gpu in node.gpus) else "NVML"


def _visibility(node: Node) -> str:
    return "ROCR_VISIBLE_DEVICES" if _reader(node) == "amdgpu" else "CUDA_VISIBLE_DEVICES"


def _help_unseen(node: Node, accelerator: str) -> str:
    """Say which driver is missing there, or what it answered, and the remedy."""
    if accelerator.upper().startswith(_AMD):
        return (
            f"({accelerator}: the kernel's amdgpu driver lists no GPU there). "
            "Load it (modprobe amdgpu), or give Ray's container /dev/kfd and /dev/dri"
        )
    if node.error == NO_LIBRARY:
        return (
            f"({NO_LIBRARY}, and the amdgpu driver lists no GPU). Install the GPU driver there, or give "
            "Ray's container the GPUs (NVIDIA: --gpus all; AMD: --device /dev/kfd --device /dev/dri)"
        )
    reason = node.error or "no reason given"
    return f"({reason}). Check nvidia-smi there, or restart Ray there with --num-gpus=0"


def _count(num_gpus: int) -> str:
    return count_of(num_gpus, "GPU") if num_gpus else "no GPU"
