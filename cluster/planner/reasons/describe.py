"""Clusters, placements and splits as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, takewhile

from cluster.catalog.model_spec import ModelSpec
from cluster.inventory import Cluster
from cluster.planner.layout import Layout, Placement
from cluster.planner.result import Band, Candidate, Estimate
from cluster.units import count_of, format_duration

_REPLICAS_SHOWN = 8
_NODES_NAMED = 2
_COLUMN_RANGES_SHOWN = 8


def describe_cluster(cluster: Cluster) -> str:
    """Return the cluster's shape: '2 nodes x 4 A100-80GB (spec)'."""
    shapes = Counter(tuple(sorted(Counter(gpu.type for gpu in node.gpus).items())) for node in cluster.nodes)
    parts = []
    for shape, num_nodes in shapes.items():
        gpus = " + ".join(f"{count} {kind}" for kind, count in shape) or "no GPUs"
        parts.append(f"{num_nodes} node{'s' if num_nodes > 1 else ''} x {gpus}")
    unified = any(gpu.unified_memory for node in cluster.nodes for gpu in node.gpus)
    source = f"{cluster.source}, memory unified with the machine's" if unified else cluster.source
    return f"{', '.join(parts) or 'no nodes'} ({source})"


def describe_rate(rate: Band, replicas: int = 1) -> str:
    """Return tokens per second, always with the error band: '3,256 tokens/s (1,237 to 3,256) = 2 x 1,628'."""
    text = f"{rate.value:,.0f} tokens/s ({rate.low:,.0f} to {rate.high:,.0f})"
    return f"{text} = {replicas} x {rate.value / replicas:,.0f}" if replicas > 1 else text


def describe_duration(duration: Band) -> str:
    """Return a duration, always with the error band: '157 ms (83.2 ms to 345 ms)'."""
    low, high = format_duration(duration.low), format_duration(duration.high)
    return f"{format_duration(duration.value)} ({low} to {high})"


def column_ranges(width: int, parts: int) -> list[tuple[int, int]]:
    """Return first and last column of each part; the first `width % parts` parts hold one more."""
    size, more = divmod(width, parts)
    ranges, first = [], 0
    for part in range(parts):
        end = first + size + (part < more)
        ranges.append((first, end - 1))
        first = end
    return ranges


def column_spans(width: int, parts: int) -> list[str]:
    """Return the columns of each part: '0-2047', '2048-4095'."""
    return [
        f"{column_number(first, width)}-{column_number(last, width)}"
        for first, last in column_ranges(width, parts)
    ]


def column_number(column: int, width: int) -> str:
    """Return a column of a layer `width` wide, with a thousands separator where five digits occur."""
    return str(column) if width < 10_000 else f"{column:,}"


def describe_columns(model: ModelSpec, layout: Layout) -> str:
    """Return which columns of each layer the ranks of a tensor-parallel group hold; '' without one."""
    if layout.tp < 2 or model.hidden_size < layout.tp:
        return ""
    ranges = column_spans(model.hidden_size, layout.tp)
    text = ", ".join(ranges[:_COLUMN_RANGES_SHOWN])
    more = ", ..." if len(ranges) > _COLUMN_RANGES_SHOWN else ""
    return f"columns of each {column_number(model.hidden_size, model.hidden_size)}-wide layer: {text}{more}"


def made_of(layout: Layout) -> str:
    """Return what a replica with DP attention is: '8 attention ranks that share one set of experts'."""
    ranks = count_of(layout.attention_ranks, "attention rank")
    each = f" of {layout.tp} GPUs" if layout.tp > 1 else ""
    return f"{ranks}{each} that share one set of experts"


def describe_traffic(layout: Layout, estimate: Estimate, of: str = "of a decode step") -> str:
    """Return what ranks exchange in a decode step: '160 all-reduces per token, 7% of a decode step'."""
    layout = estimate.runs_as or layout
    share = f"{estimate.all_reduce_share:.0%} {of}"
    reduces = f"{estimate.all_reduces_per_token:,} all-reduces per token"
    if layout.dp_attention:
        reduces = f"{reduces} and " if estimate.all_reduces_per_token else ""
        return f"{reduces}the all-to-all between expert ranks: {share}"
    if estimate.all_reduces_per_token:
        return f"{reduces}, {share}"
    if layout.pp > 1:
        return f"no all-reduces, {count_of(layout.pp - 1, 'hop')} between stages"
    return "no communication between GPUs"


def describe_placement(candidate: Candidate) -> Iterator[str]:
    """Yield the GPUs of each replica: 'replica 0: node-1 GPU 0-3'."""
    # Placing thousands of ranks takes a while, so only the shown ones are placed.
    shown = takewhile(lambda rank: rank.replica < _REPLICAS_SHOWN, candidate.placement)
    num_shown = 0
    for replica, group in groupby(shown, key=lambda rank: rank.replica):
        ranks, num_shown = list(group), num_shown + 1
        where = _describe_stages(ranks, candidate) if candidate.layout.pp > 1 else _gpus(ranks)
        inside = f" ({made_of(candidate.layout)})" if candidate.layout.dp_attention else ""
        yield f"replica {replica}: {where}{inside}"
    if num_shown < candidate.layout.num_replicas:
        yield f"and {count_of(candidate.layout.num_replicas - num_shown, 'more replica')}"


def _describe_stages(ranks: list[Placement], candidate: Candidate) -> str:
    layers = {stage.stage: f" (layers {stage.first}-{stage.end - 1})" for stage in candidate.stages}
    return "; ".join(
        f"stage {stage}{layers.get(stage, '')} on {_gpus(list(members))}"
        for stage, members in groupby(ranks, key=lambda rank: rank.stage)
    )


def _gpus(ranks: list[Placement]) -> str:
    """List the GPUs by node; a run of nodes with the same GPUs is written as its first and last node."""
    of_nodes = [
        (node, number_ranges([rank.gpu_index for rank in members]))
        for node, members in groupby(ranks, key=lambda rank: rank.node_name)
    ]
    parts = []
    for gpus, alike in groupby(of_nodes, key=lambda pair: pair[1]):
        nodes = [node for node, _ in alike]
        if len(nodes) > _NODES_NAMED:
            parts.append(f"{nodes[0]} to {nodes[-1]} ({len(nodes)} nodes) GPU {gpus} each")
        else:
            parts += [f"{node} GPU {gpus}" for node in nodes]
    return ", ".join(parts)


def number_ranges(numbers: Sequence[int]) -> str:
    """Return numbers in order, runs of them as ranges: '0-1,4-7'."""
    parts = []
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        parts.append(str(members[0]) if len(members) == 1 else f"{members[0]}-{members[-1]}")
    return ",".join(parts)
