"""Every figure of one node, in groups."""

from __future__ import annotations

from cluster.inventory import Node
from cluster.telemetry import HostReading
from tui.figures import FigureGroup, Lanes, Row, count, groups, rate, size, unit

_PERCENT = unit("%")


def _plain(value: object) -> str:
    return str(value)


_TABLES: tuple[tuple[str, tuple[Row, ...]], ...] = (
    (
        "Node",
        (
            Row("address", "node.address", _plain),
            Row("id", "node.node_id", _plain),
            Row("driver", "facts.driver_version", _plain),
            Row("newest CUDA of the driver", "facts.cuda_version", _plain),
            Row("GPUs that Ray counts", "node.ray_gpus", count, why_not="not a node of Ray"),
            Row("NVLink domain", "node.nvlink_domain", _plain, why_not="NVLink ends at the node"),
            Row("fastest network link", "node.network_bytes_per_s", rate),
        ),
    ),
    (
        "Host",
        (
            Row("CPU", "host.cpu_percent", _PERCENT),
            Row("CPUs", "host.num_cpus", count),
            Row("load over 1 min", "host.load_1m", lambda value: f"{value:.2f}"),
            Row("memory available", "host.memory_available_bytes", size, "host.memory_total_bytes"),
            Row("disk free", "host.disk_free_bytes", size, "host.disk_total_bytes"),
            Row("network received", "host.network_received_bytes_per_s", rate),
            Row("network sent", "host.network_sent_bytes_per_s", rate),
        ),
    ),
)
SHOWN = frozenset(path for _, rows in _TABLES for row in rows for path in (row.path, row.of) if path)
"""The paths of all fields that the tables show."""


def node_figures(node: Node, host: HostReading | None, why_no_host: str) -> tuple[FigureGroup, ...]:
    """Return every figure of a node; `why_no_host` is for a host that was not read."""
    missing = {"host": why_no_host, "facts": "not read on this node"}
    return groups(_TABLES, Lanes({"node": node, "facts": node.facts, "host": host}, missing))
