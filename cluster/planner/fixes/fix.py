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
"""Fields of `PlanRequest` with their new values, in the order in which they are written out."""


@dataclass(frozen=True, slots=True)
class GpuToFree:
    """Memory that others hold on one GPU, and who would have to release it."""

    node_id: str
    node_name: str
    gpu_index: int
    missing_bytes: int
    """What must become free there on top of what is."""
    processes: tuple[GpuProcess, ...] = ()
    """Processes to stop, which hold at least that much together; () where that is not known."""
    claimed_by: str | None = None
    """The deployment or job that holds the whole GPU."""


@dataclass(frozen=True, slots=True)
class FreeMemory:
    """Stop what others run on these GPUs, or part of it."""

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
    """Changes that were tried together, and held."""

    layout: Layout | None = None
    """The layout that then runs; None: the refused layout itself does."""
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
        """True where the same question has another answer: only the layout differs."""
        return self.change == Fix()

    @property
    def is_request(self) -> bool:
        """True where it takes no more than other degrees or options: nothing to buy, stop or download."""
        return self.weights is None and self.hardware is None

    def asked(self, request: PlanRequest) -> PlanRequest:
        """Return the request with this fix's options and degrees.

        A fix that only changes the degrees pins them. Where options change too the layout is what then runs
        best, so that only degrees which were pinned before are pinned to it.
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
