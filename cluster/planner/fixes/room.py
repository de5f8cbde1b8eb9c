"""Options and weights with which the same degrees find room."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.planner.fixes.case import Case
from cluster.planner.launch import utilization
from cluster.planner.variants import smaller_variants, stored_as

HIGHEST_UTILIZATION = 0.95
"""Above this a GPU's own context and fragmentation leave too little (vLLM's advice in its error text)."""
LENGTH_STEP = 1024
SHORT_STEP = 16
"""Lengths below two of the large steps are sought in these."""
COARSE_HUNDREDTHS = 5
"""A fraction is sought in these steps first."""
SMALL_SEQS = 64
SMALL_BATCH_TOKENS = 2048
"""A batch that still serves many users and whose profile needs little."""


def shorter(case: Case) -> Iterator[str]:
    """The longest sequences, in round numbers, for which there is room."""
    length = longest_that_holds(case)
    if length:
        yield f"--max-model-len {length}"


def longest_that_holds(case: Case) -> int:
    """Return the longest max_model_len below the one asked for that holds; 0 where none does."""
    model, asked = case.context.model, case.context.request.max_model_len
    longest = min(asked or model.max_position, model.max_position or asked or 0)
    if asked and longest < asked and case.holds(max_model_len=longest):
        return longest
    step = LENGTH_STEP if longest > 2 * LENGTH_STEP else SHORT_STEP
    low, high = 0, -(-longest // step)
    while high - low > 1:
        middle = (low + high) // 2
        if case.holds(max_model_len=middle * step):
            low = middle
        else:
            high = middle
    return low * step


def packed_cache(case: Case) -> Iterator[str]:
    """A cache of 8 bits a number."""
    if case.context.request.kv_cache_dtype != "fp8" and case.holds(kv_cache_dtype="fp8"):
        yield "FP8 KV cache (--kv-cache-dtype fp8)"


def other_context_ranks(case: Case) -> Iterator[str]:
    """The nearest numbers of ranks, below and above, that divide the copies of the cache."""
    asked = case.context.request.decode_context_parallel
    if asked == 1:
        return
    # No group is wider than its tensor-parallel one, which may be pinned beyond what there is.
    widest = min(case.form.tp, case.context.survey.num_usable_gpus)
    for others in (range(min(asked - 1, widest), 0, -1), range(asked + 1, widest + 1)):
        held = next((ranks for ranks in others if case.holds(decode_context_parallel=ranks)), None)
        if held is not None:
            yield f"--decode-context-parallel-size {held}"


def plain_cache(case: Case) -> Iterator[str]:
    """A cache in the dtype that the model computes in."""
    if case.context.request.kv_cache_dtype not in (None, "auto") and case.holds(kv_cache_dtype=None):
        yield "--kv-cache-dtype auto"


def higher_fraction(case: Case) -> Iterator[str]:
    """A larger share of each GPU."""
    now = utilization(case.context.engine, case.context.request)
    if now < HIGHEST_UTILIZATION and case.holds(gpu_memory_utilization=HIGHEST_UTILIZATION):
        yield f"--gpu-memory-utilization {HIGHEST_UTILIZATION:g}"


def lower_fraction(case: Case) -> Iterator[str]:
    """The largest share at which the engine starts beside other tenants."""
    now = int(100 * utilization(case.context.engine, case.context.request)) - 1

    def holds(hundredths: int) -> bool:
        return case.holds(gpu_memory_utilization=hundredths / 100)

    coarse = next(filter(holds, range(now, 9, -COARSE_HUNDREDTHS)), None)
    if coarse is not None:
        finer = range(min(now, coarse + COARSE_HUNDREDTHS - 1), coarse, -1)
        yield f"--gpu-memory-utilization {next(filter(holds, finer), coarse) / 100:g}"


def without_graphs(case: Case) -> Iterator[str]:
    """No CUDA graphs: slower steps, and their memory for the cache."""
    if not case.context.request.enforce_eager and case.holds(enforce_eager=True):
        yield "--enforce-eager"


def smaller_batches(case: Case) -> Iterator[str]:
    """A smaller largest batch, so that the engine sets less aside for it."""
    request = case.context.request
    asked = (request.max_num_seqs, request.max_num_batched_tokens)
    if asked == (None, None) and case.holds(
        max_num_seqs=SMALL_SEQS, max_num_batched_tokens=SMALL_BATCH_TOKENS
    ):
        yield f"--max-num-seqs {SMALL_SEQS} --max-num-batched-tokens {SMALL_BATCH_TOKENS}"


def cache_that_fits(case: Case) -> Iterator[str]:
    """The cache that stays free, where one was sized by hand."""
    asked, memory = case.context.request.kv_cache_memory_bytes, case.candidate.memory_per_gpu
    if asked is None or memory is None:
        return
    room = memory.budget_bytes - memory.fixed_bytes
    if 0 < room < asked and case.holds(kv_cache_memory_bytes=room):
        yield f"--kv-cache-memory-bytes {room}"


def smaller_weights(case: Case) -> Iterator[str]:
    """The largest quantised variant that fits."""
    model = case.context.model
    for variant in smaller_variants(model):
        if case.holds(model=stored_as(model, variant), quantization=None):
            yield f"an {variant.name} variant of the model"
            return
