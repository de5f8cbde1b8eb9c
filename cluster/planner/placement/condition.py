"""What health leaves of a GPU, as placement and cost see it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor, log10

from cluster.inventory import Gpu

_QUARTERS = 4


@dataclass(frozen=True, slots=True)
class Condition:
    """Shares of a healthy GPU's rates, above 0, at most 1."""

    degraded: bool = False
    compute: float = 1.0
    memory: float = 1.0
    nvlink: float = 1.0
    pcie: float = 1.0

    def left(self, link: str) -> float:
        """Return one figure to compare GPUs by: what is left of their rates over this kind of link."""
        return self.compute * self.memory * (self.nvlink if link == "nvlink" else self.pcie)


SOUND = Condition()


def condition_of(gpu: Gpu, levels: int | None = None) -> Condition:
    """Return a usable GPU's condition in hundredths, or in this many levels per factor of ten."""
    if gpu.health is None or gpu.health.state == "healthy":
        return SOUND
    shares = gpu.health.slowdown
    return Condition(
        True,
        _rounded(shares.compute, levels),
        _rounded(shares.memory, levels),
        _rounded(shares.nvlink, levels),
        _rounded(shares.pcie, levels),
    )


def worst(conditions: Iterable[Condition]) -> Condition:
    """Return the smallest share of each rate: ranks of a replica wait for each other."""
    found = SOUND
    for one in conditions:
        if one is not SOUND and one != found:
            found = Condition(
                True,
                min(found.compute, one.compute),
                min(found.memory, one.memory),
                min(found.nvlink, one.nvlink),
                min(found.pcie, one.pcie),
            )
    return found


def avoidance(condition: Condition, link: str) -> float:
    """Return how much to avoid a GPU among others with as much memory: 0 if it is sound, at most 2."""
    return 2.0 - condition.left(link) if condition.degraded else 0.0


def preference(free_bytes: int, total_bytes: int, avoid: float) -> tuple[int, float, int]:
    """Return a sort key: most free memory first, and sound GPUs before others with about as much of it.

    GPUs in one quarter of their memory count as equal; a full one does not go before an idle degraded one.
    """
    quarter = (free_bytes * _QUARTERS - 1) // max(1, total_bytes)
    return -quarter, avoid, -free_bytes


def _rounded(share: float, levels: int | None) -> float:
    if share == 1.0:
        return 1.0
    if levels is None:
        return max(1, floor(share * 100 + 1e-9)) / 100
    return 10 ** (round(log10(share) * levels) / levels)
