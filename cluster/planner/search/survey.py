"""Which GPUs may be planned on, and which of them reach each other: one pass over the cluster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable

from cluster.inventory import Cluster, Gpu, Node
from cluster.planner.search.gpu_types import Resolved, SpecBook
from cluster.planner.search.machines import Domain, LeftOut, Link, MachineShape, Pool, Spot, Survey

MOST_SHAPES = 48
_GRAINS_BYTES = (1, 64 * 1024**2, 1024**3, 8 * 1024**3)

GpuKey = tuple[Hashable, ...]


def survey_cluster(cluster: Cluster) -> Survey:
    """Sort the cluster's usable GPUs into machine shapes; the rest is left out, each with its reason.

    Free memory is taken as read. Only where more than MOST_SHAPES machines differ in it, it is rounded down.
    """
    groups = _machine_groups(cluster.nodes)
    by_shape: dict[Hashable, list[tuple[int, ...]]] = {}
    for grain in _GRAINS_BYTES:
        by_shape = defaultdict(list)
        for group in groups:
            by_shape[tuple(_node_key(cluster.nodes[i], grain) for i in group)].append(group)
        if len(by_shape) <= MOST_SHAPES:
            break
    book = SpecBook()
    pools: dict[Hashable, Pool] = {}
    shapes = tuple(
        MachineShape(_domains([cluster.nodes[i] for i in machines[0]], grain, book, pools), tuple(machines))
        for machines in by_shape.values()
    )
    kept = tuple(shape for shape in shapes if shape.domains)
    return Survey(kept, tuple(_left_out(cluster.nodes)), book.notes)


def _machine_groups(nodes: tuple[Node, ...]) -> list[tuple[int, ...]]:
    groups: dict[Hashable, list[int]] = {}
    for position, node in enumerate(nodes):
        if node.gpus:
            groups.setdefault(node.nvlink_domain or position, []).append(position)
    return [tuple(group) for group in groups.values()]


def _node_key(node: Node, grain: int) -> Hashable:
    return (node.network_bytes_per_s, tuple([_gpu_key(gpu, grain) for gpu in node.gpus]))


def _gpu_key(gpu: Gpu, grain: int) -> GpuKey:
    free = gpu.memory_free_bytes
    return (
        gpu.type,
        gpu.memory_total_bytes,
        None if free is None else free // grain,
        gpu.nvlink_island,
        gpu.claimed_by is None and gpu.unhealthy_reason is None,
        gpu.mig_parent_uuid is None,
    )


def _domains(
    nodes: list[Node], grain: int, book: SpecBook, pools: dict[Hashable, Pool]
) -> tuple[Domain, ...]:
    """Group the usable GPUs of one machine by pool and by what they reach each other over."""
    members: dict[Hashable, list[Spot]] = defaultdict(list)
    pool_of: dict[Hashable, Pool] = {}
    for offset, node in enumerate(nodes):
        for position, gpu in enumerate(node.gpus):
            resolved = book.resolve(gpu) if _usable(gpu) else None
            if resolved is None:
                continue
            link, reach = _reach(node, offset, gpu, resolved)
            pool_key = (resolved.spec.type, resolved.total_bytes, link, node.network_bytes_per_s)
            pool = pools.setdefault(
                pool_key, Pool(resolved.spec, resolved.total_bytes, link, node.network_bytes_per_s)
            )
            key = (pool_key, reach)
            pool_of[key] = pool
            members[key].append(Spot(offset, position, _free_bytes(gpu, resolved, grain)))
    return tuple(_domain(pool_of[key], spots, len(nodes)) for key, spots in members.items())


def _domain(pool: Pool, spots: list[Spot], num_nodes: int) -> Domain:
    ordered = tuple(sorted(spots, key=lambda spot: (-spot.free_bytes, spot.node_offset, spot.gpu_position)))
    if num_nodes == 1:
        return Domain(pool, ordered, len(ordered))
    counts: dict[int, int] = defaultdict(int)
    for spot in spots:
        counts[spot.node_offset] += 1
    return Domain(pool, ordered, max(counts.values()))


def _reach(node: Node, offset: int, gpu: Gpu, resolved: Resolved) -> tuple[Link, Hashable]:
    if gpu.mig_parent_uuid is not None:
        return "none", gpu.uuid
    if node.nvlink_domain is not None and resolved.spec.nvlink_bytes_per_s > 0:
        return "nvlink", node.nvlink_domain
    if gpu.nvlink_island is not None:
        return "nvlink", (offset, gpu.nvlink_island)
    return "pcie", offset


def _free_bytes(gpu: Gpu, resolved: Resolved, grain: int) -> int:
    if gpu.memory_free_bytes is None:
        return resolved.total_bytes
    return min(max(0, gpu.memory_free_bytes), resolved.total_bytes) // grain * grain


def _usable(gpu: Gpu) -> bool:
    return gpu.claimed_by is None and gpu.unhealthy_reason is None


def _left_out(nodes: Iterable[Node]) -> Iterable[LeftOut]:
    for node in nodes:
        for gpu in node.gpus:
            if gpu.unhealthy_reason is not None:
                yield LeftOut(node.name, gpu.index, "gpu_unhealthy", gpu.unhealthy_reason)
            elif gpu.claimed_by is not None:
                yield LeftOut(node.name, gpu.index, "gpu_busy", f"claimed by {gpu.claimed_by}")
