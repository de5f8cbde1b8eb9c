"""Error statistics: medians, percentiles and the worst cases by name."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Miss:
    """A prediction and its measurement."""

    name: str
    predicted: float
    measured: float

    @property
    def relative(self) -> float:
        return self.predicted / self.measured - 1 if self.measured else float("inf")

    @property
    def absolute(self) -> float:
        return self.predicted - self.measured


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def summary(title: str, misses: list[Miss], unit: str, relative: bool) -> list[str]:
    """Return a line of statistics and a line for each of the three worst cases."""
    if not misses:
        return [f"{title}: no rows"]
    sizes = [abs(miss.relative if relative else miss.absolute) for miss in misses]
    ordered = sorted(misses, key=lambda miss: -abs(miss.relative if relative else miss.absolute))

    def shown(size: float) -> str:
        return f"{size:.2%}" if relative else f"{size:.2f} {unit}"

    figures = (
        f"median {shown(median(sizes))}, 95th {shown(percentile(sizes, 0.95))}, worst {shown(max(sizes))}"
    )
    lines = [f"{title:<44} n={len(misses):<3} {figures}"]
    for miss in ordered[:3]:
        lines.append(
            f"    {miss.name}: predicted {miss.predicted:,.2f}, measured {miss.measured:,.2f} {unit}"
        )
    return lines
