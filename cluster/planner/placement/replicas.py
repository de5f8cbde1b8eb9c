"""Build replicas from the usable GPUs: inside a machine first, then across machines.

Equal replicas are one `EqualReplicas`. The GPUs of each are only computed on demand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cluster.planner.placement.condition import SOUND, Condition, preference, worst
from cluster.planner.placement.form import Form
from cluster.planner.placement.machines import GpuPool, GpuSlot, Machine, MachineShape, Survey, TpDomain
from cluster.planner.placement.wide_groups import PooledGroup, TpGroup, split_joined

_PlacedGroup = tuple[GpuPool, Machine, TpGroup]


@dataclass(frozen=True, slots=True)
class EqualReplicas:
    """Replicas that are equal in everything that decides whether they fit."""

    pools: tuple[GpuPool, ...]
    """Of each TP group; they differ only where a pipeline runs over different GPU types."""
    frees: tuple[int, ...]
    """Least free bytes of each TP group of a replica."""
    count: int
    machines: tuple[Machine, ...]
    groups: tuple[TpGroup, ...]
    condition: Condition = SOUND
    """What the worst GPU of a replica leaves of the rates."""
    paired: bool = False
    """Group i lies on machine i; otherwise every machine holds all TP groups, one machine after the other."""

    def site(self, replica: int, group: int) -> tuple[Machine, TpGroup]:
        """Return the machine and the GPUs of a replica's TP group."""
        number = replica * len(self.frees) + group
        if self.paired:
            return self.machines[number], self.groups[number]
        machine, within = divmod(number, len(self.groups))
        return self.machines[machine], self.groups[within]

    @property
    def slowest(self) -> GpuPool:
        """The slowest pool, which sets the pace of a pipeline."""
        return min(self.pools, key=lambda pool: pool.memory_bytes_per_s)

    @property
    def shares_machines(self) -> bool:
        """True if replicas span machines and one ends in the machine where the next begins."""
        return not self.paired and self.num_machines > 1 and len(self.frees) % len(self.groups) != 0

    @property
    def num_machines(self) -> int:
        """Machines that one replica spans."""
        return len({self.site(0, group)[0].nodes for group in range(len(self.frees))})


def take(sets: Sequence[EqualReplicas], count: int) -> list[tuple[EqualReplicas, int]]:
    """Return how many replicas to take from each set, in order, for `count` in total."""
    taken = []
    for replicas in sets:
        some = min(count, replicas.count)
        if some:
            taken.append((replicas, some))
        count -= some
    return taken


def form_replicas(survey: Survey, form: Form) -> list[EqualReplicas]:
    """Return all replicas of this form that can be built on the cluster; no GPU is in two of them."""
    sets: list[EqualReplicas] = []
    left: dict[GpuPool, list[tuple[MachineShape, list[TpGroup]]]] = defaultdict(list)
    for shape in survey.shapes:
        for pool, groups in _groups_by_pool(shape, form).items():
            rest = _inside_machines(shape, pool, groups, form, sets)
            if rest:
                left[pool].append((shape, rest))
    ends: list[_PlacedGroup] = []
    for pool, leftovers in left.items():
        ends.extend(_join(_across_machines(pool, leftovers, form, sets), form, sets))
    _join(ends, form, sets)
    return sets


def _groups_by_pool(shape: MachineShape, form: Form) -> dict[GpuPool, list[TpGroup]]:
    by_pool: dict[GpuPool, list[TpGroup]] = defaultdict(list)
    for domain in shape.domains:
        if domain.pool.link == "none" and form.gpus > 1:
            continue
        for pool, group in _cut(domain, form.group_gpus):
            by_pool[pool].append(group)
    for pool, groups in by_pool.items():
        groups.sort(key=lambda group: _preference(pool, group))
    return by_pool


def _preference(pool: GpuPool, group: TpGroup) -> tuple[float, ...]:
    avoid = max(slot.avoid for slot in group)
    preferred = preference(least_free(group), pool.total_bytes, avoid)
    return (*preferred, group[0].node_offset, group[0].gpu_position)


def _cut(domain: TpDomain, size: int) -> Iterable[PooledGroup]:
    """Split a domain into TP groups, most free memory first; a TP group stays in one node if possible."""
    if domain.parts:
        return split_joined(domain, size)
    if size > domain.gpus_per_node or domain.gpus_per_node == len(domain.slots):
        lanes: list[list[GpuSlot]] = [list(domain.slots)]
    else:
        by_node: dict[int, list[GpuSlot]] = defaultdict(list)
        for slot in domain.slots:
            by_node[slot.node_offset].append(slot)
        lanes = list(by_node.values())
    return [
        (domain.pool, tuple(lane[first : first + size]))
        for lane in lanes
        for first in range(0, len(lane) - size + 1, size)
    ]


def _inside_machines(
    shape: MachineShape, pool: GpuPool, groups: list[TpGroup], form: Form, sets: list[EqualReplicas]
) -> list[TpGroup]:
    """Add the replicas that fit one machine; return the TP groups left over in each machine."""
    per_replica = form.num_groups
    whole = len(groups) // per_replica
    alike: dict[tuple[tuple[int, ...], Condition], list[TpGroup]] = defaultdict(list)
    for replica in range(whole):
        own = groups[replica * per_replica : (replica + 1) * per_replica]
        alike[_frees(own), condition_among(own)].extend(own)
    for (frees, condition), own in alike.items():
        count = len(own) // per_replica * len(shape.machines)
        pools = (pool,) * per_replica
        sets.append(EqualReplicas(pools, frees, count, shape.machines, tuple(own), condition))
    return groups[whole * per_replica :]


def _across_machines(
    pool: GpuPool, leftovers: list[tuple[MachineShape, list[TpGroup]]], form: Form, sets: list[EqualReplicas]
) -> list[_PlacedGroup]:
    """Build replicas from the leftovers of machines of one shape; return what is still left of each shape."""
    pieces: list[_PlacedGroup] = []
    for shape, groups in leftovers:
        total = len(groups) * len(shape.machines)
        count = total // form.num_groups
        if count:
            # Stages may land on any of the machines' TP groups, so each must fit the smallest one.
            frees = (min(_frees(groups)),) * form.num_groups
            pools = (pool,) * form.num_groups
            condition = condition_among(groups)
            sets.append(EqualReplicas(pools, frees, count, shape.machines, tuple(groups), condition))
        for number in range(count * form.num_groups, total):
            machine, within = divmod(number, len(groups))
            pieces.append((pool, shape.machines[machine], groups[within]))
    return pieces


def _join(pieces: list[_PlacedGroup], form: Form, sets: list[EqualReplicas]) -> list[_PlacedGroup]:
    """Build replicas from single TP groups, in order, sound ones first; return the TP groups left over."""
    size = form.num_groups
    pieces = sorted(pieces, key=lambda piece: max(slot.avoid for slot in piece[2]))
    whole = len(pieces) // size * size
    for first in range(0, whole, size):
        pools, machines, groups = zip(*pieces[first : first + size], strict=True)
        condition = condition_among(groups)
        sets.append(EqualReplicas(pools, _frees(groups), 1, machines, groups, condition, paired=True))
    return pieces[whole:]


def _frees(groups: Sequence[TpGroup]) -> tuple[int, ...]:
    return tuple(map(least_free, groups))


def least_free(group: TpGroup) -> int:
    """Return the free bytes of the group's fullest GPU."""
    return min(slot.free_bytes for slot in group)


def condition_among(groups: Iterable[TpGroup]) -> Condition:
    """Return what the worst GPU among these groups leaves of the rates."""
    return worst(slot.condition for group in groups for slot in group)
