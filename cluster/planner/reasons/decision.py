"""The decision tree in its own words, with this model's and this cluster's numbers."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.planner.reasons.describe import made_of
from cluster.planner.reasons.division import inside, over_nodes, still_spread, within_node
from cluster.planner.reasons.facts import Facts
from cluster.planner.result import Candidate, DecisionStep
from cluster.planner.rule import MEMORY_RULES
from cluster.planner.search.context import Context
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
    if facts.too_long:
        yield _too_long(context)
    against = [one for one in facts.one_gpu.rejections if one.rule not in MEMORY_RULES]
    if against and facts.free_choice is None:
        question = f"Can {context.engine.name} run this model on these GPUs?"
        yield DecisionStep(question, NO, against[0].message)
        return
    yield from _one_gpu(context, facts, best)
    if not facts.one_gpu.feasible:
        yield from _one_node(context, facts, best)
    chosen = best or facts.free_choice
    if best is not None:
        yield _replicas(context, facts, best)
    if facts.pinned and not facts.too_long:
        yield _pins(context, facts, best, chosen)


def _too_long(context: Context) -> DecisionStep:
    asked, longest = context.request.max_model_len, context.model.max_position
    return DecisionStep(
        f"Does the model take sequences of {asked:,} tokens?",
        NO,
        f"it was made for {longest:,}; what follows holds for --max-model-len {longest}",
    )


def _one_gpu(context: Context, facts: Facts, best: Candidate | None) -> Iterator[DecisionStep]:
    single = facts.one_gpu
    assert single is not None
    sizes = _sizes(context, single)
    if not single.feasible:
        chosen = best or facts.free_choice
        shared = chosen is not None and chosen.layout.dp_attention
        way = "Expert Parallel (split experts)" if shared else "Tensor Parallel (split model)"
        yield DecisionStep(FITS_GPU, NO, f"{sizes}: {_shortfall(single)}. So: {way}")
    elif best is None or best.layout.gpus_per_replica == 1:
        yield DecisionStep(
            FITS_GPU, YES, f"{sizes}. So: Data Parallel (replicas), each GPU = independent server"
        )
    else:
        yield DecisionStep(FITS_GPU, YES, f"{sizes}. {_still_split(context, facts, best)}")


def _still_split(context: Context, facts: Facts, best: Candidate) -> str:
    free = facts.free_choice
    if facts.pinned and free is not None and free.layout.gpus_per_replica == 1:
        asked = _pinned_degrees(context)
        return f"Still split here, because {asked} {'were' if ',' in asked else 'was'} asked for"
    return f"Still split here: {best.why or best.label}"


def _pinned_degrees(context: Context) -> str:
    return ", ".join(f"{axis.upper()}={degree}" for axis, degree in context.request.pins.items())


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


def _one_node(context: Context, facts: Facts, best: Candidate | None) -> Iterator[DecisionStep]:
    fitting = facts.in_node
    if fitting is not None:
        layout, memory = fitting.layout, fitting.memory_per_gpu
        each = f", {format_gib(memory.weights_bytes)} of weights on each" if memory else ""
        room = f" and KV room for {fitting.kv_cache_tokens:,} tokens" if fitting.kv_cache_tokens else ""
        because = (
            f"{layout.gpus_per_replica} GPUs hold one replica{each}{room}. So: {within_node(context, layout)}"
        )
        yield DecisionStep(FITS_NODE, YES, because + ("" if facts.pinned else still_spread(best)))
        return
    yield DecisionStep(FITS_NODE, NO, f"no layout inside one node holds {_need(context)}")
    if facts.free_choice is not None:
        span = facts.free_choice.span.nodes_per_replica
        yield DecisionStep(
            LARGER_THAN_NODE,
            f"{span} nodes a replica",
            "data parallelism copies the whole model, so it cannot help here. "
            f"So: {over_nodes(facts.free_choice, span)}",
        )


def _need(context: Context) -> str:
    longest = context.model.max_position
    max_len = min(context.request.max_model_len or longest, longest)
    return f"{format_gib(context.model.weights_bytes)} of weights and a cache for {max_len:,} tokens"


def _replicas(context: Context, facts: Facts, best: Candidate) -> DecisionStep:
    layout, span = best.layout, best.span.nodes_per_replica
    count = layout.num_replicas
    used = f"{layout.gpus} of {facts.num_gpus} GPUs"
    if count == 1:
        because = _single(layout.gpus, facts.num_gpus)
        because += f": {made_of(layout)}" if layout.dp_attention else ""
        limit = context.request.concurrency
        if limit is not None and limit <= count:
            because = f"{limit} request in flight keeps one replica busy; it takes {used}"
    elif layout.gpus_per_replica == 1:
        because = f"{count} independent copies on {used}; throughput scales linearly, no communication"
    elif span == 1:
        where = "across nodes" if facts.num_nodes > 1 else "in the node"
        because = (
            f"{inside(layout)} within each node + DP {where}: "
            f"{count} groups of {layout.gpus_per_replica} GPUs, {used}"
        )
    elif facts.num_nodes // span != count:
        because = f"{count} groups over {facts.num_nodes} nodes, {used}"
    else:
        because = f"DP = floor({facts.num_nodes} nodes / {span}) = {count}: groups of {span} nodes, {used}"
    if layout.dp_attention and count > 1:
        return DecisionStep(HOW_MANY, f"{count}", f"{because}; each has {made_of(layout)}")
    return DecisionStep(HOW_MANY, f"DP={count}" if count > 1 else "1", because)


def _single(used: int, there: int) -> str:
    if used < there:
        return f"one replica takes {used} of {there} GPUs, and the others cannot hold another"
    return f"one replica takes all {there} GPUs" if there > 1 else "there is one GPU"


def _pins(context: Context, facts: Facts, best: Candidate | None, chosen: Candidate | None) -> DecisionStep:
    pins = _pinned_degrees(context)
    free = facts.free_choice.label if facts.free_choice else "nothing"
    if best is None:
        return DecisionStep(f"Does {pins} hold?", NO, f"without the pin the answer is {free}")
    if best.span.joins:
        because = f"asked for, it crosses {_CROSSED[best.span.joins]}; without the pin the answer is {free}"
        return DecisionStep(f"Does {pins} hold?", YES, because)
    same = chosen is not None and facts.free_choice is not None and chosen.layout == facts.free_choice.layout
    because = "it is also the free choice" if same else f"without the pin the answer is {free}"
    return DecisionStep(f"Does {pins} hold?", YES, because)


def _why_no_gpu(context: Context) -> str:
    out = context.survey.left_out
    if not out:
        return "the cluster has no GPUs"
    return f"all {len(out)} GPUs are out: {out[0].node_name} GPU {out[0].gpu_index} ({out[0].reason})"
