"""The lines of the topology view: what a layout sends, islands with their links, paths, network ports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.style import Style
from rich.text import Text

from cluster.detail import NetworkPort
from tui.format import fit
from tui.glyphs import CROSS, DOT
from tui.roles import Role
from tui.styles import Styles, joined
from tui.topology.links import GpuLinks
from tui.topology.matrix import Cell, Matrix
from tui.topology.node import NodeTopology
from tui.topology.sent import Sent, SentLine, fabric_name

LIT, UP = "━", "─"
_NAME_CELLS = 8
_CELL = 6
_GIGA = 1e9
LEGEND = (
    "NV# NVLinks between two GPUs   PIX one PCIe switch   PXB several switches",
    "PHB a CPU's host bridge   NODE within a NUMA node   SYS between CPUs",
)


def topology_lines(
    topology: NodeTopology, sent: Sent, roles: dict[str, Role], styles: Styles, left: int = 0
) -> list[Text]:
    """Draw all lines; the matrix without its first `left` columns."""
    lines = [*_sent_lines(sent, styles), Text(end="")]
    for name, gpus in topology.islands:
        lines += [*_island_lines(name, gpus, roles, styles), Text(end="")]
    lines += [*_matrix_lines(topology.matrix, styles, left), Text(end="")]
    return [*lines, *_port_lines(topology.ports, styles)]


def _sent_lines(sent: Sent, styles: Styles) -> Iterator[Text]:
    yield joined((sent.title, styles.title))
    names = max((len(line.name) for line in sent.lines), default=0)
    for line in sent.lines:
        yield _sent_line(line, names, styles)
    for cost in sent.costs:
        yield joined((f"  {cost}", styles.plain))


def _sent_line(line: SentLine, names: int, styles: Styles) -> Text:
    text = joined(
        (f"{LIT * 2} ", styles.replica(line.replica)),
        (f"{line.name:<{names}}  ", styles.replica(line.replica)),
        (line.gpus, styles.plain),
        (f"  {line.link}", styles.muted),
    )
    return text.append(f"  ! {line.remark}", styles.warning) if line.remark else text


def _island_lines(
    name: str | None, gpus: Sequence[GpuLinks], roles: dict[str, Role], styles: Styles
) -> Iterator[Text]:
    fabric = fabric_name(row.gpu for row in gpus)
    if name is None:
        yield joined((f"Without {fabric}", styles.title), ("  reached over PCIe only", styles.muted))
    else:
        down = sum(gpu.num_down for gpu in gpus)
        title = joined(
            (f"{fabric} island {name}", styles.title),
            (f"  {len(gpus)} GPUs reach each other over {fabric}", styles.muted),
        )
        if down:
            title.append(f"  ! {down} links down", styles.bad)
        yield title
    widest = max((len(gpu.links) for gpu in gpus), default=0)
    role_cells = max((len(roles[gpu.gpu.uuid].name) for gpu in gpus if gpu.gpu.uuid in roles), default=0)
    for gpu in gpus:
        yield _gpu_line(gpu, roles.get(gpu.gpu.uuid), (widest, role_cells), styles)


def _gpu_line(gpu: GpuLinks, role: Role | None, cells: tuple[int, int], styles: Styles) -> Text:
    widest, role_cells = cells
    line = joined((fit(f"GPU {gpu.gpu.index}", _NAME_CELLS), styles.strong))
    if role_cells:
        style = styles.faint if role is None else styles.replica(role.replica)
        line.append(fit("" if role is None else role.name, role_cells + 2), style)
    if widest:
        line.append_text(_strip(gpu, role, styles))
        line.append(" " * (widest - len(gpu.links) + 2))
        line.append(*_count(gpu, styles))
    for text, style in _facts(gpu, styles):
        line.append("  ").append(text, style)
    return line


def _strip(gpu: GpuLinks, role: Role | None, styles: Styles) -> Text:
    """Draw a sign per link: lit, up, or down."""
    line = Text(no_wrap=True, end="")
    lit = styles.accent if role is None else styles.replica(role.replica)
    for mark in gpu.links:
        if not mark.active:
            line.append(CROSS, styles.bad)
        else:
            line.append(LIT if mark.lit else UP, lit if mark.lit else styles.used)
    return line


def _count(gpu: GpuLinks, styles: Styles) -> tuple[str, Style]:
    if not gpu.links:
        return "links not read", styles.muted
    if gpu.num_down and gpu.num_up:
        down = ",".join(str(mark.link) for mark in gpu.links if not mark.active)
        return f"{gpu.num_up} of {len(gpu.links)} up, down: {down}", styles.bad
    if gpu.num_down:
        return f"all {len(gpu.links)} down", styles.bad
    return f"all {len(gpu.links)} up", styles.plain


def _facts(gpu: GpuLinks, styles: Styles) -> Iterator[tuple[str, Style]]:
    if gpu.numa_node is not None:
        yield f"NUMA {gpu.numa_node}", styles.muted
    if gpu.near_ports:
        more = f" +{len(gpu.near_ports) - 1}" if len(gpu.near_ports) > 1 else ""
        yield f"{gpu.near_path} {gpu.near_ports[0]}{more}", styles.muted
    if gpu.bytes_per_s is not None:
        yield f"{gpu.bytes_per_s / _GIGA:,.0f} GB/s", styles.muted
    if gpu.received_bytes_per_s is not None and gpu.sent_bytes_per_s is not None:
        received, sent = gpu.received_bytes_per_s / _GIGA, gpu.sent_bytes_per_s / _GIGA
        yield f"in {received:,.1f} out {sent:,.1f} GB/s", styles.plain
    if gpu.pcie:
        yield f"PCIe {gpu.pcie}", styles.warning if " of " in gpu.pcie else styles.muted
    if gpu.remotes:
        version = f"NVLink {gpu.version} " if gpu.version is not None else ""
        yield f"{version}to {', '.join(gpu.remotes)}", styles.muted


def _matrix_lines(matrix: Matrix, styles: Styles, left: int) -> Iterator[Text]:
    title = joined(("Paths", styles.title), ("  as in nvidia-smi topo -m", styles.muted))
    title.append(
        f"; [ ] used by the layout{'; ! fewer links than there should be' if _any_worse(matrix) else ''}"
    )
    yield title
    if matrix.remark:
        yield joined((matrix.remark, styles.warning))
    names = _short_names(matrix.devices)
    left = max(0, min(left, len(names) - 1))
    head = joined((fit("", _NAME_CELLS), styles.muted))
    cells = _cell_width(matrix)
    for name in names[left:]:
        head.append(fit(f" {name}", cells), styles.muted)
    yield head.append(" NUMA", styles.muted)
    for y, row in enumerate(matrix.cells):
        line = joined((fit(names[y], _NAME_CELLS), styles.strong))
        for cell in row[left:]:
            line.append(*_cell(cell, cells, styles))
        numa = matrix.numa_nodes[y]
        yield line.append(" n/a" if numa is None else f" {numa}", styles.muted)
    ports = [f"{short} {name}" for short, name in zip(names, matrix.devices, strict=True) if short != name]
    if ports:
        yield joined((f" {DOT} ".join(ports), styles.muted))
    for text in LEGEND:
        yield joined((text, styles.faint))


def _any_worse(matrix: Matrix) -> bool:
    return any(cell.worse for row in matrix.cells for cell in row)


def _short_names(devices: Sequence[str]) -> list[str]:
    """Name network devices NIC0, NIC1 ... as nvidia-smi does: their own names are too long for a column."""
    names, number = [], 0
    for device in devices:
        if device.startswith("GPU"):
            names.append(device)
        else:
            names.append(f"NIC{number}")
            number += 1
    return names


def _cell_width(matrix: Matrix) -> int:
    """Return the width of a column: of the longest text, its brackets included."""
    return max((len(cell.text) + 2 + cell.worse for row in matrix.cells for cell in row), default=_CELL)


def _cell(cell: Cell, width: int, styles: Styles) -> tuple[str, Style]:
    text = cell.text + ("!" if cell.worse else "")
    if cell.lit:
        return fit(f"[{text}]", width), styles.bad if cell.worse else styles.title
    style = styles.bad if cell.worse else styles.faint if cell.text == "X" else styles.plain
    return fit(f" {text}", width), style


def _port_lines(ports: Sequence[NetworkPort], styles: Styles) -> Iterator[Text]:
    if not ports:
        return
    yield joined(("Network ports", styles.title))
    names = max(len(port.name) for port in ports)
    for port in ports:
        state, style = {True: ("up", styles.good), False: ("DOWN", styles.bad), None: ("n/a", styles.muted)}[
            port.is_up
        ]
        line = joined((fit(port.name, names + 2), styles.strong), (fit(port.kind, 12), styles.muted))
        line.append(fit(state, 6), style)
        for text in _port_facts(port):
            line.append(f"{text}  ", styles.muted)
        if port.errors:
            line.append(f"! {port.errors:,} errors", styles.warning)
        yield line


def _port_facts(port: NetworkPort) -> Iterator[str]:
    if port.link_bytes_per_s is not None:
        yield f"{port.link_bytes_per_s * 8 / _GIGA:,.0f} Gb/s"
    if port.received_bytes_per_s is not None and port.sent_bytes_per_s is not None:
        received, sent = port.received_bytes_per_s / _GIGA, port.sent_bytes_per_s / _GIGA
        yield f"in {received:,.2f} out {sent:,.2f} GB/s"
    if port.numa_node is not None:
        yield f"NUMA {port.numa_node}"
