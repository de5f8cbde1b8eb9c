"""A calibration as text: what was measured, on what, and how well the model fits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from cluster.calibration.result import Calibration, GpuMeasurement, LinkMeasurement
from cluster.units import NOT_AVAILABLE, count_of, format_duration

_POOR_FIT = 0.25
_SLOW_SHARE = 0.9


def calibration_lines(calibration: Calibration) -> Iterator[str]:
    """Yield the calibration for a person."""
    day = datetime.fromtimestamp(calibration.measured_at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    age = format_duration(max(0.0, time.time() - calibration.measured_at_s))
    mark = "  SIMULATED: measured on the CPU of this machine" if calibration.simulated else ""
    took = format_duration(calibration.duration_s)
    yield f"{calibration.cluster}  measured {day} ({age} ago), took {took}{mark}"
    gpus = sum(len(uuids) for uuids in calibration.gpus_by_node.values())
    yield f"  {count_of(gpus, 'GPU')} on {', '.join(calibration.gpus_by_node)}; {calibration.software}"
    for rate in calibration.rates:
        yield from _rate_lines(rate)
    for link in calibration.links:
        yield _link_line(link)
    yield from (f"  not measured: {reason}" for reason in calibration.skipped)


def _rate_lines(found: GpuMeasurement) -> Iterator[str]:
    rate = found.rate
    memory = f"{_per_s(rate.memory_bytes_per_s)} streaming weights, {_per_s(found.read_bytes_per_s)} reading"
    yield f"  {rate.gpu_type}: memory {memory}, {_per_s(found.copy_bytes_per_s)} copying (read + written)"
    products = ", ".join(f"{dtype} {_flops(value)}" for dtype, value in rate.flops_per_s.items())
    yield f"  {rate.gpu_type}: matrix products {products or 'not measured'}"
    for dtype, reason in found.absent.items():
        yield f"    {dtype}: {reason}"
    if found.slowest_share < _SLOW_SHARE:
        slow = f"{100 * found.slowest_share:.0f}%"
        yield f"    the slowest of its GPUs reaches {slow} of the median memory rate"


def _link_line(found: LinkMeasurement) -> str:
    link, nodes = found.link, found.nodes
    where = nodes[0] if len(nodes) == 1 else f"{len(nodes)} nodes"
    kind = (link.kind or "").replace("_", " ")
    poor = ", a rough fit" if found.fit_error > _POOR_FIT else ""
    return (
        f"  all-reduce over {link.num_ranks} x {link.gpu_type} on {where} ({kind}, {link.library}): "
        f"{format_duration(link.latency_s)} + size at {_per_s(link.bandwidth_bytes_per_s)} bus bandwidth "
        f"(fit within {100 * found.fit_error:.0f}%{poor})"
    )


def _per_s(rate: float | None) -> str:
    return NOT_AVAILABLE if rate is None else f"{rate / 1e9:,.4g} GB/s"


def _flops(rate: float) -> str:
    return f"{rate / 1e12:,.4g} TFLOPS"
