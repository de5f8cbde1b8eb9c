"""Timing shared by the benchmarks: interleaved runs, medians, ratios."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence


def median_s(action: Callable[[], object], runs: int = 7) -> float:
    """Median wall time of `action` over `runs`, after one warm-up."""
    action()
    return statistics.median(_time_s(action) for _ in range(runs))


def paired_ratio(
    first: Callable[[], object], second: Callable[[], object], runs: int = 7
) -> tuple[float, float, float]:
    """Return (ratio, first, second): medians of the two in turn, so that drift hits both."""
    first()
    second()
    pairs = [(_time_s(first), _time_s(second)) for _ in range(runs)]
    ratio = statistics.median(a / b for a, b in pairs)
    return ratio, statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def run_quietly(command: Sequence[str]) -> None:
    """Run a whole process to its end, its output thrown away; a failing one raises.

    Bytecode is kept between runs, as it is for every installed package.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _time_s(action: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    action()
    return time.perf_counter() - start_s
