"""The rules: why a layout cannot run, with the figures. Fixes are in `fixes/`."""

from cluster.planner.rules.layout_rules import layout_rejections
from cluster.planner.rules.memory_rules import memory_notes, memory_rejections
from cluster.planner.rules.start_rules import (
    gpu_busy_rejection,
    graphs_rejection,
    late_bytes,
    loading_rejection,
    start_rejections,
)

__all__ = [
    "gpu_busy_rejection",
    "graphs_rejection",
    "late_bytes",
    "layout_rejections",
    "loading_rejection",
    "memory_notes",
    "memory_rejections",
    "start_rejections",
]
