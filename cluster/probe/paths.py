"""How the GPUs and network devices of a node reach each other: the matrix of `nvidia-smi topo -m`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cluster.gpu_facts import NodeFacts
from cluster.probe.facts import versions
from cluster.probe.islands import islands_of
from cluster.probe.links import text
from cluster.probe.nvml import Device
from cluster.probe.pci import SYS, device_folder, distance, network_devices, numa_node
from cluster.probe.query import GpuGone, NvmlQuery
from cluster.probe.topology import NvlinkPairs, pairs, whole_gpus

_ANCESTORS = {0: "PIX", 10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}
_SELF = "X"
_UNKNOWN = "?"
# A node without network devices may have any number of GPUs, so the matrix is bounded by its GPUs.
_MOST_DEVICES = 300
_KEPT_S = 300.0
_PATIENCE_S = 1.0

Cells = dict[tuple[str, str], str | None]
"""The path of each two devices, by their names in either order; None: not known."""


class TopologyReader:
    """Finds islands and paths. They rarely change, so they are asked again only every five minutes, and
    when the GPUs are others."""

    def __init__(self, sys: Path = SYS, clock: Callable[[], float] = time.monotonic) -> None:
        self._sys, self._clock = sys, clock
        self._of: tuple[Any, ...] = ()
        self._until_s = self._patient_until_s = 0.0
        self._islands: dict[int, str] = {}
        self._facts = NodeFacts()

    def look(self, query: NvmlQuery, devices: Sequence[Device]) -> tuple[dict[int, str], NodeFacts]:
        """Return the island of each GPU that has one, by index, and the node's facts. Raises NvmlGone."""
        now_s, of = self._clock(), (query, *((device.index, device.error) for device in devices))
        if of != self._of or now_s >= self._until_s:
            links = NvlinkPairs(query, devices)
            # A driver that is slow with these pairs is not asked more about them: /sys answers for it.
            self._patient_until_s = now_s + _PATIENCE_S
            self._islands = islands_of((gpu.index for gpu in whole_gpus(devices)), links.joined)
            self._facts = self._node_facts(query, devices, links)
            self._of, self._until_s = of, now_s + _KEPT_S
        return self._islands, self._facts

    def _node_facts(self, query: NvmlQuery, devices: Sequence[Device], links: NvlinkPairs) -> NodeFacts:
        figures = versions(query)
        chips = list({device.chip.index: device.chip for device in devices}.values())
        folders = {_name(chip): self._folder(query, chip) for chip in chips}
        network = network_devices(self._sys)
        names = (*folders, *network)[:_MOST_DEVICES]
        folders |= network
        cells = self._gpu_cells(query, chips, folders, links)
        for name in network:
            cells |= {(name, other): distance(folders[name], folders[other]) for other in folders}
        rows = tuple(tuple(_cell(a, b, cells) for b in names) for a in names)
        if any(_UNKNOWN in row for row in rows):
            figures.absent["paths"] = "neither the driver nor /sys shows how some of them reach each other"
        numa = tuple(numa_node(folders[name]) for name in names)
        return NodeFacts(paths=rows, devices=names, numa_nodes=numa, absent=figures.absent, **figures.values)

    def _folder(self, query: NvmlQuery, chip: Device) -> Path | None:
        if chip.handle is None:
            return None
        try:
            info = query.ask(chip.index, "nvmlDeviceGetPciInfo", chip.handle).value
        except GpuGone:
            return None
        return None if info is None else device_folder(text(info.busId), self._sys)

    def _gpu_cells(
        self, query: NvmlQuery, chips: list[Device], folders: dict[str, Path | None], links: NvlinkPairs
    ) -> Cells:
        """Return the path of each two GPUs."""
        cells: Cells = {}
        for a, b in pairs(chips):
            names, patient = (_name(a), _name(b)), self._clock() < self._patient_until_s
            if (a.index, b.index) in links.joined:
                cells[names] = f"NV{(patient and links.num_links(a, b)) or ''}"
            else:
                ancestor = _ancestor(query, a, b) if patient else None
                cells[names] = ancestor or distance(*(folders[name] for name in names))
        return cells


def _name(chip: Device) -> str:
    return f"GPU{chip.index}"


def _ancestor(query: NvmlQuery, a: Device, b: Device) -> str | None:
    if a.handle is None or b.handle is None:
        return None
    try:
        level = query.ask(a.index, "nvmlDeviceGetTopologyCommonAncestor", a.handle, b.handle)
    except GpuGone:
        return None
    return _ANCESTORS.get(level.value)


def _cell(a: str, b: str, cells: Cells) -> str:
    if a == b:
        return _SELF
    return cells.get((a, b)) or cells.get((b, a)) or _UNKNOWN
