"""What a plan predicts of an order, to be compared with what is measured."""

from __future__ import annotations

from dataclasses import replace

from cluster.deploy.order.limits import RankLimits
from cluster.deploy.order.ranks import cache_share
from cluster.deploy.predicted import Predicted
from cluster.planner.result import Candidate, Estimate, Plan, RankMemory


def predicted_for(plan: Plan, candidate: Candidate, limits: RankLimits | None = None) -> Predicted:
    """Return the figures of the layout; `limits` are those of the built-in engine on real GPUs.

    An engine's server takes all of its memory budget as KV cache; the built-in engine only what its limits
    need. On a simulated cluster the figures are those of the model at full scale.
    """
    tokens, concurrency = candidate.kv_cache_tokens, candidate.max_concurrency
    memory, estimate = candidate.memory_per_gpu, candidate.estimate
    if limits is not None:
        memory = _with_cache(candidate, memory, limits.cache_tokens)
        tokens, concurrency = limits.cache_tokens, float(limits.max_num_seqs)
    predicted = Predicted(kv_cache_tokens=tokens, max_concurrency=concurrency)
    if memory is not None:
        predicted = predicted.model_copy(update=_bytes_of(memory))
    return predicted if estimate is None else predicted.model_copy(update=_times(plan, candidate, estimate))


def _with_cache(candidate: Candidate, memory: RankMemory | None, tokens: int) -> RankMemory | None:
    if memory is None:
        return None
    cache = round(cache_share(candidate, tokens) * memory.kv_cache_bytes)
    return replace(memory, kv_cache_bytes=cache, total_bytes=memory.fixed_bytes + cache)


def _bytes_of(memory: RankMemory) -> dict[str, int]:
    names = ("total", "weights", "activation", "cuda_graph", "non_torch", "kv_cache")
    return {f"{name}_bytes": getattr(memory, f"{name}_bytes") for name in names}


def _times(plan: Plan, candidate: Candidate, estimate: Estimate) -> dict[str, object]:
    return {
        "throughput_tokens_per_s": estimate.throughput_tokens_per_s,
        "ttft_s": estimate.ttft_s,
        "tpot_s": estimate.tpot_s,
        "input_tokens": plan.lengths.input_tokens,
        "output_tokens": plan.lengths.output_tokens,
        "concurrency": plan.request.concurrency or estimate.batch * candidate.layout.num_replicas,
    }
