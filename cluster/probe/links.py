"""Each NVLink of a GPU: whether it is up, how fast, where it ends, what went over it, its errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cluster.detail import NvLinkReading
from cluster.probe.figures import Field, read_fields
from cluster.probe.nvml import Device
from cluster.probe.query import Answer, NvmlQuery

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
_FIELDS = (_SPEED, _SENT_KIB, _RECEIVED_KIB, _SENT_BYTES, _RECEIVED_BYTES, *_ERRORS, *_NEWER_ERRORS)
# The speed of all links, from drivers without one for each.
_COMMON_SPEED = 90
_OLDER_ERRORS = (0, 1, 2, 3)
# NVML numbers the versions 1.0, 2.0, 2.2, 3.0, 3.1, 4.0, 5.0, 6.0.
_VERSIONS = {1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 4, 7: 5, 8: 6}


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """What of a link does not change while it is up."""

    version: int | None
    remote: str | None


def link_states(query: NvmlQuery, chip: Device) -> tuple[dict[int, bool], str | None]:
    """Return for each link that the GPU has whether it is up; {} and the reason where it has none."""
    states: dict[int, bool] = {}
    for link in range(_MOST_LINKS):
        answer = query.ask(chip.index, "nvmlDeviceGetNvLinkState", chip.handle, link)
        if answer.value is None:
            # The driver rejects the number after the last link.
            return states, None if states else answer.reason
        states[link] = answer.value == _ACTIVE
    return states, None


def link_end(query: NvmlQuery, chip: Device, link: int) -> LinkEnd:
    """Ask where a link that is up ends: at a switch, or at the GPU with this bus id."""
    version = query.ask(chip.index, "nvmlDeviceGetNvLinkVersion", chip.handle, link).value
    kind = query.ask(chip.index, "nvmlDeviceGetNvLinkRemoteDeviceType", chip.handle, link)
    if kind.value == _REMOTE_IS_SWITCH:
        return LinkEnd(_VERSIONS.get(version), SWITCH)
    remote = query.ask(chip.index, "nvmlDeviceGetNvLinkRemotePciInfo", chip.handle, link).value
    return LinkEnd(_VERSIONS.get(version), None if remote is None else text(remote.busId))


def text(raw: Any) -> str:
    """Return a C string of the binding as text."""
    return raw.decode("ascii", "replace") if isinstance(raw, bytes) else str(raw)


class LinkReader:
    """Reads the links of GPUs; where a link ends is asked when it comes up."""

    def __init__(self) -> None:
        self._ends: dict[tuple[int, int], LinkEnd] = {}

    def forget(self) -> None:
        """Ask again where links end."""
        self._ends.clear()

    def read(self, query: NvmlQuery, chip: Device) -> tuple[tuple[NvLinkReading, ...], str | None]:
        """Return one reading per link, up or down; () and the reason where the GPU has none."""
        states, reason = link_states(query, chip)
        fields: list[Field] = [(number, link) for link in states for number in _FIELDS]
        answers = iter(read_fields(query, chip, fields))
        readings = []
        for link, active in states.items():
            figures = {number: next(answers) for number in _FIELDS}
            readings.append(self._reading(query, chip, link, active, figures))
        return tuple(readings), reason

    def _reading(
        self, query: NvmlQuery, chip: Device, link: int, active: bool, figures: dict[int, Answer]
    ) -> NvLinkReading:
        end = self._end(query, chip, link, active)
        speed = figures[_SPEED].value or read_fields(query, chip, [_COMMON_SPEED])[0].value
        return NvLinkReading(
            link=link,
            active=active,
            version=end.version,
            bytes_per_s=speed * _BYTES_PER_S if speed and active else None,
            remote=end.remote,
            sent_bytes=_bytes(figures[_SENT_KIB], figures[_SENT_BYTES]),
            received_bytes=_bytes(figures[_RECEIVED_KIB], figures[_RECEIVED_BYTES]),
            errors=_errors(query, chip, link, figures),
        )

    def _end(self, query: NvmlQuery, chip: Device, link: int, active: bool) -> LinkEnd:
        key = (chip.index, link)
        if active and key not in self._ends:
            self._ends[key] = link_end(query, chip, link)
        # Of a link that is down, where it ended is still worth knowing.
        return self._ends.get(key, LinkEnd(None, None))


def _bytes(kib: Answer, size: Answer) -> int | None:
    if kib.value is not None:
        return int(kib.value) * _KIB
    return None if size.value is None else int(size.value)


def _errors(query: NvmlQuery, chip: Device, link: int, figures: dict[int, Answer]) -> int | None:
    """Return replays, recoveries and CRC errors together, as far as the driver counts them."""
    for numbers in (_ERRORS, _NEWER_ERRORS):
        counts = [figures[number].value for number in numbers if figures[number].value is not None]
        if counts:
            return int(sum(counts))
    name = "nvmlDeviceGetNvLinkErrorCounter"
    asked = [query.ask(chip.index, name, chip.handle, link, counter).value for counter in _OLDER_ERRORS]
    counts = [count for count in asked if count is not None]
    return int(sum(counts)) if counts else None
