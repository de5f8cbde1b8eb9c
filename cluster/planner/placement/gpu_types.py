"""The planner's figures for each GPU: its catalog type, actual memory and measured rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.gpus import all_gpu_types, find_gpu
from cluster.errors import UnknownName
from cluster.inventory import Gpu, MeasuredRate
from cluster.planner.cost.rates import memory_speedup
from cluster.units import format_gib


@dataclass(frozen=True, slots=True)
class GpuKind:
    """A GPU's type and its actual memory."""

    spec: GpuSpec
    total_bytes: int
    memory_speedup: float = 1.0
    """Measured over usual memory bandwidth; 1 if it was not measured."""


class GpuLookup:
    """Looks up each distinct kind of GPU once, and collects notes for the user."""

    def __init__(self, measured: Sequence[MeasuredRate] = ()) -> None:
        self._measured = measured
        self._resolved: dict[tuple[str, int | None, bool], GpuKind | None] = {}
        self._notes: list[str] = []

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes)

    @property
    def any_unknown(self) -> bool:
        """True when some GPU could not be resolved."""
        return None in self._resolved.values()

    def resolve(self, gpu: Gpu) -> GpuKind | None:
        """Return the GPU's figures; None when neither its memory nor its type is known."""
        key = (gpu.type, gpu.memory_total_bytes, gpu.mig_parent_uuid is None)
        if key not in self._resolved:
            self._resolved[key] = self._look_up(gpu)
        return self._resolved[key]

    def _look_up(self, gpu: Gpu) -> GpuKind | None:
        total = gpu.memory_total_bytes if gpu.memory_total_bytes and gpu.memory_total_bytes > 0 else None
        spec = _find(gpu.type) or self._nearest(gpu, total)
        if spec is None:
            return None
        if total is None:
            self._notes.append(
                f"{gpu.type}: cannot read its memory size, assuming {format_gib(spec.memory_bytes)}"
            )
            total = spec.memory_bytes
        if gpu.mig_parent_uuid is not None:
            spec = _slice_of(spec, gpu.type, total)
            return GpuKind(spec, total)
        measured = [rate for rate in self._measured if rate.gpu_type == spec.type]
        if measured:
            spec = replace(spec, measured=measured[-1])
            self._notes.append(f"{spec.type}: using the rates measured on this cluster")
        return GpuKind(spec, total, memory_speedup(spec))

    def _nearest(self, gpu: Gpu, total_bytes: int | None) -> GpuSpec | None:
        """Return the catalog GPU most like this one: nearest compute capability, then nearest memory."""
        if total_bytes is None:
            return None
        wanted = _version(gpu.compute_capability) if gpu.compute_capability else None
        specs = [spec for spec in map(find_gpu, all_gpu_types()) if spec.vendor == "nvidia"]
        nearest = min(
            specs,
            key=lambda spec: (
                0.0 if wanted is None else abs(_version(spec.compute_capability) - wanted),
                abs(spec.memory_bytes - total_bytes),
            ),
        )
        self._notes.append(f"{gpu.type} is not in the catalog: using the rates of {nearest.type}")
        # Without an NVLink reading, the nearest type's NVLink rate might promise a link that does not exist.
        keeps_nvlink = gpu.nvlink_island is not None
        return replace(
            nearest, type=gpu.type, nvlink_bytes_per_s=nearest.nvlink_bytes_per_s if keeps_nvlink else 0.0
        )


def _version(capability: tuple[int, int]) -> float:
    return capability[0] + capability[1] / 10


def _find(type_name: str) -> GpuSpec | None:
    for name in (type_name, type_name.split(" MIG")[0]):
        try:
            return find_gpu(name)
        except UnknownName:
            continue
    return None


def _slice_of(spec: GpuSpec, type_name: str, total_bytes: int) -> GpuSpec:
    """A MIG slice has its share of memory, bandwidth and rates, and no links of its own."""
    share = min(1.0, total_bytes / spec.memory_bytes)
    return replace(
        spec,
        type=type_name,
        memory_bytes=total_bytes,
        memory_bandwidth_bytes_per_s=spec.memory_bandwidth_bytes_per_s * share,
        flops_per_s={dtype: rate * share for dtype, rate in spec.flops_per_s.items()},
        nvlink_bytes_per_s=0.0,
        nvlink_topology="none",
        nvlink_domain_gpus=1,
    )
