"""Notes on a workload before it is planned."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.engine_version import parse_version
from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.model_spec import ModelSpec
from cluster.inventory import Cluster
from cluster.planner.request import PlanRequest
from cluster.units import count_of

_DAY_S = 24 * 3600.0


def build_notes(gpus: Iterable[GpuSpec], engine: EngineProfile) -> tuple[str, ...]:
    """Return a note on GPUs that are newer than an engine's published builds."""
    published_builds = engine.kernels.published_builds
    newest = published_builds.newest_capability if published_builds else None
    newer = {gpu.type for gpu in gpus if newest is not None and gpu.compute_capability > newest}
    if not newer:
        return ()
    named = " and ".join(sorted(newer))
    return (
        f"published builds of {engine.name} {engine.version} have no kernels for {named}: build from source",
    )


def calibration_notes(cluster: Cluster) -> tuple[str, ...]:
    """Return a note on rates that were measured on this cluster, with their date and age."""
    at_s = cluster.measured_at_s
    if at_s is None:
        return ()
    day = datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d")
    days = int(((cluster.taken_at_s or at_s) - at_s) // _DAY_S)
    age = f" ({count_of(days, 'day')} ago)" if days > 0 else ""
    return (f"uses rates measured on {day}{age}; --no-calibration ignores them",)


def context_notes(request: PlanRequest) -> tuple[str, ...]:
    """Return a note on what the estimate leaves out when ranks split the tokens of a sequence."""
    if request.decode_context_parallel == 1:
        return ()
    return ("context parallelism: the estimate leaves out the KV cache exchange at every layer",)


def format_notes(model: ModelSpec, engine: EngineProfile, request: PlanRequest) -> tuple[str, ...]:
    """Return notes on an engine newer than the data, and on formats it cannot quantize to on load."""
    wanted, quantization = request.quantization, model.quantization
    notes: tuple[str, ...] = ()
    if engine.newest and parse_version(engine.version) > parse_version(engine.newest):
        notes = (f"{engine.name} {engine.version} is newer than the data: planned as {engine.newest}",)
    if quantization is None or not quantization.on_request or wanted in engine.quantization.on_load:
        return notes
    return (
        *notes,
        f"{engine.name} cannot quantize to {wanted} on load: it needs a checkpoint in that format",
    )
