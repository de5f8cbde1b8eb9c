"""GPU types as data files, one a type, and the ways to find one by name."""

from __future__ import annotations

from cluster.catalog.gpus.lookup import all_gpu_types, find_gpu, match_product

__all__ = ["all_gpu_types", "find_gpu", "match_product"]
