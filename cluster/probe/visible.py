"""CUDA_VISIBLE_DEVICES: which GPUs CUDA programs may use. The others are read, but not planned on. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cluster.frozen import FrozenModel
from cluster.inventory import Gpu
from cluster.text import clean

VARIABLE = "CUDA_VISIBLE_DEVICES"
_ORDER = "CUDA_DEVICE_ORDER"
_NVML_ORDER = "PCI_BUS_ID"
_NUM_MIG_INDEXES = 1000
_MOST_SHOWN = 60
_LONGEST_INDEX = 9


class Visible(FrozenModel):
    """The value of the variable, and what decides its meaning."""

    value: str
    order: str | None = None
    """Value of CUDA_DEVICE_ORDER: indices count in NVML's order with 'PCI_BUS_ID' only."""

    def describe(self) -> str:
        """Return 'CUDA_VISIBLE_DEVICES=2,3', shortened where it is long."""
        value = clean(self.value)
        short = value if len(value) <= _MOST_SHOWN else f"{value[:_MOST_SHOWN]}..."
        return f"{VARIABLE}={short}" if short.strip() else f"{VARIABLE}, which is empty"


def visible_from(env: Mapping[str, str]) -> Visible | None:
    """Return what an environment says; None where the variable is not set and every GPU is visible."""
    value = env.get(VARIABLE)
    return None if value is None else Visible(value=value, order=env.get(_ORDER))


def with_excluded(gpus: Sequence[Gpu], visible: Visible | None) -> tuple[Gpu, ...]:
    """Give each GPU that CUDA would not show its `excluded_reason`."""
    if visible is None:
        return tuple(gpus)
    shown = visible_indices(gpus, visible.value)
    reason = _reason(gpus, visible)
    return tuple(
        gpu if gpu.index in shown else gpu.model_copy(update={"excluded_reason": reason}) for gpu in gpus
    )


def visible_indices(gpus: Sequence[Gpu], value: str) -> set[int]:
    """Return the indices of the GPUs and MIG slices that CUDA shows for a value of the variable.

    As CUDA reads it: entries are indices, or UUIDs or unambiguous beginnings of them, never both; from the
    first entry that names no device on, the rest is ignored; one that is repeated hides all.
    """
    shown: list[int] = []
    entries = [entry.strip() for entry in value.split(",")]
    by_index = _is_index(entries[0])
    for entry in entries:
        found = _named(gpus, entry) if _is_index(entry) is by_index else None
        if found is None:
            break
        if found in shown:
            return set()
        shown.append(found)
    return set(shown)


def _is_index(entry: str) -> bool:
    return entry.isascii() and entry.isdigit()


def _named(gpus: Sequence[Gpu], entry: str) -> int | None:
    """Return the index of the one device that an entry means; None if it means none, or several."""
    if _is_index(entry):
        number = int(entry[:_LONGEST_INDEX])
        parents = {_parent_index(gpu): gpu.index for gpu in reversed(gpus)}
        return parents.get(number)
    if not entry.startswith(("GPU-", "MIG-")):
        return None
    found = [gpu.index for gpu in gpus if gpu.uuid.startswith(entry)]
    slices = [gpu for gpu in gpus if (gpu.mig_parent_uuid or "").startswith(entry)]
    if not found and len({gpu.mig_parent_uuid for gpu in slices}) == 1:
        # CUDA shows the first slice of a GPU that is named as a whole.
        return slices[0].index
    return found[0] if len(found) == 1 and not slices else None


def _parent_index(gpu: Gpu) -> int:
    """Return the index of the whole GPU; the first slice stands for it."""
    return gpu.index // _NUM_MIG_INDEXES - 1 if gpu.mig_parent_uuid else gpu.index


def _reason(gpus: Sequence[Gpu], visible: Visible) -> str:
    reason = f"hidden by {visible.describe()}"
    types = {gpu.type for gpu in gpus}
    if len(types) > 1 and _is_index(visible.value.strip()[:1]) and visible.order != _NVML_ORDER:
        # CUDA's own order puts the fastest first, which only CUDA can tell.
        return f"{reason} (counted as nvidia-smi does; set {_ORDER}={_NVML_ORDER} so that CUDA does too)"
    return reason
