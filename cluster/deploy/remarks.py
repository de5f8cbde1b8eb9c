"""What of a deployment differs from what was asked for or planned, so that nobody has to find out."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.deploy.asked import planned_only
from cluster.planner.result import Plan


def remarks_on(
    plan: Plan, dtype: str, max_model_len: int, max_num_seqs: int, *, simulated: bool
) -> tuple[str, ...]:
    """Return a sentence for each difference between the request and what starts with these figures."""
    return tuple(_remarks(plan, dtype, max_model_len, max_num_seqs, simulated))


def _remarks(plan: Plan, dtype: str, max_model_len: int, max_num_seqs: int, simulated: bool) -> Iterator[str]:
    request = plan.request
    wanted_len = request.max_model_len or plan.model.max_position
    if max_model_len < wanted_len:
        if request.max_model_len is not None:
            asked = f"asked for {wanted_len:,}"
        else:
            asked = f"the model takes {wanted_len:,}" + ("" if simulated else "; --max-model-len sets it")
        yield f"sequences of at most {max_model_len:,} tokens run ({asked})"
    if request.max_num_seqs is not None and max_num_seqs < request.max_num_seqs:
        yield f"{max_num_seqs:,} sequences run at once (asked for {request.max_num_seqs:,})"
    if not simulated:
        return
    if request.dtype is not None and request.dtype != dtype:
        yield f"the stand-in computes in {dtype} (asked for {request.dtype})"
    options = planned_only(request, dtype)
    if options:
        yield f"the plan takes {' and '.join(options)} into account; the stand-in does not"
