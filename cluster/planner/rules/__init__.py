"""Why a layout cannot run: every rule with its figures and the nearest change that makes it valid."""

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
