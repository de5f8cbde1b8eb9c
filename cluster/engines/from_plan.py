"""What a planned layout's servers are started with: everything that was planned, stated explicitly."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.engine_profile import EngineProfile
from cluster.engines.launch import Device, ServerLaunch
from cluster.errors import BadInput, DeployFailed
from cluster.planner.launch import Launch
from cluster.planner.request import LONG_DTYPES
from cluster.planner.result import Candidate, Plan
from cluster.planner.search.stage_split import own_split

_QUANTIZATION = {"bnb": "bitsandbytes", "nf4": "bitsandbytes"}
"""Short names of methods that engines know by one name only."""


def server_launch(
    plan: Plan, candidate: Candidate, *, device: Device = "cuda", extra_args: Sequence[str] = ()
) -> ServerLaunch:
    """Return the options of each replica's server. Pure.

    Limits and the memory fraction are stated even where the user set none, so that another release's
    defaults do not change what was planned. Raises DeployFailed for a layout that is not feasible and
    BadInput for a model that no engine could load.
    """
    launch, layout, request = candidate.launch, candidate.layout, plan.request
    if not candidate.feasible or launch is None:
        reason = candidate.rejections[0].message if candidate.rejections else "it was not evaluated"
        raise DeployFailed(f"{candidate.label} is not feasible: {reason}", "Choose another layout")
    engine = load_engine(plan.engine_name, plan.engine_version)
    return ServerLaunch(
        model=_model(plan),
        served_name=plan.model.name,
        load_format=request.load_format,
        tp=layout.tp,
        pp=layout.pp,
        attention_dp=layout.attention_ranks,
        expert_parallel=layout.ep > 1,
        decode_context_parallel=request.decode_context_parallel,
        layers_per_stage=_layers_per_stage(engine, candidate),
        dtype=_long(request.dtype),
        quantization=_QUANTIZATION.get(request.quantization or "", request.quantization),
        kv_cache_dtype=_long(request.kv_cache_dtype),
        max_model_len=launch.max_model_len,
        max_num_seqs=launch.max_num_seqs,
        max_num_batched_tokens=launch.max_num_batched_tokens,
        gpu_memory_utilization=None if device == "cpu" else _fraction(engine, launch),
        kv_cache_memory_bytes=request.kv_cache_memory_bytes,
        enforce_eager=request.enforce_eager,
        device=device,
        extra_args=tuple(extra_args),
    )


def _model(plan: Plan) -> str:
    """Return what the engine reads: the folder that was named, else the hub id."""
    origin = plan.model.origin
    found = (origin.folder or origin.hub_id) if origin else None
    if found is None:
        raise BadInput(
            f"{plan.model.name} is known from a config file only, and an engine needs a model to load",
            "Name a folder with config.json and safetensors, or a hub id",
        )
    return found


def _layers_per_stage(engine: EngineProfile, candidate: Candidate) -> tuple[int, ...]:
    """Return the planned layers of each stage; () where the engine divides them so by itself."""
    planned = tuple(stage.num_layers for stage in candidate.stages)
    own = own_split(engine.parallelism.layer_split, sum(planned), len(planned))
    return planned if own and planned != own else ()


def _fraction(engine: EngineProfile, launch: Launch) -> float | None:
    """Return the planned memory fraction; None for an engine that works its own out from the GPU."""
    works_out = engine.budget.static is not None and launch.utilization_is_default
    return None if works_out else launch.gpu_memory_utilization


def _long(dtype: str | None) -> str | None:
    """Return a dtype as engines spell it."""
    return LONG_DTYPES.get(dtype, dtype) if dtype else None
