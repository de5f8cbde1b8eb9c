"""The parts of a GPU's page: its health, what uses it, its curves, its links and its processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from cluster.detail import GpuDetail, NvLinkReading
from cluster.inventory import Gpu
from cluster.planner.result import Candidate, Plan
from cluster.units import NOT_AVAILABLE, format_bytes
from tui.figures import NOT_REPORTED, count, rate
from tui.format import percent, power, role_name, temperature
from tui.glyphs import LEFT_OUT, TROUBLE
from tui.history import FIGURES, Curve
from tui.place_view import NodeView, ago, placement_on, planned_bytes, planned_name, rank_on
from tui.store import Snapshot
from tui.styles import Styles
from tui.widgets.curve import Scale, curve_text
from tui.widgets.figure_table import TWO_COLUMNS, heading, mark_text, rows_grid, rows_table, side_by_side

_DEFAULT_TOP_C, _DEFAULT_TOP_W = 100.0, 1000.0


def health_section(view: NodeView, gpu: Gpu, styles: Styles) -> RenderableType:
    """Draw the verdict and each finding with its evidence."""
    mark = view.mark(gpu)
    findings = gpu.health.findings if gpu.health is not None else ()
    text = mark_text(mark, styles)
    if mark.state == "healthy" and gpu.health is None:
        text = Text("○ not judged yet", styles.muted)
    if gpu.excluded_reason and mark.state != "left out":
        text.append(f"\n{LEFT_OUT} left out  {gpu.excluded_reason}", styles.muted)
    if view.reading is None:
        text.append(f"\n{TROUBLE} no fresh reading  {view.why_not}", styles.bad)
    if len(findings) < 2:
        return text
    rows = [
        (
            f"  {finding.code.replace('_', ' ')}",
            Text(finding.state, styles.of_mark(finding.state)),
            finding.text,
        )
        for finding in findings
    ]
    return Group(
        Text(f"{mark.sign} {mark.state}", styles.of_mark(mark.state)),
        rows_grid(rows, styles),
        *text.split("\n")[1:],
    )


def use_section(
    snapshot: Snapshot, plan: Plan | None, candidate: Candidate | None, gpu: Gpu, styles: Styles
) -> RenderableType:
    """Draw what runs on a GPU, who holds it in Ray, and what the highlighted layout would put there."""
    rows = [
        ("running", _running(snapshot, gpu)),
        ("held in Ray by", gpu.claimed_by or "nobody"),
        ("planned", _planned(plan, candidate, gpu)),
    ]
    text = Text()
    for name, value in rows:
        text.append(f"{name:<16}", styles.muted).append(f"{value}\n", styles.plain)
    text.rstrip()
    return Group(heading("Use", styles), text)


def _running(snapshot: Snapshot, gpu: Gpu) -> str:
    found = rank_on(snapshot, gpu.uuid)
    if found is None:
        return "nothing of ours"
    status, rank = found
    name = role_name(rank.replica, rank.stage, rank.rank, status.layout)
    planned = status.planned_bytes_by_gpu.get(gpu.uuid)
    memory = f", {format_bytes(planned)} planned" if planned else ""
    return f"{name} of {status.name} ({status.model}), {rank.state}{memory}"


def _planned(plan: Plan | None, candidate: Candidate | None, gpu: Gpu) -> str:
    place = placement_on(candidate, gpu.uuid)
    if plan is None or candidate is None:
        return "there is no plan"
    if place is None:
        return f"nothing of {candidate.label} of {plan.model.name}"
    memory = planned_bytes(candidate, place)
    took = f", {format_bytes(memory)}" if memory is not None else ""
    return f"{planned_name(candidate, place)} of {candidate.label} of {plan.model.name}{took}"


def curves_section(
    curve: Callable[[str, str], Curve], view: NodeView, gpu: Gpu, width: int, styles: Styles
) -> RenderableType:
    """Draw the four curves: two beside two where there is room."""
    wide = width >= TWO_COLUMNS
    cells = max(10, width // 2 - 4 if wide else width - 2)
    drawn: list[RenderableType] = [
        curve_text(curve(gpu.uuid, figure), scale, cells, styles)
        for figure, scale in zip(FIGURES, _scales(view, gpu), strict=True)
    ]
    body = side_by_side((drawn[::2], drawn[1::2])) if wide else Group(*drawn)
    return Group(heading("Last 2 minutes", styles), body)


def _scales(view: NodeView, gpu: Gpu) -> tuple[Scale, ...]:
    reading = view.gpu_reading(gpu)
    slowdown = gpu.facts.slowdown_temperature_c if gpu.facts is not None else None
    limit = reading.power_limit_w if reading is not None else None
    total = float(gpu.memory_total_bytes or 0)
    return (
        Scale("utilization", 100.0, percent),
        Scale("memory used", total, format_bytes),
        Scale("temperature", slowdown or _DEFAULT_TOP_C, temperature, "slowdown" if slowdown else ""),
        Scale("power", limit or _DEFAULT_TOP_W, power, "limit" if limit else ""),
    )


def links_section(view: NodeView, gpu: Gpu, styles: Styles) -> RenderableType:
    """Draw each NVLink with its state, and how the GPU reaches the other devices of its node."""
    detail = view.gpu_detail(gpu)
    links = detail.links if detail is not None else ()
    up = sum(link.active for link in links)
    remark = f"{up} of {len(links)} up" if links else ""
    parts: list[RenderableType] = [heading("NVLinks", styles, remark)]
    if links:
        parts.append(_link_table(links, styles))
    else:
        parts.append(Text(f"none  {_why_no_links(view, detail)}", styles.muted))
    paths = _paths(view, gpu)
    if paths:
        parts += [heading("Paths in the node", styles), Text(paths, styles.plain)]
    return Group(*parts)


def _why_no_links(view: NodeView, detail: GpuDetail | None) -> str:
    return view.why_not if detail is None else detail.absent.get("links", NOT_REPORTED)


def _link_table(links: Sequence[NvLinkReading], styles: Styles) -> RenderableType:
    rows = [
        (
            str(link.link),
            Text("● up", styles.good) if link.active else Text("! down", styles.bad),
            _or_not(link.version, count),
            _or_not(link.bytes_per_s, rate),
            _or_not(link.received_bytes, format_bytes),
            _or_not(link.sent_bytes, format_bytes),
            _or_not(link.errors, count),
            link.remote or NOT_AVAILABLE,
        )
        for link in links
    ]
    titles = ("link", "state", "version", "speed", "received", "sent", "errors", "other end")
    return rows_table(titles, rows, styles, numbers=(0, 2, 3, 4, 5, 6))


def _or_not(value: float | None, form: Callable[[int], str] | Callable[[float], str]) -> str:
    return NOT_AVAILABLE if value is None else form(value)  # type: ignore[arg-type]


def _paths(view: NodeView, gpu: Gpu) -> str:
    """Describe how a GPU reaches each device of its node, a line for each kind: 'NV18  GPU1 GPU2'."""
    facts, name = view.node.facts, f"GPU{gpu.index}"
    if facts is None or name not in facts.devices or not facts.paths:
        return ""
    row = facts.paths[facts.devices.index(name)]
    kinds: dict[str, list[str]] = {}
    for device, path in zip(facts.devices, row, strict=False):
        if path != "X":
            kinds.setdefault(path, []).append(device)
    return "\n".join(f"{path:<6}{' '.join(devices)}" for path, devices in kinds.items())


def processes_section(view: NodeView, gpu: Gpu, styles: Styles) -> RenderableType:
    """Draw the processes that hold memory on a GPU."""
    processes, why_not = view.processes(gpu)
    if not processes:
        remark = f"n/a  {why_not}" if why_not else "none"
        return Group(heading("Processes", styles), Text(remark, styles.muted))
    rows = [
        (
            str(process.pid),
            process.user or NOT_AVAILABLE,
            _or_not(process.memory_bytes, format_bytes),
            percent(process.sm_percent),
            "in another PID namespace"
            if process.other_namespace
            else process.command or process.name or NOT_AVAILABLE,
        )
        for process in sorted(processes, key=lambda process: -(process.memory_bytes or 0))
    ]
    titles = ("pid", "user", "memory", "SM", "command")
    return Group(heading("Processes", styles), rows_table(titles, rows, styles, numbers=(0, 2, 3)))


def xids_section(view: NodeView, gpu: Gpu, now_s: float, styles: Styles) -> RenderableType:
    """Draw the errors that the driver reported on a GPU since the probe started."""
    detail = view.gpu_detail(gpu)
    events = detail.xids if detail is not None else ()
    if events:
        # Nodes' clocks differ by a little: what has just happened is not in the future.
        ages = [f"Xid {event.code}  {ago(max(0.0, now_s - event.at_s))}" for event in reversed(events)]
        return Group(heading("Xid errors since the probe started", styles), Text("\n".join(ages), styles.bad))
    why_not = view.why_not if detail is None else detail.absent.get("xids", "")
    return Group(
        heading("Xid errors since the probe started", styles),
        Text(f"n/a  {why_not}" if why_not else "none", styles.muted),
    )
