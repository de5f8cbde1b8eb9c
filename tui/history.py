"""Four figures of every GPU over the last minutes, in a bounded amount of memory.

A node's figures lie in one array, reading after reading: ten thousand GPUs are appended in a few milliseconds
and take about 20 MB, where a queue of floats per figure would take four times that.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Collection
from dataclasses import dataclass

from cluster.telemetry import NodeReading

LENGTH = 120
"""Readings that are kept, one a second."""
FIGURES = ("utilization_percent", "memory_used_bytes", "temperature_c", "power_w")
"""Fields of a GPU's reading, in the order in which a GPU's figures are stored."""
_MISSING = math.nan

Curve = tuple[float | None, ...]
"""One figure over time, oldest first; None where there was no reading."""


@dataclass(slots=True)
class _NodeHistory:
    uuids: tuple[str, ...]
    values: array[float]
    """For each reading, oldest first: the figures of each GPU in order."""

    @property
    def stride(self) -> int:
        """Values of one reading."""
        return len(self.uuids) * len(FIGURES)


class History:
    """Remembers readings. Not safe in several threads: its owner holds a lock."""

    def __init__(self) -> None:
        self._nodes: dict[str, _NodeHistory] = {}
        self._node_of: dict[str, str] = {}

    def remember(self, reading: NodeReading) -> None:
        """Add a node's reading. One without GPUs, of a node that does not answer, is a gap."""
        node = self._nodes.get(reading.node_id)
        uuids = tuple([gpu.uuid for gpu in reading.gpus])
        if not uuids:
            if node is not None:
                self._add(node, array("f", [_MISSING]) * node.stride)
            return
        if node is None or node.uuids != uuids:
            self.forget(reading.node_id)
            node = self._nodes[reading.node_id] = _NodeHistory(uuids, array("f"))
            self._node_of.update(dict.fromkeys(uuids, reading.node_id))
        self._add(node, _values(reading))

    def forget(self, node_id: str) -> None:
        """Drop a node that is gone for good."""
        node = self._nodes.pop(node_id, None)
        for uuid in node.uuids if node is not None else ():
            self._node_of.pop(uuid, None)

    def keep(self, node_ids: Collection[str]) -> None:
        """Drop all other nodes."""
        for node_id in [node_id for node_id in self._nodes if node_id not in node_ids]:
            self.forget(node_id)

    def curve(self, gpu_uuid: str, figure: str) -> Curve:
        """Return one of FIGURES of a GPU over the last readings; () where it was never read."""
        node = self._nodes.get(self._node_of.get(gpu_uuid, ""))
        if node is None:
            return ()
        first = node.uuids.index(gpu_uuid) * len(FIGURES) + FIGURES.index(figure)
        return tuple(None if math.isnan(value) else value for value in node.values[first :: node.stride])

    @staticmethod
    def _add(node: _NodeHistory, values: array[float]) -> None:
        node.values.extend(values)
        if len(node.values) > LENGTH * node.stride:
            del node.values[: node.stride]


def _values(reading: NodeReading) -> array[float]:
    values = [
        value
        for gpu in reading.gpus
        for value in (gpu.utilization_percent, gpu.memory_used_bytes, gpu.temperature_c, gpu.power_w)
    ]
    try:
        return array("f", values)  # type: ignore[arg-type]
    except TypeError:  # some are None
        return array("f", [_MISSING if value is None else value for value in values])
