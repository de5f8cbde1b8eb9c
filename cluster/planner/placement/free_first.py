"""The usable GPUs by free memory alone: for layouts that fit on no group that prefers sound GPUs."""

from __future__ import annotations

from dataclasses import replace

from cluster.planner.identity_cache import IdentityCache
from cluster.planner.placement.machines import MachineShape, Survey, TpDomain
from cluster.planner.placement.survey import in_order

_FEW = 16
_surveys: IdentityCache[Survey] = IdentityCache(_FEW)


def free_first(survey: Survey) -> Survey:
    """Return the survey with GPUs ordered by free memory whatever their health; itself if all are sound."""
    if not survey.num_degraded:
        return survey
    return _surveys.get(survey, None, lambda: replace(survey, shapes=tuple(map(_shape, survey.shapes))))


def _shape(shape: MachineShape) -> MachineShape:
    return replace(shape, domains=tuple(map(_domain, shape.domains)))


def _domain(domain: TpDomain) -> TpDomain:
    slots = in_order(domain.pool, (replace(slot, avoid=0.0) for slot in domain.slots))
    return replace(domain, slots=slots, parts=tuple(map(_domain, domain.parts)))
