"""What would make a refused layout valid: every change that is named was tried, and held."""

from cluster.planner.mends.mended import mended

__all__ = ["mended"]
