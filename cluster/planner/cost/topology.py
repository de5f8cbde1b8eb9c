"""Which links a layout's groups run over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TpLink = Literal["none", "nvlink", "nvlink_domain", "pcie", "network"]


@dataclass(frozen=True, slots=True)
class Topology:
    """Links of a layout: the slowest one inside a tensor-parallel group, and between pipeline stages."""

    tp_link: TpLink = "none"
    """'nvlink' within a node, 'nvlink_domain' over nodes of one NVLink domain, 'network' across nodes."""
    pp_crosses_node: bool = False
    """Neighbouring stages sit on different nodes."""
    network_bytes_per_s: float | None = None
    """A node's network per direction; None: the usual rate of links.toml."""
    gpus_per_node: int = 8
