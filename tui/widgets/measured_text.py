"""Predicted beside measured, for the deployment panel: a table where there is room, else two lines. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from rich.text import Text

from cluster.deploy.comparison import Comparison, compare
from cluster.deploy.comparison_text import ComparisonCells, cells_of, missing_lines
from cluster.deploy.spec import FULL_SIZE
from cluster.deploy.status import DeploymentStatus, Measured
from cluster.units import NOT_AVAILABLE
from tui.format import fit, gib, rate
from tui.glyphs import TROUBLE
from tui.styles import Styles

_RATE_WORDS = {
    False: (("measured", "predicted, full load"), ("measured", "predicted")),
    True: (
        ("measured, scaled model", "predicted, full load"),
        ("measured, scaled model", "predicted"),
        ("measured, scaled", "predicted"),
    ),
}
"""Labels of the rates, of a full-size and of a scaled model; the longest that fits is used."""
_TITLE, _PREDICTED, _MEASURED, _ERROR = 15, 27, 15, 9
TABLE_WIDTH = _TITLE + _PREDICTED + _MEASURED + _ERROR
_GAP = 4
_MINOR = ("activation_bytes", "cuda_graph_bytes", "non_torch_bytes")
"""Figures that the short table leaves out."""


def measured_forms(
    status: DeploymentStatus, used_bytes: Mapping[str, int], width: int, styles: Styles
) -> list[list[Text]]:
    """Return the forms of the figures, the fullest first: table with remarks, table, short table, two lines.

    `used_bytes` is what NVML reads, by uuid of the GPU.
    """
    brief = _brief_lines(status, used_bytes, width, styles)
    rows = [row for row in compare(_with_reading(status, used_bytes)) if row.measured is not None]
    if len(rows) < 2 or width < TABLE_WIDTH:
        return [brief]
    table, short = _table(rows, width, styles), _short_table(rows, styles)
    return [table + _remarks(status, used_bytes, width, styles), table, short, brief]


def _remarks(
    status: DeploymentStatus, used_bytes: Mapping[str, int], width: int, styles: Styles
) -> list[Text]:
    """Draw why figures are missing, once the deployment serves and they could be there."""
    if not any(replica.ready for replica in status.replicas):
        return []
    lines = missing_lines(cells_of(row) for row in compare(_with_reading(status, used_bytes)))
    wrapped = (part for line in lines for part in textwrap.wrap(line, width, subsequent_indent="  "))
    return [Text(part, styles.muted, no_wrap=True, end="") for part in wrapped]


def _with_reading(status: DeploymentStatus, used_bytes: Mapping[str, int]) -> DeploymentStatus:
    """Put what NVML reads of the fullest GPU where the deployment's processes were not read one by one."""
    measured: Measured = status.measured
    held = [used_bytes[uuid] for uuid in _gpus(status) if uuid in used_bytes]
    if measured.total_bytes is not None or status.simulated or not held:
        return status
    update = {"measured": measured.model_copy(update={"total_bytes": max(held)})}
    return status.model_copy(update=update)


def _gpus(status: DeploymentStatus) -> Sequence[str]:
    return [rank.gpu_uuid for rank in status.ranks]


def _table(rows: Sequence[Comparison], width: int, styles: Styles) -> list[Text]:
    """Draw the rows below a heading; in two columns where the width has room for both."""
    drawn = [_table_row(cells_of(row), styles) for row in rows]
    if width < 2 * TABLE_WIDTH + _GAP or len(drawn) < 4:
        return [_heading(styles), *drawn]
    half = (len(drawn) + 1) // 2
    left, right = [_heading(styles), *drawn[:half]], [_heading(styles), *drawn[half:]]
    return [_beside(line, right[number] if number < len(right) else None) for number, line in enumerate(left)]


def _short_table(rows: Sequence[Comparison], styles: Styles) -> list[Text]:
    """Draw the main figures in two columns without their predictions."""
    drawn = [_short_cell(cells_of(row), styles) for row in rows if row.name not in _MINOR]
    heading = Text("measured, and its error against the prediction", styles.muted, no_wrap=True, end="")
    half = (len(drawn) + 1) // 2
    right: list[Text | None] = [*drawn[half:], None]
    return [heading, *(_beside(*pair) for pair in zip(drawn[:half], right, strict=False))]


def _short_cell(row: ComparisonCells, styles: Styles) -> Text:
    line = Text(no_wrap=True, end="")
    line.append(fit(row.title, _TITLE), styles.muted).append(fit(row.measured, 12, "right"), styles.strong)
    return line.append_text(_error(row, styles))


def _beside(left: Text, right: Text | None) -> Text:
    line = left.copy()
    if right is not None:
        line.append(" " * _GAP).append_text(right)
    return line


def _heading(styles: Styles) -> Text:
    words = (fit("", _TITLE), fit("predicted", _PREDICTED), fit("measured", _MEASURED, "right"))
    return Text("".join(words) + fit("error", _ERROR, "right"), styles.muted, no_wrap=True, end="")


def _table_row(row: ComparisonCells, styles: Styles) -> Text:
    line = Text(no_wrap=True, end="")
    line.append(fit(row.title, _TITLE), styles.muted)
    line.append(fit(row.predicted, _PREDICTED), styles.plain)
    line.append(fit(row.measured, _MEASURED, "right"), styles.strong)
    return line.append_text(_error(row, styles))


def _error(row: ComparisonCells, styles: Styles) -> Text:
    error = f"{TROUBLE} {row.error}" if row.is_outside else row.error
    style = styles.warning if row.is_outside else styles.muted if row.why else styles.plain
    return Text(fit(error, _ERROR, "right"), style, end="")


def _brief_lines(
    status: DeploymentStatus, used_bytes: Mapping[str, int], width: int, styles: Styles
) -> list[Text]:
    """Draw the rate, and the memory of the fullest GPU."""
    scaled = status.simulated and status.scale not in (None, FULL_SIZE)
    serves = any(replica.ready for replica in status.replicas)
    measured = f"{rate(status.tokens_per_s)} tok/s" if serves else NOT_AVAILABLE
    forms = (_rate_line(status, measured, *words, styles) for words in _RATE_WORDS[scaled])
    rates = next((line for line in forms if line.cell_len <= width), None)
    if rates is None:
        rates = _rate_line(status, measured, *_RATE_WORDS[False][-1], styles)
    lines = [rates]
    pairs = [
        (used_bytes[uuid], planned)
        for uuid, planned in status.planned_bytes_by_gpu.items()
        if uuid in used_bytes
    ]
    if pairs:
        lines.append(_memory_line(*max(pairs), "simulated" if status.simulated else "measured", styles))
    return lines


def _rate_line(status: DeploymentStatus, measured: str, after: str, predicted: str, styles: Styles) -> Text:
    line = Text(f"{'rate':<9}", styles.muted, no_wrap=True, end="")
    line.append(fit(measured, 12, "right"), styles.strong).append(f" {after}", styles.muted)
    if status.predicted_tokens_per_s is not None:
        band = status.predicted_tokens_per_s
        line.append(f"   {rate(band.value)} ({rate(band.low)}–{rate(band.high)})", styles.plain)
        line.append(f" {predicted}", styles.muted)
    return line


def _memory_line(used: int, planned: int, source: str, styles: Styles) -> Text:
    line = Text(f"{'memory':<9}", styles.muted, no_wrap=True, end="")
    line.append(fit(f"{gib(used)} GiB", 12, "right"), styles.strong)
    line.append(f" {source}, fullest GPU   ", styles.muted)
    return line.append(f"{gib(planned)} GiB", styles.plain).append(" predicted", styles.muted)
