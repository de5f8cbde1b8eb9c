"""Read a server's /metrics with a table of names: which series of an engine is which of our figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from cluster.engines.adapter import EngineMetrics

LONGEST_ANSWER = 4 * 1024 * 1024
"""Characters of an answer that are read; a busy server with hundreds of labels needs a tenth of it."""
LONGEST_LINE = 4096
Names = Mapping[str, tuple[str, ...]]
"""Field of EngineMetrics -> names of the series, newest first; the first one that is there counts."""
_MEANS = frozenset({"kv_cache_use"})
_COUNTS = frozenset({"running", "waiting"})


def read_prometheus(text: str, names: Names) -> EngineMetrics:
    """Return the figures of all series of a server: sums over its labels, the mean of the cache's use."""
    wanted = frozenset(series for all_names in names.values() for series in all_names)
    found: dict[str, list[float]] = {}
    for series, value in _samples(text[:LONGEST_ANSWER], wanted):
        found.setdefault(series, []).append(value)
    figures = ((field, _figure(field, found, series)) for field, series in names.items())
    return EngineMetrics(**{field: figure for field, figure in figures if figure is not None})  # type: ignore[arg-type]


def _samples(text: str, wanted: frozenset[str]) -> Iterator[tuple[str, float]]:
    from prometheus_client.parser import text_string_to_metric_families

    for line in text.split("\n"):
        if line[:200].partition("{")[0].partition(" ")[0] not in wanted or len(line) > LONGEST_LINE:
            continue
        try:
            samples = [sample for family in text_string_to_metric_families(line) for sample in family.samples]
        except (ValueError, IndexError, KeyError):
            continue  # not Prometheus text
        yield from ((sample.name, sample.value) for sample in samples if math.isfinite(sample.value))


def _figure(field: str, found: Mapping[str, list[float]], names: tuple[str, ...]) -> float | int | None:
    values = next((found[name] for name in names if name in found), None)
    if not values:
        return None
    total = math.fsum(values)
    if field in _MEANS:
        return min(1.0, max(0.0, total / len(values)))
    return round(total) if field in _COUNTS else total
