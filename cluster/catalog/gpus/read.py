"""Read one GPU data file into a GpuSpec."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from cluster.catalog.gpu_spec import GpuSpec

FOLDER = Path(__file__).parent


@cache
def gpu_types() -> tuple[str, ...]:
    """Return the canonical names, sorted; lists the folder and opens no file."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


@cache
def read_gpu(gpu_type: str) -> GpuSpec:
    """Read the data file of a canonical name. A broken file is a bug of ours: KeyError or TOMLDecodeError."""
    values: dict[str, Any] = tomllib.loads((FOLDER / f"{gpu_type}.toml").read_text(encoding="utf-8"))
    major, minor = values["compute_capability"]
    return GpuSpec(
        type=values["type"],
        product_names=tuple(values["product_names"]),
        memory_bytes=values["memory_bytes"],
        memory_bandwidth_bytes_per_s=float(values["memory_bandwidth_bytes_per_s"]),
        flops_per_s={dtype: float(rate) for dtype, rate in values["flops_per_s"].items()},
        compute_capability=(major, minor),
        pcie_bytes_per_s=float(values["pcie_bytes_per_s"]),
        nvlink_bytes_per_s=float(values["nvlink_bytes_per_s"]),
        nvlink_topology=values["nvlink_topology"],
        nvlink_domain_gpus=values["nvlink_domain_gpus"],
        sources=tuple(values["sources"]),
        vendor=values.get("vendor", "nvidia"),
        power_limit_w=values.get("power_limit_w"),
        form=values["form"],
    )
