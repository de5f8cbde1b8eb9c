"""The plain table of `clusterview --once`: a line per node and per GPU, then who uses their memory. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from cluster.cli.once_json import processes_of
from cluster.cli.style import Style
from cluster.deploy.status import DeploymentStatus
from cluster.gpu_health import Health
from cluster.metrics.live_state import GpuNow, LiveState, NodeNow
from cluster.units import GIB, NOT_AVAILABLE, count_of, format_gib

_HEADER = ("GPU", "type", "use", "memory", "temp", "power", "SM clock", "held by", "health")
_PROCESS_HEADER = ("GPU", "pid", "user", "memory", "SM", "command")
_LEFT_ALIGNED = {"type", "held by", "health", "user", "command"}
_MOST_PROCESSES = 40
"""Of one node; the rest are counted."""
_LONGEST_COMMAND = 80
_IDLE = ("idle",)


def live_lines(live: LiveState, style: Style) -> Iterator[str]:
    """Yield the whole table."""
    taken = datetime.fromtimestamp(live.now_s).strftime("%Y-%m-%d %H:%M:%S")
    cluster = live.cluster
    size = f"{count_of(len(cluster.nodes), 'node')}, {count_of(cluster.num_gpus, 'GPU')}"
    marks = [style.warn("SIMULATED")] if cluster.simulated else []
    yield "  ".join([style.bold(live.title), taken, size, *marks])
    for node in live.nodes():
        yield ""
        yield from _node_lines(node, style)
    if live.deployments:
        yield ""
        yield from (_deployment_line(one) for one in live.deployments)


def _node_lines(now: NodeNow, style: Style) -> Iterator[str]:
    yield _node_line(now, style)
    if not now.gpus:
        return
    yield from _columns(_HEADER, [_gpu_row(gpu, now) for gpu in now.gpus], style)
    rows = [row for gpu in now.gpus for row in _process_rows(gpu)]
    if rows:
        yield from _columns(_PROCESS_HEADER, rows[:_MOST_PROCESSES], style)
    if len(rows) > _MOST_PROCESSES:
        yield f"  and {len(rows) - _MOST_PROCESSES} more processes; all are in --json"


def _node_line(now: NodeNow, style: Style) -> str:
    parts = [style.bold(now.node.name)]
    if now.age_s is not None:
        parts.append(f"read {now.age_s:.1f} s ago")
    if now.state not in ("ok", "unread"):
        parts.append(style.bad(now.state.replace("_", " ").replace("gpus", "GPUs")))
    if now.reason:
        parts.append(now.reason)
    parts += _host_parts(now)
    facts = now.node.facts
    if facts is not None and facts.driver_version:
        parts.append(
            f"driver {facts.driver_version}" + (f", CUDA {facts.cuda_version}" if facts.cuda_version else "")
        )
    error = now.node.error
    if error and error not in now.reason:
        parts.append(style.bad(error))
    return "  ".join(parts)


def _host_parts(now: NodeNow) -> list[str]:
    host = now.reading.host if now.reading is not None else None
    if host is None:
        return []
    parts = []
    if host.cpu_percent is not None:
        parts.append(f"CPU {host.cpu_percent:.0f} %")
    if host.memory_total_bytes is not None and host.memory_available_bytes is not None:
        used = host.memory_total_bytes - host.memory_available_bytes
        parts.append(f"RAM {used / GIB:,.1f}/{format_gib(host.memory_total_bytes)}")
    if host.disk_free_bytes is not None:
        parts.append(f"disk {format_gib(host.disk_free_bytes)} free")
    return parts


def _gpu_row(now: GpuNow, node: NodeNow) -> tuple[str, ...]:
    gpu, reading = now.gpu, now.reading if node.is_fresh else None
    total = gpu.memory_total_bytes if reading is None else reading.memory_total_bytes
    facts = gpu.facts
    return (
        str(gpu.index),
        gpu.type,
        _figure(None if reading is None else reading.utilization_percent, "%"),
        _of(None if reading is None else reading.memory_used_bytes, total, GIB, "GiB", 1),
        _figure(None if reading is None else reading.temperature_c, "C"),
        _of(
            None if reading is None else reading.power_w,
            None if reading is None else reading.power_limit_w,
            1,
            "W",
        ),
        _of(
            None if reading is None else reading.sm_clock_mhz,
            None if facts is None else facts.max_sm_clock_mhz,
            1,
            "MHz",
        ),
        gpu.claimed_by or "-",
        _health(now, node),
    )


def _health(now: GpuNow, node: NodeNow) -> str:
    gpu = now.gpu
    error = (now.reading.error if now.reading is not None and node.is_fresh else None) or gpu.unhealthy_reason
    if error:
        return f"unhealthy: {error}"
    if gpu.excluded_reason:
        return f"left out: {gpu.excluded_reason}"
    if gpu.health is not None:
        return _verdict(gpu.health)
    reasons = now.reading.throttle_reasons if now.reading is not None and node.is_fresh else None
    slowed = [reason for reason in reasons or () if reason not in _IDLE]
    return f"clocks held back: {', '.join(slowed)}" if slowed else "-"


def _verdict(health: Health) -> str:
    texts = "; ".join(finding.text for finding in health.findings)
    return f"{health.state}: {texts}" if texts else health.state


def _process_rows(now: GpuNow) -> Iterator[tuple[str, ...]]:
    for process in processes_of(now):
        command = process.command or process.name
        if command is None:
            command = "of another PID namespace" if process.other_namespace else NOT_AVAILABLE
        yield (
            str(now.gpu.index),
            str(process.pid),
            process.user or "-",
            format_gib(process.memory_bytes),
            _figure(process.sm_percent, "%"),
            command if len(command) <= _LONGEST_COMMAND else f"{command[: _LONGEST_COMMAND - 1]}…",
        )


def _figure(value: float | None, unit: str) -> str:
    return NOT_AVAILABLE if value is None else f"{value:.0f} {unit}"


def _of(value: float | None, most: float | None, scale: float, unit: str, decimals: int = 0) -> str:
    """Format 'value/most unit'; what is absent is n/a."""
    if value is None and most is None:
        return NOT_AVAILABLE
    texts = (NOT_AVAILABLE if one is None else f"{one / scale:,.{decimals}f}" for one in (value, most))
    return f"{'/'.join(texts)} {unit}"


def _columns(header: Sequence[str], rows: Sequence[Sequence[str]], style: Style) -> Iterator[str]:
    """Yield lines whose columns are as wide as they must be; the last one may be of any length."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    yield style.dim(_line(header, header, widths))
    yield from (_line(header, row, widths) for row in rows)


def _line(header: Sequence[str], row: Sequence[str], widths: Iterable[int]) -> str:
    cells = (
        f"{cell:<{width}}" if name in _LEFT_ALIGNED else f"{cell:>{width}}"
        for name, cell, width in zip(header, row, widths, strict=True)
    )
    return "  " + "  ".join(cells).rstrip()


def _deployment_line(status: DeploymentStatus) -> str:
    ready = sum(replica.ready for replica in status.replicas)
    label = f" ({status.label})" if status.label else ""
    served = f", {ready} of {count_of(len(status.replicas), 'replica')} ready" if status.replicas else ""
    return f"{status.name}{label}: {status.state}{served}, {status.tokens_per_s:,.0f} tokens/s"
