"""How a replica is split inside a node, across nodes, and in an NVLink domain, as text."""

from __future__ import annotations

from cluster.planner.layout import Layout
from cluster.planner.result import Candidate
from cluster.planner.search.context import Context
from cluster.units import count_of


def within_node(context: Context, layout: Layout) -> str:
    """Describe how a replica is split inside one node, and over which links."""
    if layout.dp_attention:
        return f"{_shared_experts(layout)} within the node"
    pcie = _over_pcie(context)
    if layout.pp == 1:
        return "TP within the node" + (", over PCIe (no NVLink here)" if pcie else " (NVLink is fast)")
    what = f"TP={layout.tp} x PP={layout.pp}" if layout.tp > 1 else f"PP={layout.pp}"
    why = ": without NVLink, pipeline stages send far less data than all-reduces" if pcie else ""
    return f"{what} within the node{why}"


def over_nodes(candidate: Candidate, span: int) -> str:
    """Describe how a replica is split over `span` nodes."""
    layout = candidate.layout
    if layout.dp_attention:
        return f"{_shared_experts(layout)} on {span} nodes"
    if not candidate.span.crosses_network:
        axes = f"TP={layout.tp}" + (f" x PP={layout.pp}" if layout.pp > 1 else "")
        return f"{axes} in one NVLink domain of {span} nodes"
    if layout.pp == 1:
        return f"TP={layout.tp} across {span} nodes"
    return f"TP={layout.tp} within each node x PP={layout.pp} across {span} nodes"


def still_spread(best: Candidate | None) -> str:
    """Note that replicas span nodes although one node is enough; '' if they do not."""
    span = best.span.nodes_per_replica if best is not None else 1
    if best is None or span == 1:
        return ""
    gpus = f"{best.layout.gpus_per_replica} GPUs on {span} nodes"
    domain = "" if best.span.crosses_network else ", in one NVLink domain"
    return f". Chosen instead: {best.label}, replicas of {gpus}{domain}"


def inside(layout: Layout) -> str:
    """Return what splits a replica inside its node."""
    if layout.dp_attention:
        return f"EP={layout.ep}"
    return "TP" if layout.pp == 1 else f"TP={layout.tp} x PP={layout.pp}" if layout.tp > 1 else "PP"


def _shared_experts(layout: Layout) -> str:
    ranks = count_of(layout.attention_ranks, "attention rank")
    each = f" of TP={layout.tp}" if layout.tp > 1 else ""
    return f"Expert Parallel, EP={layout.ep} splits the experts over {ranks}{each}"


def _over_pcie(context: Context) -> bool:
    return all(pool.link != "nvlink" for pool in context.survey.pools)
