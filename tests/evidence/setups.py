"""A row of the evidence as the planner's own terms: model, layout, engine, request, GPU."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.engine_version import parse_version
from cluster.catalog.gpu_spec import DRIVER_RESERVED_BYTES, GpuSpec
from cluster.catalog.gpus import find_gpu
from cluster.catalog.model_spec import ModelSpec
from cluster.errors import ClusterviewError
from cluster.planner.launch import launch_on
from cluster.planner.layout import Layout, StageRange
from cluster.planner.replica import Rank, RankGpu, Replica
from cluster.planner.request import PlanRequest
from cluster.units import GIB
from tests.evidence.models import EvidenceModels
from tests.evidence.rows import Row, read_aliases

UNSTATED_VERSION = "0.11.0"
"""For rows that say neither a version nor where to guess it from: the middle of the evidence's years."""
LAST_BEFORE_V1 = "0.7.4"
_BUILD = re.compile(r"nightly|image|dev|rc")
DTYPES = {"bf16": "bf16", "bfloat16": "bf16", "float16": "fp16", "fp16": "fp16", "float32": "fp32"}


ASSUMED_GPU = RankGpu(24 * GIB, 24 * GIB)
"""For rows that name no GPU: what is read off them then does not depend on it."""


@dataclass(frozen=True, slots=True)
class Setup:
    """One engine start of the evidence."""

    request: PlanRequest
    replica: Replica
    """On otherwise empty GPUs."""
    names_gpu: bool
    """False: the row does not say on which GPU, and the replica is on ASSUMED_GPU."""

    def at_utilization(self, fraction: float | None) -> Setup:
        """Return the same start with this memory fraction; None leaves it as it is."""
        if fraction is None:
            return self
        launch = self.replica.launch.at_utilization(fraction)
        return replace(self, replica=self.replica.started_with(launch))


def read_version(row: Row) -> str | None:
    """Return the engine version a row states, as '0.11.0'; None where it states none."""
    found = re.search(r"\d+\.\d+(\.\d+)?", str(row.get("version", "")))
    return found.group(0) if found else None


