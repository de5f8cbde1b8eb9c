"""Turn options into what the planner takes: a request, a model, a cluster."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from cluster.cli.defaults import read_defaults
from cluster.errors import BadInput
from cluster.planner.request import PlanRequest

if TYPE_CHECKING:
    from cluster.catalog.model_spec import ModelSpec
    from cluster.inventory import Cluster

DEFAULT_TOP = 8
_DEFAULTS = PlanRequest()
_SOURCES = ("address", "simulate", "cluster", "observe", "replay")
_DTYPES = {
    "auto": None,
    "bf16": "bf16",
    "bfloat16": "bf16",
    "fp16": "fp16",
    "float16": "fp16",
    "half": "fp16",
    "fp32": "fp32",
    "float32": "fp32",
    "float": "fp32",
}


def request_from(arguments: argparse.Namespace) -> PlanRequest:
    """Return the request that the options describe."""
    return PlanRequest(
        tp=arguments.tp,
        pp=arguments.pp,
        dp=arguments.dp,
        ep=arguments.ep,
        max_model_len=arguments.max_model_len,
        max_num_seqs=arguments.max_num_seqs,
        max_num_batched_tokens=arguments.max_num_batched_tokens,
        gpu_memory_utilization=arguments.gpu_memory_utilization,
        dtype=_DTYPES.get(arguments.dtype) if arguments.dtype else None,
        kv_cache_memory_bytes=arguments.kv_cache_memory_bytes,
        enforce_eager=arguments.enforce_eager,
        decode_context_parallel=arguments.decode_context_parallel_size,
        quantization=arguments.quantization,
        kv_cache_dtype=_kv_cache_dtype(arguments.kv_cache_dtype),
        input_tokens=arguments.input_tokens,
        output_tokens=arguments.output_tokens,
        concurrency=arguments.concurrency,
        objective=arguments.objective,
        ttft_s=None if arguments.ttft_ms is None else arguments.ttft_ms / 1000,
        tpot_s=None if arguments.tpot_ms is None else arguments.tpot_ms / 1000,
        workload=arguments.workload,
        engine=arguments.engine or _DEFAULTS.engine,
        engine_asked=arguments.engine is not None,
        engine_version=arguments.engine_version,
        load_format=arguments.load_format,
        no_calibration=arguments.no_calibration,
        top=arguments.top or DEFAULT_TOP,
    )


def engine_pythons_from(arguments: argparse.Namespace) -> dict[str, str]:
    """Return engine -> interpreter on the nodes: --engine-python, else what the config file says.

    Raises BadInput for a config file that cannot be read, and for an interpreter of the built-in engine.
    """
    from cluster.cli.config_file import read_engine_pythons
    from cluster.engines.adapter import adapter_names

    python, engine = arguments.engine_python, arguments.engine
    if python is not None and engine is not None and engine not in adapter_names():
        raise BadInput(
            f"--engine-python is for {' and '.join(adapter_names())}, not for {engine}",
            "Leave it out: the built-in engine runs in the Python of the cluster's nodes",
        )
    chosen = {} if python is None else dict.fromkeys([engine] if engine else adapter_names(), python)
    return {**read_engine_pythons(), **chosen}


def model_from(arguments: argparse.Namespace) -> ModelSpec:
    """Return the model that --model names; without it the default one."""
    from cluster.catalog.models import load_model

    dtype = _DTYPES.get(arguments.dtype) if arguments.dtype else None
    return load_model(arguments.model or read_defaults().models[0], dtype, arguments.quantization)


def check_lengths(request: PlanRequest, model: ModelSpec) -> None:
    """Raise BadInput when lengths that were given do not fit one sequence; defaults are shortened later."""
    longest, usual = request.max_model_len or model.max_position, _DEFAULTS
    given = {
        f"--{axis}-tokens": asked
        for axis, asked, default in (
            ("input", request.input_tokens, usual.input_tokens),
            ("output", request.output_tokens, usual.output_tokens),
        )
        if asked != default
    }
    least = sum(given.values()) + (2 - len(given))  # what was not given takes one token at least
    if given and least > longest and request.workload == "inference":
        named = " with ".join(f"{option} {tokens}" for option, tokens in given.items())
        raise BadInput(
            f"{named} exceeds the maximum sequence length of {longest:,} tokens",
            "Prompt plus output must fit in it; --max-model-len sets it",
        )


def planning_cluster_from(arguments: argparse.Namespace) -> Cluster | None:
    """Return what --cluster names, a cluster for planning only; None without the option."""
    refuse_two_sources(arguments)
    if arguments.cluster is None:
        return None
    from cluster.snapshot import cluster_from_argument

    return cluster_from_argument(arguments.cluster)


def ray_address_from(arguments: argparse.Namespace) -> str | None:
    """Return the Ray cluster to join: --address, else RAY_ADDRESS unless another source was named."""
    if arguments.address:
        return str(arguments.address)
    if any(getattr(arguments, name, None) for name in _SOURCES):
        return None
    return os.environ.get("RAY_ADDRESS") or None


def refuse_two_sources(arguments: argparse.Namespace) -> None:
    """Raise BadInput when more than one place for the cluster is named."""
    named = [f"--{name}" for name in _SOURCES if getattr(arguments, name, None)]
    if len(named) > 1:
        raise BadInput(f"{' and '.join(named)} cannot be combined", "Give only one source for the cluster")


def _kv_cache_dtype(name: str | None) -> str | None:
    if name is None or name == "auto":
        return None
    return "fp8" if name.startswith("fp8") else _DTYPES[name]
