"""Which degrees of parallelism are worth evaluating on this cluster."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.catalog.model_spec import ModelSpec
from cluster.planner.kv_share import keeps_latent
from cluster.planner.layout import Layout
from cluster.planner.placement.form import Form
from cluster.planner.placement.machines import Survey
from cluster.planner.request import PlanRequest
from cluster.planner.search.context import Context

_EVERY_TP_UP_TO = 8
_PP_STEPS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128)
_WIDEST_EXPERT_GROUP = 64


def tensor_degrees(survey: Survey, request: PlanRequest) -> list[int]:
    """Return TP degrees to try: all small ones, powers of two beyond, and one wider than any island or node.

    The one that is too wide is included so that the answer can say why it is refused.
    """
    if request.tp is not None:
        return [request.tp]
    widest, total = survey.largest_domain, survey.num_usable_gpus
    degrees = set(range(1, min(widest, _EVERY_TP_UP_TO) + 1))
    degree = _EVERY_TP_UP_TO
    while degree <= widest:
        degrees.add(degree)
        degree *= 2
    beyond = 2 ** widest.bit_length()
    if 1 < beyond <= total:
        degrees.add(beyond)
    return sorted(degrees)


def pipeline_degrees(model: ModelSpec, request: PlanRequest, most: int) -> list[int]:
    """Return PP degrees to try, up to the `most` stages that the cluster has GPUs for."""
    if request.pp is not None:
        return [request.pp]
    limit = min(model.num_layers, max(1, most))
    return [degree for degree in _PP_STEPS if degree <= limit]


def expert_forms(context: Context, tp: int, pp: int) -> Iterator[Form]:
    """Yield the ways to divide experts and attention at these degrees; a dense model has one."""
    model, parallelism = context.model, context.engine.parallelism
    request, survey = context.request, context.survey
    plain = Form.plain(tp, pp)
    if request.ep is not None:
        yield _pinned_form(request.ep, survey, tp, pp)
        return
    yield plain
    if not model.is_moe or not parallelism.experts:
        return
    if tp > 1:
        yield Form.plain(tp, pp, ep=tp)
    # Engines support experts shared over attention replicas only without pipeline stages.
    if pp == 1 and parallelism.attention_dp and _worth_sharing_experts(model, tp):
        for width in expert_widths(model, survey, tp, request.tp == tp):
            yield Form.shared_experts(tp, pp, width, _group_of(survey, width, tp))


def form_of(layout: Layout, survey: Survey) -> Form:
    """Return the form of a layout's replicas on this cluster."""
    if not layout.dp_attention:
        return Form.plain(layout.tp, layout.pp, layout.ep)
    return _pinned_form(layout.ep, survey, layout.tp, layout.pp)


def _pinned_form(ep: int, survey: Survey, tp: int, pp: int) -> Form:
    if ep <= tp or ep % tp:
        return Form.plain(tp, pp, ep)
    return Form.shared_experts(tp, pp, ep, _group_of(survey, ep, tp))


def _group_of(survey: Survey, width: int, tp: int) -> int:
    """Return how much of a stage fits one machine, in whole tensor-parallel groups."""
    sizes = range(min(width, survey.largest_domain), tp, -1)
    return next((size for size in sizes if width % size == 0 and size % tp == 0), tp)


def _worth_sharing_experts(model: ModelSpec, tp: int) -> bool:
    """True if TP would replicate the KV cache: latent attention, or more ranks than KV heads."""
    return keeps_latent(model) or tp <= max(1, model.num_kv_heads)


def expert_widths(model: ModelSpec, survey: Survey, tp: int, pinned: bool = False) -> Iterator[int]:
    """Yield the numbers of ranks over which attention replicas of `tp` may share the experts.

    Groups of `tp` cross machines only if it is `pinned`.
    """
    widest, total = survey.largest_domain, survey.num_usable_gpus
    asked_wide = pinned and tp > widest
    width = 2 * tp
    while width <= total and width <= min(_WIDEST_EXPERT_GROUP, model.num_experts):
        if width <= widest or asked_wide or (width % widest == 0 and widest % tp == 0):
            yield width
        width *= 2
