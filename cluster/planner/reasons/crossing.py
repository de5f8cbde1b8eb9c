"""What a pinned tensor-parallel group costs when it spans NVLink islands or nodes."""

from __future__ import annotations

from dataclasses import replace

from cluster.catalog.link_spec import load_links
from cluster.planner.layout import Layout
from cluster.planner.placement.form import Form
from cluster.planner.placement.span import Span
from cluster.planner.result import Band, Candidate
from cluster.planner.search.candidates import build_candidates
from cluster.planner.search.context import Context
from cluster.units import format_duration

_BETWEEN = {"islands": "between NVLink islands, over PCIe,", "nodes": "across nodes"}


def with_crossing_note(context: Context, candidate: Candidate) -> Candidate:
    """Return the candidate with a note on its slow all-reduces; unchanged if they stay on fast links."""
    span, estimate = candidate.span, candidate.estimate
    if not span.joins or estimate is None:
        return candidate
    where, layout = _BETWEEN[span.joins], candidate.layout
    note = (
        f"TP={layout.tp} all-reduces {where} at every layer{_guessed_rate(span)}: "
        f"{estimate.all_reduce_share:.0%} of each decode step"
    )
    narrow = _narrower(context, candidate)
    note += _comparison(candidate, narrow) if narrow is not None else ""
    return replace(candidate, notes=(note, *candidate.notes))


def _guessed_rate(span: Span) -> str:
    usual = load_links()["network"].default_bytes_per_s
    if span.joins != "nodes" or span.network_known or not usual:
        return ""
    return f" (network bandwidth unknown, {usual / 1e9:.0f} GB/s per node assumed)"


def _narrower(context: Context, candidate: Candidate) -> Candidate | None:
    """Return the widest TP that stays on fast links, with the same number of GPUs per replica."""
    layout = candidate.layout
    free = context.without_pins(dp=layout.num_replicas)
    for tp in range(context.survey.largest_domain, 0, -1):
        pp, rest = divmod(layout.gpus_per_replica, tp)
        if rest or layout.tp % tp:
            continue
        found = build_candidates(free, Form.plain(tp, pp))[0]
        if found.feasible and found.estimate is not None:
            return found
    return None


def _comparison(wide: Candidate, narrow: Candidate) -> str:
    assert wide.estimate is not None and narrow.estimate is not None
    ours, theirs = wide.estimate, narrow.estimate
    first, next_ones = _instead(theirs.ttft_s, ours.ttft_s), _instead(theirs.tpot_s, ours.tpot_s)
    rate = f"{theirs.throughput_tokens_per_s.value:,.0f} instead of {ours.throughput_tokens_per_s.value:,.0f}"
    return (
        f"; {_axes(narrow.layout)} {_benefit_of(narrow)}: first token {first}, then {next_ones} per token, "
        f"{rate} tokens/s"
    )


def _instead(narrow: Band, wide: Band) -> str:
    return f"{format_duration(narrow.value)} instead of {format_duration(wide.value)}"


def _axes(layout: Layout) -> str:
    parts = [f"TP={layout.tp}"] if layout.tp > 1 else []
    parts += [f"PP={layout.pp}"] if layout.pp > 1 else []
    return " x ".join(parts)


def _benefit_of(narrow: Candidate) -> str:
    if narrow.layout.tp == 1:
        return "needs no all-reduce"
    return "keeps all-reduces on NVLink" if narrow.span.on_nvlink else "keeps all-reduces inside a node"
