"""Everything that is read of this machine: its GPUs through NVML or amdgpu, the host, the network ports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from cluster.detail import NetworkPort, NodeDetail
from cluster.inventory import Node
from cluster.probe.amd import has_amd_gpus
from cluster.probe.host import HostReader, unread
from cluster.probe.lines import LeftOut
from cluster.probe.ports import PortReader, fastest_link
from cluster.probe.query import NO_LIBRARY, Mark
from cluster.telemetry import HostReading, NodeReading

HOST, PORTS = "host-figures", "network-ports"
"""Noted as calls while the host and the ports are read; either is left out after it hung or ended a probe."""
_NO_GPUS = "no GPU answered"


class GpuReader(Protocol):
    """Reads the GPUs of this machine: NodeReader through NVML, AmdReader through /sys."""

    def read_inventory(self) -> Node:
        """Look at what is there."""

    def read_now(self) -> NodeReading:
        """Look at what the GPUs of the last inventory are doing."""

    def detail_steps(self) -> Iterator[NodeDetail | None]:
        """Read the slow figures, one GPU a step; the last step returns all."""


class MachineReader:
    """Reads the GPUs and what is around them. Where NVIDIA's library is missing, AMD GPUs are looked for."""

    def __init__(
        self,
        node_id: str,
        nvidia: GpuReader,
        make_amd: Callable[[], GpuReader],
        mark: Mark,
        *,
        left_out: Iterable[LeftOut] = (),
        root: Path = Path("/"),
    ) -> None:
        self._node_id, self._root = node_id, root
        self._gpus, self._make_amd, self._mark = nvidia, make_amd, mark
        self._left_out = {call.function: call.reason for call in left_out}
        self._host, self._ports = HostReader(root=root), PortReader(root)

    def read_inventory(self) -> Node:
        """Look at what is there; the GPUs are those of the vendor whose driver answers."""
        node = self._gpus.read_inventory()
        if node.error == NO_LIBRARY and has_amd_gpus(self._root):
            self._gpus = self._make_amd()
            node = self._gpus.read_inventory()
        return node.model_copy(update={"network_bytes_per_s": fastest_link(self._read_ports())})

    def read_now(self) -> NodeReading:
        """Read the fast figures of the GPUs and of the host."""
        reading = self._gpus.read_now()
        return reading.model_copy(update={"host": self._read_host()})

    def detail_steps(self) -> Iterator[NodeDetail | None]:
        """Read the slow figures, one GPU a step; the last step returns all, with the ports."""
        last = NodeDetail(node_id=self._node_id, taken_at_s=time.time())
        for detail in self._gpus.detail_steps():
            last = detail or last
            if detail is None:
                yield None
        absent = last.absent if last.gpus else {"gpus": _NO_GPUS, **last.absent}
        if PORTS in self._left_out:
            absent = {**absent, "ports": self._left_out[PORTS]}
        yield last.model_copy(update={"ports": self._read_ports(), "absent": absent})

    def read_detail(self) -> NodeDetail:
        """Read all slow figures at once."""
        return next(detail for detail in self.detail_steps() if detail is not None)

    def _read_host(self) -> HostReading:
        if HOST in self._left_out:
            return unread(self._left_out[HOST])
        self._mark(None, HOST)
        return self._host.read()

    def _read_ports(self) -> tuple[NetworkPort, ...]:
        if PORTS in self._left_out:
            return ()
        self._mark(None, PORTS)
        return self._ports.read(time.monotonic())
