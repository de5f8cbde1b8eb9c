"""A deployment's measurements as a row of evidence: what ran, with which options, what it measured. Pure.

The names are those of tests/evidence/data, whose scorer reads the row. Nothing in it says where it was
measured: no host, no path, no user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.status import DeploymentStatus, Measured
from cluster.inventory import Cluster, Gpu
from cluster.load.result import LoadResult
from cluster.units import GIB

KIND = "clusterview_report"
_GIB_FIGURES = {
    "weights_bytes": "weights_gib_per_gpu",
    "activation_bytes": "activation_peak_gib",
    "non_torch_bytes": "non_torch_gib",
    "cuda_graph_bytes": "cuda_graph_gib",
    "kv_cache_bytes": "kv_cache_gib_per_gpu",
    "total_bytes": "gpu_used_gib",
}
_OPTIONS = (
    "max_model_len",
    "max_num_seqs",
    "max_num_batched_tokens",
    "gpu_memory_utilization",
    "kv_cache_memory_bytes",
    "kv_cache_dtype",
    "enforce_eager",
)
_WORD = re.compile(r"[!-.0-?A-}]{1,128}")
"""A single word or a pattern of layer names; no path, since a slash is in neither."""
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_.-]{1,96}")
_NAMELESS = ("_name_or_path", "name_or_path", "_commit_hash", "auto_map")
"""Fields of a config that say where it lay or who made it, and nothing of the model's shape."""


def report_row(
    spec: DeploymentSpec, status: DeploymentStatus, cluster: Cluster, load: LoadResult | None, date: str
) -> dict[str, Any]:
    """Return the row. `load` is the deployment's last load test; `date` is today's, as 2026-11-28."""
    gpus = _gpus_of(spec, cluster)
    fields = {
        "kind": KIND,
        "model": public_name(spec),
        "config": shape_of(spec.model.config),
        "gpu": " + ".join(sorted({gpu.type for gpu in gpus if gpu.type})),
        "gpu_memory_total_bytes": min((gpu.memory_total_bytes or 0 for gpu in gpus), default=0) or None,
        **_layout(spec),
        "engine": spec.engine.name,
        "version": spec.engine.version,
        **_options(spec),
        "simulated": spec.simulated or None,
        "dummy_weights": spec.model.weights == "dummy" or None,
        **_measured(status.measured, spec),
        "predicted": _predicted(status),
        **_load(load, spec, status),
        "source": "clusterview report",
        "date": date,
    }
    return {name: value for name, value in fields.items() if value not in (None, "", {})}


def has_measurements(status: DeploymentStatus) -> bool:
    """Return whether there is anything to report."""
    return any(value is not None for name, value in status.measured if name != "absent")


def public_name(spec: DeploymentSpec) -> str:
    """Return the model's hub id, else the last part of its name: a folder's path is nobody's business."""
    model = spec.model
    if model.hub_id is not None:
        return model.hub_id
    if model.path is None and _HUB_ID.fullmatch(model.name):
        return model.name
    return model.name.rstrip("/").removesuffix("/config.json").rpartition("/")[2]


def shape_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a config says of the model's shape: numbers, flags and single words."""
    kept = {name: _kept(value) for name, value in config.items() if name not in _NAMELESS}
    return {name: value for name, value in kept.items() if value is not None}


def _kept(value: Any) -> Any:
    if isinstance(value, Mapping):
        return shape_of(value)
    if isinstance(value, list | tuple):
        items = [_kept(one) for one in value]
        return None if None in items else items
    if isinstance(value, str):
        return value if _WORD.fullmatch(value) else None
    return value if isinstance(value, bool | int | float) else None


def _gpus_of(spec: DeploymentSpec, cluster: Cluster) -> list[Gpu]:
    held = {place.gpu_uuid for place in spec.ranks}
    return [gpu for node in cluster.nodes for gpu in node.gpus if gpu.uuid in held]


def _layout(spec: DeploymentSpec) -> dict[str, Any]:
    layout = spec.layout
    degrees = {"tp": layout.tp, "pp": layout.pp, "dp": layout.dp, "ep": layout.ep}
    nodes = len({place.node_id for place in spec.ranks})
    return {
        "n_gpus": len(spec.ranks),
        "n_nodes": nodes,
        **degrees,
        "dp_attention": layout.dp_attention or None,
    }


def _options(spec: DeploymentSpec) -> dict[str, Any]:
    """Return the options that the engine was started with; the built-in engine has its own."""
    if spec.server is None:
        named: dict[str, Any] = {"max_model_len": spec.max_model_len, "max_num_seqs": spec.max_num_seqs}
        return {**named, "dtype": spec.dtype}
    launch = spec.server.launch
    options = {name: getattr(launch, name) or None for name in _OPTIONS}
    dcp = launch.decode_context_parallel
    further = [word for word in launch.extra_args if re.fullmatch(r"--[a-z0-9-]+", word)]
    return {
        **options,
        "dtype": launch.dtype,
        "quant": launch.quantization,
        "dcp": dcp if dcp > 1 else None,
        "layers_per_stage": list(launch.layers_per_stage) or None,
        # Their values may be anything, paths and keys among it.
        "further_options": further or None,
    }


def _measured(measured: Measured, spec: DeploymentSpec) -> dict[str, Any]:
    sizes = {name: getattr(measured, field) for field, name in _GIB_FIGURES.items()}
    row = {name: None if size is None else round(size / GIB, 4) for name, size in sizes.items()}
    length = spec.server.launch.max_model_len if spec.server is not None else None
    known = measured.max_concurrency is not None
    return {
        **row,
        "kv_tokens": measured.kv_cache_tokens,
        "max_concurrency": measured.max_concurrency,
        "max_concurrency_len": length if known else None,
        "traffic": _traffic(measured),
    }


def _traffic(measured: Measured) -> dict[str, float]:
    """Return what users' traffic showed; of requests of unknown lengths, so it is not scored."""
    figures = {
        "output_tok_s": measured.throughput_tokens_per_s,
        "mean_ttft_ms": _ms(measured.ttft_s),
        "mean_tpot_ms": _ms(measured.tpot_s),
    }
    return {name: value for name, value in figures.items() if value is not None}


def _predicted(status: DeploymentStatus) -> dict[str, Any]:
    return {
        name: value for name, value in status.predicted.model_dump(mode="json").items() if value is not None
    }


def _load(load: LoadResult | None, spec: DeploymentSpec, status: DeploymentStatus) -> dict[str, Any]:
    """Return the last load test, named as in serving benchmarks; {} if it was of another deployment."""
    if load is None or load.began_at_s < spec.created_at_s or load.layout != status.layout:
        return {}
    mix, done = load.mix, load.requests_done
    if not done or load.interrupted:
        return {}
    return {
        "requests": done,
        "requests_failed": load.requests_failed or None,
        "request_rate": mix.request_rate,
        "max_concurrency_of_load": mix.max_concurrency,
        "mean_in_flight": round(load.mean_in_flight, 2),
        "random_range_ratio": mix.random_range_ratio or None,
        "random_prefix_len": mix.random_prefix_len or None,
        "total_input_tokens": load.input_tokens,
        "total_generated_tokens": load.output_tokens,
        "output_tok_s": round(load.output_tokens_per_s, 2),
        "mean_ttft_ms": _ms(load.ttft_s.mean if load.ttft_s is not None else None),
        "mean_tpot_ms": _ms(load.tpot_s.mean if load.tpot_s is not None else None),
    }


def _ms(duration_s: float | None) -> float | None:
    return None if duration_s is None else round(1e3 * duration_s, 3)
