"""Time of one stage for one step: weights, matrix products, cache, activations, all-reduces, launches."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.planner.cost.collective import Link, all_reduce_time_s, all_to_all_time_s
from cluster.planner.cost.rates import Rates
from cluster.planner.cost.work import CacheWork, DenseWork, ExpertWork, StageWork

ATTENTION_KNEE = 1.0
"""1: the attention of prompts does not overlap with the cache reads of decoded sequences; their times add."""

DISPATCH_BYTES = {"fp8": 1.0, "int8": 1.0, "fp4": 0.5625}
"""Bytes per element sent to the experts, by their compute dtype; 2 for others."""
COMBINE_BYTES = 2.0
"""Bytes per element sent back."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one step carries on one data-parallel rank."""

    sequences: float
    """Decoded sequences."""
    context: float
    """Mean cached tokens of a decoded sequence."""
    prompt_tokens: float = 0.0
    """Prompt tokens processed in the same step."""
    prompts: float = 0.0
    """Prompts that end in this step and need the head."""
    keys_per_prompt_token: float = 0.0
    """Mean tokens a prompt token attends to."""


@dataclass(frozen=True, slots=True)
class Group:
    """The ranks that a stage's collectives span."""

    tp: int
    tp_link: Link
    expert_ranks: int = 1
    expert_link: Link | None = None
    attention_ranks: int = 1
    """Data-parallel attention ranks that share one set of experts."""
    node_ranks: int = 8
    """Ranks in one node, which share its network."""


@dataclass(frozen=True, slots=True)
class StageTime:
    """Seconds of one stage in one step, by what they are spent on."""

    total_s: float
    memory_s: float
    """Weights and cache read."""
    compute_s: float
    all_reduce_s: float
    fixed_s: float
    """Kernel launches and other time that does not depend on any rate."""


def stage_time(work: StageWork, load: Load, group: Group, rates: Rates, *, eager: bool = False) -> StageTime:
    """Return the time of `work` under `load`; a step without tokens costs nothing."""
    tokens = load.sequences + load.prompt_tokens
    if tokens <= 0:
        return StageTime(0.0, 0.0, 0.0, 0.0, 0.0)
    knees = rates.knees
    sums = [0.0, 0.0, 0.0]  # joined, memory, compute
    for dense in work.dense:
        _add(sums, *_dense(dense, tokens, rates), knees[dense.dtype])
    for dense in work.head:
        _add(sums, *_dense(dense, load.sequences + load.prompts, rates), knees[dense.dtype])
    routed = tokens * group.attention_ranks
    for experts in work.experts:
        _add(sums, *_experts(experts, routed, group, rates), knees[experts.dtype])
    for cache in work.caches:
        _add(sums, *_cache(cache, load, rates), ATTENTION_KNEE)
    achieved = rates.achieved
    streamed = work.activation_bytes_per_token * achieved.activation_passes * tokens
    picked = sum(experts.activation_bytes_per_token for experts in work.experts)
    picked *= routed * _rows_factor(group, rates)
    streamed += picked * rates.expert_passes + work.state_bytes * load.sequences
    streamed_s = streamed / rates.plain_bytes_per_s
    fixed_s = _fixed(work, rates, eager)
    reduce_s = _collectives(work, tokens, group)
    total_s = sums[0] + streamed_s + fixed_s + reduce_s
    return StageTime(total_s, sums[1] + streamed_s, sums[2], reduce_s, fixed_s)


def _fixed(work: StageWork, rates: Rates, eager: bool) -> float:
    engine, narrow = rates.engine, rates.achieved.quantized_layer_s
    each_s = engine.eager_layer_s if eager else engine.layer_s
    each_s += max((narrow.get(dense.weight_format, 0.0) for dense in work.dense), default=0.0)
    slow_s = max((engine.slow_expert_formats.get(e.weight_format, 0.0) for e in work.experts), default=0.0)
    fixed_s = each_s * work.num_layers + (engine.expert_layer_s + slow_s) * work.num_expert_layers
    return fixed_s + engine.latent_layer_s * work.num_latent_layers


