"""The only importer of the NVML binding: loading it, opening it, and the devices it shows."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from cluster.probe.lines import LeftOut
from cluster.probe.query import OPENING, GpuGone, Mark, NvmlGone, NvmlQuery

NO_INSTANCE = (
    "MIG mode is on and it has no MIG instance, so CUDA cannot use it; create one with nvidia-smi mig -cgi, "
    "or turn MIG off with nvidia-smi -mig 0"
)

_MIG_ENABLED = 1
_NUM_MIG_INDEXES = 1000


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU or MIG slice that NVML shows. Without a handle, `error` says why nothing can be asked."""

    index: int
    """NVML's index; a MIG slice k of GPU i is (i + 1) * 1000 + k, as no GPU index is."""
    handle: Any = None
    error: str | None = None
    unhealthy: str | None = None
    """Why it cannot be used although it can be read."""
    mig_parent: Device | None = None

    @property
    def asked_index(self) -> int:
        """The index under which errors and hangs of this device are recorded: the physical GPU's."""
        return self.mig_parent.index if self.mig_parent else self.index

    @property
    def chip(self) -> Device:
        """The physical GPU: itself, or the one that a MIG slice is part of."""
        return self.mig_parent or self


def load_binding() -> ModuleType:
    """Return NVIDIA's binding, else the copy inside an installed Ray; raise NvmlGone with what to install."""
    try:
        module = importlib.import_module("pynvml")
    except ImportError:
        return _rays_copy("nvidia-ml-py is not installed here; pip install nvidia-ml-py")
    # Abandoned packages install a module of the same name that lacks what newer drivers need.
    if hasattr(module, "_nvmlGetFunctionPointer") and hasattr(module, "nvmlMemory_v2"):
        return module
    return _rays_copy(
        f"the pynvml module at {module.__file__} is not NVIDIA's; "
        "pip uninstall -y pynvml nvidia-ml-py3 && pip install --force-reinstall nvidia-ml-py"
    )


def _rays_copy(otherwise: str) -> ModuleType:
    # Loaded from its file: importing ray itself would cost a second in every probe.
    ray = importlib.util.find_spec("ray")
    for folder in (ray.submodule_search_locations or []) if ray else []:
        path = Path(folder) / "_private" / "thirdparty" / "pynvml" / "pynvml.py"
        spec = importlib.util.spec_from_file_location("clusterview_pynvml", path) if path.exists() else None
        if spec and spec.loader:
            module = importlib.util.module_from_spec(spec)
            # While it loads it looks itself up to make its error classes.
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
            return module
    raise NvmlGone(otherwise)


class NvmlSession:
    """An initialized NVML. Raises NvmlGone with the reason if it cannot be initialized."""

    def __init__(self, mark: Mark | None = None, left_out: Iterable[LeftOut] = ()) -> None:
        self.query = NvmlQuery(load_binding(), mark, left_out)
        self.query.require(None, OPENING)

    def close(self) -> None:
        """Shut NVML down; what cannot be shut down any more is left alone."""
        try:
            self.query.ask(None, "nvmlShutdown")
        except (GpuGone, NvmlGone):
            return

    def devices(self, skipped: dict[int, str] | None = None) -> tuple[Device, ...]:
        """List GPUs in NVML's order, MIG slices in place of their GPU; `skipped` ones are not touched."""
        self.query.forget()
        count = int(self.query.require(None, "nvmlDeviceGetCount"))
        found: list[Device] = []
        for index in range(count):
            if skipped and index in skipped:
                found.append(Device(index, error=skipped[index]))
                continue
            try:
                gpu = Device(index, self.query.require(index, "nvmlDeviceGetHandleByIndex", index))
                found.extend(self._parts(gpu))
            except GpuGone as gone:
                found.append(Device(index, error=str(gone)))
        return tuple(found)

    def _parts(self, gpu: Device) -> list[Device]:
        """Return what CUDA can use of a GPU: its MIG slices where it is in MIG mode, else the GPU."""
        mode = self.query.ask(gpu.index, "nvmlDeviceGetMigMode", gpu.handle)
        if mode.value is None or mode.value[0] != _MIG_ENABLED:
            return [gpu]
        return self._slices(gpu) or [replace(gpu, unhealthy=NO_INSTANCE)]

    def _slices(self, gpu: Device) -> list[Device]:
        most = self.query.ask(gpu.index, "nvmlDeviceGetMaxMigDeviceCount", gpu.handle)
        slices = []
        for number in range(most.value or 0):
            # A missing slice is an ordinary gap in the numbering.
            slice_ = self.query.ask(gpu.index, "nvmlDeviceGetMigDeviceHandleByIndex", gpu.handle, number)
            if slice_.value is not None:
                index = (gpu.index + 1) * _NUM_MIG_INDEXES + number
                slices.append(Device(index, slice_.value, mig_parent=gpu))
        return slices
