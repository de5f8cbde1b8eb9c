"""A plain table with wrapped cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.cli.style import Style
from cluster.cli.wrap import wrap

_GAP = 2


def table(header: Sequence[str], rows: Sequence[Sequence[str]], style: Style, width: int) -> Iterator[str]:
    """Yield a table at most `width` wide: the first column as wide as it must be, the others alike."""
    first = max(len(row[0]) for row in [header, *rows])
    num_others = len(header) - 1
    other = (width - 2 - first - _GAP * num_others) // num_others
    widths = [first] + [other] * num_others
    yield "  " + style.bold(_line(header, widths))
    for row in rows:
        folded = [[row[0]], *(list(wrap(cell, other)) for cell in row[1:])]
        for number in range(max(len(lines) for lines in folded)):
            yield "  " + _line([lines[number] if number < len(lines) else "" for lines in folded], widths)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return (" " * _GAP).join(f"{cell:<{size}}" for cell, size in zip(cells, widths, strict=True)).rstrip()
