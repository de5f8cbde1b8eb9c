"""What the planner predicts for a mix on the layout that runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cluster.catalog.model_spec import ModelSpec
from cluster.deploy.status import DeploymentStatus
from cluster.engines.launch import ServerLaunch
from cluster.inventory import Cluster, Gpu
from cluster.load.mix import LoadMix
from cluster.load.result import LoadPrediction
from cluster.planner.plan import plan
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate, Estimate

_TRIES = 12
_CLOSE = 0.02


@dataclass(frozen=True, slots=True)
class Served:
    """The deployment that a load test is for, and its cluster."""

    status: DeploymentStatus
    cluster: Cluster
    model: ModelSpec
    launch: ServerLaunch | None = None
    """What its servers were started with; None: the built-in engine, or not known."""


def predict(served: Served, mix: LoadMix) -> LoadPrediction | None:
    """Return the prediction for this mix on the deployment's GPUs; None if its layout does not fit there.

    Requests in flight are what the mix allows or, with a request rate, what that rate leads to.
    """
    own = _own_gpus(served)
    if mix.request_rate is None:
        in_flight = min(mix.max_concurrency or mix.num_prompts, mix.num_prompts)
        return _prediction(served, mix, _estimate(served, own, mix, in_flight), in_flight)
    return _at_rate(served, own, mix, mix.request_rate)


def _at_rate(served: Served, own: Cluster, mix: LoadMix, rate_per_s: float) -> LoadPrediction | None:
    """Find the requests in flight by Little's law: the rate times the time that a request takes then."""
    most = min(mix.max_concurrency or mix.num_prompts, mix.num_prompts)
    in_flight = 1.0
    found: Estimate | None = None
    for _ in range(_TRIES):
        found = _estimate(served, own, mix, max(1, round(in_flight)))
        if found is None:
            return None
        wanted = rate_per_s * found.request_s
        if abs(wanted - in_flight) <= max(0.5, _CLOSE * in_flight) or wanted > most:
            break
        in_flight = wanted
    assert found is not None
    offered_tokens_per_s = rate_per_s * mix.random_output_len
    if rate_per_s * found.request_s > most:
        at_most = _estimate(served, own, mix, most)
        overloaded = at_most is not None and at_most.throughput_tokens_per_s.value < offered_tokens_per_s
        return _prediction(served, mix, at_most, float(most), overloaded=overloaded)
    return _prediction(served, mix, found, in_flight, offered_tokens_per_s=offered_tokens_per_s)


def _estimate(served: Served, own: Cluster, mix: LoadMix, in_flight: int) -> Estimate | None:
    layout = served.status.layout
    assert layout is not None
    engine = served.status.engine
    request = PlanRequest(
        tp=layout.tp,
        pp=layout.pp,
        dp=layout.dp,
        ep=layout.ep,
        **_limits(served.launch),
        input_tokens=max(1, mix.input_tokens),
        output_tokens=mix.random_output_len,
        concurrency=in_flight,
        engine=engine.name if engine else "vllm",
        engine_version=engine.version or None if engine and engine.name != "builtin" else None,
    )
    found = plan(own, served.model, request)
    same = (one for one in found.candidates if one.layout == layout and one.feasible)
    candidate: Candidate | None = next(same, None)
    return candidate.estimate if candidate else None


def _limits(launch: ServerLaunch | None) -> dict[str, Any]:
    """Return the options that the servers were started with; the others are the engine's defaults."""
    if launch is None:
        return {}
    fp8_cache = (launch.kv_cache_dtype or "").startswith("fp8")
    return {
        "max_model_len": launch.max_model_len,
        "max_num_seqs": launch.max_num_seqs,
        "max_num_batched_tokens": launch.max_num_batched_tokens,
        "gpu_memory_utilization": launch.gpu_memory_utilization,
        "kv_cache_memory_bytes": launch.kv_cache_memory_bytes,
        "enforce_eager": launch.enforce_eager,
        "decode_context_parallel": launch.decode_context_parallel,
        "quantization": launch.quantization,
        "kv_cache_dtype": "fp8" if fp8_cache else None,
    }


def _prediction(
    served: Served,
    mix: LoadMix,
    found: Estimate | None,
    in_flight: float,
    *,
    overloaded: bool = False,
    offered_tokens_per_s: float | None = None,
) -> LoadPrediction | None:
    if found is None:
        return None
    throughput = found.throughput_tokens_per_s
    if offered_tokens_per_s is not None:
        # Below its capacity a layout delivers what is asked of it, whatever it could do.
        throughput = type(throughput)(offered_tokens_per_s, offered_tokens_per_s, offered_tokens_per_s)
    engine = served.status.engine
    return LoadPrediction(
        basis="planned for this mix",
        engine=engine.runs if engine else "",
        input_tokens=mix.input_tokens,
        output_tokens=mix.random_output_len,
        concurrency=in_flight,
        overloaded=overloaded,
        throughput_tokens_per_s=throughput,
        ttft_s=found.ttft_s,
        tpot_s=found.tpot_s,
        e2e_s=found.request_s,
    )


def from_plan(status: DeploymentStatus) -> LoadPrediction | None:
    """Return what the deployment's own plan predicted, for the lengths that it was made for."""
    planned = status.predicted
    if planned.ttft_s is None or planned.input_tokens is None or planned.output_tokens is None:
        return None
    return LoadPrediction(
        basis="plan of the deployment",
        engine=status.engine.planned_for if status.engine else "",
        input_tokens=planned.input_tokens,
        output_tokens=planned.output_tokens,
        concurrency=planned.concurrency,
        throughput_tokens_per_s=planned.throughput_tokens_per_s,
        ttft_s=planned.ttft_s,
        tpot_s=planned.tpot_s,
    )


def _own_gpus(served: Served) -> Cluster:
    """Return the cluster with the deployment's GPUs only, as they were before it was started."""
    held = {rank.gpu_uuid for rank in served.status.ranks}
    nodes = tuple(
        node.model_copy(update={"gpus": gpus})
        for node in served.cluster.nodes
        if (gpus := tuple(_idle(gpu) for gpu in node.gpus if gpu.uuid in held))
    )
    return served.cluster.model_copy(update={"nodes": nodes})


def _idle(gpu: Gpu) -> Gpu:
    idle = {"claimed_by": None, "processes": (), "memory_free_bytes": gpu.memory_total_bytes}
    return gpu.model_copy(update=idle)
