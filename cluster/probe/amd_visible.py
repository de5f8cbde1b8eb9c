"""ROCR_VISIBLE_DEVICES and HIP_VISIBLE_DEVICES: which AMD GPUs programs may use. Pure.

As ROCm's page on GPU isolation says: indices or 'GPU-' and the unique id for ROCR, indices for HIP, which
also takes CUDA_VISIBLE_DEVICES. HIP's indices count the GPUs that ROCR left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cluster.inventory import Gpu
from cluster.probe.visible import visible_indices
from cluster.text import clean

ROCR, HIP, CUDA = "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"
_MOST_SHOWN = 60


def with_hidden(gpus: Sequence[Gpu], env: Mapping[str, str]) -> tuple[Gpu, ...]:
    """Give each GPU that the variables hide its `excluded_reason`."""
    hidden: dict[int, str] = {}
    for variable in (ROCR, HIP if HIP in env else CUDA):
        value = env.get(variable)
        if value is None:
            continue
        left = [gpu for gpu in gpus if gpu.index not in hidden]
        counted = [gpu.model_copy(update={"index": number}) for number, gpu in enumerate(left)]
        shown = visible_indices(counted, value)
        reason = f"left out by {variable}={clean(value, _MOST_SHOWN)}"
        hidden |= {gpu.index: reason for number, gpu in enumerate(left) if number not in shown}
    return tuple(_with_reason(gpu, hidden.get(gpu.index)) for gpu in gpus)


def _with_reason(gpu: Gpu, reason: str | None) -> Gpu:
    return gpu if reason is None else gpu.model_copy(update={"excluded_reason": reason})
