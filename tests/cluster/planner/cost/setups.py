"""Short ways to ask for an estimate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cluster.catalog.gpus import find_gpu
from cluster.catalog.models import load_model
from cluster.planner.cost import estimate
from cluster.planner.layout import Layout
from cluster.planner.memory import ReplicaMemory, kv_bytes_per_token, replica_memory, with_ranks
from cluster.planner.replica import RankGpu, Replica, ReplicaLinks
from cluster.planner.request import PlanRequest
from cluster.planner.result import Estimate
from cluster.planner.traffic import Lengths, traffic_of
from tests.evidence.setups import even_replica

LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
LLAMA_70B = "meta-llama/Llama-3.1-70B-Instruct"
QWEN_MOE = "Qwen/Qwen3-30B-A3B"


def ask(
    model_name: str = LLAMA_70B,
    layout: Layout | None = None,
    gpu_type: str = "H100",
    links: ReplicaLinks | None = None,
    kv_tokens: int = 400_000,
    **options: Any,
) -> Estimate:
    """Estimate a layout with even stages and this room in each replica; options are PlanRequest's."""
    layout, gpu, request = layout or Layout(tp=4), find_gpu(gpu_type), PlanRequest(**options)
    on_gpu = RankGpu(gpu.memory_bytes, gpu.memory_bytes, gpu)
    one = replace(layout, dp=layout.dp // layout.num_replicas)
    replica = even_replica(load_model(model_name), one, on_gpu, request)
    links = links or ReplicaLinks("none" if layout.tp == 1 else "nvlink")
    return timed(replace(replica, links=links), request, kv_tokens, layout.num_replicas)


def timed(replica: Replica, request: PlanRequest, kv_tokens: int = 400_000, count: int = 1) -> Estimate:
    """Estimate so many replicas with room for `kv_tokens` tokens each."""
    traffic = traffic_of(request, Lengths(request.input_tokens, request.output_tokens))
    return estimate(with_room(replica, kv_tokens), traffic, count)


def with_room(replica: Replica, kv_tokens: int) -> ReplicaMemory:
    """The replica's memory with bytes for so many tokens at full length, divided over its stages."""
    a_token = kv_bytes_per_token(replica, replica.launch.max_model_len)
    of_rank = kv_tokens / replica.layout.attention_ranks * a_token / replica.model.num_layers
    ranks = [
        replace(memory, kv_cache_bytes=int(of_rank * rank.stage.num_layers))
        for memory, rank in zip(replica_memory(replica).ranks, replica.ranks, strict=True)
    ]
    return with_ranks(replica, ranks)


def rate(**options: Any) -> float:
    """Estimate throughput in tokens/s."""
    return ask(**options).throughput_tokens_per_s.value
