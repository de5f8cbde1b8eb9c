"""Where more replicas of a running deployment fit: GPUs of its kind that are free now. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from cluster.deploy.spec import DeploymentSpec, RankPlace
from cluster.engines.adapter import load_adapter
from cluster.engines.members import members_of
from cluster.errors import BadInput, DeployFailed
from cluster.inventory import Cluster, Gpu, Node
from cluster.planner.layout import Placement
from cluster.planner.placement.condition import avoidance
from cluster.planner.placement.form import Form
from cluster.planner.placement.joined import join_islands
from cluster.planner.placement.ranks import LazyPlacement
from cluster.planner.placement.replicas import EqualReplicas, form_replicas, take
from cluster.planner.placement.survey import survey_cluster
from cluster.units import count_of, format_gib


def more_replicas(spec: DeploymentSpec, numbers: Sequence[int], cluster: Cluster) -> tuple[RankPlace, ...]:
    """Return the ranks of further replicas with these numbers; DeployFailed says what is missing."""
    usable = _usable(spec, cluster)
    form = Form.plain(spec.layout.tp, spec.layout.pp, spec.layout.ep)
    sets = _replica_sets(spec, form, usable, cluster, len(numbers))
    if sum(one.count for one in sets) < len(numbers):
        raise _too_few(spec, len(numbers), sum(one.count for one in sets), usable, cluster)
    places = LazyPlacement(usable, form, take(sets, len(numbers)))
    ranks = tuple(_rank_place(spec, place, numbers[place.replica]) for place in places)
    _check_members(spec, ranks)
    return ranks


def _replica_sets(
    spec: DeploymentSpec, form: Form, usable: Cluster, cluster: Cluster, count: int
) -> list[EqualReplicas]:
    survey = survey_cluster(usable)
    sets = form_replicas(survey, form)
    if sum(one.count for one in sets) < count and _spans_islands(spec, cluster):
        # Such a group was pinned when it was deployed; the others of this deployment may do the same.
        sets = form_replicas(join_islands(survey, form, count), form)
    return sorted(sets, key=lambda one: avoidance(one.condition, one.slowest.link))


def _spans_islands(spec: DeploymentSpec, cluster: Cluster) -> bool:
    """Return whether a tensor-parallel group of this deployment runs over several islands or nodes."""
    first = spec.ranks[0]
    group = [place for place in spec.ranks if (place.replica, place.stage) == (first.replica, first.stage)]
    uuids = {place.gpu_uuid for place in group}
    islands = {
        node.nvlink_domain or (node.node_id, gpu.nvlink_island)
        for node in cluster.nodes
        for gpu in node.gpus
        if gpu.uuid in uuids
    }
    return len(islands) > 1


def _usable(spec: DeploymentSpec, cluster: Cluster) -> Cluster:
    """Return the cluster with only the GPUs that another replica may use."""
    kinds, need_bytes = _kinds(spec, cluster), _need_bytes(spec)
    nodes = tuple(
        node.model_copy(update={"gpus": tuple(gpu for gpu in node.gpus if _fits(gpu, kinds, need_bytes))})
        for node in cluster.nodes
        if not node.error and _may_have_engine(spec, node)
    )
    return cluster.model_copy(update={"nodes": nodes})


def _kinds(spec: DeploymentSpec, cluster: Cluster) -> set[str]:
    """Return the GPU types that the deployment runs on: its launch was planned for these."""
    uuids = {place.gpu_uuid for place in spec.ranks}
    return {gpu.type for node in cluster.nodes for gpu in node.gpus if gpu.uuid in uuids}


def _need_bytes(spec: DeploymentSpec) -> int:
    return max((place.planned_bytes or 0 for place in spec.ranks), default=0)


def _fits(gpu: Gpu, kinds: set[str], need_bytes: int) -> bool:
    return _is_free(gpu, kinds) and (gpu.memory_free_bytes or 0) >= need_bytes


def _is_free(gpu: Gpu, kinds: set[str]) -> bool:
    of_kind = not kinds or gpu.type in kinds
    known = gpu.memory_free_bytes is not None
    return of_kind and known and gpu.claimed_by is None and gpu.usable


def _may_have_engine(spec: DeploymentSpec, node: Node) -> bool:
    """False where it is known that the engine, in this version, is not there; preflight asks again.

    Whoever scales may have looked in another Python than the one that the deployment names.
    """
    if spec.server is None or spec.server.python is not None or node.engines is None:
        return True
    return node.engines.get(spec.engine.name) == spec.engine.version


def _rank_place(spec: DeploymentSpec, place: Placement, number: int) -> RankPlace:
    """Return the new rank with the memory and the layers of its equal in another replica."""
    like = next(one for one in spec.ranks if (one.stage, one.rank) == (place.stage, place.rank))
    update = {
        "replica": number,
        "node_id": place.node,
        "node_name": place.node_name,
        "gpu_index": place.gpu_index,
        "gpu_uuid": place.gpu_uuid,
    }
    return like.model_copy(update=update)


def _check_members(spec: DeploymentSpec, ranks: Sequence[RankPlace]) -> None:
    """Raise DeployFailed for a replica whose nodes the engine cannot be told."""
    if spec.server is None:
        return
    launch, adapter = spec.server.launch, load_adapter(spec.engine.name)
    for number in sorted({place.replica for place in ranks}):
        own = [place.placement for place in ranks if place.replica == number]
        try:
            refused = adapter.refusal(launch, members_of(own, launch), spec.engine.version)
        except BadInput as error:
            refused = error.message
        if refused:
            raise DeployFailed(f"replica {number} cannot run on the GPUs that are free: {refused}")


def _too_few(
    spec: DeploymentSpec, wanted: int, found: int, usable: Cluster, cluster: Cluster
) -> DeployFailed:
    """Return the error that says what one more replica needs and what there is."""
    missing = f"only {found} of {wanted} more replicas can be placed" if found else _missing(spec, usable)
    return DeployFailed(
        f"{spec.name}: {missing}{_passed_over(spec, cluster)}",
        "Stop another deployment, or scale to fewer replicas",
    )


def _missing(spec: DeploymentSpec, usable: Cluster) -> str:
    tp, pp, need = spec.layout.tp, spec.layout.pp, spec.layout.gpus_per_replica
    free = sum(len(node.gpus) for node in usable.nodes)
    if tp == 1 or free < need:
        return f"one more replica needs {count_of(need, 'free GPU')}, {free} can be used"
    link, most, where = _widest(usable)
    stages = f" for each of {pp} stages" if pp > 1 else ""
    return f"no {tp} free GPUs in one {link}{stages}: {most} are free on {where}"


def _widest(usable: Cluster) -> tuple[str, int, str]:
    """Return the largest group of connected free GPUs: its link, its size, a node where it is."""
    shapes = survey_cluster(usable).shapes
    domains = [(len(domain.slots), domain, shape.machines[0]) for shape in shapes for domain in shape.domains]
    most, domain, machine = max(domains, key=lambda entry: entry[0])
    link = "NVLink island" if domain.pool.link == "nvlink" else "node"
    return link, most, usable.nodes[machine.node_of(domain.slots[0])].name


def _passed_over(spec: DeploymentSpec, cluster: Cluster) -> str:
    """Name free GPUs of the right kind that have too little memory."""
    kinds, need_bytes = _kinds(spec, cluster), _need_bytes(spec)
    full = list(islice(_too_full(cluster, kinds, need_bytes), 3))
    if not full:
        return ""
    return f" (each GPU needs {format_gib(need_bytes)}: {', '.join(full)})"


def _too_full(cluster: Cluster, kinds: set[str], need_bytes: int) -> Iterator[str]:
    for node in cluster.nodes:
        for gpu in node.gpus:
            free = gpu.memory_free_bytes
            if _is_free(gpu, kinds) and free is not None and free < need_bytes:
                yield f"GPU {gpu.index} on {node.name} has {format_gib(free)} free"
