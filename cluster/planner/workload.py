"""What to know of a workload before it is planned."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.engine_version import parse_version
from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.request import PlanRequest


def build_notes(gpus: Iterable[GpuSpec], engine: EngineProfile) -> tuple[str, ...]:
    """Return what to know of GPUs that are newer than an engine's published builds."""
    published_builds = engine.kernels.published_builds
    newest = published_builds.newest_capability if published_builds else None
    newer = {gpu.type for gpu in gpus if newest is not None and gpu.compute_capability > newest}
    if not newer:
        return ()
    named = " and ".join(sorted(newer))
    return (
        f"published builds of {engine.name} {engine.version} have no kernels for {named}: build it for them",
    )


def context_notes(request: PlanRequest) -> tuple[str, ...]:
    """Return what an estimate leaves out where ranks divide the tokens of a sequence."""
    if request.decode_context_parallel == 1:
        return ()
    return ("context parallelism: the cache is divided, its exchange at every layer is not in the estimate",)


def format_notes(model: ModelSpec, engine: EngineProfile, request: PlanRequest) -> tuple[str, ...]:
    """Return what to know of the engine's version, and of the format that was asked for, before a start."""
    wanted, quantization = request.quantization, model.quantization
    notes: tuple[str, ...] = ()
    if engine.newest and parse_version(engine.version) > parse_version(engine.newest):
        notes = (f"{engine.name} {engine.version} is planned with what is known of {engine.newest}",)
    if quantization is None or not quantization.on_request or wanted in engine.quantization.on_load:
        return notes
    return (*notes, f"{engine.name} does not make {wanted} weights on load: it needs a checkpoint stored so")
