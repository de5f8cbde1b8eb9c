"""GPU types as data files, one per type, and ways to find one by name.

Memory is what NVML reports. CUDA hands a process about half a GiB less (H100: 81559 MiB by NVML, 79.18 GiB in
torch), so an engine's budget is computed from the smaller figure.
"""

from __future__ import annotations

from cluster.catalog.gpus.lookup import all_gpu_types, find_gpu, match_product

__all__ = ["all_gpu_types", "find_gpu", "match_product"]
