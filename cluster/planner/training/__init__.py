"""Plans for training: memory under DDP and the ZeRO stages, and what replicas exchange each step."""

from __future__ import annotations

from cluster.planner.training.reasons import compare_training, decide_training
from cluster.planner.training.search import count_training, search_training

__all__ = ["compare_training", "count_training", "decide_training", "search_training"]
