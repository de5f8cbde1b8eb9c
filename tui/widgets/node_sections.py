"""The parts of a node's page: its state, its GPUs, its network ports and its engines."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from cluster.detail import NetworkPort
from cluster.inventory import Gpu
from cluster.units import NOT_AVAILABLE, format_bytes
from tui.figures import rate
from tui.format import gib, percent, power, temperature
from tui.place_view import NodeView
from tui.roles import Role
from tui.styles import Styles
from tui.widgets.figure_table import heading, rows_table
from tui.widgets.memory_bar import role_text
from tui.widgets.node_line import count_mismatch, describe_gpus, health_text


def state_section(view: NodeView, styles: Styles) -> RenderableType:
    """Draw whether the node answers; of a dead one since when, why and what ran there."""
    node, text = view.node, Text()
    text.append_text(health_text(view.health, styles) if view.health.age_s is not None else Text())
    if view.health.age_s is None:
        text.append(f"○ {view.health.word or 'not read yet'}  {view.health.reason}", styles.muted)
    if node.left is not None:
        held = ", ".join(node.left.held) or "nothing of ours"
        text.append(f"\nran there: {held}", styles.plain)
        text.append("\nX on the map takes it off the map", styles.muted)
    mismatch = count_mismatch(node)
    if mismatch:
        reason = f": {node.error}" if node.error else ""
        text.append(f"\n▲ {mismatch}{reason}", styles.warning)
    return text


def gpus_section(view: NodeView, roles: Mapping[str, Role], styles: Styles) -> RenderableType:
    """Draw a line for each GPU."""
    node = view.node
    if not node.gpus:
        return Group(heading("GPUs", styles), Text(node.error or "none", styles.muted))
    titles = ("GPU", "health", "used GiB", "use", "temp", "power", "role", "processes")
    rows = [_gpu_row(view, gpu, roles.get(gpu.uuid), styles) for gpu in node.gpus]
    table = rows_table(titles, rows, styles, numbers=(0, 2, 3, 4, 5))
    return Group(heading("GPUs", styles, describe_gpus(node)), table)


def _gpu_row(view: NodeView, gpu: Gpu, role: Role | None, styles: Styles) -> tuple[str | Text, ...]:
    reading, mark = view.gpu_reading(gpu), view.mark(gpu)
    processes, why_not = view.processes(gpu)
    used = reading.memory_used_bytes if reading is not None else None
    return (
        str(gpu.index),
        Text(f"{mark.sign or '●'} {mark.word or mark.state}", styles.of_mark(mark.state)),
        NOT_AVAILABLE if gpu.memory_total_bytes is None else f"{gib(used)}/{gib(gpu.memory_total_bytes)}",
        percent(reading.utilization_percent if reading is not None else None),
        temperature(reading.temperature_c if reading is not None else None),
        power(reading.power_w if reading is not None else None),
        role_text(role, styles),
        NOT_AVAILABLE if why_not and not processes else _processes(gpu, view),
    )


def _processes(gpu: Gpu, view: NodeView) -> str:
    processes, _ = view.processes(gpu)
    if not processes:
        return "none"
    largest = max(processes, key=lambda process: process.memory_bytes or 0)
    more = f" and {len(processes) - 1} more" if len(processes) > 1 else ""
    held = f" {format_bytes(largest.memory_bytes)}" if largest.memory_bytes is not None else ""
    return f"{largest.user or ''} {largest.name or largest.pid}{held}{more}".strip()


def ports_section(view: NodeView, styles: Styles) -> RenderableType:
    """Draw the network ports with their rate and errors."""
    detail = view.detail
    if detail is None or not detail.ports:
        why_not = view.why_not if detail is None else detail.absent.get("ports", "none found")
        return Group(heading("Network ports", styles), Text(why_not, styles.muted))
    titles = ("port", "kind", "state", "speed", "received", "sent", "errors", "NUMA node")
    rows = [_port_row(port, styles) for port in detail.ports]
    return Group(heading("Network ports", styles), rows_table(titles, rows, styles, numbers=(3, 4, 5, 6, 7)))


_KINDS = {"infiniband": "InfiniBand", "roce": "RoCE", "ethernet": "Ethernet"}


def _port_row(port: NetworkPort, styles: Styles) -> tuple[str | Text, ...]:
    if port.is_up is None:
        state = Text(NOT_AVAILABLE, styles.muted)
    else:
        state = Text("● up", styles.good) if port.is_up else Text("! down", styles.bad)
    rates = (port.link_bytes_per_s, port.received_bytes_per_s, port.sent_bytes_per_s)
    counts = (port.errors, port.numa_node)
    return (
        port.name,
        _KINDS[port.kind],
        state,
        *(NOT_AVAILABLE if value is None else rate(value) for value in rates),
        *(NOT_AVAILABLE if number is None else f"{number:,}" for number in counts),
    )


def engines_section(view: NodeView, styles: Styles) -> RenderableType:
    """Draw which engines can be started on the node."""
    node = view.node
    if node.engines is None:
        found = "not looked up"
    else:
        found = ", ".join(f"{name} {version}" for name, version in node.engines.items()) or "none"
    text = Text(found, styles.plain)
    if node.engines_error:
        text.append(f"\n! {node.engines_error}", styles.warning)
    return Group(heading("Engines", styles), text)
