"""How the devices of a node reach each other: `nvidia-smi topo -m` with the links as they are now. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

from cluster.detail import GpuDetail
from cluster.inventory import Gpu, Node
from cluster.planner.exchanges import Exchange

NEARNESS = ("PIX", "PXB", "PHB", "NODE", "SYS")
"""Kinds of PCIe path, the nearest first."""
UNKNOWN = "?"
SELF = "X"
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the matrix."""

    text: str
    lit: bool = False
    worse: bool = False
    """Fewer links than there should be."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """How every device reaches every other, as `nvidia-smi topo -m` has it."""

    devices: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]
    numa_nodes: tuple[int | None, ...]
    remark: str = ""
    """Why it is not all there."""


def make_matrix(node: Node, details: Mapping[str, GpuDetail], exchanges: Sequence[Exchange]) -> Matrix:
    """Return the matrix of a node; the paths that the exchanges of a layout take are lit."""
    facts, gpus = node.facts, {f"GPU{gpu.index}": gpu for gpu in node.gpus}
    read = facts is not None and bool(facts.paths) and len(facts.paths) == len(facts.devices)
    devices = facts.devices if facts is not None and read else tuple(gpus)
    numa = facts.numa_nodes if facts is not None and read else tuple(gpu.numa_node for gpu in node.gpus)
    lit = _lit_pairs(node, exchanges)
    links = {uuid: _links_up(detail) for uuid, detail in details.items() if detail.links}

    def cell(y: int, x: int) -> Cell:
        path = _at(facts.paths[y], x) if facts is not None and read else None
        one, other = gpus.get(devices[y]), gpus.get(devices[x])
        if x == y:
            return Cell(SELF)
        if one is None or other is None:
            return Cell(path or UNKNOWN)
        return replace(_gpu_cell(one, other, path, links), lit=(one.uuid, other.uuid) in lit)

    places = range(len(devices))
    matrix = Matrix(
        devices=devices,
        cells=tuple(tuple(cell(y, x) for x in places) for y in places),
        numa_nodes=tuple(_at(numa, place) for place in places),
        remark="" if read else _why_unread(node),
    )
    return _with_lit_ports(matrix, node, exchanges)


def nearest_ports(gpu: Gpu, matrix: Matrix) -> tuple[str, tuple[str, ...]]:
    """Return the shortest path from a GPU to network devices, and which; ('', ()): unknown."""
    name = f"GPU{gpu.index}"
    if name not in matrix.devices:
        return "", ()
    row = matrix.cells[matrix.devices.index(name)]
    paths = {
        device: cell.text
        for device, cell in zip(matrix.devices, row, strict=True)
        if not device.startswith("GPU") and cell.text in NEARNESS
    }
    if not paths:
        return "", ()
    nearest = min(paths.values(), key=NEARNESS.index)
    return nearest, tuple(device for device, path in paths.items() if path == nearest)


def bus_of(bus_id: str | None) -> str:
    """Return a PCI address without its domain, which drivers write with four or eight digits."""
    return "" if bus_id is None else bus_id.partition(":")[2].lower()


def _at(values: Sequence[str] | Sequence[int | None], place: int) -> Any:
    return values[place] if place < len(values) else None


def _why_unread(node: Node) -> str:
    reason = node.facts.absent.get("paths") if node.facts is not None else None
    return f"PCIe paths were not read{f' ({reason})' if reason else ''}: only NVLink islands are known"


def _lit_pairs(node: Node, exchanges: Iterable[Exchange]) -> set[Pair]:
    """Return every two GPUs of the node that exchange data, in both orders."""
    found: set[Pair] = set()
    for exchange in exchanges:
        # Only those here: a ring of gradients has members on every node.
        here = [place.gpu_uuid for place in exchange.places if place.node == node.node_id]
        found.update(permutations(here, 2))
    return found


def _gpu_cell(one: Gpu, other: Gpu, path: str | None, links: Mapping[str, _LinksUp]) -> Cell:
    joined = one.nvlink_island is not None and one.nvlink_island == other.nvlink_island
    if path is not None and not path.startswith("NV"):
        return Cell(path)
    if path is None and not joined:
        return Cell(UNKNOWN)
    up = _links_between(one, other, links)
    if up is None:
        return Cell(path or "NV")
    promised = int(path[2:]) if path is not None and path[2:].isdigit() else None
    return Cell(f"NV{up}", worse=promised is not None and up < promised)


@dataclass(frozen=True, slots=True)
class _LinksUp:
    """How many links of a GPU are up."""

    total: int
    by_peer: Mapping[str, int]
    """By PCI address of the GPU at the other end; empty where a switch is."""

    def to(self, peer: Gpu) -> int:
        """Return how many lead to a GPU."""
        return self.by_peer.get(bus_of(peer.pci_bus_id), 0) if self.by_peer else self.total


def _links_up(detail: GpuDetail) -> _LinksUp:
    up = [link for link in detail.links if link.active]
    peers = Counter(bus_of(link.remote) for link in up if link.remote and ":" in link.remote)
    return _LinksUp(len(up), peers)


def _links_between(one: Gpu, other: Gpu, up: Mapping[str, _LinksUp]) -> int | None:
    """Return how many links join two GPUs now, through a switch the lesser number; None: not read."""
    mine, theirs = up.get(one.uuid), up.get(other.uuid)
    return None if mine is None or theirs is None else min(mine.to(other), theirs.to(one))


def _with_lit_ports(matrix: Matrix, node: Node, exchanges: Sequence[Exchange]) -> Matrix:
    """Light the paths to the nearest network devices of GPUs that send to other nodes over the network."""
    crossing = (exchange for exchange in exchanges if exchange.link == "network")
    senders = {place.gpu_uuid for exchange in crossing for place in exchange.places}
    lit: set[Pair] = set()
    for gpu in node.gpus:
        if gpu.uuid in senders:
            name = f"GPU{gpu.index}"
            for port in nearest_ports(gpu, matrix)[1]:
                lit |= {(name, port), (port, name)}
    return _lighted(matrix, lit) if lit else matrix


def _lighted(matrix: Matrix, lit: Collection[Pair]) -> Matrix:
    cells = tuple(
        tuple(
            replace(cell, lit=cell.lit or (first, second) in lit)
            for second, cell in zip(matrix.devices, row, strict=True)
        )
        for first, row in zip(matrix.devices, matrix.cells, strict=True)
    )
    return replace(matrix, cells=cells)
