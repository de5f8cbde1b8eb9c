"""The result of a load test as text: each figure beside its prediction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.load.result import LoadPrediction, LoadResult, Spread
from cluster.planner.result import Band
from cluster.units import count_of, format_duration

_NAMES = {"ttft": "TTFT", "tpot": "TPOT", "itl": "between chunks", "e2el": "E2E"}
_GAP = "  "


def result_lines(result: LoadResult, figures: Sequence[str], percents: Sequence[float]) -> Iterator[str]:
    """Yield what a person reads: what was sent to what, the figures, and what they were compared with."""
    yield _head(result)
    yield f"{result.mix.text}; {result.prompts}"
    header, rows = _table(result, figures, percents)
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for row in [header, *rows]:
        cells = (f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        yield f"  {row[0]:<{widths[0]}}{_GAP}{_GAP.join(cells)}".rstrip()
    yield _answered(result)
    for reason, count in sorted(result.failures.items(), key=lambda item: -item[1]):
        yield f"  {count_of(count, 'request')} failed: {reason}"
    yield from _compared_with(result)


def _head(result: LoadResult) -> str:
    parts = [f"{result.name}: {result.model}"]
    if result.label:
        parts.append(result.label)
    if result.engine is not None:
        parts.append(f"engine {result.engine.runs}")
    if result.simulated:
        parts.append("SIMULATED")
    return "  ".join(parts)


def _table(
    result: LoadResult, figures: Sequence[str], percents: Sequence[float]
) -> tuple[list[str], list[list[str]]]:
    names = [f"p{percent:g}" for percent in percents]
    spreads = {"ttft": result.ttft_s, "tpot": result.tpot_s, "itl": result.itl_s, "e2el": result.e2e_s}
    predicted = _predicted(result.predicted)
    errors = {
        "ttft": result.error_of("ttft"),
        "tpot": result.error_of("tpot"),
        "e2el": result.error_of("e2e"),
    }
    rows = [
        [_NAMES[one], *_cells(spreads[one], names), predicted.get(one, ""), _error(errors.get(one))]
        for one in figures
    ]
    blank = [""] * len(names)
    error = _error(result.error_of("throughput"))
    rate = f"{result.output_tokens_per_s:,.1f}"
    rows.append(["output tokens/s", rate, *blank, predicted.get("throughput", ""), error])
    rows.append(["requests/s", f"{result.requests_per_s:,.2f}", *blank, "", ""])
    header = ["", "mean", *names, "predicted (low - high)", "measured vs predicted"]
    # Without a prediction, or with one that cannot be compared, those columns would be empty.
    empty = 2 if result.predicted is None else 1 if result.simulated else 0
    return header[: len(header) - empty], [row[: len(row) - empty] for row in rows]


def _cells(spread: Spread | None, names: Sequence[str]) -> list[str]:
    if spread is None:
        return ["n/a"] * (1 + len(names))
    values = {"p50": spread.p50, "p90": spread.p90, "p99": spread.p99, **spread.more}
    return [format_duration(spread.mean), *(format_duration(values.get(name)) for name in names)]


def _predicted(predicted: LoadPrediction | None) -> dict[str, str]:
    if predicted is None:
        return {}
    texts = {
        "ttft": _band(predicted.ttft_s),
        "tpot": _band(predicted.tpot_s),
        "e2el": format_duration(predicted.e2e_s) if predicted.e2e_s is not None else "",
    }
    band = predicted.throughput_tokens_per_s
    if band is not None:
        limits = f" ({band.low:,.1f} - {band.high:,.1f})" if band.low < band.high else ""
        texts["throughput"] = f"{band.value:,.1f}{limits}"
    return texts


def _band(band: Band | None) -> str:
    if band is None:
        return ""
    low, high = format_duration(band.low), format_duration(band.high)
    return f"{format_duration(band.value)} ({low} - {high})"


def _error(error: float | None) -> str:
    return "" if error is None else f"{100 * error:+.0f}%"


def _answered(result: LoadResult) -> str:
    parts = [f"{count_of(result.requests_done, 'request')} answered"]
    if result.requests_failed:
        parts.append(f"{result.requests_failed:,} failed")
    if result.interrupted:
        parts.append(f"interrupted with {result.requests_cut_off:,} in flight")
    sizes = f"{result.input_tokens:,} tokens in, {result.output_tokens:,} out"
    flight = f"{result.mean_in_flight:,.1f} in flight on average, {result.peak_in_flight:,} at most"
    return f"{', '.join(parts)} in {format_duration(result.duration_s)}: {sizes}; {flight}"


def _compared_with(result: LoadResult) -> Iterator[str]:
    predicted = result.predicted
    if predicted is None:
        yield f"no prediction: {result.not_predicted}"
        return
    flight = (
        f"{predicted.concurrency:,.4g} in flight" if predicted.concurrency else "as many in flight as fit"
    )
    what = f"{predicted.input_tokens:,} tokens in, {predicted.output_tokens:,} out, {flight}"
    engine = f" under {predicted.engine}" if predicted.engine else ""
    yield f"predicted: {predicted.basis}{engine} ({what}), in steady state"
    if predicted.overloaded:
        yield "  the request rate is more than this layout can serve: requests queue up, and TTFT grows"
    if result.simulated:
        yield "  SIMULATED: measured on a small stand-in on the CPU, predicted for the planned model and GPUs"
