"""The slow figures of a GPU: what takes long to ask, or changes rarely."""

from __future__ import annotations

from cluster.detail import GpuDetail
from cluster.probe.nvml import Device
from cluster.probe.query import NvmlQuery


class DetailReader:
    """Reads slow figures, and keeps what rates are computed from."""

    def read(self, query: NvmlQuery, device: Device, uuid: str) -> GpuDetail:
        """Read one GPU's slow figures; one that is gone has none. Raises NvmlGone."""
        return GpuDetail(uuid=uuid)