def even_stages(num_layers: int, pp: int) -> tuple[StageRange, ...]:
    """Return the stages vLLM makes: as even as can be, the rest to the stages before the last."""
    sizes = [num_layers // pp] * pp
    for i in range(2, num_layers % pp + 2):
        sizes[-i] += 1
    firsts = [sum(sizes[:i]) for i in range(pp)]
    return tuple(
        StageRange(i, first, first + size, i == 0, i == pp - 1)
        for i, (first, size) in enumerate(zip(firsts, sizes, strict=True))
    )


def even_replica(
    model: ModelSpec, layout: Layout, gpu: RankGpu, request: PlanRequest, engine: EngineProfile | None = None
) -> Replica:
    """Return one replica of the layout with even stages, on GPUs of one kind, under the request's engine."""
    engine = engine or load_engine(request.engine, request.engine_version)
    return Replica(
        model=model,
        engine=engine,
        launch=launch_on(model, engine, request, gpu.total_bytes, gpu.spec),
        layout=layout,
        ranks=tuple(Rank(stage, gpu) for stage in even_stages(model.num_layers, layout.pp)),
        paced_by=gpu.spec,
    )


def read_setup(row: Row, models: EvidenceModels, folder: Path) -> Setup | None:
    """Return what a row started, or None where its model or layout is not known."""
    model = models.find_row(row, _dtype(row))
    tp = row.get("tp") or row.get("n_gpus")
    if model is None or not tp:
        return None
    layout = Layout(tp=tp, pp=row.get("pp", 1), ep=row.get("ep", 1))
    engine = load_engine(row.get("engine", "vllm"), _engine_version(row, folder))
    request, spec = _request(row), find_row_gpu(row, folder)
    total = _total_bytes(row, spec)
    gpu = replace(ASSUMED_GPU, spec=spec) if total is None else RankGpu(total, total, spec)
    return Setup(request, even_replica(model, layout, gpu, request, engine), total is not None)


def _engine_version(row: Row, folder: Path) -> str | None:
    version = read_version(row) or _version_of_day(row, folder)
    both = row.get("engine", "vllm") == "vllm" and (0, 8, 0) <= parse_version(version or "0") < (0, 11, 0)
    # These releases had the older engine beside the newer, which counts tokens and not blocks.
    if both and ("gpu_blocks" in row or "V0" in str(row.get("version"))):
        return LAST_BEFORE_V1
    # A build between releases already runs models that the next one brings.
    between = _BUILD.search(str(row.get("version", "")))
    return f"{version}.dev0" if version and between else version


def _version_of_day(row: Row, folder: Path) -> str | None:
    if row.get("engine", "vllm") != "vllm":
        return None
    return version_of_source(str(row.get("source", "")), read_aliases(folder).get("versions", {}))


def version_of_source(source: str, hints: Row) -> str:
    """Return the release of the day of a row's source: by issue number, else by a part of its name."""
    for part, version in hints.get("sources", []):
        if part in source:
            return str(version)
    found = re.search(r"vllm-project/vllm\D*#(\d+)", source)
    if not found:
        return UNSTATED_VERSION
    older = [version for least, version in hints.get("vllm_issues", []) if least <= int(found.group(1))]
    return str(older[-1]) if older else UNSTATED_VERSION


def _dtype(row: Row) -> str | None:
    words = f"{row.get('dtype', '')} {row.get('dtype_quant', '')}".split()
    return DTYPES.get(words[0]) if words else None


def _request(row: Row) -> PlanRequest:
    return PlanRequest(
        max_model_len=row.get("max_model_len") or row.get("max_concurrency_len"),
        max_num_seqs=row.get("max_num_seqs"),
        max_num_batched_tokens=row.get("max_num_batched_tokens"),
        gpu_memory_utilization=row.get("gpu_memory_utilization"),
        kv_cache_memory_bytes=row.get("kv_cache_memory_bytes"),
        dtype=_dtype(row),
        kv_cache_dtype=row.get("kv_cache_dtype"),
        enforce_eager=bool(row.get("enforce_eager", False)),
        decode_context_parallel=_context_ranks(row),
    )


def _context_ranks(row: Row) -> int:
    """Return the ranks over which a log says that the cache is divided."""
    found = re.search(r"dcp_world_size (\d+)", str(row.get("verbatim", "")))
    return int(row.get("dcp") or (found[1] if found else 1))


def find_row_gpu(row: Row, folder: Path) -> GpuSpec | None:
    """Return the GPU type a row names, through the alias file; None where it names none we know."""
    name = str(row.get("gpu", ""))
    alias = read_aliases(folder).get("gpus", {}).get(name, name)
    like = alias if isinstance(alias, str) else alias["like"]
    found = _gpu_of_words(like.split())
    if found is None or isinstance(alias, str):
        return found
    return replace(found, memory_bytes=int(alias["memory_gib"] * GIB))


def _gpu_of_words(words: list[str]) -> GpuSpec | None:
    """Return the GPU type that the longest run of first words names: 'RTX 3090 24GB' is an RTX 3090."""
    for length in range(len(words), 0, -1):
        try:
            return find_gpu(" ".join(words[:length]))
        except ClusterviewError:
            continue
    return None


def _total_bytes(row: Row, gpu: GpuSpec | None) -> int | None:
    logged = row.get("total_gpu_memory_gib")
    if logged:
        # The log has CUDA's total; NVML's is larger by what the driver keeps.
        return int(logged * GIB + DRIVER_RESERVED_BYTES)
    if "gpu_memory_total_bytes" in row:
        return int(row["gpu_memory_total_bytes"])
    return gpu.memory_bytes if gpu else None
