"""Which GPUs are usable, and which of them are connected: one pass over the cluster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from operator import attrgetter

from cluster.inventory import Cluster, Gpu, Node
from cluster.planner.placement.condition import avoidance, condition_of, preference
from cluster.planner.placement.gpu_types import GpuKind, GpuLookup
from cluster.planner.placement.machines import (
    GpuPool,
    GpuSlot,
    LeftOut,
    Link,
    Machine,
    MachineShape,
    Survey,
    TpDomain,
)
from cluster.planner.rule import Rule

MOST_SHAPES = 48
_GRAINS_BYTES = (1, 64 * 1024**2, 1024**3, 8 * 1024**3, 32 * 1024**3)
_LEVELS: dict[int, int | None] = dict(zip(_GRAINS_BYTES, (None, 20, 10, 4, 2), strict=True))
"""Of what health leaves of a rate, per factor of ten, with each grain."""
_IDLE_SHARE = 0.9
_IDLE_GRAIN_BYTES = 1024**3

GpuKey = tuple[Hashable, ...]
Group = tuple[int, ...]
"""Positions in Cluster.nodes of the nodes that make up one machine."""


def survey_cluster(cluster: Cluster) -> Survey:
    """Sort the cluster's usable GPUs into machine shapes; the rest are left out, each with a reason.

    Free memory is used as read. Only if more than MOST_SHAPES machines differ is it rounded down, more
    coarsely on partly used GPUs than on idle ones, and what is left of degraded GPUs is rounded.
    """
    groups = _machine_groups(cluster.nodes)
    for grain in _GRAINS_BYTES:
        by_shape = _sort_by_shape(cluster.nodes, groups, grain)
        if by_shape is not None:
            break
    lookup, pools = GpuLookup(cluster.measured_rates), dict[Hashable, GpuPool]()
    shapes = []
    for machines in (by_shape or {}).values():
        domains = _domains(cluster.nodes, machines[0], grain, lookup, pools)
        if domains:
            shapes.append(MachineShape(domains, tuple(machines)))
    left_out = tuple(_left_out(cluster.nodes, lookup))
    return Survey(tuple(shapes), left_out, lookup.notes, sum(map(_count_degraded, shapes)))


def _count_degraded(shape: MachineShape) -> int:
    slots = (slot for domain in shape.domains for slot in domain.slots)
    return sum(slot.condition.degraded for slot in slots) * len(shape.machines)


def _machine_groups(nodes: tuple[Node, ...]) -> list[Group]:
    groups: dict[Hashable, list[int]] = {}
    for position, node in enumerate(nodes):
        if node.gpus:
            groups.setdefault(node.nvlink_domain or position, []).append(position)
    return [tuple(group) for group in groups.values()]


def _sort_by_shape(
    nodes: tuple[Node, ...], groups: list[Group], grain: int
) -> dict[Hashable, list[Machine]] | None:
    """Group machines by shape; None if there would be too many shapes and a coarser grain is available."""
    by_shape: dict[Hashable, list[Machine]] = defaultdict(list)
    kinds = _NodeKinds(grain)
    for group in groups:
        seen = [kinds.at(nodes[position]) for position in group]
        shape = tuple(kind for kind, _ in seen)
        by_shape[shape].append(Machine(group, tuple(order for _, order in seen)))
        if len(by_shape) > MOST_SHAPES and grain != _GRAINS_BYTES[-1]:
            return None
    return by_shape


class _NodeKinds:
    """Numbers the kinds of node, ignoring the order of their GPUs. Most nodes equal the previous one."""

    def __init__(self, grain: int) -> None:
        self._grain = grain
        self._kinds: dict[Hashable, int] = {}
        self._last: object = None
        self._answer: tuple[int, tuple[int, ...]] = (-1, ())

    def at(self, node: Node) -> tuple[int, tuple[int, ...]]:
        """Return the number of the node's kind, and the order of its GPUs that makes equal nodes equal."""
        about = (node.network_bytes_per_s, node.nvlink_domain is not None)
        raw = (about, [(_what_counts(gpu), condition_of(gpu)) for gpu in node.gpus])
        if raw != self._last:
            keys = [_gpu_key(gpu, self._grain) for gpu in node.gpus]
            order = tuple(sorted(range(len(keys)), key=keys.__getitem__))
            kind = (about, tuple([keys[position] for position in order]))
            self._last = raw
            self._answer = self._kinds.setdefault(kind, len(self._kinds)), order
        return self._answer


_what_counts = attrgetter(
    "type",
    "memory_total_bytes",
    "memory_free_bytes",
    "nvlink_island",
    "claimed_by",
    "unhealthy_reason",
    "excluded_reason",
    "mig_parent_uuid",
)


def _gpu_key(gpu: Gpu, grain: int) -> GpuKey:
    total, condition = gpu.memory_total_bytes, condition_of(gpu, _LEVELS[grain])
    return (
        gpu.type,
        -1 if total is None else total,
        -1 if gpu.memory_free_bytes is None else _rounded(gpu.memory_free_bytes, total, grain),
        gpu.nvlink_island or "",
        gpu.claimed_by is None and gpu.usable,
        gpu.mig_parent_uuid is None,
        (condition.degraded, condition.compute, condition.memory, condition.nvlink, condition.pcie),
    )


