"""A scene: which cluster is simulated, what runs on it, and what goes wrong when."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import FailFast, Field, PrivateAttr, model_validator

from cluster.cluster_spec import parse_cluster_spec
from cluster.errors import BadInput
from cluster.frozen import FrozenModel
from cluster.inventory import MOST_MEMORY_BYTES, Cluster, Node
from cluster.probe.simulated import Load
from cluster.scenes.faults import Fault, Index, Name, Timed
from cluster.units import GIB

FORMAT: Literal["clusterview-scene"] = "clusterview-scene"
_MOST_ENTRIES = 1000
_MOST_GIB = MOST_MEMORY_BYTES // GIB


class SceneLoad(Timed):
    """A process that is not ours: on each of `gpus` it holds memory and keeps the GPU busy."""

    gpus: Annotated[tuple[Index, ...], Field(max_length=256)] | None = None
    """None: on all GPUs of the node."""
    process: Name = "python3"
    user: Name | None = None
    command: Name | None = None
    pid: Annotated[int, Field(gt=0, lt=2**31, strict=True)] | None = None
    memory_gib: Annotated[float, Field(gt=0, le=_MOST_GIB, allow_inf_nan=False)] = 1.0
    busy: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    other_namespace: bool = False
    """It runs in another container, which this machine cannot look into."""

    def load(self) -> Load:
        """Return it as what a simulated GPU carries."""
        return Load(
            planned_bytes=round(self.memory_gib * GIB),
            loading_fraction=1.0,
            busy_fraction=self.busy,
            process_name=self.process,
            pid=self.pid,
            user=self.user,
            command=self.command,
            other_namespace=self.other_namespace,
        )


class SceneNode(FrozenModel):
    """How a node of the cluster is called; in the order of the cluster."""

    name: Name


class Scene(FrozenModel):
    """A simulated cluster in motion; times are seconds since the scene was opened."""

    format: Literal["clusterview-scene"] = FORMAT
    version: Literal[1] = 1
    cluster: Annotated[str, Field(min_length=1, max_length=1000)]
    """A cluster spec, such as '2x8xH100'."""
    title: Name | None = None
    seed: Annotated[int, Field(ge=0, le=2**32, strict=True)] = 0
    nodes: Annotated[tuple[SceneNode, ...], FailFast(), Field(max_length=_MOST_ENTRIES)] = ()
    loads: Annotated[tuple[SceneLoad, ...], FailFast(), Field(max_length=_MOST_ENTRIES)] = ()
    faults: Annotated[tuple[Fault, ...], FailFast(), Field(max_length=_MOST_ENTRIES)] = ()
    _inventory: Cluster = PrivateAttr()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        try:
            self._inventory = parse_cluster_spec(self.cluster, "simulated")
        except BadInput as error:
            raise ValueError(f"cluster: {error.message}. {error.hint}") from None
        if len(self.nodes) > len(self._inventory.nodes):
            raise ValueError(f"{len(self.nodes)} names for {len(self._inventory.nodes)} nodes")
        named = self.names
        if len(set(named.values())) < len(named):
            raise ValueError("two nodes have the same name")
        for entry in (*self.loads, *self.faults):
            self._check_place(entry)
        return self

    def _check_place(self, entry: Timed) -> None:
        node = self.node_of(entry)
        if node is None:
            known = ", ".join(list(self.names.values())[:8])
            raise ValueError(f"node {entry.node!r} is none of the cluster's: {known}")
        gpus: tuple[int, ...] = getattr(entry, "gpus", None) or ()
        if gpus and max(gpus) >= len(node.gpus):
            raise ValueError(f"node {entry.node!r} has no GPU {max(gpus)}, only 0 to {len(node.gpus) - 1}")
        if entry.until_s is not None and entry.until_s <= entry.at_s:
            raise ValueError(f"until_s {entry.until_s:g} is not after at_s {entry.at_s:g}")

    @property
    def inventory(self) -> Cluster:
        """The idle cluster of the spec, with its nodes called 'node-1', 'node-2' ..."""
        return self._inventory

    @property
    def names(self) -> dict[str, str]:
        """Return the scene's name of each node by the spec's."""
        given = [node.name for node in self.nodes]
        own = [node.name for node in self._inventory.nodes]
        return dict(zip(own, given + own[len(given) :], strict=True))

    @property
    def is_still(self) -> bool:
        """Whether it is only a cluster, on which nothing happens."""
        return not (self.nodes or self.loads or self.faults or self.seed)

    def node_of(self, entry: Timed) -> Node | None:
        """Return the node of the spec that an entry names, by the scene's name or the spec's."""
        for node in self._inventory.nodes:
            if entry.node in (node.name, self.names[node.name]):
                return node
        return None

    def of_node(self, spec_name: str) -> dict[str, Any]:
        """Return the loads and faults of one node, named as in the spec."""
        return {
            kind: tuple(one for one in getattr(self, kind) if self._is_on(one, spec_name))
            for kind in ("loads", "faults")
        }

    def _is_on(self, entry: Timed, spec_name: str) -> bool:
        node = self.node_of(entry)
        return node is not None and node.name == spec_name
