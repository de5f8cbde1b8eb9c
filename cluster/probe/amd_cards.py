"""The AMD GPUs of this node, as the kernel's amdgpu and amdkfd drivers list them. Only files are read.

Formats: kfd_topology.c of the kernel (nodes, io_links), its documents gpu/amdgpu/driver-misc and
gpu/amdgpu/thermal, and libdrm's amdgpu.ids.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cluster.probe.sysfiles import entries, read_count, read_properties, read_text

_AMD_VENDOR = 0x1002
_XGMI = 11  # HSA_IOLINK_TYPE_XGMI
_MEGABYTE = 1_000_000
_NAME_LISTS = ("usr/share/libdrm/amdgpu.ids", "opt/amdgpu/share/libdrm/amdgpu.ids")


@dataclass(frozen=True, slots=True)
class XgmiLink:
    """A link of Infinity Fabric from one GPU to another."""

    peer: int
    """Index of the GPU at the other end."""
    bytes_per_s: float | None
    """Per direction, as the driver states it."""


@dataclass(frozen=True, slots=True)
class AmdCard:
    """One GPU. `device` is its PCI device's folder in /sys."""

    index: int
    """In the order of the kfd nodes, which is HIP's and Ray's."""
    device: Path
    bus_id: str
    gpu_id: int | None = None
    """kfd's number of it, under which it counts processes' memory."""
    unique_id: int = 0
    gfx_version: int = 0
    """90402 for gfx942: kfd's gfx_target_version."""
    links: tuple[XgmiLink, ...] = ()
    num_partitions: int = 1
    """kfd nodes that are parts of this GPU; more than one in compute partition modes such as CPX."""


def find_cards(root: Path = Path("/")) -> tuple[AmdCard, ...]:
    """List the AMD GPUs under `root`; from the PCI bus alone where kfd shows none."""
    return _cards_of_kfd(root) or _cards_of_bus(root)


def _cards_of_kfd(root: Path) -> tuple[AmdCard, ...]:
    nodes = _gpu_nodes(root)
    parts = Counter(_bus_id(properties) for _, properties in nodes.values())
    # The first kfd node of a GPU stands for all of its partitions.
    first: dict[str, int] = {}
    for number, (_, properties) in nodes.items():
        first.setdefault(_bus_id(properties), number)
    index_of = {number: index for index, number in enumerate(first.values())}
    cards = []
    for bus_id, number in first.items():
        folder, properties = nodes[number]
        cards.append(
            AmdCard(
                index=index_of[number],
                device=root / "sys/bus/pci/devices" / bus_id,
                bus_id=bus_id,
                gpu_id=read_count(folder / "gpu_id").value,
                unique_id=properties.get("unique_id", 0),
                gfx_version=properties.get("gfx_target_version", 0),
                links=_links(folder, index_of),
                num_partitions=parts[bus_id],
            )
        )
    return tuple(cards)


def _gpu_nodes(root: Path) -> dict[int, tuple[Path, dict[str, int]]]:
    """Return kfd's nodes that are GPUs of this container: those of others refuse to be read."""
    nodes = {}
    for folder in entries(root / "sys/class/kfd/kfd/topology/nodes"):
        properties = read_properties(folder / "properties")
        is_gpu = properties.get("simd_count", 0) > 0 and properties.get("vendor_id") == _AMD_VENDOR
        if folder.name.isdigit() and is_gpu:
            nodes[int(folder.name)] = (folder, properties)
    return nodes


def _bus_id(properties: dict[str, int]) -> str:
    """Return the PCI address as /sys writes it; kfd holds bus, device and function in one number."""
    location, domain = properties.get("location_id", 0), properties.get("domain", 0)
    return f"{domain:04x}:{location >> 8 & 0xFF:02x}:{location >> 3 & 0x1F:02x}.{location & 7:x}"


def _links(folder: Path, index_of: dict[int, int]) -> tuple[XgmiLink, ...]:
    links = []
    for link in entries(folder / "io_links"):
        properties = read_properties(link / "properties")
        peer = index_of.get(properties.get("node_to", -1))
        if properties.get("type") == _XGMI and peer is not None:
            rate = properties.get("max_bandwidth", 0) * _MEGABYTE
            links.append(XgmiLink(peer, float(rate) if rate else None))
    return tuple(links)


def _cards_of_bus(root: Path) -> tuple[AmdCard, ...]:
    devices = {}
    for card in entries(root / "sys/class/drm"):
        device = card / "device"
        # 'card0' is a card, 'card0-DP-1' one of its connectors.
        if card.name.removeprefix("card").isdigit() and _hex(device / "vendor") == _AMD_VENDOR:
            devices[_resolved_name(device)] = device
    found = sorted(devices.items())
    return tuple(
        AmdCard(index=index, device=device, bus_id=bus_id, unique_id=_unique_id(device))
        for index, (bus_id, device) in enumerate(found)
        if read_count(device / "mem_info_vram_total").value is not None
    )


def _resolved_name(device: Path) -> str:
    try:
        return device.resolve().name
    except (OSError, RuntimeError):
        return device.parent.name


def _unique_id(device: Path) -> int:
    text = read_text(device / "unique_id").value or ""
    try:
        return int(text, 16)
    except ValueError:
        return 0


def _hex(path: Path) -> int | None:
    try:
        return int(read_text(path).value or "", 16)
    except ValueError:
        return None


def product_name(card: AmdCard, root: Path = Path("/")) -> str:
    """Return the product's name from the board, else from libdrm's list, else its PCI numbers."""
    name = read_text(card.device / "product_name").value
    if name:
        return str(name)
    device, revision = _hex(card.device / "device"), _hex(card.device / "revision")
    if device is None:
        return "unknown AMD GPU"
    listed = (_listed_name(root / names, device, revision) for names in _NAME_LISTS)
    return next((name for name in listed if name), f"AMD GPU 1002:{device:04x}")


def _listed_name(names: Path, device: int, revision: int | None) -> str | None:
    wanted = (f"{device:04X}", f"{revision or 0:02X}")
    for line in (read_text(names).value or "").splitlines():
        columns = [column.strip() for column in line.split(",", 2)]
        if len(columns) == 3 and (columns[0].upper(), columns[1].upper()) == wanted:
            return columns[2]
    return None
