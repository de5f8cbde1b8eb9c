"""What would make a refused layout valid: every change that is named was tried, and held."""

from cluster.planner.fixes.mended import TRAINING_PROPOSERS, mended

__all__ = ["TRAINING_PROPOSERS", "mended"]
