"""Groups wider than any NVLink island or node, for users who pin such a TP.

Islands are joined within a node over PCIe, and if that is still too narrow, nodes over the network. Only
GPUs of one type are joined, and never MIG slices.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from cluster.planner.identity_cache import IdentityCache
from cluster.planner.placement.form import Form
from cluster.planner.placement.machines import (
    GpuPool,
    Joins,
    Machine,
    MachineShape,
    Survey,
    TpDomain,
)

Kind = tuple[str, int]
"""What the GPUs of one group have in common: type and memory."""

_FEW = 16
"""A survey of a large cluster is large, so only the last few are cached."""
_surveys: IdentityCache[Survey] = IdentityCache(_FEW)


def join_islands(survey: Survey, form: Form, replicas: int) -> Survey:
    """Join islands or nodes as this many replicas of the form need; the same survey if that does not help.

    A GPU type whose islands are already wide enough stays unchanged.
    """
    needed = form.num_groups * replicas
    levels = [survey, _remembered(survey, "islands"), _remembered(survey, "nodes")]
    level_of: dict[Kind, int] = {}
    for kind in _kinds(survey):
        counts = [_count_groups(level, kind, form.group_gpus) for level in levels]
        enough = (number for number, count in enumerate(counts) if count >= needed)
        level_of[kind] = next(enough, counts.index(max(counts)))
    if not any(level_of.values()):
        return survey
    shapes = [
        part
        for number, level in enumerate(levels)
        for shape in level.shapes
        for part in _only(shape, {kind for kind, chosen in level_of.items() if chosen == number})
    ]
    return replace(survey, shapes=tuple(shapes))


def counts_by_type(survey: Survey) -> dict[str, int]:
    """Return the GPUs of each type that may join a group."""
    counts: dict[str, int] = defaultdict(int)
    for shape in survey.shapes:
        for domain in shape.domains:
            if domain.pool.link != "none":
                counts[domain.pool.spec.type] += len(domain.slots) * len(shape.machines)
    return counts


def _remembered(survey: Survey, joins: Joins) -> Survey:
    join = _join_islands if joins == "islands" else _join_nodes
    return _surveys.get(survey, joins, lambda: join(survey))


def _kinds(survey: Survey) -> list[Kind]:
    domains = (domain for shape in survey.shapes for domain in shape.domains)
    return list(dict.fromkeys(_kind(domain) for domain in domains if domain.pool.link != "none"))


def _kind(domain: TpDomain) -> Kind:
    return domain.pool.spec.type, domain.pool.total_bytes


def _count_groups(survey: Survey, kind: Kind, size: int) -> int:
    return sum(
        len(domain.slots) // size * len(shape.machines)
        for shape in survey.shapes
        for domain in shape.domains
        if domain.pool.link != "none" and _kind(domain) == kind
    )


def _only(shape: MachineShape, kinds: set[Kind]) -> Iterator[MachineShape]:
    domains = tuple(one for one in shape.domains if _kind(one) in kinds and one.pool.link != "none")
    if domains:
        yield MachineShape(domains, shape.machines)


def _join_islands(survey: Survey) -> Survey:
    pools: dict[GpuPool, GpuPool] = {}
    shapes = tuple(MachineShape(tuple(_islands_of(shape, pools)), shape.machines) for shape in survey.shapes)
    return replace(survey, shapes=shapes)


def _islands_of(shape: MachineShape, pools: dict[GpuPool, GpuPool]) -> Iterator[TpDomain]:
    """Join the domains of one node; multi-node NVLink domains and MIG slices stay unchanged."""
    by_node: dict[tuple[Kind, int], list[TpDomain]] = defaultdict(list)
    for domain in shape.domains:
        offsets = {slot.node_offset for slot in domain.slots}
        if domain.pool.link == "none" or len(offsets) > 1:
            yield domain
        else:
            by_node[_kind(domain), offsets.pop()].append(domain)
    for parts in by_node.values():
        yield parts[0] if len(parts) == 1 else _join(parts, "islands", pools)


def _join_nodes(survey: Survey) -> Survey:
    """Treat all nodes as one machine."""
    nodes: list[int] = []
    orders: list[tuple[int, ...]] = []
    by_kind: dict[Kind, list[TpDomain]] = defaultdict(list)
    for shape in survey.shapes:
        for machine in shape.machines:
            for domain in shape.domains:
                if domain.pool.link != "none":
                    by_kind[_kind(domain)].append(_moved(domain, len(nodes)))
            nodes.extend(machine.nodes)
            orders.extend(machine.orders)
    pools: dict[GpuPool, GpuPool] = {}
    domains = (parts[0] if len(parts) == 1 else _join(parts, "nodes", pools) for parts in by_kind.values())
    whole = Machine(tuple(nodes), tuple(orders))
    return replace(survey, shapes=(MachineShape(tuple(domains), (whole,)),))


def _moved(domain: TpDomain, by: int) -> TpDomain:
    slots = (replace(slot, node_offset=slot.node_offset + by) for slot in domain.slots)
    return replace(domain, slots=tuple(slots))


def _join(parts: list[TpDomain], joins: Joins, pools: dict[GpuPool, GpuPool]) -> TpDomain:
    first = parts[0].pool
    pool = GpuPool(
        first.spec,
        first.total_bytes,
        "pcie" if joins == "islands" else "network",
        _slowest_network(part.pool for part in parts),
        joins,
        first.memory_speedup,
    )
    slots = tuple(slot for part in parts for slot in part.slots)
    per_node = max(part.gpus_per_node for part in parts)
    return TpDomain(pools.setdefault(pool, pool), slots, per_node, tuple(parts))


def _slowest_network(pools: Iterable[GpuPool]) -> float | None:
    rates = [pool.network_bytes_per_s for pool in pools]
    known = [rate for rate in rates if rate is not None]
    return min(known) if known and len(known) == len(rates) else None
