"""The configuration of Ray Serve LLM for a layout: what `serve run` reads, and a RayService carries."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from cluster.engines.launch import ServerLaunch
from cluster.errors import BadInput
from cluster.export.target import ExportTarget

RAY_VERSION = "2.60.0"
VLLM_VERSION = "0.29.0"
"""What `ray[llm]` of that release requires, exactly."""
_LAYER_PARTITION = "VLLM_PP_LAYER_PARTITION"

Json = dict[str, Any]


def serve_config(target: ExportTarget) -> Json:
    """Return the configuration of one Serve application; BadInput for what Ray Serve LLM cannot express."""
    config, shares_experts = _llm_config(target), target.launch.attention_dp > 1
    builder = "build_dp_openai_app" if shares_experts else "build_openai_app"
    application: Json = {
        "name": target.name,
        "route_prefix": "/",
        "import_path": f"ray.serve.llm:{builder}",
        "args": {"llm_config": config} if shares_experts else {"llm_configs": [config]},
    }
    return {"applications": [application]}


def serve_remarks(target: ExportTarget) -> Iterator[str]:
    """Yield what the configuration leaves to Ray, and what must be there to run it."""
    version = target.plan.engine_version
    yield f"needs ray[llm] {RAY_VERSION} on every node, which comes with vllm {VLLM_VERSION}"
    if version != VLLM_VERSION:
        yield f"the plan is for vllm {version}: its figures may differ from what vllm {VLLM_VERSION} uses"
    yield "Ray chooses the nodes and GPUs; the GPUs of the plan cannot be named here"
    if _spans_nodes(target) and target.launch.tp > 1:
        yield "PACK lets Ray spread tensor-parallel ranks over nodes where GPUs are free on several"
    if _accelerator(target) is None:
        yield f"GPU type not named: Ray Serve LLM has no single name for {', '.join(target.gpu_types)}"


def _llm_config(target: ExportTarget) -> Json:
    launch = target.launch
    if launch.extra_args:
        raise BadInput("Ray Serve LLM takes no command-line arguments of vLLM", "Omit them for this format")
    config: Json = {"model_loading_config": {"model_id": launch.served_name, "model_source": launch.model}}
    accelerator = _accelerator(target)
    if accelerator is not None:
        config["accelerator_type"] = accelerator
    config["engine_kwargs"] = engine_kwargs(launch)
    config["placement_group_config"] = _placement_group(target)
    config["deployment_config"] = {"num_replicas": len(target.replicas)}
    if launch.layers_per_stage:
        layers = ",".join(map(str, launch.layers_per_stage))
        config["runtime_env"] = {"env_vars": {_LAYER_PARTITION: layers}}
    return config


def engine_kwargs(launch: ServerLaunch) -> Json:
    """Return vLLM's options by the names of its engine arguments, in which Ray Serve LLM takes them."""
    degrees = {
        "tensor_parallel_size": launch.tp,
        "pipeline_parallel_size": launch.pp,
        "data_parallel_size": launch.attention_dp,
        "decode_context_parallel_size": launch.decode_context_parallel,
    }
    options = {
        "revision": launch.revision,
        "load_format": launch.load_format if launch.load_format != "auto" else None,
        "dtype": launch.dtype,
        "quantization": launch.quantization,
        "kv_cache_dtype": launch.kv_cache_dtype,
        "max_model_len": launch.max_model_len,
        "max_num_seqs": launch.max_num_seqs,
        "max_num_batched_tokens": launch.max_num_batched_tokens,
        "gpu_memory_utilization": launch.gpu_memory_utilization,
        "kv_cache_memory_bytes": launch.kv_cache_memory_bytes,
        "enable_expert_parallel": launch.expert_parallel or None,
        "enforce_eager": launch.enforce_eager or None,
    }
    kept = {name: degree for name, degree in degrees.items() if degree > 1}
    return kept | {name: value for name, value in options.items() if value is not None}


def _placement_group(target: ExportTarget) -> Json:
    """Return one bundle for each rank. Ranks that share a node in the plan must do so here too."""
    group: Json = {"bundle_per_worker": {"GPU": 1, "CPU": 1}}
    # With data-parallel attention each rank is a Serve replica, and Ray refuses a strategy for those.
    if target.launch.attention_dp == 1:
        group["strategy"] = "PACK" if _spans_nodes(target) else "STRICT_PACK"
    return group


def _spans_nodes(target: ExportTarget) -> bool:
    return any(len(replica.nodes) > 1 for replica in target.replicas)


def _accelerator(target: ExportTarget) -> str | None:
    """Return Ray's name of the layout's GPU type; None for a mix, and for types that Ray does not list."""
    names = {accelerator_types().get(kind) for kind in target.gpu_types}
    return names.pop() if len(names) == 1 else None


@cache
def accelerator_types() -> dict[str, str]:
    """Return Ray's name of each GPU type of the catalog that it has one for."""
    path = Path(__file__).with_name("ray_accelerator_types.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))
