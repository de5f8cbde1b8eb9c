"""What is known of a node's GPUs from before: one that cannot be read any more keeps its identity. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.detail import GpuDetail, NodeDetail, XidEvent
from cluster.inventory import Gpu, Node
from cluster.probe.readings import placeholder_uuid
from cluster.telemetry import GpuReading, NodeReading

_NUM_MIG_INDEXES = 1000
_MOST_XIDS = 20


class KnownGpus:
    """Remembers the GPUs of a node by index, across the processes that read it."""

    def __init__(self) -> None:
        self._gpus: dict[int, Gpu] = {}
        self._xids: dict[str, tuple[XidEvent, ...]] = {}

    def node(self, node: Node) -> Node:
        """Return the node with the identity of each GPU that was readable before, and remember it."""
        gpus = [kept for gpu in node.gpus for kept in self._identified(gpu)]
        gpus = [self._with_island(gpu, gpus) for gpu in gpus]
        self._gpus = {gpu.index: gpu for gpu in gpus}
        return node.model_copy(update={"gpus": tuple(gpus)})

    def reading(self, reading: NodeReading) -> NodeReading:
        """Return the reading under the UUIDs that the node has."""
        gpus = [named for gpu in reading.gpus for named in self._renamed(gpu)]
        return reading if gpus == list(reading.gpus) else reading.model_copy(update={"gpus": tuple(gpus)})

    def detail(self, detail: NodeDetail) -> NodeDetail:
        """Return the slow figures without those of GPUs that could not be read, with all Xids so far.

        A process that reads a node knows only the Xids since it began.
        """
        known = {gpu.uuid for gpu in self._gpus.values()}
        gpus = tuple(self._with_xids(gpu) for gpu in detail.gpus if gpu.uuid in known)
        return detail.model_copy(update={"gpus": gpus})

    def _with_xids(self, gpu: GpuDetail) -> GpuDetail:
        before = [xid for xid in self._xids.get(gpu.uuid, ()) if xid not in gpu.xids]
        self._xids[gpu.uuid] = (*before, *gpu.xids)[-_MOST_XIDS:]
        return gpu.model_copy(update={"xids": self._xids[gpu.uuid]}) if before else gpu

    def _identified(self, gpu: Gpu) -> list[Gpu]:
        if gpu.uuid != placeholder_uuid(gpu.index):
            return [gpu]
        gone = {"memory_free_bytes": None, "processes": (), "unhealthy_reason": gpu.unhealthy_reason}
        return [known.model_copy(update=gone) for known in self._parts(gpu.index)] or [gpu]

    def _parts(self, index: int) -> list[Gpu]:
        """Return what was known under an index: the GPU, or the MIG slices that it was cut into."""
        if index in self._gpus:
            return [self._gpus[index]]
        return [gpu for i, gpu in self._gpus.items() if i // _NUM_MIG_INDEXES - 1 == index]

    def _with_island(self, gpu: Gpu, gpus: Iterable[Gpu]) -> Gpu:
        """Put a GPU that cannot be read back into its island, under the name that it has now."""
        before = self._gpus.get(gpu.index)
        if gpu.healthy or before is None or before.uuid != gpu.uuid or before.nvlink_island is None:
            return gpu
        members = {known.uuid for known in self._gpus.values() if known.nvlink_island == before.nvlink_island}
        now = {peer.nvlink_island for peer in gpus if peer.uuid in members and peer.healthy} - {None}
        taken = {peer.nvlink_island for peer in gpus if peer.healthy}
        alone = None if before.nvlink_island in taken else before.nvlink_island
        return gpu.model_copy(update={"nvlink_island": now.pop() if len(now) == 1 else alone})

    def _renamed(self, reading: GpuReading) -> list[GpuReading]:
        index = _placeholder_index(reading.uuid)
        if index is None:
            return [reading]
        return [reading.model_copy(update={"uuid": gpu.uuid}) for gpu in self._parts(index)] or [reading]


def _placeholder_index(uuid: str) -> int | None:
    number = uuid.removeprefix(placeholder_uuid(0).removesuffix("0"))
    return int(number) if number != uuid and number.isascii() and number.isdigit() else None
