"""Delay per hop and achieved share of the nominal rate of links between GPUs. Read from links.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

LINKS_FILE = Path(__file__).parent / "links.toml"


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """Alpha-beta constants of one kind of link."""

    kind: str
    """'nvlink', 'nvlink_domain', 'nvlink_bridge', 'pcie' or 'network'."""
    base_latency_s: float
    """Of a collective, whatever the number of ranks."""
    rank_latency_s: float
    """Added for every rank of the collective."""
    bandwidth_fraction: float
    """Achieved share of the nominal rate per direction in a ring of two."""
    bandwidth_fraction_per_rank: float = 0.0
    """Added for every rank beyond two, up to bandwidth_fraction_limit."""
    bandwidth_fraction_limit: float = 1.0
    one_shot_latency_s: float | None = None
    """Of an all-reduce in which every rank reads all others' parts; None: rings only."""
    one_shot_fraction: float = 0.0
    """Achieved share of the nominal rate in such an all-reduce."""
    crowding: float = 0.0
    """Exponent by which the rate falls with (ranks - 1): shared PCIe roots; 0 for switched links."""
    default_bytes_per_s: float | None = None
    """Nominal rate per direction where neither the GPU nor the node says one."""
    send_latency_s: float = 10e-6
    """Of a point-to-point message."""


@cache
def load_links() -> dict[str, LinkSpec]:
    """Return every kind of link by its name."""
    values: dict[str, dict[str, Any]] = tomllib.loads(LINKS_FILE.read_text(encoding="utf-8"))
    return {kind: LinkSpec(kind=kind, **fields) for kind, fields in values.items()}
