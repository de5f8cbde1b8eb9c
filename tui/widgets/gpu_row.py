"""One GPU on one line, with fewer columns where there is less room."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from tui.format import fit, percent, power, temperature
from tui.glyphs import FREE, PLANNED, TROUBLE, USED
from tui.look import Look
from tui.scene import GpuView
from tui.widgets.memory_bar import memory_bar, memory_figures, role_text


@dataclass(frozen=True, slots=True)
class RowColumns:
    """Cells of each column; 0 leaves a column out."""

    type: int
    bar: int
    figures: int
    role: int
    use: int
    temperature: int
    power: int
    decimals: int


def row_columns(width: int, show_type: bool) -> RowColumns:
    """Choose the columns of a row of `width` cells."""
    figures, decimals = (18, 1) if width >= 96 else (15, 1) if width >= 72 else (10, 0)
    role = 11 if width >= 72 else 9 if width >= 34 else 0
    use = 5 if width >= 46 else 0
    heat = 6 if width >= 58 else 0
    watts = 7 if width >= 66 else 0
    figures = figures if width >= 24 else 0
    kind = 14 if show_type and width >= 90 else 0
    rest = width - (4 + kind + figures + role + use + heat + watts + 3)
    return RowColumns(kind, max(0, min(rest, 72)), figures, role, use, heat, watts, decimals)


def gpu_row(view: GpuView, columns: RowColumns, look: Look) -> Text:
    """Draw one GPU."""
    line = Text(no_wrap=True, end="")
    line.append(f"{view.gpu.index:>3} ", look.muted)
    line.append(fit(view.gpu.type, columns.type), look.muted)
    if view.trouble:
        line.append(f"{TROUBLE} {view.trouble}", look.bad)
        return line
    line.append_text(memory_bar(view, columns.bar, look))
    figures = fit(memory_figures(view, columns.decimals), columns.figures, "right")
    line.append(figures, look.bad if view.overfull else look.plain)
    line.append("  ")
    role = role_text(view.role, look)
    role.truncate(columns.role, pad=True)
    line.append_text(role)
    line.append(fit(percent(view.utilization_percent), columns.use, "right"), look.plain)
    line.append(fit(temperature(view.temperature_c), columns.temperature, "right"), look.muted)
    line.append(fit(power(view.power_w), columns.power, "right"), look.muted)
    return line


def legend(look: Look) -> Text:
    """Draw what the parts of a memory bar mean."""
    signs = Text(no_wrap=True, end="")
    signs.append(f"{USED * 2} ", look.used).append("used  ", look.muted)
    signs.append(f"{PLANNED * 2} ", look.planned).append("planned  ", look.muted)
    signs.append(f"{FREE * 2} ", look.free).append("free", look.muted)
    return signs


def row_heading(columns: RowColumns, look: Look) -> Text:
    """Draw the legend and the names of the columns."""
    line = Text("    ", no_wrap=True, end="")
    line.append(fit("", columns.type))
    signs = legend(look)
    signs.truncate(columns.bar, pad=True)
    line.append_text(signs)
    line.append(fit("GiB", columns.figures, "right"), look.muted)
    line.append("  ")
    line.append(fit("part", columns.role), look.muted)
    line.append(fit("use", columns.use, "right"), look.muted)
    line.append(fit("temp", columns.temperature, "right"), look.muted)
    line.append(fit("power", columns.power, "right"), look.muted)
    return line
