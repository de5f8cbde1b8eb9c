"""All-reduce times: link model against measurements."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cluster.catalog.gpus import find_gpu
from cluster.planner.cost import all_reduce_time_s, link_for
from cluster.planner.replica import ReplicaLinks
from tests.evidence.figures import Miss, summary
from tests.evidence.rows import Row, read_key, read_rows

SMALL_BYTES = 8 * 1024 * 1024
"""Up to this size engines use custom kernels, several times faster than NCCL's, which its tests measure."""


def lines(folder: Path) -> list[str]:
    """Return the lines of the all-reduce table."""
    misses = list(all_reduce_misses(folder))
    large = [miss for size, miss in misses if size > SMALL_BYTES]
    lines = summary("all-reduce in a node over 8 MiB", large, "us", relative=True)
    few = len(misses) - len(large)
    return [
        *lines,
        f"left out, {few} rows: smaller all-reduces by NCCL; engines have faster kernels of their own",
    ]


def all_reduce_misses(folder: Path) -> Iterator[tuple[int, Miss]]:
    """Yield (message bytes, predicted and measured microseconds) of rows on known systems in one node."""
    systems = read_key(folder, "hardware_systems.json").get("systems", [])
    for row in read_rows(folder, "hardware_measured.jsonl"):
        known = next((entry for entry in systems if str(row.get("system", "")).startswith(entry[0])), None)
        measured_us = _time_us(row)
        if row["kind"] != "all_reduce" or known is None or measured_us is None or row.get("n_nodes", 1) != 1:
            continue
        gpu, ranks, size = find_gpu(known[1]), row["n_gpus"], row["message_bytes"]
        link = link_for(known[2], ranks, gpu, ReplicaLinks(tp_link=known[2]))
        predicted_us = all_reduce_time_s(size, ranks, link) * 1e6
        yield size, Miss(f"{row['system']}, {ranks} ranks, {size:,} bytes", predicted_us, measured_us)


def _time_us(row: Row) -> float | None:
    """Return the stated time, else the time implied by the bus bandwidth, 2 (n - 1) / n x bytes / time."""
    if row.get("time_us"):
        return float(row["time_us"])
    ranks, rate = row.get("n_gpus"), row.get("busbw_GBps")
    if not ranks or not rate or "message_bytes" not in row:
        return None
    return float(2 * (ranks - 1) / ranks * row["message_bytes"] / (rate * 1e9) * 1e6)
