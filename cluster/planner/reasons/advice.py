"""When nothing fits: what comes nearest, and the least changes that would make it fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from cluster.catalog.engine_catalog import engine_names, engine_versions, load_engine
from cluster.planner.fixes.case import Case, Trials
from cluster.planner.fixes.room import longest_that_holds
from cluster.planner.placement.survey import survey_cluster
from cluster.planner.result import Candidate
from cluster.planner.rules.capability import LONG_NAMES
from cluster.planner.search.busy_memory import MEMORY_RULES
from cluster.planner.search.context import Context
from cluster.planner.search.memory_holders import release
from cluster.planner.search.pins import count_fitting
from cluster.planner.search.run import SearchResult, search
from cluster.planner.variants import smaller_variants, stored_as
from cluster.planner.what_if import emptied, enlarged
from cluster.units import count_of, format_gib

_LEAST_USEFUL_TOKENS = 512
_LENGTH_RULES = {"max_len_exceeds_kv", "gpu_busy"}
_ENGINE_RULES = {"engine_unsupported", "pp_unsupported", "quantization_unsupported", "dtype_unsupported"}
_TRIED_FOR_LENGTH = 6
"""Refused layouts, the nearest ones, whose longest sequence is sought."""


def advise(context: Context, found: SearchResult) -> tuple[str, ...]:
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
            _other_version,
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
        told_below = first.rule in MEMORY_RULES
        mend = f": {first.fix}" if first.fix and not told_below and first.fix not in told else ""
        # A message may begin with the label itself: 'TP=3 splits 64 heads unevenly'.
        label = "nearest" if first.message.startswith(candidate.label) else f"nearest is {candidate.label}"
        yield f"{label}: {first.message}{mend}"
    elif context.survey.left_out:
        out = context.survey.left_out[0]
        yield f"no GPU can be used: {out.node_name} GPU {out.gpu_index} ({out.reason})"


def _without_pins(context: Context, found: SearchResult) -> Iterator[str]:
    if context.request.pins:
        fit = _fit(context.without_pins())
        if fit is not None:
            yield f"without the pinned degrees{fit.condition} {fit.best.label} fits"


def _shorter(context: Context, found: SearchResult) -> Iterator[str]:
    fit = _at_shorter_length(context, found)
    if fit is not None:
        yield f"--max-model-len {fit.max_model_len} fits as {fit.best.label}"


@dataclass(frozen=True, slots=True)
class _Fit:
    """What fits, and the length of sequences that it takes; 0: the length that was asked for."""

    best: Candidate
    max_model_len: int = 0

    @property
    def condition(self) -> str:
        return f" and with --max-model-len {self.max_model_len}" if self.max_model_len else ""


def _fit(context: Context) -> _Fit | None:
    found = search(context)
    if found.feasible:
        return _Fit(found.feasible[0])
    return _at_shorter_length(context, found)


def _at_shorter_length(context: Context, found: SearchResult) -> _Fit | None:
    """The longest sequences that one of the nearest refused layouts holds, and what is best then."""
    trials = Trials(count_fitting)
    nearest = [
        candidate
        for candidate in found.refused
        if {rejection.rule for rejection in candidate.rejections} & _LENGTH_RULES
    ]
    length = max(
        (longest_that_holds(Case(context, one.form, one, trials)) for one in nearest[:_TRIED_FOR_LENGTH]),
        default=0,
    )
    if length < _LEAST_USEFUL_TOKENS:
        return None
    best = _best(context.with_request(max_model_len=length))
    return _Fit(best, length) if best is not None else None


def _smaller_cache(context: Context, found: SearchResult) -> Iterator[str]:
    if context.request.kv_cache_dtype is None:
        best = _best(context.with_request(kv_cache_dtype="fp8"))
        if best is not None:
            yield f"FP8 KV cache (--kv-cache-dtype fp8) fits as {best.label}"


def _other_dtype(context: Context, found: SearchResult) -> Iterator[str]:
    if not _rules(found) & {"dtype_unsupported"}:
        return
    for dtype, flag in LONG_NAMES.items():
        best = _best(context.with_request(dtype=dtype)) if dtype != context.request.dtype else None
        if best is not None:
            yield f"--dtype {flag} fits as {best.label}"
            return


def _other_engine(context: Context, found: SearchResult) -> Iterator[str]:
    if not _rules(found) & _ENGINE_RULES:
        return
    for name in engine_names():
        if name != context.engine.name:
            other = context.with_request(engine=name, engine_version=None)
            best = _best(replace(other, engine=load_engine(name)))
            if best is not None:
                yield f"--engine {name} fits as {best.label}"


def _other_version(context: Context, found: SearchResult) -> Iterator[str]:
    if context.request.engine_version is None or not _rules(found) & _ENGINE_RULES:
        return
    name = context.engine.name
    for version in engine_versions(name):
        engine = load_engine(name, version)
        fit = _fit(replace(context.with_request(engine_version=version), engine=engine))
        if fit is not None:
            yield f"--engine-version {version}{fit.condition} fits as {fit.best.label}"
            return


def _rules(found: SearchResult) -> set[str]:
    return {rejection.rule for candidate in found.refused for rejection in candidate.rejections}


def _freed(context: Context, found: SearchResult) -> Iterator[str]:
    """What is nearest to fitting but for the memory that others hold, and what to stop for it."""
    for candidate in found.refused:
        first = candidate.rejections[0]
        if first.rule == "gpu_busy" and candidate.memory_per_gpu is not None and first.fix:
            yield f"{first.fix}: then {candidate.label} fits"
            return
    yield from _unclaimed(context)


def _unclaimed(context: Context) -> Iterator[str]:
    """One replica on GPUs that other jobs hold by claim."""
    empty = emptied(context.cluster)
    if empty is None:
        return
    alone = replace(context, cluster=empty, survey=survey_cluster(empty))
    best = _best(alone if context.request.dp else alone.with_request(dp=1))
    wanted = {(rank.node, rank.gpu_index) for rank in best.placement} if best is not None else set()
    members = [
        (node, gpu)
        for node in context.cluster.nodes
        for gpu in node.gpus
        if (node.node_id, gpu.index) in wanted
    ]
    claimed = [
        f"{node.name} GPU {gpu.index} (claimed by {gpu.claimed_by})"
        for node, gpu in members
        if gpu.claimed_by is not None
    ]
    if best is None or not claimed:
        return
    more = f" and {count_of(len(claimed) - 3, 'more claimed GPU')}" if len(claimed) > 3 else ""
    budget = best.memory_per_gpu.budget_bytes if best.memory_per_gpu else 0
    shared = release([member for member in members if member[1].claimed_by is None], budget)
    yield f"free {', '.join(claimed[:3])}{more}{f'; {shared}' if shared else ''}: then {best.label} fits"


def _smaller_weights(context: Context, found: SearchResult) -> Iterator[str]:
    for variant in smaller_variants(context.model):
        model = stored_as(context.model, variant)
        fit = _fit(replace(context, model=model, request=replace(context.request, quantization=None)))
        if fit is not None:
            sizes = f"{format_gib(model.weights_bytes)} instead of {format_gib(context.model.weights_bytes)}"
            shorter = f" with --max-model-len {fit.max_model_len}" if fit.max_model_len else ""
            yield f"{variant.name} weights ({sizes}){shorter} fit as {fit.best.label}"


def _more_gpus(context: Context, found: SearchResult) -> Iterator[str]:
    for larger in enlarged(context.cluster):
        best = _best(replace(context, cluster=larger.cluster, survey=survey_cluster(larger.cluster)))
        if best is not None:
            yield f"{larger.words} hold it as {best.label}"
            return


def _best(context: Context) -> Candidate | None:
    return next(iter(search(context).feasible), None)
