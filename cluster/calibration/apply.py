"""Which stored measurements hold for a cluster as it is now. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cluster.calibration.result import Calibration, GpuMeasurement, LinkMeasurement
from cluster.inventory import Cluster, MeasuredLink, MeasuredRate

There = dict[str, tuple[str, str]]
"""Uuid of a GPU -> its node's id and its type."""


def with_calibrations(cluster: Cluster, stored: Iterable[Calibration]) -> Cluster:
    """Return the cluster with what was measured on the GPUs that it still has; the newest counts.

    A link holds while all GPUs of its group are there and are spread over nodes as they were; a rate holds
    while any GPU of its type that was measured is there. A simulated cluster, or one that brings
    measurements of its own, stays as it is.
    """
    if cluster.simulated or cluster.measured_links or cluster.measured_rates:
        return cluster
    newest_first = sorted(stored, key=lambda one: -one.measured_at_s)
    if not newest_first:
        return cluster
    there = {gpu.uuid: (node.node_id, gpu.type) for node in cluster.nodes for gpu in node.gpus}
    links: dict[tuple[object, ...], MeasuredLink] = {}
    rates: dict[str, MeasuredRate] = {}
    used: list[float] = []
    for calibration in newest_first:
        if calibration.simulated:
            continue
        found = _links_of(calibration, there), _rates_of(calibration, there)
        new_links = {_key(one): one for one in found[0] if _key(one) not in links}
        new_rates = {one.gpu_type: one for one in found[1] if one.gpu_type not in rates}
        links |= new_links
        rates |= new_rates
        used += [calibration.measured_at_s] if new_links or new_rates else []
    if not used:
        return cluster
    update = {"measured_links": tuple(links.values()), "measured_rates": tuple(rates.values())}
    return cluster.model_copy(update={**update, "measured_at_s": min(used)})


def _key(link: MeasuredLink) -> tuple[object, ...]:
    return link.scope, link.kind, link.gpu_type, link.num_ranks


def _links_of(calibration: Calibration, there: There) -> list[MeasuredLink]:
    return [one.link for one in calibration.links if _holds(one, calibration, there)]


def _rates_of(calibration: Calibration, there: There) -> list[MeasuredRate]:
    return [one.rate for one in calibration.rates if _any_there(one, there)]


def _holds(link: LinkMeasurement, calibration: Calibration, there: There) -> bool:
    if not all(uuid in there for uuid in link.gpus):
        return False
    then = {uuid: node for node, uuids in calibration.gpus_by_node.items() for uuid in uuids}
    now = {uuid: there[uuid][0] for uuid in link.gpus}
    return _partition(link.gpus, then) == _partition(link.gpus, now)


def _partition(uuids: Sequence[str], node_of: dict[str, str]) -> set[frozenset[str]]:
    """Return which GPUs share a node: node ids change when Ray is started again."""
    nodes: dict[str, set[str]] = {}
    for uuid in uuids:
        nodes.setdefault(node_of.get(uuid, ""), set()).add(uuid)
    return {frozenset(members) for members in nodes.values()}


def _any_there(found: GpuMeasurement, there: There) -> bool:
    return any(uuid in there and there[uuid][1] == found.rate.gpu_type for uuid in found.gpus)
