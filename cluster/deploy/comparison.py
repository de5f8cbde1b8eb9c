"""Predicted figures beside measured ones, with the error of each: used wherever they are shown. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from cluster.deploy.spec import FULL_SIZE
from cluster.deploy.status import DeploymentStatus
from cluster.planner.result import Band

Unit = Literal["bytes", "tokens", "requests", "tokens/s", "seconds"]

_FIGURES: tuple[tuple[str, str, Unit], ...] = (
    ("throughput_tokens_per_s", "throughput", "tokens/s"),
    ("ttft_s", "TTFT", "seconds"),
    ("tpot_s", "TPOT", "seconds"),
    ("weights_bytes", "weights", "bytes"),
    ("activation_bytes", "activations", "bytes"),
    ("cuda_graph_bytes", "CUDA graphs", "bytes"),
    ("non_torch_bytes", "non-torch", "bytes"),
    ("kv_cache_bytes", "KV cache", "bytes"),
    ("total_bytes", "total per GPU", "bytes"),
    ("kv_cache_tokens", "KV tokens", "tokens"),
    ("max_concurrency", "max requests", "requests"),
)
LOAD_FIGURES = ("throughput_tokens_per_s", "ttft_s", "tpot_s")
"""Figures that depend on how many requests run at a time."""
_SAME_LOAD = 0.5
"""Part of the planned concurrency from which on a figure of the load is held against its prediction."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure as predicted and as measured; None: unknown."""

    name: str
    """Its field in `Predicted` and `Measured`."""
    title: str
    unit: Unit
    predicted: float | None
    low: float | None
    """The range of the prediction; None where it has none."""
    high: float | None
    measured: float | None
    absent: str = ""
    """Why it was not measured; empty if it was."""
    incomparable: str = ""
    """Why the two are not about the same thing; empty if they are."""

    @property
    def error(self) -> float | None:
        """Measured over predicted, less 1: 0.1 is 10 % more than predicted. None if not comparable."""
        if self.predicted is None or self.measured is None or self.incomparable or self.predicted <= 0:
            return None
        return self.measured / self.predicted - 1

    @property
    def is_outside(self) -> bool:
        """The measured value is outside the range of the prediction."""
        if self.error is None or self.measured is None or self.low is None or self.high is None:
            return False
        return not self.low <= self.measured <= self.high


def compare(status: DeploymentStatus) -> tuple[Comparison, ...]:
    """Return every figure that is predicted or measured, in the order in which it is shown."""
    found = (_comparison(status, *figure) for figure in _FIGURES)
    return tuple(one for one in found if one.predicted is not None or one.measured is not None)


def comparison_json(status: DeploymentStatus) -> dict[str, Any]:
    """Return the fields that JSON has beside "predicted" and "measured", each by the figure's name."""
    rows = compare(status)
    return {
        "error": {row.name: row.error for row in rows if row.error is not None},
        "outside_band": [row.name for row in rows if row.is_outside],
        "not_comparable": {row.name: row.incomparable for row in rows if _is_explained(row)},
    }


def _is_explained(row: Comparison) -> bool:
    return bool(row.incomparable) and row.predicted is not None and row.measured is not None


def _comparison(status: DeploymentStatus, name: str, title: str, unit: Unit) -> Comparison:
    said = _predicted(status, name)
    low, high = (said.low, said.high) if isinstance(said, Band) else (None, None)
    predicted = said.value if isinstance(said, Band) else said
    measured = getattr(status.measured, name)
    absent = "" if measured is not None else status.measured.absent.get(name, "not measured")
    why = _why_incomparable(status, name)
    return Comparison(name, title, unit, predicted, low, high, measured, absent, why)


def _predicted(status: DeploymentStatus, name: str) -> float | Band | None:
    """Return what the order says, or what older orders say of throughput and memory."""
    value: float | Band | None = getattr(status.predicted, name)
    if value is None and name == "throughput_tokens_per_s":
        return status.predicted_tokens_per_s
    if value is None and name == "total_bytes":
        return max(status.planned_bytes_by_gpu.values(), default=None)
    return value


def _why_incomparable(status: DeploymentStatus, name: str) -> str:
    if status.simulated and status.scale not in (None, FULL_SIZE):
        return "a scaled-down model runs"
    if status.simulated:
        return "it runs on the CPU"
    if name not in LOAD_FIGURES:
        return ""
    planned, now = status.predicted.concurrency, in_flight(status)
    if planned is None:
        return "the prediction is for full load"
    if now < _SAME_LOAD * planned:
        return f"the prediction is for {planned:,} requests at a time; now there are {now:,}"
    return ""


def in_flight(status: DeploymentStatus) -> int:
    """Return the requests that all replicas are working on."""
    return sum(replica.in_flight for replica in status.replicas)
