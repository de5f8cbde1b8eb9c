"""Scores how often the planner ranks two measured layouts in the measured order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

CLEAR_DIFFERENCE = 0.10
"""Pairs whose measurements are closer than this are draws."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One measured layout among others of the same model, GPUs and workload."""

    name: str
    contest: tuple[object, ...]
    """What the layouts compared share."""
    gpus_per_replica: int
    measured: float
    """Higher is better: a rate, per GPU where replicas could be added."""
    predicted: float
    side: object = None
    """Entries with the same value are not compared: repeated rows, or the same layout twice."""


@dataclass(frozen=True, slots=True)
class Score:
    """How many of the clear pairs are ranked in the measured order."""

    pairs: int
    right: int
    fewest_gpus_right: int
    """The same count for the naive rule 'fewest GPUs per replica'."""
    wrong: tuple[str, ...]
    draws: int = 0
    """Pairs whose measurements are too close to rank."""


def score(entries: Iterable[Ranked]) -> Score:
    """Compare every pair of a contest whose measurements differ by more than 10%."""
    contests: dict[tuple[object, ...], list[Ranked]] = defaultdict(list)
    for entry in entries:
        contests[entry.contest].append(entry)
    pairs, right, naive, draws, wrong = 0, 0, 0, 0, []
    for group in contests.values():
        for one, other in combinations(group, 2):
            if one.side is not None and one.side == other.side:
                continue
            better, worse = (one, other) if one.measured > other.measured else (other, one)
            if better.measured < worse.measured * (1 + CLEAR_DIFFERENCE):
                draws += 1
                continue
            pairs += 1
            naive += better.gpus_per_replica < worse.gpus_per_replica
            if better.predicted > worse.predicted:
                right += 1
            else:
                wrong.append(
                    f"{better.name} beats {worse.name} by {better.measured / worse.measured - 1:.0%}"
                )
    return Score(pairs, right, naive, tuple(wrong), draws)
