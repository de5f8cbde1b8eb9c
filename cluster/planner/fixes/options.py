"""Options with which the same degrees fit, or with which the engine runs the model at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cluster.planner.fixes.fix import Fix
from cluster.planner.fixes.trial import LayoutTrial, PlanTrial
from cluster.planner.launch import utilization
from cluster.planner.request import LONG_DTYPES
from cluster.planner.rule import Rule
from cluster.planner.search.context import Context

HIGHEST_UTILIZATION = 0.95
"""Above this, CUDA context and fragmentation leave too little (vLLM's advice in its error text)."""
LENGTH_STEP = 1024
SHORT_STEP = 16
"""Step for lengths below two large steps."""
COARSE_HUNDREDTHS = 5
"""Coarse step of the search for a memory fraction."""
SMALL_SEQS = 64
SMALL_BATCH_TOKENS = 2048
"""A batch that still serves many users but needs little activation memory."""
LEAST_USEFUL_TOKENS = 512
"""Shorter sequences than this are not suggested."""
LENGTH_RULES = frozenset({Rule.MAX_LEN_EXCEEDS_KV, Rule.MAX_LEN_EXCEEDS_MODEL, Rule.GPU_BUSY})


def packed_cache(context: Context) -> Iterator[Fix]:
    """Yield an 8-bit KV cache."""
    if context.request.kv_cache_dtype != "fp8":
        yield Fix.of(kv_cache_dtype="fp8")


def plain_cache(context: Context) -> Iterator[Fix]:
    """Yield a KV cache in the model's compute dtype."""
    if context.request.kv_cache_dtype not in (None, "auto"):
        yield Fix.of(kv_cache_dtype=None)


def higher_fraction(context: Context) -> Iterator[Fix]:
    """Yield a larger memory fraction."""
    if utilization(context.engine, context.request) < HIGHEST_UTILIZATION:
        yield Fix.of(gpu_memory_utilization=HIGHEST_UTILIZATION)


def without_graphs(context: Context) -> Iterator[Fix]:
    """Yield no CUDA graphs: slower steps, but their memory goes to the KV cache."""
    if not context.request.enforce_eager:
        yield Fix.of(enforce_eager=True)


def smaller_batches(context: Context) -> Iterator[Fix]:
    """Yield a smaller maximum batch, which needs less activation memory."""
    request = context.request
    if (request.max_num_seqs, request.max_num_batched_tokens) == (None, None):
        yield Fix.of(max_num_seqs=SMALL_SEQS, max_num_batched_tokens=SMALL_BATCH_TOKENS)


def other_dtype(context: Context) -> Iterator[Fix]:
    """Yield other compute dtypes."""
    for dtype in LONG_DTYPES:
        if dtype != context.request.dtype:
            yield Fix.of(dtype=dtype)


def shorter(trial: LayoutTrial) -> Iterator[Fix]:
    """Yield the longest max_model_len that fits, as a round number."""
    length = longest_that_holds(trial)
    if length:
        yield Fix.of(max_model_len=length)


def shorter_for_plan(trial: PlanTrial) -> Iterator[Fix]:
    """Yield the longest max_model_len that one of the closest layouts fits, with the best layout for it."""
    length = max(map(longest_that_holds, trial.nearest(LENGTH_RULES)), default=0)
    if length >= LEAST_USEFUL_TOKENS:
        fix = trial.attempt(Fix.of(max_model_len=length))
        if fix is not None:
            yield fix


def attempt_or_shorter(trial: PlanTrial, fix: Fix) -> Fix | None:
    """Return the fix if something fits with it, or with it and shorter sequences; else None."""
    changed = trial.after(fix)
    best = changed.with_best(fix)
    if best is not None:
        return best
    short = next(shorter_for_plan(changed), None)
    return short and replace(fix, layout=short.layout, options=fix.options + short.options)


def longest_that_holds(trial: LayoutTrial) -> int:
    """Return the longest max_model_len below the requested one that works; 0 if none does."""

    def holds(length: int) -> bool:
        return trial.attempt(Fix.of(max_model_len=length)) is not None

    model, asked = trial.context.model, trial.context.request.max_model_len
    longest = min(asked or model.max_position, model.max_position or asked or 0)
    if asked and longest < asked and holds(longest):
        return longest
    step = LENGTH_STEP if longest > 2 * LENGTH_STEP else SHORT_STEP
    low, high = 0, -(-longest // step)
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle * step):
            low = middle
        else:
            high = middle
    return low * step


def other_context_ranks(trial: LayoutTrial) -> Iterator[Fix]:
    """Yield the nearest numbers of ranks, below and above, that divide the copies of the KV cache."""
    asked = trial.context.request.decode_context_parallel
    if asked == 1:
        return
    # Never wider than the tensor-parallel group, whose pinned TP may exceed the available GPUs.
    widest = min(trial.form.tp, trial.context.survey.num_usable_gpus)
    for others in (range(min(asked - 1, widest), 0, -1), range(asked + 1, widest + 1)):
        attempts = (trial.attempt(Fix.of(decode_context_parallel=ranks)) for ranks in others)
        found = next(filter(None, attempts), None)
        if found is not None:
            yield found


def lower_fraction(trial: LayoutTrial) -> Iterator[Fix]:
    """Yield the largest memory fraction at which the engine starts next to other tenants."""
    now = int(100 * utilization(trial.context.engine, trial.context.request)) - 1

    def attempt(hundredths: int) -> Fix | None:
        return trial.attempt(Fix.of(gpu_memory_utilization=hundredths / 100))

    coarse = next((share for share in range(now, 9, -COARSE_HUNDREDTHS) if attempt(share)), None)
    if coarse is not None:
        finer = range(min(now, coarse + COARSE_HUNDREDTHS - 1), coarse - 1, -1)
        yield from filter(None, (next(filter(None, map(attempt, finer)), None),))


def cache_that_fits(trial: LayoutTrial) -> Iterator[Fix]:
    """Yield the KV cache size that fits, if the user set one."""
    asked, memory = trial.context.request.kv_cache_memory_bytes, trial.candidate.memory_per_gpu
    if asked is None or memory is None:
        return
    room = memory.budget_bytes - memory.fixed_bytes
    fix = trial.attempt(Fix.of(kv_cache_memory_bytes=room)) if 0 < room < asked else None
    if fix is not None:
        yield fix
