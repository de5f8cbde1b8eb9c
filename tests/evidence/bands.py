"""Computes the error bands of estimates from their errors on the evidence; timing.toml stores them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

TAIL = 0.05
"""Share of the measurements left outside the band on each side."""
LEAST = 5
"""With fewer rows than this a class gets no band of its own."""
FEW = 20
"""With fewer rows than this the band spans all but one on each side, widened."""
FEW_WIDENING = 1.25
LEFT_OUT = 1.2
"""The constants were fitted to these rows; with a model left out of the fit, errors were this much larger."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Measured over predicted, for one figure of one class."""

    group: str
    figure: str
    value: float


def fractions(ratios: Iterable[Ratio]) -> dict[str, dict[str, tuple[float, float]]]:
    """Return class -> figure -> (low, high) factors on a prediction, rounded outward to hundredths.

    The band always holds the prediction itself. A figure without rows in a class takes the widest band that
    any class has for it, widened. So does one with fewer than five.
    """
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for ratio in ratios:
        values[ratio.group, ratio.figure].append(ratio.value)
    bands: dict[str, dict[str, tuple[float, float]]] = {}
    for (group, figure), seen in values.items():
        bands.setdefault(group, {})  # a class with too few rows for a figure still gets a band below
        if len(seen) < LEAST:
            continue
        low, high = _span(sorted(seen))
        bands[group][figure] = (
            math.floor(min(low, 1.0) * 100) / 100,
            math.ceil(max(high, 1.0) * 100) / 100,
        )
    _fill_gaps(bands)
    return bands


def _fill_gaps(bands: dict[str, dict[str, tuple[float, float]]]) -> None:
    for figure in {figure for figures in bands.values() for figure in figures}:
        known = [figures[figure] for figures in bands.values() if figure in figures]
        low = math.floor(min(low for low, _ in known) / FEW_WIDENING * 100) / 100
        high = math.ceil(max(high for _, high in known) * FEW_WIDENING * 100) / 100
        for figures in bands.values():
            figures.setdefault(figure, (low, high))


def _span(ordered: list[float]) -> tuple[float, float]:
    if len(ordered) < FEW:
        return ordered[1] / FEW_WIDENING, ordered[-2] * FEW_WIDENING
    cut = int(TAIL * len(ordered))
    return ordered[cut] ** LEFT_OUT, ordered[-1 - cut] ** LEFT_OUT
