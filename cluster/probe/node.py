"""One node as NVML reports it: its GPUs, and what they are doing.

Needs only this package, the root types and pydantic, so that it can be shipped to a node alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from cluster.detail import NodeDetail
from cluster.gpu_facts import NodeFacts
from cluster.inventory import Gpu, Node
from cluster.probe.detail import DetailReader
from cluster.probe.facts import FactReader
from cluster.probe.identity import read_gpu
from cluster.probe.lines import LeftOut
from cluster.probe.nvml import Device, NvmlSession
from cluster.probe.paths import TopologyReader
from cluster.probe.processes import ProcessReader
from cluster.probe.query import NO_GPUS, Mark, NvmlGone
from cluster.probe.readings import GpuSweep, placeholder_uuid
from cluster.probe.topology import nvlink_domain
from cluster.probe.visible import Visible, with_excluded
from cluster.telemetry import GpuReading, NodeReading


class NodeReader:
    """Reads this machine repeatedly over one NVML session, reopened after the driver was lost."""

    def __init__(
        self,
        node_id: str,
        name: str,
        *,
        mark: Mark | None = None,
        skipped: dict[int, str] | None = None,
        left_out: tuple[LeftOut, ...] = (),
        visible: Visible | None = None,
    ) -> None:
        self._node_id, self._name = node_id, name
        self._mark, self._left_out = mark, left_out
        self._skipped = skipped or {}
        self._visible = visible
        self._session: NvmlSession | None = None
        self._devices: tuple[Device, ...] = ()
        self._known: dict[int, Gpu] = {}
        self._details = DetailReader()
        self._processes, self._facts = ProcessReader(), FactReader()
        self._sweep = GpuSweep(self._processes)
        self._topology = TopologyReader()
        self._closed_because = "NVML is not open"

    def read_inventory(self) -> Node:
        """Look at what is there: identities, health, links. Slow; ask every 10 to 30 seconds."""
        try:
            gpus, domain, facts = self._read_gpus()
        except NvmlGone as gone:
            self._lose(str(gone))
            gpus = with_excluded(self._known_gpus(str(gone)), self._visible)
            return Node(node_id=self._node_id, name=self._name, gpus=gpus, error=str(gone))
        gpus, error = with_excluded(gpus, self._visible), None if gpus else NO_GPUS
        return Node(
            node_id=self._node_id, name=self._name, gpus=gpus, nvlink_domain=domain, facts=facts, error=error
        )

    def _read_gpus(self) -> tuple[tuple[Gpu, ...], str | None, NodeFacts]:
        self._session = self._session or NvmlSession(self._mark, self._left_out)
        query = self._session.query
        self._devices = self._session.devices(self._skipped)
        islands, node_facts = self._topology.look(query, self._devices)
        self._facts.begin()
        for device in self._devices:
            known = self._known.get(device.index)
            gpu = read_gpu(query, device, self._processes, self._facts, known)
            island = islands.get(device.index)
            self._known[device.index] = gpu.model_copy(update={"nvlink_island": island})
        self._known = _with_distinct_uuids(
            {device.index: self._known[device.index] for device in self._devices}
        )
        return tuple(self._known.values()), nvlink_domain(query, self._devices), node_facts

    def _known_gpus(self, reason: str) -> tuple[Gpu, ...]:
        """Return the GPUs seen last: a driver that is away does not take them out of the machine."""
        away = {"memory_free_bytes": None, "processes": (), "unhealthy_reason": reason}
        return tuple(gpu.model_copy(update=away) for gpu in self._known.values())

    def read_now(self) -> NodeReading:
        """Look at what the GPUs of the last inventory are doing. Fast: some twenty cheap calls a GPU."""
        if self._session is None:
            state = "lost" if self._known else "no_gpus"
            return self._reading(state=state, reason=self._closed_because)
        query = self._session.query
        try:
            gpus = tuple(self._sweep.read(query, device, self._uuid(device)) for device in self._devices)
        except NvmlGone as gone:
            self._lose(str(gone))
            return self._reading(state="lost", reason=str(gone))
        return self._reading(gpus) if gpus else self._reading(state="no_gpus", reason=NO_GPUS)

    def detail_steps(self) -> Iterator[NodeDetail | None]:
        """Read the slow figures of the GPUs of the last inventory, one GPU a step; the last step returns all.

        Between two steps the caller may read what does not wait: a GPU can take a tenth of a second.
        """
        session, gpus = self._session, []
        try:
            if session is not None:
                self._details.begin(session.query, self._devices)
            for device in self._devices:
                if session is None or session is not self._session:
                    return
                gpus.append(self._details.read(session.query, device, self._uuid(device)))
                yield None
        except NvmlGone as gone:
            self._lose(str(gone))
            return
        yield NodeDetail(node_id=self._node_id, taken_at_s=time.time(), gpus=tuple(gpus))

    def read_detail(self) -> NodeDetail | None:
        """Read all slow figures at once; None when NVML was lost meanwhile."""
        return next((detail for detail in self.detail_steps() if detail is not None), None)

    def _uuid(self, device: Device) -> str:
        known = self._known.get(device.index)
        return known.uuid if known else placeholder_uuid(device.index)

    def _reading(self, gpus: tuple[GpuReading, ...] = (), **state: str) -> NodeReading:
        return NodeReading(node_id=self._node_id, taken_at_s=time.time(), gpus=gpus, **state)  # type: ignore[arg-type]

    def _lose(self, reason: str) -> None:
        self._closed_because = reason
        # The driver that comes back may be another one.
        self._facts.forget()
        self.close()

    def close(self) -> None:
        """Let NVML go; the next inventory opens it again."""
        if self._session is not None:
            self._session.close()
            self._session = None


def _with_distinct_uuids(gpus: dict[int, Gpu]) -> dict[int, Gpu]:
    """Mark a GPU with the UUID of an earlier one as unhealthy: the two cannot be told apart."""
    first: dict[str, int] = {}
    apart = {}
    for index, gpu in gpus.items():
        earlier = first.setdefault(gpu.uuid, index)
        reason = f"it reports the UUID of GPU {earlier}"
        aside = {"uuid": placeholder_uuid(index), "unhealthy_reason": reason}
        apart[index] = gpu if earlier == index else gpu.model_copy(update=aside)
    return apart
