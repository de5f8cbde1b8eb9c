"""Notes on a layout that a user should read before running it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cluster.catalog.engine_profile import EngineProfile
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate
from cluster.planner.search.ranking import keeps_limits
from cluster.planner.search.stage_split import split_note
from cluster.units import format_duration


def with_notes(candidate: Candidate, request: PlanRequest, engine: EngineProfile) -> Candidate:
    """Return the candidate with notes on its stages, on what was timed, and on limits it may still miss."""
    notes = (
        *split_note(engine, candidate.stages),
        *_timed_otherwise(candidate, engine),
        *_may_miss(candidate, request),
    )
    return replace(candidate, notes=(*candidate.notes, *notes)) if notes else candidate


def _timed_otherwise(candidate: Candidate, engine: EngineProfile) -> Iterator[str]:
    """Yield a note if the engine's MoE recipe runs the ranks differently from the layout's label."""
    timed = candidate.estimate.runs_as if candidate.estimate else None
    if timed is not None:
        yield (
            f"timed with data-parallel attention, as {engine.name} recommends for MoE models: "
            f"each replica runs its TP={candidate.layout.tp} as {timed.label}"
        )


def _may_miss(candidate: Candidate, request: PlanRequest) -> Iterator[str]:
    """Limits are compared with the predicted value; its error band may extend beyond them."""
    estimate = candidate.estimate
    if estimate is None or not keeps_limits(candidate, request):
        return
    figures = (("TTFT", estimate.ttft_s, request.ttft_s), ("TPOT", estimate.tpot_s, request.tpot_s))
    for name, band, limit in figures:
        if limit is not None and band.high > limit:
            yield (
                f"predicted {name} is within the {format_duration(limit)} limit, but its error band reaches "
                f"{format_duration(band.high)}: measure before relying on it"
            )
