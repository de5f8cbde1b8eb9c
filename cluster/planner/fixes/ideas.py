"""The list of changes tried to fix a refused layout or the whole plan, smallest change first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from cluster.planner.fixes import degrees, freed_memory, hardware, options
from cluster.planner.fixes.fix import Fix
from cluster.planner.fixes.trial import LayoutTrial, PlanTrial, ReplicaCounts
from cluster.planner.rule import Rule
from cluster.planner.search.context import Context

OfLayout = Callable[[LayoutTrial], Iterator[Fix]]
OfPlan = Callable[[PlanTrial], Iterator[Fix]]
Changes = Callable[[Context], Iterable[Fix]]
"""Yields changes that have not been tried yet."""

_SPLIT = frozenset(
    {
        Rule.HEADS_NOT_DIVISIBLE,
        Rule.KV_HEADS_NOT_DIVISIBLE,
        Rule.INTERMEDIATE_NOT_DIVISIBLE,
        Rule.VOCAB_NOT_DIVISIBLE,
        Rule.QUANT_GROUP_NOT_DIVISIBLE,
        Rule.QUANT_BLOCK_NOT_DIVISIBLE,
    }
)
_UNSUPPORTED = frozenset({Rule.PP_UNSUPPORTED, Rule.ENGINE_UNSUPPORTED})
_FORMAT = frozenset({Rule.DTYPE_UNSUPPORTED, Rule.QUANTIZATION_UNSUPPORTED})
_PLACE = frozenset(
    {
        Rule.CROSSES_NODE,
        Rule.CROSSES_ISLAND,
        Rule.MIXED_GPUS,
        Rule.NOT_ENOUGH_GPUS,
        Rule.GPU_BUSY,
        Rule.GPU_UNHEALTHY,
        Rule.GPU_EXCLUDED,
        Rule.GPU_UNKNOWN,
    }
)
_ROOM = frozenset({Rule.WEIGHTS_DO_NOT_FIT, Rule.NO_KV_MEMORY})
_GRAPHS = frozenset({Rule.GRAPHS_DO_NOT_FIT})
_CACHE = frozenset({Rule.MAX_LEN_EXCEEDS_KV})
_CONTEXT = frozenset({Rule.CONTEXT_NOT_DIVISIBLE})
_EXPERTS = _UNSUPPORTED | {Rule.EXPERTS_NOT_DIVISIBLE, Rule.NOT_ENOUGH_GPUS}
_ANY = frozenset(Rule)


@dataclass(frozen=True, slots=True)
class Idea:
    """One kind of change: the rules it may fix, and how it is tried."""

    rules: frozenset[Rule]
    of_layout: OfLayout | None = None
    of_plan: OfPlan | None = None
    of_training: bool = False
    """Also tried for training, which has no engine or options to change, only degrees and GPUs."""


def _tried(changes: Changes, rules: frozenset[Rule], every: bool = False, or_shorter: bool = False) -> Idea:
    """Return the idea that tries changes one by one, on a layout as on the plan.

    It ends at the first that holds unless `every` is wanted. `or_shorter`: for the plan a change also counts
    that holds with shorter sequences only; one that needs none is looked for on.
    """

    def of_layout(trial: LayoutTrial) -> Iterator[Fix]:
        for change in changes(trial.context):
            if (fix := trial.attempt(change)) is not None:
                yield fix
                if not every:
                    return

    def of_plan(trial: PlanTrial) -> Iterator[Fix]:
        for change in changes(trial.context):
            fix = options.attempt_or_shorter(trial, change) if or_shorter else trial.attempt(change)
            if fix is not None:
                yield fix
                if not every and fix.options == change.options:
                    return

    return Idea(rules, of_layout, of_plan)


def without_pins(trial: PlanTrial) -> Iterator[Fix]:
    """Yield what fits without pinned degrees, context parallelism included."""
    request = trial.context.request
    unpinned = Fix.of(decode_context_parallel=1) if request.decode_context_parallel > 1 else Fix()
    if request.pins or unpinned.options:
        free = PlanTrial(ReplicaCounts(trial.context.without_pins(), trial.counts.method), trial.found)
        fix = options.attempt_or_shorter(free, unpinned)
        if fix is not None:
            yield fix


IDEAS: tuple[Idea, ...] = (
    Idea(_ANY, of_plan=without_pins, of_training=True),
    Idea(_CONTEXT | {Rule.NOT_ENOUGH_GPUS}, options.other_context_ranks, of_training=True),
    Idea(_ROOM, options.cache_that_fits),
    Idea(options.LENGTH_RULES, options.shorter, options.shorter_for_plan),
    _tried(options.packed_cache, _CACHE | {Rule.GPU_BUSY}),
    _tried(options.plain_cache, _FORMAT),
    _tried(options.higher_fraction, _ROOM | _CACHE),
    Idea(_GRAPHS | {Rule.GPU_BUSY}, options.lower_fraction),
    _tried(options.without_graphs, _ROOM | _GRAPHS),
    _tried(options.smaller_batches, _ROOM | _GRAPHS),
    _tried(options.other_dtype, _FORMAT),
    Idea(_UNSUPPORTED, degrees.without_pipeline),
    Idea(_EXPERTS, degrees.fewer_expert_ranks, of_training=True),
    Idea(_PLACE, degrees.fewer_replicas, of_training=True),
    Idea(_PLACE, hardware.more_gpus, of_training=True),
    Idea(_SPLIT | _PLACE, degrees.narrower, of_training=True),
    Idea(_SPLIT, degrees.whole_experts),
    Idea(_PLACE | {Rule.TOO_FEW_LAYERS}, degrees.fewer_stages, of_training=True),
    Idea(_SPLIT | _ROOM | _CACHE | _GRAPHS | _CONTEXT, degrees.wider, of_training=True),
    Idea(_ANY, of_plan=freed_memory.free_memory),
    _tried(hardware.other_version, _UNSUPPORTED | _FORMAT, or_shorter=True),
    _tried(hardware.smaller_weights, _ROOM | _CACHE | _GRAPHS | {Rule.GPU_BUSY}, or_shorter=True),
    _tried(hardware.other_weights, _FORMAT, every=True),
    _tried(hardware.other_engine, _SPLIT | _UNSUPPORTED | _FORMAT, every=True),
    replace(_tried(hardware.larger_cluster, _ANY), of_layout=None, of_training=True),
)
"""In the order of suggestion."""
