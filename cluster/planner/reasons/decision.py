"""The decision tree with this model's and this cluster's figures."""

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
_CROSSED = {"islands": "NVLink islands", "nodes": "nodes"}


def decide(context: Context, facts: Facts, best: Candidate | None) -> tuple[DecisionStep, ...]:
    """Return the path through the tree to the recommendation (or to where it ends without one)."""
    return tuple(_steps(context, facts, best))


def _steps(context: Context, facts: Facts, best: Candidate | None) -> Iterator[DecisionStep]:
    if facts.one_gpu is None:
        yield DecisionStep("Is there a usable GPU?", NO, _why_no_gpu(context))
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
        f"Does the model support sequences of {asked:,} tokens?",
        NO,
        f"its maximum is {longest:,}; the steps below use --max-model-len {longest}",
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
        pins = _pinned_degrees(context)
        return f"Still split, because {pins} {'are' if ',' in pins else 'is'} pinned"
    return f"Still split: {best.why or best.label}"


def _pinned_degrees(context: Context) -> str:
    return ", ".join(f"{axis.upper()}={degree}" for axis, degree in context.request.pins.items())


def _sizes(context: Context, single: Candidate) -> str:
    memory = single.memory_per_gpu
    weights = format_gib(memory.weights_bytes if memory else context.model.weights_bytes)
    if memory is None:
        return f"weights need {weights}"
    budget = format_gib(memory.budget_bytes)
    return f"weights need {weights}; {context.engine.name} may use {budget} per GPU"


def _shortfall(single: Candidate) -> str:
    memory = single.memory_per_gpu
    if memory is not None and memory.weights_bytes > memory.budget_bytes:
        return f"{format_gib(memory.weights_bytes - memory.budget_bytes)} over budget"
    return single.rejections[0].message if single.rejections else "it does not fit"


def _one_node(context: Context, facts: Facts, best: Candidate | None) -> Iterator[DecisionStep]:
    fitting = facts.in_node
    if fitting is not None:
        layout, memory = fitting.layout, fitting.memory_per_gpu
        each = f": {format_gib(memory.weights_bytes)} of weights per GPU" if memory else ""
        room = f" and KV cache for {fitting.kv_cache_tokens:,} tokens" if fitting.kv_cache_tokens else ""
        because = (
            f"one replica fits on {layout.gpus_per_replica} GPUs{each}{room}. "
            f"So: {within_node(context, layout)}"
        )
        yield DecisionStep(FITS_NODE, YES, because + ("" if facts.pinned else still_spread(best)))
        return
    yield DecisionStep(FITS_NODE, NO, f"no single-node layout fits {_need(context)}")
    if facts.free_choice is not None:
        span = facts.free_choice.span.nodes_per_replica
        yield DecisionStep(
            LARGER_THAN_NODE,
            f"{span} nodes per replica",
            "data parallelism replicates the whole model, so it does not help. "
            f"So: {over_nodes(facts.free_choice, span)}",
        )


def _need(context: Context) -> str:
    longest = context.model.max_position
    max_len = min(context.request.max_model_len or longest, longest)
    return f"{format_gib(context.model.weights_bytes)} of weights and KV cache for {max_len:,} tokens"


def _replicas(context: Context, facts: Facts, best: Candidate) -> DecisionStep:
    layout, span = best.layout, best.span.nodes_per_replica
    count = layout.num_replicas
    used = f"{layout.gpus} of {facts.num_gpus} GPUs"
    if count == 1:
        because = _single(layout.gpus, facts.num_gpus)
        because += f": {made_of(layout)}" if layout.dp_attention else ""
        limit = context.request.concurrency
        if limit is not None and limit <= count:
            because = f"{limit} concurrent request needs only one replica, on {used}"
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
        return f"one replica uses {used} of {there} GPUs; a second one does not fit on the rest"
    return f"one replica uses all {there} GPUs" if there > 1 else "there is only one GPU"


def _pins(context: Context, facts: Facts, best: Candidate | None, chosen: Candidate | None) -> DecisionStep:
    pins = _pinned_degrees(context)
    free = facts.free_choice
    unpinned = f"unpinned, the recommendation is {free.label}" if free else "unpinned, nothing fits either"
    question = f"{'Are' if ',' in pins else 'Is'} {pins} feasible?"
    if best is None:
        return DecisionStep(question, NO, unpinned)
    if best.span.joins:
        crossed = _CROSSED[best.span.joins]
        return DecisionStep(question, YES, f"but every layer all-reduces across {crossed}; {unpinned}")
    same = chosen is not None and free is not None and chosen.layout == free.layout
    return DecisionStep(question, YES, "it is also the recommendation without the pin" if same else unpinned)


def _why_no_gpu(context: Context) -> str:
    out = context.survey.left_out
    if not out:
        return "the cluster has no GPUs"
    first = f"{out[0].node_name} GPU {out[0].gpu_index} ({out[0].reason})"
    return f"all {len(out)} GPUs are unusable, such as {first}"
