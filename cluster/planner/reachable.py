"""Keep of a rejection's mends those that this cluster can follow: TP=8 is no help on nodes of 4 GPUs."""

from __future__ import annotations

import re
from dataclasses import replace

from cluster.planner.result import Candidate, Rejection
from cluster.planner.search.machines import Survey

_JOINT = ", or "
_DEGREES = re.compile(r"(?:TP=(?P<tp>\d+))?(?: x )?(?:PP=(?P<pp>\d+))?")


def with_reachable_fixes(candidate: Candidate, survey: Survey) -> Candidate:
    """Return the candidate with the mends in its rejections that need no more GPUs than there are."""
    rejections = tuple(_reachable(rejection, candidate, survey) for rejection in candidate.rejections)
    return candidate if rejections == candidate.rejections else replace(candidate, rejections=rejections)


def _reachable(rejection: Rejection, candidate: Candidate, survey: Survey) -> Rejection:
    ways = rejection.fix.split(_JOINT)
    kept = [way for way in ways if _can_be_placed(way, candidate, survey)]
    if len(kept) == len(ways):
        return rejection
    return replace(rejection, fix=_JOINT.join(kept) or f"{ways[0]} on more GPUs than there are here")


def _can_be_placed(way: str, candidate: Candidate, survey: Survey) -> bool:
    degrees = _DEGREES.fullmatch(way)
    if degrees is None or not (degrees["tp"] or degrees["pp"]):
        return True
    tp = int(degrees["tp"] or candidate.layout.tp)
    pp = int(degrees["pp"] or candidate.layout.pp)
    return tp <= survey.largest_domain and tp * pp <= survey.num_usable_gpus
