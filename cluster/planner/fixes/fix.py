"""A fix as a value: what to change so that a refused layout, or some layout of the plan, runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cluster.inventory import GpuProcess
from cluster.planner.layout import Layout
from cluster.planner.request import PlanRequest
from cluster.planner.variants import Variant

OptionValue = str | int | float | bool | None
Options = tuple[tuple[str, OptionValue], ...]
"""Fields of `PlanRequest` with their new values, in display order."""


@dataclass(frozen=True, slots=True)
class GpuToFree:
    """Memory that other processes use on one GPU, and which of them must release it."""

    node_id: str
    node_name: str
    gpu_index: int
    missing_bytes: int
    """Bytes that must become free in addition to what is free now."""
    processes: tuple[GpuProcess, ...] = ()
    """Processes to stop, which together use at least that much; () if unknown."""
    claimed_by: str | None = None
    """The deployment or job that claimed the whole GPU."""


@dataclass(frozen=True, slots=True)
class FreeMemory:
    """Stop some or all of what others run on these GPUs."""

    gpus: tuple[GpuToFree, ...]


@dataclass(frozen=True, slots=True)
class MoreGpus:
    """Add this many GPUs to the cluster, in nodes like its largest one."""

    num_gpus: int
    gpu_type: str


@dataclass(frozen=True, slots=True)
class LargerCluster:
    """Run on this many nodes like the largest one, each filled up to this many GPUs."""

    num_nodes: int
    gpus_per_node: int
    gpu_type: str


Hardware = FreeMemory | MoreGpus | LargerCluster


@dataclass(frozen=True, slots=True)
class OtherWeights:
    """Run a checkpoint of the same model in another format."""

    variant: Variant
    size_bytes: int
    instead_of_bytes: int
    """Size of the checkpoint that was planned."""


@dataclass(frozen=True, slots=True)
class Fix:
    """Changes that were tried together and work."""

    layout: Layout | None = None
    """The layout that runs with these changes; None: the refused layout itself."""
    options: Options = ()
    weights: OtherWeights | None = None
    hardware: Hardware | None = None

    @staticmethod
    def of(**options: OptionValue) -> Fix:
        """Return the fix that changes these fields of the request."""
        return Fix(options=tuple(options.items()))

    @property
    def change(self) -> Fix:
        """Everything but the layout."""
        return replace(self, layout=None)

    @property
    def changes_only_degrees(self) -> bool:
        """True if only the layout differs, so the same request has another answer."""
        return self.change == Fix()

    @property
    def is_request(self) -> bool:
        """True if only degrees or options change: nothing to buy, stop or download."""
        return self.weights is None and self.hardware is None

    def asked(self, request: PlanRequest) -> PlanRequest:
        """Return the request with this fix's options and degrees.

        A fix that only changes the degrees pins them. If options change too, the layout is the best one with
        those options, so only degrees that were pinned before are pinned to it.
        """
        changes: dict[str, Any] = dict(self.options)
        if self.weights is not None:
            changes["quantization"] = None
        if "engine" in changes:
            changes["engine_asked"] = True
        if self.layout is not None:
            changes |= self._pins(self.layout, request)
        return replace(request, **changes)

    def _pins(self, layout: Layout, request: PlanRequest) -> dict[str, int]:
        pins = dict(request.pins)
        if self.changes_only_degrees:
            pins |= {"tp": layout.tp, "pp": layout.pp}
            pins |= {"ep": layout.ep} if layout.ep > 1 else {}
        return {axis: getattr(layout, axis) for axis in pins}