def _add(sums: list[float], memory_s: float, compute_s: float, knee: float) -> None:
    sums[1] += memory_s
    sums[2] += compute_s
    larger, smaller = (memory_s, compute_s) if memory_s > compute_s else (compute_s, memory_s)
    if larger > 0:
        sums[0] += larger * (1.0 + (smaller / larger) ** knee) ** (1.0 / knee)


def _dense(work: DenseWork, tokens: float, rates: Rates) -> tuple[float, float]:
    memory_s = work.weight_bytes / rates.bandwidth(work.weight_format, work.dtype)
    return memory_s, work.flops_per_token * tokens / rates.flops_per_s[work.dtype]


def _experts(work: ExpertWork, routed: float, group: Group, rates: Rates) -> tuple[float, float]:
    """Only experts that some token picked are read: experts x (1 - (1 - share)^tokens)."""
    touched = work.experts * (1.0 - (1.0 - work.hit_share) ** routed)
    uneven = _unevenness(group, rates)
    memory_s = touched * work.bytes_per_expert / rates.bandwidth(work.weight_format, work.dtype)
    return memory_s, work.flops_per_token * routed * uneven / rates.expert_flops_per_s[work.dtype]


def _unevenness(group: Group, rates: Rates) -> float:
    return rates.achieved.expert_imbalance if group.expert_ranks > 1 else 1.0


def _rows_factor(group: Group, rates: Rates) -> float:
    """Return the row factor: without a token exchange, every rank sorts and sums the rows of all experts."""
    if group.expert_ranks > 1 and group.attention_ranks == 1:
        return float(group.expert_ranks)
    return _unevenness(group, rates)


def _cache(work: CacheWork, load: Load, rates: Rates) -> tuple[float, float]:
    keys = load.context if work.window is None else min(load.context, work.window)
    memory_s = load.sequences * keys * work.bytes_per_key / rates.cache_bytes_per_s
    compute_s = load.sequences * keys * work.flops_per_key / rates.decode_attention_flops_per_s
    if load.prompt_tokens:
        seen = load.keys_per_prompt_token
        if work.window is not None:
            seen = min(seen, work.window)
        seen += rates.achieved.attention_extra_keys
        compute_s += load.prompt_tokens * seen * work.prefill_flops_per_key / rates.attention_flops_per_s
    return memory_s, compute_s


def _collectives(work: StageWork, tokens: float, group: Group) -> float:
    spent_s = 0.0
    if group.tp > 1:
        message = tokens * work.hidden_bytes_per_token
        spent_s = work.all_reduces * all_reduce_time_s(message, group.tp, group.tp_link)
    if group.attention_ranks > 1 and group.expert_link is not None:
        spent_s += work.num_expert_layers * _exchange_time_s(work, tokens, group, group.expert_link)
    return spent_s


def _exchange_time_s(work: StageWork, tokens: float, group: Group, link: Link) -> float:
    """Dispatch to the experts' ranks and combine.

    Inside a node, engines by default gather all tokens on all ranks. Over a network or an NVLink domain
    kernels send a token only where it picked: of k picks over n places it reaches n (1 - (1 - 1/n)^k). A
    token crosses the network once for each node, and the ranks of a node share its network.
    """
    ranks = group.expert_ranks
    picks = max((e.hit_share * e.experts * ranks for e in work.experts), default=1.0)
    narrow = max((DISPATCH_BYTES.get(e.dtype, 2.0) for e in work.experts), default=2.0)
    moved = tokens * work.hidden_bytes_per_token / 2.0 * (narrow + COMBINE_BYTES)
    if link.kind == "network":
        nodes = max(2, round(ranks / max(1, group.node_ranks)))
        moved *= min(group.node_ranks, ranks) * _reached(nodes, picks)
        return all_to_all_time_s(moved, nodes, link) + link.latency_s
    copies = _reached(ranks, picks) if link.kind == "nvlink_domain" else float(ranks)
    moved *= min(copies, float(group.attention_ranks))
    return all_to_all_time_s(moved, ranks, link) + link.latency_s


def _reached(places: int, picks: float) -> float:
    return float(places * (1.0 - (1.0 - 1.0 / places) ** picks))
