"""What the reasons are told with: how the model fits a GPU, a node, the cluster."""

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
    """The model beside one GPU, one node and the whole cluster."""

    one_gpu: Candidate | None
    """One copy a GPU; None on a cluster without usable GPUs."""
    in_node: Candidate | None
    """The best layout whose replicas each stay in one node."""
    free_choice: Candidate | None
    """What would be recommended if no degree were pinned."""
    pinned: bool
    too_long: bool
    """Sequences longer than the model was made for were asked for; the rest is judged at its own length."""
    num_gpus: int
    num_nodes: int


def gather_facts(context: Context, found: SearchResult) -> Facts:
    """Judge what the decision tree asks about; pins are lifted for it."""
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
    """Return the question with sequences as long as the model's, where longer ones were asked for."""
    asked, model = context.request.max_model_len, context.model
    if asked is None or asked <= model.max_position or not model.known_architecture:
        return context
    return context.with_request(max_model_len=model.max_position)


def in_one_node(candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    """Return those whose replicas each stay in one node, in order."""
    return (candidate for candidate in candidates if candidate.span.nodes_per_replica == 1)


def single_replica(context: Context, form: Form) -> Candidate:
    """Judge one replica of a form by itself, as for one request at a time."""
    alone = context.with_request(dp=form.dp_inside, concurrency=1)
    return build_candidates(alone, form)[0]
