"""When nothing fits: what comes nearest, and the least changes that would make it fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cluster.catalog.engine_catalog import engine_names, load_engine
from cluster.inventory import Gpu, Node
from cluster.planner.mends.hardware import DTYPES
from cluster.planner.result import Candidate
from cluster.planner.search.busy import MEMORY_RULES, describe_holders
from cluster.planner.search.context import Context
from cluster.planner.search.run import Found, search
from cluster.planner.search.survey import survey_cluster
from cluster.planner.variants import smaller_variants, stored_as
from cluster.planner.what_if import emptied, enlarged
from cluster.units import format_gib

_LEAST_USEFUL_TOKENS = 512
_FREE = {"tp": None, "pp": None, "dp": None, "ep": None}


def advise(context: Context, found: Found) -> tuple[str, ...]:
    """Return what was tried and would fit, in plain sentences, the least change first."""
    if not context.cluster.num_gpus:
        return ()
    return tuple(
        line
        for part in (
            _without_pins,
            _shorter,
            _smaller_cache,
            _other_dtype,
            _other_engine,
            _freed,
            _smaller_weights,
            _more_gpus,
        )
        for line in part(context, found)
    )


def nearest_miss(context: Context, refused: Sequence[Candidate], told: Sequence[str]) -> Iterator[str]:
    """Say in one sentence what comes nearest, and why it does not fit; `told` are the ways out said too."""
    if not context.cluster.num_gpus:
        yield "the cluster has no GPU"
    elif refused:
        candidate = refused[0]
        first = candidate.rejections[0]
        told_below = first.rule in MEMORY_RULES and first.rule != "gpu_busy"
        mend = f": {first.fix}" if first.fix and not told_below and first.fix not in told else ""
        yield f"nearest is {candidate.label}: {first.message}{mend}"
    elif context.survey.left_out:
        out = context.survey.left_out[0]
        yield f"no GPU can be used: {out.node_name} GPU {out.gpu_index} ({out.reason})"


def _without_pins(context: Context, found: Found) -> Iterator[str]:
    if any(getattr(context.request, axis) is not None for axis in _FREE):
        best = _best(context.with_request(**_FREE))
        if best is not None:
            yield f"without the pinned degrees {best.label} fits"


def _shorter(context: Context, found: Found) -> Iterator[str]:
    length, best = _at_shorter_length(context, found)
    if best is not None:
        yield f"--max-model-len {length} fits as {best.label}"


def _at_shorter_length(context: Context, found: Found) -> tuple[int, Candidate | None]:
    """The longest sequence for which some refused layout has room, and what fits then."""
    rooms = [
        candidate.kv_cache_tokens or 0
        for candidate in found.refused
        if any(rejection.rule == "max_len_exceeds_kv" for rejection in candidate.rejections)
    ]
    tokens = max(rooms, default=0)
    length = tokens // 1024 * 1024 or tokens
    if length < _LEAST_USEFUL_TOKENS:
        return length, None
    return length, _best(context.with_request(max_model_len=length))


def _smaller_cache(context: Context, found: Found) -> Iterator[str]:
    if context.request.kv_cache_dtype is None:
        best = _best(context.with_request(kv_cache_dtype="fp8"))
        if best is not None:
            yield f"FP8 KV cache (--kv-cache-dtype fp8) fits as {best.label}"


def _other_dtype(context: Context, found: Found) -> Iterator[str]:
    if not _rules(found) & {"dtype_unsupported"}:
        return
    for dtype, flag in DTYPES.items():
        best = _best(context.with_request(dtype=dtype)) if dtype != context.request.dtype else None
        if best is not None:
            yield f"--dtype {flag} fits as {best.label}"
            return


def _other_engine(context: Context, found: Found) -> Iterator[str]:
    if not _rules(found) & {"engine_unsupported", "quantization_unsupported", "dtype_unsupported"}:
        return
    for name in engine_names():
        if name != context.engine.name:
            other = context.with_request(engine=name, engine_version=None)
            best = _best(replace(other, engine=load_engine(name)))
            if best is not None:
                yield f"--engine {name} fits as {best.label}"


def _rules(found: Found) -> set[str]:
    return {rejection.rule for candidate in found.refused for rejection in candidate.rejections}


def _freed(context: Context, found: Found) -> Iterator[str]:
    empty = emptied(context.cluster)
    if empty is None:
        return
    best = _best(replace(context, cluster=empty, survey=survey_cluster(empty)))
    if best is None:
        return
    wanted = {(rank.node, rank.gpu_index) for rank in best.placement}
    held = [
        told
        for node in context.cluster.nodes
        for gpu in node.gpus
        if (node.node_id, gpu.index) in wanted and (told := _held(node, gpu))
    ]
    more = f" and {len(held) - 3} more GPUs" if len(held) > 3 else ""
    yield f"freeing {'; '.join(held[:3])}{more} makes {best.label} fit"


def _held(node: Node, gpu: Gpu) -> str:
    where = f"{node.name} GPU {gpu.index}"
    if gpu.claimed_by is not None:
        return f"{where} (claimed by {gpu.claimed_by})"
    used = (gpu.memory_total_bytes or 0) - (gpu.memory_free_bytes or 0)
    holders = describe_holders(gpu)
    return f"{format_gib(used)} on {where}" + (f" ({holders})" if holders else "") if used > 0 else ""


def _smaller_weights(context: Context, found: Found) -> Iterator[str]:
    for variant in smaller_variants(context.model):
        model = stored_as(context.model, variant)
        smaller = replace(context, model=model, request=replace(context.request, quantization=None))
        tried = search(smaller)
        best, length = next(iter(tried.feasible), None), 0
        if best is None:
            length, best = _at_shorter_length(smaller, tried)
        if best is not None:
            sizes = f"{format_gib(model.weights_bytes)} instead of {format_gib(context.model.weights_bytes)}"
            shorter = f" with --max-model-len {length}" if length else ""
            yield f"{variant.name} weights ({sizes}){shorter} fit as {best.label}"


def _more_gpus(context: Context, found: Found) -> Iterator[str]:
    for larger in enlarged(context.cluster):
        best = _best(replace(context, cluster=larger.cluster, survey=survey_cluster(larger.cluster)))
        if best is not None:
            yield f"{larger.words} hold it as {best.label}"
            return


def _best(context: Context) -> Candidate | None:
    return next(iter(search(context).feasible), None)
