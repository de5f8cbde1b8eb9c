"""Which GPUs of a node are taken in Ray, from what its dashboard says of workers and of resources."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field, ValidationError

from cluster.frozen import FromAnyVersion
from cluster.text import CleanStr


class _Slot(FromAnyVersion):
    slot: Annotated[int, Field(ge=0, le=10**6)] = 0
    allocation: float = 0.0


class _Slots(FromAnyVersion):
    slots: Annotated[tuple[_Slot, ...], Field(validation_alias="resourceSlots", max_length=1000)] = ()


class _Worker(FromAnyVersion):
    job: Annotated[CleanStr, Field(validation_alias="jobId")] = ""
    pid: int = 0
    used: Annotated[dict[str, _Slots], Field(validation_alias="usedResources")] = {}


def held_slots(workers: Iterable[Any]) -> dict[int, str]:
    """Return who holds GPUs of the node: the GPU's place among Ray's -> 'Ray job 01000000 (pid 77)'.

    A worker that says it in another form is left out.
    """
    held: dict[int, str] = {}
    for entry in workers:
        with contextlib.suppress(ValidationError):
            worker = _Worker.model_validate(entry)
            for resource, used in worker.used.items():
                if _is_gpu(resource):
                    who = f"Ray job {worker.job} (pid {worker.pid})"
                    held |= {one.slot: who for one in used.slots if one.allocation > 0}
    return held


def _is_gpu(resource: str) -> bool:
    """True for GPUs, also those of a placement group: 'GPU_group_0_...', in the dashboard's spelling too."""
    return resource == "GPU" or resource.startswith(("GPU_group", "GPUGroup"))


def taken_gpus(usage: str) -> float:
    """Return the GPUs that jobs and placement groups hold, 0 where the text does not say.

    Its line is '1.0/8.0 GPU', or '1.0/8.0 GPU (1.0 used of 4.0 reserved in placement groups)': what groups
    reserve and do not use is taken too.
    """
    for line in usage.splitlines():
        amount, _, rest = line.strip().partition(" ")
        if rest == "GPU" or rest.startswith("GPU ("):
            with contextlib.suppress(ValueError):
                return float(amount.partition("/")[0]) + _reserved_unused(rest)
    return 0.0


def _reserved_unused(rest: str) -> float:
    used, separator, reserved = rest.partition("(")[2].partition(" used of ")
    return float(reserved.partition(" ")[0]) - float(used) if separator else 0.0
