"""A GPU's memory as one bar of three parts that differ in height, not only in color."""

from __future__ import annotations

from rich.style import Style
from rich.text import Text

from tui.format import bar_cells, fit, gib
from tui.glyphs import FREE, PLANNED, ROLE_LIVE, ROLE_PLANNED, TROUBLE, USED
from tui.roles import Role
from tui.scene import GpuView
from tui.styles import Styles


def memory_bar(view: GpuView, width: int, styles: Styles) -> Text:
    """Draw used, planned and free; a GPU without a reading says so."""
    line = Text(no_wrap=True, end="")
    if not view.total_bytes:
        line.append(fit("no reading", width), styles.faint)
        return line
    used, planned, free = bar_cells(view.total_bytes, view.used_bytes, view.planned_bytes, width)
    line.append(USED * used, styles.used)
    if view.overfull and planned:
        line.append(PLANNED * (planned - 1), styles.bad).append(TROUBLE, styles.bad)
    else:
        line.append(PLANNED * planned, _planned_style(view.role, styles))
    line.append(FREE * free, styles.free)
    return line


def memory_figures(view: GpuView, decimals: int = 1) -> str:
    """Format the parts in GiB: '12.1+52.3/79.3'; without a plan '12.1/79.3'."""
    used = gib(view.used_bytes, decimals)
    planned = f"+{gib(view.planned_bytes, decimals)}" if view.planned_bytes else ""
    return f"{used}{planned}/{gib(view.total_bytes, decimals)}"


def role_text(role: Role | None, styles: Styles) -> Text:
    """Draw a GPU's role in a layout: '○ R0·T2' planned, '● R0·T2' running."""
    if role is None:
        return Text("", end="")
    mark = ROLE_LIVE if role.live else ROLE_PLANNED
    return Text(f"{mark} {role.name}", styles.replica(role.replica), end="")


def _planned_style(role: Role | None, styles: Styles) -> Style:
    return styles.planned if role is None else styles.replica(role.replica)
