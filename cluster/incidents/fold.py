"""Many alike at once become one: a switch that fails is not a thousand nodes that fail."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from cluster.incidents.incident import Incident
from cluster.units import count_of

MOST_ALIKE = 8
"""More of one kind, found in one look, are folded: the GPUs of a usual node are not."""
_NAMED = 3


def fold(incidents: Iterable[Incident]) -> list[Incident]:
    """Return the incidents of one look, with more than MOST_ALIKE alike ones as one."""
    alike: dict[tuple[object, ...], list[Incident]] = {}
    for one in incidents:
        key = (one.kind, one.severity, one.what, one.code, one.gpu_uuid is None, one.at_start)
        alike.setdefault(key, []).append(one)
    folded = []
    for group in alike.values():
        folded += [_folded(group)] if len(group) > MOST_ALIKE else group
    return folded


def _folded(group: list[Incident]) -> Incident:
    first, nodes = group[0], {one.node_id for one in group}
    if first.kind == "deployment":
        where = count_of(len(group), "deployment")
    elif first.gpu_uuid is None:
        where = count_of(len(group), "node")
    else:
        where = f"{count_of(len(group), 'GPU')} on {count_of(len(nodes), 'node')}"
    named = ", ".join(one.where for one in group[:_NAMED])
    evidence = f"{named} and {len(group) - _NAMED:,} more"
    if first.evidence:
        evidence += f"; {group[0].where}: {first.evidence}"
    at_s = min(one.at_s for one in group)
    node_id = first.node_id if len(nodes) == 1 else None
    return replace(first, at_s=at_s, where=where, evidence=evidence, node_id=node_id, gpu_uuid=None)
