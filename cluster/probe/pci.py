"""Where devices sit on the PCI bus, from /sys: their NUMA node, and how far two of them are apart."""

from __future__ import annotations

from pathlib import Path

SYS = Path("/sys")


def device_folder(bus_id: str | None, sys: Path = SYS) -> Path | None:
    """Return the folder of a PCI device by NVML's bus id, with its links resolved; None if there is none."""
    # NVML writes the PCI domain with eight digits, the kernel with four unless it needs more.
    domain, _, rest = (bus_id or "").partition(":")
    try:
        number = int(domain, 16)
    except ValueError:
        return None
    folder = sys / "bus/pci/devices" / f"{number:04x}:{rest.lower()}"
    return _resolved(folder)


def numa_node(folder: Path | None) -> int | None:
    """Return the NUMA node of a device; None where the kernel does not say."""
    try:
        node = int((folder / "numa_node").read_text()) if folder else -1
    except (OSError, ValueError):
        return None
    return node if 0 <= node < 2**16 else None


def network_devices(sys: Path = SYS) -> dict[str, Path]:
    """Return the RDMA devices, 'mlx5_0' ..., in order of their name, with their PCI folder."""
    found = {}
    try:
        names = sorted(path.name for path in (sys / "class/infiniband").iterdir())
    except OSError:
        return {}
    for name in names:
        folder = _resolved(sys / "class/infiniband" / name / "device")
        if folder is not None:
            found[name] = folder
    return found


def distance(a: Path | None, b: Path | None) -> str | None:
    """Name the path between two devices as `nvidia-smi topo -m` does; None where /sys does not show it."""
    if a is None or b is None:
        return None
    parts_a, parts_b = _below_root(a), _below_root(b)
    if not parts_a or not parts_b:
        return None
    if parts_a[0] != parts_b[0]:
        return "NODE" if numa_node(a) == numa_node(b) else "SYS"
    shared = 0
    while shared < min(len(parts_a), len(parts_b)) and parts_a[shared] == parts_b[shared]:
        shared += 1
    if shared == 1:
        return "PHB"
    # One switch: a port of it and the device are all that each has for itself.
    return "PIX" if max(len(parts_a), len(parts_b)) - shared <= 2 else "PXB"


def _below_root(folder: Path) -> tuple[str, ...]:
    """Return the host bridge and all below it: ('pci0000:00', '0000:00:01.0', '0000:01:00.0')."""
    parts = folder.parts
    first = next((i for i, part in enumerate(parts) if part.startswith("pci") and ":" in part), len(parts))
    return parts[first:]


def _resolved(folder: Path) -> Path | None:
    try:
        return folder.resolve(strict=True)
    except (OSError, RuntimeError):
        return None
