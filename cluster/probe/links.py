"""Each NVLink of a GPU: whether it is up, how fast, where it ends, what went over it, its errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cluster.detail import NvLinkReading
from cluster.probe.figures import read_fields
from cluster.probe.nvml import Device
from cluster.probe.query import NvmlQuery, is_permanent

SWITCH = "switch"
_MOST_LINKS = 36
_ACTIVE = 1
_REMOTE_IS_SWITCH = 2
_BYTES_PER_S = 1_000_000
_KIB = 1024

# NVML's fields of one link. Newer parts count bytes and errors under numbers of their own.
_SPEED = 164
_SENT_KIB, _RECEIVED_KIB = 138, 139
_SENT_BYTES, _RECEIVED_BYTES = 202, 204
_ERRORS = (161, 162, 163)
_NEWER_ERRORS = (208, 211, 215)
_COUNTERS = (_SENT_KIB, _RECEIVED_KIB, _SENT_BYTES, _RECEIVED_BYTES, *_ERRORS, *_NEWER_ERRORS)
# The speed of all links, from drivers without one for each.
_COMMON_SPEED = 90
_OLDER_ERRORS = (0, 1, 2, 3)
# NVML numbers the versions 1.0, 2.0, 2.2, 3.0, 3.1, 4.0, 5.0, 6.0.
_VERSIONS = {1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 4, 7: 5, 8: 6}


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """What of a link does not change while it is up."""

    version: int | None = None
    remote: str | None = None
    bytes_per_s: float | None = None


def link_states(query: NvmlQuery, chip: Device) -> tuple[dict[int, bool], str | None]:
    """Return for each link that the GPU has whether it is up; {} and the reason where it has none."""
    states: dict[int, bool] = {}
    for link in range(_MOST_LINKS):
        answer = query.ask(chip.index, "nvmlDeviceGetNvLinkState", chip.handle, link)
        if answer.value is not None:
            states[link] = answer.value == _ACTIVE
        elif link == 0 or not is_permanent(answer.reason or ""):
            # The driver rejects the number after the last link; one that a GPU lacks is only not supported.
            return states, None if states else answer.reason
    return states, None


def link_remote(query: NvmlQuery, chip: Device, link: int) -> str | None:
    """Return where a link that is up ends: at a switch, or at the GPU with this bus id; None if unknown."""
    kind = query.ask(chip.index, "nvmlDeviceGetNvLinkRemoteDeviceType", chip.handle, link)
    if kind.value == _REMOTE_IS_SWITCH:
        return SWITCH
    remote = query.ask(chip.index, "nvmlDeviceGetNvLinkRemotePciInfo", chip.handle, link).value
    return None if remote is None else text(remote.busId)


def _link_end(query: NvmlQuery, chip: Device, link: int) -> LinkEnd:
    version = query.ask(chip.index, "nvmlDeviceGetNvLinkVersion", chip.handle, link).value
    own, common = read_fields(query, chip, [(_SPEED, link), _COMMON_SPEED])
    speed = own.value or common.value
    return LinkEnd(
        version=_VERSIONS.get(version),
        remote=link_remote(query, chip, link),
        bytes_per_s=float(speed * _BYTES_PER_S) if speed else None,
    )


def text(raw: Any) -> str:
    """Return a C string of the binding as text."""
    return raw.decode("ascii", "replace") if isinstance(raw, bytes) else str(raw)


class LinkReader:
    """Reads the links of GPUs; where a link ends and how fast it is, is asked when it comes up."""

    def __init__(self) -> None:
        self._ends: dict[tuple[int, int], LinkEnd] = {}
        self._counters: dict[int, tuple[int, ...]] = {}

    def forget(self) -> None:
        """Ask everything again: the driver may be another one."""
        self._ends.clear()
        self._counters.clear()

    def read(self, query: NvmlQuery, chip: Device) -> tuple[tuple[NvLinkReading, ...], str | None]:
        """Return one reading per link, up or down; () and the reason where the GPU has none."""
        states, reason = link_states(query, chip)
        counts = self._counts(query, chip, states)
        return tuple(
            self._reading(query, chip, link, active, counts[link]) for link, active in states.items()
        ), reason

    def _counts(self, query: NvmlQuery, chip: Device, links: dict[int, bool]) -> dict[int, dict[int, int]]:
        """Return each link's counters by NVML's number, as far as the driver has them."""
        numbers = self._counters.get(chip.index, _COUNTERS)
        fields = [(number, link) for link in links for number in numbers]
        counts: dict[int, dict[int, int]] = {link: {} for link in links}
        kept = set()
        for (number, link), answer in zip(fields, read_fields(query, chip, fields), strict=True):
            if answer.value is not None:
                counts[link][number] = int(answer.value)
            if links[link] and not is_permanent(answer.reason or ""):
                kept.add(number)
        if any(links.values()):
            # What this GPU never counts is not asked again for each of its links.
            self._counters[chip.index] = tuple(number for number in numbers if number in kept)
        return counts

    def _reading(
        self, query: NvmlQuery, chip: Device, link: int, active: bool, counts: dict[int, int]
    ) -> NvLinkReading:
        key = (chip.index, link)
        if active and key not in self._ends:
            self._ends[key] = _link_end(query, chip, link)
        # Of a link that is down, where it ended is still worth knowing.
        end = self._ends.get(key, LinkEnd())
        return NvLinkReading(
            link=link,
            active=active,
            version=end.version,
            bytes_per_s=end.bytes_per_s if active else None,
            remote=end.remote,
            sent_bytes=_bytes(counts, _SENT_KIB, _SENT_BYTES),
            received_bytes=_bytes(counts, _RECEIVED_KIB, _RECEIVED_BYTES),
            errors=_errors(query, chip, link, counts),
        )


def _bytes(counts: dict[int, int], in_kib: int, in_bytes: int) -> int | None:
    return counts[in_kib] * _KIB if in_kib in counts else counts.get(in_bytes)


def _errors(query: NvmlQuery, chip: Device, link: int, counts: dict[int, int]) -> int | None:
    """Return replays, recoveries and CRC errors together, as far as the driver counts them."""
    for numbers in (_ERRORS, _NEWER_ERRORS):
        known = [counts[number] for number in numbers if number in counts]
        if known:
            return sum(known)
    name = "nvmlDeviceGetNvLinkErrorCounter"
    asked = [query.ask(chip.index, name, chip.handle, link, counter).value for counter in _OLDER_ERRORS]
    known = [int(count) for count in asked if count is not None]
    return sum(known) if known else None