def _rounded(free_bytes: int, total_bytes: int | None, grain: int) -> int:
    if total_bytes and free_bytes >= _IDLE_SHARE * total_bytes:
        grain = min(grain, _IDLE_GRAIN_BYTES)
    return free_bytes // grain * grain


def _domains(
    nodes: tuple[Node, ...], machine: Machine, grain: int, lookup: GpuLookup, pools: dict[Hashable, GpuPool]
) -> tuple[TpDomain, ...]:
    """Group the usable GPUs of one machine by pool and by the link that connects them."""
    members: dict[Hashable, list[GpuSlot]] = defaultdict(list)
    pool_of: dict[Hashable, GpuPool] = {}
    for offset, (position, order) in enumerate(zip(machine.nodes, machine.orders, strict=True)):
        node = nodes[position]
        for place, index in enumerate(order):
            gpu = node.gpus[index]
            resolved = lookup.resolve(gpu) if _usable(gpu) else None
            if resolved is None:
                continue
            link, reach = _reach(node, offset, gpu, resolved)
            key = (_pool_key(node, resolved, link), reach)
            pool = GpuPool(
                resolved.spec,
                resolved.total_bytes,
                link,
                node.network_bytes_per_s,
                memory_speedup=resolved.memory_speedup,
            )
            pool_of[key] = pools.setdefault(key[0], pool)
            members[key].append(_slot(offset, place, gpu, pool_of[key], grain))
    return tuple(_domain(pool_of[key], slots, len(machine.nodes)) for key, slots in members.items())


def _pool_key(node: Node, resolved: GpuKind, link: Link) -> Hashable:
    return (resolved.spec.type, resolved.total_bytes, link, node.network_bytes_per_s)


def _domain(pool: GpuPool, slots: list[GpuSlot], num_nodes: int) -> TpDomain:
    ordered = in_order(pool, slots)
    if num_nodes == 1:
        return TpDomain(pool, ordered, len(ordered))
    counts: dict[int, int] = defaultdict(int)
    for slot in slots:
        counts[slot.node_offset] += 1
    return TpDomain(pool, ordered, max(counts.values()))


def _reach(node: Node, offset: int, gpu: Gpu, resolved: GpuKind) -> tuple[Link, Hashable]:
    if gpu.mig_parent_uuid is not None:
        return "none", gpu.uuid
    if node.nvlink_domain is not None and resolved.spec.nvlink_bytes_per_s > 0:
        return "nvlink", node.nvlink_domain
    if gpu.nvlink_island is not None:
        return "nvlink", (offset, gpu.nvlink_island)
    return "pcie", offset


def _slot(offset: int, place: int, gpu: Gpu, pool: GpuPool, grain: int) -> GpuSlot:
    free = min(max(0, gpu.memory_free_bytes or 0), pool.total_bytes)
    condition = condition_of(gpu, _LEVELS[grain])
    free = _rounded(free, pool.total_bytes, grain)
    return GpuSlot(offset, place, free, condition, avoidance(condition, pool.link))


def in_order(pool: GpuPool, slots: Iterable[GpuSlot]) -> tuple[GpuSlot, ...]:
    """Return GPUs of a pool in the order in which they are taken: sound ones first among equals."""

    def key(slot: GpuSlot) -> tuple[int, float, int, int, int]:
        preferred = preference(slot.free_bytes, pool.total_bytes, slot.avoid)
        return (*preferred, slot.node_offset, slot.gpu_position)

    return tuple(sorted(slots, key=key))


def _usable(gpu: Gpu) -> bool:
    # Without a reading of its free memory, a GPU is not planned on.
    known = gpu.memory_free_bytes is not None
    return known and gpu.claimed_by is None and gpu.usable


def _left_out(nodes: Iterable[Node], lookup: GpuLookup) -> Iterator[LeftOut]:
    any_unknown = lookup.any_unknown
    for node in nodes:
        for gpu in node.gpus:
            if gpu.unhealthy_reason is not None:
                yield LeftOut(node.name, gpu.index, Rule.GPU_UNHEALTHY, gpu.unhealthy_reason)
            elif gpu.excluded_reason is not None:
                yield LeftOut(node.name, gpu.index, Rule.GPU_EXCLUDED, gpu.excluded_reason)
            elif gpu.claimed_by is not None:
                yield LeftOut(node.name, gpu.index, Rule.GPU_BUSY, f"claimed by {gpu.claimed_by}")
            elif gpu.memory_free_bytes is None:
                yield LeftOut(node.name, gpu.index, Rule.GPU_UNKNOWN, "free memory unknown")
            elif any_unknown and lookup.resolve(gpu) is None:
                yield LeftOut(node.name, gpu.index, Rule.GPU_UNKNOWN, "unknown type and memory size")
