"""When nothing fits: the layout that comes closest, and what would make one fit, as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.planner.fixes.fix import Fix
from cluster.planner.fixes.text import describe_fixes, describe_plan_fix
from cluster.planner.result import Candidate
from cluster.planner.search.context import Context


def advice(context: Context, refused: Sequence[Candidate], fixes: Sequence[Fix]) -> tuple[str, ...]:
    """Return why the closest layout does not fit, then one line for each fix of the plan."""
    return (*_closest(context, refused, fixes), *map(describe_plan_fix, fixes))


def _closest(context: Context, refused: Sequence[Candidate], fixes: Sequence[Fix]) -> Iterator[str]:
    if not context.cluster.num_gpus:
        yield "the cluster has no GPUs"
    elif refused:
        first = refused[0].rejections[0]
        own = [fix for fix in first.fixes if fix not in fixes and fix.layout is not None]
        more = f"; fix: {describe_fixes(own)}" if own else ""
        yield f"closest is {refused[0].label}: {first.message}{more}"
    elif context.survey.left_out:
        out = context.survey.left_out[0]
        yield f"no usable GPU: {out.node_name} GPU {out.gpu_index} ({out.reason})"
