"""What a calibration measured, and on which GPUs. Times in seconds, rates per second."""

from __future__ import annotations

from cluster.frozen import FromAnyVersion
from cluster.inventory import MeasuredLink, MeasuredRate
from cluster.text import CleanStr


class Spot(FromAnyVersion):
    """One GPU that takes part, and where it is."""

    node_id: CleanStr
    node_name: CleanStr
    gpu_index: int
    gpu_uuid: CleanStr
    gpu_type: CleanStr
    island: CleanStr | None = None
    """GPUs of a node with equal islands reach each other over NVLink."""
    domain: CleanStr | None = None
    """NVLink domain that spans nodes."""


class ReduceTime(FromAnyVersion):
    """One size of all-reduce."""

    message_bytes: int
    seconds: float


class LinkMeasurement(FromAnyVersion):
    """All-reduces of several sizes over one group of ranks, and the model fitted to them."""

    link: MeasuredLink
    gpus: tuple[CleanStr, ...]
    """Uuids, node after node."""
    nodes: tuple[CleanStr, ...]
    times: tuple[ReduceTime, ...]
    fit_error: float
    """Median of |model / measured - 1| over the sizes."""


class GpuMeasurement(FromAnyVersion):
    """Rates of one GPU type: medians over the GPUs that were measured."""

    rate: MeasuredRate
    gpus: tuple[CleanStr, ...]
    copy_bytes_per_s: float
    """Read plus written, copying a large buffer."""
    read_bytes_per_s: float
    """Summing up a large buffer."""
    slowest_share: float = 1.0
    """Memory rate of the slowest GPU over the median."""
    absent: dict[CleanStr, CleanStr] = {}
    """Dtype -> why its matrix products were not measured."""


class Calibration(FromAnyVersion):
    """One calibration of a cluster."""

    cluster: CleanStr
    """Title of the cluster: 'ray 10.0.0.1:6379', 'this machine'."""
    simulated: bool = False
    """Measured on the CPU of this machine, and not used by any plan."""
    measured_at_s: float
    """Unix time of the end."""
    duration_s: float
    software: CleanStr = ""
    """torch, CUDA and driver versions of the first rank."""
    links: tuple[LinkMeasurement, ...] = ()
    rates: tuple[GpuMeasurement, ...] = ()
    gpus_by_node: dict[CleanStr, tuple[CleanStr, ...]] = {}
    """Name of a node -> uuids of its GPUs that took part."""
    skipped: tuple[CleanStr, ...] = ()
    """What was not measured, and why."""
