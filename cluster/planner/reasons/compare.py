"""DP, TP and TP x DP side by side: one row per property, with this model's and this cluster's figures."""

from __future__ import annotations

from cluster.planner.kv_share import kv_share
from cluster.planner.layout import Layout
from cluster.planner.placement.form import Form
from cluster.planner.reasons.describe import column_number, column_spans, describe_duration, describe_rate
from cluster.planner.reasons.facts import Facts, at_own_length, single_replica
from cluster.planner.result import Candidate, ComparisonColumn, Estimate
from cluster.planner.search.candidates import build_candidates
from cluster.planner.search.context import Context
from cluster.planner.search.enumerate import tensor_degrees
from cluster.planner.search.ranking import rank
from cluster.units import count_of, format_duration, format_gib

Row = tuple[str, str]


def compare(context: Context, facts: Facts, best: Candidate | None) -> tuple[ComparisonColumn, ...]:
    """Return the three columns; () on a cluster without usable GPUs."""
    if facts.one_gpu is None:
        return ()
    # A group that crosses islands or nodes is only considered when its TP is pinned.
    pinned = context.request.tp if best is not None and best.layout.tp == context.request.tp else None
    free = at_own_length(context).without_pins(tp=pinned)
    data = _Strategy(free, "Data parallel", facts.one_gpu)
    group = _group_degree(free, best)
    if group < 2:
        return tuple(one.column() for one in _with_best([data], free, best))
    tensor = _Strategy(
        free, "Tensor parallel", build_candidates(free.with_request(dp=1), Form.plain(group, 1))[0]
    )
    both = _Strategy(free, "TP x DP", build_candidates(free, Form.plain(group, 1))[0])
    strategies = [data, tensor]
    if both.layout.num_replicas > 1:
        strategies.append(both)
    return tuple(one.column() for one in _with_best(strategies, free, best))


def _with_best(strategies: list[_Strategy], context: Context, best: Candidate | None) -> list[_Strategy]:
    """Add the recommendation to the table unless a column already splits the model the same way."""
    if best is None or any(_same_division(one.layout, best.layout) for one in strategies):
        return strategies
    return [*strategies[:2], _Strategy(context, _name(best.layout), best)]


def _same_division(one: Layout, other: Layout) -> bool:
    first, second = (
        (layout.tp, layout.pp, layout.ep, layout.dp_attention, layout.num_replicas > 1)
        for layout in (one, other)
    )
    return first == second


def _name(layout: Layout) -> str:
    axes = [("TP", layout.tp), ("PP", layout.pp), ("EP", layout.ep)]
    axes += [("DP attention", layout.attention_ranks), ("DP", layout.num_replicas)]
    return " x ".join(axis for axis, degree in axes if degree > 1)


def _group_degree(context: Context, best: Candidate | None) -> int:
    """Return the TP of the recommendation if it is a plain group, else of the best plain group that fits,
    else the widest valid TP inside a node."""
    if best is not None and best.layout.tp > 1 and _is_plain(best.layout):
        return best.layout.tp
    if best is None or best.layout.gpus_per_replica > 1:
        fitting = _best_plain_group(context)
        if fitting is not None:
            return fitting
    widest = context.survey.largest_domain
    tp = 1
    while tp * 2 <= widest:
        tp *= 2
    while tp > 1 and _shape_refused(context, tp):
        tp //= 2
    return tp


def _is_plain(layout: Layout) -> bool:
    return layout.pp == 1 and not layout.dp_attention


def _best_plain_group(context: Context) -> int | None:
    degrees = [tp for tp in tensor_degrees(context.survey, context.request) if tp > 1]
    built = (build_candidates(context, Form.plain(tp, 1))[0] for tp in degrees)
    fitting = rank([candidate for candidate in built if candidate.feasible], context.request)
    return fitting[0].layout.tp if fitting else None


def _shape_refused(context: Context, tp: int) -> bool:
    candidate = build_candidates(context, Form.plain(tp, 1))[0]
    return not candidate.feasible and candidate.memory_per_gpu is None


