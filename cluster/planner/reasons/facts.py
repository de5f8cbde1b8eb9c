"""What the reasons are based on: how the model fits one GPU, one node and the whole cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cluster.planner.placement.form import Form
from cluster.planner.result import Candidate
from cluster.planner.search.candidates import build_candidates, try_form
from cluster.planner.search.context import Context
from cluster.planner.search.run import SearchResult, search


@dataclass(frozen=True, slots=True)
class Facts:
    """How the model fits one GPU, one node and the whole cluster."""

    one_gpu: Candidate | None
    """One copy per GPU; None on a cluster without usable GPUs."""
    in_node: Candidate | None
    """The best layout whose replicas each stay in one node."""
    free_choice: Candidate | None
    """What would be recommended if no degree were pinned."""
    pinned: bool
    too_long: bool
    """The requested max_model_len exceeds the model's maximum; all else is judged at that maximum."""
    num_gpus: int
    num_nodes: int


def gather_facts(context: Context, found: SearchResult) -> Facts:
    """Evaluate what the decision tree asks about, without the user's pins."""
    pinned = bool(context.request.pins) or context.request.decode_context_parallel > 1
    asked = at_own_length(context)
    too_long = asked is not context
    free = asked.without_pins(decode_context_parallel=1) if pinned else asked
    searched = pinned or too_long
    feasible = search(free).feasible if searched else found.feasible
    one_gpu = try_form(free, Form.plain(1, 1))[0].with_holders() if context.survey.num_usable_gpus else None
    return Facts(
        one_gpu=one_gpu,
        in_node=next(in_one_node(feasible), None),
        free_choice=feasible[0] if feasible else None,
        pinned=pinned,
        too_long=too_long,
        num_gpus=context.survey.num_usable_gpus,
        num_nodes=context.survey.num_nodes,
    )


def at_own_length(context: Context) -> Context:
    """Return the context with max_model_len lowered to the model's maximum if it exceeds that."""
    asked, model = context.request.max_model_len, context.model
    if asked is None or asked <= model.max_position or not model.known_architecture:
        return context
    return context.with_request(max_model_len=model.max_position)


def in_one_node(candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    """Return those whose replicas each stay in one node, in order."""
    return (candidate for candidate in candidates if candidate.span.nodes_per_replica == 1)


def single_replica(context: Context, form: Form) -> Candidate:
    """Return one replica of a form by itself, with one request at a time."""
    alone = context.with_request(dp=form.dp_inside, concurrency=1)
    return build_candidates(alone, form)[0]
