"""Timing helpers for the benchmarks: interleaved runs, medians, ratios."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence


def median_s(action: Callable[[], object], runs: int = 7) -> float:
    """Return the median wall time of `action` over `runs`, after one warm-up."""
    action()
    return statistics.median(_time_s(action) for _ in range(runs))


def paired_ratio(
    first: Callable[[], object], second: Callable[[], object], runs: int = 7
) -> tuple[float, float, float]:
    """Return (ratio, first, second) of medians, run alternately so that drift affects both."""
    first()
    second()
    pairs = [(_time_s(first), _time_s(second)) for _ in range(runs)]
    ratio = statistics.median(a / b for a, b in pairs)
    return ratio, statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def run_quietly(command: Sequence[str]) -> None:
    """Run a process to completion, discarding its output; raises if it fails.

    Bytecode is kept between runs, as for any installed package.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _time_s(action: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    action()
    return time.perf_counter() - start_s