class _Strategy:
    """One column of the table."""

    def __init__(self, context: Context, name: str, candidate: Candidate) -> None:
        self.context, self.name, self.candidate = context, name, candidate

    @property
    def layout(self) -> Layout:
        return self.candidate.layout

    def column(self) -> ComparisonColumn:
        rows: tuple[Row, ...] = (
            ("Model per GPU", self._model()),
            ("Columns", self._columns()),
            ("Communication", self._communication()),
            ("Latency", self._latency()),
            ("Throughput", self._throughput()),
            ("Memory per GPU", self._memory()),
            ("Best for", self._best_for()),
        )
        return ComparisonColumn(self.name, self.layout, rows)

    def _model(self) -> str:
        memory = self.candidate.memory_per_gpu
        size = f": {format_gib(memory.weights_bytes)}" if memory else ""
        tp, ep = self.layout.tp, self.layout.ep
        part = f"1/{tp} of each layer" if tp > 1 else "FULL copy"
        if ep > 1:
            part = f"1/{tp} of the attention" if tp > 1 else "all of the attention"
            part += f" and 1/{ep} of the experts"
        if self.layout.pp > 1:
            part = part if self.layout.tp > 1 else "whole layers"
            part = f"{part}, 1/{self.layout.pp} of the layers"
        return f"{part}{size}"

    def _columns(self) -> str:
        width, tp = self.context.model.hidden_size, self.layout.tp
        if width < tp:
            return f"all {column_number(width, width)}"
        ranges = column_spans(width, tp)
        if len(ranges) > 4:
            ranges = [*ranges[:3], "...", ranges[-1]]
        return f"all {column_number(width, width)}" if tp == 1 else ", ".join(ranges)

    def _communication(self) -> str:
        if self.layout.tp == 1 and not self.layout.dp_attention:
            return "NONE (inference)" if self.layout.pp == 1 else self._hops()
        estimate = self.candidate.estimate
        if estimate is None:
            return "all-reduce per layer (every forward pass)"
        cost = estimate.all_reduce_share * estimate.tpot_s.value
        hops = f", {self._hops()}" if self.layout.pp > 1 else ""
        return (
            f"{self._collectives(estimate)}, "
            f"{format_duration(cost)} of a {format_duration(estimate.tpot_s.value)} step "
            f"({estimate.all_reduce_share:.0%}){hops}"
        )

    def _collectives(self, estimate: Estimate) -> str:
        reduces = f"{estimate.all_reduces_per_token} all-reduces per token"
        if not (estimate.runs_as or self.layout).dp_attention:
            return reduces
        exchange = "all-to-all in every MoE layer"
        return f"{reduces} and {exchange}" if estimate.all_reduces_per_token else exchange

    def _hops(self) -> str:
        return f"{count_of(self.layout.pp - 1, 'hop')} between stages"

    def _latency(self) -> str:
        if not self.candidate.feasible:
            return "does not run"
        alone = single_replica(self.context, self.candidate.form).estimate
        if alone is None:
            return "n/a"
        text = f"{describe_duration(alone.tpot_s)} per token, single request"
        return f"{text} (same as 1 GPU)" if self.layout.gpus_per_replica == 1 else text

    def _throughput(self) -> str:
        estimate, replicas = self.candidate.estimate, self.layout.num_replicas
        if estimate is None:
            return "does not run"
        if replicas > 1 and self.candidate.degraded.num_gpus:
            # Replicas on degraded GPUs are slower than the others.
            return f"{describe_rate(estimate.throughput_tokens_per_s)}, {replicas:,} unequal replicas"
        text = describe_rate(estimate.throughput_tokens_per_s, replicas)
        return text if replicas > 1 else f"{text}, 1 replica"

    def _memory(self) -> str:
        memory = self.candidate.memory_per_gpu
        if memory is None:
            return "n/a"
        parts = self.layout.gpus_per_replica
        share = "full model" if parts == 1 else f"1/{parts} model"
        share = f"attention and 1/{self.layout.ep} of the experts" if self.layout.dp_attention else share
        if not self.candidate.feasible and not memory.kv_cache_bytes:
            return f"{share} {format_gib(memory.weights_bytes)} > budget {format_gib(memory.budget_bytes)}"
        kept = kv_share(self.context.model, self.layout.tp)
        kept += " for its own requests" if self.layout.dp_attention else ""
        return f"{share} {format_gib(memory.weights_bytes)} + {kept} {format_gib(memory.kv_cache_bytes)}"

    def _best_for(self) -> str:
        if self.layout.dp_attention:
            return "high concurrency on a mixture-of-experts model"
        if self.layout.pp > 1:
            return "model DOESN'T FIT with TP alone"
        if self.layout.tp == 1:
            verdict = "here it does" if self.candidate.feasible else "here it DOESN'T"
            return f"model FITS on 1 GPU ({verdict}) + need throughput"
        if self.layout.num_replicas > 1:
            return "model larger than 1 GPU + need throughput"
        return "model DOESN'T FIT on 1 GPU, or latency matters most"
