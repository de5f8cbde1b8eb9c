"""Slow figures of a node, read every few seconds: links, errors, PCIe, network ports."""

from __future__ import annotations

from typing import Literal

from cluster.frozen import FrozenModel
from cluster.text import CleanStr, RepeatedStr


class NvLinkReading(FrozenModel):
    """One NVLink of a GPU. Bytes and errors count since the driver was loaded."""

    link: int
    active: bool
    version: int | None = None
    bytes_per_s: float | None = None
    """Rate per direction."""
    remote: RepeatedStr | None = None
    """The other end: 'switch', or a GPU's PCI bus id."""
    received_bytes: int | None = None
    sent_bytes: int | None = None
    errors: int | None = None


class EccCounts(FrozenModel):
    """ECC errors: volatile since the driver was loaded, aggregate over the GPU's life."""

    volatile_corrected: int | None = None
    volatile_uncorrected: int | None = None
    aggregate_corrected: int | None = None
    aggregate_uncorrected: int | None = None


class XidEvent(FrozenModel):
    """An error that the driver reported, by NVIDIA's number."""

    code: int
    at_s: float
    """Unix time on the node's clock."""


class GpuDetail(FrozenModel):
    """One GPU's slow figures. A field is None where there is no reading; `absent` says why, of ECC counts
    under 'ecc.volatile_corrected' and so on. A MIG slice has the figures of its GPU."""

    uuid: RepeatedStr
    pcie_generation: int | None = None
    pcie_width: int | None = None
    pcie_replays: int | None = None
    pcie_received_bytes_per_s: float | None = None
    pcie_sent_bytes_per_s: float | None = None
    links: tuple[NvLinkReading, ...] = ()
    ecc: EccCounts = EccCounts()
    remapped_corrected: int | None = None
    remapped_uncorrected: int | None = None
    remap_pending: bool | None = None
    remap_failed: bool | None = None
    retired_pages: int | None = None
    retirement_pending: bool | None = None
    recovery_action: CleanStr | None = None
    """What the driver asks for: 'none', 'GPU reset', 'node reboot', 'drain P2P', 'drain and reset'."""
    xids: tuple[XidEvent, ...] = ()
    """Since the probe started, the latest last; at most 20."""
    bar1_used_bytes: int | None = None
    bar1_total_bytes: int | None = None
    fabric_state: CleanStr | None = None
    fabric_problems: tuple[CleanStr, ...] | None = None
    """What the fabric's health mask reports: 'degraded bandwidth', 'route unhealthy' ..."""
    absent: dict[RepeatedStr, RepeatedStr] = {}


class NetworkPort(FrozenModel):
    """One port of a node's network, from /sys. Rates per direction."""

    name: CleanStr
    """'mlx5_0/1', 'eth0'."""
    kind: Literal["infiniband", "roce", "ethernet"]
    is_up: bool | None = None
    link_bytes_per_s: float | None = None
    received_bytes_per_s: float | None = None
    sent_bytes_per_s: float | None = None
    errors: int | None = None
    numa_node: int | None = None


class NodeDetail(FrozenModel):
    """All slow figures of a node at one moment."""

    node_id: CleanStr
    taken_at_s: float
    """Unix time on the reader's clock when it arrived."""
    gpus: tuple[GpuDetail, ...] = ()
    ports: tuple[NetworkPort, ...] = ()
    absent: dict[RepeatedStr, RepeatedStr] = {}
