"""The ways of one GPU to others: its NVLinks as they are now, PCIe, and the network devices beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cluster.detail import GpuDetail, NodeDetail, NvLinkReading
from cluster.inventory import Gpu, Node
from cluster.planner.exchanges import Exchange
from tui.topology.matrix import Matrix, bus_of, nearest_ports

_OVER_NVLINK = ("nvlink", "nvlink_domain")


@dataclass(frozen=True, slots=True)
class LinkMark:
    """One NVLink of a GPU."""

    link: int
    active: bool
    lit: bool
    """The layout uses it."""


@dataclass(frozen=True, slots=True)
class GpuLinks:
    """A GPU's ways to others."""

    gpu: Gpu
    links: tuple[LinkMark, ...] = ()
    bytes_per_s: float | None = None
    """Of all links that are up, per direction."""
    version: int | None = None
    remotes: tuple[str, ...] = ()
    """What is at the other ends: 'switch', 'GPU 3'."""
    pcie: str = ""
    """'gen 5 x16', and 'of x16' where it could be wider."""
    numa_node: int | None = None
    near_ports: tuple[str, ...] = ()
    """Network devices on the shortest path."""
    near_path: str = ""
    """That path: 'PIX' ..."""
    received_bytes_per_s: float | None = None
    sent_bytes_per_s: float | None = None

    @property
    def num_up(self) -> int:
        return sum(mark.active for mark in self.links)

    @property
    def num_down(self) -> int:
        return len(self.links) - self.num_up


@dataclass(frozen=True, slots=True)
class TwoLooks:
    """The latest slow figures of a node and those before, for rates."""

    now: NodeDetail | None = None
    before: NodeDetail | None = None

    def of(self, gpu: Gpu) -> tuple[GpuDetail | None, GpuDetail | None]:
        """Return the two looks at a GPU."""
        return _find(self.now, gpu), _find(self.before, gpu)

    @property
    def passed_s(self) -> float:
        """Seconds between them; 0 without two."""
        return self.now.taken_at_s - self.before.taken_at_s if self.now and self.before else 0.0


def gpu_links(
    node: Node, gpu: Gpu, looks: TwoLooks, exchanges: Sequence[Exchange], matrix: Matrix
) -> GpuLinks:
    """Join what is known of a GPU's ways to others; links that the exchanges use are lit."""
    detail, before = looks.of(gpu)
    buses = {bus_of(other.pci_bus_id): f"GPU {other.index}" for other in node.gpus if other.pci_bus_id}
    links = () if detail is None else detail.links
    partners = _nvlink_partners(node, gpu, exchanges)
    up = [link for link in links if link.active]
    path, ports = nearest_ports(gpu, matrix)
    known = [link.bytes_per_s for link in up if link.bytes_per_s is not None]
    remotes = dict.fromkeys(buses.get(bus_of(link.remote), link.remote) for link in up if link.remote)
    return GpuLinks(
        gpu=gpu,
        links=tuple(LinkMark(link.link, link.active, _is_lit(link, partners)) for link in links),
        bytes_per_s=sum(known) if known else None,
        version=next((link.version for link in up if link.version is not None), None),
        remotes=tuple(remote for remote in remotes if remote),
        pcie=_pcie(gpu, detail),
        numa_node=gpu.numa_node,
        near_ports=ports,
        near_path=path,
        received_bytes_per_s=_rate(detail, before, looks.passed_s, lambda link: link.received_bytes),
        sent_bytes_per_s=_rate(detail, before, looks.passed_s, lambda link: link.sent_bytes),
    )


def _nvlink_partners(node: Node, gpu: Gpu, exchanges: Iterable[Exchange]) -> frozenset[str] | None:
    """Return the PCI addresses that a GPU sends to over NVLink; None: to none. Other nodes' count as ''."""
    buses = {other.uuid: bus_of(other.pci_bus_id) for other in node.gpus}
    found = {
        buses.get(place.gpu_uuid, "")
        for exchange in exchanges
        if exchange.link in _OVER_NVLINK and any(place.gpu_uuid == gpu.uuid for place in exchange.places)
        for place in exchange.places
        if place.gpu_uuid != gpu.uuid
    }
    return frozenset(found) if found else None


def _is_lit(link: NvLinkReading, partners: frozenset[str] | None) -> bool:
    """Return whether a layout uses a link: all of those to a switch, else those to a partner."""
    if partners is None or not link.active:
        return False
    return link.remote is None or ":" not in link.remote or bus_of(link.remote) in partners


def _pcie(gpu: Gpu, detail: GpuDetail | None) -> str:
    if detail is None or detail.pcie_generation is None:
        return ""
    text = f"gen {detail.pcie_generation}"
    if detail.pcie_width is not None:
        text += f" x{detail.pcie_width}"
        most = gpu.facts.max_pcie_width if gpu.facts else None
        text += f" of x{most}" if most and most > detail.pcie_width else ""
    return text


def _rate(
    now: GpuDetail | None,
    before: GpuDetail | None,
    passed_s: float,
    counter: Callable[[NvLinkReading], int | None],
) -> float | None:
    """Return bytes per second over all NVLinks between two looks; None where they are not counted."""
    if now is None or before is None or passed_s <= 0:
        return None
    then = {link.link: counter(link) for link in before.links}
    steps = [
        new - old
        for link in now.links
        if (new := counter(link)) is not None and (old := then.get(link.link)) is not None
    ]
    # Counters begin again at 0 when the driver is loaded again.
    return sum(steps) / passed_s if steps and min(steps) >= 0 else None


def _find(detail: NodeDetail | None, gpu: Gpu) -> GpuDetail | None:
    return None if detail is None else next((one for one in detail.gpus if one.uuid == gpu.uuid), None)
