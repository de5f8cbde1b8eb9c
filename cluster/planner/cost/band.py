"""The error band around an estimate, from the measured errors of estimates of its class."""

from __future__ import annotations

from cluster.catalog.model_spec import ModelSpec
from cluster.catalog.timing_spec import load_timing
from cluster.planner.layout import Layout
from cluster.planner.result import Band

UNKNOWN_WIDENING = 1.5
"""The band is wider by this factor each way for models planned from generic config fields."""


def layout_class(model: ModelSpec, layout: Layout, *, served: bool = False) -> str:
    """Return the class whose measured errors apply: 'served', 'pipelined', 'experts' or 'dense'."""
    if served:
        return "served"
    if layout.pp > 1:
        return "pipelined"
    return "experts" if model.is_moe else "dense"


def band(value: float, figure: str, group: str, *, known: bool = True) -> Band:
    """Return `value` with its band. `figure` is 'throughput', 'ttft' or 'tpot'."""
    limits = load_timing().bands[group][figure]
    widen = 1.0 if known else UNKNOWN_WIDENING
    return Band(value=value, low=value * limits.low / widen, high=value * limits.high * widen)
