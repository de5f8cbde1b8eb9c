"""Read the small files in which the kernel reports figures. Nothing here raises."""

from __future__ import annotations

import errno
import math
from pathlib import Path

from cluster.probe.query import Answer

_MOST_CHARACTERS = 65_536
_REASONS = {
    errno.ENOENT: "this driver does not report it",
    errno.ENOTDIR: "this driver does not report it",
    errno.EACCES: "no permission to read it",
    errno.EPERM: "the driver refused it (a GPU in reset or suspended refuses everything)",
    errno.EINVAL: "not reported while the link is down",
    errno.EOPNOTSUPP: "not supported by this device",
    errno.ENODATA: "no data yet",
    errno.EBUSY: "the device is busy",
    errno.ENODEV: "the device is no longer there",
}


def read_text(path: Path) -> Answer:
    """Return the file's text without the spaces around it, or None with the reason."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return Answer(file.read(_MOST_CHARACTERS).strip())
    except OSError as error:
        return Answer(None, _REASONS.get(error.errno or 0, f"cannot be read: {error.strerror}"))


def read_number(path: Path, *, scale: float = 1.0) -> Answer:
    """Return the file's number times `scale`, or None with the reason; a unit may follow ('8.0 GT/s')."""
    text = read_text(path)
    if text.value is None:
        return text
    try:
        number = float(text.value.split()[0])
    except (ValueError, IndexError):
        return Answer(None, "the driver gives no number")
    if not math.isfinite(number) or number < 0:
        return Answer(None, "the driver gives no number")
    return Answer(round(number * scale, 3))


def read_count(path: Path) -> Answer:
    """Return the file's whole number, 0 or more and exact however large, or None with the reason."""
    text = read_text(path)
    if text.value is None:
        return text
    digits = text.value
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
        return Answer(None, "the driver gives no number")
    return Answer(int(digits))


def read_properties(path: Path) -> dict[str, int]:
    """Return lines of 'name number' as a mapping; empty where the file cannot be read."""
    properties = {}
    for line in (read_text(path).value or "").splitlines():
        name, _, number = line.partition(" ")
        if number.isascii() and number.isdigit() and len(number) <= 20:
            properties[name] = int(number)
    return properties


def numa_node(device: Path) -> int | None:
    """Return the NUMA node of a PCI device's folder; None where the machine has only one or does not say."""
    node = read_count(device / "numa_node").value
    return node if node is not None and node < 2**16 else None


def entries(folder: Path) -> list[Path]:
    """List a folder in the order of its names, numbers by their value; empty where it cannot be read."""
    try:
        return sorted(folder.iterdir(), key=lambda path: (len(path.name), path.name))
    except OSError:
        return []
