"""Build replicas from the usable GPUs: inside a machine first, then across machines.

Equal replicas are one `ReplicaSet`. The GPUs of each are only computed on demand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cluster.planner.placement.form import Form
from cluster.planner.placement.machines import Domain, Machine, MachineShape, Pool, Spot, Survey
from cluster.planner.placement.wide_chunks import Chunk, Cut, cut_joined

_Piece = tuple[Pool, Machine, Chunk]


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """Replicas that are equal in everything that decides whether they fit."""

    pools: tuple[Pool, ...]
    """Of each chunk; they differ only where a pipeline runs over different GPU types."""
    frees: tuple[int, ...]
    """Least free bytes of each chunk of a replica."""
    count: int
    machines: tuple[Machine, ...]
    chunks: tuple[Chunk, ...]
    paired: bool = False
    """Chunk i lies on machine i; otherwise every machine holds all chunks, one machine after the other."""

    def site(self, replica: int, chunk: int) -> tuple[Machine, Chunk]:
        """Return the machine and the GPUs of a replica's chunk."""
        number = replica * len(self.frees) + chunk
        if self.paired:
            return self.machines[number], self.chunks[number]
        machine, within = divmod(number, len(self.chunks))
        return self.machines[machine], self.chunks[within]

    @property
    def slowest(self) -> Pool:
        """The slowest pool, which sets the pace of a pipeline."""
        return min(self.pools, key=lambda pool: pool.memory_bytes_per_s)

    @property
    def shares_machines(self) -> bool:
        """True if replicas span machines and one ends in the machine where the next begins."""
        return not self.paired and self.num_machines > 1 and len(self.frees) % len(self.chunks) != 0

    @property
    def num_machines(self) -> int:
        """Machines that one replica spans."""
        return len({self.site(0, chunk)[0].nodes for chunk in range(len(self.frees))})


def take(sets: Sequence[ReplicaSet], count: int) -> list[tuple[ReplicaSet, int]]:
    """Return how many replicas to take from each set, in order, for `count` in total."""
    taken = []
    for replicas in sets:
        some = min(count, replicas.count)
        if some:
            taken.append((replicas, some))
        count -= some
    return taken


def form_replicas(survey: Survey, form: Form) -> list[ReplicaSet]:
    """Return all replicas of this form that can be built on the cluster; no GPU is in two of them."""
    sets: list[ReplicaSet] = []
    left: dict[Pool, list[tuple[MachineShape, list[Chunk]]]] = defaultdict(list)
    for shape in survey.shapes:
        for pool, chunks in _chunks_by_pool(shape, form).items():
            rest = _inside_machines(shape, pool, chunks, form, sets)
            if rest:
                left[pool].append((shape, rest))
    ends: list[_Piece] = []
    for pool, leftovers in left.items():
        ends.extend(_join(_across_machines(pool, leftovers, form, sets), form, sets))
    _join(ends, form, sets)
    return sets


def _chunks_by_pool(shape: MachineShape, form: Form) -> dict[Pool, list[Chunk]]:
    by_pool: dict[Pool, list[Chunk]] = defaultdict(list)
    for domain in shape.domains:
        if domain.pool.link == "none" and form.gpus > 1:
            continue
        for pool, chunk in _cut(domain, form.chunk_gpus):
            by_pool[pool].append(chunk)
    for chunks in by_pool.values():
        chunks.sort(key=lambda chunk: (-chunk[-1].free_bytes, chunk[0].node_offset, chunk[0].gpu_position))
    return by_pool


def _cut(domain: Domain, size: int) -> Iterable[Cut]:
    """Cut a domain into chunks, most free memory first; a chunk stays in one node if possible."""
    if domain.parts:
        return cut_joined(domain, size)
    if size > domain.gpus_per_node or domain.gpus_per_node == len(domain.spots):
        lanes: list[list[Spot]] = [list(domain.spots)]
    else:
        by_node: dict[int, list[Spot]] = defaultdict(list)
        for spot in domain.spots:
            by_node[spot.node_offset].append(spot)
        lanes = list(by_node.values())
    return [
        (domain.pool, tuple(lane[first : first + size]))
        for lane in lanes
        for first in range(0, len(lane) - size + 1, size)
    ]


def _inside_machines(
    shape: MachineShape, pool: Pool, chunks: list[Chunk], form: Form, sets: list[ReplicaSet]
) -> list[Chunk]:
    """Add the replicas that fit one machine; return the chunks left over in each machine."""
    per_replica = form.num_chunks
    whole = len(chunks) // per_replica
    alike: dict[tuple[int, ...], list[Chunk]] = defaultdict(list)
    for replica in range(whole):
        own = chunks[replica * per_replica : (replica + 1) * per_replica]
        alike[_frees(own)].extend(own)
    for frees, own in alike.items():
        count = len(own) // per_replica * len(shape.machines)
        sets.append(ReplicaSet((pool,) * per_replica, frees, count, shape.machines, tuple(own)))
    return chunks[whole * per_replica :]


def _across_machines(
    pool: Pool, leftovers: list[tuple[MachineShape, list[Chunk]]], form: Form, sets: list[ReplicaSet]
) -> list[_Piece]:
    """Build replicas from the leftovers of machines of one shape; return what is still left of each shape."""
    pieces: list[_Piece] = []
    for shape, chunks in leftovers:
        total = len(chunks) * len(shape.machines)
        count = total // form.num_chunks
        if count:
            # Stages may land on any of the machines' chunks, so each must fit the smallest one.
            frees = (min(_frees(chunks)),) * form.num_chunks
            pools = (pool,) * form.num_chunks
            sets.append(ReplicaSet(pools, frees, count, shape.machines, tuple(chunks)))
        for number in range(count * form.num_chunks, total):
            machine, within = divmod(number, len(chunks))
            pieces.append((pool, shape.machines[machine], chunks[within]))
    return pieces


def _join(pieces: list[_Piece], form: Form, sets: list[ReplicaSet]) -> list[_Piece]:
    """Build replicas from single chunks, in order; return the chunks left over."""
    size = form.num_chunks
    whole = len(pieces) // size * size
    for first in range(0, whole, size):
        pools, machines, chunks = zip(*pieces[first : first + size], strict=True)
        sets.append(ReplicaSet(pools, _frees(chunks), 1, machines, chunks, paired=True))
    return pieces[whole:]


def _frees(chunks: Sequence[Chunk]) -> tuple[int, ...]:
    return tuple(chunk[-1].free_bytes for chunk in chunks)
