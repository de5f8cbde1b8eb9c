"""The decision tree in its own words, with this model's and this cluster's numbers."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.planner.facts import Facts, nodes_per_replica
from cluster.planner.layout import Layout
from cluster.planner.result import Candidate, DecisionStep
from cluster.planner.search.busy import MEMORY_RULES
from cluster.planner.search.context import Context
from cluster.planner.search.placement import LazyPlacement
from cluster.units import format_gib

FITS_GPU = "Does the model fit on 1 GPU?"
FITS_NODE = "Fits on 1 NODE (multi-GPU)?"
HOW_MANY = "How many replicas?"
LARGER_THAN_NODE = "Doesn't fit on 1 node?"
YES, NO = "YES", "NO"
_CROSSED = {"islands": "NVLink islands", "nodes": "nodes at every layer"}


def decide(context: Context, facts: Facts, best: Candidate | None) -> tuple[DecisionStep, ...]:
    """Return the path through the tree to the recommendation (or to where it ends without one)."""
    return tuple(_steps(context, facts, best))


def _steps(context: Context, facts: Facts, best: Candidate | None) -> Iterator[DecisionStep]:
    if facts.one_gpu is None:
        yield DecisionStep("Is there a GPU to plan on?", NO, _why_no_gpu(context))
        return
    against = [one for one in facts.one_gpu.rejections if one.rule not in MEMORY_RULES]
    if against and facts.free_choice is None:
        question = f"Can {context.engine.name} run this model on these GPUs?"
        yield DecisionStep(question, NO, against[0].message)
        return
    yield from _one_gpu(context, facts, best)
    if not facts.one_gpu.feasible:
        yield from _one_node(context, facts)
    chosen = best or facts.free_choice
    if best is not None:
        yield _replicas(context, facts, best)
    if facts.pinned:
        yield _pins(context, facts, best, chosen)


def _one_gpu(context: Context, facts: Facts, best: Candidate | None) -> Iterator[DecisionStep]:
    single = facts.one_gpu
    assert single is not None
    sizes = _sizes(context, single)
    if not single.feasible:
        yield DecisionStep(FITS_GPU, NO, f"{sizes}: {_shortfall(single)}. So: Tensor Parallel (split model)")
    elif best is None or best.layout.gpus_per_replica == 1:
        yield DecisionStep(
            FITS_GPU, YES, f"{sizes}. So: Data Parallel (replicas), each GPU = independent server"
        )
    else:
        yield DecisionStep(FITS_GPU, YES, f"{sizes}. Still split here: {best.why or best.label}")


def _sizes(context: Context, single: Candidate) -> str:
    memory = single.memory_per_gpu
    weights = format_gib(memory.weights_bytes if memory else context.model.weights_bytes)
    if memory is None:
        return f"weights take {weights}"
    budget = format_gib(memory.budget_bytes)
    return f"weights take {weights}, and {context.engine.name} may use {budget} of a GPU"


def _shortfall(single: Candidate) -> str:
    memory = single.memory_per_gpu
    if memory is not None and memory.weights_bytes > memory.budget_bytes:
        return f"{format_gib(memory.weights_bytes - memory.budget_bytes)} too much"
    return single.rejections[0].message if single.rejections else "it does not"


def _one_node(context: Context, facts: Facts) -> Iterator[DecisionStep]:
    fitting = facts.in_node
    if fitting is not None:
        layout, memory = fitting.layout, fitting.memory_per_gpu
        each = f", {format_gib(memory.weights_bytes)} of weights on each" if memory else ""
        room = f" and KV room for {fitting.kv_cache_tokens:,} tokens" if fitting.kv_cache_tokens else ""
        because = (
            f"{layout.gpus_per_replica} GPUs hold one replica{each}{room}. So: {_within(context, layout)}"
        )
        yield DecisionStep(FITS_NODE, YES, because)
        return
    yield DecisionStep(FITS_NODE, NO, f"no layout inside one node holds {_need(context)}")
    if facts.free_choice is not None:
        span = nodes_per_replica(facts.free_choice)
        layout = facts.free_choice.layout
        yield DecisionStep(
            LARGER_THAN_NODE,
            f"{span} nodes a replica",
            f"data parallelism copies the whole model, so it cannot help here. So: TP={layout.tp} within "
            f"each node x PP={layout.pp} across {span} nodes",
        )


def _within(context: Context, layout: Layout) -> str:
    pcie = _over_pcie(context)
    if layout.pp == 1:
        return "TP within the node" + (", over PCIe (no NVLink here)" if pcie else " (NVLink is fast)")
    what = f"TP={layout.tp} x PP={layout.pp}" if layout.tp > 1 else f"PP={layout.pp}"
    why = ": without NVLink, stages send far less than all-reduces do" if pcie else ""
    return f"{what} within the node{why}"


def _need(context: Context) -> str:
    max_len = context.request.max_model_len or context.model.max_position
    return f"{format_gib(context.model.weights_bytes)} of weights and a cache for {max_len:,} tokens"


def _replicas(context: Context, facts: Facts, best: Candidate) -> DecisionStep:
    layout, span = best.layout, nodes_per_replica(best)
    count = layout.num_replicas
    used = f"{layout.gpus} of {facts.num_gpus} GPUs"
    if count == 1:
        because = _single(layout.gpus, facts.num_gpus)
        limit = context.request.concurrency
        if limit is not None and limit <= count:
            because = f"{limit} request in flight keeps one replica busy; it takes {used}"
    elif layout.gpus_per_replica == 1:
        because = f"{count} independent copies on {used}; throughput scales linearly, no communication"
    elif span == 1:
        where = "across nodes" if facts.num_nodes > 1 else "in the node"
        because = (
            f"TP within each node + DP {where}: {count} groups of {layout.gpus_per_replica} GPUs, {used}"
        )
    elif facts.num_nodes // span != count:
        because = f"{count} groups over {facts.num_nodes} nodes, {used}"
    else:
        because = f"DP = floor({facts.num_nodes} nodes / {span}) = {count}: groups of {span} nodes, {used}"
    return DecisionStep(HOW_MANY, f"DP={count}" if count > 1 else "1", because)


def _single(used: int, there: int) -> str:
    if used < there:
        return f"one replica takes {used} of {there} GPUs, and the others cannot hold another"
    return f"one replica takes all {there} GPUs" if there > 1 else "there is one GPU"


def _pins(context: Context, facts: Facts, best: Candidate | None, chosen: Candidate | None) -> DecisionStep:
    request = context.request
    pins = ", ".join(
        f"{axis.upper()}={getattr(request, axis)}"
        for axis in ("tp", "pp", "dp", "ep")
        if getattr(request, axis) is not None
    )
    free = facts.free_choice.label if facts.free_choice else "nothing"
    if best is None:
        return DecisionStep(f"Does {pins} hold?", NO, f"without the pin the answer is {free}")
    if isinstance(best.placement, LazyPlacement) and best.placement.joins:
        because = (
            f"asked for, it crosses {_CROSSED[best.placement.joins]}; without the pin the answer is {free}"
        )
        return DecisionStep(f"Does {pins} hold?", YES, because)
    same = chosen is not None and facts.free_choice is not None and chosen.layout == facts.free_choice.layout
    because = "it is also the free choice" if same else f"without the pin the answer is {free}"
    return DecisionStep(f"Does {pins} hold?", YES, because)


def _over_pcie(context: Context) -> bool:
    return all(pool.link != "nvlink" for pool in context.survey.pools)


def _why_no_gpu(context: Context) -> str:
    out = context.survey.left_out
    if not out:
        return "the cluster has no GPUs"
    return f"all {len(out)} GPUs are out: {out[0].node_name} GPU {out[0].gpu_index} ({out[0].reason})"
