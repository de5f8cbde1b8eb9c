"""What is exported: a layout of a plan, its launch options, and its replicas node by node."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.gpus import find_gpu
from cluster.engines.launch import Member, ServerLaunch
from cluster.engines.members import members_of
from cluster.errors import BadInput, UnknownName
from cluster.inventory import Gpu, Node
from cluster.planner.layout import Placement
from cluster.planner.result import Candidate, Plan

_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Replica:
    """One server: its members, and the node of each."""

    number: int
    members: tuple[Member, ...]
    """Without addresses and ports."""
    nodes: tuple[Node, ...]
    """The node of each member."""
    gpu_types: tuple[str, ...]
    """The types of GPU that it runs on, each once."""

    @property
    def gpus_per_node(self) -> int:
        """GPUs on each of its nodes; members are equally large."""
        return len(self.members[0].gpu_indices)

    @property
    def shape(self) -> tuple[int, int, tuple[str, ...]]:
        """What replicas must have in common to be made from one template."""
        return len(self.members), self.gpus_per_node, self.gpu_types


@dataclass(frozen=True, slots=True)
class ExportTarget:
    """A layout of a plan, ready to be written down."""

    plan: Plan
    candidate: Candidate
    launch: ServerLaunch
    replicas: tuple[Replica, ...]

    @property
    def name(self) -> str:
        """A name of lower-case letters, digits and dashes, as Kubernetes and Compose take it."""
        return resource_name(self.plan.model.name)

    @property
    def gpu_types(self) -> tuple[str, ...]:
        """The types of GPU that the layout runs on, each once."""
        return tuple(dict.fromkeys(kind for replica in self.replicas for kind in replica.gpu_types))

    @property
    def by_shape(self) -> tuple[tuple[Replica, ...], ...]:
        """The replicas, those that one template can make together."""
        ordered = sorted(self.replicas, key=lambda replica: replica.shape)
        return tuple(tuple(alike) for _, alike in groupby(ordered, key=lambda replica: replica.shape))


def make_target(plan: Plan, candidate: Candidate, launch: ServerLaunch) -> ExportTarget:
    """Return a layout with its replicas; BadInput for a division over nodes that engines do not take."""
    nodes = {node.node_id: node for node in plan.cluster.nodes}
    placed = sorted(candidate.placement, key=lambda place: place.replica)
    replicas = tuple(
        _replica(number, tuple(places), nodes, launch)
        for number, places in groupby(placed, key=lambda place: place.replica)
    )
    return ExportTarget(plan, candidate, launch, replicas)


def _replica(
    number: int, places: Sequence[Placement], nodes: dict[str, Node], launch: ServerLaunch
) -> Replica:
    members = members_of(places, launch)
    ordered = sorted(places, key=lambda place: (place.stage, place.rank))
    gpus = [_gpu(nodes[place.node], place) for place in ordered]
    return Replica(
        number=number,
        members=members,
        nodes=tuple(nodes[name] for name in dict.fromkeys(place.node for place in ordered)),
        gpu_types=tuple(sorted({gpu.type for gpu in gpus})),
    )


def _gpu(node: Node, place: Placement) -> Gpu:
    gpu = next(gpu for gpu in node.gpus if gpu.index == place.gpu_index)
    if gpu.mig_parent_uuid is not None:
        raise BadInput(
            f"{place.node_name} GPU {place.gpu_index} is a MIG slice, and engines are given GPUs by number",
            "Export a layout on whole GPUs",
        )
    return gpu


def gpu_spec(gpu_type: str) -> GpuSpec | None:
    """Return what the catalog has of a GPU type; None for one that it does not have."""
    try:
        return find_gpu(gpu_type)
    except UnknownName:
        return None


def resource_name(model_name: str) -> str:
    """Return a model's name as a DNS label that starts with a letter: 'llama-3-1-8b'."""
    last = model_name.rstrip("/").removesuffix("/config.json").rpartition("/")[2]
    label = re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")[:_LONGEST_NAME].strip("-")
    return label if label[:1].isalpha() else f"llm-{label}".strip("-")
